/* Taking over: what the log already has is adopted, what it lacks is sent again (rule 10). */
#include "producer/relay_internal.h"
#include "producer/kafka_log_reader.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CAREFUL_POLL_MS 100

static void relay_tell_retention(struct relay_topic *topic)
{
    if (topic->retention_told ||
        (topic->settings.retention_ms <= 0 && topic->settings.retention_bytes <= 0))
        return;
    topic->retention_told = true;
    log_warning("relay",
                "topic %s does not keep its records for ever (retention.ms=%" PRId64
                ", retention.bytes=%" PRId64 "): a copy that begins later or is away for longer "
                "lacks changes and stops; set both to -1, or keep more than any copy may lack",
                topic->name, topic->settings.retention_ms, topic->settings.retention_bytes);
}

static enum status relay_topics(struct relay *relay, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < relay->topic_count; i++) {
        if (relay->topics[i].entry == NULL)
            continue;
        status = kafka_producer_topic(relay->producer, relay->topics[i].entry,
                                      &relay->topics[i].settings, err);
        if (status == STATUS_OK)
            relay_tell_retention(&relay->topics[i]);
    }
    return status;
}

/* The producer, made again where a topic turns out to take less at once than it would send. */
static enum status relay_new_producer(struct relay *relay, struct error *err)
{
    for (;;) {
        int64_t smallest = relay->batch_bytes == 0 ? KAFKA_BATCH_BYTES : relay->batch_bytes;
        enum status status = kafka_producer_new(relay->options.config, relay->batch_bytes,
                                                relay_delivered, &relay->producer, err);
        if (status == STATUS_OK)
            status = relay_topics(relay, err);
        if (status != STATUS_OK)
            return status;
        bool fits = true;
        for (size_t i = 0; i < relay->topic_count; i++) {
            int64_t size = relay->topics[i].settings.size_max;
            fits = fits && (size == 0 || size >= smallest);
            smallest = size > 0 && size < smallest ? size : smallest;
        }
        if (fits)
            return STATUS_OK;
        relay->batch_bytes = smallest;
        kafka_producer_free(relay->producer);
        relay->producer = NULL;
    }
}

static enum status relay_stop_loudly(struct error *err, const struct record *record,
                                     const char *what)
{
    return error_set(error_config(err), STATUS_FATAL, "%s [%d] offset %" PRId64 ": %s",
                     record->topic, (int)record->partition, record->offset, what);
}

/* An own record: adopted where it is above what was acknowledged. */
static enum status relay_adopt(struct relay *relay, struct relay_lane *lane,
                               const struct change *change, struct error *err)
{
    static const char rewound[] =
        "an own record that the outbox does not know: the database was rewound or cloned. Stop "
        "the other relay, or restore the newest backup; after a restore `keepstep init "
        "--new-incarnation` starts a new history behind what the log has";
    struct outbox_row row = {0};
    struct relay_partition *state = &lane->state;
    enum status status = relay->outbox->ops->find(relay->outbox, change->id, &relay->arena, &row,
                                                  err);
    if (status != STATUS_OK)
        return status;
    bool known = row.position != 0 && row.sequence == change->sequence &&
                 row.partition == state->partition && row.topic != NULL &&
                 strcmp(row.topic, state->topic) == 0;
    if (change->sequence <= state->acknowledged_sequence) {
        bool other = row.position != 0 && !known;
        if (change->sequence == state->acknowledged_sequence)
            other = other || !slice_is(change->id, state->acknowledged_id);
        return other ? relay_stop_loudly(err, &change->record, rewound) : STATUS_OK;
    }
    if (!known || change->sequence != state->acknowledged_sequence + 1)
        return relay_stop_loudly(err, &change->record, rewound);
    state->acknowledged_sequence = change->sequence;
    state->acknowledged_offset = change->record.offset;
    (void)snprintf(state->acknowledged_id, sizeof state->acknowledged_id, "%.*s",
                   SLICE_ARGS(change->id));
    lane->touched = true;
    atomic_fetch_add(&relay->options.metrics->adopted, 1);
    return STATUS_OK;
}

static const struct entity_schema *relay_no_schema(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

/* Where the last acknowledged record stood, it must stand: another one there is another log. */
static enum status relay_check_anchor(const struct relay_lane *lane, const struct change *change,
                                      struct error *err)
{
    const struct relay_partition *state = &lane->state;
    if (change->sequence == state->acknowledged_sequence &&
        slice_is(change->id, state->acknowledged_id))
        return STATUS_OK;
    return relay_stop_loudly(err, &change->record,
                             "not the record that this outbox published there: the topic was made "
                             "anew, or this is another cluster. Go back to the log it knew; "
                             "`keepstep init --new-incarnation` starts a new history in this one");
}

static enum status relay_visit(void *context, struct log_range *range, const struct record *record,
                               struct error *err)
{
    struct relay *relay = context;
    struct relay_topic *topic = relay_find_topic(relay, range->topic);
    struct relay_lane *lane = &topic->lanes[range->partition];
    struct change change = {0};
    struct error malformed = ERROR_INIT;
    arena_reset(&relay->arena);
    enum status status = record_decode(record, relay_no_schema, NULL, &relay->arena, &change,
                                       &malformed);
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", malformed.text);
    change.record.topic = range->topic;
    change.record.partition = range->partition;
    change.record.offset = record->offset;
    bool own = slice_is(change.source, relay->lease.origin);
    if (record->offset == range->from && lane->state.acknowledged_sequence > 0)
        status = relay_check_anchor(lane, &change, err);
    else
        status = STATUS_OK; /* what is malformed is for the peers to judge */
    if (status != STATUS_OK)
        return status;
    if (!own && change.source.length > 0 && !topic->applied)
        return relay_stop_loudly(err, &change.record,
                                 "another service publishes here; a type with several writers "
                                 "must be applied by each: add it under apply:");
    if (!own || !slice_is(change.incarnation, relay->lease.incarnation) || change.sequence == 0)
        return STATUS_OK;
    return relay_adopt(relay, lane, &change, err);
}

static enum status relay_read_log(struct relay *relay, const atomic_bool *stop, struct error *err)
{
    size_t count = 0;
    for (size_t t = 0; t < relay->topic_count; t++)
        count += (size_t)relay->topics[t].lane_count;
    struct log_range *ranges = calloc(count + 1, sizeof *ranges);
    if (ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    count = 0;
    for (size_t t = 0; t < relay->topic_count; t++) {
        const struct relay_topic *topic = &relay->topics[t];
        for (int32_t p = 0; p < topic->lane_count; p++) {
            const struct relay_partition *state = &topic->lanes[p].state;
            if (topic->entry == NULL && state->last_sequence == state->acknowledged_sequence)
                continue;
            ranges[count++] = (struct log_range){.topic = topic->name,
                                                 .partition = p,
                                                 .from = state->acknowledged_offset,
                                                 .must_exist = topic->entry == NULL};
        }
    }
    enum status status = kafka_log_read(relay->options.config, ranges, count, relay_visit, relay,
                                        stop, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct relay_lane *lane =
            &relay_find_topic(relay, ranges[i].topic)->lanes[ranges[i].partition];
        /* Without an own record the place is kept, so that nobody reads all of it twice. */
        if (lane->state.acknowledged_sequence == 0 && ranges[i].end > 0 &&
            lane->state.acknowledged_offset != ranges[i].end - 1 &&
            lane->state.last_sequence == 0) {
            lane->state.acknowledged_offset = ranges[i].end - 1;
            lane->touched = true;
        }
    }
    free(ranges);
    return status;
}

/* Waits until everything sent is delivered or has failed. */
static void relay_await(struct relay *relay, const atomic_bool *stop)
{
    while (relay->delivered < relay->in_flight && !relay->failed && !atomic_load(stop))
        (void)kafka_producer_poll(relay->producer, CAREFUL_POLL_MS);
}

static enum status relay_resend_lane(struct relay *relay, const struct relay_topic *topic,
                                     struct relay_lane *lane, const atomic_bool *stop,
                                     struct error *err)
{
    struct outbox_row *rows = NULL;
    size_t count = 0;
    if (lane->state.last_sequence <= lane->state.acknowledged_sequence)
        return STATUS_OK;
    arena_reset(&relay->arena);
    enum status status = relay->outbox->ops->load_claimed(relay->outbox, &lane->state,
                                                          &relay->arena, &rows, &count, err);
    if (status == STATUS_OK &&
        count != lane->state.last_sequence - lane->state.acknowledged_sequence)
        status = error_set(err, STATUS_FATAL, "%s [%d]: claimed outbox rows are gone", topic->name,
                           (int)lane->state.partition);
    if (status == STATUS_OK)
        log_info("relay", "%s [%d]: sending %zu claimed rows again", topic->name,
                 (int)lane->state.partition, count);
    for (size_t i = 0; status == STATUS_OK && i < count && !relay->failed; i++) {
        status = relay_send(relay, lane, &rows[i], err);
        if (status == STATUS_OK && relay->careful)
            relay_await(relay, stop);
        if (atomic_load(stop))
            break;
    }
    return status;
}

static void relay_note_answer(struct relay *relay, enum status status, const struct error *err)
{
    relay_note_broker(relay, status == STATUS_OK || !kafka_producer_is_silence(err));
}

enum status relay_recover(struct relay *relay, const atomic_bool *stop, struct error *err)
{
    if (relay->producer != NULL)
        atomic_fetch_add(&relay->options.metrics->rebuilt, 1);
    relay_drop_producer(relay);
    arena_done(&relay->arena);
    arena_init(&relay->arena, RELAY_RECOVER_BYTES);
    enum status status = relay_new_producer(relay, err);
    relay_note_answer(relay, status, err);
    if (status == STATUS_OK)
        status = relay_load_lanes(relay, err);
    if (status == STATUS_OK) {
        status = relay_read_log(relay, stop, err);
        relay_note_answer(relay, status, err);
    }
    if (status == STATUS_OK)
        status = relay_acknowledge(relay, err);
    if (status == STATUS_OK)
        status = relay_move_types(relay, err);
    for (size_t t = 0; status == STATUS_OK && t < relay->topic_count; t++) {
        for (int32_t p = 0; status == STATUS_OK && p < relay->topics[t].lane_count; p++)
            status = relay_resend_lane(relay, &relay->topics[t], &relay->topics[t].lanes[p], stop,
                                       err);
    }
    arena_done(&relay->arena);
    arena_init(&relay->arena, RELAY_ARENA_BYTES);
    if (status != STATUS_OK)
        relay_drop_producer(relay);
    relay->recovered = status == STATUS_OK;
    relay->draining = true;
    relay->more = true;
    return status;
}
