/* What PostgreSQL's functions and triggers that capture a table consist of. */
#include "producer/postgresql/capture.h"
#include "common/digest.h"
#include "common/postgresql_name.h"
#include "producer/capture/dialect.h"
#include "producer_postgresql_sql.h"

#include <inttypes.h>

#define NAME_BYTES        40 /* of the entity type within a name that would be too long */
#define FUNCTION_NAME_MAX ((size_t)1024)

static void capture_short_name(struct buffer *name, const struct capture_object *object,
                               const char *entity_type)
{
    buffer_append_format(name, "%s%.*s_%08" PRIx32 "_%s", object->prefix, NAME_BYTES - 9,
                         entity_type, (uint32_t)digest_64(slice_of(entity_type)), object->suffix);
}

static bool capture_place(const struct capture *base, const struct capture_object *object, size_t n,
                          struct origin_object *ret_object)
{
    const struct capture_postgresql *capture = (const struct capture_postgresql *)base;
    const char *table = PQgetvalue(capture->table, 0, 1);
    bool truncates = strcmp(object->suffix, "truncate") == 0;
    bool is_function = strcmp(object->kind, "function") == 0;
    if (n >= (truncates && !is_function ? (size_t)PQntuples(capture->partitions) : 1))
        return false;
    ret_object->table = is_function ? table
                        : truncates ? PQgetvalue(capture->partitions, (int)n, 0)
                                    : capture->name;
    ret_object->of_partition = truncates && strcmp(ret_object->table, table) != 0;
    return true;
}

/* The function of the object, or that the trigger calls, with its schema. */
static void write_function(const struct writer *writer, const char *schema)
{
    struct capture_object function = *writer->object;
    struct buffer name;
    function.prefix = "keepstep_";
    buffer_init(&name, FUNCTION_NAME_MAX);
    capture_name(&name, writer->capture->dialect, &function, writer->capture->entry->entity_type);
    sql_quote(writer->sql, '"', slice_of(schema));
    buffer_append_text(writer->sql, ".");
    sql_quote(writer->sql, '"', buffer_slice(&name));
    buffer_append_text(writer->sql, "()");
    buffer_done(&name);
}

/* The digest of all that stands before the COMMENT. A later `init` compares it with that of what it
 * would write itself. */
static void write_digest(struct buffer *sql)
{
    static const char comment[] = ";\nCOMMENT ON ";
    const char *end = buffer_text(sql);
    for (const char *at = end; (at = strstr(at, comment)) != NULL; at++)
        end = at;
    struct slice before = {sql->data, (size_t)(end - buffer_text(sql))};
    buffer_append_format(sql, "%016" PRIx64, digest_64(before));
}

/* The outbox's schema is granted with the outbox. */
static void write_schema_grant(struct buffer *sql, const char *table, struct slice role)
{
    size_t length = strcspn(table, ".");
    if (table[length] != '.')
        return;
    buffer_append_text(sql, "GRANT USAGE ON SCHEMA ");
    postgresql_name_append(sql, (struct slice){table, length});
    buffer_append_format(sql, " TO %.*s;", SLICE_ARGS(role));
}

/* The columns of the answer to SQL_UNIQUE_NAMES_POSTGRESQL. */
enum { UNIQUE_REASON = 1, UNIQUE_VALUE, UNIQUE_COLUMNS };

static bool capture_has_name(const struct capture_postgresql *capture, int unique)
{
    return PQgetisnull(capture->uniques, unique, UNIQUE_REASON) != 0;
}

/* What makes others see that a value of a unique index is reserved, for each index whose values
 * have names. */
static void write_unique_names(const struct writer *writer)
{
    const struct capture_postgresql *capture = (const struct capture_postgresql *)writer->capture;
    const char *separator = "";
    for (int i = 0; i < PQntuples(capture->uniques); i++) {
        struct writer unique = *writer;
        if (!capture_has_name(capture, i))
            continue;
        buffer_append_text(writer->sql, separator);
        unique.value_name = PQgetvalue(capture->uniques, i, UNIQUE_VALUE);
        writer_template(&unique, SQL_CAPTURE_UNIQUE_NAME);
        separator = "\n";
    }
}

static void write_unique_columns(struct writer *writer)
{
    const struct capture_postgresql *capture = (const struct capture_postgresql *)writer->capture;
    for (int i = 0; writer_is_joint(writer) && i < PQntuples(capture->uniques); i++) {
        if (!capture_has_name(capture, i))
            continue;
        buffer_append_text(writer->sql, ", ");
        writer_template(writer, PQgetvalue(capture->uniques, i, UNIQUE_COLUMNS));
    }
}

static bool capture_word(struct writer *writer, struct slice word)
{
    const struct capture_postgresql *capture = (const struct capture_postgresql *)writer->capture;
    struct buffer *sql = writer->sql;
    if (slice_is(word, "function"))
        write_function(writer, capture->outbox);
    else if (slice_is(word, "outbox")) /* its schema */
        sql_quote(sql, '"', slice_of(capture->outbox));
    else if (slice_is(word, "table"))
        buffer_append_text(sql, writer->object != NULL ? writer->table : capture->name);
    else if (slice_is(word, "grant_schema"))
        write_schema_grant(sql, capture->base.entry->table, writer->row);
    else if (slice_is(word, "oid")) /* of the table */
        buffer_append_text(sql, PQgetvalue(capture->table, 0, 0));
    else if (slice_is(word, "found_name")) /* the table as the catalogue has it */
        buffer_append_text(sql, PQgetvalue(capture->table, 0, 1));
    else if (slice_is(word, "plain_name")) /* of the object */
        buffer_append_text(sql, writer->name);
    else if (slice_is(word, "digest"))
        write_digest(sql);
    else if (slice_is(word, "unique_names"))
        write_unique_names(writer);
    else if (slice_is(word, "unique_columns"))
        write_unique_columns(writer);
    else if (slice_is(word, "value_name"))
        writer_template(writer, writer->value_name);
    else
        return false;
    return true;
}

static bool capture_has_names(const struct writer *writer)
{
    const struct capture_postgresql *capture = (const struct capture_postgresql *)writer->capture;
    bool found = false;
    for (int i = 0; i < PQntuples(capture->uniques); i++)
        found = found || capture_has_name(capture, i);
    return found;
}

static bool capture_has_doubles(const struct writer *writer)
{
    const struct entity_schema *schema = writer->capture->schema;
    bool found = false;
    for (size_t i = 0; i < schema->column_count; i++)
        found = found || schema->columns[i].type == COLUMN_DOUBLE;
    return found;
}

static const struct part PARTS[] = {
    {.name = "event", .text = SQL_CAPTURE_EVENT},
    {.name = "values", .text = SQL_CAPTURE_VALUES},
    {.name = "present", .text = SQL_CAPTURE_PRESENT},
    {.name = "readable", .text = SQL_CAPTURE_READABLE},
    {.name = "read_columns", .text = SQL_CAPTURE_READ_COLUMNS},
    {.name = "lost", .text = SQL_CAPTURE_LOST},
    {.name = "own_table", .text = SQL_CAPTURE_OWN_TABLE},
    {.name = "current", .text = SQL_CAPTURE_CURRENT},
    {.name = "refuse_other_table", .text = SQL_CAPTURE_REFUSE_OTHER_TABLE},
    {.name = "altered_message",
     .text = "keepstep: table {found_name} was altered after this transaction began, so that it "
             "cannot see whose the table is now; run the transaction again"},
    {.name = "truncate_message",
     .text = "keepstep: TRUNCATE of {found_name} in a REPEATABLE READ or SERIALIZABLE transaction "
             "cannot be captured whole: it also takes rows away that the transaction does not "
             "see; run it in READ COMMITTED, or DELETE the rows"},
    {.name = "own_table_message",
     .text = "keepstep: function {plain_name} runs with the rights of the owner of table "
             "{found_name} and for that table alone; where it has another owner now, run keepstep "
             "init; this is table "},
    {.name = "part_of_table", .text = SQL_CAPTURE_PART_OF_TABLE},
    {.name = "enable", .text = SQL_CAPTURE_ENABLE},
    {.name = "seal", .text = SQL_CAPTURE_SEAL},
    {.name = "give_rights", .text = SQL_SEAL},
    {.name = "give_joint_rights", .text = SQL_CAPTURE_GIVE_JOINT_RIGHTS, .when = writer_is_joint},
    {.name = "give_joint_rights", .text = ""},
    {.name = "silent", .text = SQL_CAPTURE_SILENT, .when = writer_is_not_joint},
    {.name = "silent", .text = ""},
    {.name = "guarded", .text = SQL_CAPTURE_GUARDED, .when = writer_is_joint},
    {.name = "guarded", .text = ""},
    {.name = "guarded_truncate", .text = SQL_CAPTURE_GUARDED_TRUNCATE, .when = writer_is_joint},
    {.name = "guarded_truncate", .text = ""},
    {.name = "guarded_values", .text = SQL_CAPTURE_GUARDED_VALUES, .when = capture_has_names},
    {.name = "guarded_values", .text = ""},
    {.name = "reserved", .text = SQL_CAPTURE_RESERVED},
    {.name = "look", .text = SQL_CAPTURE_LOOK},
    {.name = "reserved_by",
     .text = ERROR_TRY_AGAIN
     "{entity_type} %s is reserved by a joint transaction, %s of %s, that is "
     "not decided yet"},
    {.name = "outbox_table", .text = "{outbox}.outbox"},
    {.name = "guard_table", .text = "{outbox}.keepstep_guard"},
    {.name = "reserved_table", .text = "{outbox}.keepstep_reserved"},
    {.name = "touched_table", .text = "{outbox}.keepstep_touched"},
    {.name = "digits", .text = " SET extra_float_digits = 1", .when = capture_has_doubles},
    {.name = "not_finite",
     .text = SQL_CAPTURE_NOT_FINITE,
     .types = OF(COLUMN_DOUBLE) | OF(COLUMN_DECIMAL),
     .each = EACH_COLUMN,
     .separator = "\n"},
    {.name = "fixed", .text = SQL_CAPTURE_FIXED, .when = writer_is_fixed},
    /* As text a date would depend on the session's DateStyle. */
    {.name = "partition_key",
     .text = "to_char({}, 'YYYY-MM-DD')",
     .types = OF(COLUMN_DATE),
     .each = EACH_PARTITION_KEY},
    {.name = "partition_key", .text = "{}::text", .each = EACH_PARTITION_KEY},
    {.name = "same_key", .text = "t.{column} = {}", .each = EACH_KEY, .separator = " AND "},
    {.name = "key_columns_down", .text = "{} DESC", .each = EACH_KEY},
    {.name = "key_texts", .text = "{}::text", .each = EACH_KEY},
    {.name = "nulls", .text = "{} IS NULL", .each = EACH_COLUMN},
    {.name = "key_nulls", .text = "{} IS NULL", .each = EACH_KEY},
    {.name = "deleted_nulls", .text = "{nulls OLD}", .when = writer_has_before},
    {.name = "deleted_nulls", .text = "{key_nulls OLD}"},
    {.name = "retyped_message",
     .text = "keepstep: a column of table {found_name} that is published as {entity_type} got "
             "another type after this session had first written the table. Connect again. Run "
             "`keepstep init` if the schema's type does not fit any more. "},
    {.name = "edge_columns", .text = "(SELECT {} FROM edge AS t)", .each = EACH_KEY},
    {.name = "behind", .text = SQL_CAPTURE_BEHIND},
    {.name = "behind_and", .text = "{behind} AND ", .when = writer_is_resumed},
    {.name = "noted_key", .text = SQL_CAPTURE_NOTED_KEY, .each = EACH_KEY},
    {.name = "key_type", .text = "bigint", .types = OF(COLUMN_INTEGER)},
    {.name = "key_type", .text = "uuid", .types = OF(COLUMN_UUID)},
    {.name = "key_type", .text = "text"},
};

static const struct capture_object OBJECTS[] = {
    {"function", "keepstep_", "row", NULL, SQL_CAPTURE_ROW},
    {"function", "keepstep_", "truncate", NULL, SQL_CAPTURE_TRUNCATE},
    {"trigger", "00_keepstep_", "truncate", NULL, SQL_CAPTURE_TRUNCATE_TRIGGER},
    {"trigger", "00_keepstep_", "row", NULL, SQL_CAPTURE_ROW_TRIGGER},
};

const struct dialect capture_postgresql_dialect = {
    .columns = &column_postgresql_dialect,
    .parts = PARTS,
    .part_count = sizeof PARTS / sizeof *PARTS,
    .word = capture_word,
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .name_length_max = 63,
    .short_name = capture_short_name,
    .place = capture_place,
};
