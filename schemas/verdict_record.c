/* Writes and reads the verdicts of the control topic, strictly: another program may have written
 * them. */
#include "schemas/verdict_record.h"

#include "schemas/record_fields.h"

#include <inttypes.h>

#define VERDICT_VERSION    1
#define VERDICT_NUMBER_MAX (INT64_MAX / 4) /* so that some of them can be added */

static const char *const verdict_state_names[] = {
    [VERDICT_NONE] = "none",
    [VERDICT_REFERENCE] = "reference",
    [VERDICT_EQUAL] = "equal",
    [VERDICT_DIFFERENT] = "different",
};
#define VERDICT_STATES (sizeof verdict_state_names / sizeof *verdict_state_names)

const char *verdict_state_name(enum verdict_state state)
{
    return verdict_state_names[state];
}

int64_t verdict_different_rows(const struct verdict_copy *copy)
{
    return copy->differs + copy->missing + copy->extra;
}

const struct verdict_copy *verdict_find(const struct verdict_record *record, const char *service,
                                        const char *copy)
{
    for (size_t i = 0; record != NULL && i < record->count; i++) {
        if (strcmp(record->copies[i].service, service) == 0 &&
            strcmp(record->copies[i].copy, copy) == 0)
            return &record->copies[i];
    }
    return NULL;
}

void verdict_key_append(const struct verdict_record *record, struct buffer *out)
{
    buffer_append_format(out, "verdict/%s/%s", record->entity_type, record->topic);
}

/* A time that is not known is null. */
static void verdict_append_time(struct buffer *out, const char *name, int64_t time_us)
{
    if (time_us == 0)
        buffer_append_format(out, ",\"%s\":null", name);
    else
        fields_append_time(out, name, time_us);
}

static void verdict_append_number(struct buffer *out, const char *name, int64_t number)
{
    buffer_append_format(out, ",\"%s\":%" PRId64, name, number);
}

static void verdict_append_copy(const struct verdict_copy *copy, struct buffer *out)
{
    buffer_append_text(out, "{\"service\":");
    buffer_append_json(out, slice_of(copy->service));
    fields_append_text(out, "copy", copy->copy);
    fields_append_text(out, "verdict", verdict_state_name(copy->state));
    verdict_append_time(out, "at", copy->at_us);
    fields_append_text(out, "asker", copy->asker);
    fields_append_text(out, "reference", copy->reference);
    verdict_append_number(out, "rows", copy->rows);
    verdict_append_number(out, "differs", copy->differs);
    verdict_append_number(out, "missing", copy->missing);
    verdict_append_number(out, "extra", copy->extra);
    buffer_append_format(out, ",\"counted_all\":%s", copy->counted_all ? "true" : "false");
    verdict_append_number(out, "left_out", copy->left_out);
    verdict_append_time(out, "equal_since", copy->equal_since_us);
    verdict_append_time(out, "equal_at", copy->equal_at_us);
    verdict_append_number(out, "repaired", copy->repaired);
    verdict_append_time(out, "skipped_at", copy->skipped_at_us);
    fields_append_reason(out, "skipped_reason", copy->skipped_reason);
    buffer_append_text(out, "}");
}

void verdict_record_append(const struct verdict_record *record, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d", VERDICT_VERSION);
    fields_append_text(out, "type", record->entity_type);
    fields_append_text(out, "topic", record->topic);
    verdict_append_number(out, "control_offset", record->control_offset);
    fields_append_text(out, "asker", record->asker);
    fields_append_text(out, "reference", record->reference);
    verdict_append_time(out, "at", record->at_us);
    verdict_append_number(out, "duration_ms", record->duration_ms);
    buffer_append_text(out, ",\"copies\":[");
    for (size_t i = 0; i < record->count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        verdict_append_copy(&record->copies[i], out);
    }
    buffer_append_text(out, "]}");
}

static int64_t verdict_read_time(struct fields *fields, const json_t *json, const char *name)
{
    return json_is_null(json_object_get(json, name)) ? 0 : fields_time(fields, json, name);
}

static enum verdict_state verdict_read_state(struct fields *fields, const json_t *json)
{
    const char *state = json_string_value(json_object_get(json, "verdict"));
    for (size_t i = 0; state != NULL && i < VERDICT_STATES; i++) {
        if (strcmp(state, verdict_state_names[i]) == 0)
            return (enum verdict_state)i;
    }
    fields_refuse(fields, "verdict");
    return VERDICT_NONE;
}

/* Older versions do not write it. */
static int64_t verdict_read_repaired(struct fields *fields, const json_t *json)
{
    return json_object_get(json, "repaired") == NULL
               ? 0
               : fields_count(fields, json, "repaired", VERDICT_NUMBER_MAX);
}

static void verdict_read_copy(struct fields *fields, const json_t *json, struct verdict_copy *copy)
{
    *copy = (struct verdict_copy){
        .service = fields_name(fields, json, "service"),
        .copy = fields_name(fields, json, "copy"),
        .state = verdict_read_state(fields, json),
        .at_us = verdict_read_time(fields, json, "at"),
        .asker = fields_text(fields, json, "asker"),
        .reference = fields_text(fields, json, "reference"),
        .rows = fields_count(fields, json, "rows", VERDICT_NUMBER_MAX),
        .differs = fields_count(fields, json, "differs", VERDICT_NUMBER_MAX),
        .missing = fields_count(fields, json, "missing", VERDICT_NUMBER_MAX),
        .extra = fields_count(fields, json, "extra", VERDICT_NUMBER_MAX),
        .counted_all = fields_bool(fields, json, "counted_all"),
        .left_out = fields_count(fields, json, "left_out", VERDICT_NUMBER_MAX),
        .equal_since_us = verdict_read_time(fields, json, "equal_since"),
        .equal_at_us = verdict_read_time(fields, json, "equal_at"),
        .repaired = verdict_read_repaired(fields, json),
        .skipped_at_us = verdict_read_time(fields, json, "skipped_at"),
        .skipped_reason = fields_text(fields, json, "skipped_reason"),
    };
}

static void verdict_read(struct fields *fields, const json_t *json, struct verdict_record *record)
{
    const json_t *list = json_object_get(json, "copies");
    record->entity_type = fields_name(fields, json, "type");
    record->topic = fields_name(fields, json, "topic");
    record->control_offset = fields_count(fields, json, "control_offset", VERDICT_NUMBER_MAX);
    record->asker = fields_text(fields, json, "asker");
    record->reference = fields_text(fields, json, "reference");
    record->at_us = verdict_read_time(fields, json, "at");
    record->duration_ms = fields_count(fields, json, "duration_ms", VERDICT_NUMBER_MAX);
    if (!json_is_array(list) || json_array_size(list) > VERDICT_COPIES_MAX)
        fields_refuse(fields, "copies");
    if (fields->status != STATUS_OK)
        return;
    record->copies = fields_allocate(fields, json_array_size(list), sizeof *record->copies);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        verdict_read_copy(fields, json_array_get(list, i), &record->copies[record->count++]);
}

enum status verdict_record_read(struct slice value, struct arena *arena,
                                struct verdict_record *ret_record, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_record = (struct verdict_record){0};
    json_t *json = fields_load(&fields, value, MEMBER_RECORD_BYTES_MAX, VERDICT_VERSION);
    if (json != NULL)
        verdict_read(&fields, json, ret_record);
    json_decref(json);
    return json_check_memory(fields.status, err);
}
