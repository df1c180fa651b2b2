/* The tests' own Kafka keeps its data over a stop and a kill. */
#include "tests/support/kafka.h"
#include "tests/support/process.h"

static void records_come_back_with_key_value_and_headers(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "first", 2, "retention.ms=-1;cleanup.policy=delete");
    const char *const headers[] = {"origin", "a", "kind", "insert", NULL};
    assert_int_equal(kafka_produce(kafka, "first", 1, "k", "v", headers), 0);
    assert_int_equal(kafka_produce(kafka, "first", 1, "k", NULL, NULL), 1);
    assert_int_equal(kafka_produce(kafka, "first", 0, NULL, "w", NULL), 0);
    assert_string_equal(kafka_text(kafka, "first"), "0 0  w\n1 0 k v\n1 1 k \n");
    assert_int_equal(kafka_committed(kafka, "nobody", "first", 0), -1);
}

static void remember_headers(const struct kafka_record *record, void *context)
{
    if (record->headers[0] != '\0')
        *(const char **)context = test_format("%s", record->headers);
}

static void headers_keep_their_order(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "headers", 1, NULL);
    const char *const headers[] = {"b", "1", "a", "2", NULL};
    (void)kafka_produce(kafka, "headers", 0, "k", "v", headers);
    const char *seen = "";
    assert_int_equal(kafka_consume_all(kafka, "headers", remember_headers, &seen), 1);
    assert_string_equal(seen, "b=1\na=2\n");
}

static void data_outlives_a_stop(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "stopped", 1, NULL);
    (void)kafka_produce(kafka, "stopped", 0, "k", "v", NULL);
    kafka_stop(kafka);
    kafka_start_again(kafka);
    assert_string_equal(kafka_text(kafka, "stopped"), "0 0 k v\n");
}

static void data_outlives_a_kill(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "killed", 1, NULL);
    (void)kafka_produce(kafka, "killed", 0, "k", "v", NULL);
    kafka_kill(kafka);
    kafka_start_again(kafka);
    assert_int_equal(kafka_produce(kafka, "killed", 0, "k", "w", NULL), 1);
    assert_string_equal(kafka_text(kafka, "killed"), "0 0 k v\n0 1 k w\n");
}

static void a_deleted_topic_can_be_created_again(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "gone", 1, NULL);
    (void)kafka_produce(kafka, "gone", 0, "k", "v", NULL);
    kafka_delete_topic(kafka, "gone");
    kafka_create_topic(kafka, "gone", 1, NULL);
    assert_string_equal(kafka_text(kafka, "gone"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(records_come_back_with_key_value_and_headers, 120),
        TEST_WITH_LIMIT(headers_keep_their_order, 120),
        TEST_WITH_LIMIT(data_outlives_a_stop, 120),
        TEST_WITH_LIMIT(data_outlives_a_kill, 120),
        TEST_WITH_LIMIT(a_deleted_topic_can_be_created_again, 120),
    };
    return TEST_RUN(tests);
}
