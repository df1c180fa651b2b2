/* Reads ranges of the log with a consumer that joins no group: it is given its partitions. */
#include "producer/relay/kafka_log_reader.h"
#include "common/kafka_client.h"

#include <stdio.h>
#include <stdlib.h>

#define QUERY_TIMEOUT_MS 5000 /* less than a lease lasts */
#define POLL_MS          100
#define IDLE_POLLS_MAX   300

struct log_reader {
    const struct log_reading *reading;
    rd_kafka_t *handle;
    int64_t *until; /* of each range: read to here in this pass; 0: done, or not read */
    size_t open_count;
    struct header *headers;
    size_t header_size;
};

static enum status log_reader_new(struct log_reader *reader, const struct config *config,
                                  struct error *err)
{
    char group[512];
    rd_kafka_conf_t *conf = NULL;
    (void)snprintf(group, sizeof group, "keepstep-%s-%s", reader->reading->reader, config->service);
    const struct text_pair fixed[] = {
        {"group.id", group},
        {"enable.auto.commit", "false"},
        {"fetch.wait.max.ms", "20"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_uncommitted"},
    };
    const struct kafka_settings layers[] = {{config->kafka, config->kafka_count},
                                            KAFKA_SETTINGS(fixed)};
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status == STATUS_OK)
        status = kafka_handle_new(RD_KAFKA_CONSUMER, conf, &reader->handle, err);
    return status;
}

static enum status log_reader_tick(const struct log_reader *reader, struct error *err)
{
    const struct log_reading *reading = reader->reading;
    return reading->tick == NULL ? STATUS_OK : reading->tick(reading->context, err);
}

static enum status log_reader_bounds(const struct log_reader *reader, struct log_range *range,
                                     struct error *err)
{
    enum status status = kafka_log_bounds(reader->handle, range->tp, QUERY_TIMEOUT_MS,
                                          &range->bounds, err);
    if (status == STATUS_STOP && range->must_exist) {
        error_clear(err);
        return error_set(error_config(err), STATUS_FATAL,
                         "%s [%d] is gone, but it is not known whether all that this outbox "
                         "numbered for it was sent: make the topic again as it was, or "
                         "`keepstep init --new-incarnation` starts a new history",
                         range->tp.topic, (int)range->tp.partition);
    }
    if (status != STATUS_OK)
        return err->status = STATUS_RETRY;
    if (range->until == 0 &&
        (range->anchor >= range->bounds.end || range->from > range->bounds.end))
        return error_set(error_config(err), STATUS_FATAL,
                         "%s [%d] ends at %lld, before what this outbox published or read: the "
                         "topic was made anew or cut; `keepstep init --new-incarnation` starts a "
                         "new history",
                         range->tp.topic, (int)range->tp.partition, (long long)range->bounds.end);
    if (range->from <= range->anchor)
        range->from = range->anchor + 1;
    return log_reader_tick(reader, err);
}

/* Where a pass begins to read a range. There are two passes. The second one reads the ranges, each
 * with its anchor if that stands right before it. The first one reads the other anchors alone.
 * @return -1 if there is nothing to read. */
static int64_t log_reader_start(const struct log_range *range, bool anchors, int64_t *ret_until)
{
    bool stands = range->anchor >= range->bounds.first && range->anchor >= 0;
    int64_t start = range->from < range->bounds.first ? range->bounds.first : range->from;
    bool apart = stands && range->anchor + 1 < start;
    int64_t end = range->bounds.end;
    if (range->until > 0 && range->until < end)
        end = range->until;
    *ret_until = anchors ? range->anchor + 1 : end;
    if (anchors)
        return apart ? range->anchor : -1;
    if (stands && !apart)
        start = range->anchor;
    return start < end ? start : -1;
}

static enum status log_reader_assign(struct log_reader *reader, bool anchors, struct error *err)
{
    const struct log_reading *reading = reader->reading;
    enum status status = STATUS_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)reading->count);
    reader->open_count = 0;
    for (size_t i = 0; i < reading->count; i++) {
        const struct log_range *range = &reading->ranges[i];
        int64_t until = 0;
        int64_t start = log_reader_start(range, anchors, &until);
        reader->until[i] = start < 0 ? 0 : until;
        if (start < 0)
            continue;
        rd_kafka_topic_partition_list_add(list, range->tp.topic, range->tp.partition)->offset =
            start;
        reader->open_count++;
    }
    if (list->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_assign(reader->handle, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = error_set_native(err, STATUS_RETRY, (int)code, "reading the log: %s",
                                      rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* All headers of a record are read: any of them may say whose it is. */
static struct header *log_reader_headers(struct log_reader *reader, size_t count)
{
    if (count <= reader->header_size && reader->headers != NULL)
        return reader->headers;
    struct header *more = realloc(reader->headers, (count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    reader->headers = more;
    reader->header_size = count;
    return more;
}

static enum status log_reader_visit(struct log_reader *reader, struct log_range *range,
                                    const rd_kafka_message_t *message, struct error *err)
{
    rd_kafka_headers_t *source = NULL;
    struct record record = {
        .topic = range->tp.topic,
        .partition = range->tp.partition,
        .offset = message->offset,
        .key = {.data = message->key, .length = message->key_len},
        .value = {.data = message->payload, .length = message->len},
    };
    if (rd_kafka_message_headers(message, &source) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *name = NULL;
        const void *value = NULL;
        size_t length = 0;
        struct header *headers = log_reader_headers(reader, rd_kafka_header_cnt(source));
        if (headers == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
        while (rd_kafka_header_get_all(source, record.header_count, &name, &value, &length) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
            headers[record.header_count++] = (struct header){
                .name = slice_of(name), .value = {.data = value, .length = length}};
        }
        record.headers = headers;
    }
    return reader->reading->visit(reader->reading->context, range, &record, err);
}

static enum status log_reader_take(struct log_reader *reader, const rd_kafka_message_t *message,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    bool eof = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && !eof)
        return error_set_native(err, STATUS_RETRY, (int)message->err, "reading the log: %s",
                                rd_kafka_message_errstr(message));
    const char *topic = rd_kafka_topic_name(message->rkt);
    for (size_t i = 0; i < reader->reading->count; i++) {
        struct log_range *range = &reader->reading->ranges[i];
        if (reader->until[i] == 0 || range->tp.partition != message->partition ||
            strcmp(range->tp.topic, topic) != 0)
            continue;
        if (!eof && message->offset < reader->until[i])
            status = log_reader_visit(reader, range, message, err);
        if (eof || message->offset + 1 >= reader->until[i]) {
            reader->until[i] = 0;
            reader->open_count--;
        }
        break;
    }
    return status;
}

static enum status log_reader_pass(struct log_reader *reader, bool anchors, struct error *err)
{
    int idle = 0;
    enum status status = log_reader_assign(reader, anchors, err);
    while (status == STATUS_OK && reader->open_count > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->handle, POLL_MS);
        idle = message == NULL ? idle + 1 : 0;
        if (message != NULL) {
            status = log_reader_take(reader, message, err);
            rd_kafka_message_destroy(message);
        } else if (atomic_load(reader->reading->stop) || idle > IDLE_POLLS_MAX) {
            status = error_set(err, STATUS_RETRY, "the log was not read to its end");
        }
        if (status == STATUS_OK)
            status = log_reader_tick(reader, err);
    }
    return status;
}

enum status kafka_log_read(const struct log_reading *reading, struct error *err)
{
    struct log_reader reader = {.reading = reading};
    enum status status = log_reader_new(&reader, reading->config, err);
    reader.until = calloc(reading->count + 1, sizeof *reader.until);
    if (status == STATUS_OK && reader.until == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; status == STATUS_OK && i < reading->count; i++)
        status = log_reader_bounds(&reader, &reading->ranges[i], err);
    if (status == STATUS_OK)
        status = log_reader_pass(&reader, true, err);
    if (status == STATUS_OK)
        status = log_reader_pass(&reader, false, err);
    if (reader.handle != NULL) {
        (void)rd_kafka_assign(reader.handle, NULL);
        rd_kafka_destroy_flags(reader.handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    free(reader.headers);
    free(reader.until);
    return status;
}
