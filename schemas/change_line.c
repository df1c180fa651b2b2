/* Takes a line of JSON apart. Values that need no understanding keep their bytes. */
#include "schemas/change_line.h"

#include "schemas/json.h"

enum member {
    MEMBER_TYPE,
    MEMBER_KEY,
    MEMBER_OP,
    MEMBER_BEFORE,
    MEMBER_AFTER,
    MEMBER_TRACEPARENT,
    MEMBER_PARTITION_KEY,
    MEMBER_COUNT
};

static const char *const MEMBER_NAMES[MEMBER_COUNT] = {
    "type", "key", "op", "before", "after", "traceparent", "partition_key"};

struct change_line_member {
    struct slice raw;    /* its bytes in the line */
    const json_t *value; /* NULL: absent or null */
};

static size_t change_line_space(struct slice text, size_t at)
{
    while (at < text.length && strchr(" \t\r\n", text.data[at]) != NULL)
        at++;
    return at;
}

/* @return the end of the value that begins at `at`. jansson has read the text, so it is well
 * formed. */
static size_t change_line_skip(struct slice text, size_t at)
{
    bool quoted = false;
    size_t depth = 0;
    for (; at < text.length; at++) {
        char c = text.data[at];
        if (quoted) {
            at += c == '\\' ? 1 : 0;
            quoted = c != '"';
            if (!quoted && depth == 0)
                return at + 1;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && strchr(",:]} \t\r\n", c) != NULL) {
            return at;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return at;
}

/* jansson keeps an object's members in the text's order, so their names need not be read again. */
static void change_line_members(struct slice line, json_t *json,
                                struct change_line_member members[MEMBER_COUNT])
{
    const char *name;
    json_t *value;
    size_t at = change_line_space(line, 0) + 1;
    json_object_foreach(json, name, value)
    {
        at = change_line_skip(line, change_line_space(line, at));
        at = change_line_space(line, change_line_space(line, at) + 1);
        size_t end = change_line_skip(line, at);
        for (size_t i = 0; i < MEMBER_COUNT; i++) {
            if (strcmp(name, MEMBER_NAMES[i]) == 0 && !json_is_null(value))
                members[i] = (struct change_line_member){{line.data + at, end - at}, value};
        }
        at = change_line_space(line, end) + 1;
    }
}

/* @return the text of a string; the bytes of anything else. */
static struct slice change_line_text(const struct change_line_member *member, struct arena *arena)
{
    if (!json_is_string(member->value))
        return member->raw;
    return arena_copy(
        arena, (struct slice){json_string_value(member->value), json_string_length(member->value)});
}

static struct slice change_line_raw(const struct change_line_member *member)
{
    return member->value == NULL ? slice_of("null") : member->raw;
}

/* @return the payload's op as given; without one, the op that the type's last word means. */
static struct slice change_line_op(const struct change_line_member *op, struct slice verb)
{
    static const char *const verbs[][2] = {
        {"created", "\"c\""}, {"updated", "\"u\""}, {"deleted", "\"d\""}, {"read", "\"r\""}};
    for (size_t i = 0; op->value == NULL && i < sizeof verbs / sizeof *verbs; i++) {
        if (slice_is(verb, verbs[i][0]))
            return slice_of(verbs[i][1]);
    }
    return change_line_raw(op);
}

static struct slice change_line_payload(const struct change_line_member *members, struct slice op,
                                        struct arena *arena)
{
    const struct slice parts[] = {slice_of("{\"op\":"),
                                  op,
                                  slice_of(",\"before\":"),
                                  change_line_raw(&members[MEMBER_BEFORE]),
                                  slice_of(",\"after\":"),
                                  change_line_raw(&members[MEMBER_AFTER]),
                                  slice_of("}")};
    struct slice payload = {0};
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        length += parts[i].length;
    char *data = arena_alloc(arena, length + 1);
    if (data == NULL)
        return payload;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(data + payload.length, parts[i].data, parts[i].length);
        payload.length += parts[i].length;
    }
    payload.data = data;
    return payload;
}

static enum status change_line_fill(struct slice line, json_t *json, struct arena *arena,
                                    struct change_line *ret_line, struct error *err)
{
    struct change_line_member members[MEMBER_COUNT] = {0};
    change_line_members(line, json, members);
    if (!json_is_string(members[MEMBER_TYPE].value) || members[MEMBER_KEY].value == NULL)
        return error_set(err, STATUS_REJECT, "\"type\" (order.updated) and \"key\" are needed");
    ret_line->type = change_line_text(&members[MEMBER_TYPE], arena);
    size_t dot = ret_line->type.length;
    while (dot > 0 && ret_line->type.data[dot - 1] != '.')
        dot--;
    if (ret_line->type.data != NULL && dot < 2)
        return error_set(err, STATUS_REJECT, "\"type\" (order.updated) and \"key\" are needed");
    struct slice verb = {ret_line->type.data + dot, ret_line->type.length - dot};
    ret_line->entity_type = (struct slice){ret_line->type.data, dot - 1};
    ret_line->key = change_line_text(&members[MEMBER_KEY], arena);
    ret_line->payload = change_line_payload(members, change_line_op(&members[MEMBER_OP], verb),
                                            arena);
    bool full = ret_line->type.data == NULL || ret_line->key.data == NULL ||
                ret_line->payload.data == NULL;
    if (members[MEMBER_TRACEPARENT].value != NULL) {
        ret_line->traceparent = change_line_text(&members[MEMBER_TRACEPARENT], arena);
        full = full || ret_line->traceparent.data == NULL;
    }
    if (members[MEMBER_PARTITION_KEY].value != NULL) {
        ret_line->partition_key = change_line_text(&members[MEMBER_PARTITION_KEY], arena);
        full = full || ret_line->partition_key.data == NULL;
    }
    return full ? error_set(err, STATUS_RETRY, "the lines need too much memory") : STATUS_OK;
}

enum status change_line_read(struct slice line, struct arena *arena, struct change_line *ret_line,
                             struct error *err)
{
    json_error_t wrong;
    enum status status;
    *ret_line = (struct change_line){0};
    json_t *json = json_loadb(line.data, line.length, JSON_LOAD_FLAGS, &wrong);
    if (json == NULL)
        return error_set(err, STATUS_REJECT, "not JSON at byte %d: %s", wrong.position, wrong.text);
    if (json_is_object(json))
        status = change_line_fill(line, json, arena, ret_line, err);
    else
        status = error_set(err, STATUS_REJECT, "not a JSON object");
    json_decref(json);
    return status;
}
