/* What the applier knows of change sets: how far sequences are applied, and what became of the sets
 * of a batch. */
#include "consumer/apply/judge.h"
#include "consumer/apply/large.h"
#include "consumer/apply/sequence.h"

#include "common/log.h"

static const struct sequence_state *applier_find_range(void *context, const struct change *change,
                                                       bool *ret_partial)
{
    const struct applier *applier = context;
    const struct partition_state *state = &applier->owned[change->partition_index].state;
    *ret_partial = state->partial;
    return sequence_find(state->sequences, state->sequence_count, change->source,
                         change->incarnation);
}

static bool applier_change_stops(void *context, const struct change *change)
{
    struct error ignored = ERROR_INIT;
    return applier_judge_alone(context, change, &ignored) == STATUS_STOP;
}

struct applied_finder applier_ranges(const struct applier *applier)
{
    return (struct applied_finder){applier_find_range, applier_change_stops,
                                   (void *)(uintptr_t)applier};
}

/** @return whether a set is parked: all of it is, but for what is passed. */
static bool tally_is_parked(const struct batch *batch, size_t first)
{
    size_t i = first;
    while (i != SET_LAST && batch->events[i].outcome != EVENT_PARKED)
        i = batch->events[i].set_next;
    return i != SET_LAST;
}

/** Count and log a set of which nothing is written. @param change  names its first record. */
static void tally_unwritten(struct applier *applier, enum set_fate fate,
                            const struct change *change)
{
    struct agent_metrics *metrics = applier->metrics;
    bool is_void = fate == SET_VOID;
    atomic_fetch_add(is_void ? &metrics->changesets_voided : &metrics->changesets_abandoned, 1);
    log_error("agent",
              "%s/%d offset %lld: nothing is written of the change set of %.*s (incarnation %.*s) "
              "that ends at sequence %llu: %s",
              change->record.topic, change->record.partition, (long long)change->record.offset,
              SLICE_ARGS(change->source), SLICE_ARGS(change->incarnation),
              (unsigned long long)change->changeset_end,
              is_void ? "one of its records could not be published, and went out as a void"
                      : "its service was restored before it had published the rest");
}

static void tally_set(struct applier *applier, const struct batch *batch, size_t first)
{
    const struct batch_event *event = &batch->events[first];
    struct agent_metrics *metrics = applier->metrics;
    if (event->fate != SET_WHOLE)
        tally_unwritten(applier, event->fate, &event->change);
    else
        atomic_fetch_add(tally_is_parked(batch, first) ? &metrics->changesets_parked
                                                       : &metrics->changesets_applied,
                         1);
}

void applier_tally_large(struct applier *applier, const struct large_set *set)
{
    const struct change first = {
        .record = {.topic = set->topic, .partition = set->partition, .offset = set->first_offset},
        .source = slice_of(set->sequences.source),
        .incarnation = slice_of(set->sequences.incarnation),
        .changeset_end = set->end};
    if (set->fate == SET_WHOLE)
        atomic_fetch_add(&applier->metrics->changesets_applied, 1);
    else
        tally_unwritten(applier, set->fate, &first);
    for (size_t i = 0; i < set->unwritten_count; i++) {
        struct change other = first;
        other.incarnation = slice_of(set->unwritten[i].incarnation);
        other.changeset_end = set->unwritten[i].last;
        tally_unwritten(applier, set->unwritten[i].fate, &other);
    }
}

void applier_tally_sets(struct applier *applier, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        bool is_first = event->set == i && event->change.changeset_end != 0;
        bool is_set = event->set_next != SET_LAST || event->fate != SET_WHOLE;
        if (is_first && is_set && event->outcome != EVENT_DROPPED &&
            event->outcome != EVENT_COVERED)
            tally_set(applier, batch, i);
    }
}
