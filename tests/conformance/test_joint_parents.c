/* Foreign keys of joint tables: a row that a promise makes another row name stays until it is
 * decided (rule 64), whoever comes first; and what names a row that nobody keeps is not promised.
 */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/joint_writer.h"

#include "consumer/store/sql/joint.h"

#define MOVEMENT(of_id)   "{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":" of_id "},"
#define MOVES(of_id, sku) "[" MOVEMENT(of_id) "\"op\":\"c\",\"set\":{\"sku\":" sku ",\"delta\":1}}]"
#define NAMES             "SELECT entity_key, operation FROM keepstep_reserved ORDER BY 1"
#define A_IS_KEPT         "{\"id\":1}|c\n{\"sku\":\"A\"}|k\n"

/* By which a service takes the row A away from under a movement. */
static const char *const gone[] = {"DELETE FROM stock WHERE sku = 'A'",
                                   "UPDATE stock SET sku = 'C' WHERE sku = 'A'"};
#define GONE (sizeof gone / sizeof *gone)

static const char *const children[] = {
    [DATABASE_SQLITE] = "DROP TABLE movement; CREATE TABLE movement (id INTEGER PRIMARY KEY "
                        "AUTOINCREMENT, sku TEXT REFERENCES stock, delta INTEGER)",
    [DATABASE_POSTGRESQL] = "ALTER TABLE movement ADD FOREIGN KEY (sku) REFERENCES stock",
    [DATABASE_MARIADB] =
        "ALTER TABLE movement MODIFY sku VARCHAR(100) CHARACTER SET utf8mb4 COLLATE "
        "utf8mb4_nopad_bin, ADD FOREIGN KEY (sku) REFERENCES stock (sku)"};

static void fill(void)
{
    (void)joint_case_text("DELETE FROM movement");
    joint_case_fill();
    (void)joint_case_text("INSERT INTO stock (sku, free) VALUES ('B', 5)");
}

static void begin(void)
{
    joint_case_begin_test();
    (void)joint_case_text(children[database_case_kind]);
    joint_case_init_without("");
    if (database_case_kind != DATABASE_SQLITE)
        joint_case_grant();
    fill();
}

static void a_row_that_a_promise_names_stays(void)
{
    begin();
    for (size_t i = 0; i < 2; i++) {
        fill();
        joint_case_assert_yes(joint_case_attempt("t", 7, MOVES("1", "\"A\"")), "attempt");
        assert_string_equal(joint_case_text(NAMES), A_IS_KEPT);
        for (size_t j = 0; j < GONE; j++)
            joint_case_assert_refused(gone[j]);
        joint_case_assert_taken("UPDATE stock SET free = 4 WHERE sku = 'B'");
        joint_case_assert_taken("INSERT INTO movement (id, sku) VALUES (2, 'A')");
        joint_case_assert_yes(joint_case_settle("t", MOVES("1", "\"A\""), i == 0), "settle");
        assert_string_equal(joint_case_text("SELECT count(*) FROM movement WHERE sku = 'A'"),
                            i == 0 ? "2\n" : "1\n");
        assert_string_equal(joint_case_text(RESERVED), "");
        joint_case_assert_taken("UPDATE stock SET free = 3 WHERE sku = 'A'");
    }
    joint_case_done();
}

/* What names a row already is kept by its foreign key. In SQLite no service has to look at these.
 */
static void only_a_row_that_is_newly_named_is_kept(void)
{
    static const char delta[] = "[" MOVEMENT("1") "\"op\":\"u\",\"set\":{\"delta\":5}}]";
    static const char to_b[] = "[" MOVEMENT("1") "\"op\":\"u\",\"set\":{\"sku\":\"B\"}}]";
    static const char deletes[] = "[" MOVEMENT("1") "\"op\":\"d\"}]";
    const struct {
        const char *changes;
        const char *names;
    } cases[] = {{delta, database_case_kind == DATABASE_SQLITE ? "{\"id\":1}|u\n{\"sku\":\"A\"}|k\n"
                                                               : "{\"id\":1}|u\n"},
                 {to_b, "{\"id\":1}|u\n{\"sku\":\"B\"}|k\n"},
                 {deletes, "{\"id\":1}|d\n"},
                 {MOVES("3", "null"), "{\"id\":3}|c\n"}};
    begin();
    (void)joint_case_text("INSERT INTO movement (id, sku) VALUES (1, 'A')");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        joint_case_assert_yes(joint_case_attempt("t", 7, cases[i].changes), cases[i].changes);
        assert_string_equal(joint_case_text(NAMES), cases[i].names);
        joint_case_assert_yes(joint_case_settle("t", cases[i].changes, false), cases[i].changes);
    }
    joint_case_done();
}

static void a_row_that_a_trigger_names_stays_too(void)
{
    begin();
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (id, sku) VALUES (1, 'B')");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(NAMES),
                        "{\"id\":1}|c\n{\"sku\":\"A\"}|u\n{\"sku\":\"B\"}|k\n");
    joint_case_assert_refused("DELETE FROM stock WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT sku FROM movement"), "B\n");
    joint_case_done();
}

/* A row that goes and comes again counts as one that goes. */
static void a_row_that_a_trigger_deletes_and_makes_anew_names_another_one(void)
{
    begin();
    (void)joint_case_text("INSERT INTO movement (id, sku) VALUES (1, 'A')");
    joint_case_trigger("goes", "BEFORE UPDATE", "stock", "DELETE FROM movement WHERE id = 1");
    joint_case_trigger("comes", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (id, sku) VALUES (1, 'B')");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(NAMES),
                        "{\"id\":1}|d\n{\"sku\":\"A\"}|u\n{\"sku\":\"B\"}|k\n");
    joint_case_assert_refused("DELETE FROM stock WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    joint_case_done();
}

/* Each waits for those before it in the log, and only for these. */
static void transactions_that_name_one_row_come_one_after_the_other(void)
{
    begin();
    joint_case_assert_yes(joint_case_attempt("t", 7, MOVES("1", "\"A\"")), "t");
    assert_int_equal(joint_case_attempt("u", 8, MOVES("2", "\"A\"")), STATUS_RETRY);
    assert_int_equal(joint_case_attempt("v", 8, MINUS(3)), STATUS_RETRY);
    joint_case_assert_yes(joint_case_attempt("w", 8, MOVES("3", "\"B\"")), "w");
    joint_case_assert_yes(joint_case_settle("t", MOVES("1", "\"A\""), true), "t");
    joint_case_assert_yes(joint_case_attempt("u", 8, MOVES("2", "\"A\"")), "u");
    joint_case_assert_yes(joint_case_settle("u", MOVES("2", "\"A\""), true), "u");
    joint_case_assert_yes(joint_case_settle("w", MOVES("3", "\"B\""), true), "w");
    assert_string_equal(joint_case_text("SELECT id, sku FROM movement ORDER BY id"),
                        "1|A\n2|A\n3|B\n");
    joint_case_done();
}

/* The database refuses it; a delete of a row that others may name is not promised as before. */
static void what_a_foreign_key_refuses_is_voted_no(void)
{
    begin();
    joint_case_assert_no(joint_case_attempt("t", 7, "[" STOCK "\"op\":\"d\"}]"),
                         "foreign key of table movement", "delete");
    if (database_case_kind != DATABASE_SQLITE)
        joint_case_assert_no(joint_case_attempt("t", 7, MOVES("1", "\"gone\"")), "foreign key",
                             "no parent");
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_done();
}

static void a_foreign_key_to_a_table_that_is_not_joint_is_not_promised(void)
{
    static const char *const others[] = {
        [DATABASE_SQLITE] = "ALTER TABLE stock ADD COLUMN x INTEGER REFERENCES audit",
        [DATABASE_POSTGRESQL] = "ALTER TABLE stock ADD COLUMN x bigint REFERENCES audit",
        [DATABASE_MARIADB] =
            "ALTER TABLE stock ADD COLUMN x BIGINT, ADD FOREIGN KEY (x) REFERENCES audit (id)"};
    begin();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "before");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "before");
    (void)joint_case_text(others[database_case_kind]);
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)),
                         "has a foreign key to table audit, which is none of a joint type",
                         "after");
    joint_case_done();
}

static void begin_with_pairs(void)
{
    static const char *const pairs[] = {
        [DATABASE_POSTGRESQL] =
            "ALTER TABLE stock ADD UNIQUE (day, sku);"
            "ALTER TABLE movement ADD day date, ADD FOREIGN KEY (sku, day) REFERENCES stock (sku, "
            "day)",
        [DATABASE_MARIADB] =
            "ALTER TABLE stock ADD UNIQUE (sku, day);"
            "ALTER TABLE movement ADD day DATE DEFAULT '2026-11-23', MODIFY sku VARCHAR(100) "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, ADD FOREIGN KEY (sku, day) "
            "REFERENCES stock (sku, day)"};
    joint_case_begin_test();
    (void)joint_case_text(pairs[database_case_kind]);
    if (database_case_kind == DATABASE_POSTGRESQL)
        (void)joint_case_text("ALTER TABLE movement ALTER day SET DEFAULT '2026-11-23'");
    joint_case_init_without("");
    fill();
    (void)joint_case_text("UPDATE stock SET day = '2026-11-23'");
}

static void a_foreign_key_of_several_columns_names_one_row(void)
{
    begin_with_pairs();
    joint_case_assert_yes(joint_case_attempt("t", 7, MOVES("1", "\"A\"")), "attempt");
    assert_string_equal(joint_case_text(NAMES), A_IS_KEPT);
    joint_case_assert_refused("UPDATE stock SET day = '2026-11-24' WHERE sku = 'A'");
    joint_case_assert_taken("UPDATE stock SET day = '2026-11-24' WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", MOVES("1", "\"A\""), true), "settle");
    joint_case_done();
}

/* Somebody may name the old value until it is decided; a new row is named by nobody. */
static void an_update_of_what_a_foreign_key_may_name_is_not_promised(void)
{
    static const char new_day[] = "[" STOCK "\"op\":\"u\",\"set\":{\"day\":\"2026-11-24\"}}]";
    static const char new_row[] = "[" ABSENT "\"op\":\"c\",\"set\":{\"day\":\"2026-11-24\"}}]";
    begin_with_pairs();
    joint_case_assert_no(joint_case_attempt("t", 7, new_day), "foreign key of table movement",
                         "update");
    joint_case_assert_yes(joint_case_attempt("t", 7, new_row), "create");
    joint_case_assert_yes(joint_case_settle("t", new_row, true), "create");
    joint_case_done();
}

/* What keeps others from a value does not matter to a row that only stays. */
static void a_row_that_stays_needs_no_names_of_its_values(void)
{
    begin();
    (void)joint_case_text("CREATE UNIQUE INDEX once ON stock (weight)");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "unique index once", "update");
    joint_case_assert_yes(joint_case_attempt("t", 7, MOVES("1", "\"A\"")), "attempt");
    assert_string_equal(joint_case_text(NAMES), A_IS_KEPT);
    joint_case_assert_yes(joint_case_settle("t", MOVES("1", "\"A\""), true), "settle");
    joint_case_done();
}

#define MANY "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %d) "
#define EACH "INSERT INTO movement (id, sku) SELECT id, 'B' FROM audit WHERE id <= "

/* 10,000 entities: those rows, A, and B, which they name. */
static void a_transaction_may_make_as_many_rows_name_one_as_entities_are_allowed(void)
{
    if (database_case_kind != DATABASE_SQLITE)
        return; /* the same code, and minutes */
    begin();
    (void)joint_case_text(
        test_format("INSERT INTO audit (id) " MANY "SELECT n FROM n", JOINT_ENTITIES_MAX));
    joint_case_trigger("moves", "AFTER UPDATE", "stock", EACH "9998 + (NEW.free = 6)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "10,000");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(4)), "more than 10000", "10,001");
    joint_case_done();
}

/* Serialization failures and locks come where a snapshot is older than the reservation. */
static bool is_kept_out(const char *error)
{
    return error != NULL && (strstr(error, "is reserved by a joint transaction") != NULL ||
                             strstr(error, "could not serialize access") != NULL ||
                             strstr(error, "Record has changed since last read") != NULL);
}

static void a_writer_that_comes_behind_a_try_does_not_take_the_row_away(void)
{
    begin();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; j < GONE; j++) {
            const struct joint_part part = joint_case_part("t", 7, MOVES("1", "\"A\""));
            fill();
            struct joint_writing writing = {.writer = joint_writer_begin(joint_writer_levels[i]),
                                            .sql = gone[j]};
            if (i > 0)
                session_run(writing.writer, "SELECT count(*) FROM audit", NULL);
            joint_case_begin();
            joint_case_assert_yes(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err),
                                  "attempt");
            joint_writing_begin(&writing);
            joint_case_commit();
            joint_writing_join(&writing);
            if (!is_kept_out(writing.error))
                test_fail("%s: %s: %s", joint_writer_levels[i], gone[j],
                          writing.error == NULL ? "was not refused" : writing.error);
            joint_writer_end(writing.writer, "ROLLBACK");
            joint_case_assert_yes(joint_case_settle("t", MOVES("1", "\"A\""), true), "settle");
        }
    }
    joint_case_done();
}

/* A lock that is not had is no verdict: he may take it back. */
static void a_try_waits_for_a_writer_that_takes_the_row_away_first(void)
{
    begin();
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; j < GONE; j++) {
            fill();
            struct session *writer = joint_writer_begin(joint_writer_levels[i]);
            session_run(writer, gone[j], NULL);
            if (joint_case_attempt("t", 7, MOVES("1", "\"A\"")) != STATUS_RETRY)
                test_fail("%s: %s: the try did not wait: %s", joint_writer_levels[i], gone[j],
                          joint_case_err.text);
            bool goes = (i + j) % 2 == 0;
            joint_writer_end(writer, goes ? "COMMIT" : "ROLLBACK");
            enum status status = joint_case_attempt("t", 7, MOVES("1", "\"A\""));
            if (goes)
                joint_case_assert_no(status, "foreign key", gone[j]);
            else
                joint_case_assert_yes(status, gone[j]);
        }
    }
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_row_that_a_promise_names_stays),
        DATABASE_CASE(only_a_row_that_is_newly_named_is_kept),
        DATABASE_CASE(a_row_that_a_trigger_names_stays_too),
        DATABASE_CASE(a_row_that_a_trigger_deletes_and_makes_anew_names_another_one),
        DATABASE_CASE(a_row_that_stays_needs_no_names_of_its_values),
        DATABASE_CASE(a_transaction_may_make_as_many_rows_name_one_as_entities_are_allowed),
        DATABASE_CASE_SERVERS(an_update_of_what_a_foreign_key_may_name_is_not_promised),
        DATABASE_CASE(transactions_that_name_one_row_come_one_after_the_other),
        DATABASE_CASE(what_a_foreign_key_refuses_is_voted_no),
        DATABASE_CASE(a_foreign_key_to_a_table_that_is_not_joint_is_not_promised),
        DATABASE_CASE_SERVERS(a_foreign_key_of_several_columns_names_one_row),
        DATABASE_CASE_SERVERS(a_writer_that_comes_behind_a_try_does_not_take_the_row_away),
        DATABASE_CASE_SERVERS(a_try_waits_for_a_writer_that_takes_the_row_away_first),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
