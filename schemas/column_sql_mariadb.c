/* How MariaDB writes each type of column as JSON, whatever the session's sql_mode, time zone,
 * character set and collation are. */
#include "schemas/column_dialect.h"

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
static void column_literal(struct buffer *sql, struct slice text)
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

static bool column_is_timestamp(const struct column_place *place)
{
    const bool *is_timestamp = place->columns->is_timestamp;
    return is_timestamp != NULL && is_timestamp[place->index];
}

static bool column_is_text_of_key(const struct column_place *place)
{
    return place->in_key && place->columns->schema->columns[place->index].type == COLUMN_TEXT;
}

static const struct column_part PARTS[] = {
    {.name = "quoted", .text = KEY_TEXT, .when = column_is_text_of_key},
    {.name = "quoted", .text = QUOTED},
    {.name = "moment",
     .text = "COALESCE(DATE_FORMAT(TIMESTAMPADD(MICROSECOND, NULLIF(UNIX_TIMESTAMP({}), 0) "
             "* 1000000, '1970-01-01 00:00:00'), '\"%Y-%m-%dT%H:%i:%s.%fZ\"'), "
             "'\"0000-00-00T00:00:00.000000Z\"')",
     .when = column_is_timestamp},
    {.name = "moment", .text = "DATE_FORMAT({}, '\"%Y-%m-%dT%H:%i:%s.%fZ\"')"},
};

/* A value that does not fit its type (a zero date, a boolean 2) is written as it is. The relay sets
 * such a row aside and names the field. Only UNIX_TIMESTAMP reads a TIMESTAMP independently of the
 * session's time zone; it is 0 or NULL for a zero date. `+ 0` removes the zeros of ZEROFILL and
 * gives a FLOAT more than six digits. MariaDB writes a double with the digits that read back to its
 * bits, and has no negative zero. CONCAT() is NULL if one of its arguments is, and then the
 * service's change fails rather than its event. */
const struct column_dialect column_mariadb_dialect = {
    .text = {.quote = '`',
             .join = JOIN_CONCAT,
             .line_start = "\n      ",
             .literal = column_literal},
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
};
