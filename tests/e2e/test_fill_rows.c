/* The reader of a fill's stream against a real rows topic: parts of other attempts are passed over,
 * and an attempt is void where a part is missing or was trimmed (interleaving 19). */
#include "consumer/feed/rows_reader.h"
#include "operate/service.h"
#include "tests/support/sidecar.h"

#define ID    "01942f6e-0000-7000-8000-00000000002a"
#define OTHER "01942f6e-0000-7000-8000-00000000002b"

struct world {
    struct kafka *kafka;
    struct service service;
    struct rows_reader_options options;
    struct rows_reader *reader;
    const char *topic;
};

static void world_begin(struct world *world)
{
    static const atomic_bool never = false;
    struct error err = ERROR_INIT;
    *world = (struct world){.kafka = kafka_start()};
    struct sidecar billing = sidecar_make(world->kafka, "billing", SIDECAR_ITEM_DDL,
                                          "apply:\n  item: {table: items}\n");
    if (service_open_file(billing.config, &world->service, &err) != STATUS_OK)
        test_fail("%s", err.text);
    world->options = (struct rows_reader_options){.config = world->service.config,
                                                  .data_topic = sidecar_topic("item"),
                                                  .id = ID,
                                                  .stop = &never};
    world->topic = test_format("%s-rows-%s", world->service.config->control_topic,
                               sidecar_topic("item"));
    if (rows_reader_open(&world->options, &world->reader, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void world_end(struct world *world)
{
    rows_reader_close(world->reader);
    service_close(&world->service);
}

static void produce_value(const struct world *world, const char *id, const char *number,
                          const char *value)
{
    const char *const headers[] = {"ks_fill", id,        "ks_part",   "row", "ks_number",
                                   number,    "ce_type", "item.read", NULL};
    (void)kafka_produce(world->kafka, world->topic, 0, "{\"id\":1}", value, headers);
}

static void produce(const struct world *world, const char *id, const char *number)
{
    produce_value(world, id, number, FILL_ROW_HEAD "{\"id\":1}" FILL_ROW_TAIL);
}

/* @return what comes within 20 s. */
static enum status next(struct world *world, struct fill_head *ret_head, struct error *err)
{
    struct record record = {0};
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && record.topic == NULL && i < 200; i++)
        status = rows_reader_poll(world->reader, 100, &record, ret_head, err);
    if (status == STATUS_OK && record.topic == NULL)
        test_fail("nothing has come");
    return status;
}

static void parts_come_in_their_order_and_others_are_passed_over(void **state)
{
    (void)state;
    struct world world;
    struct fill_head head;
    struct error err = ERROR_INIT;
    world_begin(&world);
    produce(&world, OTHER, "1");
    produce(&world, ID, "1");
    produce(&world, OTHER, "7");
    produce(&world, ID, "2");
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(next(&world, &head, &err), STATUS_OK);
        assert_int_equal(head.number, i);
    }
    world_end(&world);
}

/* The first part of the other attempt stands where a timeout ends the wait for the next record. */
static void nothing_has_come_where_only_others_parts_have(void **state)
{
    (void)state;
    struct world world;
    struct fill_head head;
    struct record record = {0};
    struct error err = ERROR_INIT;
    world_begin(&world);
    for (int part = 1; part <= 3; part++) {
        produce(&world, OTHER, test_format("%d", part));
        for (int i = 0; i < 30; i++) {
            assert_int_equal(rows_reader_poll(world.reader, 100, &record, &head, &err), STATUS_OK);
            assert_null(record.topic);
        }
    }
    produce(&world, ID, "1");
    assert_int_equal(next(&world, &head, &err), STATUS_OK);
    world_end(&world);
}

static void a_part_that_is_missing_makes_the_attempt_void(void **state)
{
    (void)state;
    struct world world;
    struct fill_head head;
    struct error err = ERROR_INIT;
    world_begin(&world);
    produce(&world, ID, "1");
    produce(&world, ID, "3");
    assert_int_equal(next(&world, &head, &err), STATUS_OK);
    assert_int_equal(next(&world, &head, &err), STATUS_ABORT);
    assert_non_null(strstr(err.text, "are missing"));
    world_end(&world);
}

/* More than a reader fetches ahead. */
static void a_topic_that_is_trimmed_makes_the_attempt_void(void **state)
{
    static char value[900 * 1000];
    (void)state;
    struct world world;
    struct fill_head head;
    struct error err = ERROR_INIT;
    enum status status = STATUS_OK;
    world_begin(&world);
    memset(value, 'x', sizeof value - 1);
    for (int i = 1; i <= 20; i++)
        produce_value(&world, ID, test_format("%d", i), value);
    kafka_trim(world.kafka, world.topic, 0, 20);
    for (int i = 0; status == STATUS_OK && i < 20; i++)
        status = next(&world, &head, &err);
    if (status != STATUS_ABORT || strstr(err.text, "was trimmed") == NULL)
        test_fail("%s: %s", status_name(status), err.text);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(parts_come_in_their_order_and_others_are_passed_over, 60),
        TEST_WITH_LIMIT(nothing_has_come_where_only_others_parts_have, 60),
        TEST_WITH_LIMIT(a_part_that_is_missing_makes_the_attempt_void, 60),
        TEST_WITH_LIMIT(a_topic_that_is_trimmed_makes_the_attempt_void, 60),
    };
    return TEST_RUN(tests);
}
