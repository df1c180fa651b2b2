/* How PostgreSQL writes each type of column as JSON. */
#include "schemas/column_dialect.h"

#define QUOTED(text) "coalesce(to_json(" text "), 'null')"

/* A text in E'' does not depend on standard_conforming_strings. */
static void column_literal(struct buffer *sql, struct slice text)
{
    bool escapes = text.length > 0 && memchr(text.data, '\\', text.length) != NULL;
    buffer_append_text(sql, escapes ? "E'" : "'");
    for (size_t i = 0; i < text.length; i++) {
        bool twice = text.data[i] == '\'' || text.data[i] == '\\';
        buffer_append(sql, &text.data[i], 1);
        buffer_append(sql, &text.data[i], twice ? 1 : 0);
    }
    buffer_append_text(sql, "'");
}

/* A value that JSON or the calendar of RFC 3339 does not have is written as to_json() has it, which
 * no setting changes, so that no two of them look alike. The relay sets such a row aside and names
 * the field. */
const struct column_dialect column_postgresql_dialect = {
    .text = {.quote = '"',
             .join = JOIN_FORMAT,
             .line_start = "\n      ",
             .literal = column_literal},
    .values = {[COLUMN_INTEGER] = "coalesce({}::text, 'null')",
               [COLUMN_BOOLEAN] = "coalesce({}::text, 'null')",
               [COLUMN_DECIMAL] = QUOTED("{}::text"),
               [COLUMN_UUID] = QUOTED("{}::text"),
               [COLUMN_DOUBLE] = "CASE WHEN {} IS NULL THEN 'null' "
                                 "WHEN {}::text IN ('NaN', 'Infinity', '-Infinity') THEN '\"' || "
                                 "{}::text || '\"' WHEN {}::text = '-0' THEN '-0.0' "
                                 "ELSE {}::float8::text END",
               [COLUMN_TEXT] = QUOTED("{}::text"),
               [COLUMN_JSON] = QUOTED("{}::text"),
               [COLUMN_BYTES] = QUOTED("upper(encode({}, 'hex'))"),
               [COLUMN_DATE_TIME] = "CASE WHEN {} IS NULL THEN 'null' "
                                    "WHEN {} >= '0001-01-01 00:00:00+00' AND "
                                    "{} < '10000-01-01 00:00:00+00' THEN to_char({} AT TIME ZONE "
                                    "'UTC', E'\\\\\"YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"\\\\\"') "
                                    "ELSE to_json({} AT TIME ZONE 'UTC')::text END",
               [COLUMN_TIMESTAMP] =
                   "CASE WHEN {} IS NULL THEN 'null' "
                   "WHEN {} >= '0001-01-01 00:00:00' AND {} < '10000-01-01 00:00:00' "
                   "THEN to_char({}, E'\\\\\"YYYY-MM-DD\"T\"HH24:MI:SS.US\\\\\"') "
                   "ELSE to_json({})::text END",
               [COLUMN_DATE] = "CASE WHEN {} IS NULL THEN 'null' "
                               "WHEN {} >= '0001-01-01' AND {} < '10000-01-01' THEN "
                               "to_char({}, E'\\\\\"YYYY-MM-DD\\\\\"') ELSE to_json({})::text END",
               [COLUMN_TIME] = QUOTED("to_char({}, 'HH24:MI:SS.US')")},
};
