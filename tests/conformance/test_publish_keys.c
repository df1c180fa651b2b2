/* What rows of some keys are now is published anew, in commit order (rule 44): a row that is there
 * with its values, one that is not there as a delete that nobody's insert comes before. */
#include "tests/support/database_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "common/clock.h"
#include "producer/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define SCHEMA  shop_schema("id", "id integer,name text")
#define TABLE   "CREATE TABLE orders (id bigint PRIMARY KEY, name varchar(40));"
#define OUTBOX  "SELECT type, aggregateid, partition_key FROM outbox ORDER BY position"
#define WAIT_US (30 * 1000)

static void begin(struct shop *shop, const char *schema, const char *tables)
{
    shop_begin(database_case_kind);
    shop_make(shop, schema, tables);
    shop_track(shop);
}

/* What the triggers did not see. */
static void forget(const struct shop *shop)
{
    (void)database_text(shop->url, "DELETE FROM outbox");
}

/* So that a case may make another shop. */
static void end(struct shop *shop)
{
    shop_done(shop);
    if (database_case_kind == DATABASE_SQLITE)
        assert_int_equal(unlink(strchr(shop->url, ':') + 1), 0);
}

static enum status publish(struct shop *shop, const char *const *keys, size_t count,
                           struct origin_key *ret_keys, struct error *err)
{
    const struct origin_table table = {&shop->entry, shop->schema};
    for (size_t i = 0; i < count; i++)
        ret_keys[i] = (struct origin_key){.key = slice_of(keys[i])};
    return shop->origin->ops->publish_keys(shop->origin, &table, ret_keys, count, err);
}

/* Publishes one key. @return what became of it. */
static enum origin_key_state publish_one(struct shop *shop, const char *key)
{
    struct error err = ERROR_INIT;
    struct origin_key one;
    if (publish(shop, &key, 1, &one, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return one.state;
}

static void expect_outbox(const struct shop *shop, const char *expected)
{
    const char *found = database_text(shop->url, OUTBOX);
    if (strcmp(found, expected) != 0)
        test_fail("\"%s\" instead of \"%s\"", found, expected);
}

/* Whoever writes holds the row, the gap, the table or the database. */
static void hold(struct session *writer, const char *sql)
{
    session_run(writer, database_case_kind == DATABASE_SQLITE ? "BEGIN IMMEDIATE" : "BEGIN", NULL);
    session_run(writer, sql, NULL);
}

static void rows_are_published_as_they_are_and_absent_ones_as_deletes(void)
{
    static const char *const keys[] = {"{\"id\":1}", "{\"id\":2}", "{\"id\":3}"};
    struct shop shop;
    struct error err = ERROR_INIT;
    struct origin_key found[3];
    begin(&shop, SCHEMA, TABLE);
    (void)database_text(shop.url, "INSERT INTO orders VALUES (1, 'one'), (3, NULL)");
    forget(&shop);
    assert_int_equal(publish(&shop, keys, 3, found, &err), STATUS_OK);
    assert_int_equal(found[0].state, ORIGIN_KEY_ROW);
    assert_int_equal(found[1].state, ORIGIN_KEY_DELETE);
    assert_int_equal(found[2].state, ORIGIN_KEY_ROW);
    expect_outbox(&shop, "order.read|{\"id\":1}|NULL\norder.deleted|{\"id\":2}|NULL\n"
                         "order.read|{\"id\":3}|NULL\n");
    const char *payloads = database_text(shop.url, "SELECT payload FROM outbox ORDER BY position");
    assert_non_null(strstr(payloads, "\"op\":\"r\""));
    assert_non_null(strstr(payloads, "{\"id\":1,\"name\":\"one\"}"));
    assert_non_null(strstr(payloads, "{\"id\":3,\"name\":null}"));
    assert_non_null(strstr(payloads, "{\"op\":\"d\",\"before\":null,\"after\":null}"));
    end(&shop);
}

/* Of each type that a key may have there is a row, and a key without one. */
static void keys_of_every_type_are_found(void)
{
    static const struct {
        const char *type;
        const char *sql[3]; /* by database; NULL: its triggers take no such key */
        const char *here;
        const char *key;
        const char *gone;
        const char *other;
    } types[] = {
        {"integer", {"integer", "bigint", "bigint"}, "7", "7", "8", "99"},
        {"text",
         {"text", "text", "varchar(40) COLLATE utf8mb4_nopad_bin"},
         "'a\"b'",
         "\"a\\\"b\"",
         "\"A\\\"b\"",
         "'z'"},
        {"uuid",
         {NULL, "uuid", "uuid"},
         "'0193583c-0000-7000-8000-00000000000a'",
         "\"0193583c-0000-7000-8000-00000000000a\"",
         "\"0193583c-0000-7000-8000-00000000000b\"",
         "'f193583c-0000-7000-8000-00000000000b'"},
        {"uuid",
         {NULL, NULL, "char(36) COLLATE ascii_bin"},
         "'0193583C-0000-7000-8000-00000000000A'",
         "\"0193583c-0000-7000-8000-00000000000a\"",
         "\"0193583c-0000-7000-8000-00000000000b\"",
         "'F193583C-0000-7000-8000-00000000000B'"},
        {"decimal", {NULL, NULL, "decimal(9,2)"}, "1.50", "\"1.50\"", "\"1.51\"", "9.99"},
        {"date",
         {NULL, NULL, "date"},
         "'2026-02-28'",
         "\"2026-02-28\"",
         "\"2026-02-27\"",
         "'2027-01-01'"},
        {"date-time",
         {NULL, NULL, "datetime(6)"},
         "'2026-02-28 01:02:03.000004'",
         "\"2026-02-28T01:02:03.000004Z\"",
         "\"2026-02-28T01:02:03.000005Z\"",
         "'2027-01-01'"},
        {"bytes", {NULL, NULL, "varbinary(20)"}, "x'0001'", "\"0001\"", "\"0002\"", "x'FF'"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct shop shop;
        if (types[i].sql[database_case_kind] == NULL)
            continue;
        begin(&shop, shop_schema("id", test_format("id %s,n integer", types[i].type)),
              test_format("CREATE TABLE orders (id %s PRIMARY KEY, n integer)",
                          types[i].sql[database_case_kind]));
        (void)database_text(shop.url,
                            test_format("INSERT INTO orders VALUES (%s, 5)", types[i].here));
        forget(&shop);
        struct session *writer = session_open(shop.url);
        if (database_case_kind == DATABASE_MARIADB) /* the lock is that of one key */
            hold(writer, test_format("INSERT INTO orders VALUES (%s, 6)", types[i].other));
        enum origin_key_state here = publish_one(&shop, test_format("{\"id\":%s}", types[i].key));
        enum origin_key_state gone = publish_one(&shop, test_format("{\"id\":%s}", types[i].gone));
        session_close(writer);
        if (here != ORIGIN_KEY_ROW || gone != ORIGIN_KEY_DELETE)
            test_fail("%s: %d and %d", types[i].type, (int)here, (int)gone);
        expect_outbox(&shop,
                      test_format("order.read|{\"id\":%s}|NULL\norder.deleted|{\"id\":%s}|NULL\n",
                                  types[i].key, types[i].gone));
        end(&shop);
    }
}

static void the_partition_key_is_that_of_the_row(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    const char *gone = "{\"id\":2}";
    struct origin_key key;
    shop_begin(database_case_kind);
    shop_make(&shop, SCHEMA, TABLE);
    shop.entry.partition_key = (char *)"name";
    shop_track(&shop);
    (void)database_text(shop.url, "INSERT INTO orders VALUES (1, 'north')");
    forget(&shop);
    assert_int_equal(publish_one(&shop, "{\"id\":1}"), ORIGIN_KEY_ROW);
    assert_int_equal(publish(&shop, &gone, 1, &key, &err), STATUS_OK);
    assert_int_equal(key.state, ORIGIN_KEY_REFUSED);
    assert_non_null(strstr(key.reason, "partition key"));
    expect_outbox(&shop, "order.read|{\"id\":1}|north\n");
    end(&shop);
}

static void a_partition_key_in_the_key_is_known_without_the_row(void)
{
    struct shop shop;
    shop_begin(database_case_kind);
    shop_make(&shop, shop_schema("id,shelf", "id integer,shelf text"),
              "CREATE TABLE orders (id bigint, shelf varchar(40), PRIMARY KEY (id, shelf))");
    shop.entry.partition_key = (char *)"shelf";
    shop_track(&shop);
    assert_int_equal(publish_one(&shop, "{\"id\":1,\"shelf\":\"north\"}"), ORIGIN_KEY_DELETE);
    expect_outbox(&shop, "order.deleted|{\"id\":1,\"shelf\":\"north\"}|north\n");
    end(&shop);
}

static void a_key_without_a_canonical_form_is_refused(void)
{
    struct shop shop;
    begin(&shop, SCHEMA, TABLE);
    assert_int_equal(publish_one(&shop, "{\"id\":\"x\"}"), ORIGIN_KEY_REFUSED);
    expect_outbox(&shop, "");
    end(&shop);
}

struct publishing {
    struct shop *shop;
    const char *key;
    enum origin_key_state state;
    pthread_t thread;
};

static void *publish_beside(void *context)
{
    struct publishing *publishing = context;
    publishing->state = publish_one(publishing->shop, publishing->key);
    return NULL;
}

static void publish_start(struct publishing *publishing, struct shop *shop, const char *key)
{
    *publishing = (struct publishing){.shop = shop, .key = key};
    assert_int_equal(pthread_create(&publishing->thread, NULL, publish_beside, publishing), 0);
}

/* An absent key of which an uncommitted INSERT exists: until that ends nothing is published. */
static void no_delete_comes_behind_an_insert_that_was_not_committed_yet(void)
{
    static const char *const ends[] = {"COMMIT", "ROLLBACK"};
    for (size_t i = 0; i < 2; i++) {
        struct shop shop;
        struct publishing publishing;
        begin(&shop, SCHEMA, TABLE);
        struct session *writer = session_open(shop.url);
        hold(writer, "INSERT INTO orders VALUES (1, 'one')");
        publish_start(&publishing, &shop, "{\"id\":1}");
        clock_sleep_us(WAIT_US);
        session_run(writer, ends[i], NULL);
        assert_int_equal(pthread_join(publishing.thread, NULL), 0);
        if (publishing.state == ORIGIN_KEY_HELD)
            publishing.state = publish_one(&shop, "{\"id\":1}");
        assert_int_equal(publishing.state, i == 0 ? ORIGIN_KEY_ROW : ORIGIN_KEY_DELETE);
        expect_outbox(&shop, i == 0 ? "order.created|{\"id\":1}|NULL\norder.read|{\"id\":1}|NULL\n"
                                    : "order.deleted|{\"id\":1}|NULL\n");
        session_close(writer);
        end(&shop);
    }
}

/* The same where the other one takes longer than is waited for. */
static void an_insert_that_is_not_committed_for_long_is_given_up(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    static const char *const keys[] = {"{\"id\":1}", "{\"id\":2}"};
    struct origin_key found[2];
    begin(&shop, SCHEMA, TABLE "INSERT INTO orders VALUES (2, 'two')");
    forget(&shop);
    struct session *writer = session_open(shop.url);
    hold(writer, "INSERT INTO orders VALUES (1, 'one')");
    assert_int_equal(publish(&shop, keys, 2, found, &err), STATUS_OK);
    assert_int_equal(found[0].state, ORIGIN_KEY_HELD);
    if (database_case_kind != DATABASE_SQLITE)
        assert_int_equal(found[1].state, ORIGIN_KEY_ROW);
    session_run(writer, "COMMIT", NULL);
    assert_int_equal(publish_one(&shop, keys[0]), ORIGIN_KEY_ROW);
    assert_null(strstr(database_text(shop.url, OUTBOX), "deleted"));
    session_close(writer);
    end(&shop);
}

/* A row that is there is read when whoever changes it is done: not what it was before. */
static void a_row_that_is_being_changed_is_published_as_it_becomes(void)
{
    static const char *const changes[] = {"UPDATE orders SET name = 'two' WHERE id = 1",
                                          "DELETE FROM orders WHERE id = 1",
                                          "UPDATE orders SET id = 9 WHERE id = 1"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct shop shop;
        struct publishing publishing;
        begin(&shop, SCHEMA, TABLE "INSERT INTO orders VALUES (1, 'one')");
        struct session *writer = session_open(shop.url);
        hold(writer, changes[i]);
        publish_start(&publishing, &shop, "{\"id\":1}");
        clock_sleep_us(WAIT_US);
        session_run(writer, "COMMIT", NULL);
        assert_int_equal(pthread_join(publishing.thread, NULL), 0);
        if (publishing.state == ORIGIN_KEY_HELD)
            publishing.state = publish_one(&shop, "{\"id\":1}");
        assert_int_equal(publishing.state, i == 0 ? ORIGIN_KEY_ROW : ORIGIN_KEY_DELETE);
        const char *last = database_text(
            shop.url, "SELECT payload FROM outbox ORDER BY position DESC LIMIT 1");
        assert_non_null(strstr(last, i == 0 ? "\"two\"" : "\"op\":\"d\""));
        session_close(writer);
        end(&shop);
    }
}

/* No writer of other rows is held up: there is no lock but that of the key, or for a moment. */
static void writers_of_other_rows_are_not_held_up_by_keys_that_are_there(void)
{
    struct shop shop;
    begin(&shop, SCHEMA, TABLE "INSERT INTO orders VALUES (1, 'one'), (5, 'five')");
    struct session *writer = session_open(shop.url);
    hold(writer, "UPDATE orders SET name = 'more' WHERE id = 5");
    assert_int_equal(publish_one(&shop, "{\"id\":1}"), ORIGIN_KEY_ROW);
    session_run(writer, "COMMIT", NULL);
    session_close(writer);
    end(&shop);
}

static void without_the_rights_of_init_nothing_is_published(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    const char *key = "{\"id\":2}";
    struct origin_key found;
    struct origin *origin = NULL;
    begin(&shop, SCHEMA, TABLE);
    const char *url = roles_login(shop.url, "publish_keys_none", "");
    struct config config = shop.config;
    config.database = config.database_path = (char *)(uintptr_t)url;
    (void)database_text(shop.url, database_case_kind == DATABASE_POSTGRESQL
                                      ? "GRANT SELECT ON orders TO publish_keys_none"
                                      : "GRANT SELECT ON orders TO publish_keys_none@localhost");
    if (origin_find(url)->open(&config, ORIGIN_WRITE, &origin, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const struct origin_table table = {&shop.entry, shop.schema};
    found = (struct origin_key){.key = slice_of(key)};
    assert_int_equal(origin->ops->publish_keys(origin, &table, &found, 1, &err), STATUS_FATAL);
    assert_int_equal(error_exit_code(&err), EX_CONFIG);
    if (strstr(err.text, "needs the rights of `keepstep init`") == NULL)
        test_fail("%s", err.text);
    origin->ops->close(origin);
    expect_outbox(&shop, "");
    end(&shop);
}

int main(void)
{
    const struct database_case cases[] = {
        DATABASE_CASE(rows_are_published_as_they_are_and_absent_ones_as_deletes),
        DATABASE_CASE(keys_of_every_type_are_found),
        DATABASE_CASE(the_partition_key_is_that_of_the_row),
        DATABASE_CASE(a_partition_key_in_the_key_is_known_without_the_row),
        DATABASE_CASE(a_key_without_a_canonical_form_is_refused),
        DATABASE_CASE(no_delete_comes_behind_an_insert_that_was_not_committed_yet),
        DATABASE_CASE(an_insert_that_is_not_committed_for_long_is_given_up),
        DATABASE_CASE(a_row_that_is_being_changed_is_published_as_it_becomes),
        DATABASE_CASE_SERVERS(writers_of_other_rows_are_not_held_up_by_keys_that_are_there),
        DATABASE_CASE_SERVERS(without_the_rights_of_init_nothing_is_published),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
