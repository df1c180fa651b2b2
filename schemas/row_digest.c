/* Digests of rows: of each column a tag, a length and the value's canonical text. */
#include "schemas/row_digest.h"

#include "common/digest.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INTEGER_SIZE 24

/** What stands before a column's text. */
enum row_tag { ROW_TAG_NULL = 0, ROW_TAG_ABSENT = '-', ROW_TAG_UNFIT = '?' };

/* A tag says the type, so that equal texts of two types differ. */
static const char ROW_TAGS[] = {
    [COLUMN_INTEGER] = 'i', [COLUMN_DECIMAL] = 'n', [COLUMN_DOUBLE] = 'd',
    [COLUMN_TEXT] = 't',    [COLUMN_BYTES] = 'x',   [COLUMN_BOOLEAN] = 'b',
    [COLUMN_JSON] = 'j',    [COLUMN_DATE] = 'D',    [COLUMN_DATE_TIME] = 'Z',
    [COLUMN_TIME] = 'T',    [COLUMN_UUID] = 'u',    [COLUMN_TIMESTAMP] = 'L',
};

static int row_compare_names(const void *left, const void *right, void *schema)
{
    const struct column *columns = ((const struct entity_schema *)schema)->columns;
    return strcmp(columns[*(const uint16_t *)left].name, columns[*(const uint16_t *)right].name);
}

enum status row_columns_find(const struct entity_schema *schema,
                             const struct entity_schema *reference, struct row_columns *ret_columns,
                             struct error *err)
{
    ret_columns->count = reference->column_count;
    for (size_t i = 0; i < reference->column_count; i++) {
        const struct column *column = &reference->columns[i];
        int index = entity_schema_find(schema, slice_of(column->name));
        if (index < 0)
            return error_set(err, STATUS_REJECT, "the schema of \"%s\" has no column \"%s\"",
                             schema->entity_type, column->name);
        if (schema->columns[index].type != column->type)
            return error_set(err, STATUS_REJECT, "column \"%s\" of \"%s\" has type %s, not %s",
                             column->name, schema->entity_type,
                             column_type_name(schema->columns[index].type),
                             column_type_name(column->type));
        ret_columns->index[i] = (uint16_t)index;
    }
    qsort_r(ret_columns->index, ret_columns->count, sizeof *ret_columns->index, row_compare_names,
            (void *)(uintptr_t)schema);
    return STATUS_OK;
}

uint64_t row_columns_digest(const struct entity_schema *schema)
{
    struct row_columns columns;
    struct digest digest;
    struct error ignored = ERROR_INIT;
    digest_begin(&digest, 0);
    if (row_columns_find(schema, schema, &columns, &ignored) != STATUS_OK)
        return 0; /* a schema has all of its own columns */
    for (size_t i = 0; i < columns.count; i++) {
        const struct column *column = &schema->columns[columns.index[i]];
        const char *type = column_type_name(column->type);
        digest_add(&digest, column->name, strlen(column->name) + 1);
        digest_add(&digest, type, strlen(type) + 1);
    }
    return digest_end(&digest);
}

uint64_t row_key_digest(struct slice key)
{
    return digest_64(key);
}

int row_digest_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

size_t row_bucket(uint64_t key_digest)
{
    return key_digest % ROW_BUCKETS;
}

static void row_digest_part(struct digest *digest, int tag, struct slice text)
{
    unsigned char head[5] = {(unsigned char)tag};
    uint32_t length = htole32((uint32_t)text.length);
    memcpy(&head[1], &length, sizeof length);
    digest_add(digest, head, sizeof head);
    digest_add(digest, text.data, text.length);
}

/* Databases keep 1.5 as 1.50 or as 1.5, by the column. A zero has a sign only where it is kept as a
 * text. */
static struct slice row_decimal(struct slice text)
{
    size_t end = text.length;
    if (memchr(text.data, '.', text.length) != NULL) {
        while (text.data[end - 1] == '0')
            end--;
        end -= text.data[end - 1] == '.';
    }
    struct slice shortest = {text.data, end};
    return slice_is(shortest, "-0") ? slice_of("0") : shortest;
}

static void row_digest_integer(struct digest *digest, int tag, int64_t integer)
{
    char text[INTEGER_SIZE];
    int length = snprintf(text, sizeof text, "%" PRId64, integer);
    row_digest_part(digest, tag, (struct slice){text, (size_t)length});
}

static void row_digest_double(struct digest *digest, int tag, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    bits = htole64(bits);
    row_digest_part(digest, tag, (struct slice){(const char *)&bits, sizeof bits});
}

static void row_digest_value(struct digest *digest, enum column_type type,
                             const struct value *value)
{
    int tag = ROW_TAGS[type];
    switch (value->kind) {
    case VALUE_ABSENT:
        row_digest_part(digest, ROW_TAG_ABSENT, (struct slice){0});
        break;
    case VALUE_NULL:
        row_digest_part(digest, ROW_TAG_NULL, (struct slice){0});
        break;
    case VALUE_INTEGER:
        row_digest_integer(digest, tag, value->integer);
        break;
    case VALUE_DOUBLE:
        row_digest_double(digest, tag, value->number);
        break;
    case VALUE_BOOLEAN:
        row_digest_part(digest, tag, slice_of(value->boolean ? "true" : "false"));
        break;
    case VALUE_TEXT:
        row_digest_part(digest, tag,
                        type == COLUMN_DECIMAL ? row_decimal(value->text) : value->text);
        break;
    case VALUE_UNFIT:
        row_digest_part(digest, ROW_TAG_UNFIT, value->text);
        break;
    }
}

uint64_t row_digest(uint64_t key_digest, const struct entity_schema *schema,
                    const struct row_columns *columns, const struct value *values)
{
    struct digest digest;
    digest_begin(&digest, key_digest);
    for (size_t i = 0; i < columns->count; i++) {
        size_t index = columns->index[i];
        row_digest_value(&digest, schema->columns[index].type, &values[index]);
    }
    return digest_end(&digest);
}

bool row_value_equal(enum column_type type, const struct value *left, const struct value *right)
{
    if (left->kind != right->kind)
        return false;
    switch (left->kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return true;
    case VALUE_INTEGER:
        return left->integer == right->integer;
    case VALUE_DOUBLE:
        return memcmp(&left->number, &right->number, sizeof left->number) == 0;
    case VALUE_BOOLEAN:
        return left->boolean == right->boolean;
    case VALUE_TEXT:
        return type == COLUMN_DECIMAL
                   ? slice_equal(row_decimal(left->text), row_decimal(right->text))
                   : slice_equal(left->text, right->text);
    case VALUE_UNFIT:
        break;
    }
    return false;
}

void row_sums_add(struct row_sums *sums, uint64_t key_digest, uint64_t digest)
{
    sums->rows++;
    sums->sums[row_bucket(key_digest)] += digest;
}
