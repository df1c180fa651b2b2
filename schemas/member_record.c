/* Writes and reads the records of the control topic, strictly: whatever is read was written by
 * another program. */
#include "schemas/member_record.h"

#include "common/clock.h"
#include "schemas/json.h"

#include <inttypes.h>

#define MEMBER_VERSION        1
#define MEMBER_TEXT_MAX       1024 /* bytes of a name or a reason */
#define MEMBER_POSITION_PARTS 5

static const char *const member_state_names[] = {
    [MEMBER_STARTING] = "starting", [MEMBER_COMPLETE] = "complete", [MEMBER_FILLING] = "filling",
    [MEMBER_PARTIAL] = "partial",   [MEMBER_STOPPED] = "stopped",
};
#define MEMBER_STATES (sizeof member_state_names / sizeof *member_state_names)

const char *member_state_name(enum member_state state)
{
    return member_state_names[state];
}

/* Takes what stands before the next slash, or all of the rest. */
static struct slice member_key_part(struct slice *rest)
{
    struct slice part = *rest;
    const char *slash = rest->length == 0 ? NULL : memchr(rest->data, '/', rest->length);
    if (slash != NULL)
        part.length = (size_t)(slash - rest->data);
    size_t used = part.length + (slash != NULL);
    *rest = (struct slice){rest->data + used, rest->length - used};
    return part;
}

struct member_key member_key_read(struct slice key)
{
    struct member_key read = {.kind = MEMBER_KEY_OTHER};
    struct slice rest = key;
    if (key.data == NULL || key.length > MEMBER_KEY_MAX)
        return read;
    struct slice kind = member_key_part(&rest);
    if (slice_is(kind, "policy")) {
        read.service = rest;
        read.kind = rest.length > 0 ? MEMBER_KEY_POLICY : MEMBER_KEY_OTHER;
        return read;
    }
    if (!slice_is(kind, "member"))
        return read;
    read.service = member_key_part(&rest);
    read.copy = member_key_part(&rest);
    read.instance = rest;
    if (read.service.length > 0 && read.copy.length > 0 && read.instance.length > 0)
        read.kind = MEMBER_KEY_MEMBER;
    return read;
}

void member_key_append(const struct member_record *member, struct buffer *out)
{
    buffer_append_format(out, "member/%s/%s/%s", member->service, member->copy, member->instance);
}

static void member_append_text(struct buffer *out, const char *name, const char *text)
{
    buffer_append_format(out, ",\"%s\":", name);
    buffer_append_json(out, slice_of(text));
}

/* A reason is an error's text. It can hold bytes of a record, or end in the middle of a character,
 * and then nobody could read the record. */
static void member_append_reason(struct buffer *out, const char *reason)
{
    char text[MEMBER_TEXT_MAX + 1];
    size_t length = strnlen(reason, MEMBER_TEXT_MAX);
    for (size_t i = 0; i < length; i++)
        text[i] = (unsigned char)reason[i] < 0x80 ? reason[i] : '?';
    text[length] = '\0';
    member_append_text(out, "reason", text);
}

static void member_append_applied(const struct member_record *member, struct buffer *out)
{
    buffer_append_text(out, ",\"applies\":{");
    for (size_t i = 0; i < member->applied_count; i++) {
        const struct member_applied *applied = &member->applied[i];
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(applied->entity_type));
        buffer_append_text(out, ":{\"topic\":");
        buffer_append_json(out, slice_of(applied->topic));
        member_append_text(out, "state", member_state_name(applied->state));
        buffer_append_format(out, ",\"joined\":%s,\"lag_ms\":%" PRId64,
                             applied->joined ? "true" : "false", applied->lag_ms);
        member_append_reason(out, applied->reason);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "}");
}

/* The positions of one topic follow each other, whatever the order in which they are given. */
static void member_append_positions(const struct member_record *member, struct buffer *out)
{
    const struct member_position *positions = member->positions;
    bool first = true;
    buffer_append_text(out, ",\"positions\":{");
    for (size_t i = 0; i < member->position_count; i++) {
        size_t earlier = 0;
        while (earlier < i && strcmp(positions[earlier].topic, positions[i].topic) != 0)
            earlier++;
        if (earlier < i)
            continue;
        buffer_append_text(out, first ? "" : ",");
        first = false;
        buffer_append_json(out, slice_of(positions[i].topic));
        for (size_t j = i; j < member->position_count; j++) {
            const struct member_position *at = &positions[j];
            if (strcmp(at->topic, positions[i].topic) != 0)
                continue;
            buffer_append_format(out,
                                 "%s[%" PRId32 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]",
                                 j == i ? ":[" : ",", at->partition, at->epoch, at->applied,
                                 at->durable, at->parked_from);
        }
        buffer_append_text(out, "]");
    }
    buffer_append_text(out, "}");
}

void member_record_append(const struct member_record *member, struct buffer *out)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format_utc(member->at_us, at);
    buffer_append_format(out, "{\"v\":%d", MEMBER_VERSION);
    member_append_text(out, "service", member->service);
    member_append_text(out, "copy", member->copy);
    member_append_text(out, "instance", member->instance);
    member_append_text(out, "version", member->version);
    member_append_text(out, "at", at);
    buffer_append_text(out, ",\"publishes\":{");
    for (size_t i = 0; i < member->published_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(member->published[i].entity_type));
        buffer_append_text(out, ":");
        buffer_append_json(out, slice_of(member->published[i].topic));
    }
    buffer_append_format(out, "},\"outbox\":{\"waiting\":%" PRId64 ",\"set_aside\":%" PRId64 "}",
                         member->waiting, member->set_aside);
    member_append_applied(member, out);
    member_append_positions(member, out);
    buffer_append_text(out, "}");
}

/* The reading of one record. The first fault stays in `err`. */
struct member_reading {
    struct arena *arena;
    struct error *err;
    enum status status;
};

static void member_refuse(struct member_reading *reading, const char *name)
{
    reading->status = error_set(reading->err, STATUS_REJECT,
                                "\"%s\" is missing, too large or of another form", name);
}

static void *member_allocate(struct member_reading *reading, size_t count, size_t size)
{
    void *memory = arena_alloc(reading->arena, (count + 1) * size);
    if (memory == NULL)
        reading->status = error_set(reading->err, STATUS_RETRY, "no memory for a member record");
    return memory;
}

static const char *member_copy_text(struct member_reading *reading, const char *text,
                                    const char *name)
{
    if (text == NULL || strlen(text) > MEMBER_TEXT_MAX) {
        member_refuse(reading, name);
        return "";
    }
    struct slice copy = arena_copy(reading->arena, slice_of(text));
    if (copy.data == NULL)
        reading->status = error_set(reading->err, STATUS_RETRY, "no memory for a member record");
    return copy.data == NULL ? "" : copy.data;
}

static const char *member_text(struct member_reading *reading, const json_t *json, const char *name)
{
    return member_copy_text(reading, json_string_value(json_object_get(json, name)), name);
}

/* A name becomes a part of a key, or a topic's name. */
static const char *member_name(struct member_reading *reading, const json_t *json, const char *name)
{
    const char *text = member_text(reading, json, name);
    if (reading->status == STATUS_OK && (*text == '\0' || strchr(text, '/') != NULL))
        member_refuse(reading, name);
    return text;
}

static int64_t member_integer(struct member_reading *reading, const json_t *json, int64_t least,
                              const char *name)
{
    if (!json_is_integer(json) || json_integer_value(json) < least) {
        member_refuse(reading, name);
        return least;
    }
    return json_integer_value(json);
}

/* @return an object of at most `limit` members; NULL was refused. */
static json_t *member_object(struct member_reading *reading, const json_t *json, const char *name,
                             size_t limit)
{
    json_t *object = json_object_get(json, name);
    if (json_is_object(object) && json_object_size(object) <= limit)
        return object;
    member_refuse(reading, name);
    return NULL;
}

static void member_read_published(struct member_reading *reading, const json_t *json,
                                  struct member_record *member)
{
    const char *type;
    json_t *topic;
    json_t *object = member_object(reading, json, "publishes", MEMBER_TYPES_MAX);
    member->published = member_allocate(reading, json_object_size(object),
                                        sizeof *member->published);
    json_object_foreach(object, type, topic)
    {
        if (reading->status != STATUS_OK)
            return;
        struct member_published *published = &member->published[member->published_count++];
        published->entity_type = member_copy_text(reading, type, "publishes");
        published->topic = member_copy_text(reading, json_string_value(topic), "publishes");
    }
}

static enum member_state member_read_state(struct member_reading *reading, const json_t *json)
{
    const char *state = json_string_value(json_object_get(json, "state"));
    for (size_t i = 0; state != NULL && i < MEMBER_STATES; i++) {
        if (strcmp(state, member_state_names[i]) == 0)
            return (enum member_state)i;
    }
    member_refuse(reading, "state");
    return MEMBER_STARTING;
}

static void member_read_applied(struct member_reading *reading, const json_t *json,
                                struct member_record *member)
{
    const char *type;
    json_t *value;
    json_t *object = member_object(reading, json, "applies", MEMBER_TYPES_MAX);
    member->applied = member_allocate(reading, json_object_size(object), sizeof *member->applied);
    json_object_foreach(object, type, value)
    {
        if (reading->status != STATUS_OK)
            return;
        struct member_applied *applied = &member->applied[member->applied_count++];
        const json_t *joined = json_object_get(value, "joined");
        applied->entity_type = member_copy_text(reading, type, "applies");
        applied->topic = member_name(reading, value, "topic");
        applied->state = member_read_state(reading, value);
        applied->joined = json_is_true(joined);
        applied->lag_ms = member_integer(reading, json_object_get(value, "lag_ms"), -1, "lag_ms");
        applied->reason = member_text(reading, value, "reason");
        if (!json_is_boolean(joined))
            member_refuse(reading, "joined");
    }
}

static void member_read_position(struct member_reading *reading, const char *topic,
                                 const json_t *json, struct member_position *position)
{
    static const char name[] = "positions";
    if (!json_is_array(json) || json_array_size(json) != MEMBER_POSITION_PARTS) {
        member_refuse(reading, name);
        return;
    }
    int64_t partition = member_integer(reading, json_array_get(json, 0), 0, name);
    *position = (struct member_position){
        .topic = topic,
        .partition = (int32_t)partition,
        .epoch = member_integer(reading, json_array_get(json, 1), 0, name),
        .applied = member_integer(reading, json_array_get(json, 2), 0, name),
        .durable = member_integer(reading, json_array_get(json, 3), 0, name),
        .parked_from = member_integer(reading, json_array_get(json, 4), -1, name),
    };
    if (partition >= (int64_t)MEMBER_POSITIONS_MAX)
        member_refuse(reading, name);
}

static void member_read_positions(struct member_reading *reading, const json_t *json,
                                  struct member_record *member)
{
    const char *name;
    json_t *list;
    size_t count = 0;
    json_t *object = member_object(reading, json, "positions", MEMBER_TYPES_MAX);
    json_object_foreach(object, name, list)
    {
        count += json_array_size(list);
    }
    if (count > MEMBER_POSITIONS_MAX) {
        member_refuse(reading, "positions");
        return;
    }
    member->positions = member_allocate(reading, count, sizeof *member->positions);
    json_object_foreach(object, name, list)
    {
        const char *topic = member_copy_text(reading, name, "positions");
        if (!json_is_array(list))
            member_refuse(reading, "positions");
        for (size_t i = 0; reading->status == STATUS_OK && i < json_array_size(list); i++)
            member_read_position(reading, topic, json_array_get(list, i),
                                 &member->positions[member->position_count++]);
    }
}

static void member_read(struct member_reading *reading, const json_t *json,
                        struct member_record *member)
{
    const json_t *outbox = json_object_get(json, "outbox");
    member->service = member_name(reading, json, "service");
    member->copy = member_name(reading, json, "copy");
    member->instance = member_name(reading, json, "instance");
    member->version = member_text(reading, json, "version");
    const char *at = member_text(reading, json, "at");
    if (!clock_parse_rfc3339(at, strlen(at), &member->at_us))
        member_refuse(reading, "at");
    member->waiting = member_integer(reading, json_object_get(outbox, "waiting"), -1, "outbox");
    member->set_aside = member_integer(reading, json_object_get(outbox, "set_aside"), -1, "outbox");
    if (reading->status == STATUS_OK)
        member_read_published(reading, json, member);
    if (reading->status == STATUS_OK)
        member_read_applied(reading, json, member);
    if (reading->status == STATUS_OK)
        member_read_positions(reading, json, member);
}

static void member_read_policy(struct member_reading *reading, const json_t *json,
                               struct member_policy *policy)
{
    const json_t *list = json_object_get(json, "members");
    if (!json_is_array(list) || json_array_size(list) > MEMBER_TYPES_MAX) {
        member_refuse(reading, "members");
        return;
    }
    policy->members = member_allocate(reading, json_array_size(list), sizeof *policy->members);
    for (size_t i = 0; reading->status == STATUS_OK && i < json_array_size(list); i++)
        policy->members[policy->count++] = member_copy_text(
            reading, json_string_value(json_array_get(list, i)), "members");
}

/* Read the value into one of the two. */
static enum status member_load(struct slice value, struct arena *arena,
                               struct member_record *member, struct member_policy *policy,
                               struct error *err)
{
    struct member_reading reading = {.arena = arena, .err = err};
    json_error_t wrong;
    if (value.data == NULL || value.length > MEMBER_RECORD_BYTES_MAX)
        return error_set(err, STATUS_REJECT, "it is empty, or larger than %zu bytes",
                         MEMBER_RECORD_BYTES_MAX);
    json_t *json = json_loadb(value.data, value.length, JSON_LOAD_FLAGS, &wrong);
    if (!json_is_object(json))
        reading.status = error_set(err, STATUS_REJECT, "it is no JSON object");
    else if (json_integer_value(json_object_get(json, "v")) != MEMBER_VERSION)
        reading.status = error_set(err, STATUS_REJECT,
                                   "its version is not %d: another version of Keepstep wrote it",
                                   MEMBER_VERSION);
    else if (member != NULL)
        member_read(&reading, json, member);
    else
        member_read_policy(&reading, json, policy);
    json_decref(json);
    return json_check_memory(reading.status, err);
}

enum status member_record_read(struct slice value, struct arena *arena,
                               struct member_record *ret_member, struct error *err)
{
    *ret_member = (struct member_record){0};
    return member_load(value, arena, ret_member, NULL, err);
}

enum status member_policy_read(struct slice value, struct arena *arena,
                               struct member_policy *ret_policy, struct error *err)
{
    *ret_policy = (struct member_policy){0};
    return member_load(value, arena, NULL, ret_policy, err);
}
