/* Fills the names of a table and its columns into the text of a statement. */
#include "consumer/store/sql/table.h"

#include <inttypes.h>
#include <string.h>

void sql_name_append(struct buffer *sql, const char *name, char quote)
{
    buffer_append(sql, &quote, 1);
    for (; *name != '\0'; name++) {
        buffer_append(sql, name, 1);
        if (*name == quote)
            buffer_append(sql, name, 1);
    }
    buffer_append(sql, &quote, 1);
}

const char *mapping_column(const struct mapping *mapping, size_t index)
{
    return config_column(mapping->entry, mapping->schema->columns[index].name);
}

void sql_table_name_append(struct buffer *sql, const struct sql_dialect *dialect,
                           const struct mapping *mapping)
{
    if (dialect->append_table != NULL)
        dialect->append_table(sql, mapping);
    else
        sql_name_append(sql, mapping_table(mapping), dialect->quote);
}

void sql_catalogue_name_append(struct buffer *out, const struct sql_dialect *dialect,
                               const struct mapping *mapping)
{
    if (dialect->append_table != NULL)
        dialect->append_table(out, mapping);
    else
        buffer_append_text(out, mapping_table(mapping));
}

void sql_key_append(struct buffer *out, const struct mapping *mapping)
{
    buffer_append_text(out, "[");
    for (size_t i = 0; i < mapping->schema->key_count; i++) {
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, slice_of(mapping_column(mapping, mapping->schema->key_columns[i])));
    }
    buffer_append_text(out, "]");
}

/* @return the number of columns of a list. */
static size_t list_columns(const struct sql_text *text, struct slice list,
                           size_t columns[static ENTITY_COLUMNS_MAX])
{
    const struct entity_schema *schema = text->mapping->schema;
    size_t count = 0;
    if (slice_is(list, "added")) {
        columns[count++] = text->added;
    } else if (slice_is(list, "all")) {
        for (; count < schema->column_count; count++)
            columns[count] = count;
    } else if (slice_is(list, "first") || slice_is(list, "key")) {
        size_t end = slice_is(list, "key") ? schema->key_count : 1;
        for (; count < end; count++)
            columns[count] = schema->key_columns[count];
    } else {
        bool with_key = slice_is(list, "bound");
        for (size_t i = 0; i < text->row->count; i++) {
            if (with_key || !schema->columns[text->row->columns[i]].is_key)
                columns[count++] = text->row->columns[i];
        }
    }
    return count;
}

static void append_item(struct buffer *sql, const struct sql_text *text, struct slice item,
                        size_t column)
{
    const struct sql_dialect *dialect = text->dialect;
    for (size_t i = 0; i < item.length; i++) {
        char c = item.data[i];
        if (c == '@')
            sql_name_append(sql, mapping_column(text->mapping, column), dialect->quote);
        else if (c == '%')
            dialect->append_type(sql, text->mapping, column);
        else if (c == '#' && dialect->append_value != NULL)
            dialect->append_value(sql, text->table, column);
        else
            buffer_append(sql, c == '#' ? "?" : &c, 1);
    }
}

/* Cut off and return the part of `place` before the next bar. */
static struct slice part_cut(struct slice *place)
{
    const char *bar = memchr(place->data, '|', place->length);
    size_t length = bar == NULL ? place->length : (size_t)(bar - place->data);
    size_t used = bar == NULL ? length : length + 1;
    struct slice part = {.data = place->data, .length = length};
    *place = (struct slice){.data = place->data + used, .length = place->length - used};
    return part;
}

static void append_place(struct buffer *sql, const struct sql_text *text, struct slice place)
{
    size_t columns[ENTITY_COLUMNS_MAX];
    if (slice_is(place, "table")) {
        sql_table_name_append(sql, text->dialect, text->mapping);
        return;
    }
    if (slice_is(place, "rows")) {
        text->dialect->append_rows(sql, text->table, text->row);
        return;
    }
    if (slice_is(place, "limit")) {
        buffer_append_format(sql, "%" PRId64, text->limit);
        return;
    }
    if (slice_is(place, "from") || slice_is(place, "to")) {
        buffer_append_format(sql, "%" PRId64, slice_is(place, "to") ? text->to : text->from);
        return;
    }
    struct slice list = part_cut(&place);
    struct slice separator = part_cut(&place);
    size_t count = list_columns(text, list, columns);
    for (size_t i = 0; i < count; i++) {
        buffer_append(sql, separator.data, i == 0 ? 0 : separator.length);
        append_item(sql, text, place, columns[i]);
    }
}

void sql_text_append(struct buffer *sql, const struct sql_text *text, const char *form)
{
    while (*form != '\0') {
        size_t plain = strcspn(form, "{");
        bool ends_line = form[plain] == '\0' && plain > 0 && form[plain - 1] == '\n';
        buffer_append(sql, form, plain - ends_line);
        form += plain;
        const char *end = strchr(form, '}');
        if (end == NULL)
            break;
        append_place(sql, text,
                     (struct slice){.data = form + 1, .length = (size_t)(end - form - 1)});
        form = end + 1;
    }
}
