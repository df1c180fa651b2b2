/* Reads the records of the topic keepstep-joint, strictly, and writes their keys and answers. */
#include "schemas/joint_internal.h"

#include "common/utf8.h"

#define JOINT_PROTOCOL        "1"
#define JOINT_SEQUENCE_DIGITS 20

static const char *const joint_kind_names[] = {
    [JOINT_PROPOSAL] = "proposal", [JOINT_VOTE] = "vote",   [JOINT_WITHDRAWAL] = "withdrawal",
    [JOINT_VOID] = "void",         [JOINT_OTHER] = "other",
};

const char *joint_kind_name(enum joint_kind kind)
{
    return joint_kind_names[kind];
}

static struct slice joint_header(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count && i < RECORD_HEADERS_READ; i++) {
        if (slice_is(record->headers[i].name, name))
            return record->headers[i].value;
    }
    return (struct slice){0};
}

/* Whether a header can be kept as a text. */
static bool joint_fits(struct slice text, size_t length_max)
{
    return text.length > 0 && text.length <= length_max && utf8_is_valid(text) &&
           memchr(text.data, '\0', text.length) == NULL;
}

/* @return the number; 0 where the header holds none that counts. */
static uint64_t joint_sequence(struct slice text)
{
    uint64_t sequence = 0;
    if (text.length != JOINT_SEQUENCE_DIGITS)
        return 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(sequence, 10, &sequence) ||
            __builtin_add_overflow(sequence, (uint64_t)(text.data[i] - '0'), &sequence))
            return 0;
    }
    return sequence < JOINT_SEQUENCE_MAX ? sequence : 0;
}

/* A record whose numbers cannot be read has none, and the next one of its source is a gap. */
static void joint_read_origin(const struct record *record, struct joint_record *out)
{
    out->offset = record->offset;
    out->id = joint_header(record, "ce_id");
    out->source = joint_header(record, "ce_source");
    out->incarnation = joint_header(record, "ce_incarnation");
    out->previous_id = joint_header(record, "ce_previousid");
    out->sequence = joint_sequence(joint_header(record, "ce_sequence"));
    if (!joint_fits(out->id, JOINT_EVENT_ID_MAX) || !joint_fits(out->source, JOINT_NAME_MAX) ||
        !joint_fits(out->incarnation, JOINT_INCARNATION_MAX) ||
        (out->sequence > 1 && !joint_fits(out->previous_id, JOINT_EVENT_ID_MAX)) ||
        record->header_count > RECORD_HEADERS_READ)
        out->sequence = 0;
}

/* What kind of record a type is of: "keepstep.joint.vote". */
static enum joint_kind joint_kind_of_type(struct slice type)
{
    size_t prefix = strlen(JOINT_ENTITY_TYPE ".");
    if (type.length <= prefix || memcmp(type.data, JOINT_ENTITY_TYPE ".", prefix) != 0)
        return JOINT_OTHER;
    for (enum joint_kind kind = JOINT_PROPOSAL; kind <= JOINT_WITHDRAWAL; kind++) {
        if (slice_is((struct slice){type.data + prefix, type.length - prefix},
                     joint_kind_names[kind]))
            return kind;
    }
    return JOINT_OTHER;
}

/* What this version does not know says nothing, to any version for ever: one that gave it a meaning
 * would decide otherwise than those that are still running (rule 60). */
static void joint_read_kind(const struct record *record, struct joint_record *out)
{
    struct slice kind = joint_header(record, "ce_kind");
    out->kind = out->stands_for = JOINT_OTHER;
    if (!slice_is(joint_header(record, "ce_protocol"), JOINT_PROTOCOL))
        out->sequence = 0; /* another program's */
    if (kind.data == NULL || out->sequence == 0)
        return;
    for (out->kind = JOINT_PROPOSAL; out->kind < JOINT_OTHER; out->kind++) {
        if (slice_is(kind, joint_kind_names[out->kind]))
            break;
    }
    if (out->kind == JOINT_VOID)
        out->stands_for = joint_kind_of_type(joint_header(record, "ce_type"));
}

enum status joint_copy_text(const json_t *text, size_t length_max, struct arena *arena,
                            struct slice *ret_text, struct error *err)
{
    struct slice borrowed = {json_string_value(text), json_string_length(text)};
    if (!json_is_string(text) || borrowed.length > length_max ||
        memchr(borrowed.data, '\0', borrowed.length) != NULL)
        return error_set(err, STATUS_REJECT, "no text of at most %zu bytes", length_max);
    *ret_text = arena_copy(arena, borrowed);
    return ret_text->data == NULL ? error_set(err, STATUS_RETRY, "arena full") : STATUS_OK;
}

enum status joint_copy_name(const json_t *object, const char *member, struct arena *arena,
                            struct slice *ret_text, struct error *err)
{
    struct error own = ERROR_INIT;
    enum status status = joint_copy_text(json_object_get(object, member), JOINT_NAME_MAX, arena,
                                         ret_text, &own);
    if (status == STATUS_OK && ret_text->length > 0)
        return STATUS_OK;
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", own.text);
    return error_set(err, STATUS_REJECT, "%s: must be a text of 1 to %d bytes", member,
                     JOINT_NAME_MAX);
}

json_t *joint_json_load(struct slice text, size_t bytes_max, struct error *err)
{
    json_error_t wrong;
    json_t *json = NULL;
    if (text.data == NULL || text.length == 0)
        (void)error_set(err, STATUS_REJECT, "there is no JSON");
    else if (text.length > bytes_max)
        (void)error_set(err, STATUS_REJECT, "it has %zu bytes, more than %zu", text.length,
                        bytes_max);
    else if ((json = json_loadb(text.data, text.length, JSON_LOAD_FLAGS | JSON_ALLOW_NUL,
                                &wrong)) == NULL)
        (void)error_set(err, STATUS_REJECT,
                        "it is no JSON, or has a member twice or a number that is too large, at "
                        "byte %d",
                        wrong.position);
    return json;
}

enum status joint_name_read(struct slice key, struct arena *arena, struct joint_name *ret_name,
                            struct error *err)
{
    *ret_name = (struct joint_name){0};
    json_t *json = joint_json_load(key, JOINT_BYTES_MAX, err);
    enum status status = json == NULL ? STATUS_REJECT : STATUS_OK;
    if (status == STATUS_OK && (!json_is_object(json) || json_object_size(json) != 2))
        status = error_set(err, STATUS_REJECT, "must be {\"id\":…,\"proposer\":…}");
    if (status == STATUS_OK)
        status = joint_copy_name(json, "id", arena, &ret_name->id, err);
    if (status == STATUS_OK)
        status = joint_copy_name(json, "proposer", arena, &ret_name->proposer, err);
    json_decref(json);
    return json_check_memory(status, err);
}

/* An answer's members that are not known are read past: what it says is said by these. */
static enum status joint_answer_members(const json_t *json, struct arena *arena,
                                        struct joint_answer *answer, struct error *err)
{
    static const char *const names[] = {"reason", "code"};
    struct slice *const texts[] = {&answer->reason, &answer->code};
    enum status status = joint_copy_name(json, "proposal", arena, &answer->proposal, err);
    for (size_t i = 0; i < sizeof names / sizeof *names && status == STATUS_OK; i++) {
        const json_t *text = json_object_get(json, names[i]);
        if (text != NULL)
            status = joint_copy_text(text, JOINT_BYTES_MAX, arena, texts[i], err);
    }
    return status;
}

static enum status joint_answer_read(struct slice value, bool is_vote, struct arena *arena,
                                     struct joint_answer *answer, struct error *err)
{
    json_t *json = joint_json_load(value, JOINT_BYTES_MAX, err);
    enum status status = json == NULL ? STATUS_REJECT : STATUS_OK;
    if (status == STATUS_OK && !json_is_object(json))
        status = error_set(err, STATUS_REJECT, "must be an object");
    if (status == STATUS_OK)
        status = joint_answer_members(json, arena, answer, err);
    const char *vote = json_string_value(json_object_get(json, "vote"));
    answer->yes = vote != NULL && strcmp(vote, "yes") == 0;
    if (status == STATUS_OK && is_vote && !answer->yes && (vote == NULL || strcmp(vote, "no") != 0))
        status = error_set(err, STATUS_REJECT, "vote: must be yes or no");
    json_decref(json);
    return json_check_memory(status, err);
}

enum status joint_value_check(struct slice kind, struct slice value, struct arena *arena,
                              struct error *err)
{
    struct joint_proposal proposal;
    struct joint_answer answer = {0};
    if (slice_is(kind, joint_kind_names[JOINT_PROPOSAL]))
        return joint_proposal_read(value, arena, &proposal, err);
    return joint_answer_read(value, slice_is(kind, joint_kind_names[JOINT_VOTE]), arena, &answer,
                             err);
}

static enum status joint_read_value(const struct record *record, struct arena *arena,
                                    struct joint_record *out)
{
    struct error own = ERROR_INIT;
    enum status status = STATUS_OK;
    if (out->kind == JOINT_PROPOSAL)
        status = joint_proposal_read(record->value, arena, &out->proposal, &own);
    else if (out->kind != JOINT_VOID)
        status = joint_answer_read(record->value, out->kind == JOINT_VOTE, arena, &out->answer,
                                   &own);
    if (status != STATUS_REJECT)
        return status;
    out->is_malformed = true;
    out->proposal = (struct joint_proposal){0};
    out->answer = (struct joint_answer){0};
    memcpy(out->fault, own.text, sizeof out->fault);
    return STATUS_OK;
}

/* Let the record's texts be in the arena. */
static enum status joint_keep(struct arena *arena, struct joint_record *out, struct error *err)
{
    struct slice *const texts[] = {&out->id, &out->source, &out->incarnation, &out->previous_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i]->data == NULL)
            continue;
        *texts[i] = arena_copy(arena, *texts[i]);
        if (texts[i]->data == NULL)
            return error_set(err, STATUS_RETRY, "arena full");
    }
    return STATUS_OK;
}

enum status joint_record_read(const struct record *record, struct arena *arena,
                              struct joint_record *ret_record, struct error *err)
{
    struct error own = ERROR_INIT;
    *ret_record = (struct joint_record){0};
    joint_read_origin(record, ret_record);
    joint_read_kind(record, ret_record);
    enum status status = joint_keep(arena, ret_record, err);
    if (status != STATUS_OK || ret_record->kind == JOINT_OTHER)
        return status;
    struct slice subject = joint_header(record, "ce_subject");
    status = joint_name_read(subject.data != NULL ? subject : record->key, arena, &ret_record->name,
                             &own);
    if (status == STATUS_REJECT) {
        ret_record->kind = JOINT_OTHER;
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = joint_read_value(record, arena, ret_record);
    return status == STATUS_OK
               ? status
               : error_set(err, status, "no memory for a record of the joint topic");
}

void joint_name_append(struct joint_name name, struct buffer *out)
{
    buffer_append_text(out, "{\"id\":");
    buffer_append_json(out, name.id);
    buffer_append_text(out, ",\"proposer\":");
    buffer_append_json(out, name.proposer);
    buffer_append_text(out, "}");
}

/* A text for people. A database's message can be in any encoding, or be cut in a character. */
static void joint_append_text(struct buffer *out, const char *member, struct slice text)
{
    char plain[ERROR_TEXT_SIZE];
    if (text.length == 0)
        return;
    buffer_append_format(out, ",\"%s\":", member);
    if (!utf8_is_valid(text)) {
        size_t length = text.length < sizeof plain ? text.length : sizeof plain;
        for (size_t i = 0; i < length; i++)
            plain[i] = (unsigned char)text.data[i] < 0x80 ? text.data[i] : '?';
        text = (struct slice){plain, length};
    }
    buffer_append_json(out, text);
}

static void joint_answer_append(const struct joint_answer *answer, const char *vote,
                                struct buffer *out)
{
    buffer_append_text(out, "{\"proposal\":");
    buffer_append_json(out, answer->proposal);
    buffer_append_text(out, vote);
    joint_append_text(out, "reason", answer->reason);
    joint_append_text(out, "code", answer->code);
    buffer_append_text(out, "}");
}

void joint_vote_append(const struct joint_answer *vote, struct buffer *out)
{
    joint_answer_append(vote, vote->yes ? ",\"vote\":\"yes\"" : ",\"vote\":\"no\"", out);
}

void joint_withdrawal_append(const struct joint_answer *withdrawal, struct buffer *out)
{
    joint_answer_append(withdrawal, "", out);
}
