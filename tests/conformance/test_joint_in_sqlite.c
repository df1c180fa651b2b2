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
    (void)joint_case_text("ALTER TABLE stock ADD COLUMN parent INTEGER REFERENCES movement");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "foreign key to table movement",
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

static void a_trigger_that_ends_the_transaction_is_no_verdict(void)
{
    joint_case_begin_test();
    (void)joint_case_text("CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN "
                          "SELECT RAISE(ROLLBACK, 'all of it'); END");
    assert_int_equal(joint_case_attempt("t", 7, MINUS(3)), STATUS_RETRY);
    assert_non_null(strstr(joint_case_err.text, "RAISE(ABORT) instead"));
    assert_string_equal(joint_case_text(RESERVED), "");
    (void)joint_case_text("DROP TRIGGER x");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "without it");
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
        DATABASE_CASE(a_trigger_that_ends_the_transaction_is_no_verdict),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, is_sqlite);
}
