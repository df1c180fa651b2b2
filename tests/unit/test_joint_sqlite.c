/* What `init` makes for joint transactions in SQLite: the table by which a service asks for one,
 * and triggers that refuse writes of reserved entities. */
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "producer/capture/watch.h"
#include "producer/init/uninstall.h"

#include <sysexits.h>

#define SCHEMA shop_schema("sku", "sku text,free integer")
#define TABLE                                                                                      \
    "CREATE TABLE orders (sku TEXT PRIMARY KEY, free INTEGER CHECK (free >= 0), note TEXT)"
#define ASK(id, changes) "INSERT INTO keepstep_joint (id, changes) VALUES (" id ", '" changes "')"
#define ONE                                                                                        \
    "[{\"service\":\"bank\",\"type\":\"stock\",\"key\":{\"sku\":\"A\"},\"op\":\"u\",\"add\":{"     \
    "\"free\":-3}}]"

static void set_joint(struct shop *shop, bool is_joint)
{
    shop->entry.is_joint = is_joint;
    shop->config.joint_topic = (char *)(uintptr_t)(is_joint ? "keepstep-joint" : "");
}

static void joint_make(struct shop *shop)
{
    struct error err = ERROR_INIT;
    shop_make(shop, SCHEMA, TABLE);
    set_joint(shop, true);
    if (shop_init(shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void assert_refused(const struct shop *shop, const char *sql, const char *what)
{
    struct session *session = session_open(shop->url);
    const char *error = session_try(session, sql, NULL);
    if (error == NULL || strstr(error, what) == NULL)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
    session_close(session);
}

static void a_row_of_keepstep_joint_becomes_a_record_for_the_log(void **state)
{
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url, ASK("'a\"1'", ONE));
    assert_string_equal(
        database_text(shop.url, "SELECT aggregatetype, aggregateid, type, payload FROM outbox"),
        "keepstep.joint|{\"id\":\"a\\\"1\",\"proposer\":\"shop\"}|keepstep.joint.proposal|"
        "{\"timeout_ms\":10000,\"changes\":" ONE "}\n");
    assert_string_equal(database_text(shop.url,
                                      "SELECT proposer, id, state, changes, proposal_offset, "
                                      "abs(created_at / 1000000 - strftime('%s', 'now')) < 60 "
                                      "FROM keepstep_joint"),
                        "shop|a\"1|proposed|" ONE "|NULL|1\n");
    shop_done(&shop);
}

static void what_is_no_proposal_is_refused_and_writes_no_record(void **state)
{
#define CHANGE(rest) "{\"service\":\"b\",\"type\":\"t\",\"key\":{\"k\":1}," rest "}"
    static const char *const refused[][2] = {
        {ASK("''", ONE), "id must"},
        {ASK("hex(zeroblob(128))", ONE), "id must"},
        {ASK("'a'", "no JSON"), "no JSON text"},
        {ASK("'a'", "{}"), "array of 1 to 100"},
        {ASK("'a'", "[]"), "array of 1 to 100"},
        {ASK("'a'", "[1]"), "each of changes"},
        {ASK("'a'", "[\"x\"]"), "each of changes"},
        {ASK("'a'", "[[]]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"x\"") "]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":null") "]"), "each of changes"},
        {ASK("'a'", "[{\"service\":\"b\",\"type\":\"t\",\"key\":1,\"op\":\"d\"}]"),
         "each of changes"},
        {ASK("'a'", "[{\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"d\"}]"), "each of changes"},
        {ASK("'a'", "[{\"service\":7,\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"d\"}]"),
         "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"u\",\"sets\":{}") "]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"u\",\"set\":[]") "]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"u\",\"set\":{\"a\":[1]}") "]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"u\",\"if\":{\"a\":{}}") "]"), "each of changes"},
        {ASK("'a'", "[" CHANGE("\"op\":\"d\"") "," CHANGE("\"op\":\"k\"") "]"), "occurs twice"},
        {"INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES ('a', '" ONE "', 0)",
         "timeout_ms"},
        {"INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES ('a', '" ONE "', 'soon')",
         "timeout_ms"},
        {"INSERT INTO keepstep_joint (id, changes, proposer) VALUES ('a', '" ONE "', 'bank')",
         "proposer"},
        {"INSERT INTO keepstep_joint (id, changes, state) VALUES ('a', '" ONE "', 'committed')",
         "CHECK"},
        {"INSERT INTO keepstep_joint (id, changes) SELECT 'a', json_group_array(json("
         "'" CHANGE("\"op\":\"d\"") "')) FROM (WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
                                    "n WHERE i < 101) SELECT i FROM n)",
         "array of 1 to 100"},
        {"INSERT INTO keepstep_joint (id, changes) SELECT 'a', json_group_array(json_object("
         "'service', 's' || i, 'type', 't', 'key', json('{\"k\":1}'), 'op', 'd')) FROM (WITH n(i) "
         "AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 17) SELECT i FROM n)",
         "16 services"},
        {"INSERT INTO keepstep_joint (id, changes) SELECT 'a', json_array(json_object('service', "
         "'s', 'type', 't', 'key', json('{\"k\":1}'), 'op', 'u', 'set', json_object('a', "
         "hex(zeroblob(33000)))))",
         "larger than 65536"},
    };
    (void)state;
    struct shop shop;
    joint_make(&shop);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_refused(&shop, refused[i][0], refused[i][1]);
    assert_string_equal(database_text(shop.url, "SELECT id FROM keepstep_joint"), "");
    assert_string_equal(database_text(shop.url, "SELECT position FROM outbox"), "");
    shop_done(&shop);
}

static void the_largest_proposal_is_taken(void **state)
{
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(
        shop.url,
        "INSERT INTO keepstep_joint (id, changes) SELECT 'a', json_group_array(json_object("
        "'service', 's' || (i % 16), 'type', 't', 'key', json_object('k', i), 'op', 'd')) "
        "FROM (WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM "
        "n)");
    (void)database_text(
        shop.url,
        "INSERT INTO keepstep_joint (id, changes) SELECT 'b', substr(c, 1, length(c) - 5) || "
        "printf('%.*c', 65536 - 31 - length(c) + 1, 'x') || substr(c, -4) FROM (SELECT "
        "'[{\"service\":"
        "\"s\",\"type\":\"t\",\"key\":{\"k\":1},\"op\":\"u\",\"set\":{\"a\":\"y\"}}]' AS c)");
    assert_string_equal(database_text(shop.url, "SELECT max(length(payload)) FROM outbox"),
                        "65536\n");
    shop_done(&shop);
}

static void an_id_is_used_once_and_what_was_asked_for_stays(void **state)
{
#define AGAIN(verb) verb " INTO keepstep_joint (id, changes) VALUES ('a', '" ONE "')"
    static const char *const refused[][2] = {
        {AGAIN("INSERT"), "used before"},
        {AGAIN("INSERT OR IGNORE"), "used before"},
        {AGAIN("REPLACE"), "used before"},
        {AGAIN("INSERT") " ON CONFLICT (proposer, id) DO UPDATE SET changes = '[]'", "used before"},
        {"REPLACE INTO keepstep_joint (proposer, id, changes) VALUES ('shop', 'a', '" ONE "')",
         "used before"},
        {"UPDATE keepstep_joint SET id = 'b'", "cannot be changed"},
        {"UPDATE keepstep_joint SET changes = '[1]'", "cannot be changed"},
        {"UPDATE keepstep_joint SET proposer = 'bank'", "cannot be changed"},
        {"UPDATE OR REPLACE keepstep_joint SET id = 'b'", "cannot be changed"},
        {"DELETE FROM keepstep_joint", "stay"},
    };
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url, ASK("'a'", ONE));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_refused(&shop, refused[i][0], refused[i][1]);
    (void)database_text(shop.url, "UPDATE keepstep_joint SET state = 'aborted', read_at = 1, "
                                  "proposal_offset = 7; UPDATE keepstep_joint SET changes = ''");
    assert_refused(&shop, AGAIN("INSERT"), "used before");
    assert_string_equal(database_text(shop.url, "SELECT count(*) FROM outbox"), "1\n");
    shop_done(&shop);
}

#define RESERVE(key) "INSERT INTO keepstep_reserved VALUES ('order', '" key "', 'u', 'shop', 't')"

/* Of N nothing is there: its insert is promised. */
static void a_write_of_a_reserved_entity_is_refused_whatever_it_is_written_with(void **state)
{
    static const char *const refused[] = {
        "UPDATE orders SET free = 1 WHERE sku = 'A'",
        "UPDATE orders SET note = 'n' WHERE sku = 'A'",
        "UPDATE orders SET free = free WHERE sku = 'A'",
        "UPDATE OR IGNORE orders SET free = 5 WHERE sku = 'A'",
        "UPDATE OR REPLACE orders SET free = 5 WHERE sku = 'A'",
        "UPDATE OR FAIL orders SET free = 5",
        "UPDATE OR ROLLBACK orders SET free = 5 WHERE sku = 'A'",
        "DELETE FROM orders WHERE sku = 'A'",
        "DELETE FROM orders",
        "REPLACE INTO orders VALUES ('A', 1, NULL)",
        "INSERT INTO orders VALUES ('A', 1, '') ON CONFLICT (sku) DO UPDATE SET free = 1",
        "INSERT INTO orders VALUES ('N', 1, NULL)",
        "INSERT OR IGNORE INTO orders VALUES ('N', 1, NULL)",
        "INSERT OR REPLACE INTO orders VALUES ('N', 1, NULL)",
        "INSERT INTO orders VALUES ('N', 1, '') ON CONFLICT (sku) DO NOTHING",
        "UPDATE orders SET sku = 'N' WHERE sku = 'B'",
        "UPDATE OR REPLACE orders SET sku = 'A' WHERE sku = 'B'",
        "UPDATE orders SET sku = 'C' WHERE sku = 'A'",
    };
    static const char *const taken[] = {
        "UPDATE orders SET free = 1 WHERE sku = 'B'",
        "INSERT OR IGNORE INTO orders VALUES ('A', 1, NULL)",
        "INSERT INTO orders VALUES ('A', 1, '') ON CONFLICT (sku) DO NOTHING",
        "INSERT INTO orders VALUES ('C', 1, NULL)",
        "INSERT INTO orders VALUES ('n', 1, NULL)",
        "DELETE FROM orders WHERE sku = 'B'",
    };
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url, "INSERT INTO orders VALUES ('A', 10, ''), ('B', 10, '');" RESERVE(
                                      "{\"sku\":\"A\"}") ";" RESERVE("{\"sku\":\"N\"}"));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_refused(&shop, refused[i], "type order is reserved");
        assert_string_equal(database_text(shop.url, "SELECT * FROM orders"), "A|10|\nB|10|\n");
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        (void)database_text(shop.url, taken[i]);
    (void)database_text(shop.url, "DELETE FROM keepstep_reserved");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        (void)database_text(shop.url, "REPLACE INTO orders VALUES ('A', 10, ''), ('B', 10, '');"
                                      "DELETE FROM orders WHERE sku NOT IN ('A', 'B')");
        (void)database_text(shop.url, refused[i]);
    }
    shop_done(&shop);
}

/* Whoever read before the reservation was made cannot write behind it. */
static void an_older_reader_cannot_write_past_a_reservation(void **state)
{
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url, "INSERT INTO orders VALUES ('A', 10, '')");
    struct session *writer = session_open(shop.url);
    session_run(writer, "BEGIN", NULL);
    session_run(writer, "SELECT count(*) FROM orders", NULL);
    (void)database_text(shop.url, RESERVE("{\"sku\":\"A\"}"));
    const char *error = session_try(writer, "UPDATE orders SET free = 1", NULL);
    assert_non_null(error);
    assert_non_null(strstr(error, "locked"));
    session_close(writer);
    shop_done(&shop);
}

static void a_change_of_what_is_not_published_is_no_event_of_a_joint_type_either(void **state)
{
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url, "INSERT INTO orders VALUES ('A', 10, '');"
                                  "UPDATE orders SET note = 'n'; UPDATE orders SET free = free;"
                                  "UPDATE orders SET free = 9");
    assert_string_equal(database_text(shop.url, "SELECT type FROM outbox"),
                        "order.created\norder.updated\n");
    shop_done(&shop);
}

#define MADE                                                                                       \
    "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'keepstep_joint%' OR name LIKE "           \
    "'keepstep_reserved%'"

static void nothing_of_it_is_made_unless_a_type_is_joint(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_ready(&shop, SCHEMA, TABLE);
    assert_string_equal(database_text(shop.url, MADE), "0\n");
    assert_null(strstr(shop_print(&shop), "keepstep_joint"));
    const char *plain = database_text(shop.url, "SELECT sql FROM sqlite_schema WHERE name LIKE "
                                                "'keepstep_order%' ORDER BY name");
    set_joint(&shop, true);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_string_equal(database_text(shop.url, MADE), "10\n");
    assert_non_null(strstr(shop_print(&shop), "keepstep_joint_check"));
    set_joint(&shop, false);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_string_equal(database_text(shop.url, "SELECT sql FROM sqlite_schema WHERE name LIKE "
                                                "'keepstep_order%' ORDER BY name"),
                        plain);
    shop_done(&shop);
}

static void a_type_stays_joint_while_its_entities_are_reserved(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    joint_make(&shop);
    (void)database_text(shop.url, RESERVE("{\"sku\":\"A\"}"));
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    set_joint(&shop, false);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "publish.order"));
    assert_refused(&shop, "INSERT INTO orders VALUES ('A', 1, '')", "type order is reserved");
    error_clear(&err);
    (void)database_text(shop.url, "DELETE FROM keepstep_reserved");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    shop_done(&shop);
}

static void the_watch_tells_triggers_that_refuse_nothing(void **state)
{
    (void)state;
    struct shop shop;
    struct capture_finding finding;
    shop_ready(&shop, SCHEMA, TABLE);
    const struct entity_schema *schemas[] = {shop.schema};
    assert_int_equal(capture_compare(&shop.config, schemas, NULL, NULL, &finding), 0);
    set_joint(&shop, true);
    assert_int_equal(capture_compare(&shop.config, schemas, NULL, NULL, &finding), 1);
    assert_int_equal(finding.state, CAPTURE_BROKEN);
    shop_done(&shop);
}

static void the_printed_sql_makes_the_same(void **state)
{
    (void)state;
    struct shop shop;
    static const char OBJECTS[] =
        "SELECT sql FROM sqlite_schema WHERE name LIKE 'keepstep_joint%' "
        "OR name LIKE 'keepstep_reserved%' OR name LIKE 'keepstep_order%' "
        "ORDER BY name";
    joint_make(&shop);
    const char *printed = database_make(DATABASE_SQLITE, "printed");
    (void)database_text(printed, TABLE);
    (void)database_text(printed, shop_print(&shop));
    assert_string_equal(database_text(printed, OBJECTS), database_text(shop.url, OBJECTS));
    shop_done(&shop);
}

static enum status uninstall(struct shop *shop, struct error *err)
{
    struct uninstall uninstall = {0};
    enum status status = uninstall_init(&uninstall, &shop->config, err);
    FILE *out = fopen(test_path("uninstall.txt"), "w");
    if (status == STATUS_OK)
        status = uninstall_run(&uninstall, out, err);
    (void)fclose(out);
    uninstall_done(&uninstall);
    return status;
}

static void uninstall_takes_all_of_it_away(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    joint_make(&shop);
    (void)database_text(shop.url, ASK("'a'", ONE) ";DELETE FROM outbox; UPDATE keepstep_joint SET "
                                                  "proposal_offset = 7, read_at = 1, "
                                                  "state = 'aborted'");
    if (uninstall(&shop, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(database_text(shop.url, "SELECT name FROM sqlite_schema WHERE name LIKE "
                                                "'keepstep%'"),
                        "");
    shop_done(&shop);
}

/* What is promised to others, or asked of them, must not be forgotten; nor may its `joint:` go. */
static void nothing_is_taken_away_while_a_transaction_is_not_settled(void **state)
{
    static const char *const states[] = {"proposed",   "queued",   "reserved", "refused",
                                         "committing", "aborting", "held"};
    (void)state;
    struct shop shop;
    joint_make(&shop);
    (void)database_text(shop.url,
                        ASK("'a'", ONE) ";DELETE FROM outbox; DROP TRIGGER keepstep_joint_kept");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct error err = ERROR_INIT;
        (void)database_text(shop.url, test_format("UPDATE keepstep_joint SET state = '%s', "
                                                  "proposal_offset = nullif(%zu, 0)",
                                                  states[i], i));
        assert_int_equal(uninstall(&shop, &err), STATUS_ABORT);
        assert_int_equal(err.exit_code, EX_DATAERR);
        assert_non_null(strstr(err.text, test_format("a of shop is %s here", states[i])));
        error_clear(&err);
        set_joint(&shop, false);
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_non_null(strstr(err.text, test_format("a of shop is %s here", states[i])));
        set_joint(&shop, true);
    }
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_of_keepstep_joint_becomes_a_record_for_the_log),
        TEST(what_is_no_proposal_is_refused_and_writes_no_record),
        TEST(the_largest_proposal_is_taken),
        TEST(an_id_is_used_once_and_what_was_asked_for_stays),
        TEST(a_write_of_a_reserved_entity_is_refused_whatever_it_is_written_with),
        TEST(an_older_reader_cannot_write_past_a_reservation),
        TEST(a_change_of_what_is_not_published_is_no_event_of_a_joint_type_either),
        TEST(nothing_of_it_is_made_unless_a_type_is_joint),
        TEST(a_type_stays_joint_while_its_entities_are_reserved),
        TEST(the_watch_tells_triggers_that_refuse_nothing),
        TEST(the_printed_sql_makes_the_same),
        TEST(uninstall_takes_all_of_it_away),
        TEST(nothing_is_taken_away_while_a_transaction_is_not_settled),
    };
    return TEST_RUN(tests);
}
