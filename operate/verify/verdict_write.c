/* Writes the record of verdicts while others write it too. */
#include "operate/verify/verdict.h"

#include <string.h>

#define VERDICT_ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define VERDICT_TRIES       5

/* One writing of the record, and the watch over who else writes it. */
struct verdict_writing {
    struct control_topic *topic;
    struct members *members;
    struct members_type type;
    /** Make the record on top of `before`, which may be NULL. @return as verdict_make(). */
    enum status (*make)(struct verdict_writing *writing, const struct verdict_record *before,
                        struct verdict_record *ret_record, struct error *err);
    const void *context; /* of make() */
    struct arena arena;  /* of the record, and of the one that was overlooked */
    struct buffer key;
    struct buffer value;
    bool is_written;     /* it was read back */
    bool has_overlooked; /* somebody else's record, or his tombstone, stands before ours */
    struct verdict_record overlooked; /* no copies: a tombstone */
};

static enum status verdict_watch(void *context, const struct control_record *record,
                                 struct error *err)
{
    struct verdict_writing *writing = context;
    struct error ignored = ERROR_INIT;
    if (slice_equal(record->key, buffer_slice(&writing->key)) && !writing->is_written) {
        writing->is_written = record->value.data != NULL &&
                              slice_equal(record->value, buffer_slice(&writing->value));
        if (!writing->is_written) {
            writing->has_overlooked = true;
            writing->overlooked = (struct verdict_record){0};
            if (record->value.data != NULL &&
                verdict_record_read(record->value, &writing->arena, &writing->overlooked,
                                    &ignored) != STATUS_OK)
                writing->overlooked = (struct verdict_record){0};
        }
    }
    return members_take(writing->members, record, err);
}

static enum status verdict_write_once(struct verdict_writing *writing,
                                      const struct verdict_record *before, struct error *err)
{
    struct verdict_record record;
    enum status status = writing->make(writing, before, &record, err);
    if (status != STATUS_OK)
        return status;
    buffer_reset(&writing->key);
    buffer_reset(&writing->value);
    verdict_key_append(&record, &writing->key);
    verdict_record_append(&record, &writing->value);
    if (writing->key.failed || writing->value.failed)
        return error_set(err, STATUS_REJECT, "the verdicts on %s are too large for a record",
                         writing->type.entity_type);
    return control_topic_write(writing->topic, buffer_slice(&writing->key),
                               buffer_slice(&writing->value), err);
}

static enum status verdict_write_record(struct verdict_writing *writing, struct error *err)
{
    const struct verdict_record *before = members_verdict(writing->members, &writing->type);
    enum status status = STATUS_OK;
    arena_init(&writing->arena, VERDICT_ARENA_BYTES);
    buffer_init(&writing->key, MEMBER_KEY_MAX);
    buffer_init(&writing->value, MEMBER_RECORD_BYTES_MAX);
    for (int i = 0; status == STATUS_OK && i < VERDICT_TRIES; i++) {
        writing->is_written = writing->has_overlooked = false;
        status = verdict_write_once(writing, before, err);
        if (status == STATUS_OK)
            status = control_topic_read(writing->topic, verdict_watch, writing,
                                        &writing->members->end, err);
        if (!writing->has_overlooked)
            break;
        before = writing->overlooked.count > 0 ? &writing->overlooked : NULL;
    }
    arena_done(&writing->arena);
    buffer_done(&writing->key);
    buffer_done(&writing->value);
    return status;
}

/* What a comparison has found. */
static enum status verdict_of_comparison(struct verdict_writing *writing,
                                         const struct verdict_record *before,
                                         struct verdict_record *ret_record, struct error *err)
{
    struct verdict_input input = *(const struct verdict_input *)writing->context;
    struct quorum quorum;
    input.before = before;
    input.quorum = &quorum;
    input.control_offset = writing->members->end;
    enum status status = members_quorum(writing->members, &writing->type, &quorum, err);
    if (status == STATUS_OK)
        status = verdict_make(&input, &writing->arena, ret_record, err);
    quorum_done(&quorum);
    return status;
}

enum status verdict_write(struct control_topic *topic, struct members *members,
                          const struct verify *verify, const struct verify_result *result,
                          struct error *err)
{
    const struct verdict_input input = {.verify = verify, .result = result};
    struct verdict_writing writing = {
        .topic = topic,
        .members = members,
        .type = {verify->entity_type, verify->members[0].participant->topic},
        .make = verdict_of_comparison,
        .context = &input};
    return verdict_write_record(&writing, err);
}

/* What was known of the copy stays: only a comparison says whether it is equal now. */
static enum status verdict_of_repair(struct verdict_writing *writing,
                                     const struct verdict_record *before,
                                     struct verdict_record *ret_record, struct error *err)
{
    const struct verdict_repair *repair = writing->context;
    size_t count = before == NULL ? 0 : before->count;
    const struct verdict_copy *known = verdict_find(before, repair->service, repair->copy);
    struct verdict_copy *copies = arena_alloc(&writing->arena, (count + 1) * sizeof *copies);
    if (copies == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the verdicts on %s",
                         writing->type.entity_type);
    *ret_record = (struct verdict_record){.asker = "", .reference = ""};
    if (before != NULL)
        *ret_record = *before;
    for (size_t i = 0; i < count; i++)
        copies[i] = before->copies[i];
    size_t index = known == NULL ? count : (size_t)(known - before->copies);
    if (known == NULL && count < VERDICT_COPIES_MAX)
        copies[count++] = VERDICT_COPY_NEW(repair->service, repair->copy);
    if (index < count)
        copies[index].repaired += repair->rows;
    ret_record->entity_type = writing->type.entity_type;
    ret_record->topic = writing->type.topic;
    ret_record->control_offset = writing->members->end;
    ret_record->copies = copies;
    ret_record->count = count;
    return STATUS_OK;
}

enum status verdict_write_repair(struct control_topic *topic, struct members *members,
                                 const struct verdict_repair *repair, struct error *err)
{
    struct verdict_writing writing = {.topic = topic,
                                      .members = members,
                                      .type = repair->type,
                                      .make = verdict_of_repair,
                                      .context = repair};
    return verdict_write_record(&writing, err);
}
