/* Asks the broker what the commands want to know. Nothing waits longer than a few seconds. */
#include "operate/offsets.h"

#include "common/clock.h"
#include "common/kafka_client.h"
#include "common/kafka_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFSETS_TIMEOUT_MS 5000
#define OFFSETS_RECORD_MS  2000
#define OFFSETS_REASON_MS  50

struct offsets {
    const struct config *config;
    rd_kafka_t *handle;
    rd_kafka_t *stable; /* reads only what is committed; NULL until it is needed */
    char *group;
    const struct rd_kafka_group_list *described; /* NULL until it was asked for, or unknown */
    bool group_asked;
    bool no_group; /* the broker knows no such group */
    struct kafka_reason reason;
};

static enum status offsets_fail(rd_kafka_resp_err_t code, const char *what, struct error *err)
{
    return error_set_native(err, kafka_error_status(code), (int)code, "%s: %s", what,
                            rd_kafka_err2str(code));
}

enum status offsets_check_config(const struct config *config, struct error *err)
{
    const struct kafka_settings user = {config->kafka, config->kafka_count};
    rd_kafka_conf_t *conf = NULL;
    size_t size = 0; /* of the value, with its NUL */
    enum status status = kafka_conf_new(&user, 1, &conf, err);
    if (status == STATUS_OK &&
        (rd_kafka_conf_get(conf, "bootstrap.servers", NULL, &size) != RD_KAFKA_CONF_OK ||
         size <= 1)) {
        status = error_set(error_config(err), STATUS_FATAL,
                           "kafka.bootstrap.servers is not set: no broker can be reached");
    }
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    return status;
}

/* Where no broker was reached, replace the error by one sentence that says so, and why if known. */
static enum status offsets_say(struct offsets *offsets, enum status status, struct error *err)
{
    if (status != STATUS_RETRY || !kafka_error_is_silence((rd_kafka_resp_err_t)err->native_code))
        return status;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(offsets->handle, OFFSETS_REASON_MS);
    if (message != NULL)
        rd_kafka_message_destroy(message);
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)err->native_code;
    error_clear(err);
    return kafka_error_of_silence(offsets->handle, code, offsets->reason.text, err);
}

static enum status offsets_handle(struct offsets *offsets, const char *isolation,
                                  rd_kafka_t **ret_handle, struct error *err)
{
    const struct text_pair fixed[] = {
        {"group.id", offsets->group},    {"isolation.level", isolation},
        {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},  {"enable.partition.eof", "true"},
        {"fetch.wait.max.ms", "50"},     {"log_level", "0"}}; /* offsets_say() says it */
    const struct kafka_settings layers[] = {{offsets->config->kafka, offsets->config->kafka_count},
                                            KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status == STATUS_OK)
        kafka_conf_keep_reason(conf, &offsets->reason);
    if (status == STATUS_OK)
        status = kafka_handle_new(RD_KAFKA_CONSUMER, conf, ret_handle, err);
    return status;
}

enum status offsets_open(const struct config *config, const char *group,
                         struct offsets **ret_offsets, struct error *err)
{
    struct offsets *offsets = calloc(1, sizeof *offsets);
    char *name = strdup(group);
    enum status status = STATUS_OK;
    if (offsets == NULL || name == NULL) {
        status = error_set(err, STATUS_FATAL, "out of memory");
        goto out;
    }
    offsets->config = config;
    offsets->group = name;
    status = offsets_handle(offsets, "read_uncommitted", &offsets->handle, err);
    if (status != STATUS_OK)
        goto out;
    *ret_offsets = offsets;
    name = NULL;
    offsets = NULL;
out:
    free(name);
    free(offsets);
    return status;
}

void offsets_close(struct offsets *offsets)
{
    if (offsets == NULL)
        return;
    kafka_group_free(offsets->described);
    rd_kafka_destroy_flags(offsets->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (offsets->stable != NULL)
        rd_kafka_destroy_flags(offsets->stable, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(offsets->group);
    free(offsets);
}

enum status offsets_topic(struct offsets *offsets, const char *topic, int32_t *ret_count,
                          char ret_cluster_id[static OFFSETS_CLUSTER_ID_SIZE], struct error *err)
{
    struct kafka_topic found = {0};
    enum status status = kafka_topic_describe(offsets->handle, topic, OFFSETS_TIMEOUT_MS, &found,
                                              err);
    if (status != STATUS_OK)
        return offsets_say(offsets, status, err);
    *ret_count = found.partitions;
    (void)snprintf(ret_cluster_id, OFFSETS_CLUSTER_ID_SIZE, "%s", found.cluster_id);
    return status;
}

enum status offsets_partition_count(struct offsets *offsets, const char *topic, int32_t *ret_count,
                                    struct error *err)
{
    char cluster_id[OFFSETS_CLUSTER_ID_SIZE];
    return offsets_topic(offsets, topic, ret_count, cluster_id, err);
}

enum status offsets_bounds(struct offsets *offsets, struct topic_partition tp,
                           struct log_bounds *ret_bounds, struct error *err)
{
    return offsets_say(
        offsets, kafka_log_bounds(offsets->handle, tp, OFFSETS_TIMEOUT_MS, ret_bounds, err), err);
}

enum status offsets_stable_end(struct offsets *offsets, struct topic_partition tp, int64_t *ret_end,
                               struct error *err)
{
    enum status status = STATUS_OK;
    if (offsets->stable == NULL)
        status = offsets_handle(offsets, "read_committed", &offsets->stable, err);
    if (status == STATUS_OK)
        status = kafka_log_end(offsets->stable, tp, OFFSETS_TIMEOUT_MS, ret_end, err);
    return offsets_say(offsets, status, err);
}

enum status offsets_committed(struct offsets *offsets, struct topic_partition tp,
                              int64_t *ret_offset, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, tp.topic, tp.partition);
    rd_kafka_resp_err_t code = rd_kafka_committed(offsets->handle, list, OFFSETS_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret_offset = list->elems[0].offset < 0 ? -1 : list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : offsets_say(offsets, offsets_fail(code, tp.topic, err), err);
}

static int64_t offsets_message_time(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t size = 0;
    int64_t time_us = 0;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, "ce_time", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        value != NULL && clock_parse_rfc3339(value, size, &time_us))
        return time_us;
    rd_kafka_timestamp_type_t type;
    int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
    return timestamp_ms < 0 ? 0 : timestamp_ms * 1000;
}

enum status offsets_record_time(struct offsets *offsets, struct topic_partition tp, int64_t offset,
                                int64_t *ret_time_us, struct error *err)
{
    *ret_time_us = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, tp.topic, tp.partition)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(offsets->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return offsets_fail(code, tp.topic, err);
    int64_t until = clock_monotonic_us() + (int64_t)OFFSETS_RECORD_MS * 1000;
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR && *ret_time_us == 0 &&
           clock_monotonic_us() < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(offsets->handle, 100);
        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            *ret_time_us = offsets_message_time(message);
        else if (message->rkt != NULL)
            code = message->err; /* the log's end, or an offset that is gone */
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(offsets->handle, NULL);
    return STATUS_OK; /* without a record the age is unknown, which is no failure */
}

/* An answer is the partition's end, or an error of the partition or of its topic. */
enum status offsets_may_read(struct offsets *offsets, struct topic_partition tp, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, tp.topic, tp.partition)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t code = rd_kafka_assign(offsets->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t until = clock_monotonic_us() + (int64_t)OFFSETS_RECORD_MS * 1000;
    bool is_answered = code != RD_KAFKA_RESP_ERR_NO_ERROR;
    while (!is_answered && clock_monotonic_us() < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(offsets->handle, 100);
        is_answered = message != NULL && message->rkt != NULL;
        if (is_answered && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            code = message->err;
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(offsets->handle, NULL);
    if (!is_answered)
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : offsets_fail(code, tp.topic, err);
}

static void offsets_describe(struct offsets *offsets)
{
    struct error err = ERROR_INIT;
    if (!offsets->group_asked &&
        kafka_group_describe(offsets->handle, offsets->group, OFFSETS_RECORD_MS,
                             &offsets->described, &err) != STATUS_OK)
        offsets->no_group = err.native_code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND;
    offsets->group_asked = true;
}

int offsets_members(struct offsets *offsets, char *ret_host, size_t size)
{
    offsets_describe(offsets);
    const struct rd_kafka_group_info *group = offsets->described == NULL
                                                  ? NULL
                                                  : &offsets->described->groups[0];
    if (group == NULL)
        return offsets->no_group ? 0 : -1;
    if (group->member_cnt > 0)
        (void)snprintf(ret_host, size, "%s", group->members[0].client_host);
    return group->member_cnt;
}

void offsets_owner(struct offsets *offsets, struct topic_partition tp,
                   struct offsets_owner *ret_owner)
{
    *ret_owner = (struct offsets_owner){"-", "-", "-"};
    offsets_describe(offsets);
    const struct rd_kafka_group_member_info *member = kafka_group_owner(offsets->described, tp);
    if (member == NULL)
        return;
    (void)snprintf(ret_owner->consumer_id, sizeof ret_owner->consumer_id, "%s", member->member_id);
    (void)snprintf(ret_owner->host, sizeof ret_owner->host, "%s", member->client_host);
    (void)snprintf(ret_owner->client_id, sizeof ret_owner->client_id, "%s", member->client_id);
}
