/* Judges an event by the range of applied sequences of its source and incarnation (rule 15). */
#include "consumer/apply/sequence.h"

#include "common/digest.h"

#include <stdio.h>

static uint32_t sequence_digest(struct slice id)
{
    return (uint32_t)(digest_64(id) & UINT32_MAX);
}

/** @return whether the range was last moved past a change set whose end was not seen. */
static bool sequence_is_past(const struct sequence_state *state)
{
    return state->last > 0 && state->last_id[0] == '\0';
}

static enum sequence_verdict sequence_judge_covered(const struct sequence_state *state,
                                                    const struct change *change)
{
    if (sequence_is_past(state))
        return SEQUENCE_PASSED;
    if (change->sequence < state->base || state->last - change->sequence >= SEQUENCE_WINDOW)
        return SEQUENCE_UNVERIFIED_DUPLICATE;
    if (change->sequence == state->last)
        return slice_is(change->id, state->last_id) ? SEQUENCE_DUPLICATE : SEQUENCE_FORK;
    uint32_t known = state->digests[change->sequence % SEQUENCE_WINDOW];
    return known == sequence_digest(change->id) ? SEQUENCE_DUPLICATE : SEQUENCE_FORK;
}

enum sequence_verdict sequence_judge(const struct sequence_state *state,
                                     const struct change *change, bool partial)
{
    if (state == NULL) {
        bool begins = change->sequence == 1 && change->previous_id.length == 0;
        return begins || partial ? SEQUENCE_FIRST : SEQUENCE_GAP;
    }
    if (change->sequence <= state->last)
        return sequence_judge_covered(state, change);
    if (change->sequence - state->last > 1)
        return SEQUENCE_GAP;
    bool follows = sequence_is_past(state) || slice_is(change->previous_id, state->last_id);
    return follows ? SEQUENCE_NEXT : SEQUENCE_FORK;
}

void sequence_name(struct sequence_state *state, const struct change *change)
{
    *state = (struct sequence_state){.base = change->sequence};
    (void)snprintf(state->source, sizeof state->source, "%.*s", SLICE_ARGS(change->source));
    (void)snprintf(state->incarnation, sizeof state->incarnation, "%.*s",
                   SLICE_ARGS(change->incarnation));
}

void sequence_start(struct sequence_state *state, const struct change *change)
{
    sequence_name(state, change);
    sequence_advance(state, change);
}

static void sequence_note_id(struct sequence_state *state, struct slice id)
{
    size_t length = id.length < sizeof state->last_id ? id.length : sizeof state->last_id - 1;
    if (length > 0)
        memcpy(state->last_id, id.data, length);
    state->last_id[length] = '\0';
}

void sequence_pass_set(struct sequence_state *state, const struct change *change)
{
    state->base = change->changeset_end + 1;
    state->last = change->changeset_end;
    sequence_note_id(state,
                     change->sequence == state->last ? change->id : (struct slice){.length = 0});
}

void sequence_advance(struct sequence_state *state, const struct change *change)
{
    state->last = change->sequence;
    sequence_note_id(state, change->id);
    state->digests[change->sequence % SEQUENCE_WINDOW] = sequence_digest(change->id);
}

struct sequence_state *sequence_find(struct sequence_state *states, size_t count,
                                     struct slice source, struct slice incarnation)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is(source, states[i].source) && slice_is(incarnation, states[i].incarnation))
            return &states[i];
    }
    return NULL;
}
