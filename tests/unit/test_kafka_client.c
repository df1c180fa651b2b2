/* Kafka clients are configured from layers of settings, and wait for a leader of a partition. */
#include "tests/support/test.h"

#include "common/kafka_client.h"

#include <librdkafka/rdkafka_mock.h>

#define LIST_OFFSETS 2 /* the request's number in Kafka's protocol */

static void expect_setting(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[64];
    size_t size = sizeof value;
    assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(value, expected);
}

static void a_later_layer_wins_and_what_is_keepsteps_own_wins_over_all(void **state)
{
    (void)state;
    static const struct text_pair defaults[] = {{"linger.ms", "1"}, {"compression.type", "lz4"}};
    static const struct text_pair user[] = {{"linger.ms", "7"},
                                            {"client.id", "theirs"},
                                            {"acks", "1"},
                                            {"allow.auto.create.topics", "true"}};
    static const struct text_pair fixed[] = {{"acks", "all"}};
    const struct kafka_settings layers[] = {KAFKA_SETTINGS(defaults), KAFKA_SETTINGS(user),
                                            KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(kafka_conf_new(layers, 3, &conf, &err), STATUS_OK);
    expect_setting(conf, "linger.ms", "7");
    expect_setting(conf, "compression.type", "lz4");
    expect_setting(conf, "client.id", "theirs");
    expect_setting(conf, "acks", "-1"); /* as librdkafka writes "all" */
    expect_setting(conf, "allow.auto.create.topics", "false");
    expect_setting(conf, "reconnect.backoff.max.ms", "2000");
    rd_kafka_conf_destroy(conf);
    assert_int_equal(kafka_conf_new(NULL, 0, &conf, &err), STATUS_OK);
    expect_setting(conf, "client.id", "keepstep");
    rd_kafka_conf_destroy(conf);
}

/* The client has two names for some settings. The user's layer wins under either. */
static void a_setting_of_the_user_wins_under_its_other_name_too(void **state)
{
    (void)state;
    static const struct text_pair defaults[] = {{"fetch.message.max.bytes", "262144"}};
    static const struct text_pair user[] = {{"max.partition.fetch.bytes", "4096"}};
    const struct kafka_settings layers[] = {KAFKA_SETTINGS(defaults), KAFKA_SETTINGS(user)};
    rd_kafka_conf_t *conf = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(kafka_conf_new(layers, 2, &conf, &err), STATUS_OK);
    expect_setting(conf, "fetch.message.max.bytes", "4096");
    rd_kafka_conf_destroy(conf);
}

static void a_setting_that_the_client_does_not_know_is_an_error_of_the_configuration(void **state)
{
    (void)state;
    static const struct text_pair user[] = {{"no.such.setting", "1"}};
    const struct kafka_settings layers[] = {KAFKA_SETTINGS(user)};
    rd_kafka_conf_t *conf = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(kafka_conf_new(layers, 1, &conf, &err), STATUS_FATAL);
    assert_int_equal(error_exit_code(&err), 78);
    assert_non_null(strstr(err.text, "no.such.setting"));
    assert_null(conf);
}

/* Asks for the end of a log while the broker says so often that it does not lead the partition. */
static enum status end_behind_elections(int elections, struct error *err)
{
    const rd_kafka_resp_err_t elected = RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    char text[256];
    int64_t end = -1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
    (void)rd_kafka_mock_topic_create(cluster, "order", 1, 1);
    for (int i = 0; i < elections; i++)
        rd_kafka_mock_push_request_errors(cluster, LIST_OFFSETS, 1, elected);
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster),
                            text, sizeof text);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    enum status status = kafka_log_end(handle, (struct topic_partition){"order", 0},
                                       elections < 10 ? 60000 : 500, &end, err);
    if (status == STATUS_OK)
        assert_int_equal(end, 0);
    rd_kafka_destroy(handle);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(owner);
    return status;
}

static void the_end_of_a_log_is_asked_for_again_while_its_leader_is_elected(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(end_behind_elections(3, &err), STATUS_OK);
    assert_int_equal(end_behind_elections(1000, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "order [0]: read the ends of its log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_later_layer_wins_and_what_is_keepsteps_own_wins_over_all),
        TEST(a_setting_of_the_user_wins_under_its_other_name_too),
        TEST(a_setting_that_the_client_does_not_know_is_an_error_of_the_configuration),
        TEST(the_end_of_a_log_is_asked_for_again_while_its_leader_is_elected),
    };
    return TEST_RUN(tests);
}
