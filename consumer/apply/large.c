/* Reads a large change set for the first time: only what decides its fate is remembered. */
#include "consumer/apply/large_part.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/sequence.h"

#include <stdio.h>

void large_set_begin(const struct applier *applier, const struct change *first,
                     struct large_set *ret_set)
{
    const struct record *record = &first->record;
    const struct applied_finder finder = applier_ranges(applier);
    bool is_partial = false;
    const struct sequence_state *known = finder.find(finder.context, first, &is_partial);
    *ret_set = (struct large_set){.index = first->partition_index,
                                  .partition = record->partition,
                                  .first_offset = record->offset,
                                  .first_sequence = first->sequence,
                                  .end = first->changeset_end,
                                  .next_offset = record->offset,
                                  .anchor_offset = -1,
                                  .is_known = known != NULL};
    (void)snprintf(ret_set->topic, sizeof ret_set->topic, "%s", record->topic);
    if (known != NULL)
        ret_set->sequences = *known;
    else /* it begins with the first sequence of all */
        sequence_name(&ret_set->sequences, first);
}

int64_t large_set_records(const struct large_set *set)
{
    return set->sequences.last < set->first_sequence
               ? 0
               : (int64_t)(set->sequences.last - set->first_sequence + 1);
}

/** The position may move behind this record. */
static void large_pass(struct large_set *set, const struct record *record)
{
    set->next_offset = record->offset + 1;
    set->anchor_offset = record->offset;
    applier_anchor(record, set->anchor_id);
}

/** Take the next record of the set itself. */
static enum status large_take(const struct applier *applier, struct large_set *set,
                              const struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    uint64_t end = change->changeset_end == 0 ? change->sequence : change->changeset_end;
    enum status status = STATUS_OK;
    if (end != set->end)
        return applier_stop_broken(change, err);
    set->has_void = set->has_void || change->kind == KIND_VOID;
    if (!set->has_void && event->decoded == STATUS_OK)
        status = applier_judge_alone(applier, change, err);
    if (status != STATUS_OK)
        return status;
    if (set->is_known)
        sequence_advance(&set->sequences, change);
    else
        sequence_start(&set->sequences, change);
    set->is_known = true;
    set->is_read = change->sequence == set->end;
    set->fate = set->has_void ? SET_VOID : SET_WHOLE;
    return STATUS_OK;
}

static enum status large_note_own(const struct applier *applier, struct large_set *set,
                                  const struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    const struct sequence_state *state = set->is_known ? &set->sequences : NULL;
    const enum sequence_verdict verdict = sequence_judge(state, change, false);
    if (verdict == SEQUENCE_FIRST || verdict == SEQUENCE_NEXT) {
        enum status status = large_abandon_others(set, err);
        return status == STATUS_OK ? large_take(applier, set, event, err) : status;
    }
    if (verdict == SEQUENCE_GAP || verdict == SEQUENCE_FORK)
        return applier_stop_sequence(change, state, verdict == SEQUENCE_GAP, err);
    return STATUS_OK; /* it is applied already */
}

/** A sequenced record of another source. */
static enum status large_note_stranger(const struct applier *applier, const struct large_set *set,
                                       const struct change *change, struct error *err)
{
    const struct applied_finder finder = applier_ranges(applier);
    bool is_partial = false;
    const struct sequence_state *known = finder.find(finder.context, change, &is_partial);
    if (known != NULL && change->sequence <= known->last)
        return STATUS_OK; /* late */
    if (change->changeset_end != 0)
        return error_set(err, STATUS_STOP,
                         "a change set of %.*s stands in a larger one of %s: two writers",
                         SLICE_ARGS(change->source), set->sequences.source);
    return applier_judge_alone(applier, change, err);
}

bool large_set_has(const struct large_set *set, const struct change *change)
{
    return change->sequence >= set->first_sequence && change->sequence <= set->end &&
           slice_is(change->incarnation, set->sequences.incarnation) &&
           slice_is(change->source, set->sequences.source);
}

enum set_fate large_set_fate(const struct large_set *set, const struct change *change)
{
    if (large_set_has(set, change))
        return set->fate;
    for (size_t i = 0; i < set->unwritten_count; i++) {
        const struct large_unwritten *unwritten = &set->unwritten[i];
        if (change->sequence >= unwritten->first && change->sequence <= unwritten->last &&
            slice_is(change->incarnation, unwritten->incarnation) &&
            slice_is(change->source, set->sequences.source))
            return unwritten->fate;
    }
    return SET_WHOLE;
}

enum status large_set_note(const struct applier *applier, struct large_set *set,
                           const struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    struct error why = ERROR_INIT;
    enum status status;
    bool is_own = change->sequence != 0 && slice_is(change->source, set->sequences.source) &&
                  slice_is(change->incarnation, set->sequences.incarnation);
    if (event->decoded == STATUS_STOP)
        status = error_set(&why, event->decoded, "%.*s", SLICE_ARGS(event->decode_error));
    else if (is_own)
        status = large_note_own(applier, set, event, &why);
    else if (change->sequence != 0 && slice_is(change->source, set->sequences.source))
        status = large_note_other(applier, set, event, &why);
    else if (change->sequence != 0)
        status = large_note_stranger(applier, set, change, &why);
    else
        status = event->decoded == STATUS_OK ? applier_judge_alone(applier, change, &why)
                                             : STATUS_OK;
    if (status != STATUS_OK) {
        *err = why;
        err->status = STATUS_STOP;
        error_prefix(err, "offset %lld", (long long)change->record.offset);
        return STATUS_STOP;
    }
    if (set->fate != SET_ABANDONED)
        large_pass(set, &change->record);
    return STATUS_OK;
}
