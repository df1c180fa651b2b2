/* Writes the objects that capture a table, and the queries of the rows that are there. */
#include "producer/capture/dialect.h"

#include <strings.h>

#define NAME_MAX_LENGTH ((size_t)1024)

void capture_init(struct capture *capture, const struct dialect *dialect,
                  const struct config_entry *entry, const struct entity_schema *schema)
{
    *capture = (struct capture){.dialect = dialect, .entry = entry, .schema = schema};
    for (size_t i = 0; i < schema->key_count; i++)
        capture->key[i] = schema->key_columns[i];
}

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

bool capture_is_fixed(const struct config_entry *entry, const struct entity_schema *schema)
{
    const struct column *column = capture_partition_column(entry, schema);
    return entry->partition_key != NULL && (column == NULL || !column->is_key);
}

void capture_name(struct buffer *name, const struct dialect *dialect,
                  const struct capture_object *object, const char *entity_type)
{
    buffer_append_format(name, "%s%s_%s", object->prefix, entity_type, object->suffix);
    if (dialect->name_length_max == 0 || name->length <= dialect->name_length_max)
        return;
    buffer_reset(name);
    dialect->short_name(name, object, entity_type);
}

bool capture_clashes(const struct dialect *dialect, const char *entity_type, const char *other)
{
    int (*compare)(const char *, const char *) = dialect->names_without_case ? strcasecmp : strcmp;
    bool same = false;
    for (size_t i = 0; i < dialect->object_count; i++) {
        struct buffer names[2];
        buffer_init(&names[0], NAME_MAX_LENGTH);
        buffer_init(&names[1], NAME_MAX_LENGTH);
        capture_name(&names[0], dialect, &dialect->objects[i], entity_type);
        capture_name(&names[1], dialect, &dialect->objects[i], other);
        same = same || compare(buffer_text(&names[0]), buffer_text(&names[1])) == 0;
        buffer_done(&names[0]);
        buffer_done(&names[1]);
    }
    return same;
}

static bool capture_place(const struct capture *capture, const struct capture_object *object,
                          size_t n, struct origin_object *ret_object)
{
    *ret_object = (struct origin_object){.kind = object->kind, .table = capture->entry->table};
    return capture->dialect->place == NULL
               ? n == 0
               : capture->dialect->place(capture, object, n, ret_object);
}

/* Completes an object that knows its table. */
static enum status capture_write_object(const struct capture *capture,
                                        const struct capture_object *object, struct arena *arena,
                                        struct origin_object *result)
{
    struct buffer name;
    struct buffer sql;
    buffer_init(&name, NAME_MAX_LENGTH);
    buffer_init(&sql, CAPTURE_SQL_MAX);
    capture_name(&name, capture->dialect, object, capture->entry->entity_type);
    struct writer writer = {.sql = &sql,
                            .capture = capture,
                            .object = object,
                            .name = buffer_text(&name),
                            .table = result->table};
    writer_template(&writer, object->text);
    result->name = arena_copy(arena, buffer_slice(&name)).data;
    result->table = arena_copy(arena, slice_of(result->table)).data;
    result->sql = arena_copy(arena, buffer_slice(&sql)).data;
    bool too_large = name.failed || sql.failed;
    buffer_done(&name);
    buffer_done(&sql);
    if (too_large)
        return STATUS_FATAL;
    return result->name != NULL && result->table != NULL && result->sql != NULL ? STATUS_OK
                                                                                : STATUS_RETRY;
}

static size_t capture_count(const struct capture *capture)
{
    struct origin_object object;
    size_t count = 0;
    for (size_t i = 0; i < capture->dialect->object_count; i++) {
        for (size_t n = 0; capture_place(capture, &capture->dialect->objects[i], n, &object); n++)
            count++;
    }
    return count;
}

enum status capture_write(const struct capture *capture, struct arena *arena,
                          struct origin_object **ret_objects, size_t *ret_count, struct error *err)
{
    const struct dialect *dialect = capture->dialect;
    struct origin_object *objects = arena_alloc(arena, capture_count(capture) * sizeof *objects);
    enum status status = objects == NULL ? STATUS_RETRY : STATUS_OK;
    size_t count = 0;
    for (size_t i = 0; status == STATUS_OK && i < dialect->object_count; i++) {
        struct origin_object object;
        for (size_t n = 0;
             status == STATUS_OK && capture_place(capture, &dialect->objects[i], n, &object); n++) {
            status = capture_write_object(capture, &dialect->objects[i], arena, &object);
            objects[count++] = object;
        }
    }
    *ret_objects = objects;
    *ret_count = count;
    if (status == STATUS_FATAL)
        return error_set(err, status, "entity type %s: triggers grow too large",
                         capture->entry->entity_type);
    return status == STATUS_OK ? status : error_set(err, status, "no memory");
}

void capture_write_rows(struct buffer *sql, const struct capture *capture, const char *text,
                        const struct capture_rows *rows)
{
    struct writer writer = {.sql = sql,
                            .capture = capture,
                            .table = capture->entry->table,
                            .op = 'r',
                            .before = slice_of("null"),
                            .after = slice_of("t"),
                            .row = slice_of("t"),
                            .resumed = rows->resumed,
                            .waits = rows->waits,
                            .limit = rows->limit};
    writer_template(&writer, text);
}
