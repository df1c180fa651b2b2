/* The broker says which record is the first one that is not older than a time. */
#include "common/kafka_retention.h"

#include "common/clock.h"
#include "common/kafka_configs.h"

#include <stdlib.h>

#define TIMEOUT_MS 2000 /* of each request */

struct retention_question {
    rd_kafka_t *handle;
    const char *topic;
    const atomic_bool *stop;
};

/* A look takes seconds where a broker is slow: a process that ends does not wait for it. */
static enum status retention_go_on(const struct retention_question *asked, enum status status,
                                   struct error *err)
{
    if (status == STATUS_OK && asked->stop != NULL && atomic_load(asked->stop))
        return error_set(err, STATUS_RETRY, "the process ends");
    return status;
}

/* For one mark, of all partitions. */
static enum status retention_ask(const struct retention_question *asked, size_t mark,
                                 struct topic_retention *retention, struct error *err)
{
    double age_s = retention->retention_s - retention->marks[mark];
    int64_t time_ms = clock_wall_us() / 1000 - (int64_t)(age_s * 1000);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(
        retention->partition_count);
    for (int32_t i = 0; i < retention->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, asked->topic, i)->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(asked->handle, list, TIMEOUT_MS);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        struct partition_retention *partition = &retention->partitions[list->elems[i].partition];
        int64_t offset = list->elems[i].offset; /* below 0: all records are older */
        code = list->elems[i].err;
        partition->kept[mark] = offset < 0 || offset > partition->bounds.end ? partition->bounds.end
                                                                             : offset;
        if (mark > 0 && partition->kept[mark] < partition->kept[mark - 1])
            partition->kept[mark] = partition->kept[mark - 1];
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : error_set_native(err, STATUS_RETRY, (int)code, "topic %s: %s", asked->topic,
                                  rd_kafka_err2str(code));
}

static enum status retention_look(const struct retention_question *asked,
                                  struct topic_retention *retention, struct error *err)
{
    enum status status = retention_go_on(asked, STATUS_OK, err);
    for (int32_t i = 0; status == STATUS_OK && i < retention->partition_count; i++) {
        status = kafka_log_bounds(asked->handle, (struct topic_partition){asked->topic, i},
                                  TIMEOUT_MS, &retention->partitions[i].bounds, err);
        status = retention_go_on(asked, status, err);
    }
    for (size_t i = 0; status == STATUS_OK && i < RETENTION_MARKS; i++) {
        status = retention_ask(asked, i, retention, err);
        status = retention_go_on(asked, status, err);
    }
    return status;
}

enum status kafka_retention_read(rd_kafka_t *handle, const char *topic, const atomic_bool *stop,
                                 struct topic_retention *ret_retention, struct error *err)
{
    const struct retention_question asked = {handle, topic, stop};
    struct kafka_topic found;
    struct topic_settings settings;
    *ret_retention = (struct topic_retention){0};
    enum status status = retention_go_on(&asked, STATUS_OK, err);
    if (status == STATUS_OK)
        status = kafka_topic_describe(handle, topic, TIMEOUT_MS, &found, err);
    if (status != STATUS_OK || found.partitions == 0 || kafka_is_mock(found.cluster_id))
        return status;
    status = kafka_topic_settings(handle, topic, TIMEOUT_MS, &settings, err);
    if (status != STATUS_OK || settings.retention_ms <= 0 || settings.is_compacted)
        return status;
    ret_retention->partitions = calloc((size_t)found.partitions, sizeof *ret_retention->partitions);
    if (ret_retention->partitions == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions of %s", topic);
    ret_retention->partition_count = found.partitions;
    ret_retention->retention_s = (double)settings.retention_ms / 1e3;
    topic_retention_mark(ret_retention);
    status = retention_look(&asked, ret_retention, err);
    if (status != STATUS_OK)
        topic_retention_done(ret_retention);
    return status;
}
