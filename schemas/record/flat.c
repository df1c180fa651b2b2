/* Reads keys and values of records in one pass where they are flat rows of scalars. Everything else
 * is left to jansson, also what is wrong, so that errors have one source. */
#include "schemas/record/flat.h"

#define FLAT_KEY_LENGTH_MAX 1024

/** What the row's JSON Schema says of a column. */
struct flat_judge {
    const struct json_flat *flat; /* NULL: any value is allowed */
    size_t index;
};

static bool flat_allows_real(struct flat_judge judge, double real)
{
    return judge.flat == NULL || json_flat_allows_real(judge.flat, judge.index, real);
}

static bool flat_allows_integer(struct flat_judge judge, int64_t integer)
{
    return judge.flat == NULL || json_flat_allows_integer(judge.flat, judge.index, integer);
}

static bool flat_allows_text(struct flat_judge judge, struct slice text)
{
    return judge.flat == NULL || json_flat_allows_text(judge.flat, judge.index, text);
}

static bool flat_allows_boolean(struct flat_judge judge)
{
    return judge.flat == NULL || json_flat_allows_boolean(judge.flat, judge.index);
}

static bool flat_allows_null(struct flat_judge judge)
{
    return judge.flat == NULL || json_flat_allows_null(judge.flat, judge.index);
}

static bool flat_number(struct flat_reader *reader, enum column_type type, struct flat_judge judge,
                        struct value *value)
{
    const char *start = reader->at;
    int64_t integer = 0;
    double real = 0;
    if (!flat_integer(reader, &integer))
        return false;
    char next = flat_next(reader);
    bool is_real = next == '.' || next == 'e' || next == 'E';
    if (is_real) {
        *value = (struct value){.kind = VALUE_DOUBLE};
        bool taken = type == COLUMN_DOUBLE && flat_real(reader, start, &real);
        value->number = real;
        return taken && flat_allows_real(judge, real);
    }
    if (type == COLUMN_DOUBLE)
        *value = (struct value){.kind = VALUE_DOUBLE, .number = (double)integer};
    else
        *value = (struct value){.kind = VALUE_INTEGER, .integer = integer};
    return (type == COLUMN_INTEGER || type == COLUMN_DOUBLE) && flat_allows_integer(judge, integer);
}

static bool flat_text(struct flat_reader *reader, const struct column *column, struct slice text,
                      struct value *value)
{
    switch (column->type) {
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_BOOLEAN:
        return false;
    case COLUMN_TEXT:
        if (column->length_max > 0 && text.length > column->length_max)
            break; /* it may have fewer code points than bytes */
        *value = (struct value){.kind = VALUE_TEXT, .text = text};
        return true;
    default:
        break;
    }
    return record_value_text(column, text, reader->arena, value, NULL) == STATUS_OK;
}

static bool flat_value(struct flat_reader *reader, const struct column *column,
                       struct flat_judge judge, struct value *value)
{
    struct slice text;
    char first = flat_next(reader);
    if (first == '"')
        return flat_string(reader, &text) && flat_allows_text(judge, text) &&
               flat_text(reader, column, text, value);
    if (first == 'n') {
        value->kind = VALUE_NULL;
        return column->nullable && !column->is_key && flat_allows_null(judge) &&
               flat_take(reader, slice_of("null"));
    }
    if (first == 't' || first == 'f') {
        *value = (struct value){.kind = VALUE_BOOLEAN, .boolean = first == 't'};
        return column->type == COLUMN_BOOLEAN && flat_allows_boolean(judge) &&
               flat_take(reader, slice_of(first == 't' ? "true" : "false"));
    }
    return flat_number(reader, column->type, judge, value);
}

bool flat_column(struct flat_reader *reader, const struct flat_row *row, size_t index)
{
    return flat_value(reader, &row->schema->columns[index], (struct flat_judge){row->flat, index},
                      &row->values[index]);
}

bool record_flat_value(struct slice *rest, const struct column *column, struct arena *arena,
                       struct value *ret_value)
{
    struct flat_reader reader = {rest->data, rest->data + rest->length, arena};
    if (!flat_value(&reader, column, (struct flat_judge){0}, ret_value))
        return false;
    rest->length -= (size_t)(reader.at - rest->data);
    rest->data = reader.at;
    return true;
}

/** Read a member's name with its colon: mostly that of the column after the last one.
 * @return the column's index, or a larger number. */
static size_t flat_name(struct flat_reader *reader, const struct flat_row *row, size_t guess)
{
    struct slice name;
    if (guess < row->schema->column_count &&
        flat_take(reader, json_flat_member(row->flat, guess))) {
        flat_skip_space(reader);
        return guess;
    }
    if (!flat_string(reader, &name) || !flat_take_mark(reader, ':'))
        return SIZE_MAX;
    return json_flat_find(row->flat, guess, name);
}

bool flat_columns(struct flat_reader *reader, struct flat_row *row)
{
    size_t guess = 0;
    if (!flat_take_mark(reader, '{'))
        return false;
    do {
        size_t index = flat_name(reader, row, guess);
        if (index >= row->schema->column_count || row->values[index].kind != VALUE_ABSENT)
            return false;
        bool taken = row->description == NULL ? flat_column(reader, row, index)
                                              : flat_debezium_column(reader, row, index);
        if (!taken)
            return false;
        row->count += row->values[index].kind != VALUE_ABSENT;
        guess = index + 1;
    } while (flat_take_mark(reader, ','));
    return flat_take_mark(reader, '}');
}

static bool flat_op(char op, enum change_op *ret_op)
{
    if (op == 'c')
        *ret_op = CHANGE_CREATE;
    else if (op == 'u')
        *ret_op = CHANGE_UPDATE;
    else if (op == 'r')
        *ret_op = CHANGE_READ;
    else
        return false;
    return true;
}

/** Read {"op":…,"before":null,"after":{…}}: in any order, each once, and nothing else. */
static bool flat_members(struct flat_reader *reader, struct flat_row *row, enum change_op *ret_op)
{
    bool has_op = false;
    bool has_before = false;
    bool has_after = false;
    if (!flat_take_mark(reader, '{'))
        return false;
    do {
        struct slice name;
        struct slice text;
        bool taken = false;
        if (!flat_string(reader, &name) || !flat_take_mark(reader, ':'))
            return false;
        if (!has_op && slice_is(name, "op"))
            taken = has_op = flat_string(reader, &text) && text.length == 1 &&
                             flat_op(text.data[0], ret_op);
        else if (!has_before && slice_is(name, "before"))
            taken = has_before = flat_take(reader, slice_of("null"));
        else if (!has_after && slice_is(name, "after"))
            taken = has_after = flat_columns(reader, row);
        if (!taken)
            return false;
    } while (flat_take_mark(reader, ','));
    return flat_take_mark(reader, '}') && has_op && has_after;
}

/** Read a payload. What stands before the row is compared at once where Keepstep wrote it. */
static bool flat_payload(struct flat_reader *reader, struct flat_row *row, enum change_op *ret_op)
{
    static const char begin[] = "{\"op\":\"";
    static const char rest[] = "\",\"before\":null,\"after\":";
    struct flat_reader ahead = *reader;
    bool taken = false;
    if (flat_take(&ahead, slice_of(begin)) && ahead.at < ahead.end &&
        flat_op(*ahead.at++, ret_op) && flat_take(&ahead, slice_of(rest))) {
        *reader = ahead;
        taken = flat_columns(reader, row) && flat_take_mark(reader, '}');
    } else {
        taken = flat_members(reader, row, ret_op);
    }
    return taken && reader->at == reader->end;
}

/** Treat missing columns as record_payload_judge() does. */
static bool flat_absent(const struct flat_row *row, enum change_op op)
{
    if (row->count == row->schema->column_count || op == CHANGE_UPDATE)
        return true;
    for (size_t i = 0; i < row->schema->column_count; i++) {
        if (row->values[i].kind != VALUE_ABSENT)
            continue;
        if (json_flat_is_required(row->flat, i))
            return false;
        if (row->schema->columns[i].nullable)
            row->values[i].kind = VALUE_NULL;
    }
    return true;
}

static bool flat_key_name(struct flat_reader *reader, size_t position, const struct column *column)
{
    return flat_take(reader, slice_of(position == 0 ? "{\"" : ",\"")) &&
           flat_take(reader, slice_of(column->name)) && flat_take(reader, slice_of("\":"));
}

static bool flat_key_value(struct flat_reader *reader, const struct column *column,
                           struct value *value)
{
    const char *start = reader->at;
    struct slice text;
    if (column->type == COLUMN_INTEGER) {
        *value = (struct value){.kind = VALUE_INTEGER};
        return flat_integer(reader, &value->integer) && (value->integer != 0 || *start == '0');
    }
    if (column->type == COLUMN_BYTES || !flat_string(reader, &text) || text.data != start + 1)
        return false;
    return flat_text(reader, column, text, value) && slice_equal(value->text, text);
}

bool flat_give_up(const struct record_row *row)
{
    memset(row->values, 0, row->schema->column_count * sizeof *row->values);
    return false;
}

bool record_flat_key(struct record_row *row, struct slice key)
{
    const struct entity_schema *schema = row->schema;
    if (key.length == 0 || key.length > FLAT_KEY_LENGTH_MAX)
        return false;
    struct flat_reader reader = {.at = key.data, .end = key.data + key.length, .arena = row->arena};
    for (size_t i = 0; i < schema->key_count; i++) {
        size_t index = schema->key_columns[i];
        if (!flat_key_name(&reader, i, &schema->columns[index]) ||
            !flat_key_value(&reader, &schema->columns[index], &row->values[index]))
            return flat_give_up(row);
    }
    return (flat_take(&reader, slice_of("}")) && reader.at == reader.end) || flat_give_up(row);
}

/** @return whether the row has the values of its key. */
static bool flat_is_key(const struct record_row *row)
{
    for (size_t i = 0; i < row->schema->key_count; i++) {
        const struct value *value = &row->values[row->schema->key_columns[i]];
        const struct value *key = &row->key_values[row->schema->key_columns[i]];
        bool same = value->kind == VALUE_INTEGER
                        ? key->kind == VALUE_INTEGER && key->integer == value->integer
                        : value->kind == VALUE_TEXT && key->kind == VALUE_TEXT &&
                              slice_equal(key->text, value->text);
        if (!same)
            return false;
    }
    return true;
}

struct flat_row flat_row_of(const struct record_row *row)
{
    struct flat_row flat = {.schema = row->schema, .values = row->values};
    if (json_schema_flat(row->schema->sparse_row) != NULL)
        flat.flat = json_schema_flat(row->schema->row);
    return flat;
}

bool flat_row_end(const struct flat_row *flat, const struct record_row *row)
{
    return flat_absent(flat, row->op) && flat_is_key(row);
}

bool record_flat_payload(struct record_row *row, struct slice payload)
{
    struct flat_row flat = flat_row_of(row);
    if (flat.flat == NULL || payload.length == 0)
        return false;
    struct flat_reader reader = {
        .at = payload.data, .end = payload.data + payload.length, .arena = row->arena};
    return (flat_payload(&reader, &flat, &row->op) && flat_row_end(&flat, row)) ||
           flat_give_up(row);
}
