/* How much the relay sends as one batch. */
#include "tests/support/test.h"

#include "common/kafka_client.h"
#include "producer/relay/kafka_producer.h"

static void ignore(void *record, enum delivery delivery, int64_t offset, const char *text)
{
    (void)record, (void)delivery, (void)offset, (void)text;
}

static int64_t batch_bytes(const char *name, const char *value, int64_t topic_bytes)
{
    struct text_pair kafka[] = {{"bootstrap.servers", "127.0.0.1:1"}, {name, value}};
    const struct config config = {
        .kafka = kafka, .kafka_count = name == NULL ? 1 : 2, .limits = {.message_bytes = 1000000}};
    struct kafka_producer *producer = NULL;
    struct error err = ERROR_INIT;
    if (kafka_producer_new(&config, topic_bytes, ignore, &producer, &err) != STATUS_OK)
        test_fail("%s", err.text);
    int64_t bytes = kafka_producer_batch_bytes(producer);
    kafka_producer_free(producer);
    return bytes;
}

/* Larger batches come alone: the broker leaves the other partitions out of the answer. */
static void a_batch_is_no_larger_than_what_an_agent_fetches_of_a_partition(void **state)
{
    (void)state;
    assert_int_equal(batch_bytes(NULL, NULL, 0), strtoll(KAFKA_BATCH_BYTES, NULL, 10));
}

static void the_user_may_choose_the_size_of_a_batch_but_a_topic_must_take_it(void **state)
{
    (void)state;
    assert_int_equal(batch_bytes("batch.size", "1000000", 0), 1000000);
    assert_int_equal(batch_bytes("batch.size", "1000", 0), 1000);
    assert_int_equal(batch_bytes("batch.size", "1000000", 900), 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_no_larger_than_what_an_agent_fetches_of_a_partition),
        TEST(the_user_may_choose_the_size_of_a_batch_but_a_topic_must_take_it),
    };
    return TEST_RUN(tests);
}
