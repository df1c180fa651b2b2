/* An administrator's handle, over librdkafka. */
#include "common/kafka_admin.h"

#include "common/clock.h"
#include "common/kafka_configs.h"
#include "common/kafka_topic.h"

#include <stdio.h>
#include <stdlib.h>

#define ADMIN_SETTLE_US (INT64_C(3) * 1000 * 1000)
#define ADMIN_PAUSE_US  (INT64_C(100) * 1000)

struct kafka_admin {
    rd_kafka_t *handle;
    struct kafka_reason reason;
    int timeout_ms;
};

enum status kafka_admin_open(const struct kafka_admin_options *options,
                             struct kafka_admin **ret_admin, struct error *err)
{
    static const struct text_pair fixed[] = {{"log_level", "0"}};
    const struct kafka_settings layers[] = {{options->settings, options->setting_count},
                                            KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    struct kafka_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    admin->timeout_ms = options->timeout_ms;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status == STATUS_OK) {
        kafka_conf_keep_reason(conf, &admin->reason);
        status = kafka_handle_new(RD_KAFKA_PRODUCER, conf, &admin->handle, err);
    }
    if (status == STATUS_OK)
        *ret_admin = admin;
    else
        free(admin);
    return status;
}

void kafka_admin_close(struct kafka_admin *admin)
{
    if (admin != NULL)
        rd_kafka_destroy(admin->handle);
    free(admin);
}

/* The client tells in a callback why it reaches no broker. */
static enum status admin_fail(struct kafka_admin *admin, const char *what, rd_kafka_resp_err_t code,
                              struct error *err)
{
    enum status status = kafka_error_status(code) == STATUS_RETRY ? STATUS_RETRY : STATUS_FATAL;
    (void)rd_kafka_poll(admin->handle, 0);
    const char *reason = admin->reason.text;
    return error_set_native(err, status, (int)code, "%s: %s%s%s%s", what, rd_kafka_err2str(code),
                            *reason == '\0' ? "" : " (", reason, *reason == '\0' ? "" : ")");
}

enum status kafka_admin_cluster(struct kafka_admin *admin, struct kafka_admin_cluster *ret_cluster,
                                struct error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle, 0, NULL, &metadata,
                                                 admin->timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return admin_fail(admin, "no broker answers", code, err);
    char *id = rd_kafka_clusterid(admin->handle, admin->timeout_ms);
    *ret_cluster = (struct kafka_admin_cluster){.brokers = metadata->broker_cnt};
    (void)snprintf(ret_cluster->id, sizeof ret_cluster->id, "%s", id == NULL ? "" : id);
    ret_cluster->is_mock = kafka_is_mock(ret_cluster->id);
    if (id != NULL)
        rd_kafka_mem_free(admin->handle, id);
    rd_kafka_metadata_destroy(metadata);
    return STATUS_OK;
}

static void admin_note_partition(const rd_kafka_metadata_partition_t *partition, bool is_first,
                                 struct kafka_admin_topic *topic)
{
    if (is_first || partition->replica_cnt < topic->replicas)
        topic->replicas = partition->replica_cnt;
    if (is_first || partition->replica_cnt > topic->replicas_max)
        topic->replicas_max = partition->replica_cnt;
    if (is_first || partition->isr_cnt < topic->in_sync)
        topic->in_sync = partition->isr_cnt;
    topic->has_leaders = topic->has_leaders && partition->leader >= 0;
}

enum status kafka_admin_topic(struct kafka_admin *admin, const char *topic,
                              struct kafka_admin_topic *ret_topic, struct error *err)
{
    char what[KAFKA_ADMIN_TEXT_SIZE + 16];
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *named = rd_kafka_topic_new(admin->handle, topic, NULL);
    rd_kafka_resp_err_t code = named == NULL ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
    *ret_topic = (struct kafka_admin_topic){.has_leaders = true};
    (void)snprintf(what, sizeof what, "topic %s", topic);
    if (named != NULL) {
        code = rd_kafka_metadata(admin->handle, 0, named, &metadata, admin->timeout_ms);
        rd_kafka_topic_destroy(named);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1)
        code = metadata->topics[0].err;
    enum status status = STATUS_OK;
    if (code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        code = RD_KAFKA_RESP_ERR_NO_ERROR; /* told of its partitions */
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !kafka_error_is_unknown(code))
        status = admin_fail(admin, what, code, err);
    else if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        ret_topic->partitions = metadata->topics[0].partition_cnt;
        for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
            admin_note_partition(&metadata->topics[0].partitions[i], i == 0, ret_topic);
    }
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    return status;
}

/* A topic that was just made is not known to each broker at once. */
enum status kafka_admin_settings(struct kafka_admin *admin, const char *topic,
                                 const struct kafka_config_visitor *visitor, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + ADMIN_SETTLE_US;
    for (;;) {
        struct error own = ERROR_INIT;
        enum status status = kafka_configs_read(admin->handle, topic, admin->timeout_ms, visitor,
                                                &own);
        if (status == STATUS_OK || !kafka_error_is_unknown((rd_kafka_resp_err_t)own.native_code) ||
            clock_monotonic_us() > until_us)
            return status == STATUS_OK
                       ? STATUS_OK
                       : error_set_native(err, status, own.native_code, "%s", own.text);
        clock_sleep_us(ADMIN_PAUSE_US);
    }
}

enum status kafka_admin_rules(struct kafka_admin *admin, const char *topic,
                              struct topic_settings *ret_settings, struct error *err)
{
    return kafka_topic_settings(admin->handle, topic, admin->timeout_ms, ret_settings, err);
}

enum status kafka_admin_create(struct kafka_admin *admin, const char *topic, int32_t partitions,
                               const struct topic_design *design, struct error *err)
{
    const struct kafka_new_topic made = {.name = topic, .partitions = partitions, .design = design};
    int64_t until_us = clock_monotonic_us() + ADMIN_SETTLE_US;
    struct kafka_admin_topic found = {0};
    enum status status = kafka_topic_create(admin->handle, &made, admin->timeout_ms, err);
    while (status == STATUS_OK && found.partitions == 0 && clock_monotonic_us() < until_us) {
        status = kafka_admin_topic(admin, topic, &found, err);
        if (found.partitions == 0)
            clock_sleep_us(ADMIN_PAUSE_US);
    }
    return status;
}

enum status kafka_admin_change(struct kafka_admin *admin, const char *topic,
                               const struct text_pair *changes, size_t count, struct error *err)
{
    const struct kafka_settings settings = {changes, count};
    return kafka_configs_change(admin->handle, topic, &settings, admin->timeout_ms, err);
}
