/* Values in the form that MariaDB takes, and keys in the form that it returns. */
#include "consumer/store/mariadb/internal.h"

#include "consumer/store/sql/limits.h"

#include <inttypes.h>
#include <stdio.h>

#define ROW_OVERHEAD   4096 /* of a packet: its head, types, lengths */
#define VALUE_OVERHEAD 16
#define NUMBER_SIZE    128

struct slice store_mariadb_text(const struct column *column, struct slice text)
{
    if (text.data == NULL)
        text.data = ""; /* a null pointer would bind NULL */
    if (column->type == COLUMN_DATE_TIME && text.length > 0)
        text.length--; /* the Z: the session is in UTC */
    return column->type == COLUMN_DECIMAL && !column->is_key ? decimal_trim(text) : text;
}

enum status store_mariadb_judge_size(const struct mapped_table *table, const struct change *change,
                                     struct error *err)
{
    const struct store_mariadb *self = store_mariadb_of(table->store);
    const struct entity_schema *schema = table->mapping->schema;
    size_t size = ROW_OVERHEAD + schema->column_count * VALUE_OVERHEAD;
    for (size_t i = 0; i < schema->column_count; i++) {
        bool written = change->op != CHANGE_DELETE || schema->columns[i].is_key;
        if (written && change->values[i].kind == VALUE_TEXT)
            size += change->values[i].text.length;
    }
    return size <= self->packet_size
               ? STATUS_OK
               : sql_hold(change, NULL, "is larger than the server's max_allowed_packet", err);
}

void store_mariadb_key_part(struct buffer *key, struct slice part)
{
    buffer_append_format(key, "%zu:", part.length);
    buffer_append(key, part.data, part.length);
}

void store_mariadb_key(const struct mapped_table *table, const struct change *change,
                       struct buffer *key)
{
    const struct entity_schema *schema = table->mapping->schema;
    for (size_t i = 0; i < schema->key_count; i++) {
        size_t index = schema->key_columns[i];
        const struct value *value = &change->values[index];
        char number[NUMBER_SIZE];
        struct slice part = value->kind == VALUE_TEXT
                                ? store_mariadb_text(&schema->columns[index], value->text)
                                : (struct slice){.data = number};
        if (value->kind == VALUE_INTEGER)
            part.length = (size_t)snprintf(number, sizeof number, "%" PRId64, value->integer);
        else if (value->kind == VALUE_BOOLEAN)
            part = slice_of(value->boolean ? "1" : "0");
        size_t start = key->length;
        store_mariadb_key_part(key, part);
        bool has_time = schema->columns[index].type == COLUMN_DATE_TIME ||
                        schema->columns[index].type == COLUMN_TIMESTAMP;
        char *letter = has_time && !key->failed
                           ? memchr(key->data + start, 'T', key->length - start)
                           : NULL;
        if (letter != NULL)
            *letter = ' ';
    }
}
