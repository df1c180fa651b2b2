/* Counts what a committed transaction has made of its events, in all and by entity type. */
#include "consumer/apply/internal.h"

#include "common/clock.h"
#include "common/log.h"

#define TALLY_BYTES ((size_t)64 << 20) /* one record without its value */

#define TALLY_NONE SIZE_MAX

/* @return the place of a change's mapping; TALLY_NONE where its entity type is not configured. */
static size_t tally_place(const struct applier *applier, const struct change *change)
{
    size_t place = 0;
    while (place < applier->mapping_count && applier->mappings[place].schema != change->schema)
        place++;
    return change->schema == NULL || place == applier->mapping_count ? TALLY_NONE : place;
}

/* @return the numbers of a change's entity type; NULL where none is configured. */
static struct agent_type_metrics *tally_type(const struct applier *applier,
                                             const struct change *change)
{
    size_t place = tally_place(applier, change);
    return place == TALLY_NONE ? NULL : applier->types[place];
}

static void tally_applied(struct agent_type_metrics *type, int64_t time_us, int64_t now_us)
{
    atomic_fetch_add(&type->events_applied, 1);
    if (time_us != 0)
        histogram_observe(&type->commit_to_applied, now_us - time_us);
}

void applier_tally_applied(const struct applier *applier, const struct change *change,
                           int64_t now_us)
{
    struct agent_type_metrics *type = tally_type(applier, change);
    if (type != NULL)
        tally_applied(type, change->time_us, now_us);
}

void applier_tally_part(const struct applier *applier, const struct change *change,
                        struct type_tally *tally)
{
    size_t place = tally_place(applier, change);
    if (place == TALLY_NONE)
        return;
    tally[place].applied++;
    tally[place].time_us = change->time_us;
}

size_t applier_tally_parts(const struct applier *applier, const struct type_tally *tally)
{
    int64_t now_us = clock_wall_us();
    size_t applied = 0;
    for (size_t i = 0; i < applier->mapping_count; i++) {
        for (size_t j = 0; j < tally[i].applied; j++)
            tally_applied(applier->types[i], tally[i].time_us, now_us);
        applied += tally[i].applied;
    }
    atomic_fetch_add(&applier->metrics->events_applied, applied);
    return applied;
}

static void tally_parked(const struct applier *applier, const struct change *change)
{
    struct agent_type_metrics *type = tally_type(applier, change);
    if (type != NULL)
        atomic_fetch_add(&type->events_parked, 1);
}

void applier_tally(struct applier *applier, const struct batch *batch)
{
    struct agent_metrics *metrics = applier->metrics;
    atomic_ullong *const counters[EVENT_OUTCOMES] = {
        [EVENT_APPLY] = &metrics->events_applied,
        [EVENT_DUPLICATE] = &metrics->events_duplicate,
        [EVENT_SUPERSEDED] = &metrics->events_superseded,
        [EVENT_PARKED] = &metrics->events_parked,
    };
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        if (counters[event->outcome] != NULL)
            atomic_fetch_add(counters[event->outcome], 1);
        if (event->outcome == EVENT_APPLY)
            applier_tally_applied(applier, event->image, now_us);
        if (event->outcome == EVENT_PARKED)
            tally_parked(applier, &event->change);
        if (event->outcome == EVENT_PASSED && event->rejected)
            atomic_fetch_add(&metrics->events_passed_absent, 1);
        if (event->outcome == EVENT_PARKED && event->parked_held)
            atomic_fetch_add(&metrics->events_rejected, 1);
        if (event->outcome == EVENT_PARKED && !event->parked_behind)
            log_warning("agent", "parked %.*s %.*s from %s/%d offset %lld: %.*s",
                        SLICE_ARGS(event->change.entity_type), SLICE_ARGS(event->change.entity_key),
                        event->change.record.topic, event->change.record.partition,
                        (long long)event->change.record.offset, SLICE_ARGS(event->parked_reason));
    }
}

/* They are parked in the order of the log, so the first one in it has waited longest. */
static enum status tally_parked_since(struct applier *applier, const struct owned *owned,
                                      struct error *err)
{
    struct arena arena;
    struct parked_records first = {0};
    const struct parked_filter filter = {.topic = owned->state.topic,
                                         .partition = owned->state.partition,
                                         .blocking = true,
                                         .without_value = true,
                                         .limit = 1};
    arena_init(&arena, TALLY_BYTES);
    enum status status = applier->ops->read_parked(applier->store, &filter, &arena, &first, err);
    if (status == STATUS_OK)
        atomic_store(&agent_metrics_partition(applier->metrics, partition_state_tp(&owned->state))
                          ->parked_since_us,
                     first.count == 0 ? 0 : first.records[0].parked_at_us);
    arena_done(&arena);
    return applier_note(applier, status, err);
}

enum status applier_note_parked(struct applier *applier, struct error *err)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        const struct owned *owned =
            &applier->owned[applier->turns.parked_index++ % applier->owned_count];
        if (owned->state.parked_count == 0)
            continue;
        enum status status = applier_ready(applier, err);
        return status == STATUS_OK ? tally_parked_since(applier, owned, err) : status;
    }
    return STATUS_OK;
}
