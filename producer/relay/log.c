/* Reads the log for a recovery (rule 10). Own records are adopted: they count as acknowledged, and
 * what the database lost of their numbers is written again. A log that does not fit the outbox ends
 * the relay. How far the log was read is stored. */
#include "producer/relay/internal.h"
#include "producer/relay/kafka_log_reader.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_TIMEOUT_MS 500

static enum status relay_refuse_record(struct error *err, const struct record *record,
                                       const char *what)
{
    return error_set(error_config(err), STATUS_FATAL, "%s [%d] offset %" PRId64 ": %s",
                     record->topic, (int)record->partition, record->offset, what);
}

/* A database that was rewound may give a position, its number and its time to another change. */
static bool relay_has_value(const struct outbox_row *row, const struct change *change)
{
    return change->kind == KIND_VOID || slice_equal(row->payload, change->record.value);
}

/* Deletes of two entities may have the same value. A key is canonical once its row is numbered. */
static bool relay_has_entity(const struct outbox_row *row, const struct change *change)
{
    return slice_equal(row->entity_type, change->entity_type) &&
           slice_equal(row->entity_key, change->entity_key);
}

static bool relay_is_known(const struct relay_partition *state, const struct outbox_row *row,
                           const struct change *change)
{
    return row->position != 0 && row->sequence == change->sequence &&
           row->partition == state->partition && row->topic != NULL &&
           strcmp(row->topic, state->topic) == 0 && relay_has_value(row, change) &&
           relay_has_entity(row, change);
}

/* @return whether this process sent the record, and the database has lost the row's claim. The
 * record must be the next one of its partition: then no number is given twice. A process that does
 * not remember the record cannot tell it from one of a clone. With the claim the canonical key was
 * lost too. */
static bool relay_lost_claim(struct relay *relay, const struct relay_lane *lane,
                             struct outbox_row *row, const struct change *change)
{
    struct error ignored = ERROR_INIT;
    const struct relay_partition *state = &lane->state;
    return row->position != 0 && row->sequence == 0 && row->set_aside.data == NULL &&
           relay_has_value(row, change) &&
           (row->topic == NULL || strcmp(row->topic, state->topic) == 0) &&
           change->sequence == state->last_sequence + 1 &&
           slice_is(change->previous_id, state->last_id) &&
           change->sequence <= lane->sent_sequence &&
           record_make_canonical(&relay->maker, row, &relay->arena, &ignored) == STATUS_OK &&
           relay_has_entity(row, change);
}

/* Gives a row the number that its record has in the log. */
static enum status relay_claim_again(struct relay *relay, struct relay_lane *lane,
                                     struct outbox_row *row, const struct change *change,
                                     struct error *err)
{
    struct relay_partition state = lane->state;
    const struct outbox_claim claim = {row, 1, &state, 1, NULL};
    state.last_sequence = change->sequence;
    (void)snprintf(state.last_id, sizeof state.last_id, "%.*s", SLICE_ARGS(change->id));
    row->topic = state.topic;
    row->partition = state.partition;
    row->sequence = change->sequence;
    row->changeset_end = change->changeset_end;
    failpoint(FAILPOINT_RELAY_BEFORE_CLAIM);
    enum status status = relay->outbox->ops->claim(relay->outbox, &relay->lease.row, &claim, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_RELAY_AFTER_CLAIM);
    relay_renewed(relay, clock_monotonic_us());
    lane->state = state;
    lane->claimed_again++;
    return STATUS_OK;
}

/* Adopts an own record that is above what was acknowledged, and all records below it. Every relay
 * sends claimed rows in order and without a gap, so those below are in the log too. They may not be
 * met: they stand before the last acknowledged record if a fenced relay's copies came between, or
 * retention has deleted them. */
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
    bool known = relay_is_known(state, &row, change);
    if (change->sequence <= state->acknowledged_sequence) {
        bool other = row.position != 0 && !known;
        if (change->sequence == state->acknowledged_sequence)
            other = other || !slice_is(change->id, state->acknowledged_id);
        return other ? relay_refuse_record(err, &change->record, rewound) : STATUS_OK;
    }
    if (!known && !relay_lost_claim(relay, lane, &row, change))
        return relay_refuse_record(err, &change->record, rewound);
    if (!known)
        status = relay_claim_again(relay, lane, &row, change, err);
    if (status != STATUS_OK)
        return status;
    atomic_fetch_add(&relay->options.metrics->adopted,
                     (int_fast64_t)(change->sequence - state->acknowledged_sequence));
    state->acknowledged_sequence = change->sequence;
    state->acknowledged_offset = change->record.offset;
    (void)snprintf(state->acknowledged_id, sizeof state->acknowledged_id, "%.*s",
                   SLICE_ARGS(change->id));
    lane->unwritten = true;
    return STATUS_OK;
}

static const struct entity_schema *relay_no_schema(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

static enum status relay_refuse_log(const struct record *record, struct error *err)
{
    return relay_refuse_record(
        err, record,
        "not the record that this outbox published there: the topic was made "
        "anew, or this is another cluster. Go back to the log it knew; "
        "`keepstep init --new-incarnation` starts a new history in this one");
}

/* The last acknowledged record must stand where it stood; otherwise this is another log. */
static enum status relay_check_anchor(struct relay_lane *lane, const struct log_range *range,
                                      const struct change *change, struct error *err)
{
    const struct relay_partition *state = &lane->state;
    if (lane->anchor_met || range->anchor < 0 || range->anchor < range->bounds.first)
        return STATUS_OK;
    lane->anchor_met = true;
    if (change->record.offset == range->anchor &&
        change->sequence == state->acknowledged_sequence &&
        slice_is(change->id, state->acknowledged_id))
        return STATUS_OK;
    return relay_refuse_log(&change->record, err);
}

static enum status relay_visit(void *context, struct log_range *range, const struct record *record,
                               struct error *err)
{
    struct relay *relay = context;
    struct relay_topic *topic = relay_find_topic(relay, range->tp.topic);
    struct relay_lane *lane = &topic->lanes[range->tp.partition];
    struct change change = {0};
    struct error malformed = ERROR_INIT;
    arena_reset(&relay->arena);
    atomic_fetch_add(&relay->options.metrics->log_read, 1);
    const struct decoder decoder = {{relay_no_schema, NULL}, &relay->arena, NULL};
    enum status status = record_decode(record, &decoder, &change, &malformed);
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", malformed.text);
    change.record.topic = range->tp.topic;
    change.record.partition = range->tp.partition;
    change.record.offset = record->offset;
    /* Whether the record is malformed is for its readers to judge. */
    bool own = slice_is(change.source, relay->lease.row.origin);
    status = relay_check_anchor(lane, range, &change, err);
    if (status != STATUS_OK)
        return status;
    bool is_foreign = !own && change.source.length > 0 && !topic->applied;
    if (is_foreign && relay_is_whole(relay))
        return relay_refuse_record(err, &change.record,
                                   "another service publishes here, but under `transactions: "
                                   "whole` a topic has one writer: its transactions would lie "
                                   "between those of this service. Give this service or the other "
                                   "one another topic");
    if (is_foreign)
        return relay_refuse_record(err, &change.record,
                                   "another service publishes here; a type with several writers "
                                   "must be applied by each: add it under apply:");
    if (!own || !slice_is(change.incarnation, relay->lease.row.incarnation) || change.sequence == 0)
        return STATUS_OK;
    return relay_adopt(relay, lane, &change, err);
}

static struct log_range relay_range(const struct relay_topic *topic,
                                    const struct relay_partition *state)
{
    bool anchored = state->acknowledged_sequence > 0;
    struct log_range range = {.tp = {topic->name, state->partition},
                              .anchor = anchored ? state->acknowledged_offset : -1,
                              .from = state->read_offset,
                              .must_exist = topic->entry == NULL};
    if (range.from <= state->acknowledged_offset) /* everything up to there is known */
        range.from = state->acknowledged_offset + 1;
    return range;
}

/* Lists what is to be read. Of a former topic only partitions with claimed rows are. */
static size_t relay_list_ranges(const struct relay *relay, struct log_range *ranges)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    size_t count = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        const struct relay_topic *topic = &relay->topics[at.topic];
        lane->anchor_met = false;
        if (topic->entry != NULL || lane->state.last_sequence != lane->state.acknowledged_sequence)
            ranges[count++] = relay_range(topic, &lane->state);
    }
    return count;
}

/* @return whether the log's end is worth storing. */
static bool relay_moves_read(const struct relay_partition *state, int64_t end)
{
    return end > state->read_offset && end > state->acknowledged_offset + 1;
}

/* After the reading: checks that the anchors were met, and stores how far the log was read. */
static enum status relay_conclude(struct relay *relay, const struct log_range *ranges, size_t count,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    size_t moved = 0;
    struct relay_partition *read = calloc(count + 1, sizeof *read);
    if (read == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct log_range *range = &ranges[i];
        struct relay_lane *lane =
            &relay_find_topic(relay, range->tp.topic)->lanes[range->tp.partition];
        const struct record anchor = {
            .topic = range->tp.topic, .partition = range->tp.partition, .offset = range->anchor};
        if (range->anchor >= 0 && range->anchor < range->bounds.first)
            log_warning("relay",
                        "%s [%d]: retention has deleted the last record that this outbox "
                        "published (offset %" PRId64 ", the log begins at %" PRId64
                        "): whether it is still the same log cannot be checked",
                        range->tp.topic, (int)range->tp.partition, range->anchor,
                        range->bounds.first);
        else if (range->anchor >= 0 && !lane->anchor_met)
            status = relay_refuse_log(&anchor, err);
        if (lane->claimed_again > 0)
            log_info("relay", "%s [%d]: %zu rows have their numbers again, as the log has them",
                     range->tp.topic, (int)range->tp.partition, lane->claimed_again);
        lane->claimed_again = 0;
        if (!relay_moves_read(&lane->state, range->bounds.end))
            continue;
        lane->state.read_offset = range->bounds.end;
        read[moved++] = lane->state;
    }
    if (status == STATUS_OK && moved > 0)
        status = relay->outbox->ops->note_read(relay->outbox, &relay->lease.row, read, moved, err);
    free(read);
    return status;
}

static enum status relay_tick(void *context, struct error *err)
{
    return relay_keep_lease(context, err);
}

enum status relay_read_log(struct relay *relay, struct error *err)
{
    int64_t before = atomic_load(&relay->options.metrics->log_read);
    struct log_range *ranges = calloc(relay_count_lanes(relay) + 1, sizeof *ranges);
    if (ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    size_t count = relay_list_ranges(relay, ranges);
    const struct log_reading reading = {.config = relay->options.config,
                                        .reader = "relay",
                                        .ranges = ranges,
                                        .count = count,
                                        .visit = relay_visit,
                                        .tick = relay_tick,
                                        .context = relay,
                                        .stop = relay->stop};
    enum status status = kafka_log_read(&reading, err);
    if (status == STATUS_OK)
        status = relay_conclude(relay, ranges, count, err);
    free(ranges);
    if (status == STATUS_OK)
        log_debug("relay", "read %lld records of the log",
                  (long long)(atomic_load(&relay->options.metrics->log_read) - before));
    return status;
}

/* Lists the partitions of topics that the service applies too. Nobody else writes to the others, so
 * their logs end with an own record. */
static size_t relay_list_ends(const struct relay *relay, struct kafka_log_end *ends)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    size_t count = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        const struct relay_topic *topic = &relay->topics[at.topic];
        if (topic->entry != NULL && topic->applied &&
            lane->state.last_sequence == lane->state.acknowledged_sequence)
            ends[count++] = (struct kafka_log_end){.tp = {topic->name, lane->state.partition}};
    }
    return count;
}

/* All that this outbox numbered is acknowledged, so the records behind it are of others. They need
 * not be read here; each reader judges them (rule 15). */
enum status relay_note_log_ends(struct relay *relay, struct error *err)
{
    struct error slow = ERROR_INIT;
    enum status status = STATUS_OK;
    size_t lanes = relay_count_lanes(relay);
    size_t moved = 0;
    struct kafka_log_end *ends = calloc(lanes + 1, sizeof *ends);
    struct relay_partition *read = calloc(lanes + 1, sizeof *read);
    if (ends == NULL || read == NULL) {
        status = error_set(err, STATUS_RETRY, "no memory");
        goto out;
    }
    size_t count = relay_list_ends(relay, ends);
    if (count == 0 || kafka_producer_log_ends(relay->broker.producer, ends, count, LOOK_TIMEOUT_MS,
                                              &slow) != STATUS_OK)
        goto out; /* try again the next time */
    for (size_t i = 0; i < count; i++) {
        struct relay_partition *state =
            &relay_find_topic(relay, ends[i].tp.topic)->lanes[ends[i].tp.partition].state;
        if (!relay_moves_read(state, ends[i].end))
            continue;
        state->read_offset = ends[i].end;
        read[moved++] = *state;
    }
    if (moved > 0)
        status = relay->outbox->ops->note_read(relay->outbox, &relay->lease.row, read, moved, err);
out:
    free(ends);
    free(read);
    return status;
}
