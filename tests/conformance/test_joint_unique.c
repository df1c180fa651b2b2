/* Values of secondary unique indexes: what a promise takes is nobody else's until it is decided
 * (rule 64), at each isolation level, and what no name covers is not promised. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"
#include "tests/support/joint_writer.h"

/* N with a state that nobody has; A is given it. */
#define TAKES_NEW "[" ABSENT "\"op\":\"c\",\"set\":{\"free\":2,\"state\":\"x\"}}]"
#define TAKES     "[" STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"}}]"
#define INDEX     "CREATE UNIQUE INDEX state_once ON stock (state)"
#define NAME      "[\"state_once\""

#define TAKEN(how) "INSERT " how "INTO stock (sku, free, state) VALUES ('C', 1, 'x')"

/* By which a service takes the value 'x'; B is another row. */
static const char *const takes[][6] = {
    [DATABASE_POSTGRESQL] = {TAKEN(""), "UPDATE stock SET state = 'x' WHERE sku = 'B'",
                             TAKEN("") " ON CONFLICT (state) DO NOTHING",
                             TAKEN("") " ON CONFLICT (state) DO UPDATE SET free = 7",
                             "UPDATE stock SET state = 'x', sku = 'C' WHERE sku = 'B'"},
    [DATABASE_MARIADB] = {TAKEN(""), "UPDATE stock SET state = 'x' WHERE sku = 'B'",
                          TAKEN("IGNORE "), TAKEN("") " ON DUPLICATE KEY UPDATE free = 7",
                          "REPLACE INTO stock (sku, free, state) VALUES ('C', 1, 'x')",
                          "UPDATE stock SET state = 'x', sku = 'C' WHERE sku = 'B'"},
};

static const char *take(size_t n)
{
    return n < sizeof takes[0] / sizeof *takes[0] ? takes[database_case_kind][n] : NULL;
}

static void fill(void)
{
    joint_case_fill();
    (void)joint_case_text("INSERT INTO stock (sku, free, state) VALUES ('B', 5, 'b')");
}

static void begin_with(const char *ddl)
{
    joint_case_begin_test();
    (void)joint_case_text(ddl);
    joint_case_init_without("");
    fill();
}

static const char *drop_index(const char *name)
{
    return test_format(
        database_case_kind == DATABASE_MARIADB ? "DROP INDEX %s ON stock" : "DROP INDEX %s", name);
}

/* Only a snapshot that is older than the reservation may be told otherwise. */
static void assert_kept_out(const char *error, const char *level, const char *sql)
{
    bool told = error != NULL &&
                (strstr(error, "is reserved by a joint transaction, t of web") != NULL ||
                 (strcmp(level, joint_writer_levels[0]) != 0 &&
                  (strstr(error, "could not serialize access") != NULL ||
                   strstr(error, "Record has changed since last read") != NULL)));
    if (!told)
        test_fail("%s: %s: %s", level, sql, error == NULL ? "was not refused" : error);
}

static void a_promised_value_is_taken_by_no_writer(void)
{
    begin_with(INDEX);
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; take(j) != NULL; j++) {
            fill();
            struct session *old = joint_writer_begin(joint_writer_levels[i]);
            session_run(old, "SELECT count(*) FROM audit", NULL); /* its snapshot */
            joint_case_assert_yes(joint_case_attempt("t", 7, j % 2 == 0 ? TAKES_NEW : TAKES),
                                  take(j));
            assert_non_null(strstr(joint_case_text(RESERVED), NAME));
            assert_kept_out(session_try(old, take(j), NULL), joint_writer_levels[i], take(j));
            joint_writer_end(old, "ROLLBACK");
            struct session *new = joint_writer_begin(joint_writer_levels[i]);
            assert_kept_out(session_try(new, take(j), NULL), joint_writer_levels[0], take(j));
            joint_writer_end(new, "ROLLBACK");
            joint_case_assert_yes(joint_case_settle("t", j % 2 == 0 ? TAKES_NEW : TAKES, true),
                                  "settle");
            assert_string_equal(joint_case_text("SELECT sku FROM stock WHERE state = 'x'"),
                                j % 2 == 0 ? "N\n" : "A\n");
            assert_string_equal(joint_case_text(RESERVED), "");
        }
    }
    joint_case_done();
}

/* The try has made the row and taken it back: only the bucket keeps the writer waiting. */
static void a_writer_that_comes_between_try_and_commit_does_not_take_the_value(void)
{
    begin_with(INDEX);
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; take(j) != NULL; j++) {
            const struct joint_part part = joint_case_part("t", 7, TAKES_NEW);
            fill();
            joint_case_begin();
            joint_case_assert_yes(joint_case_ops->attempt(joint_case_store, &part, &joint_case_err),
                                  "attempt");
            struct joint_writing writing = {.writer = joint_writer_begin(joint_writer_levels[i]),
                                            .sql = take(j)};
            joint_writing_begin(&writing);
            joint_case_commit();
            joint_writing_join(&writing);
            assert_kept_out(writing.error, joint_writer_levels[i], take(j));
            joint_writer_end(writing.writer, "ROLLBACK");
            joint_case_assert_yes(joint_case_settle("t", TAKES_NEW, true), "settle");
        }
    }
    joint_case_done();
}

/* A lock that is not had is no verdict: he may take it back. */
static void a_try_waits_for_a_writer_that_takes_the_value_first(void)
{
    begin_with(INDEX);
    for (size_t i = 0; i < JOINT_WRITER_LEVELS; i++) {
        for (size_t j = 0; take(j) != NULL; j++) {
            fill();
            struct session *writer = joint_writer_begin(joint_writer_levels[i]);
            session_run(writer, take(j), NULL);
            if (joint_case_attempt("t", 7, TAKES_NEW) != STATUS_RETRY)
                test_fail("%s: %s: the try did not wait: %s", joint_writer_levels[i], take(j),
                          joint_case_err.text);
            assert_string_equal(joint_case_text(RESERVED), "");
            bool stays = (i + j) % 2 == 0;
            joint_writer_end(writer, stays ? "COMMIT" : "ROLLBACK");
            enum status status = joint_case_attempt("t", 7, TAKES_NEW);
            if (stays)
                joint_case_assert_no(status, "state_once", take(j));
            else
                joint_case_assert_yes(status, take(j));
        }
    }
    joint_case_done();
}

static void two_transactions_that_want_one_value_are_not_both_promised(void)
{
    begin_with(INDEX);
    joint_case_assert_yes(joint_case_attempt("t", 7, TAKES_NEW), "t");
    assert_int_equal(joint_case_attempt("u", 8, TAKES), STATUS_RETRY); /* it is behind in the log */
    joint_case_assert_yes(joint_case_settle("t", TAKES_NEW, false), "settle");
    joint_case_assert_yes(joint_case_attempt("u", 8, TAKES), "u");
    joint_case_assert_yes(joint_case_settle("u", TAKES, true), "settle");
    joint_case_assert_no(joint_case_attempt("t", 9, TAKES_NEW), "state_once", "t");
    joint_case_done();
}

/* What is not taken stays everybody's; what is free again too. */
static void other_values_and_none_at_all_are_kept_from_nobody(void)
{
    begin_with(INDEX);
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "a value that stays");
    assert_null(strstr(joint_case_text(RESERVED), NAME));
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    joint_case_assert_yes(
        joint_case_attempt("t", 7, "[" STOCK "\"op\":\"u\",\"set\":{\"state\":null}}]"), "NULL");
    assert_null(strstr(joint_case_text(RESERVED), NAME));
    joint_case_assert_taken("INSERT INTO stock (sku, free) VALUES ('C', 1), ('D', 1)");
    joint_case_assert_yes(joint_case_settle("t", TAKES, false), "settle");
    joint_case_assert_yes(joint_case_attempt("t", 7, TAKES_NEW), "t");
    joint_case_assert_taken("UPDATE stock SET state = 'X' WHERE sku = 'B'");
    joint_case_assert_taken("UPDATE stock SET state = 'x ' WHERE sku = 'C'");
    joint_case_assert_taken("UPDATE stock SET free = 4 WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", TAKES_NEW, false), "settle");
    joint_case_assert_taken("UPDATE stock SET state = 'x' WHERE sku = 'B'");
    joint_case_done();
}

/* A trigger of the service's gives the value, to a row that the proposal does not name. */
static void a_value_that_a_trigger_takes_is_promised_too(void)
{
    begin_with(INDEX);
    joint_case_trigger("moves", "AFTER INSERT", "movement",
                       "UPDATE stock SET state = 'x' WHERE sku = 'B'");
    static const char move[] = "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":1},"
                               "\"op\":\"c\",\"set\":{\"sku\":\"A\"}}]";
    joint_case_assert_yes(joint_case_attempt("t", 7, move), "attempt");
    joint_case_assert_refused("UPDATE stock SET state = 'x' WHERE sku = 'A'");
    joint_case_assert_taken("UPDATE stock SET state = 'y' WHERE sku = 'A'");
    joint_case_assert_yes(joint_case_settle("t", move, true), "settle");
    assert_string_equal(joint_case_text("SELECT sku FROM stock WHERE state = 'x'"), "B\n");
    joint_case_done();
}

/** An index of several types of columns, a promise of what it holds, and values that are equal to
 * those, in other words, and that are not. */
struct form {
    const char *ddl;
    const char *set;
    const char *equal;
    const char *other;
};

static const struct form forms[][4] = {
    [DATABASE_POSTGRESQL] = {{"CREATE UNIQUE INDEX once ON stock (price, at)",
                              "\"price\":\"1.50\",\"at\":\"2026-01-01T00:00:00Z\"",
                              "price = 1.5000, at = '2026-01-01 05:00:00+05'",
                              "price = 1.5, at = '2026-01-01 05:00Z'"},
                             {"CREATE UNIQUE INDEX once ON stock (image, paid, day) INCLUDE (free)",
                              "\"image\":\"01\",\"paid\":true,\"day\":\"2026-01-02\"",
                              "image = '\\x01', paid = true, day = '2026-01-02'",
                              "image = '\\x0100', paid = true, day = '2026-01-02'"},
                             {"CREATE UNIQUE INDEX once ON stock (state, price) NULLS NOT DISTINCT",
                              "\"state\":\"x\",\"price\":null", "state = 'x', price = NULL",
                              "state = 'x', price = 0"}},
    [DATABASE_MARIADB] =
        {{"CREATE UNIQUE INDEX once ON stock (price, at)",
          "\"price\":\"1.50\",\"at\":\"2026-01-01T00:00:00Z\"",
          "price = 1.5000, at = '2026-01-01 00:00:00'", "price = 1.5, at = '2026-01-01 00:00:01'"},
         {"ALTER TABLE stock MODIFY image VARBINARY(10), ADD UNIQUE INDEX once (image, paid, day)",
          "\"image\":\"01\",\"paid\":true,\"day\":\"2026-01-02\"",
          "image = x'01', paid = 1, day = 20260102", "image = x'0100', paid = 1, day = 20260102"},
         {"ALTER TABLE stock MODIFY state VARCHAR(90) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, "
          "ADD UNIQUE INDEX once (state)",
          "\"state\":\"n\xc3\xa9v\"", "state = 'n\xc3\xa9v  '", "state = 'nev'"}},
};

static void values_are_equal_where_the_index_finds_them_equal(void)
{
    begin_with("CREATE INDEX plain ON stock (state)");
    for (size_t i = 0; i < 4 && forms[database_case_kind][i].ddl != NULL; i++) {
        const struct form *form = &forms[database_case_kind][i];
        (void)joint_case_text(form->ddl);
        joint_case_init_without("");
        fill();
        const char *changes = test_format("[" STOCK "\"op\":\"u\",\"set\":{%s}}]", form->set);
        joint_case_assert_yes(joint_case_attempt("t", 7, changes), form->ddl);
        joint_case_assert_refused(test_format("UPDATE stock SET %s WHERE sku = 'B'", form->equal));
        joint_case_assert_taken(test_format("UPDATE stock SET %s WHERE sku = 'B'", form->other));
        joint_case_assert_yes(joint_case_settle("t", changes, true), form->ddl);
        (void)joint_case_text(drop_index("once"));
    }
    joint_case_done();
}

/* Each has its reason; and an index that the triggers do not know yet. */
static void an_index_without_names_is_not_promised(void)
{
    static const char *const refused[][5] = {
        [DATABASE_POSTGRESQL] = {"CREATE UNIQUE INDEX once ON stock (lower(state))",
                                 "CREATE UNIQUE INDEX once ON stock (state) WHERE free > 0",
                                 "CREATE UNIQUE INDEX once ON stock (weight)",
                                 "CREATE UNIQUE INDEX once ON stock (state text_pattern_ops)",
                                 "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', "
                                 "deterministic = false);"
                                 "CREATE UNIQUE INDEX once ON stock (state COLLATE ci)"},
        [DATABASE_MARIADB] = {"CREATE UNIQUE INDEX once ON stock (weight)",
                              "CREATE UNIQUE INDEX once ON stock (state(3))",
                              "ALTER TABLE stock ADD once INT AS (free) VIRTUAL UNIQUE",
                              "ALTER TABLE stock MODIFY state VARCHAR(90) COLLATE "
                              "utf8mb4_general_ci, ADD UNIQUE INDEX once (state)"},
    };
    static const char *const why[][5] = {
        [DATABASE_POSTGRESQL] = {"expression", "condition", "bytewise: weight", "bytewise: state",
                                 "bytewise: state"},
        [DATABASE_MARIADB] = {"of type double", "beginning of column state", "virtual column",
                              "collation utf8mb4_general_ci"},
    };
    begin_with("CREATE INDEX plain ON stock (state)");
    for (size_t i = 0; i < 5 && refused[database_case_kind][i] != NULL; i++) {
        (void)joint_case_text(refused[database_case_kind][i]);
        joint_case_init_without("");
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "unique index once, which",
                             refused[database_case_kind][i]);
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), why[database_case_kind][i],
                             refused[database_case_kind][i]);
        (void)joint_case_text(drop_index("once"));
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "without it");
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    }
    if (database_case_kind == DATABASE_MARIADB)
        (void)joint_case_text(
            "ALTER TABLE stock MODIFY state VARCHAR(90) COLLATE utf8mb4_nopad_bin");
    (void)joint_case_text(INDEX);
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "keepstep init", "a new index");
    joint_case_init_without("");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "behind init");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    joint_case_done();
}

/* Its names are others, and NULL has one. */
static void an_index_that_takes_nulls_for_equal_now_is_another_one(void)
{
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    begin_with(INDEX);
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "before");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    (void)joint_case_text(
        test_format("%s; %s NULLS NOT DISTINCT", drop_index("state_once"), INDEX));
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "keepstep init", "made anew");
    joint_case_init_without("");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "behind init");
    joint_case_done();
}

static void a_time_of_day_is_promised(void)
{
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    begin_with("ALTER TABLE stock ADD shift time; CREATE UNIQUE INDEX once ON stock (shift)");
    (void)joint_case_text("ALTER TABLE stock ALTER shift SET DEFAULT '10:00'");
    joint_case_assert_yes(joint_case_attempt("t", 7, TAKES_NEW), "attempt");
    joint_case_assert_refused("UPDATE stock SET shift = '10:00:00.000' WHERE sku = 'B'");
    joint_case_assert_taken("UPDATE stock SET shift = '10:00:01' WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", TAKES_NEW, true), "settle");
    joint_case_done();
}

/* MariaDB shows it as an index of columns. */
static void a_period_without_overlaps_is_not_promised(void)
{
    if (database_case_kind != DATABASE_MARIADB)
        return;
    begin_with("CREATE INDEX plain ON stock (state)");
    (void)joint_case_text("ALTER TABLE stock ADD s DATE NOT NULL DEFAULT '2026-01-01', ADD e DATE "
                          "NOT NULL DEFAULT '2026-01-02', ADD PERIOD FOR p (s, e), "
                          "ADD UNIQUE (sku, p WITHOUT OVERLAPS)");
    joint_case_init_without("");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "WITHOUT OVERLAPS", "attempt");
    joint_case_done();
}

/* There is an index, and nothing says what it is of. */
static void an_index_of_which_nothing_is_known_is_not_promised(void)
{
    if (database_case_kind != DATABASE_MARIADB)
        return;
    begin_with(INDEX);
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "before");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    (void)joint_case_text(
        "CREATE OR REPLACE FUNCTION keepstep_unique_names(wanted VARCHAR(64) CHARACTER SET "
        "utf8mb4) RETURNS LONGTEXT CHARACTER SET utf8mb4 READS SQL DATA RETURN '[]'; "
        "ALTER TABLE stock COMMENT 'so that it is looked at again'");
    joint_case_grant();
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "index that is not found", "hidden");
    (void)joint_case_text("DROP FUNCTION keepstep_unique_names");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "keepstep init", "no function");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE_SERVERS(a_promised_value_is_taken_by_no_writer),
        DATABASE_CASE_SERVERS(a_writer_that_comes_between_try_and_commit_does_not_take_the_value),
        DATABASE_CASE_SERVERS(a_try_waits_for_a_writer_that_takes_the_value_first),
        DATABASE_CASE_SERVERS(two_transactions_that_want_one_value_are_not_both_promised),
        DATABASE_CASE_SERVERS(other_values_and_none_at_all_are_kept_from_nobody),
        DATABASE_CASE_SERVERS(a_value_that_a_trigger_takes_is_promised_too),
        DATABASE_CASE_SERVERS(values_are_equal_where_the_index_finds_them_equal),
        DATABASE_CASE_SERVERS(an_index_without_names_is_not_promised),
        DATABASE_CASE_SERVERS(an_index_that_takes_nulls_for_equal_now_is_another_one),
        DATABASE_CASE_SERVERS(a_time_of_day_is_promised),
        DATABASE_CASE_SERVERS(a_period_without_overlaps_is_not_promised),
        DATABASE_CASE_SERVERS(an_index_of_which_nothing_is_known_is_not_promised),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
