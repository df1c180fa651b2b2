/* What takes a promised row away past the triggers, in each database: it is refused, or the
 * decision is held and named until somebody has mended it. Nothing breaks a promise silently. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#define CREATE "[" ABSENT "\"op\":\"c\",\"set\":{\"free\":1}}]"
#define DELETE "[" STOCK "\"op\":\"d\"}]"

/** What somebody does with the table meanwhile. */
struct around {
    const char *promised; /* the changes */
    const char *sql;
    const char *undo; /* NULL: it cannot be; it is the last one */
    const char *held; /* what is said then; NULL: it is refused, as a write of the row is */
};

#define AROUND_MAX 8

static const struct around arounds[][AROUND_MAX] = {
    [DATABASE_SQLITE] = {{MINUS(3), "DELETE FROM stock", "", NULL},
                         {MINUS(3), "UPDATE stock SET note = 'x'", "", NULL},
                         {MINUS(3), "ALTER TABLE stock RENAME TO stocks",
                          "ALTER TABLE stocks RENAME TO stock", "stock"},
                         {MINUS(3), "DROP TABLE stock", NULL, "stock"}},
    [DATABASE_POSTGRESQL] =
        {{MINUS(3), "TRUNCATE stock", "", NULL},
         {MINUS(3), "TRUNCATE ONLY stock_1", "", NULL},
         {MINUS(3), "DELETE FROM stock", "", NULL},
         {MINUS(3), "DELETE FROM ONLY stock_1", "", NULL},
         {MINUS(3), "ALTER TABLE stock DETACH PARTITION stock_1",
          "ALTER TABLE stock ATTACH PARTITION stock_1 FOR VALUES FROM ('A') TO ('K')",
          "there is no such row"},
         {CREATE,
          "ALTER TABLE stock DETACH PARTITION stock_2; ALTER TABLE stock ATTACH PARTITION stock_3 "
          "FOR VALUES FROM ('K') TO ('Z')",
          "ALTER TABLE stock DETACH PARTITION stock_3; ALTER TABLE stock ATTACH PARTITION stock_2 "
          "FOR VALUES FROM ('K') TO ('Z')",
          "the row is there already"},
         {MINUS(3), "DROP TABLE stock_1", NULL, "there is no such row"}},
    [DATABASE_MARIADB] =
        {{MINUS(3), "DELETE FROM stock", "", NULL},
         {MINUS(3), "DELETE FROM stock LIMIT 1", "", NULL},
         {MINUS(3), "RENAME TABLE stock TO stocks", "RENAME TABLE stocks TO stock", "stock"},
         {MINUS(3),
          "ALTER TABLE stock PARTITION BY KEY (sku) PARTITIONS 2; ALTER TABLE stock TRUNCATE "
          "PARTITION ALL",
          NULL, "there is no such row"}},
};

/* In PostgreSQL the table has partitions, and one that is ready for one of them has the row N. */
static void prepare(void)
{
    joint_case_begin_test();
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    (void)joint_case_text(
        "ALTER TABLE stock RENAME TO former; CREATE TABLE stock (LIKE former INCLUDING ALL) "
        "PARTITION BY RANGE (sku); DROP TABLE former; "
        "CREATE TABLE stock_1 PARTITION OF stock FOR VALUES FROM ('A') TO ('K'); "
        "CREATE TABLE stock_2 PARTITION OF stock FOR VALUES FROM ('K') TO ('Z'); "
        "CREATE TABLE stock_3 (LIKE stock INCLUDING ALL); INSERT INTO stock_3 (sku) VALUES ('N')");
    joint_case_init();
    joint_case_grant();
    (void)joint_case_text(joint_case_texts->row);
}

static void meet(const struct around *around, const char *id)
{
    joint_case_assert_yes(joint_case_attempt(id, 7, around->promised), around->sql);
    if (around->held == NULL) {
        joint_case_assert_refused(around->sql);
    } else {
        (void)joint_case_text(around->sql);
        joint_case_assert_no(joint_case_settle(id, around->promised, true), around->held,
                             around->sql);
        assert_non_null(strstr(joint_case_err.text, "stock"));
        assert_string_not_equal(joint_case_text(RESERVED), "");
    }
    if (around->undo == NULL)
        return;
    if (around->held != NULL)
        (void)joint_case_text(around->undo);
    joint_case_assert_yes(joint_case_settle(id, around->promised, true), around->undo);
    (void)joint_case_text("DELETE FROM stock WHERE sku = 'N'; UPDATE stock SET free = 10");
}

static void what_is_promised_is_not_taken_away_or_its_decision_is_held_and_named(void)
{
    const struct around *list = arounds[database_case_kind];
    prepare();
    for (size_t i = 0; i < AROUND_MAX && list[i].sql != NULL; i++)
        meet(&list[i], test_format("t%zu", i));
    joint_case_done();
}

/* A row there may name one that is promised to go, at any time. */
static void a_foreign_key_of_another_schema_stands_in_the_way_of_a_delete(void)
{
    joint_case_begin_test();
    if (database_case_kind == DATABASE_POSTGRESQL)
        (void)joint_case_text("CREATE SCHEMA other; CREATE TABLE other.child (sku text REFERENCES "
                              "stock (sku) ON DELETE CASCADE)");
    else
        (void)joint_case_text(
            "CREATE DATABASE other; EXECUTE IMMEDIATE CONCAT('CREATE TABLE other.child (sku "
            "VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, FOREIGN KEY (sku) "
            "REFERENCES `', DATABASE(), '`.stock (sku) ON DELETE CASCADE)')");
    joint_case_assert_no(joint_case_attempt("t", 7, DELETE), "foreign key of table other.child",
                         "delete");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "update");
    if (database_case_kind == DATABASE_MARIADB)
        (void)joint_case_text("DROP DATABASE other");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(what_is_promised_is_not_taken_away_or_its_decision_is_held_and_named),
        DATABASE_CASE_SERVERS(a_foreign_key_of_another_schema_stands_in_the_way_of_a_delete),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
