/* Records of another incarnation that stand in a large change set: those of a newer one end it;
 * late ones of an earlier one go with it, as they do with a smaller set (rule 56). */
#include "consumer/apply/large_part.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/sequence.h"

#include <string.h>

/** Remember that nothing is written of the open set of another incarnation, and close it. */
static enum status large_other_ends(struct large_set *set, struct large_other *other,
                                    enum set_fate fate, struct error *err)
{
    if (set->unwritten_count == LARGE_UNWRITTEN)
        return error_set(err, STATUS_STOP,
                         "more than %d incomplete change sets of earlier incarnations stand in a "
                         "larger one of %s",
                         LARGE_UNWRITTEN, set->sequences.source);
    struct large_unwritten *unwritten = &set->unwritten[set->unwritten_count++];
    *unwritten = (struct large_unwritten){
        .first = other->set_first, .last = other->sequences.last, .fate = fate};
    memcpy(unwritten->incarnation, other->sequences.incarnation, sizeof unwritten->incarnation);
    if (fate == SET_ABANDONED) /* what comes late of it is passed */
        sequence_pass_set(&other->sequences, &(struct change){.sequence = unwritten->last,
                                                              .changeset_end = other->set_end});
    other->set_end = 0;
    return STATUS_OK;
}

enum status large_abandon_others(struct large_set *set, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < set->other_count && status == STATUS_OK; i++) {
        if (set->others[i].set_end != 0)
            status = large_other_ends(set, &set->others[i], SET_ABANDONED, err);
    }
    return status;
}

/** Find the incarnation of a record. @param state  as far as it is known; NULL: not at all.
 * @return NULL: too many stand in the set. */
static struct large_other *large_other_of(struct large_set *set, const struct change *change,
                                          const struct sequence_state *state)
{
    for (size_t i = 0; i < set->other_count; i++) {
        if (slice_is(change->incarnation, set->others[i].sequences.incarnation))
            return &set->others[i];
    }
    if (set->other_count == LARGE_OTHERS)
        return NULL;
    struct large_other *other = &set->others[set->other_count++];
    *other = (struct large_other){.set_end = 0};
    if (state != NULL)
        other->sequences = *state;
    return other;
}

/** Take the next record of another incarnation into its set. */
static enum status large_take_other(const struct applier *applier, struct large_set *set,
                                    struct large_other *other, const struct batch_event *event,
                                    struct error *err)
{
    const struct change *change = &event->change;
    uint64_t end = change->changeset_end == 0 ? change->sequence : change->changeset_end;
    bool is_open = other->set_end != 0;
    enum status status = STATUS_OK;
    if (end < change->sequence || (is_open && end != other->set_end))
        return applier_stop_broken(change, err);
    if (!is_open) {
        other->set_first = change->sequence;
        other->set_end = end;
        other->has_void = false;
    }
    other->has_void = other->has_void || change->kind == KIND_VOID;
    if (!other->has_void && event->decoded == STATUS_OK)
        status = applier_judge_alone(applier, change, err);
    if (status != STATUS_OK || end > change->sequence)
        return status;
    if (other->has_void && other->set_first < end)
        return large_other_ends(set, other, SET_VOID, err);
    other->set_end = 0;
    return STATUS_OK;
}

static const struct sequence_state *large_known_other(const struct applier *applier,
                                                      const struct large_set *set,
                                                      const struct change *change,
                                                      bool *ret_partial)
{
    const struct applied_finder finder = applier_ranges(applier);
    for (size_t i = 0; i < set->other_count; i++) {
        if (slice_is(change->incarnation, set->others[i].sequences.incarnation))
            return &set->others[i].sequences;
    }
    return finder.find(finder.context, change, ret_partial);
}

enum status large_note_other(const struct applier *applier, struct large_set *set,
                             const struct batch_event *event, struct error *err)
{
    const struct change *change = &event->change;
    bool is_partial = false;
    const struct sequence_state *state = large_known_other(applier, set, change, &is_partial);
    const enum sequence_verdict verdict = sequence_judge(state, change, is_partial);
    bool is_newer = slice_compare(slice_of(set->sequences.incarnation), change->incarnation) < 0;
    bool is_first = state == NULL;
    if (verdict == SEQUENCE_DUPLICATE || verdict == SEQUENCE_UNVERIFIED_DUPLICATE ||
        verdict == SEQUENCE_PASSED)
        return STATUS_OK;
    if (is_newer || (is_first && change->sequence == 1)) {
        set->fate = SET_ABANDONED;
        set->is_read = true;
        return large_abandon_others(set, err);
    }
    if (verdict == SEQUENCE_GAP || verdict == SEQUENCE_FORK)
        return applier_stop_sequence(change, state, verdict == SEQUENCE_GAP, err);
    struct large_other *other = large_other_of(set, change, state);
    if (other == NULL)
        return error_set(err, STATUS_STOP,
                         "records of more than %d earlier incarnations stand in a change set of %s",
                         LARGE_OTHERS, set->sequences.source);
    if (is_first)
        sequence_start(&other->sequences, change);
    else
        sequence_advance(&other->sequences, change);
    if (is_first && change->sequence > 1 && change->changeset_end != 0) {
        sequence_pass_set(&other->sequences, change); /* whether it begins its set is not known */
        return STATUS_OK;
    }
    return large_take_other(applier, set, other, event, err);
}
