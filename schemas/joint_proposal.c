/* Reads what a proposal asks for, and writes it. A member that is not known is refused here: a
 * reader that passed it over would make another change than the one that was asked for. */
#include "schemas/joint_internal.h"

#include <stdlib.h>

#define DECIMAL_MAX 100 /* bytes of a decimal that is added */

static const char *const joint_operation_names[] = {
    [JOINT_CREATE] = "c", [JOINT_UPDATE] = "u", [JOINT_DELETE] = "d", [JOINT_KEEP] = "k"};
#define JOINT_OPERATIONS (sizeof joint_operation_names / sizeof *joint_operation_names)

const char *joint_operation_name(enum joint_operation operation)
{
    return joint_operation_names[operation];
}

/* The members of a document that are known. */
struct joint_members {
    const char *const *names;
    size_t count;
};

static enum status joint_check_members(const json_t *object, struct joint_members known,
                                       struct error *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return error_set(err, STATUS_REJECT, "must be an object");
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (i < known.count && strcmp(known.names[i], name) != 0)
            i++;
        if (i == known.count)
            return error_set(err, STATUS_REJECT, "\"%.64s\" is no member of it", name);
    }
    (void)value;
    return STATUS_OK;
}

/* @return the document as a text in the arena: no spaces, members sorted. */
static enum status joint_keep_json(const json_t *json, struct arena *arena, struct slice *ret_text,
                                   struct error *err)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    *ret_text = text == NULL ? (struct slice){0} : arena_copy(arena, slice_of(text));
    free(text);
    return ret_text->data == NULL ? error_set(err, STATUS_RETRY, "arena full") : STATUS_OK;
}

/* Columns with scalar values. @return OK with an absent text where the member is not there. */
static enum status joint_read_columns(const json_t *change, const char *member, struct arena *arena,
                                      struct slice *ret_text, struct error *err)
{
    const char *name;
    json_t *value;
    const json_t *columns = json_object_get(change, member);
    *ret_text = (struct slice){0};
    if (columns == NULL)
        return STATUS_OK;
    if (!json_is_object(columns))
        return error_set(err, STATUS_REJECT, "%s: must be an object of columns", member);
    json_object_foreach((json_t *)(uintptr_t)columns, name, value)
    {
        size_t length = strlen(name);
        if (length == 0 || length > JOINT_NAME_MAX)
            return error_set(err, STATUS_REJECT, "%s: a column's name has 1 to %d bytes", member,
                             JOINT_NAME_MAX);
        if (json_is_object(value) || json_is_array(value))
            return error_set(err, STATUS_REJECT,
                             "%s.%.64s: must be a text, a number, true, false or null", member,
                             name);
    }
    return joint_keep_json(columns, arena, ret_text, err);
}

static bool joint_is_decimal(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (text == NULL || length > DECIMAL_MAX || strlen(text) != length)
        return false;
    text += *text == '-';
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t end = whole + (text[whole] == '.' ? 1 + fraction : 0);
    return whole > 0 && (text[whole] != '.' || fraction > 0) && text[end] == '\0';
}

static enum status joint_check_add(const json_t *change, struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(change, "add"), name, value)
    {
        if (!json_is_integer(value) && !joint_is_decimal(value))
            return error_set(err, STATUS_REJECT,
                             "add.%.64s: must be an integer, or a decimal as a text like \"-1.50\"",
                             name);
        if (json_object_get(json_object_get(change, "set"), name) != NULL)
            return error_set(err, STATUS_REJECT, "add.%.64s: the column is set too", name);
    }
    return STATUS_OK;
}

/* The columns of the key: an entity keeps its key. */
static enum status joint_check_key(const json_t *change, struct error *err)
{
    static const char *const writes[] = {"set", "add"};
    const char *name;
    json_t *value;
    const json_t *key = json_object_get(change, "key");
    if (json_object_size(key) == 0)
        return error_set(err, STATUS_REJECT, "key: must be an object of the key's columns");
    json_object_foreach((json_t *)(uintptr_t)key, name, value)
    {
        if (json_is_null(value))
            return error_set(err, STATUS_REJECT, "key.%.64s: must not be null", name);
        for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
            if (json_object_get(json_object_get(change, writes[i]), name) != NULL)
                return error_set(err, STATUS_REJECT, "%s.%.64s: a key does not change", writes[i],
                                 name);
        }
    }
    return STATUS_OK;
}

/* Which of the members belong to an operation (rule 73). */
static enum status joint_check_operation(const json_t *change, enum joint_operation operation,
                                         struct error *err)
{
    bool updates = operation == JOINT_UPDATE;
    const json_t *set = json_object_get(change, "set");
    const json_t *add = json_object_get(change, "add");
    if (set != NULL && !updates && operation != JOINT_CREATE)
        return error_set(err, STATUS_REJECT, "set: belongs to op c or u");
    if (add != NULL && !updates)
        return error_set(err, STATUS_REJECT, "add: belongs to op u");
    if (json_object_get(change, "if") != NULL && operation == JOINT_CREATE)
        return error_set(err, STATUS_REJECT, "if: op c has no row to look at");
    if (updates && json_object_size(set) + json_object_size(add) == 0)
        return error_set(err, STATUS_REJECT, "op u needs a column in set or in add");
    return STATUS_OK;
}

static enum status joint_read_operation(const json_t *change, enum joint_operation *ret_operation,
                                        struct error *err)
{
    const char *text = json_string_value(json_object_get(change, "op"));
    for (size_t i = 0; text != NULL && i < JOINT_OPERATIONS; i++) {
        if (strcmp(text, joint_operation_names[i]) != 0)
            continue;
        *ret_operation = (enum joint_operation)i;
        return STATUS_OK;
    }
    return error_set(err, STATUS_REJECT, "op: must be c, u, d or k");
}

static enum status joint_read_change(const json_t *json, struct arena *arena,
                                     struct joint_change *change, struct error *err)
{
    static const char *const names[] = {"service", "type", "key", "op", "set", "add", "if"};
    enum status status = joint_check_members(
        json, (struct joint_members){names, sizeof names / sizeof *names}, err);
    if (status == STATUS_OK)
        status = joint_copy_name(json, "service", arena, &change->service, err);
    if (status == STATUS_OK)
        status = joint_copy_name(json, "type", arena, &change->entity_type, err);
    if (status == STATUS_OK)
        status = joint_read_operation(json, &change->operation, err);
    if (status == STATUS_OK)
        status = joint_read_columns(json, "key", arena, &change->key, err);
    if (status == STATUS_OK)
        status = joint_read_columns(json, "set", arena, &change->set, err);
    if (status == STATUS_OK)
        status = joint_read_columns(json, "add", arena, &change->add, err);
    if (status == STATUS_OK)
        status = joint_read_columns(json, "if", arena, &change->condition, err);
    if (status == STATUS_OK)
        status = joint_check_key(json, err);
    if (status == STATUS_OK)
        status = joint_check_add(json, err);
    return status == STATUS_OK ? joint_check_operation(json, change->operation, err) : status;
}

static bool joint_is_same_entity(const struct joint_change *a, const struct joint_change *b)
{
    return slice_equal(a->service, b->service) && slice_equal(a->entity_type, b->entity_type) &&
           slice_equal(a->key, b->key);
}

/* Put the service in its place, unless it is there. */
static enum status joint_add_participant(struct joint_proposal *proposal, struct slice service,
                                         struct error *err)
{
    size_t at = 0;
    while (at < proposal->participant_count &&
           slice_compare(proposal->participants[at], service) < 0)
        at++;
    if (at < proposal->participant_count && slice_equal(proposal->participants[at], service))
        return STATUS_OK;
    if (proposal->participant_count == JOINT_PARTICIPANTS_MAX)
        return error_set(err, STATUS_REJECT, "more than %d services take part",
                         JOINT_PARTICIPANTS_MAX);
    memmove(&proposal->participants[at + 1], &proposal->participants[at],
            (proposal->participant_count - at) * sizeof *proposal->participants);
    proposal->participants[at] = service;
    proposal->participant_count++;
    return STATUS_OK;
}

static enum status joint_read_each(const json_t *changes, struct arena *arena,
                                   struct joint_proposal *proposal, struct error *err)
{
    struct error own = ERROR_INIT;
    for (size_t i = 0; i < proposal->change_count; i++) {
        struct joint_change *change = &proposal->changes[i];
        enum status status = joint_read_change(json_array_get(changes, i), arena, change, &own);
        for (size_t j = 0; status == STATUS_OK && j < i; j++) {
            if (joint_is_same_entity(&proposal->changes[j], change))
                status = error_set(&own, STATUS_REJECT,
                                   "changes[%zu] has the same entity: ask for one change of it", j);
        }
        if (status == STATUS_OK)
            status = joint_add_participant(proposal, change->service, &own);
        if (status != STATUS_OK)
            return error_set(err, status, "changes[%zu]: %s", i, own.text);
    }
    return STATUS_OK;
}

static enum status joint_read_changes(const json_t *changes, struct arena *arena,
                                      struct joint_proposal *proposal, struct error *err)
{
    size_t count = json_array_size(changes);
    if (!json_is_array(changes) || count == 0 || count > JOINT_CHANGES_MAX)
        return error_set(err, STATUS_REJECT, "changes: must be an array of 1 to %d changes",
                         JOINT_CHANGES_MAX);
    proposal->changes = arena_alloc(arena, count * sizeof *proposal->changes);
    if (proposal->changes == NULL)
        return error_set(err, STATUS_RETRY, "arena full");
    proposal->change_count = count;
    enum status status = joint_read_each(changes, arena, proposal, err);
    return status == STATUS_OK ? joint_keep_json(changes, arena, &proposal->changes_text, err)
                               : status;
}

enum status joint_changes_read(struct slice text, struct arena *arena,
                               struct joint_proposal *ret_proposal, struct error *err)
{
    *ret_proposal = (struct joint_proposal){.timeout_ms = JOINT_TIMEOUT_MS};
    json_t *json = joint_json_load(text, JOINT_CHANGES_BYTES_MAX, err);
    enum status status = json == NULL ? STATUS_REJECT
                                      : joint_read_changes(json, arena, ret_proposal, err);
    json_decref(json);
    return json_check_memory(status, err);
}

static enum status joint_read_timeout(const json_t *json, int32_t *ret_timeout_ms,
                                      struct error *err)
{
    *ret_timeout_ms = JOINT_TIMEOUT_MS;
    if (json == NULL)
        return STATUS_OK;
    json_int_t timeout_ms = json_integer_value(json);
    if (!json_is_integer(json) || timeout_ms < 1)
        return error_set(err, STATUS_REJECT, "timeout_ms: must be an integer of at least 1");
    *ret_timeout_ms = timeout_ms < JOINT_TIMEOUT_MAX_MS ? (int32_t)timeout_ms
                                                        : JOINT_TIMEOUT_MAX_MS;
    return STATUS_OK;
}

enum status joint_proposal_read(struct slice value, struct arena *arena,
                                struct joint_proposal *ret_proposal, struct error *err)
{
    static const char *const names[] = {"timeout_ms", "changes"};
    *ret_proposal = (struct joint_proposal){0};
    json_t *json = joint_json_load(value, JOINT_BYTES_MAX, err);
    enum status status = STATUS_REJECT;
    if (json != NULL)
        status = joint_check_members(
            json, (struct joint_members){names, sizeof names / sizeof *names}, err);
    if (status == STATUS_OK)
        status = joint_read_timeout(json_object_get(json, "timeout_ms"), &ret_proposal->timeout_ms,
                                    err);
    if (status == STATUS_OK)
        status = joint_read_changes(json_object_get(json, "changes"), arena, ret_proposal, err);
    json_decref(json);
    return json_check_memory(status, err);
}

void joint_proposal_append(const struct joint_proposal *proposal, struct buffer *out)
{
    buffer_append_format(out, "{\"timeout_ms\":%d,\"changes\":", (int)proposal->timeout_ms);
    buffer_append(out, proposal->changes_text.data, proposal->changes_text.length);
    buffer_append_text(out, "}");
}
