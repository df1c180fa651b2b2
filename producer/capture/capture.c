/* Names and writes the objects that capture a table, and the queries of its existing rows. */
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

bool capture_is_fixed(const struct config_entry *entry, const struct entity_schema *schema)
{
    if (entry->partition_key == NULL)
        return false;
    int index = entity_schema_find(schema, slice_of(entry->partition_key));
    return index < 0 || !schema->columns[index].is_key;
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

/* Writes name and SQL of an object whose table is set. */
static enum status capture_write_object(const struct capture *capture,
                                        const struct capture_object *object, struct arena *arena,
                                        struct origin_object *result)
{
    struct buffer name;
    struct buffer sql;
    buffer_init(&name, NAME_MAX_LENGTH);
    buffer_init(&sql, SQL_TEXT_MAX);
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

enum status capture_write(const struct capture *capture, struct origin_objects *ret_objects,
                          struct error *err)
{
    const struct dialect *dialect = capture->dialect;
    struct arena *arena = ret_objects->arena;
    enum status status = STATUS_OK;
    ret_objects->items = arena_alloc(arena, capture_count(capture) * sizeof *ret_objects->items);
    ret_objects->count = 0;
    if (ret_objects->items == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; status == STATUS_OK && i < dialect->object_count; i++) {
        struct origin_object object;
        for (size_t n = 0;
             status == STATUS_OK && capture_place(capture, &dialect->objects[i], n, &object); n++) {
            status = capture_write_object(capture, &dialect->objects[i], arena, &object);
            ret_objects->items[ret_objects->count++] = object;
        }
    }
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
