/* A relay in each of its states meets a stop, a lost connection, another relay, a failed producer.
 * Its outbox is a fake in memory, so that each event has its exact moment. labels: threads */
#include "tests/support/relay_shop.h"

#include "common/clock.h"
#include "producer/relay/internal.h"

#include <stdio.h>

#define ROWS    4
#define SOON_US 9000000 /* the next purge after one that leaves nothing is ten seconds away */

enum event {
    EVENT_NONE,
    EVENT_STOP,            /* the relay is told to stop */
    EVENT_NEW_SESSION,     /* the connection is lost; the database keeps everything */
    EVENT_PRODUCER_FAILED, /* a delivery fails */
    EVENT_OTHER_WAS_HERE,  /* another relay took the lease and gave it back */
    EVENT_OTHER_IS_HERE,   /* another relay took the lease and keeps it */
};

enum moment { AT_CALL, AT_CLAIM, AT_ACKNOWLEDGE, AT_TAKE_LEASE };

/* An outbox with ROWS rows for one partition. Each claim takes one row. */
struct fake {
    struct outbox base;
    struct relay *relay;
    atomic_bool stop;
    struct relay_partition stored;
    int64_t epoch;
    int calls; /* of all slots */
    int claims;
    int acknowledgements;
    int takes;
    int releases;
    bool held;  /* the relay has the lease */
    bool other; /* another relay has it */
    /* What happens, and at which of the calls. */
    enum event event;
    enum moment moment;
    int turn;
    /* The first claim ends with RETRY: it is durable, or not. */
    bool claim_fails;
    bool claim_is_durable;
    size_t old; /* rows that may be purged */
    int purges;
    int64_t purge_us, purged_at_us; /* how long each takes; when the last one ended */
};

static struct fake *fake_of(struct outbox *outbox)
{
    return (struct fake *)outbox;
}

static void meet(struct fake *fake, enum moment moment, int turn)
{
    if (fake->event == EVENT_NONE || fake->moment != moment || fake->turn != turn)
        return;
    if (fake->event == EVENT_STOP)
        atomic_store(&fake->stop, true);
    else if (fake->event == EVENT_NEW_SESSION)
        fake->base.session++;
    else if (fake->event == EVENT_PRODUCER_FAILED)
        fake->relay->broker.failed = true;
    else
        fake->epoch++;
    if (fake->event == EVENT_OTHER_IS_HERE) {
        fake->other = true;
        fake->held = false;
    }
    fake->event = EVENT_NONE;
}

static struct fake *called(struct outbox *outbox)
{
    struct fake *fake = fake_of(outbox);
    meet(fake, AT_CALL, ++fake->calls);
    return fake;
}

static enum status fenced(struct outbox *outbox, const struct lease *lease, struct error *err)
{
    struct fake *fake = called(outbox);
    if (lease->session != outbox->session)
        return error_set(err, STATUS_RETRY, OUTBOX_NEW_SESSION);
    if (lease->epoch != fake->epoch)
        return error_set(err, STATUS_ABORT, "another relay took the lease");
    return STATUS_OK;
}

static void describe(const struct fake *fake, struct lease *ret_lease)
{
    *ret_lease = (struct lease){.origin = "shop",
                                .incarnation = "00000000-0000-4000-8000-000000000001",
                                .epoch = fake->epoch,
                                .session = fake->base.session};
    (void)snprintf(ret_lease->holder, sizeof ret_lease->holder, "%s", fake->other ? "2" : "1");
}

static enum status take_lease(struct outbox *outbox, int64_t duration_us, struct lease *ret_lease,
                              struct error *err)
{
    struct fake *fake = called(outbox);
    (void)duration_us;
    meet(fake, AT_TAKE_LEASE, ++fake->takes);
    if (fake->other) {
        /* The metrics must say so by the second try. */
        if (fake->takes > 1 && atomic_load(&fake->relay->options.metrics->standby)) {
            assert_false(atomic_load(&fake->relay->options.metrics->holds_lease));
            atomic_store(&fake->stop, true);
        }
        return error_set(err, STATUS_ABORT, "another relay holds the lease: instance 2");
    }
    fake->epoch++;
    fake->held = true;
    describe(fake, ret_lease);
    return STATUS_OK;
}

static enum status read_lease(struct outbox *outbox, struct lease *ret_lease, struct error *err)
{
    (void)err;
    describe(called(outbox), ret_lease);
    return STATUS_OK;
}

static enum status release_lease(struct outbox *outbox, const struct lease *lease,
                                 struct error *err)
{
    (void)err;
    struct fake *fake = called(outbox);
    fake->releases++;
    if (lease->epoch == fake->epoch)
        fake->held = false;
    return STATUS_OK;
}

static enum status load_partitions(struct outbox *outbox, struct relay_partition **ret_partitions,
                                   size_t *ret_count, struct error *err)
{
    (void)err;
    *ret_partitions = malloc(sizeof **ret_partitions);
    assert_non_null(*ret_partitions);
    **ret_partitions = called(outbox)->stored;
    *ret_count = 1;
    return STATUS_OK;
}

static struct slice text_in(struct arena *arena, const char *text)
{
    char *copy = arena_alloc(arena, strlen(text) + 1);
    assert_non_null(copy);
    (void)strcpy(copy, text);
    return slice_of(copy);
}

static void make_rows(struct arena *arena, uint64_t after, uint64_t last,
                      struct outbox_rows *ret_rows)
{
    size_t count = last > after ? (size_t)(last - after) : 0;
    ret_rows->rows = arena_alloc(arena, (count + 1) * sizeof *ret_rows->rows);
    assert_non_null(ret_rows->rows);
    ret_rows->count = count;
    for (size_t i = 0; i < count; i++) {
        int number = (int)(after + i + 1);
        ret_rows->rows[i] = (struct outbox_row){
            .position = number,
            .id = text_in(arena, test_format("row-%d", number)),
            .entity_type = slice_of("order"),
            .entity_key = text_in(arena, test_format("{\"id\":%d}", number)),
            .type = slice_of("order.updated"),
            .payload = text_in(arena, test_format("{\"op\":\"u\",\"before\":null,\"after\":"
                                                  "{\"id\":%d,\"name\":\"x\"}}",
                                                  number)),
            .created_at = slice_of("2026-01-01T00:00:00.000000Z"),
            .topic = "order",
            .sequence = (uint64_t)number,
            .previous_id = text_in(arena, test_format("row-%d", number - 1))};
    }
}

static enum status load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err)
{
    uint64_t last = called(outbox)->stored.last_sequence;
    (void)extent;
    (void)err;
    make_rows(arena, last, last < ROWS ? last + 1 : last, ret_rows);
    return STATUS_OK;
}

static enum status load_claimed(struct outbox *outbox, const struct relay_partition *partition,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err)
{
    (void)err;
    make_rows(arena, partition->acknowledged_sequence, called(outbox)->stored.last_sequence,
              ret_rows);
    return STATUS_OK;
}

static enum status claim(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_claim *claimed, struct error *err)
{
    struct fake *fake = fake_of(outbox);
    bool fails = fake->claim_fails && fake->claims == 1;
    enum status status = fenced(outbox, lease, err);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(claimed->row_count, 1);
    if (!fails || fake->claim_is_durable) {
        fake->stored.last_sequence = claimed->partitions[0].last_sequence;
        memcpy(fake->stored.last_id, claimed->partitions[0].last_id, sizeof fake->stored.last_id);
    }
    meet(fake, AT_CLAIM, ++fake->claims);
    return fails ? error_set(err, STATUS_RETRY, "the COMMIT was lost") : STATUS_OK;
}

static enum status acknowledge(struct outbox *outbox, const struct lease *lease,
                               const struct relay_partition *partitions, size_t count,
                               struct error *err)
{
    struct fake *fake = fake_of(outbox);
    if (count > 0)
        meet(fake, AT_ACKNOWLEDGE, ++fake->acknowledgements);
    enum status status = fenced(outbox, lease, err);
    if (status != STATUS_OK || count == 0)
        return status;
    assert_int_equal(count, 1);
    fake->stored.acknowledged_sequence = partitions[0].acknowledged_sequence;
    fake->stored.acknowledged_offset = partitions[0].acknowledged_offset;
    memcpy(fake->stored.acknowledged_id, partitions[0].acknowledged_id,
           sizeof fake->stored.acknowledged_id);
    return STATUS_OK;
}

static enum status note_read(struct outbox *outbox, const struct lease *lease,
                             const struct relay_partition *partitions, size_t count,
                             struct error *err)
{
    (void)partitions;
    (void)count;
    return fenced(outbox, lease, err);
}

static enum status move_type(struct outbox *outbox, const struct lease *lease,
                             struct outbox_move *move, struct error *err)
{
    move->done = true;
    return fenced(outbox, lease, err);
}

static enum status find(struct outbox *outbox, struct slice id, struct arena *arena,
                        struct outbox_row *ret_row, struct error *err)
{
    (void)err;
    struct outbox_rows rows = {0};
    make_rows(arena, 0, called(outbox)->stored.last_sequence, &rows);
    *ret_row = (struct outbox_row){0};
    for (size_t i = 0; i < rows.count; i++) {
        if (slice_equal(rows.rows[i].id, id))
            *ret_row = rows.rows[i];
    }
    return STATUS_OK;
}

static enum status purge(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_purge *what, size_t *ret_purged, struct error *err)
{
    struct fake *fake = fake_of(outbox);
    size_t most = 2 * what->limit; /* as of two partitions */
    if (fake->purges > 0)          /* there is time for publishing too, and no more */
        assert_in_range(clock_monotonic_us() - fake->purged_at_us, fake->purge_us + 1, SOON_US);
    clock_sleep_us(fake->purge_us);
    fake->purged_at_us = clock_monotonic_us();
    *ret_purged = fake->old < most ? fake->old : most;
    fake->old -= *ret_purged;
    fake->purges++;
    return fenced(outbox, lease, err);
}

static enum status held_back(struct outbox *outbox, struct slice read_topics,
                             char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    (void)called(outbox);
    (void)read_topics, (void)err;
    ret_topic[0] = '\0';
    return STATUS_OK;
}

/* The relay is done once all rows are acknowledged. */
static enum status wait_for_rows(struct outbox *outbox, const struct outbox_wait *wait,
                                 bool *ret_changed, struct error *err)
{
    struct fake *fake = called(outbox);
    (void)wait;
    (void)err;
    if (fake->stored.acknowledged_sequence == ROWS && fake->old == 0)
        atomic_store(&fake->stop, true);
    *ret_changed = fake->stored.last_sequence < ROWS;
    return STATUS_OK;
}

static enum status count_rows(struct outbox *outbox, struct outbox_counts *ret_counts,
                              struct error *err)
{
    (void)called(outbox);
    (void)err;
    *ret_counts = (struct outbox_counts){0};
    return STATUS_OK;
}

static void leave_open(struct outbox *outbox)
{
    (void)outbox;
}

static const struct outbox_ops fake_ops = {.close = leave_open,
                                           .take_lease = take_lease,
                                           .release_lease = release_lease,
                                           .load_partitions = load_partitions,
                                           .load_waiting = load_waiting,
                                           .claim = claim,
                                           .load_claimed = load_claimed,
                                           .move_type = move_type,
                                           .acknowledge = acknowledge,
                                           .note_read = note_read,
                                           .find = find,
                                           .purge = purge,
                                           .held_back = held_back,
                                           .unread = held_back,
                                           .list_paused = relay_shop_nothing_paused,
                                           .wait = wait_for_rows,
                                           .count = count_rows,
                                           .read_lease = read_lease};

static void fake_init(struct fake *fake, uint64_t claimed)
{
    *fake = (struct fake){
        .base.ops = &fake_ops,
        .stored = {.topic = "order", .last_sequence = claimed, .acknowledged_offset = -1}};
    if (claimed > 0)
        (void)snprintf(fake->stored.last_id, sizeof fake->stored.last_id, "row-%d", (int)claimed);
}

/* Runs a relay until the fake stops it. Whatever happened, it must have kept its promises: what it
 * sent last is acknowledged, and its lease is ended if it was its own. */
static void run(struct relay_shop *shop, struct fake *fake)
{
    struct relay *relay = NULL;
    struct error err = ERROR_INIT;
    relay_shop_prepare(shop, "sqlite:fake", 1);
    const struct entity_schema *schemas[] = {shop->schema};
    const struct relay_options options = {
        .config = &shop->config, .schemas = schemas, .metrics = &shop->metrics};
    assert_int_equal(relay_new(&options, &relay, &err), STATUS_OK);
    relay->outbox = &fake->base;
    relay->capture.checked_at_us = clock_monotonic_us(); /* the database has no triggers to check */
    relay_set_state(relay, RELAY_WITHOUT_LEASE);
    fake->relay = relay;
    if (relay_run(relay, &fake->stop, &err) != STATUS_OK)
        test_fail("the relay ended: %s", err.text);
    assert_int_equal(relay->state, RELAY_WITHOUT_LEASE);
    assert_false(atomic_load(&shop->metrics.holds_lease));
    assert_false(atomic_load(&shop->metrics.standby));
    assert_int_equal(relay->flights.count, 0);
    assert_false(fake->held);
    relay_free(relay);
    relay_shop_done(shop);
}

static void expect_all_published(struct relay_shop *shop, const struct fake *fake, int times,
                                 int rebuilt)
{
    assert_int_equal(fake->stored.acknowledged_sequence, ROWS);
    assert_int_equal(atomic_load(&shop->metrics.published), times);
    assert_int_equal(atomic_load(&shop->metrics.rebuilt), rebuilt);
    assert_int_equal(fake->releases, 1);
}

/* A stop at each call of the outbox, with and without claimed rows to be sent again. */
static void a_stop_at_any_moment_leaves_nothing_sent_unacknowledged(void **state)
{
    (void)state;
    for (uint64_t claimed = 0; claimed <= 2; claimed += 2) {
        bool done = false;
        for (int turn = 1; !done; turn++) {
            struct relay_shop shop = {0};
            struct fake fake;
            fake_init(&fake, claimed);
            fake.event = EVENT_STOP;
            fake.moment = AT_CALL;
            fake.turn = turn;
            run(&shop, &fake);
            done = fake.event != EVENT_NONE || fake.stored.acknowledged_sequence == ROWS;
            assert_int_equal(atomic_load(&shop.metrics.published),
                             fake.stored.acknowledged_sequence);
            assert_int_equal(fake.releases, fake.takes);
        }
    }
}

static void a_stop_while_a_claim_is_in_doubt_acknowledges_what_was_sent_before_it(void **state)
{
    (void)state;
    for (int durable = 0; durable <= 1; durable++) {
        struct relay_shop shop = {0};
        struct fake fake;
        fake_init(&fake, 0);
        fake.claim_fails = true;
        fake.claim_is_durable = durable != 0;
        fake.event = EVENT_STOP;
        fake.moment = AT_CLAIM;
        fake.turn = 2;
        run(&shop, &fake);
        assert_int_equal(fake.stored.last_sequence, 1 + durable);
        assert_int_equal(fake.stored.acknowledged_sequence, 1);
        assert_int_equal(atomic_load(&shop.metrics.published), 1);
        assert_int_equal(fake.releases, 1);
    }
}

static void in_doubt(struct relay_shop *shop, struct fake *fake, bool durable, enum event event)
{
    fake_init(fake, 0);
    fake->claim_fails = true;
    fake->claim_is_durable = durable;
    fake->event = event;
    fake->moment = AT_CLAIM;
    fake->turn = 2;
    run(shop, fake);
}

static void a_claim_in_doubt_and_a_lost_connection_need_no_new_producer(void **state)
{
    (void)state;
    for (int durable = 0; durable <= 1; durable++) {
        struct relay_shop shop = {0};
        struct fake fake;
        in_doubt(&shop, &fake, durable != 0, EVENT_NEW_SESSION);
        expect_all_published(&shop, &fake, ROWS, 0);
        assert_int_equal(fake.epoch, 2);
    }
}

/* The claim is resolved first. Its row is sent by the next producer. */
static void a_producer_that_fails_while_a_claim_is_in_doubt_is_replaced(void **state)
{
    (void)state;
    for (int durable = 0; durable <= 1; durable++) {
        struct relay_shop shop = {0};
        struct fake fake;
        in_doubt(&shop, &fake, durable != 0, EVENT_PRODUCER_FAILED);
        assert_int_equal(fake.stored.acknowledged_sequence, ROWS);
        assert_int_equal(atomic_load(&shop.metrics.rebuilt), 1);
        assert_int_equal(fake.releases, 1);
        assert_int_equal(fake.epoch, 2);
    }
}

static void a_claim_in_doubt_is_not_resolved_for_a_lease_that_is_lost(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct fake fake;
    in_doubt(&shop, &fake, true, EVENT_OTHER_IS_HERE);
    assert_int_equal(fake.releases, 0);
    assert_int_equal(atomic_load(&shop.metrics.published), 1);
    assert_int_equal(atomic_load(&shop.metrics.in_flight), 0);
}

static void a_lease_that_is_lost_is_waited_for_and_nothing_is_acknowledged_without_it(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct fake fake;
    fake_init(&fake, 2);
    fake.event = EVENT_OTHER_IS_HERE;
    fake.moment = AT_ACKNOWLEDGE; /* of the draining */
    fake.turn = 1;
    run(&shop, &fake);
    assert_int_equal(fake.stored.acknowledged_sequence, 0);
    assert_int_equal(fake.releases, 0);
    assert_int_equal(atomic_load(&shop.metrics.published), 2);
    assert_int_equal(atomic_load(&shop.metrics.in_flight), 0);
}

static void a_connection_lost_while_draining_needs_no_new_producer(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct fake fake;
    fake_init(&fake, 2);
    fake.event = EVENT_NEW_SESSION;
    fake.moment = AT_ACKNOWLEDGE;
    fake.turn = 1;
    run(&shop, &fake);
    expect_all_published(&shop, &fake, ROWS, 0);
    assert_int_equal(fake.epoch, 1);
}

/* Another relay had the lease between the loss of it and the next try. */
static void a_lease_that_was_lost_and_is_free_again_is_taken_and_recovered(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct fake fake;
    fake_init(&fake, 0);
    fake.event = EVENT_OTHER_WAS_HERE;
    fake.moment = AT_ACKNOWLEDGE;
    fake.turn = 1;
    run(&shop, &fake);
    assert_int_equal(fake.stored.acknowledged_sequence, ROWS);
    assert_int_equal(fake.takes, 2);
    assert_int_equal(fake.releases, 1);
    /* What was sent before the loss is found in the log, and not sent again. */
    assert_true(atomic_load(&shop.metrics.adopted) > 0);
}

static void a_relay_that_stops_before_it_opened_its_outbox_can_run_again(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct relay *relay = NULL;
    struct error err = ERROR_INIT;
    atomic_bool stop = true;
    relay_shop_prepare(&shop, "sqlite:fake", 1);
    const struct entity_schema *schemas[] = {shop.schema};
    const struct relay_options options = {
        .config = &shop.config, .schemas = schemas, .metrics = &shop.metrics};
    assert_int_equal(relay_new(&options, &relay, &err), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(relay_run(relay, &stop, &err), STATUS_OK);
        assert_int_equal(relay->state, RELAY_CONNECTING);
    }
    relay_free(relay);
    relay_shop_done(&shop);
}

/* The COMMIT that set a row aside had no answer. It may happen while the epoch is the same. */
static void a_count_clears_nothing_that_may_be_set_aside_any_moment(void **state)
{
    struct relay_shop shop = {0};
    struct relay *relay = NULL;
    struct fake fake;
    struct error err = ERROR_INIT;
    (void)state;
    fake_init(&fake, 0);
    relay_shop_prepare(&shop, "sqlite:fake", 1);
    const struct entity_schema *schemas[] = {shop.schema};
    const struct relay_options options = {
        .config = &shop.config, .schemas = schemas, .metrics = &shop.metrics};
    assert_int_equal(relay_new(&options, &relay, &err), STATUS_OK);
    relay->outbox = &fake.base;
    describe(&fake, &relay->lease.row);
    relay->waiting.has_set_aside = true;
    relay->waiting.set_aside_in_doubt = true;
    assert_int_equal(relay_count(relay, &err), STATUS_OK);
    assert_true(relay->waiting.has_set_aside); /* though the count says 0 */
    assert_true(relay_resolve_set_aside(relay, &err) == STATUS_OK && fake.epoch == 1);
    relay->counts.next_at_us = 0;
    assert_int_equal(relay_count(relay, &err), STATUS_OK);
    assert_false(relay->waiting.has_set_aside);
    relay_free(relay);
    relay_shop_done(&shop);
}

/* Each takes long. */
static void a_purge_that_leaves_old_rows_is_followed_by_more_and_larger_ones(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    struct fake fake;
    fake_init(&fake, 0);
    fake.old = 5000;
    fake.purge_us = 200000;
    run(&shop, &fake);
    assert_int_equal(atomic_load(&shop.metrics.purged), 5000);
    assert_in_range(fake.purges, 3, 5); /* the first one takes few */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_stop_at_any_moment_leaves_nothing_sent_unacknowledged, 180),
        TEST(a_stop_while_a_claim_is_in_doubt_acknowledges_what_was_sent_before_it),
        TEST(a_claim_in_doubt_and_a_lost_connection_need_no_new_producer),
        TEST(a_producer_that_fails_while_a_claim_is_in_doubt_is_replaced),
        TEST(a_claim_in_doubt_is_not_resolved_for_a_lease_that_is_lost),
        TEST(a_lease_that_is_lost_is_waited_for_and_nothing_is_acknowledged_without_it),
        TEST(a_connection_lost_while_draining_needs_no_new_producer),
        TEST(a_lease_that_was_lost_and_is_free_again_is_taken_and_recovered),
        TEST(a_relay_that_stops_before_it_opened_its_outbox_can_run_again),
        TEST(a_count_clears_nothing_that_may_be_set_aside_any_moment),
        TEST(a_purge_that_leaves_old_rows_is_followed_by_more_and_larger_ones),
    };
    return TEST_RUN(tests);
}
