/* Which properties `kafka:` may have. Each one is judged against the library that is linked. */
#include "tests/support/test.h"

#include "common/kafka_client.h"
#include "schemas/config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SECRET "tellnobody"

/* @return the error of a configuration with this text under kafka:, or "" where it is valid. */
static const char *wrong_with(const char *kafka)
{
    struct error err = ERROR_INIT;
    struct config *config = NULL;
    const char *path = test_path("a.yaml");
    test_write_file(
        path, test_format("service: a\ndatabase: sqlite:x\nkafka: {%s}\napply:\n  doc:\n", kafka));
    enum status status = config_load(path, NULL, 0, &config, &err);
    config_free(config);
    if (status == STATUS_OK)
        return "";
    assert_int_equal(status, STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_null(strstr(err.text, SECRET));
    return test_format("%s", err.text);
}

static void expect_refused(const char *name, const char *value, const char *why)
{
    const char *wrong = wrong_with(test_format("\"%s\": %s", name, value));
    if (strstr(wrong, test_format(":3:9: kafka property \"%s\"", name)) == NULL ||
        strstr(wrong, why) == NULL)
        test_fail("%s: %s is: %s", name, value, wrong);
}

static void expect_good(const char *name, const char *value)
{
    const char *wrong = wrong_with(test_format("\"%s\": %s", name, value));
    if (*wrong != '\0')
        test_fail("%s: %s is: %s", name, value, wrong);
}

/* The library prints its properties as its documentation does: "name | C/P | range | …". */
static void every_property_of_the_linked_library_has_a_permission(void **state)
{
    (void)state;
    size_t known = 0;
    char *rest = NULL;
    FILE *file = fopen(test_path("properties.txt"), "w");
    assert_non_null(file);
    rd_kafka_conf_properties_show(file);
    assert_int_equal(fclose(file), 0);
    char *text = strdup(test_read_file(test_path("properties.txt")));
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char name[128];
        char scope[8];
        if (sscanf(line, "%127[a-z0-9._] | %7[CP*] |", name, scope) != 2)
            continue;
        if (config_kafka_find(name) == NULL)
            test_fail("%s has no permission", name);
        known++;
    }
    free(text);
    assert_true(known > 150);
}

static bool default_of(rd_kafka_conf_t *conf, rd_kafka_topic_conf_t *topic, const char *name,
                       char ret_text[static 512])
{
    size_t size = 512;
    return rd_kafka_conf_get(conf, name, ret_text, &size) == RD_KAFKA_CONF_OK ||
           (size = 512, rd_kafka_topic_conf_get(topic, name, ret_text, &size)) == RD_KAFKA_CONF_OK;
}

/* An older library does not know names of a newer one. */
static void the_library_has_the_same_other_names(void **state)
{
    (void)state;
    size_t compared = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_conf_t *topic = rd_kafka_topic_conf_new();
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const struct config_kafka_property *property = &config_kafka_properties[i];
        char one[512] = "";
        char other[512] = "";
        if (property->same_as == NULL)
            continue;
        assert_ptr_equal(config_kafka_find(property->name), config_kafka_find(property->same_as));
        bool is_known = default_of(conf, topic, property->name, one);
        assert_true(!is_known || default_of(conf, topic, property->same_as, other));
        assert_string_equal(one, other);
        compared += is_known;
    }
    assert_true(compared >= 8);
    rd_kafka_topic_conf_destroy(topic);
    rd_kafka_conf_destroy(conf);
}

static void what_breaks_a_rule_is_refused_with_the_reason_and_without_the_value(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const char *name = config_kafka_properties[i].name;
        const struct config_kafka_property *property = config_kafka_find(name);
        if (property->permission != CONFIG_KAFKA_OURS &&
            property->permission != CONFIG_KAFKA_REFUSED)
            continue;
        assert_true(strlen(property->why) > 10);
        expect_refused(name, SECRET, property->why);
        refused++;
    }
    assert_true(refused > 70);
    expect_refused("delivery.report.only.error", "true", "acknowledged");
    expect_refused("group.protocol", "consumer", "KIP-848");
}

static void a_value_outside_its_bounds_is_refused_and_not_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const char *name = config_kafka_properties[i].name;
        const struct config_kafka_property *property = config_kafka_find(name);
        if (property->permission != CONFIG_KAFKA_BOUNDED)
            continue;
        expect_refused(name, SECRET, property->why);
        if (property->text != NULL) {
            expect_good(name, property->text);
            expect_refused(name, "false", property->why);
            continue;
        }
        /* The library compares these two with each other. */
        bool alone = strstr(name, "session.") == NULL && strstr(name, "heartbeat.") == NULL;
        if (alone) {
            expect_good(name, test_format("%lld", (long long)property->min));
            expect_good(name, test_format("\"%lld\"", (long long)property->max));
        }
        expect_refused(name, test_format("%lld", (long long)property->min - 1), property->why);
        expect_refused(name, test_format("%lld", (long long)property->max + 1), property->why);
    }
    expect_good("session.timeout.ms", "300000");
    assert_string_equal(wrong_with("session.timeout.ms: 1000, heartbeat.interval.ms: 500"), "");
    assert_non_null(strstr(wrong_with("session.timeout.ms: 1000"), "heartbeat.interval.ms"));
    assert_non_null(strstr(wrong_with("session.timeout.ms: 200000, max.poll.interval.ms: 120000"),
                           "max.poll.interval.ms"));
}

static void what_is_allowed_goes_by_one_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_kafka_property_count; i++) {
        const char *name = config_kafka_properties[i].name;
        if (config_kafka_find(name)->permission == CONFIG_KAFKA_ALLOWED)
            expect_good(name, "1");
    }
    assert_non_null(strstr(wrong_with("linger.ms: 5, queue.buffering.max.ms: 5"),
                           "\"linger.ms\" is \"queue.buffering.max.ms\" by another name"));
    struct error err = ERROR_INIT;
    struct config *config = NULL;
    test_write_file(test_path("b.yaml"), "service: a\ndatabase: sqlite:x\n"
                                         "kafka: {max.partition.fetch.bytes: 2048}\n");
    assert_int_equal(config_load(test_path("b.yaml"), NULL, 0, &config, &err), STATUS_OK);
    assert_string_equal(config->kafka[0].name, "fetch.message.max.bytes");
    assert_string_equal(config->kafka[0].value, "2048");
    config_free(config);
}

static void an_unknown_property_is_refused_with_a_suggestion(void **state)
{
    (void)state;
    assert_non_null(strstr(wrong_with("bootstrap.server: k:1"),
                           "unknown kafka property \"bootstrap.server\"; "
                           "did you mean \"bootstrap.servers\"?"));
    assert_non_null(strstr(wrong_with("delivery.report.only.errors: true"),
                           "did you mean \"delivery.report.only.error\"?"));
    assert_non_null(strstr(wrong_with("nonsense: 1"), "see docs/CONFIGURATION.md"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_property_of_the_linked_library_has_a_permission),
        TEST(the_library_has_the_same_other_names),
        TEST(what_breaks_a_rule_is_refused_with_the_reason_and_without_the_value),
        TEST(a_value_outside_its_bounds_is_refused_and_not_shown),
        TEST(what_is_allowed_goes_by_one_name),
        TEST(an_unknown_property_is_refused_with_a_suggestion),
    };
    return TEST_RUN(tests);
}
