/* Settings of topics by Kafka's admin API. */
#include "common/kafka_configs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KAFKA_TEXT_SIZE 512

/* Both kinds of result, behind the same questions. */
typedef const rd_kafka_ConfigResource_t **configs_resources(rd_kafka_event_t *event,
                                                            size_t *ret_count);

static const rd_kafka_ConfigResource_t **configs_described(rd_kafka_event_t *event,
                                                           size_t *ret_count)
{
    return rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event),
                                                     ret_count);
}

static const rd_kafka_ConfigResource_t **configs_altered(rd_kafka_event_t *event, size_t *ret_count)
{
    return rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event),
                                                  ret_count);
}

/* A request about one topic, and its answer. */
struct kafka_configs_call {
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event; /* NULL: no answer in time */
};

static void configs_call_open(struct kafka_configs_call *call, rd_kafka_t *handle,
                              rd_kafka_admin_op_t what, int timeout_ms)
{
    char text[KAFKA_TEXT_SIZE];
    *call = (struct kafka_configs_call){.queue = rd_kafka_queue_new(handle),
                                        .options = rd_kafka_AdminOptions_new(handle, what)};
    (void)rd_kafka_AdminOptions_set_request_timeout(call->options, timeout_ms, text, sizeof text);
}

static void configs_call_close(struct kafka_configs_call *call)
{
    if (call->event != NULL)
        rd_kafka_event_destroy(call->event);
    rd_kafka_AdminOptions_destroy(call->options);
    rd_kafka_queue_destroy(call->queue);
}

/* Wait for the answer. @return what the broker says of the one topic that was asked for; its text
 * is in `ret_text`. `ret_resource` lasts as long as the call. */
static rd_kafka_resp_err_t configs_answer(struct kafka_configs_call *call, int timeout_ms,
                                          configs_resources *read,
                                          const rd_kafka_ConfigResource_t **ret_resource,
                                          const char **ret_text)
{
    size_t count = 0;
    call->event = rd_kafka_queue_poll(call->queue, timeout_ms);
    rd_kafka_resp_err_t code = call->event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                                   : rd_kafka_event_error(call->event);
    *ret_text = call->event == NULL ? "no answer" : rd_kafka_event_error_string(call->event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    const rd_kafka_ConfigResource_t **resources = read(call->event, &count);
    if (count != 1)
        return RD_KAFKA_RESP_ERR__FAIL;
    *ret_resource = resources[0];
    code = rd_kafka_ConfigResource_error(resources[0]);
    *ret_text = rd_kafka_ConfigResource_error_string(resources[0]);
    if (*ret_text == NULL)
        *ret_text = rd_kafka_err2str(code);
    return code;
}

/* A broker that is older than Kafka 1.1 tells only whether a value is the default. What is taken
 * for the topic's own there may be its broker's: that is written back with the same value. */
static bool configs_is_own(const rd_kafka_ConfigEntry_t *entry)
{
    rd_kafka_ConfigSource_t source = rd_kafka_ConfigEntry_source(entry);
    return source == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG ||
           (source == RD_KAFKA_CONFIG_SOURCE_UNKNOWN_CONFIG &&
            rd_kafka_ConfigEntry_is_default(entry) == 0);
}

static void configs_visit(const rd_kafka_ConfigResource_t *resource,
                          const struct kafka_config_visitor *visitor)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const struct kafka_config config = {.name = rd_kafka_ConfigEntry_name(entries[i]),
                                            .value = rd_kafka_ConfigEntry_value(entries[i]),
                                            .is_own = configs_is_own(entries[i])};
        visitor->visit(visitor->context, &config);
    }
}

enum status kafka_configs_read(rd_kafka_t *handle, const char *topic, int timeout_ms,
                               const struct kafka_config_visitor *visitor, struct error *err)
{
    struct kafka_configs_call call;
    const rd_kafka_ConfigResource_t *answered = NULL;
    const char *text = NULL;
    enum status status = STATUS_OK;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
                                                                      topic);
    configs_call_open(&call, handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(handle, &resource, 1, call.options, call.queue);
    rd_kafka_resp_err_t code = configs_answer(&call, timeout_ms, configs_described, &answered,
                                              &text);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        configs_visit(answered, visitor);
    else
        status = error_set_native(
            err, STATUS_RETRY, (int)code, "topic %s: its settings cannot be read%s: %s", topic,
            code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ? " (allow DescribeConfigs)" : "",
            text);
    configs_call_close(&call);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}

/* All that a topic will have set by itself. */
struct kafka_configs_change {
    rd_kafka_ConfigResource_t *resource;
    const struct kafka_settings *changes;
    char hidden[KAFKA_TEXT_SIZE]; /* a setting whose value the broker does not tell; "": none */
};

static void configs_keep(void *context, const struct kafka_config *config)
{
    struct kafka_configs_change *change = context;
    bool is_changed = false;
    for (size_t i = 0; i < change->changes->count; i++)
        is_changed = is_changed || strcmp(change->changes->list[i].name, config->name) == 0;
    if (!config->is_own || is_changed)
        return;
    if (config->value == NULL)
        (void)snprintf(change->hidden, sizeof change->hidden, "%s", config->name);
    else
        (void)rd_kafka_ConfigResource_set_config(change->resource, config->name, config->value);
}

static enum status configs_write(rd_kafka_t *handle, const char *topic,
                                 rd_kafka_ConfigResource_t *resource, int timeout_ms,
                                 struct error *err)
{
    struct kafka_configs_call call;
    const rd_kafka_ConfigResource_t *answered = NULL;
    const char *text = NULL;
    configs_call_open(&call, handle, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, timeout_ms);
    rd_kafka_AlterConfigs(handle, &resource, 1, call.options, call.queue);
    rd_kafka_resp_err_t code = configs_answer(&call, timeout_ms, configs_altered, &answered, &text);
    enum status status = STATUS_OK;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = error_set_native(
            err, kafka_error_status(code), (int)code,
            "topic %s: its settings cannot be changed%s: %s", topic,
            code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ? " (allow AlterConfigs)" : "",
            text);
    configs_call_close(&call);
    return status;
}

enum status kafka_configs_change(rd_kafka_t *handle, const char *topic,
                                 const struct kafka_settings *changes, int timeout_ms,
                                 struct error *err)
{
    struct kafka_configs_change change = {
        .resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic),
        .changes = changes};
    const struct kafka_config_visitor visitor = {configs_keep, &change};
    enum status status = kafka_configs_read(handle, topic, timeout_ms, &visitor, err);
    if (status == STATUS_OK && change.hidden[0] != '\0')
        status = error_set(
            err, STATUS_FATAL,
            "topic %s: the broker does not tell the value of %s, which would be lost: "
            "change the topic by kafka-configs.sh",
            topic, change.hidden);
    for (size_t i = 0; status == STATUS_OK && i < changes->count; i++)
        (void)rd_kafka_ConfigResource_set_config(change.resource, changes->list[i].name,
                                                 changes->list[i].value);
    if (status == STATUS_OK)
        status = configs_write(handle, topic, change.resource, timeout_ms, err);
    rd_kafka_ConfigResource_destroy(change.resource);
    return status;
}

/* What is read of a topic for its rules. */
struct kafka_settings_reading {
    struct topic_settings *settings;
    bool deletes;
};

static void settings_note(void *context, const struct kafka_config *config)
{
    struct kafka_settings_reading *reading = context;
    struct topic_settings *settings = reading->settings;
    const char *value = config->value;
    if (value == NULL)
        return;
    if (strcmp(config->name, "cleanup.policy") == 0) {
        settings->is_compacted = strstr(value, "compact") != NULL;
        reading->deletes = strstr(value, "delete") != NULL;
    } else if (strcmp(config->name, "message.timestamp.type") == 0) {
        settings->is_log_append_time = strcmp(value, "LogAppendTime") == 0;
    } else if (strcmp(config->name, "max.message.bytes") == 0) {
        settings->message_bytes_max = strtoll(value, NULL, 10);
    } else if (strcmp(config->name, "retention.ms") == 0) {
        settings->retention_ms = strtoll(value, NULL, 10);
    } else if (strcmp(config->name, "retention.bytes") == 0) {
        settings->retention_bytes = strtoll(value, NULL, 10);
    }
}

enum status kafka_topic_settings(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct topic_settings *ret_settings, struct error *err)
{
    struct topic_settings settings = {.retention_ms = -1, .retention_bytes = -1};
    struct kafka_settings_reading reading = {.settings = &settings, .deletes = true};
    const struct kafka_config_visitor visitor = {settings_note, &reading};
    enum status status = kafka_configs_read(handle, topic, timeout_ms, &visitor, err);
    if (status != STATUS_OK)
        return status;
    if (!reading.deletes)
        settings.retention_ms = -1;
    *ret_settings = settings;
    return STATUS_OK;
}
