/* Writes the results of the tests of types as Markdown. */
#include "tests/support/type_document.h"

static const char *const names[TYPE_DATABASES] = {[DATABASE_SQLITE] = "SQLite",
                                                  [DATABASE_POSTGRESQL] = "PostgreSQL",
                                                  [DATABASE_MARIADB] = "MariaDB"};

static const char head[] =
    "# Types\n"
    "\n"
    "This page says what becomes of each native type of a service's database, in each database "
    "that can hold a copy.\n"
    "`tests/conformance/test_types.c` writes it (with `TEST_WRITE_DOCS=1`) from what it finds, and "
    "fails if the page is out\n"
    "of date.\n"
    "\n"
    "Every value below goes all the way: from a row in a tracked table through `keepstep schema "
    "table`, `keepstep init`,\n"
    "the triggers, the relay's check, the record and the agent's store, and back by SQL of the "
    "copy's database. Either the\n"
    "copy's value has the same canonical text (a double: the same bits), or the value is refused. "
    "No value is changed\n"
    "silently. A number in parentheses in a table is an entry of the list \"Refused\" below it, "
    "which says where and why.\n"
    "\n"
    "Each row is published in two more ways. First, a session with another time zone, client "
    "encoding, date style,\n"
    "`sql_mode`, collation and number of float digits writes it; the record must have the same "
    "bytes. Second, the row\n"
    "exists before `init`.\n"
    "\n"
    "Where a value is exact, the copy's row also has the digest of the source's row "
    "([PROTOCOL.md](PROTOCOL.md#9-digests-of-rows), section 9).\n"
    "\n"
    "## The form of a type\n"
    "\n"
    "A column's schema type (see [PROTOCOL.md](PROTOCOL.md#14-column-types)) has exactly one form "
    "for each value:\n"
    "\n"
    "| schema type | canonical form | SQLite copy | PostgreSQL copy | MariaDB copy |\n"
    "|---|---|---|---|---|\n"
    "| `integer` | `-42`: a JSON integer, 64 bits | INTEGER | bigint | BIGINT |\n"
    "| `decimal` | `\"-12.50\"`: digits, no exponent, no leading zeros | TEXT | numeric | DECIMAL; "
    "without precision DECIMAL(65,30) |\n"
    "| `double` | `0.1`: a JSON number that reads back to the same bits | REAL | double precision "
    "| DOUBLE |\n"
    "| `text` | `\"név\"`: Unicode as it is, never normalised, never padded | TEXT | text | "
    "LONGTEXT, as a key VARCHAR |\n"
    "| `bytes` | `\"00FF\"`: hexadecimal in upper case | BLOB | bytea | LONGBLOB |\n"
    "| `boolean` | `true`, `false` | INTEGER, 0 or 1 | boolean | TINYINT(1) |\n"
    "| `date-time` | `\"2026-11-23T09:42:00.123456Z\"`: UTC, six digits | TEXT | timestamptz | "
    "DATETIME(6) in UTC |\n"
    "| `timestamp` | `\"2026-11-23T09:42:00.123456\"`: without a zone | TEXT | timestamp | "
    "DATETIME(6) |\n"
    "| `date` | `\"2026-11-23\"` | TEXT | date | DATE |\n"
    "| `time` | `\"09:42:00.123456\"`: a time of day | TEXT | time | TIME(6) |\n"
    "| `uuid` | `\"01942f6e-0000-7000-8000-00000000002a\"`: lower case | TEXT | uuid | CHAR(36) |\n"
    "| `json` | `\"{\\\"a\\\":1}\"`: the text, byte for byte | TEXT | json | LONGTEXT |\n"
    "\n"
    "Zeros at the end of a decimal's fraction make no difference: `1.5` equals `1.50`.\n";

static const char surprises[] =
    "\n"
    "## Possible surprises\n"
    "\n"
    "- MariaDB and SQLite's REAL columns cannot hold a negative zero (`-0.0`). Copies there hold "
    "such an event. They go on\n"
    "  once the source writes `0`.\n"
    "- SQLite stores a number with a fraction in a DECIMAL or NUMERIC column as a double. Numbers "
    "of up to 15 digits are\n"
    "  published as they were written. A sum with more digits is published with as many digits as "
    "its bits need. If every\n"
    "  digit counts, keep decimals in TEXT columns and declare `x-keepstep-type: decimal`.\n"
    "- PostgreSQL's text has no NUL character. A PostgreSQL copy holds a text with one.\n"
    "- MariaDB's DECIMAL has at most 65 digits, 30 of them after the point. A MariaDB copy holds "
    "larger numbers.\n"
    "- `BIGINT UNSIGNED` is published as `decimal`, because half of its values do not fit into 64 "
    "bits with a sign.\n"
    "- MariaDB's `TIME` is a duration. Only values that are a time of day are published. Its "
    "`DATETIME` has no zone: it is\n"
    "  published as `timestamp`, or as `date-time` in UTC if the schema says so.\n"
    "- `jsonb` is published as PostgreSQL prints it: with sorted members, only the last of equal "
    "names, and its own blanks.\n"
    "  `json` and MariaDB's `JSON` keep their text. A copy may have a `jsonb` column for values "
    "that come from `jsonb`. It\n"
    "  holds an event whose text `jsonb` would change. If one service that writes the column has "
    "no `jsonb`, declare it\n"
    "  `json` everywhere.\n"
    "- MariaDB's CHAR(n) loses blanks at the end when it is written, before anybody can read them. "
    "PostgreSQL's CHAR(n)\n"
    "  adds blanks, and is refused.\n"
    "- The relay sets aside rows with years before 1 or after 9999, infinite times, 24:00:00, or "
    "days that no calendar has.\n";

static void append_cell(struct buffer *out, const struct type_result *result, size_t copy,
                        size_t note_count)
{
    bool first = true;
    size_t nulls = result->column->is_key ? 0 : 1;
    if (result->refused[copy] == 0)
        buffer_append_text(out, " exact |");
    else
        buffer_append_text(out, result->refused[copy] + nulls >= result->value_count
                                    ? " refused ("
                                    : " exact, except (");
    for (size_t i = 0; i < note_count; i++) {
        if (result->notes[copy][i])
            buffer_append_format(out, "%s%zu", first ? "" : ", ", i + 1);
        first = first && !result->notes[copy][i];
    }
    if (result->refused[copy] > 0)
        buffer_append_text(out, ") |");
}

/* A bar would end the cell. */
static void append_text(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++)
        buffer_append(out, *text == '|' ? "\\|" : text, *text == '|' ? 2 : 1);
}

static void append_result(struct buffer *out, const struct type_matrix *matrix,
                          const struct type_result *result)
{
    const struct type_column *column = result->column;
    buffer_append_text(out, "| `");
    append_text(out, column->native);
    buffer_append_text(out, column->is_key ? "` as a key" : "`");
    if (column->kept != NULL)
        buffer_append_format(out, ", at a PostgreSQL copy `%s`", column->kept);
    buffer_append_text(out, " |");
    buffer_append_format(out, " %s |", result->schema_type == NULL ? "–" : result->schema_type);
    for (size_t i = 0; i < TYPE_DATABASES; i++)
        append_cell(out, result, i, matrix->note_count);
    buffer_append_text(out, " ");
    append_text(out, result->tried);
    buffer_append_text(out, " |\n");
}

void type_document(const struct type_matrix matrices[TYPE_DATABASES], struct buffer *out)
{
    buffer_append_text(out, head);
    for (size_t i = 0; i < TYPE_DATABASES; i++) {
        const struct type_matrix *matrix = &matrices[i];
        buffer_append_format(out,
                             "\n## %s\n\n| native type | schema type | SQLite copy | PostgreSQL "
                             "copy | MariaDB copy | tried |\n|---|---|---|---|---|---|\n",
                             names[matrix->kind]);
        for (size_t j = 0; j < matrix->result_count; j++)
            append_result(out, matrix, &matrix->results[j]);
        buffer_append_text(out, "\nRefused:\n\n");
        for (size_t j = 0; j < matrix->note_count; j++)
            buffer_append_format(out, "%zu. %s: \"%s\" (%s)\n", j + 1, matrix->notes[j].where,
                                 matrix->notes[j].message, matrix->notes[j].values);
    }
    buffer_append_text(out, surprises);
}
