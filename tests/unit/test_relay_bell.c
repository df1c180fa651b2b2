/* A relay that has fallen asleep looks at once when it is told that there is something. */
#include "tests/support/relay_shop.h"

#include "common/wakeup.h"
#include "producer/registry.h"
#include "producer/relay/internal.h"

#include <unistd.h>

/* The outbox of the running test; its wait() never sees a change by itself. */
static struct {
    struct outbox_ops spied;
    struct relay_shop shop;
    struct bell bell;
    bool is_rung;
    int loads; /* behind the ring, */
    int waits; /* and how often it waited before the first of them */
} spy;

static enum status spy_wait(struct outbox *outbox, const struct outbox_wait *wait,
                            bool *ret_changed, struct error *err)
{
    (void)outbox, (void)wait, (void)err;
    *ret_changed = false;
    spy.waits += spy.is_rung && spy.loads == 0;
    if (spy.waits > 0)
        atomic_store(&spy.shop.stop, true);
    if (!spy.is_rung)
        bell_ring(&spy.bell);
    spy.is_rung = true;
    return STATUS_OK;
}

static enum status spy_load(struct outbox *outbox, const struct outbox_extent *extent,
                            struct arena *arena, struct outbox_rows *ret_rows, struct error *err)
{
    (void)outbox, (void)extent, (void)arena, (void)err;
    spy.loads += spy.is_rung;
    if (spy.is_rung)
        atomic_store(&spy.shop.stop, true);
    *ret_rows = (struct outbox_rows){0};
    return STATUS_OK;
}

static void a_vote_is_looked_for_when_it_is_told(void **state)
{
    const struct entity_schema *schemas[2] = {NULL};
    struct relay *relay = NULL;
    struct error err = ERROR_INIT;
    (void)state;
    relay_shop_make(&spy.shop);
    schemas[0] = spy.shop.schema;
    assert_int_equal(wakeup_open(&spy.bell.descriptor, &err), STATUS_OK);
    const struct relay_options options = {.config = &spy.shop.config,
                                          .schemas = schemas,
                                          .metrics = &spy.shop.metrics,
                                          .bell = &spy.bell};
    assert_int_equal(relay_new(&options, &relay, &err), STATUS_OK);
    relay->joint.is_first = true;
    const struct outbox_options outbox = {
        .path = spy.shop.path, .service = "shop", .instance = "1"};
    const struct outbox_ops *sqlite = outbox_find("sqlite:");
    if (sqlite->open(&outbox, &relay->outbox, &err) != STATUS_OK)
        test_fail("%s", err.text);
    spy.spied = *sqlite;
    spy.spied.wait = spy_wait;
    spy.spied.load_joint = spy_load;
    relay->outbox->ops = &spy.spied;
    relay_set_state(relay, RELAY_WITHOUT_LEASE);
    if (relay_run(relay, &spy.shop.stop, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(spy.waits, 0);
    assert_int_equal(spy.loads, 1);
    relay_free(relay);
    (void)close(spy.bell.descriptor);
    relay_shop_done(&spy.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_vote_is_looked_for_when_it_is_told, 60),
    };
    return TEST_RUN(tests);
}
