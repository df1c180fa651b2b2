/* Turns a record into a change: the only reader of the wire form. */
#include "common/clock.h"
#include "schemas/record/foreign.h"
#include "schemas/record/value.h"

#include <stddef.h>

#define RECORD_PROTOCOL      "1"
#define RECORD_SEQUENCE_SIZE 20

/* The headers that are read. Data is NULL where one is absent. */
struct record_names {
    struct slice specversion, id, source, type, time, subject;
    struct slice sequence, changeset, incarnation, previous_id, protocol, kind;
    struct slice joint, traceparent, content_type; /* unused, but known names are not copied */
};

struct record_known {
    struct slice name;
    size_t place; /* in struct record_names */
};

#define RECORD_KNOWN(text, member)                                                                 \
    {                                                                                              \
        {text, sizeof(text) - 1}, offsetof(struct record_names, member)                            \
    }

/* In the relay's order. */
static const struct record_known record_known[] = {
    RECORD_KNOWN("ce_specversion", specversion),
    RECORD_KNOWN("ce_id", id),
    RECORD_KNOWN("ce_source", source),
    RECORD_KNOWN("ce_type", type),
    RECORD_KNOWN("ce_time", time),
    RECORD_KNOWN("ce_subject", subject),
    RECORD_KNOWN("ce_sequence", sequence),
    RECORD_KNOWN("ce_changeset", changeset),
    RECORD_KNOWN("ce_joint", joint),
    RECORD_KNOWN("ce_incarnation", incarnation),
    RECORD_KNOWN("ce_previousid", previous_id),
    RECORD_KNOWN("ce_protocol", protocol),
    RECORD_KNOWN("ce_kind", kind),
    RECORD_KNOWN("traceparent", traceparent),
    RECORD_KNOWN("content-type", content_type),
};

#define RECORD_KNOWN_COUNT (sizeof record_known / sizeof *record_known)

/** @param guess  where the search begins, because headers mostly keep the relay's order.
 * @return the index of a known name; RECORD_KNOWN_COUNT for any other. */
static size_t record_find_known(struct slice name, size_t guess)
{
    for (size_t i = 0; i < RECORD_KNOWN_COUNT; i++) {
        size_t index = (guess + i) % RECORD_KNOWN_COUNT;
        if (slice_equal(record_known[index].name, name))
            return index;
    }
    return RECORD_KNOWN_COUNT;
}

static size_t record_size(const struct record *record, size_t topic_length)
{
    size_t size = topic_length + record->key.length + record->value.length + 3;
    for (size_t i = 0; i < record->header_count; i++)
        size += record->headers[i].name.length + record->headers[i].value.length + 2;
    return size;
}

/** Copy `slice` to *at with a NUL after it, let it point to the copy, and move *at past the NUL. */
static void record_copy_slice(char **at, struct slice *slice)
{
    if (slice->data == NULL)
        return;
    if (slice->length > 0)
        memcpy(*at, slice->data, slice->length);
    slice->data = *at;
    *at += slice->length;
    *(*at)++ = '\0';
}

/** Copy a record into one piece of memory and note the headers that are read. */
static enum status record_copy(const struct record *record, struct arena *arena,
                               struct record *ret_record, struct record_names *names,
                               struct error *err)
{
    size_t guess = 0;
    struct slice topic = slice_of(record->topic);
    size_t headers_size = record->header_count * sizeof(struct header);
    struct header *headers = arena_alloc(arena, headers_size + record_size(record, topic.length));
    *ret_record = *record;
    if (headers == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    char *at = (char *)headers + headers_size;
    record_copy_slice(&at, &topic);
    record_copy_slice(&at, &ret_record->key);
    record_copy_slice(&at, &ret_record->value);
    for (size_t i = 0; i < record->header_count; i++) {
        headers[i] = record->headers[i];
        record_copy_slice(&at, &headers[i].value);
        size_t known = record_find_known(headers[i].name, guess);
        if (known == RECORD_KNOWN_COUNT) {
            record_copy_slice(&at, &headers[i].name);
            continue;
        }
        headers[i].name = record_known[known].name;
        struct slice *slice = (void *)((char *)names + record_known[known].place);
        if (slice->data == NULL)
            *slice = headers[i].value;
        guess = known + 1;
    }
    ret_record->topic = topic.data;
    ret_record->headers = headers;
    if (record->header_count > RECORD_HEADERS_READ)
        return error_set(err, STATUS_STOP,
                         "more than %d headers, so one that Keepstep needs may not have been read",
                         RECORD_HEADERS_READ);
    return STATUS_OK;
}

/* Those of joint transactions have readers of their own. Here they are changes of a type that
 * nobody has configured. */
static bool record_is_joint(const struct record_names *names)
{
    static const char *const kinds[] = {"proposal", "vote", "withdrawal"};
    size_t length = strlen(JOINT_ENTITY_TYPE);
    if (names->type.length <= length || names->type.data[length] != '.' ||
        memcmp(names->type.data, JOINT_ENTITY_TYPE, length) != 0)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (slice_is(names->kind, kinds[i]))
            return true;
    }
    return false;
}

static enum status record_read_kind(const struct record_names *names, enum change_kind *ret_kind,
                                    struct error *err)
{
    if (names->protocol.data == NULL && names->incarnation.data != NULL)
        return error_set(err, STATUS_STOP, "header ce_incarnation without ce_protocol");
    if (names->protocol.data != NULL && !slice_is(names->protocol, RECORD_PROTOCOL))
        return error_set(err, STATUS_STOP, "protocol version %.*s is unknown: upgrade this agent",
                         SLICE_ARGS(names->protocol));
    *ret_kind = KIND_CHANGE;
    if (names->kind.data == NULL)
        return STATUS_OK;
    if (slice_is(names->kind, "barrier"))
        *ret_kind = KIND_BARRIER;
    else if (slice_is(names->kind, "heartbeat"))
        *ret_kind = KIND_HEARTBEAT;
    else if (slice_is(names->kind, "void"))
        *ret_kind = KIND_VOID;
    else if (!record_is_joint(names))
        return error_set(err, STATUS_STOP, "record kind \"%.*s\" is unknown: upgrade this agent",
                         SLICE_ARGS(names->kind));
    return STATUS_OK;
}

/* @return the number; 0 where the text is not one of 20 digits. */
static uint64_t record_read_number(struct slice text)
{
    uint64_t number = 0;
    bool ok = text.length == RECORD_SEQUENCE_SIZE;
    for (size_t i = 0; ok && i < text.length; i++) {
        char c = text.data[i];
        ok = c >= '0' && c <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
             !__builtin_add_overflow(number, (uint64_t)(c - '0'), &number);
    }
    return ok ? number : 0;
}

static enum status record_read_changeset(const struct record_names *names, struct change *change,
                                         struct error *err)
{
    if (names->changeset.data == NULL)
        return STATUS_OK;
    if (names->incarnation.data == NULL)
        return error_set(err, STATUS_STOP, "header ce_changeset without ce_incarnation");
    change->changeset_end = record_read_number(names->changeset);
    if (change->changeset_end == 0)
        return error_set(err, STATUS_STOP, "header ce_changeset is not a number of 20 digits");
    if (change->changeset_end < change->sequence)
        return error_set(err, STATUS_STOP, "header ce_changeset is less than ce_sequence");
    return STATUS_OK;
}

static enum status record_read_sequence(const struct record_names *names, struct change *change,
                                        struct error *err)
{
    if (names->incarnation.data == NULL)
        return STATUS_OK;
    uint64_t sequence = record_read_number(names->sequence);
    if (sequence == 0)
        return error_set(err, STATUS_STOP, "header ce_sequence is not a number of 20 digits");
    if (names->id.length == 0 || names->source.length == 0)
        return error_set(err, STATUS_STOP, "sequenced record without ce_id or ce_source");
    if (sequence > 1 && names->previous_id.length == 0)
        return error_set(err, STATUS_STOP, "sequenced record without ce_previousid");
    change->incarnation = names->incarnation;
    change->previous_id = names->previous_id;
    change->sequence = sequence;
    return STATUS_OK;
}

static struct slice record_entity_type(struct slice type)
{
    size_t length = type.length;
    while (length > 0 && type.data[length - 1] != '.')
        length--;
    return (struct slice){.data = type.data, .length = length > 0 ? length - 1 : 0};
}

static enum status record_read_identity(const struct record_names *names, struct change *change,
                                        struct error *err)
{
    if (names->specversion.data != NULL && !slice_is(names->specversion, "1.0"))
        return error_set(err, STATUS_REJECT, "header ce_specversion is not 1.0");
    if (names->time.data != NULL &&
        !clock_parse_rfc3339(names->time.data, names->time.length, &change->time_us))
        return error_set(err, STATUS_REJECT, "header ce_time is not an RFC 3339 time");
    if (change->kind != KIND_CHANGE)
        return STATUS_OK;
    if (names->type.data == NULL)
        return error_set(err, STATUS_REJECT, "no header ce_type");
    if (change->entity_type.length == 0)
        return error_set(err, STATUS_REJECT, "header ce_type is not \"<entity type>.<what>\"");
    return STATUS_OK;
}

/** Read the row, or for a delete keep the values of the key: they are all that it has. */
static enum status record_read_values(struct change *change, const struct record_row *of_key,
                                      struct error *err)
{
    struct record_row after = record_row_new(of_key->schema, of_key->arena);
    enum status status = STATUS_OK;
    if (after.values == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    change->values = after.values;
    after.op = CHANGE_DELETE;
    after.entity_key = of_key->entity_key;
    after.key_values = of_key->values;
    if (change->record.value.data != NULL)
        status = record_payload_decode(&after, change->record.value, err);
    change->op = after.op;
    if (status != STATUS_OK || after.op == CHANGE_DELETE)
        memcpy(after.values, of_key->values, of_key->schema->column_count * sizeof *after.values);
    return status;
}

/* The key of a barrier or a heartbeat is ignored. A void's key is its entity, if it is readable. */
static enum status record_read_entity(struct change *change, struct slice key, struct arena *arena,
                                      struct error *err)
{
    struct value room[RECORD_ROW_COLUMNS];
    struct record_row of_key = record_row_in(room, change->schema, arena);
    if (of_key.values == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    enum status status = canonical_key_values(&of_key, key, err);
    if (status == STATUS_OK)
        change->entity_key = of_key.entity_key;
    if (status != STATUS_OK || change->kind != KIND_CHANGE)
        return status;
    return record_read_values(change, &of_key, err);
}

static enum status record_read(const struct record *record, const struct decoder *decoder,
                               struct change *ret_change, struct error *err)
{
    struct record_names names = {0};
    struct schema_finder finder = decoder->finder;
    struct arena *arena = decoder->arena;

    *ret_change = (struct change){.kind = KIND_CHANGE};
    enum status status = record_copy(record, arena, &ret_change->record, &names, err);
    if (status != STATUS_OK)
        return status;
    if (record->form != NULL)
        return record_foreign_decode(ret_change, decoder, err);
    ret_change->id = names.id;
    ret_change->source = names.source;
    ret_change->entity_type = record_entity_type(names.type);
    status = record_read_kind(&names, &ret_change->kind, err);
    if (status == STATUS_OK)
        status = record_read_sequence(&names, ret_change, err);
    if (status == STATUS_OK)
        status = record_read_changeset(&names, ret_change, err);
    if (status != STATUS_OK)
        return status;
    /* Read the entity first: then a rejected event blocks only its own entity. */
    if (ret_change->kind == KIND_BARRIER || ret_change->kind == KIND_HEARTBEAT)
        return record_read_identity(&names, ret_change, err);
    if (ret_change->entity_type.length > 0)
        ret_change->schema = finder.find(finder.context, ret_change->entity_type);
    struct slice key = names.subject.data != NULL ? names.subject : ret_change->record.key;
    enum status identity = record_read_identity(&names, ret_change, err);
    if (ret_change->schema == NULL) {
        ret_change->entity_key = key;
        return identity;
    }
    status = record_read_entity(ret_change, key, arena, err);
    if (status == STATUS_REJECT && ret_change->kind == KIND_VOID) {
        ret_change->entity_key = key;
        error_clear(err);
        status = STATUS_OK;
    }
    if (ret_change->kind != KIND_CHANGE)
        ret_change->schema = NULL;
    return identity != STATUS_OK && status != STATUS_RETRY ? identity : status;
}

enum status record_decode(const struct record *record, const struct decoder *decoder,
                          struct change *ret_change, struct error *err)
{
    return json_check_memory(record_read(record, decoder, ret_change, err), err);
}
