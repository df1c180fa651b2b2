/* Reads Debezium's keys and values without a document in memory, where the record begins as the
 * topic's last one did. Only single values that need a conversion become JSON. */
#include "schemas/record/flat.h"

/** Read a value as JSON. @return NULL where only the reader of documents may read it. */
static json_t *flat_json(struct flat_reader *reader)
{
    const char *start = reader->at;
    struct slice text;
    int64_t integer = 0;
    char first = flat_next(reader);
    if (first == '"')
        return flat_string(reader, &text) ? json_stringn(text.data, text.length) : NULL;
    if (first == '{' || first == '[') {
        if (!flat_skip_value(reader))
            return NULL;
        return json_load_value(
            (struct slice){.data = start, .length = (size_t)(reader->at - start)}, NULL);
    }
    if (!flat_integer(reader, &integer))
        return NULL;
    char next = flat_next(reader);
    return next == '.' || next == 'e' || next == 'E' ? NULL : json_integer(integer);
}

static bool flat_converted(struct flat_reader *reader, const struct flat_row *row, size_t index,
                           const json_t *json)
{
    const struct column *column = &row->schema->columns[index];
    const struct debezium_field *field = &row->description->columns[index].field;
    json_t *turned = NULL;
    bool taken = debezium_value(column, field, json, &turned, NULL) == STATUS_OK;
    const json_t *read = turned == NULL ? json : turned;
    taken = taken && json_flat_allows(row->flat, index, read) &&
            record_value_decode(column, read, reader->arena, &row->values[index], NULL) ==
                STATUS_OK;
    json_decref(turned);
    return taken;
}

static bool flat_convert(struct flat_reader *reader, struct flat_row *row, size_t index)
{
    json_t *json = flat_json(reader);
    bool taken = false;
    if (json != NULL && debezium_is_unavailable(json)) {
        row->left_out[index / 64] |= UINT64_C(1) << index % 64;
        taken = true;
    } else if (json != NULL) {
        taken = flat_converted(reader, row, index, json);
    }
    json_decref(json);
    return taken;
}

/** @return whether a text that Debezium left out may begin here. */
static bool flat_may_be_placeholder(const struct flat_reader *reader)
{
    return reader->end - reader->at > 1 && strchr("_X5", reader->at[1]) != NULL;
}

bool flat_debezium_column(struct flat_reader *reader, struct flat_row *row, size_t index)
{
    const struct described_column *described = &row->description->columns[index];
    if ((row->left_out[index / 64] >> index % 64 & 1) != 0)
        return false; /* it is there twice */
    switch (flat_next(reader)) {
    case '"':
        if (described->keeps_texts && !flat_may_be_placeholder(reader))
            return flat_column(reader, row, index);
        break;
    case 'n':
    case 't':
    case 'f':
        return flat_column(reader, row, index);
    default:
        if (described->keeps_numbers)
            return flat_column(reader, row, index);
        break;
    }
    return flat_convert(reader, row, index);
}

struct flat_envelope {
    struct flat_row row;
    bool has_row;
    char op; /* NUL: none yet */
};

static bool flat_envelope_member(struct flat_reader *reader, struct flat_envelope *envelope,
                                 struct slice name)
{
    struct slice text;
    if (slice_is(name, "op")) {
        bool taken = flat_string(reader, &text) && text.length == 1;
        envelope->op = taken ? text.data[0] : '\0';
        return taken;
    }
    if (slice_is(name, "after") && flat_next(reader) == '{') {
        envelope->has_row = true;
        return flat_columns(reader, &envelope->row);
    }
    /* It may describe the row, even where there is no payload beside it. */
    if (envelope->row.description->start.length == 0 && slice_is(name, "schema"))
        return false;
    return flat_skip_value(reader);
}

static bool flat_envelope(struct flat_reader *reader, struct flat_envelope *envelope)
{
    struct flat_names names;
    struct slice name;
    flat_names_begin(&names);
    if (!flat_take_mark(reader, '{'))
        return false;
    do {
        if (!flat_take_name(reader, &names, &name) || !flat_envelope_member(reader, envelope, name))
            return false;
    } while (flat_take_mark(reader, ','));
    return flat_take_mark(reader, '}') &&
           (envelope->row.description->start.length == 0 || flat_take_mark(reader, '}')) &&
           reader->at == reader->end;
}

static bool flat_envelope_judge(const struct flat_envelope *envelope, struct record_row *row)
{
    switch (envelope->op) {
    case 'c':
        row->op = CHANGE_CREATE;
        break;
    case 'u':
        row->op = CHANGE_UPDATE;
        break;
    case 'r':
        row->op = CHANGE_READ;
        break;
    case 'd':
        row->op = CHANGE_DELETE;
        return true;
    default:
        return false;
    }
    return envelope->has_row && flat_row_end(&envelope->row, row);
}

bool debezium_flat_value(const struct descriptions *descriptions, const struct record_form *form,
                         struct record_row *row, struct slice value)
{
    struct flat_envelope envelope = {.row = flat_row_of(row)};
    struct slice payload = value;
    envelope.row.description = descriptions_find(descriptions, form, DESCRIPTION_VALUE, &payload);
    if (envelope.row.description == NULL || envelope.row.flat == NULL)
        return false;
    struct flat_reader reader = {
        .at = payload.data, .end = payload.data + payload.length, .arena = row->arena};
    return (flat_envelope(&reader, &envelope) && flat_envelope_judge(&envelope, row)) ||
           flat_give_up(row);
}

static bool flat_keeps_key(const struct description *description, const struct record_row *row)
{
    for (size_t i = 0; i < row->schema->key_count; i++) {
        size_t index = row->schema->key_columns[i];
        const struct described_column *described = &description->columns[index];
        const struct value *value = &row->values[index];
        bool kept = value->kind == VALUE_INTEGER
                        ? described->keeps_numbers
                        : described->keeps_texts && !debezium_is_placeholder(value->text);
        if (!kept)
            return false;
    }
    return true;
}

bool debezium_flat_key(const struct descriptions *descriptions, const struct record_form *form,
                       struct record_row *row, struct slice key)
{
    const struct description *description = descriptions_find(descriptions, form, DESCRIPTION_KEY,
                                                              &key);
    if (description == NULL)
        return false;
    if (description->start.length > 0) {
        if (key.length == 0 || key.data[key.length - 1] != '}')
            return false;
        key.length--;
    }
    if (!record_flat_key(row, key))
        return false;
    row->entity_key = key;
    return flat_keeps_key(description, row) || flat_give_up(row);
}
