/* Writes the results of the tests of types as Markdown. */
#include "tests/support/type_document.h"

static const char *const names[TYPE_DATABASES] = {[DATABASE_SQLITE] = "SQLite",
                                                  [DATABASE_POSTGRESQL] = "PostgreSQL",
                                                  [DATABASE_MARIADB] = "MariaDB"};

static const char head[] =
    "# Types\n"
    "\n"
    "What becomes of each native type of a service's database, in each database that a copy may "
    "live in.\n"
    "This page is written by `tests/conformance/test_types.c` from what it finds, and that test "
    "fails where the page\n"
    "is not current (`TEST_WRITE_DOCS=1` writes it). Every value named below goes the whole "
    "way: a row in a tracked\n"
    "table, `keepstep schema table` and `keepstep init`, the triggers, the relay's check, the "
    "record, the agent's store,\n"
    "and back by the database's own SQL. It comes out with the same canonical text (a double: "
    "with the same bits), or it\n"
    "is refused by the one who is named. Nothing is changed in silence.\n"
    "\n"
    "Each row is published twice more: by a session with another time zone, client encoding, "
    "date style, `sql_mode`,\n"
    "collation and digits of floats, which must give the same bytes, and as a row that was there "
    "before `init`.\n"
    "\n"
    "## The form of a type\n"
    "\n"
    "The type of a column, in [PROTOCOL.md](PROTOCOL.md#14-column-types), fixes the one form of "
    "its values:\n"
    "\n"
    "| schema type | canonical form | SQLite copy | PostgreSQL copy | MariaDB copy |\n"
    "|---|---|---|---|---|\n"
    "| `integer` | `-42`: a JSON integer, 64 bits | INTEGER | bigint | BIGINT |\n"
    "| `decimal` | `\"-12.50\"`: digits, no exponent, no leading zeros | TEXT | numeric | "
    "DECIMAL; without precision DECIMAL(65,30) |\n"
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
    "Two decimals are the same where they differ in zeros behind the last digit of the fraction "
    "alone.\n";

static const char surprises[] =
    "\n"
    "## What may surprise\n"
    "\n"
    "- A zero below zero (`-0.0`) has no place in MariaDB, nor in an SQLite column of type REAL: "
    "such an event is held at\n"
    "  those copies, and goes on once the source writes `0`.\n"
    "- SQLite keeps what a DECIMAL or NUMERIC column is given as a double once it has a fraction. "
    "Up to 15 digits are\n"
    "  published as they were written; a sum with more is published with as many digits as its "
    "bits need. Keep decimals in\n"
    "  TEXT and say `x-keepstep-type: decimal` where every digit counts.\n"
    "- PostgreSQL's text has no NUL character, so a text with one is held at a PostgreSQL copy.\n"
    "- MariaDB's DECIMAL ends at 65 digits, 30 of them behind the point; larger numbers are held "
    "there.\n"
    "- `BIGINT UNSIGNED` travels as `decimal`, as half of its values are beyond 64 bits with a "
    "sign.\n"
    "- MariaDB's `TIME` is a span; only those that are a time of day are published. Its "
    "`DATETIME` has no zone: it is\n"
    "  `timestamp`, unless the schema says `date-time`, which takes it for UTC.\n"
    "- `jsonb` is published as PostgreSQL prints it: members sorted, the last of equal names, "
    "blanks of its own. `json` and\n"
    "  MariaDB's `JSON` keep the text. A local copy's column may be `jsonb`, for what comes from "
    "`jsonb`: an event whose text\n"
    "  it would write otherwise is held there. Where it is not `jsonb` at every service that "
    "writes it, declare it `json`.\n"
    "- A CHAR(n) of MariaDB has lost the blanks at its end before anyone can read them; "
    "PostgreSQL's pads, and is refused.\n"
    "- Years before 1 and after 9999, infinite times, 24:00:00, and days that are in no calendar "
    "are set aside by the relay.\n";

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
                                    : " exact, but for (");
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
