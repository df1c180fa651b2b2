/* What a database's tools do to the triggers: the check finds it, `init` repairs it and says so. */
#include "consumer/store/registry.h"
#include "producer/registry.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/shop.h"

#include "consumer/store/store.h"
#include "operate/metrics.h"
#include "producer/capture/watch.h"
#include "producer/relay/internal.h"

#include <stdio.h>

#define MINUTE_US INT64_C(61000000)
#define SCHEMA    shop_schema("id", "id integer,name text")
#define TABLE     "CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(40));"
#define PARTED                                                                                     \
    "CREATE TABLE orders (id integer PRIMARY KEY, name text) PARTITION BY RANGE (id); "            \
    "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);"

/* One way to lose triggers. */
struct loss {
    const char *tables;
    const char *sql;
    const char *found;    /* a part of what the check says */
    const char *stranger; /* a write that must still not be captured after init */
    bool partial;         /* only a TRUNCATE is lost */
};

static void check(const struct shop *shop, struct capture_finding *ret_finding)
{
    const struct entity_schema *schemas[] = {shop->schema};
    size_t broken = capture_compare(&shop->config, schemas, NULL, NULL, ret_finding);
    assert_int_equal(broken, ret_finding->state == CAPTURE_BROKEN);
}

static void assert_whole(const struct shop *shop)
{
    struct capture_finding finding;
    check(shop, &finding);
    if (finding.state != CAPTURE_WHOLE)
        test_fail("%s: %s", capture_state_name(finding.state), finding.text);
}

static const char *events(const struct shop *shop)
{
    return database_text(shop->url, "SELECT type, aggregateid FROM outbox ORDER BY position");
}

static void run(const struct shop *shop, const char *sql)
{
    if (strncmp(shop->url, "postgresql:", strlen("postgresql:")) == 0)
        postgresql_execute(shop->url, sql);
    else
        (void)database_text(shop->url, sql);
}

static void use(struct shop *shop, const char *url)
{
    bool file = strncmp(url, "sqlite:", strlen("sqlite:")) == 0;
    shop->config.database = (char *)(uintptr_t)url;
    shop->config.database_path = shop->config.database + (file ? strlen("sqlite:") : 0);
}

/* @return the URL of a login that has only the rights that init prints for a relay. */
static const char *relay_of(struct shop *shop)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    if (strncmp(shop->url, "sqlite:", strlen("sqlite:")) == 0)
        return shop->url;
    const struct store_options options = {.path = shop->url, .service = "shop", .install = true};
    if (store_find(shop->url)->open(&options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store->ops->close(store);
    bool postgresql = strncmp(shop->url, "postgresql:", strlen("postgresql:")) == 0;
    run(shop, strstr(shop_print(shop), postgresql ? "DO $keepstep$\nDECLARE" : "CREATE ROLE"));
    return roles_login(shop->url, "watching_relay", "keepstep_relay");
}

static void lose_and_mend(enum database_kind kind, const struct loss *loss)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    struct capture_finding finding;
    shop_begin(kind);
    (void)remove(test_path("shop.db"));
    shop_ready(&shop, SCHEMA, loss->tables);
    assert_null(strstr(test_read_file(test_path("init.txt")), "MENDED"));
    const char *relay = relay_of(&shop);
    use(&shop, relay);
    assert_whole(&shop);
    run(&shop, loss->sql);
    check(&shop, &finding);
    if (finding.state != (loss->partial ? CAPTURE_PARTIAL : CAPTURE_BROKEN) ||
        strstr(finding.text, loss->found) == NULL)
        test_fail("%s: %s: %s", loss->sql, capture_state_name(finding.state), finding.text);
    use(&shop, shop.url);
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s: %s", loss->sql, err.text);
    const char *said = test_read_file(test_path("init.txt"));
    if (strstr(said, "MENDED   order: ") == NULL || strstr(said, "deleted") == NULL)
        test_fail("%s: init says: %s", loss->sql, said);
    use(&shop, relay);
    assert_whole(&shop);
    (void)database_text(shop.url, "DELETE FROM outbox");
    if (loss->stranger != NULL)
        (void)database_text(shop.url, loss->stranger);
    (void)database_text(shop.url, "INSERT INTO orders (id, name) VALUES (7, 'n')");
    (void)database_text(shop.url, "UPDATE orders SET id = 8 WHERE id = 7");
    (void)database_text(shop.url, "DELETE FROM orders WHERE id = 8");
    assert_string_equal(events(&shop), "order.created|{\"id\":7}\norder.deleted|{\"id\":7}\n"
                                       "order.created|{\"id\":8}\norder.deleted|{\"id\":8}\n");
    use(&shop, shop.url);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_null(strstr(test_read_file(test_path("init.txt")), "MENDED"));
    shop_done(&shop);
}

static void sqlite_tells_of_every_way_to_lose_a_trigger_and_init_mends_it(void **state)
{
    static const struct loss losses[] = {
        {TABLE,
         "CREATE TABLE made (id INTEGER PRIMARY KEY, name TEXT, more TEXT);"
         "INSERT INTO made (id, name) SELECT id, name FROM orders; DROP TABLE orders;"
         "ALTER TABLE made RENAME TO orders",
         "is missing", NULL, false},
        {TABLE, "DROP TRIGGER keepstep_order_delete",
         "trigger keepstep_order_delete of table orders is missing", NULL, false},
        {TABLE, "ALTER TABLE orders RENAME TO old; " TABLE, "hangs on another table",
         "INSERT INTO old VALUES (3, 'x')", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        lose_and_mend(DATABASE_SQLITE, &losses[i]);
}

static void postgresql_tells_of_every_way_to_lose_a_trigger_and_init_mends_it(void **state)
{
    static const struct loss losses[] = {
        {TABLE, "ALTER TABLE orders DISABLE TRIGGER USER", "is switched off", NULL, false},
        {TABLE, "ALTER TABLE orders DISABLE TRIGGER ALL", "is switched off", NULL, false},
        {TABLE, "ALTER TABLE orders ENABLE TRIGGER \"00_keepstep_order_row\"", "is switched off",
         NULL, false},
        {TABLE, "DROP TRIGGER \"00_keepstep_order_truncate\" ON orders", "is missing", NULL, false},
        {TABLE, "DROP FUNCTION keepstep_order_row CASCADE",
         "function keepstep_order_row of table public.orders is missing", NULL, false},
        {TABLE,
         "CREATE OR REPLACE FUNCTION keepstep_order_row() RETURNS trigger LANGUAGE plpgsql "
         "AS 'BEGIN RETURN NULL; END'",
         "was altered", NULL, false},
        {TABLE, "DO 'BEGIN ALTER TABLE orders RENAME TO old; " TABLE " END'", "is missing",
         "INSERT INTO old VALUES (3, 'x')", false},
        {PARTED, "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (100) TO (200)",
         "of table public.orders_2 is missing", NULL, true},
        {PARTED,
         "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (100) TO (200);"
         "ALTER TABLE orders_1 DISABLE TRIGGER ALL",
         "is switched off", NULL, false},
        {PARTED, "ALTER TABLE orders_1 DISABLE TRIGGER ALL", "is switched off", NULL, false},
        {PARTED, "DROP TRIGGER \"00_keepstep_order_truncate\" ON orders",
         "of table public.orders is missing", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        lose_and_mend(DATABASE_POSTGRESQL, &losses[i]);
}

static void mariadb_tells_of_every_way_to_lose_a_trigger_and_init_mends_it(void **state)
{
    static const struct loss losses[] = {
        {TABLE,
         "CREATE TABLE _orders_gho LIKE orders; ALTER TABLE _orders_gho ADD more INT;"
         "RENAME TABLE orders TO _orders_del, _orders_gho TO orders",
         "is missing", "INSERT INTO _orders_del VALUES (3, 'x')", false},
        {TABLE, "DROP TRIGGER keepstep_order_delete",
         "trigger keepstep_order_delete of table orders is missing", NULL, false},
        {TABLE, "DROP TABLE orders; " TABLE, "is missing", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        lose_and_mend(DATABASE_MARIADB, &losses[i]);
}

/* The trigger captured all along, so the copies miss nothing. */
static void a_trigger_of_another_text_is_told_and_replaced_without_an_alarm(void **state)
{
    static const char *const other[] = {
        [DATABASE_SQLITE] = "DROP TRIGGER keepstep_order_insert; CREATE TRIGGER "
                            "keepstep_order_insert AFTER INSERT ON orders BEGIN SELECT 1; END",
        [DATABASE_POSTGRESQL] = "COMMENT ON FUNCTION keepstep_order_row() IS 'Keepstep 00'",
        [DATABASE_MARIADB] = "CREATE OR REPLACE TRIGGER keepstep_order_insert AFTER INSERT ON "
                             "orders FOR EACH ROW BEGIN END"};
    (void)state;
    for (size_t kind = 0; kind < sizeof other / sizeof *other; kind++) {
        struct shop shop;
        struct error err = ERROR_INIT;
        struct capture_finding finding;
        shop_begin((enum database_kind)kind);
        shop_ready(&shop, SCHEMA, TABLE);
        (void)database_text(shop.url, other[kind]);
        check(&shop, &finding);
        assert_int_equal(finding.state, CAPTURE_BROKEN);
        assert_non_null(strstr(finding.text, "is not what this version makes"));
        assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
        assert_null(strstr(test_read_file(test_path("init.txt")), "MENDED"));
        assert_whole(&shop);
        shop_done(&shop);
    }
}

/* Here every trigger is there, and changes could still go by. */
static void a_table_that_init_would_refuse_is_told_too(void **state)
{
    static const struct {
        enum database_kind kind;
        const char *sql;
        const char *found;
    } changes[] = {
        {DATABASE_SQLITE, "CREATE UNIQUE INDEX by_name ON orders (name)", "by_name"},
        {DATABASE_POSTGRESQL, "ALTER TABLE orders SET UNLOGGED", "unlogged"},
        {DATABASE_MARIADB,
         "CREATE TABLE whole (id INT PRIMARY KEY); ALTER TABLE orders ADD CONSTRAINT part "
         "FOREIGN KEY (id) REFERENCES whole (id) ON DELETE CASCADE",
         "part"},
        {DATABASE_MARIADB, "DROP TABLE orders", "does not exist"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct shop shop;
        struct capture_finding finding;
        shop_begin(changes[i].kind);
        shop_ready(&shop, SCHEMA, TABLE);
        use(&shop, relay_of(&shop));
        run(&shop, changes[i].sql);
        check(&shop, &finding);
        if (finding.state != CAPTURE_BROKEN || strstr(finding.text, changes[i].found) == NULL)
            test_fail("%s: %s: %s", changes[i].sql, capture_state_name(finding.state),
                      finding.text);
        shop_done(&shop);
    }
}

static void what_the_role_may_not_see_is_unknown_and_not_missing(void **state)
{
    (void)state;
    for (int kind = DATABASE_POSTGRESQL; kind <= DATABASE_MARIADB; kind++) {
        struct shop shop;
        struct capture_finding finding;
        shop_begin((enum database_kind)kind);
        shop_ready(&shop, SCHEMA, TABLE);
        if (kind == DATABASE_POSTGRESQL)
            run(&shop, "CREATE SCHEMA hidden; ALTER TABLE orders SET SCHEMA "
                       "hidden");
        use(&shop, roles_login(shop.url, "watching_nobody", ""));
        if (kind == DATABASE_MARIADB)
            (void)database_text(shop.url, "GRANT SELECT ON outbox TO watching_nobody@localhost");
        check(&shop, &finding);
        if (finding.state != CAPTURE_UNKNOWN || finding.text[0] == '\0')
            test_fail("%s: %s", capture_state_name(finding.state), finding.text);
        shop_done(&shop);
    }
}

static enum status renewal = STATUS_OK;
static int renewed;

static enum status renew(struct outbox *outbox, const struct lease *lease,
                         const struct relay_partition *partitions, size_t count, struct error *err)
{
    (void)outbox;
    (void)lease;
    (void)partitions;
    assert_int_equal(count, 0);
    renewed++;
    return renewal == STATUS_OK ? STATUS_OK : error_set(err, renewal, "another has it");
}

static void the_relay_checks_once_a_minute_and_says_what_changed_until_init_has_run(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    struct relay *relay = NULL;
    struct buffer text;
    double broken = -1;
    static struct relay_metrics metrics;
    atomic_bool stop = false;
    struct outbox_ops ops = *outbox_find("sqlite:");
    shop_begin(DATABASE_SQLITE);
    shop_ready(&shop, SCHEMA, TABLE);
    const struct entity_schema *schemas[] = {shop.schema};
    const struct relay_options options = {
        .config = &shop.config, .schemas = schemas, .metrics = &metrics};
    struct metrics_sources sources = {.config = &shop.config, .relay = &metrics};
    atomic_store(&metrics.progress_us, INT64_MAX / 2);
    buffer_init(&text, 1 << 20);
    assert_int_equal(relay_new(&options, &relay, &err), STATUS_OK);
    ops.acknowledge = renew;
    struct outbox outbox = {.ops = &ops};
    relay->outbox = &outbox;
    relay->stop = &stop;
    (void)database_text(shop.url, "DROP TRIGGER keepstep_order_update");
    relay_check_capture(relay, MINUTE_US);
    /* The relay renews its lease once a table: the lease is shorter than a check of many tables. */
    assert_int_equal(renewed, 1);
    renewal = STATUS_ABORT;
    relay->lease.renew_at_us = 0;
    relay->capture.checked_at_us = 0;
    (void)database_text(shop.url, "DROP TRIGGER keepstep_order_insert");
    relay_check_capture(relay, MINUTE_US);
    assert_int_equal(atomic_load(&metrics.capture_unknown), 0);
    renewal = STATUS_OK;
    assert_int_equal(atomic_load(&metrics.capture_broken), 1);
    assert_non_null(strstr(relay->capture.findings[0].text, "keepstep_order_update"));
    assert_false(metrics_ready(&sources, &text));
    assert_non_null(strstr(buffer_text(&text), "table orders"));
    assert_non_null(strstr(buffer_text(&text), "keepstep init -c shop.yaml"));
    buffer_reset(&text);
    metrics_render(&sources, &text); /* a relay that stands by knows nothing of triggers */
    assert_false(
        metrics_find(buffer_text(&text), "keepstep_capture_broken_types", "shop", &broken));
    atomic_store(&metrics.holds_lease, true);
    buffer_reset(&text);
    metrics_render(&sources, &text);
    assert_true(metrics_find(buffer_text(&text), "keepstep_capture_broken_types", "shop", &broken));
    assert_int_equal((int)broken, 1);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    relay_check_capture(relay, MINUTE_US + 1);
    assert_int_equal(atomic_load(&metrics.capture_broken), 1);
    relay_check_capture(relay, 2 * MINUTE_US);
    assert_int_equal(atomic_load(&metrics.capture_broken), 0);
    buffer_reset(&text);
    assert_true(metrics_ready(&sources, &text));
    relay->outbox = NULL;
    relay_free(relay);
    buffer_done(&text);
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sqlite_tells_of_every_way_to_lose_a_trigger_and_init_mends_it),
        TEST_WITH_LIMIT(postgresql_tells_of_every_way_to_lose_a_trigger_and_init_mends_it, 120),
        TEST_WITH_LIMIT(mariadb_tells_of_every_way_to_lose_a_trigger_and_init_mends_it, 120),
        TEST_WITH_LIMIT(a_trigger_of_another_text_is_told_and_replaced_without_an_alarm, 120),
        TEST_WITH_LIMIT(a_table_that_init_would_refuse_is_told_too, 120),
        TEST_WITH_LIMIT(what_the_role_may_not_see_is_unknown_and_not_missing, 120),
        TEST(the_relay_checks_once_a_minute_and_says_what_changed_until_init_has_run),
    };
    return TEST_RUN(tests);
}
