/* Reads the messages of talk and rows topics, strictly: whatever is read was written by another
 * program. */
#include "common/base64.h"
#include "common/uuid.h"
#include "schemas/talk_internal.h"

#include <stdlib.h>

#define TALK_DIGEST_DIGITS 16
#define TALK_SECONDS_MAX   INT64_C(604800)

/* @return a member that is an array of at most `limit` items; NULL was refused. */
static json_t *talk_read_list(struct fields *fields, const json_t *json, const char *name,
                              size_t limit)
{
    json_t *list = json_object_get(json, name);
    if (json_is_array(list) && json_array_size(list) <= limit)
        return list;
    fields_refuse(fields, name);
    return NULL;
}

/* A key or a row: a text of any length. */
static struct slice talk_read_slice(struct fields *fields, const json_t *json, const char *name)
{
    if (!json_is_string(json)) {
        fields_refuse(fields, name);
        return slice_of("");
    }
    struct slice copy = arena_copy(
        fields->arena, (struct slice){json_string_value(json), json_string_length(json)});
    if (copy.data == NULL)
        fields->status = error_set(fields->err, STATUS_RETRY, "no memory for a message");
    return copy.data == NULL ? slice_of("") : copy;
}

static const char *talk_read_id(struct fields *fields, const json_t *json)
{
    const char *id = fields_text(fields, json, "id");
    if (strlen(id) != UUID_TEXT_SIZE - 1 || strspn(id, "0123456789abcdef-") != UUID_TEXT_SIZE - 1)
        fields_refuse(fields, "id");
    return id;
}

static enum talk_ask talk_read_ask(struct fields *fields, const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    for (int i = 0; text != NULL && i < TALK_ASKS; i++) {
        if (strcmp(text, talk_ask_name((enum talk_ask)i)) == 0)
            return (enum talk_ask)i;
    }
    fields_refuse(fields, name);
    return TALK_KEEP;
}

static struct talk_columns talk_read_column_list(struct fields *fields, const json_t *list,
                                                 const char *name)
{
    if (!json_is_array(list) || json_array_size(list) > ENTITY_COLUMNS_MAX) {
        fields_refuse(fields, name);
        return (struct talk_columns){0};
    }
    struct talk_column *columns = fields_allocate(fields, json_array_size(list), sizeof *columns);
    size_t count = 0;
    for (; fields->status == STATUS_OK && count < json_array_size(list); count++) {
        const json_t *item = json_array_get(list, count);
        const char *type = json_string_value(json_array_get(item, 1));
        const json_t *is_key = json_array_get(item, 2);
        columns[count].name = fields_copy(fields, json_string_value(json_array_get(item, 0)), name);
        columns[count].is_key = json_is_true(is_key);
        if (type == NULL || !column_type_parse(type, &columns[count].type) ||
            !json_is_boolean(is_key))
            fields_refuse(fields, name);
    }
    return (struct talk_columns){columns, count};
}

static struct talk_columns talk_read_columns(struct fields *fields, const json_t *json)
{
    return talk_read_column_list(fields, json_object_get(json, "columns"), "columns");
}

/* @return numbers of eight bytes, at most `limit` of them. */
static uint64_t *talk_read_numbers(struct fields *fields, const json_t *json, const char *name,
                                   size_t limit, size_t *ret_count)
{
    const json_t *text = json_object_get(json, name);
    struct buffer bytes;
    uint64_t *numbers = NULL;
    buffer_init(&bytes, limit * 8 + 1);
    *ret_count = 0;
    if (!json_is_string(text) ||
        !base64_read((struct slice){json_string_value(text), json_string_length(text)}, &bytes) ||
        bytes.length % 8 != 0)
        fields_refuse(fields, name);
    else
        numbers = fields_allocate(fields, bytes.length / 8, sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < bytes.length; i++)
        numbers[i / 8] |= (uint64_t)(unsigned char)bytes.data[i] << (8 * (i % 8));
    if (numbers != NULL)
        *ret_count = bytes.length / 8;
    if (bytes.no_memory)
        fields->status = error_set(fields->err, STATUS_RETRY, "no memory for a message");
    buffer_done(&bytes);
    return numbers;
}

static void talk_read_left_out(struct fields *fields, const json_t *json,
                               struct talk_question *question)
{
    question->left_out = talk_read_numbers(fields, json, "leave_out", TALK_LEFT_OUT_MAX,
                                           &question->left_out_count);
    for (size_t i = 1; i < question->left_out_count; i++) {
        if (question->left_out[i - 1] > question->left_out[i])
            fields_refuse(fields, "leave_out");
    }
}

static void talk_read_buckets(struct fields *fields, const json_t *json,
                              struct talk_question *question)
{
    const json_t *list = talk_read_list(fields, json, "buckets", ROW_BUCKETS);
    uint16_t *buckets = fields_allocate(fields, json_array_size(list), sizeof *buckets);
    int64_t least = 0;
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        int64_t bucket = fields_integer(fields, json_array_get(list, i), least, "buckets");
        if (bucket >= ROW_BUCKETS)
            fields_refuse(fields, "buckets");
        buckets[i] = (uint16_t)bucket;
        least = bucket + 1;
    }
    question->buckets = buckets;
    question->bucket_count = json_array_size(list);
}

static void talk_read_keys(struct fields *fields, const json_t *json,
                           struct talk_question *question)
{
    const json_t *list = talk_read_list(fields, json, "keys", TALK_KEYS_MAX);
    struct slice *keys = fields_allocate(fields, json_array_size(list), sizeof *keys);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        keys[i] = talk_read_slice(fields, json_array_get(list, i), "keys");
    question->keys = keys;
    question->key_count = json_array_size(list);
}

static void talk_read_types(struct fields *fields, const json_t *json,
                            struct talk_question *question)
{
    const char *type;
    json_t *columns;
    json_t *object = fields_object(fields, json, "types", TALK_TYPES_MAX);
    struct talk_type *types = fields_allocate(fields, json_object_size(object), sizeof *types);
    json_object_foreach(object, type, columns)
    {
        if (fields->status != STATUS_OK)
            break;
        types[question->type_count].entity_type = fields_copy(fields, type, "types");
        types[question->type_count++].columns = talk_read_column_list(fields, columns, "types");
    }
    question->types = types;
    question->topic = fields_name(fields, json, "topic");
    question->target = fields_text(fields, json, "for");
}

static void talk_read_topics(struct fields *fields, const json_t *json,
                             struct talk_question *question)
{
    const json_t *list = talk_read_list(fields, json, "topics", TALK_TYPES_MAX);
    const char **topics = fields_allocate(fields, json_array_size(list), sizeof *topics);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        topics[i] = fields_copy(fields, json_string_value(json_array_get(list, i)), "topics");
    question->topics = topics;
    question->topic_count = json_array_size(list);
}

static void talk_read_question(struct fields *fields, const json_t *json,
                               struct talk_question *question)
{
    enum talk_ask ask = talk_read_ask(fields, json, "ask");
    *question = (struct talk_question){.ask = ask,
                                       .id = talk_read_id(fields, json),
                                       .to = fields_text(fields, json, "to"),
                                       .from = fields_name(fields, json, "from")};
    question->number = fields_integer(fields, json_object_get(json, "number"), 1, "number");
    if (*question->to == '\0' && ask != TALK_REPORT)
        fields_refuse(fields, "to");
    if (ask == TALK_STAMP || ask == TALK_REPORT)
        question->seconds = fields_count(fields, json, "seconds", TALK_SECONDS_MAX);
    if (ask == TALK_STAMP) {
        question->entity_type = fields_text(fields, json, "type");
        question->topic = fields_name(fields, json, "topic");
    }
    if (ask == TALK_SUMS || ask == TALK_LIST || ask == TALK_KEYS)
        question->columns = talk_read_columns(fields, json);
    if (ask == TALK_SUMS || ask == TALK_LIST)
        talk_read_left_out(fields, json, question);
    if (ask == TALK_LIST)
        talk_read_buckets(fields, json, question);
    if (ask == TALK_KEYS)
        talk_read_keys(fields, json, question);
    if (ask == TALK_LIST || ask == TALK_KEYS)
        question->with_rows = fields_bool(fields, json, "values");
    if (ask == TALK_FILL)
        talk_read_types(fields, json, question);
    if (ask == TALK_REPORT)
        talk_read_topics(fields, json, question);
}

static void talk_read_stamp(struct fields *fields, const json_t *json, struct talk_answer *answer)
{
    const json_t *list = talk_read_list(fields, json, "offsets", TALK_PARTITIONS_MAX);
    int64_t *offsets = fields_allocate(fields, json_array_size(list), sizeof *offsets);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        offsets[i] = fields_integer(fields, json_array_get(list, i), 0, "offsets");
        if (offsets[i] > TALK_OFFSET_MAX)
            fields_refuse(fields, "offsets");
    }
    answer->offsets = offsets;
    answer->partition_count = json_array_size(list);
    answer->cluster_id = fields_text(fields, json, "cluster");
    answer->columns = talk_read_columns(fields, json);
    answer->open_count = (uint64_t)fields_count(fields, json, "open", INT64_MAX);
}

static void talk_read_answer(struct fields *fields, const json_t *json, struct talk_answer *answer)
{
    enum talk_ask ask = talk_read_ask(fields, json, "answer");
    *answer = (struct talk_answer){.ask = ask,
                                   .id = talk_read_id(fields, json),
                                   .from = fields_text(fields, json, "from"),
                                   .cluster_id = ""};
    answer->number = fields_integer(fields, json_object_get(json, "number"), 1, "number");
    if (!fields_bool(fields, json, "can")) {
        answer->why = fields_text(fields, json, "why");
        return;
    }
    if (ask == TALK_STAMP)
        talk_read_stamp(fields, json, answer);
    if (ask == TALK_SUMS || ask == TALK_LIST || ask == TALK_KEYS || ask == TALK_KEEP)
        answer->rows = (uint64_t)fields_count(fields, json, "rows", INT64_MAX);
    if (ask == TALK_STAMP || ask == TALK_LIST || ask == TALK_KEYS)
        answer->parts = fields_count(fields, json, "parts", (int64_t)TALK_LISTED_MAX);
    if (ask == TALK_SUMS) {
        size_t count = 0;
        answer->sums = talk_read_numbers(fields, json, "sums", ROW_BUCKETS, &count);
        if (count != ROW_BUCKETS)
            fields_refuse(fields, "sums");
    }
}

static uint64_t talk_read_digest(struct fields *fields, const json_t *json)
{
    const char *text = json_string_value(json);
    if (text == NULL || strlen(text) != TALK_DIGEST_DIGITS ||
        strspn(text, "0123456789abcdef") != TALK_DIGEST_DIGITS) {
        fields_refuse(fields, "rows");
        return 0;
    }
    return strtoull(text, NULL, 16);
}

static void talk_read_rows(struct fields *fields, const json_t *json, struct talk_part *part)
{
    const json_t *list = talk_read_list(fields, json, "rows", TALK_LISTED_MAX);
    struct talk_row *rows = fields_allocate(fields, json_array_size(list), sizeof *rows);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        rows[i].key = talk_read_slice(fields, json_array_get(item, 0), "rows");
        rows[i].digest = talk_read_digest(fields, json_array_get(item, 1));
        if (json_array_size(item) > 2)
            rows[i].json = talk_read_slice(fields, json_array_get(item, 2), "rows");
        rows[i].is_unfit = json_is_true(json_array_get(item, 3));
    }
    part->rows = rows;
    part->row_count = json_array_size(list);
}

static enum talk_open_reason talk_read_reason(struct fields *fields, const json_t *json)
{
    const char *text = json_string_value(json);
    for (int i = 0; text != NULL && i < TALK_OPEN_REASONS; i++) {
        if (strcmp(text, talk_open_name((enum talk_open_reason)i)) == 0)
            return (enum talk_open_reason)i;
    }
    fields_refuse(fields, "open");
    return TALK_OPEN_OWN;
}

static void talk_read_open(struct fields *fields, const json_t *json, struct talk_part *part)
{
    const json_t *list = talk_read_list(fields, json, "open", TALK_LISTED_MAX);
    struct talk_open *open = fields_allocate(fields, json_array_size(list), sizeof *open);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        open[i].key = talk_read_slice(fields, json_array_get(item, 0), "open");
        open[i].reason = talk_read_reason(fields, json_array_get(item, 1));
    }
    part->open = open;
    part->open_count = json_array_size(list);
}

static void talk_read_part(struct fields *fields, const json_t *json, struct talk_part *part)
{
    *part = (struct talk_part){.ask = talk_read_ask(fields, json, "answer"),
                               .id = talk_read_id(fields, json),
                               .from = fields_text(fields, json, "from")};
    part->number = fields_integer(fields, json_object_get(json, "number"), 1, "number");
    part->part = fields_integer(fields, json_object_get(json, "part"), 1, "part");
    if (part->ask == TALK_STAMP)
        talk_read_open(fields, json, part);
    else if (part->ask == TALK_LIST || part->ask == TALK_KEYS)
        talk_read_rows(fields, json, part);
    else
        fields_refuse(fields, "answer");
}

static void talk_read(struct fields *fields, const json_t *json, struct talk_message *message)
{
    message->kind = json_object_get(json, "part") != NULL  ? TALK_PART
                    : json_object_get(json, "ask") != NULL ? TALK_QUESTION
                                                           : TALK_ANSWER;
    if (message->kind == TALK_PART)
        talk_read_part(fields, json, &message->part);
    else if (message->kind == TALK_QUESTION)
        talk_read_question(fields, json, &message->question);
    else
        talk_read_answer(fields, json, &message->answer);
}

enum status talk_message_read(struct slice value, struct arena *arena,
                              struct talk_message *ret_message, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_message = (struct talk_message){0};
    json_t *json = fields_load(&fields, value, TALK_MESSAGE_BYTES_MAX, TALK_VERSION);
    if (json != NULL)
        talk_read(&fields, json, ret_message);
    json_decref(json);
    return json_check_memory(fields.status, err);
}
