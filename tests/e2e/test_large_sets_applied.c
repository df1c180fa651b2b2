/* A transaction that is several times as large as an agent's memory, at a peer on each kind of
 * database: nobody sees a part of it, and the agent does not grow. TEST_LARGE_RECORDS is its number
 * of records, 20000 unless set. */
#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#include "common/kafka_client.h"

#include <stdlib.h>

#define PEERS      3
#define RECORDS    20000
#define FLUSH_MS   600000
#define LIMIT_MS   1800000
#define GROWTH_KIB 65536
#define VALUES     "SELECT count(*), count(DISTINCT amount), max(amount) FROM items"
#define ENTRIES                                                                                    \
    "apply:\n  item: {table: items, partitions: 1}\nlimits: {changeset_events: 1000, "             \
    "message_bytes: 100000, batch_bytes: 1048576}\n"

static const char *const names[PEERS] = {"lite", "post", "maria"};
static struct sidecar peers[PEERS];
static rd_kafka_t *producer;
static int records;
static int sent;

static void begin_producer(struct kafka *kafka)
{
    rd_kafka_conf_t *conf = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(kafka_conf_new(NULL, 0, &conf, &err), STATUS_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", kafka_bootstrap(kafka), NULL, 0),
                     RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "enable.idempotence", "true", NULL, 0),
                     RD_KAFKA_CONF_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_PRODUCER, conf, &producer, &err), STATUS_OK);
}

static void send_record(int id, int amount, int end)
{
    char key[64];
    char value[128];
    char sequence[24];
    char last[24];
    char own_id[24];
    char previous[24];
    sent++;
    (void)snprintf(key, sizeof key, "{\"id\":%d}", id);
    (void)snprintf(
        value, sizeof value,
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,\"name\":\"x\",\"amount\":%d}}", id,
        amount);
    (void)snprintf(sequence, sizeof sequence, "%020d", sent);
    (void)snprintf(last, sizeof last, "%020d", end);
    (void)snprintf(own_id, sizeof own_id, "e%d", sent);
    (void)snprintf(previous, sizeof previous, "e%d", sent - 1);
    const char *const headers[][2] = {
        {"ce_specversion", "1.0"},
        {"ce_type", "item.created"},
        {"ce_source", "shop"},
        {"ce_protocol", "1"},
        {"ce_incarnation", "0193a7c0-0000-7000-8000-000000000001"},
        {"ce_id", own_id},
        {"ce_sequence", sequence},
        {"ce_changeset", last},
        {"ce_previousid", sent == 1 ? NULL : previous},
    };
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_headers_t *list = rd_kafka_headers_new(16);
        for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
            if (headers[i][1] != NULL)
                (void)rd_kafka_header_add(list, headers[i][0], -1, headers[i][1], -1);
        }
        code = rd_kafka_producev(
            producer, RD_KAFKA_V_TOPIC(sidecar_topic("item")), RD_KAFKA_V_PARTITION(0),
            RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(value, strlen(value)),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_headers_destroy(list);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            (void)rd_kafka_poll(producer, 100);
    }
    assert_int_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void send_set(int amount, int size)
{
    int end = sent + size;
    for (int i = 0; i < size; i++)
        send_record(1 + i, amount, end);
    assert_int_equal(rd_kafka_flush(producer, FLUSH_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static const char *seen_at(size_t peer)
{
    return database_text(peers[peer].url, VALUES);
}

static bool is_small(void *context)
{
    size_t peer = *(const size_t *)context;
    return strcmp(seen_at(peer), "10|1|1\n") == 0;
}

/* It sees either the ten rows, or all. */
static bool is_applied(void *context)
{
    size_t peer = *(const size_t *)context;
    const char *seen = seen_at(peer);
    if (strcmp(seen, "10|1|1\n") == 0)
        return false;
    if (strcmp(seen, test_format("%d|1|2\n", records)) != 0)
        test_fail("%s has a part of a set: %s", names[peer], seen);
    return true;
}

static void a_set_of_any_size_is_applied_whole_and_the_agent_does_not_grow(void **state)
{
    struct kafka *kafka = kafka_start();
    const char *wanted = getenv("TEST_LARGE_RECORDS");
    int64_t before[PEERS];
    (void)state;
    records = wanted == NULL ? RECORDS : (int)strtol(wanted, NULL, 10);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "message.timestamp.type=LogAppendTime");
    begin_producer(kafka);
    send_set(1, 10);
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = sidecar_make_on(kafka, names[i], database_make((enum database_kind)i, names[i]),
                                   ENTRIES);
        sidecar_begin(&peers[i]);
        assert_true(test_wait(is_small, &i, LIMIT_MS));
        before[i] = process_memory_kib(peers[i].process, "VmHWM");
    }
    send_set(2, records);
    for (size_t i = 0; i < PEERS; i++) {
        assert_true(test_wait(is_applied, &i, LIMIT_MS));
        int64_t after = process_memory_kib(peers[i].process, "VmHWM");
        print_message("%s: %d records, at most %lld KiB before and %lld KiB after\n", names[i],
                      records, (long long)before[i], (long long)after);
        if (!TEST_SANITIZES_ADDRESSES)
            assert_true(after - before[i] <= GROWTH_KIB);
        sidecar_stop(&peers[i]);
    }
    rd_kafka_destroy(producer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_set_of_any_size_is_applied_whole_and_the_agent_does_not_grow, 3600),
    };
    return TEST_RUN(tests);
}
