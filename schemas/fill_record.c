/* Writes and reads the parts of a fill, strictly: whatever is read was written by another program.
 */
#include "schemas/fill_record.h"

#include "common/digest.h"
#include "schemas/record_fields.h"

#include <inttypes.h>
#include <stdio.h>

#define FILL_VERSION        1
#define FILL_NUMBER_MAX     19 /* digits */
#define FILL_DIGEST_DIGITS  16
#define FILL_SHORT_DIGITS   8
#define FILL_POSITION_PARTS 3
#define FILL_SEQUENCE_PARTS 7
#define FILL_KEY_PARTS      3
#define FILL_TYPE_END       ".read"

static const char *const fill_part_names[FILL_PARTS] = {
    [FILL_PART_BEGIN] = "begin", [FILL_PART_ROW] = "row",   [FILL_PART_KEYS] = "key",
    [FILL_PART_END] = "end",     [FILL_PART_VOID] = "void", [FILL_PART_WAIT] = "wait"};

/* No two lists of texts have the same digest because their bytes in a row are the same. */
static void fill_digest_add(struct digest *digest, struct slice text)
{
    uint64_t length = text.length;
    digest_add(digest, &length, sizeof length);
    digest_add(digest, text.data, text.length);
}

void fill_sums_add_row(struct fill_sums *sums, const struct fill_row *row)
{
    struct digest digest;
    digest_begin(&digest, FILL_PART_ROW);
    fill_digest_add(&digest, row->entity_type);
    fill_digest_add(&digest, row->key);
    fill_digest_add(&digest, row->json);
    sums->rows++;
    sums->digest += digest_end(&digest);
}

void fill_sums_add_key(struct fill_sums *sums, const struct fill_key *key)
{
    struct digest digest;
    digest_begin(&digest, FILL_PART_KEYS);
    fill_digest_add(&digest, key->source);
    fill_digest_add(&digest, key->id);
    digest_add(&digest, &key->digest, sizeof key->digest);
    sums->digest += digest_end(&digest);
}

bool fill_sums_match(const struct fill_sums *sums, const struct fill_end *end)
{
    return sums->rows == end->rows && sums->digest == end->digest;
}

/* The headers. */

static void fill_header_add(struct fill_headers *headers, const char *name, struct slice value)
{
    headers->headers[headers->count++] = (struct header){slice_of(name), value};
}

enum status fill_head_write(const struct fill_head *head, struct fill_headers *ret_headers,
                            struct error *err)
{
    ret_headers->count = 0;
    (void)snprintf(ret_headers->number, sizeof ret_headers->number, "%" PRIu64, head->number);
    fill_header_add(ret_headers, "ks_fill", head->id);
    fill_header_add(ret_headers, "ks_part", slice_of(fill_part_names[head->part]));
    fill_header_add(ret_headers, "ks_number", slice_of(ret_headers->number));
    if (head->part != FILL_PART_ROW)
        return STATUS_OK;
    size_t length = head->entity_type.length;
    if (length + sizeof FILL_TYPE_END > sizeof ret_headers->type)
        return error_set(err, STATUS_REJECT, "the entity type's name is too long for a fill");
    memcpy(ret_headers->type, head->entity_type.data, length);
    memcpy(ret_headers->type + length, FILL_TYPE_END, sizeof FILL_TYPE_END);
    fill_header_add(ret_headers, "ce_type", slice_of(ret_headers->type));
    return STATUS_OK;
}

static struct slice fill_header(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++) {
        if (slice_is(record->headers[i].name, name))
            return record->headers[i].value;
    }
    return (struct slice){0};
}

static bool fill_read_part(struct slice name, enum fill_part *ret_part)
{
    for (size_t i = 0; name.data != NULL && i < FILL_PARTS; i++) {
        *ret_part = (enum fill_part)i;
        if (slice_is(name, fill_part_names[i]))
            return true;
    }
    return false;
}

static bool fill_read_number(struct slice digits, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(digits.data[i] - '0');
    }
    *ret_number = number;
    return digits.length > 0 && digits.length <= FILL_NUMBER_MAX && number > 0;
}

static bool fill_read_type(struct slice type, struct slice *ret_entity_type)
{
    const size_t end = sizeof FILL_TYPE_END - 1;
    if (type.length <= end || memcmp(type.data + type.length - end, FILL_TYPE_END, end) != 0)
        return false;
    *ret_entity_type = (struct slice){type.data, type.length - end};
    return true;
}

enum status fill_head_read(const struct record *record, struct fill_head *ret_head,
                           struct error *err)
{
    *ret_head = (struct fill_head){.id = fill_header(record, "ks_fill")};
    const char *wrong = NULL;
    if (ret_head->id.length != FILL_ID_SIZE - 1)
        wrong = "ks_fill";
    else if (!fill_read_part(fill_header(record, "ks_part"), &ret_head->part))
        wrong = "ks_part";
    else if (!fill_read_number(fill_header(record, "ks_number"), &ret_head->number))
        wrong = "ks_number";
    else if (ret_head->part == FILL_PART_ROW &&
             !fill_read_type(fill_header(record, "ce_type"), &ret_head->entity_type))
        wrong = "ce_type";
    return wrong == NULL ? STATUS_OK
                         : error_set(err, STATUS_REJECT,
                                     "the header %s is missing or of another form", wrong);
}

/* What is written. */

static void fill_append_text(struct buffer *out, const char *before, const char *text)
{
    buffer_append_text(out, before);
    buffer_append_json(out, slice_of(text));
}

static void fill_append_sequence(const struct fill_sequence *sequence, struct buffer *out)
{
    buffer_append_format(out, "[%" PRId32, sequence->partition);
    fill_append_text(out, ",", sequence->source);
    fill_append_text(out, ",", sequence->incarnation);
    buffer_append_format(out, ",%" PRIu64 ",%" PRIu64, sequence->base, sequence->last);
    fill_append_text(out, ",", sequence->last_id);
    buffer_append_text(out, ",\"");
    for (size_t i = 0; sequence->digests != NULL && i < FILL_DIGESTS; i++)
        buffer_append_format(out, "%08" PRIx32, sequence->digests[i]);
    buffer_append_text(out, "\"]");
}

void fill_begin_append(const struct fill_begin *begin, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d", FILL_VERSION);
    fields_append_text(out, "id", begin->id);
    fields_append_text(out, "topic", begin->topic);
    fields_append_text(out, "source", begin->source);
    fields_append_text(out, "cluster", begin->cluster_id);
    buffer_append_text(out, ",\"types\":[");
    for (size_t i = 0; i < begin->type_count; i++)
        fill_append_text(out, i == 0 ? "" : ",", begin->types[i]);
    buffer_append_text(out, "],\"stamp\":[");
    for (int32_t i = 0; i < begin->partition_count; i++) {
        const struct fill_position *position = &begin->positions[i];
        buffer_append_format(out, "%s[%" PRId64 ",%" PRId64, i == 0 ? "" : ",",
                             position->next_offset, position->anchor_offset);
        fill_append_text(out, ",", position->anchor_id);
        buffer_append_text(out, "]");
    }
    buffer_append_text(out, "],\"sequences\":[");
    for (size_t i = 0; i < begin->sequence_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        fill_append_sequence(&begin->sequences[i], out);
    }
    buffer_append_text(out, "]}");
}

void fill_keys_append(const struct fill_key *keys, size_t count, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d,\"keys\":[", FILL_VERSION);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, i == 0 ? "[" : ",[");
        buffer_append_json(out, keys[i].source);
        buffer_append_text(out, ",");
        buffer_append_json(out, keys[i].id);
        buffer_append_format(out, ",\"%016" PRIx64 "\"]", keys[i].digest);
    }
    buffer_append_text(out, "]}");
}

void fill_end_append(const struct fill_end *end, struct buffer *out)
{
    buffer_append_format(
        out, "{\"v\":%d,\"rows\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\",\"filled_to\":[",
        FILL_VERSION, end->rows, end->digest);
    for (int32_t i = 0; i < end->partition_count; i++)
        buffer_append_format(out, "%s%" PRId64, i == 0 ? "" : ",", end->filled_to[i]);
    buffer_append_text(out, "]}");
}

void fill_reason_append(const char *reason, struct buffer *out)
{
    buffer_append_format(out, "{\"v\":%d", FILL_VERSION);
    fields_append_reason(out, "reason", reason);
    buffer_append_text(out, "}");
}

/* What is read. */

static enum status fill_read_end(struct fields *fields, json_t *json)
{
    json_decref(json);
    return json_check_memory(fields->status, fields->err);
}

static bool fill_read_hex(const char *text, size_t digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (!is_digit && (text[i] < 'a' || text[i] > 'f'))
            return false;
        value = value << 4 | (uint64_t)(is_digit ? text[i] - '0' : text[i] - 'a' + 10);
    }
    *ret_value = value;
    return true;
}

static uint64_t fill_read_digest(struct fields *fields, const json_t *json, const char *name)
{
    const char *text = json_string_value(json);
    uint64_t digest = 0;
    if (text == NULL || strlen(text) != FILL_DIGEST_DIGITS ||
        !fill_read_hex(text, FILL_DIGEST_DIGITS, &digest))
        fields_refuse(fields, name);
    return digest;
}

/* @return an item that is an array of so many; NULL was refused. */
static const json_t *fill_read_item(struct fields *fields, const json_t *item, size_t count,
                                    const char *name)
{
    if (json_is_array(item) && json_array_size(item) == count)
        return item;
    fields_refuse(fields, name);
    return NULL;
}

static void fill_read_types(struct fields *fields, const json_t *json, struct fill_begin *begin)
{
    const json_t *list = fields_array(fields, json, "types", FILL_TYPES_MAX);
    const char **types = fields_allocate(fields, json_array_size(list), sizeof *types);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++)
        types[i] = fields_copy(fields, json_string_value(json_array_get(list, i)), "types");
    begin->types = types;
    begin->type_count = json_array_size(list);
}

static void fill_read_positions(struct fields *fields, const json_t *json, struct fill_begin *begin)
{
    static const char name[] = "stamp";
    const json_t *list = fields_array(fields, json, name, FILL_PARTITIONS_MAX);
    struct fill_position *positions = fields_allocate(fields, json_array_size(list),
                                                      sizeof *positions);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        const json_t *item = fill_read_item(fields, json_array_get(list, i), FILL_POSITION_PARTS,
                                            name);
        positions[i] = (struct fill_position){
            .next_offset = fields_integer(fields, json_array_get(item, 0), 0, name),
            .anchor_offset = fields_integer(fields, json_array_get(item, 1), -1, name),
            .anchor_id = fields_copy(fields, json_string_value(json_array_get(item, 2)), name)};
    }
    begin->positions = positions;
    begin->partition_count = (int32_t)json_array_size(list);
    if (begin->partition_count == 0)
        fields_refuse(fields, name);
}

/* "" or all digests, of eight digits each. */
static const uint32_t *fill_read_digests(struct fields *fields, const json_t *json)
{
    const char *text = json_string_value(json);
    size_t length = text == NULL ? 1 : strlen(text);
    if (length == 0)
        return NULL;
    uint32_t *digests = fields_allocate(fields, FILL_DIGESTS, sizeof *digests);
    bool is_whole = length == FILL_DIGESTS * FILL_SHORT_DIGITS;
    for (size_t i = 0; digests != NULL && is_whole && i < FILL_DIGESTS; i++) {
        uint64_t digest = 0;
        is_whole = fill_read_hex(text + i * FILL_SHORT_DIGITS, FILL_SHORT_DIGITS, &digest);
        digests[i] = (uint32_t)digest;
    }
    if (!is_whole)
        fields_refuse(fields, "sequences");
    return digests;
}

static void fill_read_sequence(struct fields *fields, const json_t *item, int32_t partition_count,
                               struct fill_sequence *sequence)
{
    static const char name[] = "sequences";
    int64_t partition = fields_integer(fields, json_array_get(item, 0), 0, name);
    *sequence = (struct fill_sequence){
        .partition = (int32_t)partition,
        .source = fields_copy(fields, json_string_value(json_array_get(item, 1)), name),
        .incarnation = fields_copy(fields, json_string_value(json_array_get(item, 2)), name),
        .base = (uint64_t)fields_integer(fields, json_array_get(item, 3), 1, name),
        .last = (uint64_t)fields_integer(fields, json_array_get(item, 4), 0, name),
        .last_id = fields_copy(fields, json_string_value(json_array_get(item, 5)), name),
        .digests = fill_read_digests(fields, json_array_get(item, 6))};
    if (partition >= partition_count || sequence->last + 1 < sequence->base)
        fields_refuse(fields, name);
}

static void fill_read_sequences(struct fields *fields, const json_t *json, struct fill_begin *begin)
{
    static const char name[] = "sequences";
    const json_t *list = fields_array(fields, json, name, FILL_SEQUENCES_MAX);
    struct fill_sequence *sequences = fields_allocate(fields, json_array_size(list),
                                                      sizeof *sequences);
    for (size_t i = 0; fields->status == STATUS_OK && i < json_array_size(list); i++) {
        const json_t *item = fill_read_item(fields, json_array_get(list, i), FILL_SEQUENCE_PARTS,
                                            name);
        fill_read_sequence(fields, item, begin->partition_count, &sequences[i]);
    }
    begin->sequences = sequences;
    begin->sequence_count = json_array_size(list);
}

enum status fill_begin_read(const struct record *record, struct arena *arena,
                            struct fill_begin *ret_begin, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_begin = (struct fill_begin){0};
    json_t *json = fields_load(&fields, record->value, FILL_RECORD_BYTES_MAX, FILL_VERSION);
    if (json == NULL)
        return fields.status;
    ret_begin->id = fields_name(&fields, json, "id");
    ret_begin->topic = fields_name(&fields, json, "topic");
    ret_begin->source = fields_name(&fields, json, "source");
    ret_begin->cluster_id = fields_text(&fields, json, "cluster");
    if (fields.status == STATUS_OK && strlen(ret_begin->id) != FILL_ID_SIZE - 1)
        fields_refuse(&fields, "id");
    if (fields.status == STATUS_OK)
        fill_read_types(&fields, json, ret_begin);
    if (fields.status == STATUS_OK)
        fill_read_positions(&fields, json, ret_begin);
    if (fields.status == STATUS_OK)
        fill_read_sequences(&fields, json, ret_begin);
    return fill_read_end(&fields, json);
}

enum status fill_row_read(const struct record *record, struct fill_row *ret_row, struct error *err)
{
    static const size_t head = sizeof FILL_ROW_HEAD - 1;
    static const size_t tail = sizeof FILL_ROW_TAIL - 1;
    struct fill_head of = {0};
    const struct slice value = record->value;
    enum status status = fill_head_read(record, &of, err);
    if (status != STATUS_OK)
        return status;
    if (of.part != FILL_PART_ROW || record->key.length == 0)
        return error_set(err, STATUS_REJECT, "it is no row, or has no key");
    if (value.length <= head + tail || memcmp(value.data, FILL_ROW_HEAD, head) != 0 ||
        memcmp(value.data + value.length - tail, FILL_ROW_TAIL, tail) != 0)
        return error_set(err, STATUS_REJECT, "it does not have a row's form");
    *ret_row = (struct fill_row){
        .entity_type = of.entity_type,
        .key = record->key,
        .value = value,
        .json = {value.data + head, value.length - head - tail},
    };
    return STATUS_OK;
}

static struct slice fill_read_key_text(struct fields *fields, const json_t *json)
{
    const char *text = fields_copy(fields, json_string_value(json), "keys");
    if (strlen(text) > FILL_KEY_TEXT_MAX)
        fields_refuse(fields, "keys");
    return slice_of(text);
}

enum status fill_keys_read(const struct record *record, struct arena *arena,
                           struct fill_key **ret_keys, size_t *ret_count, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_keys = NULL;
    *ret_count = 0;
    json_t *json = fields_load(&fields, record->value, FILL_RECORD_BYTES_MAX, FILL_VERSION);
    if (json == NULL)
        return fields.status;
    const json_t *list = fields_array(&fields, json, "keys", FILL_KEYS_MAX);
    struct fill_key *keys = fields_allocate(&fields, json_array_size(list), sizeof *keys);
    for (size_t i = 0; fields.status == STATUS_OK && i < json_array_size(list); i++) {
        const json_t *item = fill_read_item(&fields, json_array_get(list, i), FILL_KEY_PARTS,
                                            "keys");
        keys[i] = (struct fill_key){
            .source = fill_read_key_text(&fields, json_array_get(item, 0)),
            .id = fill_read_key_text(&fields, json_array_get(item, 1)),
            .digest = fill_read_digest(&fields, json_array_get(item, 2), "keys")};
    }
    *ret_keys = keys;
    *ret_count = json_array_size(list);
    return fill_read_end(&fields, json);
}

enum status fill_end_read(const struct record *record, struct arena *arena,
                          struct fill_end *ret_end, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_end = (struct fill_end){0};
    json_t *json = fields_load(&fields, record->value, FILL_RECORD_BYTES_MAX, FILL_VERSION);
    if (json == NULL)
        return fields.status;
    const json_t *list = fields_array(&fields, json, "filled_to", FILL_PARTITIONS_MAX);
    int64_t *filled_to = fields_allocate(&fields, json_array_size(list), sizeof *filled_to);
    for (size_t i = 0; fields.status == STATUS_OK && i < json_array_size(list); i++)
        filled_to[i] = fields_integer(&fields, json_array_get(list, i), 0, "filled_to");
    *ret_end = (struct fill_end){
        .rows = (uint64_t)fields_integer(&fields, json_object_get(json, "rows"), 0, "rows"),
        .digest = fill_read_digest(&fields, json_object_get(json, "digest"), "digest"),
        .filled_to = filled_to,
        .partition_count = (int32_t)json_array_size(list)};
    return fill_read_end(&fields, json);
}

enum status fill_reason_read(const struct record *record, struct arena *arena,
                             const char **ret_reason, struct error *err)
{
    struct fields fields = {.arena = arena, .err = err};
    *ret_reason = "";
    json_t *json = fields_load(&fields, record->value, FILL_RECORD_BYTES_MAX, FILL_VERSION);
    if (json == NULL)
        return fields.status;
    *ret_reason = fields_text(&fields, json, "reason");
    return fill_read_end(&fields, json);
}
