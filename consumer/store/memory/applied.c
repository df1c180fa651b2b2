/* Whether a token's events are applied: the reference of rule 47. */
#include "consumer/store/memory/internal.h"
#include "schemas/token.h"

#include <stdlib.h>

static bool is_complete(const struct model *model, const char *topic)
{
    for (size_t i = 0; i < model->positions.count; i++) {
        const struct partition_state *position = list_at(&model->positions, i);
        if (strcmp(position->topic, topic) == 0 &&
            (position->partial || position->next_offset < position->filled_to))
            return false;
    }
    for (size_t i = 0; i < model->fills.count; i++) {
        const struct fill_state *fill = list_at(&model->fills, i);
        if (strcmp(fill->topic, topic) == 0 && fill_holds_topic(fill->stage))
            return false;
    }
    return true;
}

static bool is_parked(const struct model *model, const struct token *token,
                      const struct token_place *place)
{
    for (size_t i = 0; i < model->parked.count; i++) {
        const struct parked_record *parked = list_at(&model->parked, i);
        struct record_sequence at = store_record_sequence(&parked->record);
        if (parked->state != PARKED_SKIPPED && strcmp(parked->record.topic, place->topic) == 0 &&
            parked->record.partition == place->partition && at.sequence > 0 &&
            (uint64_t)at.sequence <= place->sequence && slice_is(at.source, token->source) &&
            slice_is(at.incarnation, token->incarnation))
            return true;
    }
    return false;
}

/* @return TOKEN_UNKNOWN; TOKEN_WAITS; TOKEN_APPLIED: the range has reached the place. */
static enum token_verdict find_range(const struct model *model, const struct token *token,
                                     const struct token_place *place)
{
    enum token_verdict verdict = TOKEN_UNKNOWN;
    for (size_t i = 0; i < model->sequences.count; i++) {
        const struct model_sequence *range = list_at(&model->sequences, i);
        if (strcmp(range->topic, place->topic) != 0 ||
            strcmp(range->state.source, token->source) != 0)
            continue;
        if (range->partition == place->partition && range->state.last >= place->sequence &&
            strcmp(range->state.incarnation, token->incarnation) == 0)
            return TOKEN_APPLIED;
        verdict = TOKEN_WAITS;
    }
    return verdict;
}

enum status store_memory_applied(struct store *store, const char *text,
                                 enum token_verdict *ret_verdict, struct error *err)
{
    const struct model *model = store_memory_model(store_memory_of(store));
    struct token token;
    struct arena arena;
    arena_init(&arena, 4 * TOKEN_BYTES_MAX);
    enum status status = token_read(slice_of(text), &arena, &token, err);
    *ret_verdict = TOKEN_APPLIED;
    for (size_t i = 0; status == STATUS_OK && i < token.count; i++) {
        enum token_verdict verdict = find_range(model, &token, &token.places[i]);
        if (verdict == TOKEN_APPLIED && (!is_complete(model, token.places[i].topic) ||
                                         is_parked(model, &token, &token.places[i])))
            verdict = TOKEN_WAITS;
        if (verdict < *ret_verdict)
            *ret_verdict = verdict;
    }
    arena_done(&arena);
    return status;
}
