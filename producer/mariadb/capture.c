/* What MariaDB's triggers consist of. They do not depend on the session's sql_mode, time zone,
 * character set or collation. */
#include "producer/mariadb/capture.h"
#include "common/digest.h"
#include "producer/capture/dialect.h"
#include "producer_mariadb_sql.h"

#include <inttypes.h>

static void capture_short_name(struct buffer *name, const struct capture_object *object,
                               const char *entity_type)
{
    buffer_append_format(name, "%s%016" PRIx64 "_%s", object->prefix,
                         digest_64(slice_of(entity_type)), object->suffix);
}

/* What makes others see that a value of a unique index is reserved, for each index whose values
 * have names. */
static void write_unique_names(const struct writer *writer)
{
    const struct capture_mariadb *capture = (const struct capture_mariadb *)writer->capture;
    for (size_t i = 0; i < capture->value_name_count; i++) {
        struct writer unique = *writer;
        unique.value_name = capture->value_names[i];
        writer_template(&unique, SQL_CAPTURE_UNIQUE_NAME);
    }
}

/* Rows behind a key. A comparison of rows, (a, b) > (?, ?), would read the table from its start. */
static void write_behind(struct writer *writer)
{
    const struct capture *capture = writer->capture;
    for (size_t i = 0; i < capture->schema->key_count; i++) {
        buffer_append_text(writer->sql, i == 0 ? "" : " OR ");
        for (size_t j = 0; j <= i; j++) {
            const struct column *column = &capture->schema->columns[capture->key[j]];
            writer->column = config_column(capture->entry, column->name);
            writer_template(writer, j == i ? "{} > ?" : "{} = ? AND ");
        }
    }
}

static bool capture_word(struct writer *writer, struct slice word)
{
    if (slice_is(word, "behind"))
        write_behind(writer);
    else if (slice_is(word, "unique_names"))
        write_unique_names(writer);
    else if (slice_is(word, "value_name"))
        writer_template(writer, writer->value_name);
    else
        return false;
    return true;
}

static bool capture_is_timestamp(const struct writer *writer)
{
    return writer->capture->is_timestamp[writer->index];
}

static bool capture_waits_not(const struct writer *writer)
{
    return !writer->waits;
}

static bool capture_guards(const struct writer *writer, const char *change)
{
    return writer_is_joint(writer) && strcmp(writer->object->change, change) == 0;
}

static bool capture_guards_delete(const struct writer *writer)
{
    return capture_guards(writer, "DELETE");
}

static bool capture_guards_update(const struct writer *writer)
{
    return capture_guards(writer, "UPDATE");
}

static bool capture_guards_insert(const struct writer *writer)
{
    return capture_guards(writer, "INSERT");
}

static const struct part PARTS[] = {
    {.name = "guarded", .text = "{reserved OLD}", .when = capture_guards_delete},
    {.name = "guarded", .text = SQL_CAPTURE_GUARDED_UPDATE, .when = capture_guards_update},
    {.name = "guarded", .text = SQL_CAPTURE_GUARDED_INSERT, .when = capture_guards_insert},
    {.name = "guarded", .text = ""},
    {.name = "reserved", .text = SQL_CAPTURE_RESERVED},
    {.name = "new_value_name",
     .text = "IF(BINARY {value_name NEW} <=> BINARY {value_name OLD}, NULL, {value_name NEW})",
     .when = capture_guards_update},
    {.name = "new_value_name", .text = "{value_name NEW}"},
    {.name = "look", .text = SQL_CAPTURE_LOOK},
    {.name = "try_again", .text = ERROR_TRY_AGAIN},
    {.name = "head", .text = SQL_CAPTURE_HEAD},
    {.name = "event", .text = SQL_CAPTURE_EVENT},
    {.name = "lost", .text = SQL_CAPTURE_LOST},
    {.name = "fixed", .text = SQL_CAPTURE_FIXED, .when = writer_is_fixed},
    {.name = "partition_key", .text = "CONVERT({} USING utf8mb4)", .each = EACH_PARTITION_KEY},
    /* Compared to the byte: texts without their collation, and moments that have the same local
     * time. */
    {.name = "same",
     .text = "(OLD.{column} <=> NEW.{column} AND "
             "UNIX_TIMESTAMP(OLD.{column}) <=> UNIX_TIMESTAMP(NEW.{column}))",
     .when = capture_is_timestamp},
    {.name = "same",
     .text = "BINARY OLD.{column} <=> BINARY NEW.{column}",
     .types = OF(COLUMN_TEXT) | OF(COLUMN_JSON) | OF(COLUMN_BYTES)},
    {.name = "same", .text = "OLD.{column} <=> NEW.{column}"},
    {.name = "same_key", .text = "{same}", .each = EACH_KEY, .separator = " AND "},
    {.name = "same_image", .text = "{same}", .each = EACH_COLUMN, .separator = " AND "},
    {
        .name = "key_columns",
        .text = "{}",
        .each = EACH_KEY_PLACE,
    },
    {.name = "nowait", .text = " NOWAIT", .when = capture_waits_not},
};

static const struct capture_object OBJECTS[] = {
    {"trigger", "keepstep_", "delete", "DELETE", SQL_CAPTURE_DELETE},
    {"trigger", "keepstep_", "update", "UPDATE", SQL_CAPTURE_UPDATE},
    {"trigger", "keepstep_", "insert", "INSERT", SQL_CAPTURE_INSERT},
};

const struct dialect capture_mariadb_dialect = {
    .columns = &column_mariadb_dialect,
    .parts = PARTS,
    .part_count = sizeof PARTS / sizeof *PARTS,
    .word = capture_word,
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .name_length_max = 64,
    .names_without_case = true,
    .short_name = capture_short_name,
};
