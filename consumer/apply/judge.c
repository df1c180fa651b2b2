/* Judges each event of a batch before anything is written. */
#include "consumer/apply/judge.h"
#include "common/utf8.h"
#include "consumer/apply/sequence.h"
#include "consumer/apply/set.h"

#include "common/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool applier_is_blocked(const struct applier *applier, const struct change *change)
{
    const struct owned *owned = &applier->owned[change->partition_index];
    struct block_key key = block_key_of(change);
    /* Of this transaction's parked events only earlier ones count. */
    return block_set_has(&owned->state.blocked, &key) ||
           block_set_first(&owned->work.blocked, &key) < change->record.offset;
}

/** @return whether an event is of the set that was parked last, which is one thing to park. */
static bool applier_parks_on(struct partition_work *work, const struct change *change)
{
    bool goes_on = change->changeset_end != 0 && change->changeset_end == work->parked_set_end;
    work->parked_set_end = change->changeset_end;
    return goes_on;
}

/** @param goes_on  the last event is of the same set as the one before it.
 * @return the limit of its partition that the parked events now exceed; NULL: none. */
static const char *applier_parked_limit(const struct applier *applier, const struct owned *owned,
                                        bool goes_on)
{
    const struct config_limits *limits = &applier->config->limits;
    if (owned->state.parked_bytes + owned->work.parked_bytes > limits->parked_bytes)
        return "too many bytes in parked records (limits.parked_bytes)";
    if (goes_on)
        return NULL;
    if (owned->state.parked_count + owned->work.parked_count > limits->parked_records)
        return "too many parked records (limits.parked_records)";
    if ((int64_t)(owned->state.blocked.entity_count + owned->work.blocked_count) >
        limits->parked_entities)
        return "too many parked entities (limits.parked_entities)";
    return NULL;
}

/* Thousands of parked events mostly have one cause: the reason of the first one names it. */
static enum status applier_stop_full(struct applier *applier, const struct batch_event *event,
                                     const char *limit)
{
    char text[ERROR_TEXT_SIZE];
    utf8_format(text, sizeof text, "%s, the first: %s; see `keepstep parked list`", limit,
                applier->owned[event->change.partition_index].first_reason);
    return applier_stop_at(applier, event, text);
}

enum status applier_block_event(struct applier *applier, const struct batch_event *event,
                                struct error *err)
{
    struct block_key key = block_key_of(&event->change);
    struct owned *owned = &applier->owned[event->change.partition_index];
    struct partition_work *work = &owned->work;
    bool known = block_set_has_entity(&owned->state.blocked, &key) ||
                 block_set_has_entity(&work->blocked, &key);
    if (owned->first_reason[0] == '\0')
        utf8_format(owned->first_reason, sizeof owned->first_reason, "%.*s",
                    SLICE_ARGS(event->parked_reason));
    work->parked_count++;
    work->parked_bytes += store_record_bytes(&event->change.record);
    work->blocked_count += known ? 0 : 1;
    const char *limit = applier_parked_limit(applier, owned,
                                             applier_parks_on(work, &event->change));
    if (limit != NULL)
        return applier_stop_full(applier, event, limit);
    return block_set_add(&work->blocked, &key, event->change.record.offset, err);
}

enum status applier_park_event(struct applier *applier, struct batch_event *event,
                               const struct error *why, struct error *err)
{
    bool is_held = why->reject != REJECT_WAITING;
    bool is_blocked = applier_is_blocked(applier, &event->change);
    /* An event behind another one is tried when its turn comes. That finds a decoding error again,
     * but no other reason to hold it: such an event stays held. */
    event->parked_behind = is_blocked && (!is_held || event->decoded == STATUS_REJECT);
    event->outcome = EVENT_PARKED;
    event->parked_held = is_held;
    event->parked_code = why->native_code;
    event->parked_reason = arena_copy(&applier->arena, slice_of(why->text));
    if (event->parked_reason.data == NULL)
        return applier_no_memory(err);
    return applier_block_event(applier, event, err);
}

static enum status applier_park_as(struct applier *applier, struct batch_event *event,
                                   enum reject_kind kind, const char *reason, struct error *err)
{
    struct error why = {.status = STATUS_REJECT, .reject = kind};
    utf8_format(why.text, sizeof why.text, "%s", reason);
    return applier_park_event(applier, event, &why, err);
}

enum status applier_park_behind(struct applier *applier, struct batch_event *event,
                                struct error *err)
{
    return applier_park_as(applier, event, REJECT_WAITING, "behind a parked event", err);
}

uint64_t applier_own_last(const struct applier *applier, const struct sequence_state *sequences,
                          size_t count)
{
    /* The outbox numbers only its present incarnation. */
    return sequences_last(sequences, count, applier->config->service, applier->meta.incarnation);
}

/* A copy that begins in the middle on request may meet a change set of which it has not seen the
 * beginning: it passes that one. */
static enum status applier_start_sequence(struct owned *owned, struct batch_event *event,
                                          struct error *err)
{
    const struct change *change = &event->change;
    if (change->source.length >= STORE_NAME_SIZE || change->incarnation.length >= STORE_TOKEN_SIZE)
        return error_set(err, STATUS_STOP, "ce_source or ce_incarnation is too long");
    if (owned->work.sequence_count == owned->work.sequence_size) {
        size_t size = owned->work.sequence_size == 0 ? 4 : 2 * owned->work.sequence_size;
        struct sequence_state *grown = realloc(owned->work.sequences, size * sizeof *grown);
        if (grown == NULL)
            return applier_no_memory(err);
        owned->work.sequences = grown;
        owned->work.sequence_size = size;
    }
    struct sequence_state *state = &owned->work.sequences[owned->work.sequence_count++];
    sequence_start(state, change);
    if (change->sequence > 1 && change->changeset_end != 0) {
        sequence_pass_set(state, change);
        event->outcome = EVENT_PASSED;
    }
    return STATUS_OK;
}

enum status applier_stop_sequence(const struct change *change, const struct sequence_state *state,
                                  bool gap, struct error *err)
{
    unsigned long long last = state == NULL ? 0 : state->last;
    if (gap)
        return error_set(err, STATUS_STOP,
                         "gap: sequence %llu of %.*s (incarnation %.*s) follows %llu: events are "
                         "missing; bring them back or take a new copy",
                         (unsigned long long)change->sequence, SLICE_ARGS(change->source),
                         SLICE_ARGS(change->incarnation), last);
    return error_set(
        err, STATUS_STOP,
        "fork: event %.*s at sequence %llu of %.*s (incarnation %.*s) does not continue "
        "the history that was applied up to %llu: two histories under one "
        "incarnation (a cloned or restored origin)",
        SLICE_ARGS(change->id), (unsigned long long)change->sequence, SLICE_ARGS(change->source),
        SLICE_ARGS(change->incarnation), last);
}

enum status applier_stop_broken(const struct change *change, struct error *err)
{
    return error_set(err, STATUS_STOP,
                     "header ce_changeset of sequence %llu of %.*s is not that of its change "
                     "set: two writers, or a writer that is wrong",
                     (unsigned long long)change->sequence, SLICE_ARGS(change->source));
}

/** A set that is void or abandoned is passed. One that is abandoned gets no more records: what
 * comes late of it is passed too. */
static void applier_judge_set(struct sequence_state *state, struct batch_event *event)
{
    if (event->fate == SET_WHOLE)
        return;
    event->outcome = EVENT_PASSED;
    if (event->fate == SET_ABANDONED && event->set_next == SET_LAST)
        sequence_pass_set(state, &event->change);
}

static bool applier_is_ignored(const struct applier *applier, struct slice entity_type)
{
    for (size_t i = 0; i < applier->config->ignore_count; i++) {
        if (slice_is(entity_type, applier->config->ignore[i]))
            return true;
    }
    return false;
}

static bool applier_is_mapped(const struct applier *applier, const struct change *change)
{
    return applier_mapping(applier, change->entity_type) != NULL && change->schema != NULL;
}

static enum status applier_judge_type(const struct applier *applier, const struct change *change,
                                      struct error *err)
{
    if (applier_is_mapped(applier, change) || applier_is_ignored(applier, change->entity_type))
        return STATUS_OK;
    return error_set(err, STATUS_STOP,
                     "entity type '%.*s' is configured neither under apply: nor ignore:",
                     SLICE_ARGS(change->entity_type));
}

static enum status applier_judge_id(const struct change *change, struct error *err)
{
    if (change->sequence == 0 || (change->id.length > 0 && change->id.length < STORE_ID_SIZE))
        return STATUS_OK;
    return error_set(err, STATUS_STOP, "a sequenced event needs an id of 1 to %d bytes",
                     STORE_ID_SIZE - 1);
}

enum status applier_judge_alone(const struct applier *applier, const struct change *change,
                                struct error *err)
{
    enum status status = applier_judge_id(change, err);
    return status == STATUS_OK && change->kind == KIND_CHANGE
               ? applier_judge_type(applier, change, err)
               : status;
}

/** @return OK with EVENT_DUPLICATE, EVENT_PASSED or EVENT_APPLY; STOP. */
static enum status applier_judge_sequence(struct applier *applier, struct owned *owned,
                                          struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    enum status status = STATUS_OK;
    event->outcome = EVENT_APPLY;
    if (change->sequence == 0)
        return STATUS_OK;
    if (event->fate == SET_BROKEN)
        return applier_stop_broken(change, err);
    status = applier_judge_id(change, err);
    if (status != STATUS_OK)
        return status;
    struct sequence_state *state = sequence_find(owned->work.sequences, owned->work.sequence_count,
                                                 change->source, change->incarnation);
    switch (sequence_judge(state, change, owned->state.partial)) {
    case SEQUENCE_FIRST:
        status = applier_start_sequence(owned, event, err);
        if (status == STATUS_OK)
            applier_judge_set(&owned->work.sequences[owned->work.sequence_count - 1], event);
        return status;
    case SEQUENCE_NEXT:
        sequence_advance(state, change);
        applier_judge_set(state, event);
        return STATUS_OK;
    case SEQUENCE_PASSED:
        if (change->sequence == state->last)
            sequence_pass_set(state, change);
        event->outcome = EVENT_PASSED;
        return STATUS_OK;
    case SEQUENCE_UNVERIFIED_DUPLICATE:
        atomic_fetch_add(&applier->metrics->events_unverified, 1);
        event->outcome = EVENT_DUPLICATE;
        return STATUS_OK;
    case SEQUENCE_DUPLICATE:
        event->outcome = EVENT_DUPLICATE;
        return STATUS_OK;
    case SEQUENCE_GAP:
        return applier_stop_sequence(change, state, true, err);
    case SEQUENCE_FORK:
        return applier_stop_sequence(change, state, false, err);
    }
    return error_set(err, STATUS_FATAL, "unknown verdict on a sequence");
}

/** @return whether a tombstone follows the same source's delete of that entity: a duplicate, and
 * another source may have created the entity in between (rule 17). Only the last deletes are
 * remembered; after any other one a tombstone counts as a delete. */
static bool applier_is_late_tombstone(struct owned *owned, const struct change *change)
{
    uint64_t digest = digest_64(change->entity_key) ^ 31 * digest_64(change->source) ^
                      131 * digest_64(change->entity_type);
    struct delete_seen *seen = &owned->deletes[digest % APPLIER_DELETES];
    bool tombstone = change->record.value.data == NULL;
    bool known = seen->digest == digest && seen->offset < change->record.offset;
    if (tombstone)
        return known;
    if (change->op == CHANGE_DELETE)
        *seen = (struct delete_seen){.digest = digest, .offset = change->record.offset};
    else if (known)
        *seen = (struct delete_seen){0};
    return false;
}

/** Some databases cannot index longer ones. */
static bool applier_key_fits(const struct change *change)
{
    return change->id.length <= STORE_KEY_MAX && change->source.length <= STORE_KEY_MAX;
}

static enum status applier_judge_change(struct applier *applier, struct owned *owned,
                                        struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    event->image = change;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (event->decoded == STATUS_REJECT)
        return applier_park_as(
            applier, event, event->reject,
            event->decode_error.data == NULL ? "malformed" : event->decode_error.data, err);
    if (mapping == NULL || !applier_is_mapped(applier, change)) {
        event->outcome = EVENT_PASSED;
        return applier_judge_type(applier, change, err);
    }
    if (applier_is_late_tombstone(owned, change)) {
        event->outcome = EVENT_DUPLICATE;
        return STATUS_OK;
    }
    if (change->sequence == 0 && !applier_key_fits(change))
        return applier_park_as(applier, event, REJECT_HELD,
                               "the event's id or source has more than 255 bytes, so that it "
                               "cannot be recognised when it is published again",
                               err);
    if (!mapping->entry->foreign && change->record.key.data != NULL &&
        partition_of(change->record.key, owned->state.partition_count) != change->record.partition)
        return applier_park_as(applier, event, REJECT_HELD,
                               "the record is not in the partition of its key; declare the "
                               "topic foreign: true if its writer partitions otherwise",
                               err);
    if (applier_is_blocked(applier, change))
        return applier_park_behind(applier, event, err);
    return STATUS_OK;
}

void applier_anchor(const struct record *record, char ret_id[static STORE_ID_SIZE])
{
    struct slice id = {0};
    for (size_t i = 0; record->form == NULL && i < record->header_count && id.data == NULL; i++) {
        if (slice_is(record->headers[i].name, "ce_id"))
            id = record->headers[i].value;
    }
    if (id.length > 0 && id.length < STORE_ID_SIZE)
        (void)snprintf(ret_id, STORE_ID_SIZE, "%.*s", SLICE_ARGS(id));
    else
        (void)snprintf(ret_id, STORE_ID_SIZE, "xxh3:%016" PRIx64 ":%016" PRIx64,
                       digest_64(record->key), digest_64(record->value));
}

static enum status applier_judge_event(struct applier *applier, struct batch_event *event,
                                       struct error *err)
{
    struct owned *owned = &applier->owned[event->change.partition_index];
    const struct change *change = &event->change;
    event->outcome = EVENT_DROPPED;
    if (owned->reloaded) /* it was read before the position moved */
        return STATUS_OK;
    if (change->record.offset < owned->work.next_offset) {
        event->outcome = EVENT_COVERED;
        return STATUS_OK;
    }
    if (change->record.offset >= owned->stop.offset)
        return STATUS_OK;
    if (event->decoded == STATUS_STOP)
        return error_set(err, STATUS_STOP, "%s", event->decode_error.data);
    enum status status = applier_judge_sequence(applier, owned, event, err);
    if (status == STATUS_OK && event->key_seen)
        event->outcome = EVENT_DUPLICATE;
    if (status == STATUS_OK && event->outcome == EVENT_APPLY) {
        if (change->kind == KIND_CHANGE)
            status = applier_judge_change(applier, owned, event, err);
        else
            event->outcome = EVENT_PASSED;
    }
    if (status != STATUS_OK)
        return status;
    owned->work.touched = true;
    owned->work.next_offset = change->record.offset + 1;
    event->own_last = applier->publishes ? applier_own_last(applier, owned->work.sequences,
                                                            owned->work.sequence_count)
                                         : 0;
    owned->work.anchor = &change->record;
    return STATUS_OK;
}

/** @return whether an event would be written without the rest of its change set. */
static bool applier_would_tear(const struct batch_event *event)
{
    bool is_new = event->outcome == EVENT_APPLY || event->outcome == EVENT_PARKED;
    return is_new && event->fate == SET_WHOLE && event->set_next == SET_LAST &&
           event->change.changeset_end > event->change.sequence;
}

/** Whoever made the batch has not looked for open sets. @return OK; FATAL. */
static enum status applier_check_sets(const struct batch *batch, struct error *err)
{
    for (size_t i = 0; batch->has_sets && i < batch->count; i++) {
        if (applier_would_tear(&batch->events[i]))
            return error_set(err, STATUS_FATAL, "a change set is applied without its end: a bug");
    }
    return STATUS_OK;
}

enum status applier_judge_events(struct applier *applier, struct batch *batch, struct error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        struct error stop = ERROR_INIT;
        event->parked_held = false;
        event->parked_behind = false;
        event->parked_whole = false;
        event->rejected = false;
        event->image = NULL;
        enum status status = applier_judge_event(applier, event, &stop);
        if (status == STATUS_STOP)
            return applier_stop_at(applier, event, stop.text);
        if (status == STATUS_AGAIN)
            return status;
        if (status != STATUS_OK)
            return error_set(err, status, "%s", stop.text);
    }
    return STATUS_OK;
}

enum status applier_judge(struct applier *applier, struct batch *batch, struct error *err)
{
    enum status status = applier_judge_events(applier, batch, err);
    if (status == STATUS_OK)
        status = applier_check_sets(batch, err);
    return status == STATUS_OK ? applier_judge_sets(applier, batch, err) : status;
}

/** @return whether its idempotency key is claimed singly. */
static bool applier_claims_key(const struct batch_event *event)
{
    return (event->outcome == EVENT_APPLY || event->outcome == EVENT_PARKED) &&
           event->change.sequence == 0 && event->change.id.length > 0 &&
           applier_key_fits(&event->change);
}

static const char conflict_text[] = "another value was applied under the same event id";

/** @param ret_again  set where a parked event is a duplicate: it must not block others. */
static enum status applier_judge_claim(struct applier *applier, struct batch_event *event,
                                       enum key_verdict verdict, bool *ret_again, struct error *err)
{
    if (verdict == KEY_DUPLICATE) {
        *ret_again = *ret_again || event->outcome == EVENT_PARKED;
        event->key_seen = true;
        event->outcome = EVENT_DUPLICATE;
    } else if (verdict == KEY_CONFLICT && event->outcome == EVENT_APPLY) {
        return applier_park_as(applier, event, REJECT_HELD, conflict_text, err);
    } else if (verdict == KEY_CONFLICT) { /* parked already: this reason matters more */
        event->parked_held = true;
        event->parked_behind = false;
        event->parked_reason = slice_of(conflict_text);
    }
    return STATUS_OK;
}

/** Take all verdicts before the batch is judged again: many duplicates cost one more round, not one
 * each. */
static enum status applier_judge_claims(struct applier *applier, struct batch *batch,
                                        const struct key_claim *claims, struct error *err)
{
    bool parks = false;
    bool again = false;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct batch_event *event = &batch->events[i];
        if (applier_claims_key(event))
            status = applier_judge_claim(applier, event, (claims++)->verdict, &again, err);
        /* A conflict blocks later events, which were judged before it was known. */
        parks = parks || event->outcome == EVENT_PARKED;
        if (status == STATUS_OK && event->outcome == EVENT_APPLY && parks &&
            applier_is_blocked(applier, &event->change))
            status = applier_park_behind(applier, event, err);
    }
    if (status == STATUS_OK)
        status = applier_judge_sets(applier, batch, err);
    return status == STATUS_OK && again ? STATUS_AGAIN : status;
}

enum status applier_judge_keys(struct applier *applier, struct batch *batch, struct error *err)
{
    size_t count = 0;
    if (batch->count == 0)
        return STATUS_OK;
    struct key_claim *claims = arena_alloc(&applier->arena, batch->count * sizeof *claims);
    if (claims == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        if (applier_claims_key(event))
            claims[count++] = (struct key_claim){.topic = event->change.record.topic,
                                                 .source = event->change.source,
                                                 .id = event->change.id,
                                                 .digest = digest_64(event->change.record.value)};
    }
    if (count == 0)
        return STATUS_OK;
    enum status status = applier->ops->claim_keys(applier->store, claims, count, err);
    if (status == STATUS_OK)
        status = applier_judge_claims(applier, batch, claims, err);
    /* Undoing a rejected write must not undo the claims. */
    return status == STATUS_OK ? applier->ops->savepoint(applier->store, false, err) : status;
}
