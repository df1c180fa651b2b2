/* The control topic while Kafka compacts it: what each copy has reported last is known, however
 * long ago that was, to who reads it from the beginning and to who reads on. */
#include "common/clock.h"
#include "tests/support/http.h"
#include "tests/support/sidecar.h"

#define WAIT_MS 120000
#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 1}\n"

struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar shipping;
    int port;     /* of the shop's page */
    int rows;     /* that were written */
    int64_t next; /* offset that is expected next */
    bool has_gap;
    const char *seen;
};

static void note_gap(const struct kafka_record *record, void *context)
{
    struct world *world = context;
    world->has_gap = world->has_gap || record->offset > world->next;
    world->next = record->offset + 1;
}

static bool says(struct world *world, const char *text)
{
    struct process_result result = sidecar_run(&world->shop, "copies", "item", NULL);
    world->seen = test_format("%s%s", result.output, result.errors);
    return strstr(world->seen, text) != NULL;
}

static bool all_have_reported(void *context)
{
    return says(context, " 3 members of topic ") &&
           says(context,
                "  billing              complete   applied 0 behind, durable 0 behind\n") &&
           says(context, "  shipping             complete   applied 0 behind, durable 0 behind\n");
}

/* Billing is silent, and the others report again and again. */
static bool is_compacted(void *context)
{
    struct world *world = context;
    (void)sqlite_format(world->shop.database, "INSERT INTO items VALUES (%d, 'item', 0)",
                        ++world->rows);
    clock_sleep_us(300000);
    world->next = 0;
    (void)kafka_consume_all(world->kafka, sidecar_topic("keepstep"), note_gap, world);
    if (!says(world, "  billing              complete   applied "))
        test_fail("%s", world->seen);
    return world->has_gap;
}

static bool page_has_all_members(void *context)
{
    struct world *world = context;
    world->seen = http_send_request(world->port, "GET", "/metrics", "").body;
    const char *line = strstr(world->seen, "\nkeepstep_members{");
    return line != NULL && strncmp(line + 1 + strcspn(line + 1, "\n") - 3, "} 3", 3) == 0;
}

static void a_silent_copy_is_known_in_a_topic_that_is_compacted(void **state)
{
    (void)state;
    struct world world = {.kafka = kafka_start()};
    kafka_create_topic(world.kafka, sidecar_topic("keepstep"), 1,
                       "cleanup.policy=compact;segment.ms=100;min.cleanable.dirty.ratio=0.001;"
                       "max.compaction.lag.ms=200");
    world.shop = sidecar_make(world.kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    world.billing = sidecar_make(world.kafka, "billing", NULL, APPLY);
    world.shipping = sidecar_make(world.kafka, "shipping", NULL, APPLY);
    world.port = sidecar_listen(&world.shop);
    sidecar_begin(&world.shop);
    sidecar_begin(&world.billing);
    sidecar_begin(&world.shipping);
    (void)sqlite_format(world.shop.database, "INSERT INTO items VALUES (%d, 'item', 0)",
                        ++world.rows);
    if (!test_wait(all_have_reported, &world, WAIT_MS))
        test_fail("%s", world.seen);
    sidecar_stop(&world.billing);
    if (!test_wait(is_compacted, &world, 2 * WAIT_MS))
        test_fail("nothing was compacted away behind %d rows: %s", world.rows, world.seen);
    if (!test_wait(page_has_all_members, &world, WAIT_MS))
        test_fail("%s", world.seen);
    sidecar_start(&world.billing, NULL);
    if (!test_wait(all_have_reported, &world, WAIT_MS))
        test_fail("%s", world.seen);
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shipping);
    sidecar_stop(&world.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_silent_copy_is_known_in_a_topic_that_is_compacted, 600),
    };
    return TEST_RUN(tests);
}
