/* Writes draft-07 with x-keepstep-type out of columns. */
#include "consumer/describe/table.h"

#include <sysexits.h>

void schema_table_init(struct schema_table *table, const char *name, size_t size_max)
{
    *table = (struct schema_table){.name = name};
    buffer_init(&table->columns, size_max);
    buffer_init(&table->keys, size_max);
    buffer_init(&table->required, size_max);
}

void schema_table_done(struct schema_table *table)
{
    buffer_done(&table->columns);
    buffer_done(&table->keys);
    buffer_done(&table->required);
}

static void schema_table_list(struct buffer *list, const char *name)
{
    buffer_append_text(list, list->length == 0 ? "" : ", ");
    buffer_append_json(list, slice_of(name));
}

void schema_table_add(struct schema_table *table, const struct column *column)
{
    static const char *const json_types[] = {
        [COLUMN_INTEGER] = "integer", [COLUMN_DECIMAL] = "string",   [COLUMN_DOUBLE] = "number",
        [COLUMN_TEXT] = "string",     [COLUMN_BYTES] = "string",     [COLUMN_BOOLEAN] = "boolean",
        [COLUMN_JSON] = "string",     [COLUMN_DATE_TIME] = "string", [COLUMN_DATE] = "string",
        [COLUMN_TIME] = "string",     [COLUMN_TIMESTAMP] = "string", [COLUMN_UUID] = "string",
    };
    struct buffer *out = &table->columns;
    const char *type = json_types[column->type];

    buffer_append_text(out, table->count++ == 0 ? "    " : ",\n    ");
    buffer_append_json(out, slice_of(column->name));
    if (column->nullable)
        buffer_append_format(out, ": {\"type\": [\"%s\", \"null\"]", type);
    else
        buffer_append_format(out, ": {\"type\": \"%s\"", type);
    buffer_append_format(out, ", \"x-keepstep-type\": \"%s\"", column_type_name(column->type));
    if (column->type == COLUMN_TEXT && column->length_max > 0)
        buffer_append_format(out, ", \"maxLength\": %u", column->length_max);
    if (column->type == COLUMN_DECIMAL && column->precision > 0)
        buffer_append_format(out, ", \"x-keepstep-precision\": %u, \"x-keepstep-scale\": %u",
                             column->precision, column->scale);
    buffer_append_text(out, "}");
    if (column->is_key)
        schema_table_list(&table->keys, column->name);
    schema_table_list(&table->required, column->name);
}

enum status schema_table_refuse(const struct schema_table *table, const char *column,
                                const char *declared, struct error *err)
{
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_FATAL,
                     "%s.%s: the declared type \"%s\" says nothing of its values; write its "
                     "x-keepstep-type by hand",
                     table->name, column, declared);
}

enum status schema_table_write(const struct schema_table *table, struct buffer *out,
                               struct error *err)
{
    if (table->count == 0 || table->keys.length == 0) {
        err->exit_code = EX_DATAERR;
        return error_set(err, STATUS_FATAL,
                         table->count == 0
                             ? "there is no table %s"
                             : "table %s has no primary key, so its rows cannot be told apart; "
                               "give it one",
                         table->name);
    }
    buffer_append_text(out, "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
                            "  \"title\": ");
    buffer_append_json(out, slice_of(table->name));
    buffer_append_format(out,
                         ",\n  \"type\": \"object\",\n  \"x-keepstep-key\": [%s],\n"
                         "  \"properties\": {\n%s\n  },\n  \"required\": [%s],\n"
                         "  \"additionalProperties\": false\n}\n",
                         buffer_text(&table->keys), buffer_text(&table->columns),
                         buffer_text(&table->required));
    return out->failed || table->columns.failed ? error_set(err, STATUS_FATAL, "out of memory")
                                                : STATUS_OK;
}
