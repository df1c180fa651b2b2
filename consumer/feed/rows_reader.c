/* A consumer of one partition, without a group. */
#include "consumer/feed/rows_reader.h"

#include "common/clock.h"
#include "common/kafka_talk.h"
#include "consumer/feed/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_NAME_SIZE    256
#define ROWS_TIMEOUT_MS   10000
#define ROWS_HEADERS_MAX  16
#define ROWS_OTHERS_MAX   10000 /* records of other attempts that one call passes over */
#define ROWS_FETCH_BYTES  "1048576"
#define ROWS_QUEUE_KBYTES "8192"

struct rows_reader {
    const struct rows_reader_options *options;
    char topic[ROWS_NAME_SIZE];
    char group[ROWS_NAME_SIZE];
    rd_kafka_t *consumer;
    rd_kafka_message_t *message; /* what the last record borrows from */
    struct header headers[ROWS_HEADERS_MAX];
    uint64_t number; /* of the last part */
};

static enum status reader_make_topic(const struct rows_reader *reader, struct error *err)
{
    const struct config *config = reader->options->config;
    const struct kafka_talk_options options = {.control_topic = config->control_topic,
                                               .group = reader->group,
                                               .settings = config->kafka,
                                               .setting_count = config->kafka_count,
                                               .choice = config->topics,
                                               .stop = reader->options->stop};
    struct kafka_talk *talk = NULL;
    enum status status = kafka_talk_open(&options, &talk, err);
    if (status == STATUS_OK)
        status = kafka_talk_make(talk, reader->options->data_topic, err);
    kafka_talk_close(talk);
    return status;
}

static enum status reader_open_consumer(struct rows_reader *reader, struct error *err)
{
    const struct config *config = reader->options->config;
    const struct text_pair defaults[] = {{"fetch.wait.max.ms", "50"},
                                         {"fetch.message.max.bytes", ROWS_FETCH_BYTES},
                                         {"queued.max.messages.kbytes", ROWS_QUEUE_KBYTES}};
    const struct text_pair fixed[] = {{"group.id", reader->group},
                                      {"enable.auto.commit", "false"},
                                      {"enable.auto.offset.store", "false"},
                                      {"auto.offset.reset", "error"},
                                      {"isolation.level", "read_uncommitted"},
                                      {"enable.partition.eof", "false"}};
    const struct kafka_settings layers[] = {
        KAFKA_SETTINGS(defaults), {config->kafka, config->kafka_count}, KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 3, &conf, err);
    return status == STATUS_OK ? kafka_handle_new(RD_KAFKA_CONSUMER, conf, &reader->consumer, err)
                               : status;
}

static enum status reader_stand_at_end(struct rows_reader *reader, struct error *err)
{
    int64_t end = 0;
    enum status status = kafka_log_end(reader->consumer, (struct topic_partition){reader->topic, 0},
                                       ROWS_TIMEOUT_MS, &end, err);
    if (status != STATUS_OK)
        return status == STATUS_STOP ? err->status = STATUS_RETRY : status;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->topic, 0)->offset = end;
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    return error_set_native(err, STATUS_RETRY, (int)code, "topic %s: %s", reader->topic,
                            rd_kafka_err2str(code));
}

enum status rows_reader_open(const struct rows_reader_options *options,
                             struct rows_reader **ret_reader, struct error *err)
{
    const struct config *config = options->config;
    struct rows_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a fill");
    reader->options = options;
    (void)snprintf(reader->topic, sizeof reader->topic, "%s-rows-%s", config->control_topic,
                   options->data_topic);
    (void)snprintf(reader->group, sizeof reader->group, "keepstep-fill-%.200s", config->service);
    enum status status = reader_make_topic(reader, err);
    if (status == STATUS_OK)
        status = reader_open_consumer(reader, err);
    if (status == STATUS_OK)
        status = reader_stand_at_end(reader, err);
    if (status == STATUS_OK)
        *ret_reader = reader;
    else
        rows_reader_close(reader);
    return status;
}

void rows_reader_close(struct rows_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->message != NULL)
        rd_kafka_message_destroy(reader->message);
    if (reader->consumer != NULL) {
        (void)rd_kafka_assign(reader->consumer, NULL);
        rd_kafka_destroy_flags(reader->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    free(reader);
}

/* What was trimmed or made anew cannot be read on. */
static enum status reader_fail(const struct rows_reader *reader, rd_kafka_resp_err_t code,
                               struct error *err)
{
    bool is_gone = code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                   code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    return error_set_native(err, is_gone ? STATUS_ABORT : STATUS_RETRY, (int)code,
                            is_gone ? "topic %s was trimmed or made anew while it was read: %s"
                                    : "topic %s: %s",
                            reader->topic, rd_kafka_err2str(code));
}

/* @return OK with whether the record is the attempt's; ABORT. */
static enum status reader_judge(struct rows_reader *reader, const struct record *record,
                                struct fill_head *ret_head, bool *ret_is_ours, struct error *err)
{
    struct error why = ERROR_INIT;
    enum status status = fill_head_read(record, ret_head, &why);
    *ret_is_ours = slice_is(ret_head->id, reader->options->id);
    if (!*ret_is_ours)
        return STATUS_OK;
    if (status != STATUS_OK)
        return error_set(err, STATUS_ABORT, "topic %s, offset %" PRId64 ": %s", reader->topic,
                         record->offset, why.text);
    if (ret_head->number != reader->number + 1)
        return error_set(err, STATUS_ABORT,
                         "topic %s, offset %" PRId64 ": part %" PRIu64 " comes behind part %" PRIu64
                         ": the ones between are missing",
                         reader->topic, record->offset, ret_head->number, reader->number);
    reader->number++;
    return STATUS_OK;
}

enum status rows_reader_poll(struct rows_reader *reader, int timeout_ms, struct record *ret_record,
                             struct fill_head *ret_head, struct error *err)
{
    bool is_ours = false;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && !is_ours && i < ROWS_OTHERS_MAX; i++) {
        *ret_record = (struct record){0}; /* another attempt's is in the message that goes */
        if (reader->message != NULL)
            rd_kafka_message_destroy(reader->message);
        reader->message = rd_kafka_consumer_poll(reader->consumer, timeout_ms);
        if (reader->message == NULL)
            return STATUS_OK;
        if (reader->message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return reader_fail(reader, reader->message->err, err);
        *ret_record = message_record(reader->message, reader->headers, ROWS_HEADERS_MAX);
        status = reader_judge(reader, ret_record, ret_head, &is_ours, err);
    }
    if (!is_ours)
        *ret_record = (struct record){0};
    return status;
}
