/* Parks a change set of a batch whole (rule 57): its first record says why, the others are behind
 * that one. */
#include "common/utf8.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/set.h"

#include <stdio.h>

#define DESCRIBED_MAX 120 /* bytes of an entity type or key in a reason */

/** @return whether an event is a part of what is written, or parked, of its set. */
static bool set_takes(const struct batch_event *event)
{
    return event->outcome == EVENT_APPLY || event->outcome == EVENT_SUPERSEDED ||
           event->outcome == EVENT_PARKED;
}

void applier_describe_fault(size_t index, size_t size, const struct change *fault,
                            const char *reason, char ret_text[static ERROR_TEXT_SIZE])
{
    char name[2 * DESCRIBED_MAX + 8] = "";
    if (fault != NULL && fault->entity_type.length > 0)
        (void)snprintf(name, sizeof name, ", %.*s %.*s",
                       fault->entity_type.length < DESCRIBED_MAX ? (int)fault->entity_type.length
                                                                 : DESCRIBED_MAX,
                       fault->entity_type.data,
                       fault->entity_key.length < DESCRIBED_MAX ? (int)fault->entity_key.length
                                                                : DESCRIBED_MAX,
                       fault->entity_key.data == NULL ? "" : fault->entity_key.data);
    if (index == SET_FAULT_UNKNOWN)
        utf8_format(ret_text, ERROR_TEXT_SIZE, "its transaction of %zu changes: %.*s", size,
                    ERROR_TEXT_SIZE / 2, reason);
    else
        utf8_format(ret_text, ERROR_TEXT_SIZE, "change %zu of %zu of its transaction%s: %.*s",
                    index + 1, size, name, ERROR_TEXT_SIZE / 2, reason);
}

bool applier_set_is_blocked(const struct applier *applier, const struct batch *batch, size_t first)
{
    int64_t begin = batch->events[first].change.record.offset;
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next) {
        const struct batch_event *event = &batch->events[i];
        const struct owned *owned = &applier->owned[event->change.partition_index];
        struct block_key key = block_key_of(&event->change);
        /* What it has parked itself makes none of it wait. */
        if (set_takes(event) && (block_set_has(&owned->state.blocked, &key) ||
                                 block_set_first(&owned->work.blocked, &key) < begin))
            return true;
    }
    return false;
}

/** What all records of a set that is parked have in common. */
struct set_parking {
    const struct batch *batch;
    size_t fault;            /* the event, or SET_FAULT_UNKNOWN */
    const struct error *why; /* NULL: it is blocked */
    size_t speaker;          /* the first record that is parked says why */
    size_t fault_index;      /* within the set */
    size_t size;
    bool is_blocked;
};

static void parking_measure(struct set_parking *parking, size_t first)
{
    parking->speaker = SET_LAST;
    parking->fault_index = SET_FAULT_UNKNOWN;
    for (size_t i = first; i != SET_LAST; i = parking->batch->events[i].set_next) {
        if (i == parking->fault)
            parking->fault_index = parking->size;
        if (parking->speaker == SET_LAST && set_takes(&parking->batch->events[i]))
            parking->speaker = i;
        parking->size++;
    }
}

/** Say why it is parked. */
static void parking_explain(const struct set_parking *parking, size_t index,
                            struct batch_event *event, char ret_text[static ERROR_TEXT_SIZE])
{
    const struct batch_event *events = parking->batch->events;
    const struct change *fault = parking->fault == SET_FAULT_UNKNOWN
                                     ? NULL
                                     : &events[parking->fault].change;
    const struct error *why = parking->why;
    bool is_told = why != NULL && (index == parking->speaker || index == parking->fault);
    event->parked_code = is_told ? why->native_code : 0;
    if (index == parking->speaker && why == NULL)
        (void)snprintf(ret_text, ERROR_TEXT_SIZE, "behind a parked event");
    else if (index == parking->speaker)
        applier_describe_fault(parking->fault_index, parking->size, fault, why->text, ret_text);
    else if (is_told)
        utf8_format(ret_text, ERROR_TEXT_SIZE, "%s", why->text);
    else
        utf8_format(ret_text, ERROR_TEXT_SIZE, "in the transaction that offset %lld begins",
                    (long long)events[parking->speaker].change.record.offset);
}

/** A set behind another one is tried when its turn comes. That finds its fault again, but not one
 * of those that are no matter of the database: with such a fault it is held where it stands. */
static void parking_set_state(const struct set_parking *parking, struct batch_event *event)
{
    const struct batch_event *events = parking->batch->events;
    bool is_held = parking->why != NULL && parking->why->reject != REJECT_WAITING;
    bool is_found_again = parking->fault != SET_FAULT_UNKNOWN &&
                          events[parking->fault].decoded == STATUS_REJECT;
    event->parked_held = is_held;
    event->parked_behind = parking->why == NULL ||
                           (parking->is_blocked && (!is_held || is_found_again));
}

enum status applier_park_set(struct applier *applier, struct batch *batch, size_t first,
                             const struct set_fault *fault, struct error *err)
{
    struct set_parking parking = {.batch = batch,
                                  .fault = fault == NULL ? SET_FAULT_UNKNOWN : fault->index,
                                  .why = fault == NULL ? NULL : fault->why};
    char text[ERROR_TEXT_SIZE];
    enum status status = STATUS_OK;
    batch->events[first].parked_whole = true;
    parking.is_blocked = applier_set_is_blocked(applier, batch, first);
    parking_measure(&parking, first);
    for (size_t i = first; i != SET_LAST && status == STATUS_OK; i = batch->events[i].set_next) {
        struct batch_event *event = &batch->events[i];
        bool is_parked = event->outcome == EVENT_PARKED;
        if (!set_takes(event))
            continue;
        event->outcome = EVENT_PARKED;
        event->parked_held = false;
        event->parked_behind = true;
        if (i == parking.speaker)
            parking_set_state(&parking, event);
        parking_explain(&parking, i, event, text);
        event->parked_reason = arena_copy(&applier->arena, slice_of(text));
        if (event->parked_reason.data == NULL)
            return applier_no_memory(err);
        if (!is_parked)
            status = applier_block_event(applier, event, err);
    }
    return status;
}

/** Park a set of which an event is parked, or which is blocked. */
static enum status set_judge(struct applier *applier, struct batch *batch, size_t first,
                             struct error *err)
{
    struct error why = {.status = STATUS_REJECT};
    bool has_parked = false;
    if (batch->events[first].parked_whole)
        return STATUS_OK;
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next) {
        const struct batch_event *event = &batch->events[i];
        bool is_parked = event->outcome == EVENT_PARKED;
        has_parked = has_parked || is_parked;
        if (!is_parked || (event->parked_behind && !event->parked_held))
            continue;
        why.reject = event->parked_held ? REJECT_HELD : REJECT_WAITING;
        why.native_code = event->parked_code;
        utf8_format(why.text, sizeof why.text, "%.*s", SLICE_ARGS(event->parked_reason));
        return applier_park_set(applier, batch, first, &(struct set_fault){i, &why}, err);
    }
    return has_parked || applier_set_is_blocked(applier, batch, first)
               ? applier_park_set(applier, batch, first, NULL, err)
               : STATUS_OK;
}

static bool applier_parks(const struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        if (applier->owned[i].work.parked_count > 0)
            return true;
    }
    return false;
}

enum status applier_judge_sets(struct applier *applier, struct batch *batch, struct error *err)
{
    enum status status = STATUS_OK;
    if (!batch->has_sets || !applier_parks(applier))
        return STATUS_OK;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct batch_event *event = &batch->events[i];
        if (set_has(batch, i))
            status = event->set == i ? set_judge(applier, batch, i, err) : STATUS_OK;
        else if (event->outcome == EVENT_APPLY && applier_is_blocked(applier, &event->change))
            status = applier_park_behind(applier, event, err);
    }
    return status;
}
