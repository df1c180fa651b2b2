/* Puts the result of a comparison on top of the record of the ones before it. */
#include "operate/verify/verdict.h"

#include <string.h>

#define VERDICT_PRIVATE "a database does not answer, or refuses; who compared has the reason"

/* The database of a copy that did not answer tells no id. Then it is the service's only copy. */
static const char *verdict_copy_id(const struct quorum *quorum,
                                   const struct verify_member *compared)
{
    const struct participant *participant = compared->participant;
    const char *found = "";
    size_t count = 0;
    if (!compared->applies)
        return MEMBER_NONE;
    if (participant->copy[0] != '\0')
        return participant->copy;
    for (size_t i = 0; i < quorum->member_count; i++) {
        const struct quorum_member *member = &quorum->members[i];
        if (strcmp(member->service, participant->name) != 0 || member->applied == NULL)
            continue;
        found = member->copy;
        count++;
    }
    return count == 1 ? found : "";
}

static bool verdict_is_known(const struct quorum *quorum, const struct verdict_copy *copy)
{
    for (size_t i = 0; i < quorum->member_count; i++) {
        if (quorum->members[i].record != NULL &&
            strcmp(quorum->members[i].service, copy->service) == 0 &&
            strcmp(quorum->members[i].copy, copy->copy) == 0)
            return true;
    }
    return false;
}

static bool verdict_compared_any(const struct comparison *comparison)
{
    for (size_t i = 1; i < comparison->count; i++) {
        if (comparison->copies[i].state != COPY_NOT_COMPARED)
            return true;
    }
    return false;
}

static int64_t verdict_left_out(const struct left_out *left_out, size_t index)
{
    int64_t count = 0;
    for (size_t i = 0; i < left_out->count; i++)
        count += (left_out->entities[i].pending & participant_bit(index)) != 0;
    return count;
}

static const struct verdict_copy *verdict_known(const struct verdict_input *input, size_t index)
{
    const struct verify_member *member = &input->verify->members[index];
    return verdict_find(input->before, member->participant->name,
                        verdict_copy_id(input->quorum, member));
}

/* @return whether the one that a copy was different from is found equal to the reference. */
static bool verdict_is_other_equal(const struct verdict_input *input,
                                   const struct verdict_copy *different)
{
    bool is_equal = false;
    for (size_t i = 1; i < input->verify->count; i++)
        is_equal = is_equal ||
                   (input->result->comparison.copies[i].state == COPY_EQUAL &&
                    strcmp(input->verify->members[i].participant->name, different->reference) == 0);
    return is_equal;
}

static bool verdict_is_parked(const struct left_out *left_out, size_t index)
{
    bool is_parked = false;
    for (size_t i = 0; i < left_out->count; i++)
        is_parked = is_parked || (left_out->entities[i].reason == LEFT_PARKED &&
                                  (left_out->entities[i].pending & participant_bit(index)) != 0);
    return is_parked;
}

/* A known difference stays until a comparison finds it gone.
 * @return why this one could not; NULL: it could, or has found one itself. */
static const char *verdict_stays_different(const struct verdict_input *input, size_t index,
                                           const struct verdict_copy *copy)
{
    const struct comparison *comparison = &input->result->comparison;
    const struct verdict_copy *reference = verdict_known(input, 0);
    bool is_doubtful = reference != NULL && reference->state == VERDICT_DIFFERENT &&
                       !verdict_is_other_equal(input, reference);
    if (copy->state != VERDICT_DIFFERENT ||
        (index > 0 && comparison->copies[index].state == COPY_DIFFERENT))
        return NULL;
    if (is_doubtful)
        return index == 0 ? "the others were compared with it"
                          : "it was compared with a copy that is different itself";
    return index > 0 && verdict_is_parked(&comparison->left_out, index)
               ? "what is parked was left out"
               : NULL;
}

/* @return why this comparison says nothing new of a copy; NULL: it does. */
static const char *verdict_skipped(const struct verdict_input *input, size_t index,
                                   const struct verdict_copy *copy)
{
    const struct copy_result *result = &input->result->comparison.copies[index];
    if (index > 0 && result->state == COPY_NOT_COMPARED)
        return result->is_private ? VERDICT_PRIVATE : result->reason;
    return verdict_stays_different(input, index, copy);
}

/* Put on top of what was known of a copy what was found now. */
static void verdict_note(const struct verdict_input *input, size_t index, struct verdict_copy *copy)
{
    const struct comparison *comparison = &input->result->comparison;
    const struct copy_result *result = &comparison->copies[index];
    bool is_reference = index == 0;
    int64_t now_us = input->result->ended_us;
    const char *skipped = verdict_skipped(input, index, copy);
    if (skipped != NULL) {
        copy->skipped_at_us = now_us;
        copy->skipped_reason = skipped;
        return;
    }
    bool was_equal = copy->state == VERDICT_EQUAL && copy->equal_since_us != 0;
    bool is_equal = !is_reference && result->state == COPY_EQUAL;
    copy->state = is_reference ? VERDICT_REFERENCE : is_equal ? VERDICT_EQUAL : VERDICT_DIFFERENT;
    copy->at_us = now_us;
    copy->asker = input->verify->config->service;
    copy->reference = input->verify->members[0].participant->name;
    copy->rows = (int64_t)comparison->rows;
    copy->differs = (int64_t)result->counts[DIFFERENCE_VALUE];
    copy->missing = (int64_t)result->counts[DIFFERENCE_MISSING];
    copy->extra = (int64_t)result->counts[DIFFERENCE_EXTRA];
    copy->counted_all = !result->is_partial;
    copy->left_out = is_reference ? 0 : verdict_left_out(&comparison->left_out, index);
    copy->equal_since_us = !is_equal ? 0 : was_equal ? copy->equal_since_us : now_us;
    copy->equal_at_us = is_equal ? now_us : copy->equal_at_us;
    copy->skipped_at_us = 0;
    copy->skipped_reason = "";
}

static void verdict_add(const struct verdict_input *input, size_t index,
                        struct verdict_record *record)
{
    const struct participant *participant = input->verify->members[index].participant;
    struct verdict_copy *copy = &record->copies[record->count];
    const char *id = verdict_copy_id(input->quorum, &input->verify->members[index]);
    const struct verdict_copy *known = verdict_known(input, index);
    if (*id == '\0')
        return;
    *copy = known != NULL ? *known : VERDICT_COPY_NEW(participant->name, id);
    verdict_note(input, index, copy);
    record->count++;
}

enum status verdict_make(const struct verdict_input *input, struct arena *arena,
                         struct verdict_record *ret_record, struct error *err)
{
    const struct verdict_record *before = input->before;
    const struct verify *verify = input->verify;
    const struct verify_result *result = input->result;
    size_t before_count = before == NULL ? 0 : before->count;
    bool compared = verdict_compared_any(&result->comparison);
    *ret_record = (struct verdict_record){.asker = "", .reference = ""};
    if (before != NULL)
        *ret_record = *before;
    ret_record->entity_type = verify->entity_type;
    ret_record->topic = verify->members[0].participant->topic;
    ret_record->control_offset = input->control_offset;
    if (compared) {
        ret_record->asker = verify->config->service;
        ret_record->reference = verify->members[0].participant->name;
        ret_record->at_us = result->ended_us;
        ret_record->duration_ms = (result->ended_us - result->started_us) / 1000;
        if (ret_record->duration_ms < 0)
            ret_record->duration_ms = 0; /* the clock was set back */
    }
    ret_record->count = 0;
    ret_record->copies = arena_alloc(arena, (before_count + verify->count + 1) *
                                                sizeof *ret_record->copies);
    if (ret_record->copies == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the verdicts on %s",
                         verify->entity_type);
    for (size_t i = compared ? 0 : 1; i < verify->count; i++)
        verdict_add(input, i, ret_record);
    for (size_t i = 0; i < before_count && ret_record->count < VERDICT_COPIES_MAX; i++) {
        const struct verdict_copy *copy = &before->copies[i];
        if (verdict_find(ret_record, copy->service, copy->copy) == NULL &&
            verdict_is_known(input->quorum, copy))
            ret_record->copies[ret_record->count++] = *copy;
    }
    return STATUS_OK;
}
