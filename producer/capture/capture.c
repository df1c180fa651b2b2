/* What the triggers of all databases have in common: what they refuse, and in which words. */
#include "producer/capture/capture.h"

static const struct column *capture_partition_column(const struct config_entry *entry,
                                                     const struct entity_schema *schema)
{
    int index = entry->partition_key == NULL
                    ? -1
                    : entity_schema_find(schema, slice_of(entry->partition_key));
    return index < 0 ? NULL : &schema->columns[index];
}

enum status capture_check_partition_key(const struct config_entry *entry,
                                        const struct entity_schema *schema, struct error *err)
{
    const struct column *column = capture_partition_column(entry, schema);
    if (column == NULL)
        return STATUS_OK;
    switch (column->type) {
    case COLUMN_INTEGER:
    case COLUMN_DECIMAL:
    case COLUMN_TEXT:
    case COLUMN_BOOLEAN:
    case COLUMN_UUID:
    case COLUMN_DATE:
        return STATUS_OK;
    case COLUMN_DOUBLE:
    case COLUMN_BYTES:
    case COLUMN_JSON:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_DATE_TIME:
        break;
    }
    return error_set(
        error_config(err), STATUS_FATAL,
        "publish.%s: partition_key: column %s is of type %s, whose text depends on the "
        "session that writes it, so that a row's changes would go to different "
        "partitions; name a column of type integer, decimal, text, boolean, uuid or "
        "date",
        entry->entity_type, entry->partition_key, column_type_name(column->type));
}

const char *capture_fixed_column(const struct config_entry *entry,
                                 const struct entity_schema *schema)
{
    const struct column *column = capture_partition_column(entry, schema);
    if (entry->partition_key == NULL || (column != NULL && column->is_key))
        return NULL;
    return config_column(entry, entry->partition_key);
}

void capture_fixed_text(struct buffer *text, const struct config_entry *entry)
{
    buffer_append_format(text,
                         "keepstep: column %s of table %s is the partition key of %s and cannot be "
                         "changed: the row's later events would overtake its earlier ones in "
                         "another partition. Delete the row and insert it under a primary key that "
                         "is new, or make the column part of the primary key",
                         config_column(entry, entry->partition_key), entry->table,
                         entry->entity_type);
}

void capture_lost_text(struct buffer *text, const struct config_entry *entry)
{
    buffer_append_format(text,
                         "keepstep: a column of table %s that is published as %s was renamed or "
                         "dropped. Give it its name back, or change columns: or the schema and run "
                         "`keepstep init`. ",
                         entry->table, entry->entity_type);
}
