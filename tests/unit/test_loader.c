/* The loader carries out orders on a fake outbox: what the relay gets for each outcome of a load.
 * labels: threads */
#include "tests/support/test.h"

#include "common/clock.h"
#include "common/wakeup.h"
#include "producer/relay/loader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"}}}"
#define PATIENCE_US (INT64_C(30) * 1000 * 1000)
#define ROWS        3

/* What the next load does. The test's thread sets it while the loader is free. */
static struct {
    struct outbox outbox;
    enum status open;
    enum status load;
    bool lost;
    bool complete;
    size_t count;
    const char *payload;
    atomic_bool held; /* the load waits until this is false */
    atomic_int opened;
    atomic_int closed;
    struct outbox_extent extent;
} fake;

static struct entity_schema *schema;
static struct config_entry entry = {
    .entity_type = (char *)"order", .topic = (char *)"orders", .partitions = 3};
static struct config config = {.service = (char *)"shop",
                               .database_path = (char *)"shop.db",
                               .instance = (char *)"1",
                               .publish = &entry,
                               .publish_count = 1,
                               .limits = {.message_bytes = 1000000}};
static struct lease lease = {.origin = "shop",
                             .incarnation = "00000000-0000-4000-8000-000000000001"};
static int64_t bytes_max;
static struct arena headers;
static struct arena arena;
static int wakeup;
static struct loader *loader;

static enum status load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                struct arena *into, struct outbox_rows *ret_rows, struct error *err)
{
    while (atomic_load(&fake.held))
        clock_sleep_us(1000);
    fake.extent = *extent;
    outbox->session += fake.lost ? 1 : 0;
    if (fake.load != STATUS_OK)
        return error_set(err, fake.load, "the load failed");
    ret_rows->rows = arena_alloc(into, ROWS * sizeof *ret_rows->rows);
    ret_rows->count = fake.count;
    ret_rows->complete = fake.complete;
    for (size_t i = 0; i < fake.count; i++)
        ret_rows->rows[i] = (struct outbox_row){
            .position = extent->after + 1 + (int64_t)i,
            .id = slice_of("an-id"),
            .entity_type = slice_of("order"),
            .entity_key = slice_of("{\"id\":1}"),
            .type = slice_of("order.updated"),
            .payload = slice_of(fake.payload),
            .created_at = slice_of("2026-01-01T00:00:00.000000Z")};
    return STATUS_OK;
}

static void close_outbox(struct outbox *outbox)
{
    (void)outbox;
    atomic_fetch_add(&fake.closed, 1);
}

static enum status open_outbox(const struct outbox_options *options, struct outbox **ret_outbox,
                               struct error *err)
{
    assert_true(options->read_only);
    if (fake.open != STATUS_OK)
        return error_set(err, fake.open, "the server is not there");
    atomic_fetch_add(&fake.opened, 1);
    *ret_outbox = &fake.outbox;
    return STATUS_OK;
}

static const struct outbox_ops fake_ops = {
    .open = open_outbox, .close = close_outbox, .load_waiting = load_waiting};

static void begin(void)
{
    struct error err = ERROR_INIT;
    memset(&fake, 0, sizeof fake);
    fake.outbox.ops = &fake_ops;
    fake.complete = true;
    fake.count = ROWS;
    fake.payload = "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1}}";
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    arena_init(&headers, 65536);
    arena_init(&arena, (size_t)64 * 1024 * 1024);
    static const struct entity_schema *schemas[1];
    schemas[0] = schema;
    const struct record_maker maker = {.config = &config,
                                       .schemas = schemas,
                                       .bytes_max = &bytes_max,
                                       .lease = &lease,
                                       .headers = &headers};
    assert_int_equal(wakeup_open(&wakeup, &err), STATUS_OK);
    assert_int_equal(loader_new(&maker, wakeup, &loader, &err), STATUS_OK);
}

static void end(void)
{
    loader_free(loader);
    assert_int_equal(atomic_load(&fake.opened), atomic_load(&fake.closed));
    arena_done(&arena);
    arena_done(&headers);
    entity_schema_free(schema);
    (void)close(wakeup);
}

static void order(size_t rows)
{
    struct error err = ERROR_INIT;
    const struct loader_order wanted = {
        &fake_ops,
        {.rows = rows, .payload_bytes = 1000, .total_bytes = 100000, .after = 100, .claimed = 7}};
    assert_int_equal(loader_order(loader, &wanted, &err), STATUS_OK);
}

static enum loader_answer take(struct loader_part *ret_part)
{
    struct error err = ERROR_INIT;
    enum loader_answer answer = loader_take(loader, PATIENCE_US, &arena, ret_part, &err);
    bool failed = answer == LOADER_FAILED || answer == LOADER_LOST;
    assert_int_equal(err.status != STATUS_OK, failed);
    return answer;
}

static void expect(enum loader_answer answer)
{
    struct loader_part part = {0};
    order(ROWS);
    assert_int_equal(take(&part), answer);
}

static void rows_that_can_be_published_are_handed_over_checked(void **state)
{
    struct loader_part part = {0};
    (void)state;
    begin();
    order(ROWS);
    assert_int_equal(take(&part), LOADER_PART);
    assert_int_equal(fake.extent.after, 100);
    assert_int_equal(fake.extent.claimed, 7);
    assert_int_equal(part.rows.count, ROWS);
    assert_true(part.full);
    assert_string_equal(part.rows.rows[0].topic, "orders");
    assert_true(arena.used > 0); /* the rows live there now */
    order(ROWS + 1);
    assert_int_equal(take(&part), LOADER_PART);
    assert_false(part.full);
    assert_int_equal(atomic_load(&fake.opened), 1);
    end();
}

static void rows_beside_others_that_wait_below_are_not_handed_over(void **state)
{
    (void)state;
    begin();
    fake.complete = false;
    expect(LOADER_OTHER);
    fake.complete = true;
    expect(LOADER_PART);
    end();
}

static void rows_that_only_the_relay_can_judge_are_not_handed_over(void **state)
{
    (void)state;
    begin();
    fake.payload = "not JSON";
    expect(LOADER_OTHER);
    fake.count = 0;
    expect(LOADER_OTHER);
    end();
}

static void a_load_that_failed_and_a_lost_connection_are_told_apart(void **state)
{
    (void)state;
    begin();
    fake.open = STATUS_RETRY;
    expect(LOADER_FAILED);
    fake.open = STATUS_OK;
    fake.load = STATUS_RETRY;
    expect(LOADER_FAILED);
    fake.lost = true;
    expect(LOADER_LOST);
    fake.lost = false;
    fake.load = STATUS_OK;
    expect(LOADER_PART);
    end();
}

static void a_load_that_takes_long_is_left_alone_and_its_memory_untouched(void **state)
{
    struct loader_part part = {0};
    struct error err = ERROR_INIT;
    (void)state;
    begin();
    atomic_store(&fake.held, true);
    order(ROWS);
    assert_int_equal(loader_take(loader, 20000, &arena, &part, &err), LOADER_BUSY);
    assert_false(loader_is_free(loader));
    assert_int_equal(arena.used, 0);
    atomic_store(&fake.held, false);
    assert_int_equal(take(&part), LOADER_PART);
    end();
}

static void a_session_at_rest_is_closed_and_opened_again_by_the_next_order(void **state)
{
    int64_t until = clock_monotonic_us() + PATIENCE_US;
    (void)state;
    begin();
    loader_rest(loader); /* there is none yet */
    expect(LOADER_PART);
    loader_rest(loader);
    while (atomic_load(&fake.closed) < 1 && clock_monotonic_us() < until)
        clock_sleep_us(1000);
    assert_int_equal(atomic_load(&fake.closed), 1);
    expect(LOADER_PART);
    assert_int_equal(atomic_load(&fake.opened), 2);
    end();
}

static void a_loader_that_got_no_order_ends_without_a_thread(void **state)
{
    (void)state;
    begin();
    assert_true(loader_is_free(loader));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_that_can_be_published_are_handed_over_checked),
        TEST(rows_beside_others_that_wait_below_are_not_handed_over),
        TEST(rows_that_only_the_relay_can_judge_are_not_handed_over),
        TEST(a_load_that_failed_and_a_lost_connection_are_told_apart),
        TEST(a_load_that_takes_long_is_left_alone_and_its_memory_untouched),
        TEST(a_session_at_rest_is_closed_and_opened_again_by_the_next_order),
        TEST(a_loader_that_got_no_order_ends_without_a_thread),
    };
    return TEST_RUN(tests);
}
