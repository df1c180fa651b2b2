/* Writes and reads the records of the control topic, strictly: whatever is read was written by
 * another program. */
#include "schemas/member_record.h"

#include "common/clock.h"
#include "schemas/record_fields.h"

#include <inttypes.h>

#define MEMBER_VERSION        1
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
        read.entity_type = rest;
        read.kind = rest.length > 0 ? MEMBER_KEY_POLICY : MEMBER_KEY_OTHER;
    } else if (slice_is(kind, "verdict")) {
        read.entity_type = member_key_part(&rest);
        read.topic = rest;
        if (read.entity_type.length > 0 && read.topic.length > 0)
            read.kind = MEMBER_KEY_VERDICT;
    } else if (slice_is(kind, "member")) {
        read.service = member_key_part(&rest);
        read.copy = member_key_part(&rest);
        read.instance = rest;
        if (read.service.length > 0 && read.copy.length > 0 && read.instance.length > 0)
            read.kind = MEMBER_KEY_MEMBER;
    }
    return read;
}

void member_key_append(const struct member_record *member, struct buffer *out)
{
    buffer_append_format(out, "member/%s/%s/%s", member->service, member->copy, member->instance);
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
        fields_append_text(out, "state", member_state_name(applied->state));
        buffer_append_format(out, ",\"joined\":%s,\"lag_ms\":%" PRId64,
                             applied->joined ? "true" : "false", applied->lag_ms);
        fields_append_reason(out, "reason", applied->reason);
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

static void member_append_parked(const struct member_record *member, struct buffer *out)
{
    buffer_append_text(out, ",\"parked\":[");
    for (size_t i = 0; i < member->parked_count; i++) {
        const struct member_parked *parked = &member->parked[i];
        buffer_append_text(out, i == 0 ? "[" : ",[");
        buffer_append_json(out, slice_of(parked->topic));
        buffer_append_format(out, ",%" PRId32, parked->partition);
        for (size_t j = 0; j < parked->count; j++)
            buffer_append_format(out, ",%" PRId64, parked->offsets[j]);
        buffer_append_text(out, "]");
    }
    buffer_append_text(out, "]");
}

/* Of the partitions whose list is full, where this instance knows it. */
static void member_append_totals(const struct member_record *member, struct buffer *out)
{
    bool first = true;
    for (size_t i = 0; i < member->parked_count; i++) {
        const struct member_parked *parked = &member->parked[i];
        if (parked->total == 0)
            continue;
        buffer_append_text(out, first ? ",\"parked_totals\":[[" : ",[");
        buffer_append_json(out, slice_of(parked->topic));
        buffer_append_format(out, ",%" PRId32 ",%" PRId64 "]", parked->partition, parked->total);
        first = false;
    }
    buffer_append_text(out, first ? "" : "]");
}

static bool member_applies(const struct member_record *member, const char *entity_type)
{
    for (size_t i = 0; i < member->applied_count; i++) {
        if (strcmp(member->applied[i].entity_type, entity_type) == 0)
            return true;
    }
    return false;
}

/* A service that publishes and applies a type has its columns once. */
static void member_append_columns(const struct member_record *member, struct buffer *out)
{
    const char *separator = "";
    buffer_append_text(out, ",\"columns\":{");
    for (size_t i = 0; i < member->applied_count + member->published_count; i++) {
        bool applies = i < member->applied_count;
        const struct member_published *published =
            applies ? NULL : &member->published[i - member->applied_count];
        const char *type = applies ? member->applied[i].entity_type : published->entity_type;
        if (!applies && member_applies(member, type))
            continue;
        buffer_append_text(out, separator);
        buffer_append_json(out, slice_of(type));
        buffer_append_text(out, ":");
        buffer_append_json(out,
                           slice_of(applies ? member->applied[i].columns : published->columns));
        separator = ",";
    }
    buffer_append_text(out, "}");
}

/* Few services publish what they keep no table of, so most records do not have this. */
static void member_append_without_rows(const struct member_record *member, struct buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < member->published_count; i++) {
        if (!member->published[i].has_no_rows)
            continue;
        buffer_append_text(out, count++ == 0 ? ",\"without_rows\":[" : ",");
        buffer_append_json(out, slice_of(member->published[i].entity_type));
    }
    buffer_append_text(out, count == 0 ? "" : "]");
}

/* A type that is published and applied is paused once. */
static void member_append_paused(const struct member_record *member, struct buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < member->applied_count + member->published_count; i++) {
        bool applies = i < member->applied_count;
        size_t j = i - member->applied_count;
        const char *type = applies ? member->applied[i].entity_type
                                   : member->published[j].entity_type;
        int64_t at_us = applies ? member->applied[i].paused_at_us
                                : member->published[j].paused_at_us;
        char time[CLOCK_TEXT_SIZE];
        if (at_us == 0 || (!applies && member_applies(member, type)))
            continue;
        clock_format_utc(at_us, time);
        buffer_append_text(out, count++ == 0 ? ",\"paused\":{" : ",");
        buffer_append_json(out, slice_of(type));
        buffer_append_format(out, ":\"%s\"", time);
    }
    buffer_append_text(out, count == 0 ? "" : "}");
}

void member_record_append(const struct member_record *member, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d", MEMBER_VERSION);
    fields_append_text(out, "service", member->service);
    fields_append_text(out, "copy", member->copy);
    fields_append_text(out, "instance", member->instance);
    fields_append_text(out, "version", member->version);
    fields_append_time(out, "at", member->at_us);
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
    member_append_parked(member, out);
    member_append_totals(member, out);
    member_append_columns(member, out);
    member_append_without_rows(member, out);
    member_append_paused(member, out);
    buffer_append_text(out, "}");
}

void member_policy_append(const struct member_policy *policy, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d,\"members\":[", MEMBER_VERSION);
    for (size_t i = 0; i < policy->count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(policy->members[i]));
    }
    buffer_append_text(out, "]}");
}

/* Versions before 0.3 write none. */
static const char *member_read_columns(struct fields *fields, const json_t *json, const char *type)
{
    const json_t *columns = json_object_get(json_object_get(json, "columns"), type);
    return columns == NULL ? "" : fields_copy(fields, json_string_value(columns), "columns");
}

static bool member_read_without_rows(const json_t *json, const char *type)
{
    const json_t *list = json_object_get(json, "without_rows");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *named = json_string_value(json_array_get(list, i));
        if (named != NULL && strcmp(named, type) == 0)
            return true;
    }
    return false;
}

/* @return when a type was paused; 0: it is not, as in a record of an earlier version. */
static int64_t member_read_paused(struct fields *fields, const json_t *json, const char *type)
{
    const json_t *paused = json_object_get(json, "paused");
    return json_object_get(paused, type) == NULL ? 0 : fields_time(fields, paused, type);
}

static void member_read_published(struct fields *fields, const json_t *json,
                                  struct member_record *member)
{
    const char *type;
    json_t *topic;
    json_t *object = fields_object(fields, json, "publishes", MEMBER_TYPES_MAX);
    member->published = fields_allocate(fields, json_object_size(object),
                                        sizeof *member->published);
    json_object_foreach(object, type, topic)
    {
        if (fields->status != STATUS_OK)
            return;
        struct member_published *published = &member->published[member->published_count++];
        published->entity_type = fields_copy(fields, type, "publishes");
        published->topic = fields_copy(fields, json_string_value(topic), "publishes");
        published->columns = member_read_columns(fields, json, type);
        published->has_no_rows = member_read_without_rows(json, type);
        published->paused_at_us = member_read_paused(fields, json, type);
    }
}

static enum member_state member_read_state(struct fields *fields, const json_t *json)
{
    const char *state = json_string_value(json_object_get(json, "state"));
    for (size_t i = 0; state != NULL && i < MEMBER_STATES; i++) {
        if (strcmp(state, member_state_names[i]) == 0)
            return (enum member_state)i;
    }
    fields_refuse(fields, "state");
    return MEMBER_STARTING;
}

static void member_read_applied(struct fields *fields, const json_t *json,
                                struct member_record *member)
{
    const char *type;
    json_t *value;
    json_t *object = fields_object(fields, json, "applies", MEMBER_TYPES_MAX);
    member->applied = fields_allocate(fields, json_object_size(object), sizeof *member->applied);
    json_object_foreach(object, type, value)
    {
        if (fields->status != STATUS_OK)
            return;
        struct member_applied *applied = &member->applied[member->applied_count++];
        applied->entity_type = fields_copy(fields, type, "applies");
        applied->topic = fields_name(fields, value, "topic");
        applied->state = member_read_state(fields, value);
        applied->joined = fields_bool(fields, value, "joined");
        applied->lag_ms = fields_integer(fields, json_object_get(value, "lag_ms"), -1, "lag_ms");
        applied->reason = fields_text(fields, value, "reason");
        applied->columns = member_read_columns(fields, json, type);
        applied->paused_at_us = member_read_paused(fields, json, type);
    }
}

static void member_read_position(struct fields *fields, const char *topic, const json_t *json,
                                 struct member_position *position)
{
    static const char name[] = "positions";
    if (!json_is_array(json) || json_array_size(json) != MEMBER_POSITION_PARTS) {
        fields_refuse(fields, name);
        return;
    }
    int64_t partition = fields_integer(fields, json_array_get(json, 0), 0, name);
    *position = (struct member_position){
        .topic = topic,
        .partition = (int32_t)partition,
        .epoch = fields_integer(fields, json_array_get(json, 1), 0, name),
        .applied = fields_integer(fields, json_array_get(json, 2), 0, name),
        .durable = fields_integer(fields, json_array_get(json, 3), 0, name),
        .parked_from = fields_integer(fields, json_array_get(json, 4), -1, name),
    };
    if (partition >= (int64_t)MEMBER_POSITIONS_MAX)
        fields_refuse(fields, name);
}

static void member_read_positions(struct fields *fields, const json_t *json,
                                  struct member_record *member)
{
    const char *name;
    json_t *list;
    size_t count = 0;
    json_t *object = fields_object(fields, json, "positions", MEMBER_TYPES_MAX);
    json_object_foreach(object, name, list)
    {
        count += json_array_size(list);
    }
    if (count > MEMBER_POSITIONS_MAX) {
        fields_refuse(fields, "positions");
        return;
    }
    member->positions = fields_allocate(fields, count, sizeof *member->positions);
    json_object_foreach(object, name, list)
    {
        const char *topic = fields_copy(fields, name, "positions");
        if (!json_is_array(list))
            fields_refuse(fields, "positions");
        for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
            member_read_position(fields, topic, json_array_get(list, i),
                                 &member->positions[member->position_count++]);
    }
}

static void member_read_parked_at(struct fields *fields, const json_t *json,
                                  struct member_parked *parked)
{
    static const char name[] = "parked";
    size_t size = json_array_size(json);
    if (size < 2 || size > MEMBER_PARKED_LISTED + 2) {
        fields_refuse(fields, name);
        return;
    }
    int64_t partition = fields_integer(fields, json_array_get(json, 1), 0, name);
    if (partition >= (int64_t)MEMBER_POSITIONS_MAX)
        fields_refuse(fields, name);
    parked->topic = fields_copy(fields, json_string_value(json_array_get(json, 0)), name);
    parked->partition = (int32_t)partition;
    for (size_t i = 2; i < size; i++)
        parked->offsets[parked->count++] = fields_integer(fields, json_array_get(json, i), 0, name);
}

/* Versions before 0.3 write none. */
static void member_read_parked(struct fields *fields, const json_t *json,
                               struct member_record *member)
{
    const json_t *list = json_object_get(json, "parked");
    if (list == NULL)
        return;
    if (!json_is_array(list) || json_array_size(list) > MEMBER_PARKED_MAX) {
        fields_refuse(fields, "parked");
        return;
    }
    member->parked = fields_allocate(fields, json_array_size(list), sizeof *member->parked);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        member_read_parked_at(fields, json_array_get(list, i),
                              &member->parked[member->parked_count++]);
}

static void member_read_totals(struct fields *fields, const json_t *json,
                               struct member_record *member)
{
    static const char name[] = "parked_totals";
    const json_t *list = json_object_get(json, name);
    if (json_array_size(list) > MEMBER_PARKED_MAX)
        fields_refuse(fields, name);
    for (size_t at = 0; fields->status == STATUS_OK && at < json_array_size(list); at++) {
        const json_t *entry = json_array_get(list, at);
        const char *topic = json_string_value(json_array_get(entry, 0));
        int64_t partition = fields_integer(fields, json_array_get(entry, 1), 0, name);
        int64_t total = fields_integer(fields, json_array_get(entry, 2), 0, name);
        for (size_t i = 0; topic != NULL && i < member->parked_count; i++) {
            struct member_parked *parked = &member->parked[i];
            if (parked->partition == partition && parked->count == MEMBER_PARKED_LISTED &&
                strcmp(parked->topic, topic) == 0)
                parked->total = total;
        }
    }
}

static void member_read(struct fields *fields, const json_t *json, struct member_record *member)
{
    const json_t *outbox = json_object_get(json, "outbox");
    member->service = fields_name(fields, json, "service");
    member->copy = fields_name(fields, json, "copy");
    member->instance = fields_name(fields, json, "instance");
    member->version = fields_text(fields, json, "version");
    member->at_us = fields_time(fields, json, "at");
    member->waiting = fields_integer(fields, json_object_get(outbox, "waiting"), -1, "outbox");
    member->set_aside = fields_integer(fields, json_object_get(outbox, "set_aside"), -1, "outbox");
    if (fields->status == STATUS_OK)
        member_read_published(fields, json, member);
    if (fields->status == STATUS_OK)
        member_read_applied(fields, json, member);
    if (fields->status == STATUS_OK)
        member_read_positions(fields, json, member);
    if (fields->status == STATUS_OK)
        member_read_parked(fields, json, member);
    if (fields->status == STATUS_OK)
        member_read_totals(fields, json, member);
}

static void member_read_policy(struct fields *fields, const json_t *json,
                               struct member_policy *policy)
{
    const json_t *list = json_object_get(json, "members");
    if (!json_is_array(list) || json_array_size(list) > MEMBER_TYPES_MAX) {
        fields_refuse(fields, "members");
        return;
    }
    policy->members = fields_allocate(fields, json_array_size(list), sizeof *policy->members);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        policy->members[policy->count++] = fields_copy(
            fields, json_string_value(json_array_get(list, i)), "members");
}

enum status member_record_read(struct slice value, struct arena *arena,
                               struct member_record *ret_member, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_member = (struct member_record){0};
    json_t *json = fields_load(&fields, value, MEMBER_RECORD_BYTES_MAX, MEMBER_VERSION);
    if (json != NULL)
        member_read(&fields, json, ret_member);
    json_decref(json);
    return json_check_memory(fields.status, err);
}

enum status member_policy_read(struct slice value, struct arena *arena,
                               struct member_policy *ret_policy, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_policy = (struct member_policy){0};
    json_t *json = fields_load(&fields, value, MEMBER_RECORD_BYTES_MAX, MEMBER_VERSION);
    if (json != NULL)
        member_read_policy(&fields, json, ret_policy);
    json_decref(json);
    return json_check_memory(fields.status, err);
}
