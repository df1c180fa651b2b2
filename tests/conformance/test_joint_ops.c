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
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"open\"}}", NULL, "10|open|1.25\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":null}}", NULL, "10|NULL|1.25\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"sold\"}}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\",\"price\":\"2.25\"},\"add\":{\"free\":5}}", NULL,
     "15|x|2.25\n", UPDATED},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":-10}}", NULL, "0|sold|1.25\n", UPDATED},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":0}}", NULL, BEFORE, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":-11}}", "constraint", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":9223372036854775807}}", "beyond 64 bits", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"state\":1}}", "state", NULL, NULL},
    {STOCK "\"op\":\"u\",\"add\":{\"free\":\"1\"}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"free\":\"1\"}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"free\":1.5}}", "free", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"freed\":1}}", "freed", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"note\":\"x\"}}", "note", NULL, NULL},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"state\":\"sold\",\"free\":10}}", NULL,
     "10|x|1.25\n", UPDATED},
    {STOCK "\"op\":\"u\",\"set\":{\"state\":\"x\"},\"if\":{\"price\":\"1.250\"}}", NULL,
     "10|x|1.25\n", UPDATED},
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
    {ABSENT "\"op\":\"c\",\"set\":{\"free\":-1}}", "constraint", NULL, NULL},
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
} values[JOINT_COLUMNS] = {
    {"free", "10", "11", "\"10\""},
    {"state", "\"sold\"", "\"n\\u00e9v\"", "1"},
    {"price", "\"1.250\"", "\"-0.01\"", "\"01\""},
    {"weight", "0.5", "0.1", "\"0.5\""},
    {"paid", "true", "false", "1"},
    {"at", "\"2026-11-23T10:42:00+01:00\"", "\"2026-11-23T09:42:00.123456Z\"", "\"2026-11-23\""},
    {"image", "\"00FF\"", "\"01\"", "\"0\""},
    {"doc", "\"{\\\"a\\\":1}\"", "\"[]\"", "\"{\""},
    {"day", "\"2026-11-23\"", "\"2026-11-24\"", "\"2026-02-30\""},
};

static const char *of_column(size_t i, const char *value, const char *condition)
{
    return test_format("[" STOCK "\"op\":\"u\",\"set\":{\"%s\":%s},\"if\":{\"%s\":%s}}]",
                       values[i].column, value, values[i].column, condition);
}

static void a_value_of_each_type_is_asked_for_and_set(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < JOINT_COLUMNS; i++) {
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
        if (strcmp(joint_case_text(column), test_format("%s\n", joint_case_texts->values[i])) != 0)
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

#define ADD_PRICE(price) "[" STOCK "\"op\":\"u\",\"add\":{\"price\":\"" price "\"}}]"

static void a_decimal_is_added_exactly(void)
{
    static const struct {
        const char *changes;
        const char *price;
    } sums[] = {
        {ADD_PRICE("0.10"), "1.35"},
        {ADD_PRICE("-1.35"), "0.00"},
        {ADD_PRICE("-0.000000000000000000000000000001"), "-0.000000000000000000000000000001"},
        {ADD_PRICE("12345678901234567890123456789012345"),
         "12345678901234567890123456789012344.999999999999999999999999999999"},
    };
    joint_case_begin_test();
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        const char *asked = test_format("[" STOCK "\"op\":\"k\",\"if\":{\"price\":\"%s\"}}]",
                                        sums[i].price);
        joint_case_assert_yes(joint_case_attempt("t", 7, sums[i].changes), sums[i].changes);
        joint_case_assert_yes(joint_case_settle("t", sums[i].changes, true), sums[i].changes);
        joint_case_assert_yes(joint_case_attempt("k", 8, asked), asked);
        joint_case_assert_yes(joint_case_settle("k", asked, false), asked);
    }
    (void)joint_case_text("UPDATE stock SET price = NULL");
    joint_case_assert_no(joint_case_attempt("t", 7, sums[0].changes), "NULL", "NULL");
    joint_case_done();
}

/* Half a cent twice would be a cent, or none. */
static void a_sum_that_the_column_would_round_is_refused(void)
{
    joint_case_begin_test();
    if (database_case_kind == DATABASE_MARIADB)
        (void)joint_case_text("ALTER TABLE stock MODIFY price DECIMAL(10,2)");
    else
        joint_case_trigger("rounds", "BEFORE UPDATE", "stock", "NEW.price := round(NEW.price, 2)");
    joint_case_assert_no(joint_case_attempt("t", 7, ADD_PRICE("0.005")), "price", "rounded");
    joint_case_assert_yes(joint_case_attempt("t", 7, ADD_PRICE("0.05")), "exact");
    joint_case_done();
}

/* What may be promised; joint_store_case.writes is what the service then tries to write. */
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
        for (size_t j = 0; j < joint_case_texts->write_count; j++) {
            const struct joint_write *write = &joint_case_texts->writes[j];
            fill_two();
            joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
            if (write->of_absent == of_absent)
                joint_case_assert_refused(write->sql);
            else
                joint_case_assert_taken(write->sql);
            joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
        }
        fill_two();
        joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
        joint_case_assert_yes(joint_case_settle("t", changes, false), changes);
        for (size_t j = 0; j < joint_case_texts->write_count; j++) {
            fill_two();
            joint_case_assert_taken(joint_case_texts->writes[j].sql);
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
        for (size_t j = 0; j < joint_case_texts->write_count; j++) {
            fill_two();
            (void)joint_case_text(joint_case_texts->writes[j].sql);
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
    (void)joint_case_text("INSERT INTO movement VALUES (1, 'B', 1)");
    joint_case_trigger("x", "BEFORE INSERT", "movement", joint_case_texts->raise("no inserts"));
    joint_case_assert_yes(joint_case_attempt("t", 7, changes), changes);
    joint_case_assert_yes(joint_case_settle("t", changes, true), changes);
    assert_string_equal(joint_case_text("SELECT * FROM movement"), "1|A|2\n");
    joint_case_done();
}

static void what_triggers_write_is_reserved_too(void)
{
    joint_case_begin_test();
    joint_case_trigger("moves", "AFTER UPDATE", "stock",
                       "INSERT INTO movement VALUES (7, NEW.sku, NEW.free - OLD.free)");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "attempt");
    assert_string_equal(joint_case_text(RESERVED), "movement|{\"id\":7}|c|web|t\n"
                                                   "stock|{\"sku\":\"A\"}|u|web|t\n");
    joint_case_assert_refused("INSERT INTO movement VALUES (7, 'B', 1)");
    joint_case_assert_taken("INSERT INTO movement VALUES (8, 'B', 1)");
    joint_case_assert_yes(joint_case_settle("t", MINUS(3), true), "settle");
    assert_string_equal(joint_case_text("SELECT * FROM movement ORDER BY id"), "7|A|-3\n8|B|1\n");
    joint_case_done();
}

static void a_row_is_reserved_that_a_trigger_writes_without_an_event(void)
{
    static const char changes[] = "[{\"service\":\"shop\",\"type\":\"movement\",\"key\":{\"id\":1},"
                                  "\"op\":\"c\",\"set\":{\"sku\":\"A\"}}]";
    joint_case_begin_test();
    (void)joint_case_text("INSERT INTO stock (sku, free) VALUES ('B', 5); DELETE FROM outbox");
    joint_case_trigger("notes", "AFTER INSERT", "movement",
                       "UPDATE stock SET note = NEW.sku WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_attempt("t", 7, changes), "attempt");
    assert_string_equal(joint_case_text(RESERVED), "movement|{\"id\":1}|c|web|t\n"
                                                   "stock|{\"sku\":\"B\"}|u|web|t\n");
    joint_case_assert_refused("UPDATE stock SET free = 1 WHERE sku = 'B'");
    joint_case_assert_yes(joint_case_settle("t", changes, true), "settle");
    assert_string_equal(joint_case_text("SELECT note FROM stock WHERE sku = 'B'"), "A\n");
    joint_case_done();
}

/* It would be made, and no peer would ever see it: the relay sets such a row aside. */
static void what_is_too_large_to_be_published_is_refused(void)
{
    char *text = malloc(1000001);
    joint_case_begin_test();
    assert_non_null(text);
    memset(text, 'x', 1000000);
    text[1000000] = '\0';
    (void)joint_case_text(test_format("UPDATE stock SET state = '%s'", text));
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "limits.message_bytes", "large");
    assert_string_equal(joint_case_text(RESERVED), "");
    free(text);
    joint_case_done();
}

static void what_triggers_write_without_a_reservation_is_refused_or_no_row(void)
{
    joint_case_begin_test();
    joint_case_trigger("notes", "AFTER UPDATE", "stock", "INSERT INTO audit VALUES (1, 'x')");
    joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), "publish.audit has no `joint:`",
                         "audit");
    joint_case_drop_trigger("notes", "stock");
    joint_case_trigger("tells", "AFTER UPDATE", "stock",
                       "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                       "('told', '1', 'told.created', '{}')");
    joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), "an event of its own");
    assert_string_equal(joint_case_text(RESERVED), "stock|{\"sku\":\"A\"}|u|web|t\n");
    assert_string_equal(joint_case_text(EVENTS), "");
    joint_case_done();
}

static void a_vote_is_no_with_the_reason_of_what_stands_in_the_way(void)
{
    joint_case_begin_test();
    for (size_t i = 0; i < joint_case_texts->obstacle_count; i++) {
        const struct joint_obstacle *obstacle = &joint_case_texts->obstacles[i];
        (void)joint_case_text(obstacle->sql);
        joint_case_assert_no(joint_case_attempt("t", 7, MINUS(3)), obstacle->no, obstacle->sql);
        assert_non_null(strstr(joint_case_err.text, "stock {\"sku\":\"A\"}"));
        assert_string_equal(joint_case_text(RESERVED), "");
        (void)joint_case_text(obstacle->undo);
        joint_case_assert_yes(joint_case_attempt("t", 7, MINUS(3)), obstacle->undo);
        joint_case_assert_yes(joint_case_settle("t", MINUS(3), false), obstacle->undo);
    }
    joint_case_done();
}

#define TELL "INSERT INTO told VALUES (1)"

static void write_row(const char *id)
{
    const struct joint_row row = {.name = {slice_of("web"), slice_of(id)},
                                  .changes = slice_of(MINUS(1)),
                                  .timeout_ms = 1000,
                                  .state = JOINT_STATE_QUEUED,
                                  .proposal_id = slice_of(id),
                                  .proposal_offset = 7,
                                  .decision_offset = -1,
                                  .read_at_us = 1};
    bool known = true;
    int64_t created_at_us = 0;
    joint_case_begin();
    joint_case_assert_yes(
        joint_case_ops->note(joint_case_store, &row, &known, &created_at_us, &joint_case_err), id);
    joint_case_assert_yes(joint_case_ops->mark(joint_case_store, &row, &joint_case_err), id);
    joint_case_commit();
}

/* MariaDB's statements know the triggers that were there when they were prepared. What one that is
 * made later writes is no refusal, neither of a change nor of a row. */
static void triggers_that_are_made_while_the_agent_runs_refuse_nothing(void)
{
    static const char *const made[][2] = {{"AFTER INSERT", "seen"},
                                          {"AFTER UPDATE", "stock"},
                                          {"AFTER INSERT", "keepstep_joint"},
                                          {"AFTER UPDATE", "keepstep_joint"},
                                          {"AFTER INSERT", "keepstep_reserved"},
                                          {"AFTER DELETE", "keepstep_reserved"}};
    joint_case_begin_test();
    (void)joint_case_text("CREATE TABLE told (n INTEGER)");
    (void)joint_case_text("CREATE TABLE seen (n INTEGER)");
    if (database_case_kind == DATABASE_POSTGRESQL) /* a trigger has the rights of who fires it */
        (void)joint_case_text("GRANT INSERT ON seen, told TO keepstep_agent");
    joint_case_trigger("sees", "AFTER UPDATE", "stock", "INSERT INTO seen VALUES (1)");
    for (int i = 0; i < 2; i++) {
        const char *id = test_format("t%d", i);
        joint_case_assert_yes(joint_case_attempt(id, 7, MINUS(1)), id);
        joint_case_assert_yes(joint_case_settle(id, MINUS(1), true), id);
        write_row(id);
        for (size_t j = 0; i == 0 && j < sizeof made / sizeof *made; j++)
            joint_case_trigger(test_format("made%zu", j), made[j][0], made[j][1], TELL);
    }
    assert_string_equal(joint_case_text("SELECT free FROM stock WHERE sku = 'A'"), "8\n");
    assert_string_equal(joint_case_text("SELECT count(*) FROM told"), "6\n");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(triggers_that_are_made_while_the_agent_runs_refuse_nothing),
        DATABASE_CASE(each_operation_is_tried_reserved_and_made),
        DATABASE_CASE(what_is_aborted_leaves_the_row_and_gives_it_back),
        DATABASE_CASE(a_value_of_each_type_is_asked_for_and_set),
        DATABASE_CASE(a_decimal_is_added_exactly),
        DATABASE_CASE_SERVERS(a_sum_that_the_column_would_round_is_refused),
        DATABASE_CASE(nothing_is_added_to_null_or_to_what_is_no_integer),
        DATABASE_CASE(what_is_promised_keeps_the_services_own_writes_out),
        DATABASE_CASE(a_try_sees_what_the_service_wrote_before),
        DATABASE_CASE(an_update_of_all_columns_is_no_insert),
        DATABASE_CASE(what_triggers_write_is_reserved_too),
        DATABASE_CASE(a_row_is_reserved_that_a_trigger_writes_without_an_event),
        DATABASE_CASE(what_is_too_large_to_be_published_is_refused),
        DATABASE_CASE(what_triggers_write_without_a_reservation_is_refused_or_no_row),
        DATABASE_CASE(a_vote_is_no_with_the_reason_of_what_stands_in_the_way),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
