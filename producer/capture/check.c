/* Asks each database the same questions about a table, in the same order. */
#include "producer/capture/check.h"

#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>

enum status check_refuse(const struct check *check, struct error *err, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    utf8_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(error_config(err), STATUS_FATAL, "publish.%s: table %s %s",
                     check->entry->entity_type, check->entry->table, text);
}

enum status check_refuse_cascade(const struct check *check, const char *name, struct error *err)
{
    return check_refuse(check, err,
                        "is also applied here and has a foreign key to itself whose action changes "
                        "rows that the log does not name; make it NO ACTION: %s",
                        name);
}

bool check_is_applied(const struct check *check)
{
    return config_find(check->config->apply, check->config->apply_count, check->entry->entity_type,
                       strlen(check->entry->entity_type)) != NULL;
}

static enum status check_type(const struct check *check, const struct column *column,
                              const char *name, const struct check_column *found, struct error *err)
{
    char wanted[CHECK_NAME_SIZE + 2];
    if (check->ops->types == NULL)
        return STATUS_OK;
    const char *types = check->ops->types[column->type];
    (void)snprintf(wanted, sizeof wanted, " %s ", found->type);
    if (strstr(types, wanted) != NULL)
        return STATUS_OK;
    return check_refuse(
        check, err,
        "has column %s of type %s, which x-keepstep-type %s does not hold; it holds%.*s", name,
        found->shown, column_type_name(column->type), (int)strlen(types) - 1, types);
}

static enum status check_columns(struct check *check, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < check->schema->column_count; i++) {
        const struct column *column = &check->schema->columns[i];
        const char *name = config_column(check->entry, column->name);
        struct check_column found = {0};
        status = check->ops->column(check, column, name, &found, err);
        if (status != STATUS_OK)
            return status;
        if (!found.exists)
            return check_refuse(check, err,
                                "does not have each column of the schema: write under columns: how "
                                "one that was renamed is called now, take one that was dropped out "
                                "of the schema; it has no column %s",
                                name);
        if (column->is_key && !found.in_key)
            return check_refuse(
                check, err, "has another primary key than x-keepstep-key, which names %s", name);
        status = check_type(check, column, name, &found, err);
    }
    return status;
}

/* Values of the other types have several spellings, or one that depends on the session. */
static enum status check_partition_type(const struct check *check, struct error *err)
{
    static const unsigned int types = 1u << COLUMN_INTEGER | 1u << COLUMN_DECIMAL |
                                      1u << COLUMN_TEXT | 1u << COLUMN_BOOLEAN | 1u << COLUMN_UUID |
                                      1u << COLUMN_DATE;
    const struct config_entry *entry = check->entry;
    if (entry->partition_key == NULL)
        return STATUS_OK;
    int index = entity_schema_find(check->schema, slice_of(entry->partition_key));
    if (index < 0 || (types & 1u << check->schema->columns[index].type) != 0)
        return STATUS_OK;
    return error_set(error_config(err), STATUS_FATAL,
                     "publish.%s: partition_key: column %s is of type %s, whose text depends on "
                     "the session that writes it, so that a row's changes would go to different "
                     "partitions; name a column of type integer, decimal, text, boolean, uuid or "
                     "date",
                     entry->entity_type, entry->partition_key,
                     column_type_name(check->schema->columns[index].type));
}

static enum status check_partition_column(struct check *check, struct error *err)
{
    struct check_column found = {0};
    if (check->entry->partition_key == NULL)
        return STATUS_OK;
    const char *name = config_column(check->entry, check->entry->partition_key);
    enum status status = check->ops->column(check, NULL, name, &found, err);
    if (status == STATUS_OK && !found.exists)
        return check_refuse(check, err, "has no column for partition_key: %s", name);
    return status;
}

enum status check_table(struct check *check, struct error *err)
{
    struct check_table found = {0};
    enum status status = check_partition_type(check, err);
    if (status == STATUS_OK)
        status = check->ops->table(check, &found, err);
    if (status == STATUS_OK && !found.exists)
        return check_refuse(check, err, "does not exist; create it first");
    if (status == STATUS_OK && found.key_columns == 0)
        return check_refuse(check, err, "has no primary key; give it one");
    if (status == STATUS_OK)
        status = check_columns(check, err);
    if (status == STATUS_OK)
        status = check_partition_column(check, err);
    if (status == STATUS_OK && found.key_columns != check->schema->key_count)
        return check_refuse(check, err, "has more key columns than x-keepstep-key; name all");
    return status == STATUS_OK && !check->reading ? check->ops->changes(check, err) : status;
}
