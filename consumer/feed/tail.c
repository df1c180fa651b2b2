/* A consumer of a topic's partitions, without a group. */
#include "consumer/feed/tail.h"

#include "common/clock.h"
#include "consumer/feed/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_TIMEOUT_MS   10000
#define TAIL_HEADERS_MAX  (RECORD_HEADERS_READ + 1)
#define TAIL_QUEUE_KBYTES "8192" /* while nobody reads what is printed */

struct tail {
    const char *topic;
    rd_kafka_t *handle;
    rd_kafka_message_t *message; /* what the last record borrows from */
    struct header headers[TAIL_HEADERS_MAX];
    int32_t first; /* of the partitions that are read */
    int32_t count;
    int64_t *end;  /* of each: where the log ended when it was opened */
    int64_t *next; /* of each: what is read next */
    size_t left;   /* partitions that have not come to their end */
};

bool tail_start_read(const char *text, struct tail_start *ret_start)
{
    char *rest = NULL;
    if (strcmp(text, "beginning") == 0 || strcmp(text, "end") == 0) {
        ret_start->from = text[0] == 'b' ? TAIL_BEGINNING : TAIL_END;
        return true;
    }
    ret_start->from = TAIL_TIME;
    if (clock_parse_rfc3339(text, strlen(text), &ret_start->value))
        return true;
    ret_start->from = TAIL_OFFSET;
    errno = 0;
    ret_start->value = strtoll(text, &rest, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *rest == '\0';
}

static enum status tail_open_handle(struct tail *tail, const struct config *config,
                                    struct error *err)
{
    const struct text_pair defaults[] = {{"fetch.wait.max.ms", "50"},
                                         {"queued.max.messages.kbytes", TAIL_QUEUE_KBYTES}};
    const struct text_pair fixed[] = {
        {"group.id", "keepstep-tail"}, /* it is not joined */
        {"enable.auto.commit", "false"},   {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"}, {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},  {"log_level", "0"}}; /* tail_poll() says it */
    const struct kafka_settings layers[] = {
        KAFKA_SETTINGS(defaults), {config->kafka, config->kafka_count}, KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 3, &conf, err);
    return status == STATUS_OK ? kafka_handle_new(RD_KAFKA_CONSUMER, conf, &tail->handle, err)
                               : status;
}

static enum status tail_describe(struct tail *tail, const struct tail_options *options,
                                 struct error *err)
{
    struct kafka_topic topic = {0};
    enum status status = kafka_topic_describe(tail->handle, tail->topic, TAIL_TIMEOUT_MS, &topic,
                                              err);
    if (status != STATUS_OK)
        return status;
    if (topic.partitions == 0)
        return error_set(err, STATUS_STOP, "topic %s does not exist yet", tail->topic);
    if (options->partition >= topic.partitions)
        return error_set(err, STATUS_STOP, "topic %s has %d partitions, from 0 on", tail->topic,
                         (int)topic.partitions);
    tail->first = options->partition < 0 ? 0 : options->partition;
    tail->count = options->partition < 0 ? topic.partitions : 1;
    tail->end = calloc((size_t)tail->count, sizeof *tail->end);
    tail->next = calloc((size_t)tail->count, sizeof *tail->next);
    return tail->end == NULL || tail->next == NULL ? error_set(err, STATUS_FATAL, "no memory")
                                                   : STATUS_OK;
}

/* Find the first offset of each partition whose record is not older; the end where there is none.
 */
static enum status tail_find_times(struct tail *tail, rd_kafka_topic_partition_list_t *list,
                                   int64_t time_us, struct error *err)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = time_us < 0 ? 0 : time_us / 1000;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(tail->handle, list, TAIL_TIMEOUT_MS);
    for (int i = 0; i < list->cnt; i++) {
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            code = list->elems[i].err;
        if (list->elems[i].offset < 0)
            list->elems[i].offset = tail->end[i];
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : error_set_native(err, kafka_error_status(code), (int)code, "topic %s: %s",
                                  tail->topic, rd_kafka_err2str(code));
}

static enum status tail_find_start(struct tail *tail, const struct tail_start *start,
                                   rd_kafka_topic_partition_list_t *list, struct error *err)
{
    enum status status = STATUS_OK;
    for (int32_t i = 0; status == STATUS_OK && i < tail->count; i++) {
        struct log_bounds bounds = {0};
        status = kafka_log_bounds(tail->handle,
                                  (struct topic_partition){tail->topic, tail->first + i},
                                  TAIL_TIMEOUT_MS, &bounds, err);
        tail->end[i] = bounds.end;
        int64_t wanted = start->from == TAIL_END      ? bounds.end
                         : start->from == TAIL_OFFSET ? start->value
                                                      : bounds.first;
        rd_kafka_topic_partition_list_add(list, tail->topic, tail->first + i)->offset =
            wanted < bounds.first ? bounds.first
            : wanted > bounds.end ? bounds.end
                                  : wanted;
    }
    if (status == STATUS_OK && start->from == TAIL_TIME)
        status = tail_find_times(tail, list, start->value, err);
    return status;
}

static enum status tail_assign(struct tail *tail, const struct tail_start *start, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(tail->count);
    enum status status = tail_find_start(tail, start, list, err);
    for (int32_t i = 0; status == STATUS_OK && i < tail->count; i++) {
        tail->next[i] = list->elems[i].offset;
        tail->left += tail->next[i] < tail->end[i];
    }
    if (status == STATUS_OK) {
        rd_kafka_resp_err_t code = rd_kafka_assign(tail->handle, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = error_set_native(err, STATUS_RETRY, (int)code, "topic %s: %s", tail->topic,
                                      rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

enum status tail_open(const struct tail_options *options, struct tail **ret_tail, struct error *err)
{
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL)
        return error_set(err, STATUS_FATAL, "no memory");
    tail->topic = options->topic;
    enum status status = tail_open_handle(tail, options->config, err);
    if (status == STATUS_OK)
        status = tail_describe(tail, options, err);
    if (status == STATUS_OK)
        status = tail_assign(tail, &options->start, err);
    if (status == STATUS_OK)
        *ret_tail = tail;
    else
        tail_close(tail);
    return status;
}

void tail_close(struct tail *tail)
{
    if (tail == NULL)
        return;
    if (tail->message != NULL)
        rd_kafka_message_destroy(tail->message);
    if (tail->handle != NULL) {
        (void)rd_kafka_assign(tail->handle, NULL);
        rd_kafka_destroy_flags(tail->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    free(tail->end);
    free(tail->next);
    free(tail);
}

/* Control records and aborted ones have no message, so the log's end says that they were passed. */
static void tail_note_next(struct tail *tail, int32_t partition, int64_t next)
{
    int32_t index = partition - tail->first;
    if (index < 0 || index >= tail->count || next <= tail->next[index])
        return;
    tail->left -= tail->next[index] < tail->end[index] && next >= tail->end[index];
    tail->next[index] = next;
}

static const char *tail_time_type(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    (void)rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_CREATE_TIME       ? "create"
           : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "logappend"
                                                        : "unknown";
}

enum status tail_poll(struct tail *tail, int timeout_ms, struct tail_record *ret_record,
                      struct error *err)
{
    *ret_record = (struct tail_record){0};
    if (tail->message != NULL)
        rd_kafka_message_destroy(tail->message);
    tail->message = rd_kafka_consumer_poll(tail->handle, timeout_ms);
    const rd_kafka_message_t *message = tail->message;
    if (message == NULL)
        return STATUS_OK;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        tail_note_next(tail, message->partition, message->offset);
        return STATUS_OK;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set_native(err, STATUS_RETRY, (int)message->err, "topic %s: %s", tail->topic,
                                rd_kafka_message_errstr(message));
    tail_note_next(tail, message->partition, message->offset + 1);
    ret_record->record = message_record(message, tail->headers, TAIL_HEADERS_MAX);
    ret_record->time_type = tail_time_type(message);
    ret_record->broker = rd_kafka_message_broker_id(message);
    return STATUS_OK;
}

bool tail_is_at_end(const struct tail *tail)
{
    return tail->left == 0;
}

bool tail_was_there(const struct tail *tail, const struct record *record)
{
    return record->offset < tail->end[record->partition - tail->first];
}
