/* SIGKILL at every step of an agent that applies change sets, then a restart: whoever looks at a
 * copy sees each set whole or not at all. The log is that of librdkafka's mock cluster. */
#include "tests/support/sidecar.h"

#include "common/failpoint.h"
#include "common/kafka_client.h"

#include <librdkafka/rdkafka_mock.h>
#include <signal.h>

#define ROWS     25
#define SETS     12
#define LIMIT_MS 60000
#define ENTRIES  "apply:\n  item: {table: items, partitions: 1}\nlimits: {batch_events: 10%s}\n"
/* So no set is kept in memory: each is read twice and written in parts (rule 58). */
#define IN_PARTS ", changeset_events: 20"
#define VALUES   "SELECT count(*), count(DISTINCT amount), max(amount) FROM items"

static const struct victim {
    enum failpoint_point point;
    int pass;
    bool in_parts;
} victims[] = {
    {FAILPOINT_AGENT_AFTER_TAKE, 1, false},        {FAILPOINT_AGENT_BEFORE_BEGIN, 2, false},
    {FAILPOINT_AGENT_AFTER_BEGIN, 2, false},       {FAILPOINT_AGENT_AFTER_APPLY, 2, false},
    {FAILPOINT_AGENT_BEFORE_COMMIT, 2, false},     {FAILPOINT_AGENT_AFTER_COMMIT, 2, false},
    {FAILPOINT_AGENT_BEFORE_HAND_OVER, 1, false},  {FAILPOINT_AGENT_AFTER_HAND_OVER, 1, false},
    {FAILPOINT_AGENT_READER_AFTER_FILL, 1, false}, {FAILPOINT_AGENT_BEFORE_TAKE_BACK, 1, false},
    {FAILPOINT_AGENT_AFTER_TAKE_BACK, 1, false},   {FAILPOINT_AGENT_LARGE_READ, 3, true},
    {FAILPOINT_AGENT_BEFORE_BEGIN, 3, true},       {FAILPOINT_AGENT_AFTER_BEGIN, 3, true},
    {FAILPOINT_AGENT_LARGE_WRITTEN, 5, true},      {FAILPOINT_AGENT_AFTER_APPLY, 3, true},
    {FAILPOINT_AGENT_BEFORE_COMMIT, 3, true},      {FAILPOINT_AGENT_AFTER_COMMIT, 3, true},
};

#define VICTIMS (sizeof victims / sizeof victims[0])

static struct sidecar copies[VICTIMS];
static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static int sent;

static void begin_cluster(void)
{
    rd_kafka_conf_t *conf = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(kafka_conf_new(NULL, 0, &conf, &err), STATUS_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_PRODUCER, conf, &producer, &err), STATUS_OK);
    cluster = rd_kafka_mock_cluster_new(producer, 1);
    (void)rd_kafka_mock_topic_create(cluster, sidecar_topic("item"), 1, 1);
    rd_kafka_brokers_add(producer, rd_kafka_mock_cluster_bootstraps(cluster));
}

static void send_record(int id, int amount, int end)
{
    sent++;
    const char *key = test_format("{\"id\":%d}", id);
    const char *value = test_format(
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,\"name\":\"x\",\"amount\":%d}}", id,
        amount);
    const char *const headers[][2] = {
        {"ce_specversion", "1.0"},
        {"ce_type", "item.updated"},
        {"ce_source", "shop"},
        {"ce_protocol", "1"},
        {"ce_incarnation", "0193a7c0-0000-7000-8000-000000000001"},
        {"ce_id", test_format("e%d", sent)},
        {"ce_sequence", test_format("%020d", sent)},
        {"ce_changeset", test_format("%020d", end)},
        {"ce_previousid", sent == 1 ? NULL : test_format("e%d", sent - 1)},
    };
    rd_kafka_headers_t *list = rd_kafka_headers_new(16);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (headers[i][1] != NULL)
            (void)rd_kafka_header_add(list, headers[i][0], -1, headers[i][1], -1);
    }
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(sidecar_topic("item")),
                                       RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

/** Send a set in which each row gets the amount, some of them more than once. */
static void send_set(int amount, int size)
{
    int end = sent + size;
    for (int i = 0; i < size; i++)
        send_record(1 + i % ROWS, amount, end);
    assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/** The test fails if the copy has a part of a set. @return whether it has the last one. */
static bool has_the_last(const struct sidecar *copy)
{
    const char *seen = sqlite_text(copy->database, VALUES);
    if (strcmp(seen, "0|0|NULL\n") == 0)
        return false;
    if (strncmp(seen, test_format("%d|1|", ROWS), 5) != 0)
        test_fail("%s has a part of a set: %s", copy->name, seen);
    return strcmp(seen, test_format("%d|1|%d\n", ROWS, SETS)) == 0;
}

static bool have_the_last(void *unused)
{
    bool all = true;
    (void)unused;
    for (size_t i = 0; i < VICTIMS; i++)
        all = has_the_last(&copies[i]) && all;
    return all;
}

static void assert_status_tells_of_an_open_set(void)
{
    int end = sent + 3;
    assert_null(strstr(sidecar_run(&copies[0], "status", NULL, NULL).output, "change set"));
    send_record(1, SETS + 1, end);
    send_record(2, SETS + 1, end);
    assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    const char *output = sidecar_run(&copies[0], "status", NULL, NULL).output;
    if (strstr(output, "2 behind, a change set waits for 1 of its 3 records since ") == NULL)
        test_fail("%s", output);
    output = sidecar_run(&copies[0], "status", "--json", NULL).output;
    if (strstr(output, "\"open_changeset\":{\"changeset_size\":3,\"arrived\":2,\"age_s\":") == NULL)
        test_fail("%s", output);
}

static void a_kill_at_any_step_leaves_each_set_whole_or_absent(void **state)
{
    (void)state;
    begin_cluster();
    for (int i = 0; i <= SETS / 2; i++) /* a backlog, which is read ahead */
        send_set(i, i % 2 == 0 ? ROWS : 2 * ROWS + 3);
    for (size_t i = 0; i < VICTIMS; i++) {
        const char *name = test_format("copy%zu", i);
        copies[i] = sidecar_make_at(rd_kafka_mock_cluster_bootstraps(cluster), name,
                                    test_format("sqlite:%s", test_path("%s.db", name)),
                                    test_format(ENTRIES, victims[i].in_parts ? IN_PARTS : ""));
        sidecar_init(&copies[i], NULL);
        sidecar_start(&copies[i],
                      test_format("%s:%d", failpoint_names[victims[i].point], victims[i].pass));
    }
    for (int i = SETS / 2 + 1; i <= SETS; i++)
        send_set(i, i % 2 == 0 ? ROWS : 2 * ROWS + 3);
    for (size_t i = 0; i < VICTIMS; i++) {
        int code = process_wait(copies[i].process, LIMIT_MS);
        if (code != 128 + SIGKILL)
            test_fail("failpoint %s did not fire (%d): %s", failpoint_names[victims[i].point], code,
                      process_errors(copies[i].process));
        (void)has_the_last(&copies[i]);
        sidecar_start(&copies[i], NULL);
    }
    assert_true(test_wait(have_the_last, NULL, LIMIT_MS));
    for (size_t i = 0; i < VICTIMS; i++)
        sidecar_stop(&copies[i]);
    assert_status_tells_of_an_open_set();
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(producer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_kill_at_any_step_leaves_each_set_whole_or_absent, 240),
    };
    return TEST_RUN(tests);
}
