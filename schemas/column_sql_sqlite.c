/* How SQLite writes each type of column as JSON. */
#include "schemas/column_dialect.h"

#define DIGITS_2 "[0-9][0-9]"
#define DAY      DIGITS_2 DIGITS_2 "-" DIGITS_2 "-" DIGITS_2
#define MOMENT   DAY "[T ]" DIGITS_2 ":" DIGITS_2 ":" DIGITS_2
/* Mostly a moment is written in its one form already. That is cheap to see: whatever else fits this
 * is written as it is too, if it is a text of 27 bytes. */
#define CANONICAL                                                                                  \
    "{} GLOB '??????????T????????." DIGITS_2 DIGITS_2 DIGITS_2 "Z' "                               \
    "AND length(CAST({} AS BLOB)) = 27 AND typeof({}) = 'text'"
#define AS_TEXT "CASE WHEN {} IS NULL THEN 'null' ELSE json_quote(CAST({} AS TEXT)) END"

static bool column_refuses(const struct column_place *place)
{
    return place->columns->refuses;
}

static const struct column_part PARTS[] = {
    {.name = "infinite",
     .text = "RAISE(ABORT, 'keepstep: an infinite number cannot be published')",
     .when = column_refuses},
    {.name = "infinite", .text = "json_quote(CAST({} AS TEXT))"},
};

/* A value whose storage class does not fit its type is written as it is. The relay sets such a row
 * aside and names the field. Only an infinite double is refused in a trigger, as JSON has none. A
 * decimal that SQLite keeps as a double is written with the 15 digits of its text; if these do not
 * read back to the same double, with 20. */
const struct column_dialect column_sqlite_dialect = {
    .text = {.quote = '"', .line_start = "\n    "},
    .values = {[COLUMN_INTEGER] =
                   "CASE typeof({}) WHEN 'blob' THEN json_quote(hex({})) ELSE json_quote({}) END",
               [COLUMN_DECIMAL] =
                   "CASE WHEN {} IS NULL THEN 'null' "
                   "WHEN typeof({}) = 'real' AND CAST(CAST({} AS TEXT) AS REAL) <> {} "
                   "THEN json_quote(printf('%!.20g', {})) ELSE json_quote(CAST({} AS TEXT)) END",
               [COLUMN_TEXT] = AS_TEXT,
               [COLUMN_JSON] = AS_TEXT,
               [COLUMN_DATE] = AS_TEXT,
               [COLUMN_TIME] = AS_TEXT,
               [COLUMN_TIMESTAMP] = AS_TEXT,
               [COLUMN_UUID] = AS_TEXT,
               [COLUMN_DOUBLE] =
                   "CASE typeof({}) WHEN 'real' THEN CASE WHEN abs({}) <= 1.7976931348623157e308 "
                   "THEN printf('%!.20g', {}) ELSE {infinite} END "
                   "WHEN 'blob' THEN json_quote(hex({})) ELSE json_quote({}) END",
               [COLUMN_BYTES] = "CASE WHEN {} IS NULL THEN 'null' ELSE '\"' || hex({}) || '\"' END",
               [COLUMN_BOOLEAN] = "CASE WHEN {} IS NULL THEN 'null' "
                                  "WHEN typeof({}) = 'integer' AND {} = 1 THEN 'true' "
                                  "WHEN typeof({}) = 'integer' AND {} = 0 THEN 'false' "
                                  "ELSE json_quote(CAST({} AS TEXT)) END",
               [COLUMN_DATE_TIME] =
                   "CASE WHEN " CANONICAL " THEN json_quote({}) "
                   "WHEN {} IS NULL THEN 'null' "
                   "WHEN {} GLOB '" MOMENT "*' "
                   "AND ltrim(rtrim(substr({}, 20), 'Z'), '.0123456789') = '' "
                   "AND length(rtrim(substr({}, 20), 'Z')) <= 7 THEN json_quote(substr({}, 1, 10) "
                   "|| 'T' || substr({}, 12, 8) || '.' || "
                   "substr(ltrim(rtrim(substr({}, 20), 'Z'), '.') || '000000', 1, 6) || 'Z') "
                   "WHEN {} GLOB '" DAY "' OR {} GLOB '" MOMENT "[+-]" DIGITS_2 ":" DIGITS_2 "' "
                   "THEN json_quote(coalesce(strftime('%Y-%m-%dT%H:%M:%S', {}) || '.000000Z', {})) "
                   "ELSE json_quote(CAST({} AS TEXT)) END"},
    .parts = PARTS,
    .part_count = sizeof PARTS / sizeof *PARTS,
};
