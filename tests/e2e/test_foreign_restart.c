/* A copy of another program's topic recognizes its log after a restart, in every format. */
#include "tests/support/sidecar.h"

static const char debezium[] =
    "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,\"name\":\"%s\",\"amount\":null}}";
static const char cloudevents[] =
    "{\"specversion\":\"1.0\",\"id\":\"%2$s-%1$d\",\"source\":\"import\",\"type\":\"item.created\","
    "\"data\":{\"id\":%1$d,\"name\":\"%2$s\",\"amount\":null}}";
static const char row[] = "{\"id\":%d,\"name\":\"%s\",\"amount\":null}";

static void produce(struct kafka *kafka, const char *format, int key, const char *name)
{
    const char *value = strcmp(format, "debezium") == 0      ? test_format(debezium, key, name)
                        : strcmp(format, "cloudevents") == 0 ? test_format(cloudevents, key, name)
                                                             : test_format(row, key, name);
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", key), value,
                        NULL);
}

static void goes_on_after_a_restart_but_not_in_a_topic_recreated_longer(const char *format)
{
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL,
        test_format("apply:\n  item: {table: items, partitions: 1, format: %s}\n", format));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce(kafka, format, 1, "old");
    produce(kafka, format, 2, "old");
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "2\n");
    sidecar_stop(&billing);
    sidecar_start(&billing, NULL);
    produce(kafka, format, 3, "old");
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n3\n");
    sidecar_expect(&billing, "SELECT next_offset, stopped FROM keepstep_position", "3|\n");
    sidecar_stop(&billing);

    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (int key = 1; key <= 5; key++)
        produce(kafka, format, key, "new");
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing,
                   "SELECT next_offset, stopped LIKE 'offset 2 does not hold event %recreated%' "
                   "FROM keepstep_position",
                   "3|1\n");
    sidecar_expect(&billing, "SELECT id, name FROM items ORDER BY id", "1|old\n2|old\n3|old\n");
    sidecar_stop(&billing);
}

static void a_copy_of_debezium_records_knows_its_log_again(void **state)
{
    (void)state;
    goes_on_after_a_restart_but_not_in_a_topic_recreated_longer("debezium");
}

static void a_copy_of_structured_cloudevents_knows_its_log_again(void **state)
{
    (void)state;
    goes_on_after_a_restart_but_not_in_a_topic_recreated_longer("cloudevents");
}

static void a_copy_of_bare_json_rows_knows_its_log_again(void **state)
{
    (void)state;
    goes_on_after_a_restart_but_not_in_a_topic_recreated_longer("json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_copy_of_debezium_records_knows_its_log_again, 120),
        TEST_WITH_LIMIT(a_copy_of_structured_cloudevents_knows_its_log_again, 120),
        TEST_WITH_LIMIT(a_copy_of_bare_json_rows_knows_its_log_again, 120),
    };
    return TEST_RUN(tests);
}
