/* What a comparison asks by key: entities that were left out, and rows that are shown. */
#include "operate/compare/internal.h"

#include <stdlib.h>

#define SCRATCH_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* Entities that can be compared now, at whichever copies. */
struct key_round {
    struct compare *compare;
    struct slice *keys; /* of one question */
    size_t count;
};

/* A row that waits in an outbox may have a key by which no row can be asked for. */
static bool keys_can_ask(const struct compare *compare, struct slice key, struct arena *scratch)
{
    struct error ignored = ERROR_INIT;
    struct slice canonical = {0};
    enum status status = canonical_key(compare_participant(compare, 0)->schema, key, scratch,
                                       &canonical, &ignored);
    bool is_canonical = status == STATUS_OK && slice_equal(canonical, key);
    arena_reset(scratch);
    return is_canonical;
}

/* Copies that an entity can be compared at now. */
static participant_mask keys_copies(const struct compare *compare, const struct left_entity *entity)
{
    return entity->pending & ~entity->closed & compare->comparable;
}

static void keys_choose(struct compare *compare)
{
    struct left_out *left_out = &compare->result->left_out;
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES_MAX);
    for (size_t i = 0; i < left_out->count; i++) {
        struct left_entity *entity = &left_out->entities[i];
        entity->is_asked = keys_copies(compare, entity) != 0 &&
                           keys_can_ask(compare, entity->key, &scratch);
    }
    arena_done(&scratch);
}

/* Lists the keys to ask a participant for. */
static void keys_list(struct key_round *round, size_t index)
{
    const struct left_out *left_out = &round->compare->result->left_out;
    round->count = 0;
    for (size_t i = 0; i < left_out->count; i++) {
        const struct left_entity *entity = &left_out->entities[i];
        participant_mask copies = keys_copies(round->compare, entity);
        if (entity->is_asked && (index == 0 || (copies & participant_bit(index)) != 0))
            round->keys[round->count++] = entity->key;
    }
}

static enum status keys_visit(void *context, const struct answered_row *row, struct error *err)
{
    struct key_round *round = context;
    struct compare *compare = round->compare;
    (void)err;
    struct left_entity *entity = left_out_find(&compare->result->left_out, row->key);
    if (entity == NULL || !entity->is_asked)
        return STATUS_OK;
    participant_mask bit = participant_bit(compare->asked);
    if (compare->asked == 0 && entity->is_at_reference)
        compare_drop_doubled(compare, row->key);
    if (compare->asked == 0) {
        entity->is_at_reference = true;
        entity->reference_digest = row->digest;
        return STATUS_OK;
    }
    entity->doubled |= entity->answered & bit;
    entity->answered |= bit;
    if (!entity->is_at_reference || entity->reference_digest != row->digest)
        entity->differs |= bit;
    return STATUS_OK;
}

/* Asks a participant for the keys of the round. @return whether it answered. */
static bool keys_ask(struct key_round *round, size_t index)
{
    struct error err = ERROR_INIT;
    struct compare *compare = round->compare;
    struct participant *participant = compare_participant(compare, index);
    struct question question = compare_question(compare, index);
    if (!compare_asks(compare, index))
        return false;
    keys_list(round, index);
    question.keys = round->keys;
    question.key_count = round->count;
    enum status status = round->count == 0 ? STATUS_OK
                                           : participant->ops->list(participant, &question,
                                                                    keys_visit, round, &err);
    return compare_is_answered(compare, index, status, &err);
}

/* What was found of an entity that the copy was asked for. Of a key that several rows have nothing
 * is known: a repair would change one of them by that key, and not the one that differs. */
static enum status keys_judge(struct compare *compare, const struct left_entity *entity,
                              size_t copy, struct error *err)
{
    participant_mask bit = participant_bit(copy);
    bool is_there = (entity->answered & bit) != 0;
    if ((entity->doubled & bit) != 0)
        compare_drop_doubled(compare, entity->key);
    else if (entity->is_at_reference && !is_there)
        return compare_note(compare, copy, DIFFERENCE_MISSING, entity->key, err);
    else if ((entity->differs & bit) != 0)
        return compare_note(compare, copy,
                            entity->is_at_reference ? DIFFERENCE_VALUE : DIFFERENCE_EXTRA,
                            entity->key, err);
    return STATUS_OK;
}

/* After a copy's answers: what it did not answer is missing, and all that was asked is compared. */
static enum status keys_conclude(struct compare *compare, size_t index, struct error *err)
{
    struct left_out *left_out = &compare->result->left_out;
    participant_mask bit = participant_bit(index);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < left_out->count; i++) {
        struct left_entity *entity = &left_out->entities[i];
        if (!entity->is_asked || (entity->pending & ~entity->closed & bit) == 0)
            continue;
        status = keys_judge(compare, entity, index, err);
        entity->pending &= ~bit;
        if ((entity->pending & compare->comparable) == 0)
            compare->result->compared_by_key++;
    }
    return status;
}

enum status compare_left_rows(struct compare *compare, struct error *err)
{
    enum status status = STATUS_OK;
    struct key_round round = {.compare = compare};
    round.keys = calloc(compare->result->left_out.count + 1, sizeof *round.keys);
    if (round.keys == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the entities that were left out");
    keys_choose(compare);
    bool answered = keys_ask(&round, 0);
    for (size_t i = 1; answered && status == STATUS_OK && i < compare->options->count; i++) {
        size_t first = compare->result->copies[i].difference_count;
        if (!keys_ask(&round, i))
            continue;
        status = keys_conclude(compare, i, err);
        if (status == STATUS_OK)
            status = compare_read_rows(compare, i, first, err);
    }
    free(round.keys);
    return status;
}

/* The differences whose rows are read from one participant. */
struct shown_rows {
    struct compare *compare;
    struct difference *differences;
    size_t count;
};

static enum status keys_show(void *context, const struct answered_row *row, struct error *err)
{
    const struct shown_rows *shown = context;
    for (size_t i = 0; row->json.data != NULL && i < shown->count; i++) {
        struct difference *difference = &shown->differences[i];
        if (!slice_equal(difference->key, row->key))
            continue;
        struct slice json = arena_copy(&shown->compare->result->arena, row->json);
        if (json.data == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the rows that differ");
        if (shown->compare->asked == 0)
            difference->reference_row = json;
        else
            difference->copy_row = json;
        break;
    }
    return STATUS_OK;
}

static void keys_read_rows(struct shown_rows *shown, size_t index, struct slice *keys)
{
    struct error err = ERROR_INIT;
    struct compare *compare = shown->compare;
    struct participant *participant = compare_participant(compare, index);
    struct question question = compare_question(compare, index);
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES_MAX);
    for (size_t i = 0; i < shown->count; i++) {
        if (keys_can_ask(compare, shown->differences[i].key, &scratch))
            keys[question.key_count++] = shown->differences[i].key;
    }
    arena_done(&scratch);
    question.keys = keys;
    question.with_json = true;
    if (question.key_count == 0 || !compare_asks(compare, index))
        return;
    enum status status = participant->ops->list(participant, &question, keys_show, shown, &err);
    (void)compare_is_answered(compare, index, status, &err);
}

enum status compare_read_rows(struct compare *compare, size_t index, size_t first,
                              struct error *err)
{
    const struct copy_result *copy = &compare->result->copies[index];
    size_t last = copy->difference_count < COMPARE_ROWS_MAX ? copy->difference_count
                                                            : COMPARE_ROWS_MAX;
    if (!compare->options->with_rows || first >= last || !compare_has(compare, index))
        return STATUS_OK;
    struct shown_rows shown = {
        .compare = compare, .differences = copy->differences + first, .count = last - first};
    struct slice *keys = calloc(shown.count, sizeof *keys);
    if (keys == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows that differ");
    keys_read_rows(&shown, 0, keys);
    keys_read_rows(&shown, index, keys);
    free(keys);
    return STATUS_OK;
}
