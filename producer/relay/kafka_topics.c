/* Creates and checks topics by Kafka's admin API. */
#include "producer/relay/kafka_topics.h"

#include "common/kafka_configs.h"
#include "common/kafka_topic.h"
#include "schemas/change.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ADMIN_TIMEOUT_MS 10000
#define TEXT_SIZE        512

PRINTF_LIKE(3, 4)
static enum status kafka_topics_refuse(struct error *err, const struct config_entry *entry,
                                       const char *format, ...)
{
    char what[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return error_set(error_config(err), STATUS_FATAL, "topic %s of publish.%s %s", entry->topic,
                     entry->entity_type, what);
}

static enum status kafka_topics_create(rd_kafka_t *handle, const struct config_entry *entry,
                                       const struct topic_choice *choice, struct error *err)
{
    struct topic_design design;
    const struct kafka_new_topic topic = {
        .name = entry->topic, .partitions = entry->partitions, .design = &design};
    bool is_joint = strcmp(entry->entity_type, JOINT_ENTITY_TYPE) == 0;
    topic_design_make(is_joint ? TOPIC_JOINT : TOPIC_DATA, choice, &design);
    enum status status = kafka_topic_create(handle, &topic, ADMIN_TIMEOUT_MS, err);
    if (status == STATUS_FATAL)
        error_prefix(err, "publish.%s", entry->entity_type);
    return status;
}

/* One server, for a command line that the user may type. */
static void kafka_topics_server(rd_kafka_t *handle, char *text, size_t size)
{
    if (rd_kafka_conf_get(rd_kafka_conf(handle), "bootstrap.servers", text, &size) !=
        RD_KAFKA_CONF_OK)
        (void)snprintf(text, size, "SERVER");
    text[strcspn(text, ",")] = '\0';
}

/* Rule 17: refuses settings that would lose records, and says which command repairs all of them. */
static enum status kafka_topics_refuse_settings(const struct config_entry *entry,
                                                const struct topic_settings *settings,
                                                struct error *err)
{
    bool both = settings->is_compacted && !settings->is_log_append_time;
    return kafka_topics_refuse(
        err, entry, "%s%s%s. Repair it with `keepstep topics apply`",
        settings->is_compacted ? "is compacted, which makes gaps" : "", both ? ", and " : "",
        settings->is_log_append_time ? "" : "lets its writers' clocks decide when a record is old");
}

/* @return OK with whether no partition ever had a record; RETRY. */
static enum status kafka_topics_is_empty(rd_kafka_t *handle, const char *topic, int32_t partitions,
                                         bool *ret_empty, struct error *err)
{
    enum status status = STATUS_OK;
    int64_t end = 0;
    for (int32_t i = 0; status == STATUS_OK && end == 0 && i < partitions; i++)
        status = kafka_log_end(handle, (struct topic_partition){topic, i}, ADMIN_TIMEOUT_MS, &end,
                               err);
    *ret_empty = end == 0;
    return status == STATUS_OK ? STATUS_OK : (err->status = STATUS_RETRY);
}

/* Nothing is lost if an empty topic is deleted and made again. That repairs everything at once,
 * also the settings of a topic that a broker created on its own because somebody asked for it. */
static enum status kafka_topics_refuse_empty(rd_kafka_t *handle, const struct config_entry *entry,
                                             int32_t partitions, struct error *err)
{
    char server[TEXT_SIZE];
    kafka_topics_server(handle, server, sizeof server);
    return kafka_topics_refuse(
        err, entry,
        "has %d partition%s, not %d, and is empty: another program created it. Stop what reads it, "
        "then run kafka-topics.sh --bootstrap-server %s --delete --topic %s; the relay creates it "
        "again at its next start",
        (int)partitions, partitions == 1 ? "" : "s", (int)entry->partitions, server, entry->topic);
}

static enum status kafka_topics_check(rd_kafka_t *handle, const struct config_entry *entry,
                                      struct topic_settings *ret_settings, struct error *err)
{
    enum status status = kafka_topic_settings(handle, entry->topic, ADMIN_TIMEOUT_MS, ret_settings,
                                              err);
    if (status == STATUS_OK && (ret_settings->is_compacted || !ret_settings->is_log_append_time))
        status = kafka_topics_refuse_settings(entry, ret_settings, err);
    return status;
}

enum status kafka_topics_ensure(rd_kafka_t *handle, const struct config_entry *entry,
                                const struct topic_choice *choice,
                                struct topic_settings *ret_settings, struct error *err)
{
    struct kafka_topic found;
    *ret_settings = (struct topic_settings){0};
    enum status status = kafka_topic_describe(handle, entry->topic, ADMIN_TIMEOUT_MS, &found, err);
    if (status != STATUS_OK)
        return status;
    bool is_mock = kafka_is_mock(found.cluster_id);
    if (found.partitions == 0 && is_mock)
        return error_set(err, STATUS_RETRY,
                         "topic %s does not exist, and this broker creates none: name it as an "
                         "argument of keepstep broker",
                         entry->topic);
    if (found.partitions == 0) {
        status = kafka_topics_create(handle, entry, choice, err);
        if (status == STATUS_OK)
            status = error_set(err, STATUS_RETRY, "topic %s does not exist yet", entry->topic);
        return status;
    }
    if (found.partitions == entry->partitions)
        return is_mock ? STATUS_OK : kafka_topics_check(handle, entry, ret_settings, err);
    bool empty = false;
    if (!is_mock)
        status = kafka_topics_is_empty(handle, entry->topic, found.partitions, &empty, err);
    if (status != STATUS_OK)
        return status;
    if (empty)
        return kafka_topics_refuse_empty(handle, entry, found.partitions, err);
    return kafka_topics_refuse(err, entry,
                               "has %d partitions, not %d: an entity would change its partition; "
                               "set partitions: %d",
                               (int)found.partitions, (int)entry->partitions,
                               (int)found.partitions);
}
