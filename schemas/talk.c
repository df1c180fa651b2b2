/* Writes the messages of the talk topic, and what asker and desk both make of columns. */
#include "schemas/talk.h"

#include "common/base64.h"
#include "schemas/talk_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *const talk_ask_names[TALK_ASKS] = {
    [TALK_STAMP] = "stamp", [TALK_SUMS] = "sums", [TALK_LIST] = "list", [TALK_KEYS] = "keys",
    [TALK_KEEP] = "keep",   [TALK_END] = "end",   [TALK_FILL] = "fill", [TALK_REPORT] = "report",
};

static const char *const talk_open_names[TALK_OPEN_REASONS] = {
    [TALK_OPEN_OWN] = "own", [TALK_OPEN_IMAGE] = "kept", [TALK_OPEN_PARKED] = "parked"};

const char *talk_ask_name(enum talk_ask ask)
{
    return talk_ask_names[ask];
}

const char *talk_open_name(enum talk_open_reason reason)
{
    return talk_open_names[reason];
}

void talk_desk_append(const char *service, const char *copy, const char *instance,
                      struct buffer *out)
{
    buffer_append_format(out, "%s/%s/%s", service, copy, instance);
}

static void talk_append_head(struct buffer *out, const char *what, enum talk_ask ask,
                             const char *id, int64_t number)
{
    buffer_append_format(out, "{\"v\":%d,\"%s\":\"%s\",\"id\":", TALK_VERSION, what,
                         talk_ask_names[ask]);
    buffer_append_json(out, slice_of(id));
    buffer_append_format(out, ",\"number\":%" PRId64, number);
}

static void talk_append_columns(struct buffer *out, const struct talk_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        const struct talk_column *column = &columns->list[i];
        buffer_append_text(out, i == 0 ? "[[" : ",[");
        buffer_append_json(out, slice_of(column->name));
        buffer_append_format(out, ",\"%s\",%s]", column_type_name(column->type),
                             column->is_key ? "true" : "false");
    }
    buffer_append_text(out, columns->count == 0 ? "[]" : "]");
}

/* Eight bytes each, the lowest first. */
static void talk_append_numbers(struct buffer *out, const uint64_t *numbers, size_t count)
{
    struct buffer bytes;
    buffer_init(&bytes, count * 8 + 1);
    for (size_t i = 0; i < count; i++) {
        char number[8];
        for (size_t b = 0; b < sizeof number; b++)
            number[b] = (char)(numbers[i] >> (8 * b));
        buffer_append(&bytes, number, sizeof number);
    }
    buffer_append_text(out, "\"");
    base64_append(out, buffer_slice(&bytes));
    buffer_append_text(out, "\"");
    out->failed = out->failed || bytes.failed;
    buffer_done(&bytes);
}

static void talk_append_left_out(struct buffer *out, const struct talk_question *question)
{
    buffer_append_text(out, ",\"leave_out\":");
    talk_append_numbers(out, question->left_out, question->left_out_count);
}

static void talk_append_buckets(struct buffer *out, const struct talk_question *question)
{
    buffer_append_text(out, ",\"buckets\":[");
    for (size_t i = 0; i < question->bucket_count; i++)
        buffer_append_format(out, "%s%d", i == 0 ? "" : ",", question->buckets[i]);
    buffer_append_text(out, "]");
}

static void talk_append_keys(struct buffer *out, const struct talk_question *question)
{
    buffer_append_text(out, ",\"keys\":[");
    for (size_t i = 0; i < question->key_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, question->keys[i]);
    }
    buffer_append_text(out, "]");
}

static void talk_append_types(struct buffer *out, const struct talk_question *question)
{
    fields_append_text(out, "topic", question->topic);
    fields_append_text(out, "for", question->target);
    buffer_append_text(out, ",\"types\":{");
    for (size_t i = 0; i < question->type_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(question->types[i].entity_type));
        buffer_append_text(out, ":");
        talk_append_columns(out, &question->types[i].columns);
    }
    buffer_append_text(out, "}");
}

static void talk_append_topics(struct buffer *out, const struct talk_question *question)
{
    buffer_append_format(out, ",\"seconds\":%" PRId64 ",\"topics\":[", question->seconds);
    for (size_t i = 0; i < question->topic_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(question->topics[i]));
    }
    buffer_append_text(out, "]");
}

static bool talk_asks_rows(enum talk_ask ask)
{
    return ask == TALK_SUMS || ask == TALK_LIST || ask == TALK_KEYS;
}

void talk_question_append(const struct talk_question *question, struct buffer *out)
{
    enum talk_ask ask = question->ask;
    talk_append_head(out, "ask", ask, question->id, question->number);
    fields_append_text(out, "to", question->to);
    fields_append_text(out, "from", question->from);
    if (ask == TALK_STAMP) {
        buffer_append_format(out, ",\"seconds\":%" PRId64, question->seconds);
        fields_append_text(out, "type", question->entity_type);
        fields_append_text(out, "topic", question->topic);
    }
    if (talk_asks_rows(ask)) {
        buffer_append_text(out, ",\"columns\":");
        talk_append_columns(out, &question->columns);
    }
    if (ask == TALK_SUMS || ask == TALK_LIST)
        talk_append_left_out(out, question);
    if (ask == TALK_LIST)
        talk_append_buckets(out, question);
    if (ask == TALK_KEYS)
        talk_append_keys(out, question);
    if (ask == TALK_LIST || ask == TALK_KEYS)
        buffer_append_format(out, ",\"values\":%s", question->with_rows ? "true" : "false");
    if (ask == TALK_FILL)
        talk_append_types(out, question);
    if (ask == TALK_REPORT)
        talk_append_topics(out, question);
    buffer_append_text(out, "}");
}

static void talk_append_stamp(struct buffer *out, const struct talk_answer *answer)
{
    fields_append_text(out, "cluster", answer->cluster_id);
    buffer_append_text(out, ",\"offsets\":[");
    for (size_t i = 0; i < answer->partition_count; i++)
        buffer_append_format(out, "%s%" PRId64, i == 0 ? "" : ",", answer->offsets[i]);
    buffer_append_text(out, "],\"columns\":");
    talk_append_columns(out, &answer->columns);
    buffer_append_format(out, ",\"open\":%" PRIu64 ",\"parts\":%" PRId64, answer->open_count,
                         answer->parts);
}

void talk_answer_append(const struct talk_answer *answer, struct buffer *out)
{
    enum talk_ask ask = answer->ask;
    talk_append_head(out, "answer", ask, answer->id, answer->number);
    fields_append_text(out, "from", answer->from);
    buffer_append_format(out, ",\"can\":%s", answer->why == NULL ? "true" : "false");
    if (answer->why != NULL)
        fields_append_reason(out, "why", answer->why);
    else if (ask == TALK_STAMP)
        talk_append_stamp(out, answer);
    if (answer->why == NULL && (talk_asks_rows(ask) || ask == TALK_KEEP))
        buffer_append_format(out, ",\"rows\":%" PRIu64, answer->rows);
    if (answer->why == NULL && (ask == TALK_LIST || ask == TALK_KEYS))
        buffer_append_format(out, ",\"parts\":%" PRId64, answer->parts);
    if (answer->why == NULL && ask == TALK_SUMS) {
        buffer_append_text(out, ",\"sums\":");
        talk_append_numbers(out, answer->sums, ROW_BUCKETS);
    }
    buffer_append_text(out, "}");
}

/* Makes room for the columns of a message. */
static enum status talk_schema_fill(struct entity_schema *schema, const char *entity_type,
                                    const struct talk_columns *columns, struct error *err)
{
    schema->columns = calloc(columns->count + 1, sizeof *schema->columns);
    schema->key_columns = calloc(columns->count + 1, sizeof *schema->key_columns);
    schema->entity_type = strdup(entity_type);
    if (schema->columns == NULL || schema->key_columns == NULL || schema->entity_type == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the columns of a message");
    for (size_t i = 0; i < columns->count; i++) {
        const struct talk_column *column = &columns->list[i];
        if (entity_schema_find(schema, slice_of(column->name)) >= 0)
            return error_set(err, STATUS_REJECT, "a column is named twice");
        schema->columns[i] = (struct column){
            .name = strdup(column->name), .type = column->type, .is_key = column->is_key};
        if (schema->columns[i].name == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the columns of a message");
        schema->column_count++;
        size_t at = column->is_key ? schema->key_count++ : 0;
        for (; column->is_key && at > 0 &&
               strcmp(schema->columns[schema->key_columns[at - 1]].name, column->name) > 0;
             at--)
            schema->key_columns[at] = schema->key_columns[at - 1];
        if (column->is_key)
            schema->key_columns[at] = i;
    }
    return schema->key_count > 0
               ? STATUS_OK
               : error_set(err, STATUS_REJECT, "no column of the message is of the key");
}

enum status talk_schema_new(const char *entity_type, const struct talk_columns *columns,
                            struct entity_schema **ret_schema, struct error *err)
{
    if (columns->count == 0 || columns->count > ENTITY_COLUMNS_MAX)
        return error_set(err, STATUS_REJECT, "a message must name 1 to %d columns",
                         ENTITY_COLUMNS_MAX);
    struct entity_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the columns of a message");
    enum status status = talk_schema_fill(schema, entity_type, columns, err);
    if (status == STATUS_OK)
        *ret_schema = schema;
    else
        entity_schema_free(schema);
    return status;
}

enum status talk_columns_find(const struct entity_schema *schema,
                              const struct talk_columns *columns, struct row_columns *ret_columns,
                              struct error *err)
{
    struct entity_schema *asked = NULL;
    enum status status = talk_schema_new(schema->entity_type, columns, &asked, err);
    if (status == STATUS_OK)
        status = row_columns_find(schema, asked, ret_columns, err);
    if (asked != NULL)
        entity_schema_free(asked);
    return status;
}

enum status talk_columns_of(const struct entity_schema *schema, struct arena *arena,
                            struct talk_columns *ret_columns, struct error *err)
{
    struct talk_column *list = arena_alloc(arena, (schema->column_count + 1) * sizeof *list);
    if (list == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the columns of a message");
    for (size_t i = 0; i < schema->column_count; i++)
        list[i] = (struct talk_column){schema->columns[i].name, schema->columns[i].type,
                                       schema->columns[i].is_key};
    *ret_columns = (struct talk_columns){list, schema->column_count};
    return STATUS_OK;
}
