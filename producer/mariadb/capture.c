/* How MariaDB writes each type of column as JSON, and what its triggers consist of. Neither depends
 * on the session's sql_mode, time zone, character set or collation. */
#include "producer/mariadb/capture.h"
#include "common/digest.h"
#include "producer/capture/dialect.h"
#include "producer_mariadb_sql.h"

#include <inttypes.h>

/* JSON's null, or the form of a value that is not NULL. */
#define NULLABLE(form) "CASE WHEN {} IS NULL THEN 'null' ELSE " form " END"
#define QUOTED         "JSON_QUOTE(CONVERT({} USING utf8mb4)) COLLATE utf8mb4_bin"
#define BACKSLASH      "CHAR(92 USING utf8mb4)"
#define BACKSLASHES    "CHAR(92, 92 USING utf8mb4)"
#define STAND_IN       "CHAR(1 USING utf8mb4)"
#define LOWER_CASE(text, upper, lower)                                                             \
    "REPLACE(" text ", CONCAT(" BACKSLASH ", 'u00" upper "'), CONCAT(" BACKSLASH ", 'u00" lower    \
    "'))"

/* JSON_QUOTE writes \u001F where the canonical key has \u001f. Escaped backslashes are replaced by
 * a control character meanwhile, as a quoted text has none of these. */
#define HIDDEN "REPLACE(" QUOTED ", " BACKSLASHES ", " STAND_IN ")"
#define TO_0F  LOWER_CASE(LOWER_CASE(LOWER_CASE(HIDDEN, "0B", "0b"), "0E", "0e"), "0F", "0f")
#define TO_1C  LOWER_CASE(LOWER_CASE(LOWER_CASE(TO_0F, "1A", "1a"), "1B", "1b"), "1C", "1c")
#define TO_1F  LOWER_CASE(LOWER_CASE(LOWER_CASE(TO_1C, "1D", "1d"), "1E", "1e"), "1F", "1f")
#define KEY_TEXT                                                                                   \
    "IF(LOCATE('u00', " QUOTED ") = 0, " QUOTED ", REPLACE(" TO_1F ", " STAND_IN ", " BACKSLASHES  \
    "))"

/* Whether a backslash is an escape depends on sql_mode, so it is never written as itself. */
static void capture_literal(struct buffer *sql, struct slice text)
{
    bool odd = text.length > 0 && memchr(text.data, '\\', text.length) != NULL;
    buffer_append_text(sql, odd ? "CONCAT('" : "'");
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '\\')
            buffer_append_text(sql, "', " BACKSLASH ", '");
        else
            buffer_append(sql, text.data[i] == '\'' ? "''" : &text.data[i],
                          text.data[i] == '\'' ? 2 : 1);
    }
    buffer_append_text(sql, odd ? "')" : "'");
}

static void capture_short_name(struct buffer *name, const struct capture_object *object,
                               const char *entity_type)
{
    buffer_append_format(name, "%s%016" PRIx64 "_%s", object->prefix,
                         digest_64(slice_of(entity_type)), object->suffix);
}

/* Rows behind a key. A comparison of rows, (a, b) > (?, ?), would read the table from its start. */
static bool capture_word(struct writer *writer, struct slice word)
{
    const struct capture *capture = writer->capture;
    if (!slice_is(word, "behind"))
        return false;
    for (size_t i = 0; i < capture->schema->key_count; i++) {
        buffer_append_text(writer->sql, i == 0 ? "" : " OR ");
        for (size_t j = 0; j <= i; j++) {
            const struct column *column = &capture->schema->columns[capture->key[j]];
            writer->column = config_column(capture->entry, column->name);
            writer_template(writer, j == i ? "{} > ?" : "{} = ? AND ");
        }
    }
    return true;
}

static bool capture_is_timestamp(const struct writer *writer)
{
    const struct capture_mariadb *capture = (const struct capture_mariadb *)writer->capture;
    return capture->is_timestamp[writer->index];
}

static bool capture_in_key(const struct writer *writer)
{
    return writer->in_key;
}

static bool capture_waits_not(const struct writer *writer)
{
    return !writer->waits;
}

static const struct part PARTS[] = {
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
    {.name = "quoted", .text = KEY_TEXT, .types = OF(COLUMN_TEXT), .when = capture_in_key},
    {.name = "quoted", .text = QUOTED},
    {.name = "moment",
     .text = "COALESCE(DATE_FORMAT(TIMESTAMPADD(MICROSECOND, NULLIF(UNIX_TIMESTAMP({}), 0) "
             "* 1000000, '1970-01-01 00:00:00'), '\"%Y-%m-%dT%H:%i:%s.%fZ\"'), "
             "'\"0000-00-00T00:00:00.000000Z\"')",
     .when = capture_is_timestamp},
    {.name = "moment", .text = "DATE_FORMAT({}, '\"%Y-%m-%dT%H:%i:%s.%fZ\"')"},
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

/* A value that does not fit its type (a zero date, a boolean 2) is written as it is. The relay sets
 * such a row aside and names the field. Only UNIX_TIMESTAMP reads a TIMESTAMP independently of the
 * session's time zone; it is 0 or NULL for a zero date. `+ 0` removes the zeros of ZEROFILL and
 * gives a FLOAT more than six digits. MariaDB writes a double with the digits that read back to its
 * bits, and has no negative zero. CONCAT() is NULL if one of its arguments is, and then the
 * service's change fails rather than its event. */
const struct dialect capture_mariadb_dialect = {
    .quote = '`',
    .join = JOIN_CONCAT,
    .line_start = "\n      ",
    .literal = capture_literal,
    .values = {[COLUMN_INTEGER] = NULLABLE("CONCAT({} + 0)"),
               [COLUMN_DECIMAL] = NULLABLE("CONCAT('\"', {} + 0, '\"')"),
               [COLUMN_DOUBLE] = NULLABLE("CONCAT({} + 0e0)"),
               [COLUMN_TEXT] = NULLABLE("{quoted}"),
               [COLUMN_JSON] = NULLABLE("{quoted}"),
               [COLUMN_UUID] = NULLABLE("JSON_QUOTE(LOWER(CONVERT({} USING utf8mb4))) "
                                        "COLLATE utf8mb4_bin"),
               [COLUMN_BYTES] = NULLABLE("CONCAT('\"', HEX({}), '\"')"),
               [COLUMN_BOOLEAN] = NULLABLE("CASE {} + 0 WHEN 1 THEN 'true' WHEN 0 THEN 'false' "
                                           "ELSE CONCAT({} + 0) END"),
               [COLUMN_DATE] = NULLABLE("DATE_FORMAT({}, '\"%Y-%m-%d\"')"),
               [COLUMN_TIME] = NULLABLE("CONCAT('\"', TIME_FORMAT({}, '%H:%i:%s.%f'), '\"')"),
               [COLUMN_TIMESTAMP] = NULLABLE("DATE_FORMAT({}, '\"%Y-%m-%dT%H:%i:%s.%f\"')"),
               [COLUMN_DATE_TIME] = NULLABLE("{moment}")},
    .parts = PARTS,
    .part_count = sizeof PARTS / sizeof *PARTS,
    .word = capture_word,
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .name_length_max = 64,
    .names_without_case = true,
    .short_name = capture_short_name,
};
