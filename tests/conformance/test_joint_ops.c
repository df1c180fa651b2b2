/* The contract of struct joint_ops: what is tried, reserved, refused and made, in each database
 * that has joint transactions. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

/* An operation on the row A, or on N, which is not there. */
struct operation {
    const char *change;
    const char *no;    /* what the vote's reason says; NULL: it is yes */
    const char *after; /* of the row, where it is made; NULL: as before */
    const char *event; /* that it publishes; NULL: none */
};

static const struct operation operations[] = {
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"open\"}}", NULL, "10|open|1.50\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":null}}", NULL, "10|NULL|1.50\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"sold\"}}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\",\"price\":\"2\"},\"add\":{\"free\":5}}", NULL,
     "15|x|2\n", UPDATED},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":-10}}", NULL, "0|sold|1.50\n", UPDATED},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":0}}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":-11}}", "CHECK", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":9223372036854775807}}", "beyond 64 bits", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"price\":\"0.10\"}}", "price", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"state\":1}}", "state", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":\"1\"}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"free\":\"1\"}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"free\":1.5}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"freed\":1}}", "freed", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"note\":\"x\"}}", "note", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"state\":\"sold\",\"free\":10}}", NULL,
     "10|x|1.50\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"price\":\"1.5\"}}", NULL,
     "10|x|1.50\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"state\":\"open\"}}", "if", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"state\":null}}", "if", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"free\":11}}", "if", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"freed\":11}}", "freed", NULL, NULL},
    {STOCK "\"op\":\"d\"}", NULL, "", "stock|{\"sku\":\"A\"}|stock.deleted\n"},
    {STOCK "\"op\":\"d\",\"if\":{\"free\":10}}", NULL, "", "stock|{\"sku\":\"A\"}|stock.deleted\n"},
    {STOCK "\"op\":\"d\",\"if\":{\"free\":11}}", "if", NULL, NULL},
    {STOCK "\"op\":\"k\"}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"k\",\"if\":{\"state\":\"sold\"}}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"k\",\"if\":{\"state\":\"open\"}}", "if", NULL, NULL},
    {STOCK "\"op\":\"c\",\"set\":{\"free\":1}}", "already", NULL, NULL},
    {ABSENT "\"op\":\"u\",\"set\":{\"free\":1}}", "no such row", NULL, NULL},
    {ABSENT "\"op\":\"u\",\"add\":{\"free\":1}}", "no such row", NULL, NULL},
    {ABSENT "\"op\":\"d\"}", "no such row", NULL, NULL},
    {ABSENT "\"op\":\"k\"}", "no such row", NULL, NULL},
    {ABSENT "\"op\":\"k\",\"if\":{\"state\":null}}", "no such row", NULL, NULL},
    {ABSENT "\"op\":\"c\",\"set\":{\"free\":-1}}", "CHECK", NULL, NULL},
    {ABSENT "\"op\":\"c\",\"set\":{\"free\":1,\"state\":null}}", NULL, BEFORE,
     "stock|{\"sku\":\"N\"}|stock.created\n"},
    {ABSENT "\"op\":\"c\"}", NULL, BEFORE, "stock|{\"sku\":\"N\"}|stock.created\n"},
    {"{\"service\":\"shop\",\"type\":\"orders\",\"key\":{\"id\":1},\"op\":\"d\"}", "no joint type",
     NULL, NULL},
    {"{\"service\":\"shop\",\"type\":\"audit\",\"key\":{\"id\":1},\"op\":\"c\"}", "no joint type",
     NULL, NULL},
    {"{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"sku\":1},\"op\":\"d\"}", "sku", NULL,
     NULL},
    {"{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"id\":\"A\"},\"op\":\"d\"}", "id", NULL,
     NULL},
    {"{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"sku\":\"A\",\"free\":10},\"op\":\"d\"}",
     "free", NULL, NULL},
};

static void operation_is_tried_and_made(const struct operation *operation)
{
    const char *changes = test_format("[%s]", operation->change);
    bool of_absent = strstr(changes, "\"N\"") != NULL;
    joint_case_fill();
    enum status status = joint_case_attempt("t", 7, changes);
    assert_string_equal(joint_case_text(ROW), BEFORE);
    assert_string_equal(joint_case_text(EVENTS), "");
    if (operation->no != NULL) {
        joint_case_assert_no(status, operation->no, changes);
        assert_string_equal(joint_case_text(RESERVED), "");
        return;
    }
    joint_case_assert_yes(status, changes);
    const char *name = strstr(changes, "\"op\":\"");
    assert_string_equal(joint_case_text(RESERVED),
                        test_format("stock|{\"sku\":\"%s\"}|%c|web|t\n", of_absent ? "N" : "A",
                                    name[strlen("\"op\":\"")]));
    joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
    assert_string_equal(joint_case_text(RESERVED), "");
    if (strcmp(joint_case_text(ROW), operation->after) != 0)
        test_fail("%s: %s", changes, joint_case_text(ROW));
    assert_string_equal(joint_case_text(EVENTS), operation->event == NULL ? "" : operation->event);
}

static void each_operation_is_tried_reserved_and_made(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        operation_is_tried_and_made(&operations[i]);
    joint_case_done();
}

static void what_is_aborted_leaves_the_row_and_gives_it_back(void)
{
    joint_case_begin_test();
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    joint_case_assert_refused("UPDATE stock SET free = 1");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), "settle");
    assert_string_equal(joint_case_text(ROW), BEFORE);
    assert_string_equal(joint_case_text(EVENTS), "");
    joint_case_assert_taken("UPDATE stock SET free = 1");
    joint_case_done();
}

/* A column, what A holds of it, and what it is set to. */
static const struct {
    const char *column;
    const char *holds;
    const char *other;
    const char *unfit;
    const char *expected;
} values[] = {
    {"free", "10", "11", "\"10\"", "11"},
    {"state", "\"sold\"", "\"n\\u00e9v\"", "1", "n\xc3\xa9v"},
    {"price", "\"1.500\"", "\"-0.01\"", "\"01\"", "-0.01"},
    {"weight", "0.5", "0.1", "\"0.5\"", "0.1"},
    {"paid", "true", "false", "1", "0"},
    {"at", "\"2026-11-23T10:42:00+01:00\"", "\"2026-11-23T09:42:00.123456Z\"", "\"2026-11-23\"",
     "2026-11-23T09:42:00.123456Z"},
    {"image", "\"00FF\"", "\"01\"", "\"0\"", "x'01'"},
    {"doc", "\"{\\\"a\\\":1}\"", "\"[]\"", "\"{\"", "[]"},
    {"day", "\"2026-11-23\"", "\"2026-11-24\"", "\"2026-02-30\"", "2026-11-24"},
};

static const char *of_column(size_t i, const char *value, const char *condition)
{
    return test_format("[" STOCK "\"op\":\"u\",\"set\":{\"%s\":%s},\"if\":{\"%s\":%s}}]",
                       values[i].column, value, values[i].column, condition);
}

static void a_value_of_each_type_is_asked_for_and_set(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *to_other = of_column(i, values[i].other, values[i].holds);
        const char *to_null = of_column(i, "null", values[i].other);
        const char *column = test_format("SELECT %s FROM stock", values[i].column);
        joint_case_fill();
        joint_case_assert_no(
            joint_case_attempt("t", 7, of_column(i, values[i].other, values[i].other)), "if",
            values[i].column);
        joint_case_assert_no(joint_case_attempt("t", 7, of_column(i, values[i].other, "null")),
                             "if", values[i].column);
        joint_case_assert_no(
            joint_case_attempt("t", 7, of_column(i, values[i].unfit, values[i].holds)),
            values[i].column, values[i].unfit);
        joint_case_assert_no(
            joint_case_attempt("t", 7, of_column(i, values[i].other, values[i].unfit)),
            values[i].column, values[i].unfit);
        joint_case_assert_yes(joint_case_attempt("t", 7, to_other), to_other);
        joint_case_assert_yes(joint_case_settle("t", to_other, true), to_other);
        if (strcmp(joint_case_text(column), test_format("%s\n", values[i].expected)) != 0)
            test_fail("%s: %s", to_other, joint_case_text(column));
        joint_case_assert_yes(joint_case_attempt("u", 8, to_null), to_null);
        joint_case_assert_yes(joint_case_settle("u", to_null, true), to_null);
        assert_string_equal(joint_case_text(column), "NULL\n");
        const char *from_null = of_column(i, values[i].other, "null");
        joint_case_assert_yes(joint_case_attempt("v", 9, from_null), from_null);
        joint_case_assert_yes(joint_case_settle("v", from_null, true), from_null);
    }
    joint_case_done();
}

static void nothing_is_added_to_null_or_to_what_is_no_integer(void)
{
    joint_case_begin_test();
    (void)joint_case_text("UPDATE stock SET free = NULL");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "NULL", "NULL");
    (void)joint_case_text("UPDATE stock SET free = 9223372036854775807");
    joint_case_assert_no(
        joint_case_attempt("t", 7, "[" STOCK "\"op\":\"u\",\"add\":{\"free\":1}}]"),
        "beyond 64 bits", "the largest");
    joint_case_done();
}

/* What the service writes itself, and whether a promise of each operation keeps it out. */
static const struct {
    const char *sql;
    bool of_absent; /* it writes N, else A */
} writes[] = {
    {"UPDATE stock SET free = 1 WHERE sku = 'A'", false},
    {"UPDATE stock SET note = 'x' WHERE sku = 'A'", false},
    {"DELETE FROM stock WHERE sku = 'A'", false},
    {"REPLACE INTO stock (sku, free) VALUES ('A', 1)", false},
    {"INSERT INTO stock (sku, free) VALUES ('A', 1) ON CONFLICT (sku) DO UPDATE SET free = 1",
     false},
    {"UPDATE stock SET sku = 'C' WHERE sku = 'A'", false},
    {"INSERT INTO stock (sku, free) VALUES ('N', 1)", true},
    {"REPLACE INTO stock (sku, free) VALUES ('N', 1)", true},
    {"UPDATE stock SET sku = 'N' WHERE sku = 'B'", true},
};

static const char *const promises[] = {
    STOCK "\"op\":\"u\",\"set\":{\"free\":2}}",
    STOCK "\"op\":\"d\"}",
    STOCK "\"op\":\"k\"}",
    ABSENT "\"op\":\"c\",\"set\":{\"free\":2}}",
};

static void fill_two(void)
{
    joint_case_fill();
    (void)joint_case_text("INSERT INTO stock (sku, free) VALUES ('B', 5)");
}

static void what_is_promised_keeps_the_services_own_writes_out(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        const char *changes = test_format("[%s]", promises[i]);
        bool of_absent = strstr(changes, "\"N\"") != NULL;
        for (size_t j = 0; j < sizeof writes / sizeof *writes; j++) {
            fill_two();
            joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
            if (writes[j].of_absent == of_absent)
                joint_case_assert_refused(writes[j].sql);
            else
                joint_case_assert_taken(writes[j].sql);
            joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
        }
        fill_two();
        joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
        joint_case_assert_yes(joint_case_settle("t", changes, false), changes);
        for (size_t j = 0; j < sizeof writes / sizeof *writes; j++) {
            fill_two();
            joint_case_assert_taken(writes[j].sql);
        }
    }
    joint_case_done();
}

/* The other order: what the service wrote first is what the try meets. */
static void a_try_sees_what_the_service_wrote_before(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        const char *changes = test_format("[%s]", promises[i]);
        for (size_t j = 0; j < sizeof writes / sizeof *writes; j++) {
            fill_two();
            (void)joint_case_text(writes[j].sql);
            bool there = strcmp(joint_case_text("SELECT count(*) FROM stock WHERE sku = 'A'"),
                                "1\n") == 0;
            bool absent = strcmp(joint_case_text("SELECT count(*) FROM stock WHERE sku = 'N'"),
                                 "0\n") == 0;
            bool can = strstr(changes, "\"N\"") != NULL ? absent : there;
            enum status status = joint_case_attempt("t", 7, changes);
            if (can)
                joint_case_assert_yes(status, changes);
            else
                joint_case_assert_no(status, "row", changes);
        }
    }
    joint_case_done();
}

static void an_update_of_all_columns_is_no_insert(void)
{
    static const char changes[] = "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":1},"
                                  "\"op\":\"u\",\"set\":{\"sku\":\"A\",\"delta\":2}}]";
    joint_case_begin_test();
    (void)joint_case_text("INSERT INTO movement VALUES (1, 'B', 1); CREATE TRIGGER x BEFORE INSERT "
                          "ON movement BEGIN SELECT RAISE(ABORT, 'no inserts'); END");
    joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
    joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
    assert_string_equal(joint_case_text("SELECT * FROM movement"), "1|A|2\n");
    joint_case_done();
}

static void what_triggers_write_is_reserved_too(void)
{
    joint_case_begin_test();
    (void)joint_case_text("CREATE TRIGGER moves AFTER UPDATE ON stock BEGIN "
                          "INSERT INTO movement VALUES (7, NEW.sku, NEW.free - OLD.free); END");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(RESERVED), "movement|{\"id\":7}|c|web|t\n"
                                                   "stock|{\"sku\":\"A\"}|u|web|t\n");
    joint_case_assert_refused("INSERT INTO movement VALUES (7, 'B', 1)");
    joint_case_assert_taken("INSERT INTO movement VALUES (8, 'B', 1)");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT * FROM movement"), "7|A|-3\n8|B|1\n");
    joint_case_done();
}

static void what_triggers_write_without_a_reservation_is_refused_or_no_row(void)
{
    joint_case_begin_test();
    (void)joint_case_text("CREATE TRIGGER notes AFTER UPDATE ON stock BEGIN "
                          "INSERT INTO audit VALUES (1, 'x'); END");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "publish.audit has no `joint:`",
                         "audit");
    (void)joint_case_text("DROP TRIGGER notes; CREATE TRIGGER tells AFTER UPDATE ON stock BEGIN "
                          "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                          "('told', '1', 'told.created', '{}'); END");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "an event of its own");
    assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|t\n");
    assert_string_equal(joint_case_text(EVENTS), "");
    joint_case_done();
}

/* What stands in the way of a change of A by 3. */
static const struct {
    const char *sql;
    const char *undo;
    const char *no;
} obstacles[] = {
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(ABORT, 'not today'); END",
     "DROP TRIGGER x", "not today"},
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(FAIL, 'not today'); END",
     "DROP TRIGGER x", "not today"},
    {"CREATE TRIGGER x BEFORE UPDATE ON stock BEGIN SELECT RAISE(IGNORE); END", "DROP TRIGGER x",
     "leaves it out"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN UPDATE stock SET free = 5; END",
     "DROP TRIGGER x", "another value"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN DELETE FROM stock; END", "DROP TRIGGER x",
     "leaves it out"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN UPDATE stock SET at = 'noon'; END",
     "DROP TRIGGER x", "could not be published"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN SELECT * FROM gone; END", "DROP TRIGGER x",
     "gone"},
    {"CREATE TRIGGER x AFTER UPDATE ON stock BEGIN SELECT json('{'); END", "DROP TRIGGER x",
     "malformed"},
    {"CREATE TRIGGER x BEFORE INSERT ON keepstep_reserved WHEN NEW.entity_type = 'stock' BEGIN "
     "SELECT RAISE(ABORT, 'my veto'); END",
     "DROP TRIGGER x", "my veto"},
    {"CREATE UNIQUE INDEX x ON stock (state)", "DROP INDEX x", "unique index x"},
    {"CREATE UNIQUE INDEX x ON stock (lower(state)) WHERE free > 0", "DROP INDEX x",
     "unique index x"},
    {"ALTER TABLE stock RENAME COLUMN day TO today", "ALTER TABLE stock RENAME COLUMN today TO day",
     "no column \"day\""},
    {"ALTER TABLE stock RENAME TO stocks", "ALTER TABLE stocks RENAME TO stock", "stock"},
};

static void a_vote_is_no_with_the_reason_of_what_stands_in_the_way(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++) {
        (void)joint_case_text(obstacles[i].sql);
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), obstacles[i].no,
                             obstacles[i].sql);
        assert_non_null(strstr(joint_case_err.text, "stock {\"sku\":\"A\"}"));
        assert_string_equal(joint_case_text(RESERVED), "");
        (void)joint_case_text(obstacles[i].undo);
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), obstacles[i].undo);
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), obstacles[i].undo);
    }
    joint_case_done();
}

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

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(each_operation_is_tried_reserved_and_made),
        DATABASE_CASE(what_is_aborted_leaves_the_row_and_gives_it_back),
        DATABASE_CASE(a_value_of_each_type_is_asked_for_and_set),
        DATABASE_CASE(nothing_is_added_to_null_or_to_what_is_no_integer),
        DATABASE_CASE(what_is_promised_keeps_the_services_own_writes_out),
        DATABASE_CASE(a_try_sees_what_the_service_wrote_before),
        DATABASE_CASE(an_update_of_all_columns_is_no_insert),
        DATABASE_CASE(what_triggers_write_is_reserved_too),
        DATABASE_CASE(what_triggers_write_without_a_reservation_is_refused_or_no_row),
        DATABASE_CASE(a_vote_is_no_with_the_reason_of_what_stands_in_the_way),
        DATABASE_CASE(what_foreign_keys_hold_together_is_not_promised),
        DATABASE_CASE(a_key_that_does_not_compare_bytewise_is_not_promised),
        DATABASE_CASE(a_trigger_that_ends_the_transaction_is_no_verdict),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
