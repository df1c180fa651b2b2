/* Each part becomes a record. What was sent and not acknowledged yet is bounded, so that a slow
 * broker makes the source wait. */
#include "operate/fill/rows_writer.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/kafka_talk.h"
#include "producer/relay/kafka_producer.h"

#include <stdio.h>
#include <stdlib.h>

#define WRITER_NAME_SIZE     256
#define WRITER_UNDER_WAY_MAX ((size_t)16 * 1024 * 1024) /* bytes that are not acknowledged */
#define WRITER_RECORDS_MAX   16384
#define WRITER_RECORD_BYTES  ((size_t)300) /* of a record, besides key and value */
#define WRITER_POLL_MS       50
#define WRITER_LAST_US       (INT64_C(2) * 1000 * 1000)
#define WRITER_TELL_US       (INT64_C(10) * 1000 * 1000) /* between two parts while it waits */
#define WRITER_VALUE_MAX     (2 * FILL_RECORD_BYTES_MAX)

struct rows_writer {
    const struct rows_writer_options *options;
    char topic[WRITER_NAME_SIZE];
    char group[WRITER_NAME_SIZE];
    struct kafka_producer *producer;
    uint64_t number; /* of the last part */
    struct buffer value;
    struct fill_key *keys; /* FILL_KEYS_MAX of them, in the arena */
    size_t key_count;
    size_t key_bytes;
    struct arena arena;
    int64_t told_us; /* monotonic, when it was told last that the source waits */
    /* What was sent and not acknowledged: */
    size_t sizes[WRITER_RECORDS_MAX]; /* of the records, by their number */
    uint64_t sent;
    uint64_t reported;
    size_t bytes_under_way;
    bool is_refused;
    bool has_failed;
};

/* Reports come in the order of sending, because all goes to one partition. */
static void writer_report(void *record, enum delivery delivery, int64_t offset, const char *text)
{
    struct rows_writer *writer = record;
    (void)offset;
    (void)text;
    writer->bytes_under_way -= writer->sizes[writer->reported++ % WRITER_RECORDS_MAX];
    writer->is_refused = writer->is_refused || delivery == DELIVERY_REFUSED;
    writer->has_failed = writer->has_failed || delivery == DELIVERY_FAILED;
}

static enum status writer_make_topic(const struct rows_writer *writer, struct error *err)
{
    const struct config *config = writer->options->config;
    const struct kafka_talk_options options = {.control_topic = config->control_topic,
                                               .group = writer->group,
                                               .settings = config->kafka,
                                               .setting_count = config->kafka_count,
                                               .choice = config->topics,
                                               .stop = writer->options->stop};
    struct kafka_talk *talk = NULL;
    enum status status = kafka_talk_open(&options, &talk, err);
    if (status == STATUS_OK)
        status = kafka_talk_make(talk, writer->options->data_topic, err);
    kafka_talk_close(talk);
    return status;
}

enum status rows_writer_open(const struct rows_writer_options *options,
                             struct rows_writer **ret_writer, struct error *err)
{
    const struct config *config = options->config;
    struct rows_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a fill");
    writer->options = options;
    buffer_init(&writer->value, WRITER_VALUE_MAX);
    arena_init(&writer->arena, WRITER_VALUE_MAX);
    (void)snprintf(writer->topic, sizeof writer->topic, "%s-rows-%s", config->control_topic,
                   options->data_topic);
    (void)snprintf(writer->group, sizeof writer->group, "keepstep-fill-%.200s", config->service);
    enum status status = writer_make_topic(writer, err);
    if (status == STATUS_OK)
        status = kafka_producer_new(config, 0, writer_report, &writer->producer, err);
    if (status == STATUS_OK)
        *ret_writer = writer;
    else
        rows_writer_close(writer);
    return status;
}

void rows_writer_close(struct rows_writer *writer)
{
    if (writer == NULL)
        return;
    kafka_producer_free(writer->producer);
    buffer_done(&writer->value);
    arena_done(&writer->arena);
    free(writer);
}

static bool writer_has_room(const struct rows_writer *writer)
{
    return writer->bytes_under_way <= WRITER_UNDER_WAY_MAX &&
           writer->sent - writer->reported < WRITER_RECORDS_MAX;
}

/* Waits until there is room for one more record; with `all` until none is under way. */
static enum status writer_drain(struct rows_writer *writer, bool all, struct error *err)
{
    int timeout_ms = 0;
    do {
        if (atomic_load(writer->options->stop))
            return error_set(err, STATUS_RETRY, "its sidecar ends");
        (void)kafka_producer_poll(writer->producer, timeout_ms);
        timeout_ms = WRITER_POLL_MS;
    } while (!writer->is_refused && !writer->has_failed &&
             (all ? writer->sent > writer->reported : !writer_has_room(writer)));
    if (writer->is_refused)
        return error_set(err, STATUS_ABORT, "topic %s does not take one of the rows",
                         writer->topic);
    if (writer->has_failed)
        return error_set(err, STATUS_ABORT, "topic %s: a row may be lost", writer->topic);
    return STATUS_OK;
}

static enum status writer_send(struct rows_writer *writer, const struct fill_head *head,
                               struct slice key, struct slice value, struct error *err)
{
    struct fill_headers headers;
    size_t size = key.length + value.length + WRITER_RECORD_BYTES;
    enum status status = fill_head_write(head, &headers, err);
    if (status == STATUS_OK && head->part != FILL_PART_VOID)
        status = writer_drain(writer, false, err);
    if (status != STATUS_OK)
        return status;
    const struct kafka_message message = {.tp = {writer->topic, 0},
                                          .key = key,
                                          .value = value,
                                          .headers = headers.headers,
                                          .header_count = headers.count,
                                          .record = writer};
    status = kafka_producer_send(writer->producer, &message, err);
    if (status == STATUS_OK) {
        writer->sizes[writer->sent++ % WRITER_RECORDS_MAX] = size;
        writer->bytes_under_way += size;
        writer->number++;
        return STATUS_OK;
    }
    return status == STATUS_FATAL ? status : (err->status = STATUS_ABORT);
}

/* A part whose value stands in the buffer. */
static enum status writer_send_value(struct rows_writer *writer, enum fill_part part,
                                     struct error *err)
{
    const struct fill_head head = {
        .id = slice_of(writer->options->id), .part = part, .number = writer->number + 1};
    if (writer->value.failed || writer->value.length > FILL_RECORD_BYTES_MAX)
        return error_set(err, STATUS_ABORT,
                         "a part of the fill is larger than %zu bytes: too many partitions, or "
                         "sources of events",
                         FILL_RECORD_BYTES_MAX);
    enum status status = writer_send(writer, &head, (struct slice){0}, buffer_slice(&writer->value),
                                     err);
    buffer_reset(&writer->value);
    return status;
}

static enum status writer_begin(void *context, const struct fill_begin *begin, struct error *err)
{
    struct rows_writer *writer = context;
    fill_begin_append(begin, &writer->value);
    enum status status = writer_send_value(writer, FILL_PART_BEGIN, err);
    if (status == STATUS_OK) /* the copy is cleared while the first rows are read */
        status = writer_drain(writer, true, err);
    failpoint(FAILPOINT_FILL_SOURCE_BEGUN);
    return status;
}

static enum status writer_row(void *context, const struct fill_row *row, struct error *err)
{
    struct rows_writer *writer = context;
    const struct fill_head head = {.id = slice_of(writer->options->id),
                                   .part = FILL_PART_ROW,
                                   .number = writer->number + 1,
                                   .entity_type = row->entity_type};
    enum status status = writer_send(writer, &head, row->key, row->value, err);
    failpoint(FAILPOINT_FILL_SOURCE_ROW);
    return status;
}

static enum status writer_send_keys(struct rows_writer *writer, struct error *err)
{
    if (writer->key_count == 0)
        return STATUS_OK;
    fill_keys_append(writer->keys, writer->key_count, &writer->value);
    writer->key_count = writer->key_bytes = 0;
    arena_reset(&writer->arena);
    return writer_send_value(writer, FILL_PART_KEYS, err);
}

static enum status writer_key(void *context, const struct fill_key *key, struct error *err)
{
    struct rows_writer *writer = context;
    enum status status = STATUS_OK;
    if (writer->key_count == 0)
        writer->keys = arena_alloc(&writer->arena, FILL_KEYS_MAX * sizeof *writer->keys);
    if (writer->keys == NULL)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    struct fill_key *kept = &writer->keys[writer->key_count];
    *kept = (struct fill_key){.source = arena_copy(&writer->arena, key->source),
                              .id = arena_copy(&writer->arena, key->id),
                              .digest = key->digest};
    if (kept->source.data == NULL || kept->id.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    writer->key_bytes += key->source.length + key->id.length;
    if (++writer->key_count == FILL_KEYS_MAX || writer->key_bytes > FILL_RECORD_BYTES_MAX / 8)
        status = writer_send_keys(writer, err);
    return status;
}

static enum status writer_end(void *context, const struct fill_end *end, struct error *err)
{
    struct rows_writer *writer = context;
    enum status status = writer_send_keys(writer, err);
    failpoint(FAILPOINT_FILL_SOURCE_BEFORE_END);
    fill_end_append(end, &writer->value);
    if (status == STATUS_OK)
        status = writer_send_value(writer, FILL_PART_END, err);
    if (status == STATUS_OK)
        status = writer_drain(writer, true, err);
    failpoint(FAILPOINT_FILL_SOURCE_AFTER_END);
    return status;
}

/* Whoever reads hears that the source is alive, and what it waits for. */
static enum status writer_wait(void *context, const char *for_what, struct error *err)
{
    struct rows_writer *writer = context;
    int64_t now_us = clock_monotonic_us();
    enum status status = writer_drain(writer, false, err);
    if (status != STATUS_OK || (writer->told_us != 0 && now_us - writer->told_us < WRITER_TELL_US))
        return status;
    writer->told_us = now_us;
    status = writer_send_keys(writer, err);
    fill_reason_append(for_what, &writer->value);
    return status == STATUS_OK ? writer_send_value(writer, FILL_PART_WAIT, err) : status;
}

struct fill_sink rows_writer_sink(struct rows_writer *writer)
{
    return (struct fill_sink){.begin = writer_begin,
                              .row = writer_row,
                              .key = writer_key,
                              .end = writer_end,
                              .wait = writer_wait,
                              .context = writer};
}

enum status rows_writer_void(struct rows_writer *writer, const char *reason, struct error *err)
{
    buffer_reset(&writer->value);
    fill_reason_append(reason, &writer->value);
    int64_t until_us = clock_monotonic_us() + WRITER_LAST_US; /* also where its sidecar ends */
    enum status status = writer_send_value(writer, FILL_PART_VOID, err);
    while (status == STATUS_OK && writer->sent > writer->reported &&
           clock_monotonic_us() < until_us)
        (void)kafka_producer_poll(writer->producer, WRITER_POLL_MS);
    return status;
}
