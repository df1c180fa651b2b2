/* A relay on each database, of which the test sees each load of what waits: what happens while a
 * large transaction is measured, or behind what was passed (rules 54 and 58). labels: threads */
#include "tests/support/database.h"
#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"

#include "common/clock.h"
#include "producer/relay/internal.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_S  180
#define LIMIT_MS 60000
#define LOOKS_US (INT64_C(2) * 1000 * 1000) /* in which the relay looks several times */
#define ROWS     3000
#define WINDOW   500
#define PAUSED   2900                  /* more than a load */
#define FREE     1100                  /* so that the second load is full */
#define LATE     (3 * (int64_t)WINDOW) /* when something happens: this was measured */

static struct config_entry entries[3];
static const struct outbox_ops *real_ops;
static void (*on_late)(void);   /* called once, from the relay's thread */
static atomic_bool was_late;    /* it was */
static atomic_bool loses_claim; /* the next claim is durable, and the relay does not hear it */
static atomic_size_t loaded;    /* rows, of the largest load */

#define UNORDERED                                                                                  \
    "SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY aggregatetype, "      \
    "aggregateid ORDER BY position) AS earlier FROM outbox) AS t WHERE sequence < earlier OR "     \
    "sequence IS NULL"

static enum status load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err)
{
    if (on_late != NULL && extent->after >= LATE && !atomic_load(&was_late)) {
        on_late();
        atomic_store(&was_late, true);
    }
    enum status status = real_ops->load_waiting(outbox, extent, arena, ret_rows, err);
    if (ret_rows->count > atomic_load(&loaded))
        atomic_store(&loaded, ret_rows->count);
    return status;
}

static enum status claim(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_claim *wanted, struct error *err)
{
    enum status status = real_ops->claim(outbox, lease, wanted, err);
    if (status == STATUS_OK && atomic_exchange(&loses_claim, false))
        return error_set(err, STATUS_RETRY, "the connection was lost");
    return status;
}

static void *run_relay(void *context)
{
    struct relay_shop *shop = context;
    const struct entity_schema *schemas[] = {shop->schema, shop->schema, NULL};
    const struct relay_options options = {
        .config = &shop->config, .schemas = schemas, .metrics = &shop->metrics};
    struct relay *relay = NULL;
    struct outbox_ops ops;
    shop->status = relay_new(&options, &relay, &shop->err);
    if (shop->status == STATUS_OK) {
        relay->outbox = outbox_case_open("1");
        real_ops = relay->outbox->ops;
        ops = *real_ops;
        ops.load_waiting = load_waiting;
        ops.claim = claim;
        relay->outbox->ops = &ops;
        relay_set_state(relay, RELAY_WITHOUT_LEASE);
        shop->status = relay_run(relay, &shop->stop, &shop->err);
    }
    relay_free(relay);
    return NULL;
}

static void make(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true, .joint = true};
    outbox_case_whole = outbox_case_joint = true;
    outbox_case_make();
    if (strncmp(outbox_case_url, "sqlite:", 7) == 0)
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, 1);
    shop->config.limits.changeset_events = WINDOW;
    entries[0] = entries[1] = shop->both[0];
    entries[1].entity_type = (char *)"note";
    entries[2] = shop->both[1];
    shop->config.publish = entries;
    shop->config.publish_count = 3;
    on_late = NULL;
    atomic_store(&was_late, false);
    atomic_store(&loses_claim, false);
    atomic_store(&loaded, 0);
}

/* Write rows of the position's number as entity; `orders` and `changeset` are expressions of
 * it. */
static void write_rows(int count, const char *orders, const char *changeset)
{
    const char *product = outbox_case_product->name;
    const char *numbers =
        strcmp(product, "mariadb") == 0 ? "SELECT seq AS i FROM seq_1_to_%d"
        : strcmp(product, "postgresql") == 0
            ? "SELECT i FROM generate_series(1, %d) AS g(i)"
            : "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < %d) "
              "SELECT i FROM g";
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', "
        "'{\"id\":' || i || '}', 'order.updated', '{\"op\":\"u\",\"before\":null,\"after\":{"
        "\"id\":' || i || ',\"name\":\"x\"}}' FROM (%s) AS n ORDER BY i",
        test_format(numbers, count)));
    (void)outbox_case_ask(test_format("UPDATE outbox SET changeset = %s", changeset));
    (void)outbox_case_ask(test_format("UPDATE outbox SET aggregatetype = 'note', type = "
                                      "'note.updated' WHERE NOT (%s)",
                                      orders));
}

static void give_entity(int position, int of)
{
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET aggregateid = '{\"id\":%d}', payload = replace(payload, "
                    "'\"id\":%d,', '\"id\":%d,') WHERE position = %d",
                    of, position, of, position));
}

static void start(struct relay_shop *shop)
{
    assert_int_equal(pthread_create(&shop->thread, NULL, run_relay, shop), 0);
}

static void expect(const struct relay_shop *shop, const char *sql, const char *rows)
{
    if (!database_wait_for(outbox_case_url, sql, rows, LIMIT_MS))
        test_fail("%s is %s, not %s: %s", sql, outbox_case_ask(sql), rows, shop->err.text);
}

static void expect_late(const struct relay_shop *shop)
{
    int64_t until = clock_monotonic_us() + (int64_t)LIMIT_MS * 1000;
    while (!atomic_load(&was_late) && clock_monotonic_us() < until)
        clock_sleep_us(10000);
    if (!atomic_load(&was_late))
        test_fail("nothing was measured: %s", shop->err.text);
}

static void pause_orders(void)
{
    (void)outbox_case_ask("INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'why')");
}

static void expect_all(struct relay_shop *shop, int rows)
{
    (void)outbox_case_ask("DELETE FROM keepstep_paused");
    expect(shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL",
           test_format("%d\n", rows));
    relay_shop_stop(shop);
    assert_string_equal(outbox_case_ask(UNORDERED), "0\n");
    assert_int_equal(atomic_load(&shop->metrics.sets_set_aside), 0);
    relay_shop_done(shop);
}

static void lose_joint_claim(void)
{
    outbox_case_propose(1);
    atomic_store(&loses_claim, true);
}

/* `b` waits with a paused type: an order, and a note that `a`, which is large, changes later. */
static void what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(ROWS, "position = 4", "CASE WHEN position IN (4, 5) THEN 'b' ELSE 'a' END");
    give_entity(2402, 5);
    pause_orders();
    on_late = lose_joint_claim;
    start(&shop);
    expect_late(&shop);
    expect(&shop,
           "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL AND aggregatetype = "
           "'keepstep.joint'",
           "1\n");
    clock_sleep_us(LOOKS_US);
    expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL", "1\n");
    assert_false(atomic_load(&loses_claim));
    expect_all(&shop, ROWS + 1);
}

/* Since the last call the relay has loaded, and never more than one row at a time. */
static bool loads_one_row(void *context)
{
    (void)context;
    return atomic_exchange(&loaded, 0) == 1;
}

static bool has_loaded(void *context)
{
    (void)context;
    return atomic_load(&loaded) > 0;
}

/* The loads end with rows that are published: what was passed is all that waits. */
static void what_was_passed_is_not_read_again_while_nothing_waits_behind_it(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(PAUSED + FREE, test_format("position <= %d", PAUSED), "''");
    pause_orders();
    start(&shop);
    expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL",
           test_format("%d\n", FREE));
    assert_true(test_wait(loads_one_row, NULL, LIMIT_MS));
    clock_sleep_us(LOOKS_US);
    assert_true(test_wait(has_loaded, NULL, LIMIT_MS));
    assert_int_equal(atomic_load(&loaded), 1);
    expect_all(&shop, PAUSED + FREE);
}

CASE(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring)
CASE(what_was_passed_is_not_read_again_while_nothing_waits_behind_it)

#define LIMITED(function) TEST_WITH_LIMIT(function, LIMIT_S)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_sqlite),
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_postgresql),
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_mariadb),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_sqlite),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_postgresql),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_mariadb),
    };
    return TEST_RUN(tests);
}
