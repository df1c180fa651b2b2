/* Joint transactions where SQLite has its own ways: foreign keys, collations, triggers that end a
 * transaction. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

static void what_foreign_keys_hold_together_is_not_promised(void)
{
    joint_case_begin_test();
    (void)joint_case_text(
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES "
        "movement DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER x AFTER UPDATE ON "
        "stock BEGIN INSERT INTO child VALUES (1, 99); END");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "deferred foreign key",
                         "a deferred one");
    (void)joint_case_text("DROP TRIGGER x");
    (void)joint_case_text("CREATE TABLE shelf (id INTEGER PRIMARY KEY, sku REFERENCES stock)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "update");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "update");
    joint_case_assert_no(joint_case_attempt("t", 7, "[" STOCK "\"op\":\"d\"}]"),
                         "foreign key of table shelf", "delete");
    (void)joint_case_text("ALTER TABLE stock ADD COLUMN parent INTEGER REFERENCES audit");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "foreign key to table audit",
                         "a child");
    joint_case_done();
}

static void a_key_that_does_not_compare_bytewise_is_not_promised(void)
{
    joint_case_begin_test();
    (void)joint_case_text("ALTER TABLE movement RENAME TO old; CREATE TABLE movement "
                          "(id INTEGER, sku TEXT, delta INTEGER, PRIMARY KEY (id, sku))");
    joint_case_assert_no(
        joint_case_attempt("t", 7,
                           "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":1},"
                           "\"op\":\"c\"}]"),
        "primary key", "another key");
    (void)joint_case_text("ALTER TABLE stock RENAME TO older; CREATE TABLE stock (sku TEXT COLLATE "
                          "NOCASE PRIMARY KEY, free INTEGER, state TEXT, price TEXT, weight REAL, "
                          "paid INTEGER, at TEXT, image BLOB, doc TEXT, day TEXT);"
                          "INSERT INTO stock (sku, free) VALUES ('A', 1)");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(1)), "bytewise", "NOCASE");
    joint_case_done();
}

/* The caller says what was refused in another transaction. */
static void a_trigger_that_ends_the_transaction_refuses_the_change(void)
{
    static const char breaks[] = "CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN "
                                 "SELECT RAISE(ROLLBACK, 'all of it'); END";
    joint_case_begin_test();
    (void)joint_case_text(breaks);
    assert_int_equal(joint_case_attempt("t", 7, MINUS(3)), STATUS_STOP);
    assert_non_null(strstr(joint_case_err.text, "all of it"));
    assert_string_equal(joint_case_text(RESERVED), "");
    (void)joint_case_text("DROP TRIGGER x");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "without it");
    (void)joint_case_text(breaks);
    assert_int_equal(joint_case_settle("t", MINUS(3), true), STATUS_STOP);
    assert_non_null(strstr(joint_case_err.text, "all of it"));
    (void)joint_case_text("DROP TRIGGER x");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "without it");
    joint_case_done();
}

/* The service goes on with its own rows while a promised one has no row yet. */
static void a_key_that_the_database_gives_is_given_once(void)
{
    joint_case_begin_test();
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (sku) VALUES (NEW.sku)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    joint_case_assert_taken("INSERT INTO movement (sku) VALUES ('own')");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT id, sku FROM movement ORDER BY id"),
                        "2|own\n3|A\n");
    joint_case_done();
}

static void a_key_that_the_database_may_give_again_is_not_promised(void)
{
    joint_case_begin_test();
    (void)joint_case_text("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = "
                          "replace(sql, ' AUTOINCREMENT', '') WHERE name = 'movement'");
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (sku) VALUES (NEW.sku)");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "AUTOINCREMENT", "a rowid");
    assert_string_equal(joint_case_text(RESERVED), "");
    joint_case_drop_trigger("moves", "stock");
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement (id, sku) VALUES (70, NEW.sku)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "a key of the trigger's");
    joint_case_done();
}

static void a_decision_is_a_set_of_its_own_where_whole_ones_are_published(void)
{
    joint_case_begin_test();
    (void)joint_case_text("CREATE TABLE keepstep_transaction (single INTEGER PRIMARY KEY, id "
                          "INTEGER); INSERT INTO keepstep_transaction VALUES (1, 5)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text("SELECT id FROM keepstep_transaction"), "5\n");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT id FROM keepstep_transaction"), "6\n");
    joint_case_done();
}

static void a_row_is_written_without_the_triggers_that_refuse_it(void)
{
    const struct joint_row row = {.name = {slice_of("web"), slice_of("t")},
                                  .changes = slice_of(MINUS(3)),
                                  .state = JOINT_STATE_QUEUED,
                                  .proposal_offset = 7,
                                  .decision_offset = -1};
    bool known = false;
    int64_t created = 0;
    joint_case_begin_test();
    (void)joint_case_text("CREATE TRIGGER x BEFORE INSERT ON keepstep_joint BEGIN "
                          "UPDATE stock SET free = 1; END");
    joint_case_assert_yes(joint_case_attempt("other", 6, MINUS(3)), "reserved");
    joint_case_begin();
    assert_int_equal(
        joint_case_ops->note(joint_case_store, &row, &known, &created, &joint_case_err),
        STATUS_REJECT);
    error_clear(&joint_case_err);
    assert_int_equal(joint_case_ops->triggers(joint_case_store, false, &joint_case_err), STATUS_OK);
    joint_case_assert_yes(
        joint_case_ops->note(joint_case_store, &row, &known, &created, &joint_case_err), "note");
    assert_int_equal(joint_case_ops->triggers(joint_case_store, true, &joint_case_err), STATUS_OK);
    joint_case_commit();
    assert_false(known);
    assert_string_equal(joint_case_text("SELECT id, state FROM keepstep_joint"), "t|queued\n");
    joint_case_done();
}

static bool is_sqlite(enum database_kind kind)
{
    return kind == DATABASE_SQLITE;
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(what_foreign_keys_hold_together_is_not_promised),
        DATABASE_CASE(a_key_that_does_not_compare_bytewise_is_not_promised),
        DATABASE_CASE(a_trigger_that_ends_the_transaction_refuses_the_change),
        DATABASE_CASE(a_key_that_the_database_gives_is_given_once),
        DATABASE_CASE(a_key_that_the_database_may_give_again_is_not_promised),
        DATABASE_CASE(a_decision_is_a_set_of_its_own_where_whole_ones_are_published),
        DATABASE_CASE(a_row_is_written_without_the_triggers_that_refuse_it),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, is_sqlite);
}
