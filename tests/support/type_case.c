/* Runs the columns of a source and collects what became of their values. */
#include "tests/support/type_case_internal.h"

#include <stdio.h>

#define ARENA_SIZE_MAX   ((size_t)256 * 1024 * 1024)
#define CHANGED_SIZE_MAX ((size_t)64 * 1024)
#define SHOWN_LENGTH     120

#define PLAIN "v"

static const char *const readers[TYPE_DATABASES][COLUMN_UUID + 1] = {
    [DATABASE_SQLITE] = {[COLUMN_INTEGER] = PLAIN,
                         [COLUMN_DECIMAL] = PLAIN,
                         [COLUMN_DOUBLE] = "iif(v IS NULL, NULL, printf('%!.20g', v))",
                         [COLUMN_TEXT] = "iif(v IS NULL, NULL, hex(CAST(v AS TEXT)))",
                         [COLUMN_BYTES] = "iif(v IS NULL, NULL, hex(v))",
                         [COLUMN_BOOLEAN] = PLAIN,
                         [COLUMN_DATE_TIME] = PLAIN,
                         [COLUMN_JSON] = "iif(v IS NULL, NULL, hex(CAST(v AS TEXT)))",
                         [COLUMN_DATE] = PLAIN,
                         [COLUMN_TIME] = PLAIN,
                         [COLUMN_TIMESTAMP] = PLAIN,
                         [COLUMN_UUID] = PLAIN},
    [DATABASE_POSTGRESQL] =
        {[COLUMN_INTEGER] = PLAIN,
         [COLUMN_DECIMAL] = PLAIN,
         [COLUMN_DOUBLE] = "v::float8",
         [COLUMN_TEXT] = "upper(encode(convert_to(v::text, 'UTF8'), 'hex'))",
         [COLUMN_BYTES] = "upper(encode(v, 'hex'))",
         [COLUMN_BOOLEAN] = "v::int",
         [COLUMN_DATE_TIME] = "to_char(v AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
         [COLUMN_JSON] = "upper(encode(convert_to(v::text, 'UTF8'), 'hex'))",
         [COLUMN_DATE] = "to_char(v, 'YYYY-MM-DD')",
         [COLUMN_TIME] = "to_char(v, 'HH24:MI:SS.US')",
         [COLUMN_TIMESTAMP] = "to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')",
         [COLUMN_UUID] = PLAIN},
    [DATABASE_MARIADB] = {[COLUMN_INTEGER] = "v + 0",
                          [COLUMN_DECIMAL] = "v + 0",
                          [COLUMN_DOUBLE] = "v + 0e0",
                          [COLUMN_TEXT] = "hex(convert(v USING utf8mb4))",
                          [COLUMN_BYTES] = "hex(v)",
                          [COLUMN_BOOLEAN] = "v + 0",
                          [COLUMN_DATE_TIME] =
                              "concat(replace(cast(v AS datetime(6)), ' ', 'T'), 'Z')",
                          [COLUMN_JSON] = "hex(convert(v USING utf8mb4))",
                          [COLUMN_DATE] = PLAIN,
                          [COLUMN_TIME] = "cast(v AS time(6))",
                          [COLUMN_TIMESTAMP] = "replace(cast(v AS datetime(6)), ' ', 'T')",
                          [COLUMN_UUID] = "lower(v)"},
};

const char *type_case_reader(enum database_kind kind, enum column_type type, const char *reader)
{
    return reader != NULL ? reader : readers[kind][type];
}

bool type_rows_next(struct type_rows *rows, struct slice columns[3], size_t count)
{
    if (*rows->at == '\0')
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(rows->at, SESSION_COLUMN_END);
        columns[i] = (struct slice){rows->at, length};
        rows->at += length + 1;
    }
    rows->at += strcspn(rows->at, SESSION_ROW_END) + 1;
    return true;
}

struct slice type_case_from_hex(struct type_run *run, struct slice hex)
{
    static const char digits[] = "0123456789ABCDEF";
    char *bytes = arena_alloc(&run->arena, hex.length / 2 + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i + 1 < hex.length; i += 2)
        bytes[i / 2] = (char)((strchr(digits, hex.data[i]) - digits) * 16 +
                              (strchr(digits, hex.data[i + 1]) - digits));
    return (struct slice){.data = bytes, .length = hex.length / 2};
}

static struct slice without_zeros(struct slice decimal)
{
    if (decimal.length == 0 || memchr(decimal.data, '.', decimal.length) == NULL)
        return decimal;
    while (decimal.data[decimal.length - 1] == '0')
        decimal.length--;
    decimal.length -= decimal.data[decimal.length - 1] == '.';
    return decimal;
}

bool type_case_same(enum column_type type, struct slice one, struct slice other)
{
    if (type == COLUMN_DOUBLE && !slice_is(one, "NULL") && !slice_is(other, "NULL")) {
        double a = strtod(one.data, NULL);
        double b = strtod(other.data, NULL);
        return memcmp(&a, &b, sizeof a) == 0;
    }
    return type == COLUMN_DECIMAL ? slice_equal(without_zeros(one), without_zeros(other))
                                  : slice_equal(one, other);
}

/* @return the message without the row's key and with one name for all tables, so that equal
 * refusals have equal texts. */
static const char *clean(const struct type_run *run, const char *message)
{
    struct buffer text;
    size_t length = strlen(run->name);
    const char *key = test_format("%s {", run->name);
    buffer_init(&text, CHANGED_SIZE_MAX);
    if (strncmp(message, key, strlen(key)) == 0 && strstr(message, "}: ") != NULL)
        message = strstr(message, "}: ") + 3;
    while (*message != '\0') {
        bool is_name = strncmp(message, run->name, length) == 0;
        buffer_append(&text, is_name ? "item" : message, is_name ? 4 : 1);
        message += is_name ? length : 1;
    }
    const char *cleaned = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return cleaned;
}

static size_t find_note(struct type_matrix *matrix, const char *where, const char *message)
{
    size_t i = 0;
    while (i < matrix->note_count && (strcmp(matrix->notes[i].where, where) != 0 ||
                                      strcmp(matrix->notes[i].message, message) != 0))
        i++;
    if (i == TYPE_NOTES_MAX)
        test_fail("too many different refusals");
    if (i == matrix->note_count)
        matrix->notes[matrix->note_count++] = (struct type_note){
            .where = where, .message = message, .values = "", .last_native = ""};
    return i;
}

void type_case_refuse(struct type_run *run, size_t copy, const struct type_row *row,
                      const char *where, const char *message)
{
    size_t i = find_note(run->matrix, where, clean(run, message));
    struct type_note *note = &run->matrix->notes[i];
    const char *native = run->column->native;
    const char *name = row == NULL ? "all" : row->name;
    size_t end = strlen(note->values);
    if (strcmp(note->last_native, native) != 0)
        note->values = test_format("%s%s`%s`: %s", note->values, end == 0 ? "" : "; ", native,
                                   name);
    else if (end < strlen(name) || strcmp(note->values + end - strlen(name), name) != 0)
        note->values = test_format("%s, %s", note->values, name);
    note->last_native = native;
    for (size_t j = 0; j < TYPE_DATABASES; j++) {
        if (copy != TYPE_COPY_ALL && copy != j)
            continue;
        run->result->notes[j][i] = true;
        run->result->refused[j] += row == NULL ? run->result->value_count : 1;
    }
}

void type_case_changed(struct type_run *run, const struct type_row *row, const char *what,
                       struct slice found)
{
    int length = found.length < SHOWN_LENGTH ? (int)found.length : SHOWN_LENGTH;
    buffer_append_format(run->changed, "%s, %s: %s: %.*s\n", run->column->native, row->name, what,
                         length, found.data);
}

static void run_column(struct type_run *run, struct type_copy copies[TYPE_DATABASES])
{
    arena_init(&run->arena, ARENA_SIZE_MAX);
    if (type_source_prepare(run)) {
        type_source_publish(run);
        for (size_t i = 0; i < TYPE_DATABASES; i++)
            type_copy_apply(&copies[i], run);
    }
    for (size_t i = 0; i < run->row_count; i++) {
        free(run->rows[i].literal);
        free(run->rows[i].canonical);
    }
    entity_schema_free(run->schema);
    arena_done(&run->arena);
}

void type_case_run(const struct type_source *source, struct type_matrix *ret_matrix)
{
    static struct type_run run;
    struct type_copy copies[TYPE_DATABASES];
    struct buffer changed;
    const char *url = database_make(source->kind, "shop");
    buffer_init(&changed, CHANGED_SIZE_MAX);
    *ret_matrix = (struct type_matrix){.kind = source->kind};
    for (size_t i = 0; i < TYPE_DATABASES; i++)
        type_copy_open(&copies[i], (enum database_kind)i);
    struct session *session = session_open(url);
    struct session *strange = session_open(url);
    session_estrange(strange);
    for (size_t i = 0; i < source->count; i++) {
        struct type_result *result = &ret_matrix->results[ret_matrix->result_count++];
        *result = (struct type_result){.column = &source->columns[i]};
        run = (struct type_run){.matrix = ret_matrix,
                                .result = result,
                                .column = &source->columns[i],
                                .kind = source->kind,
                                .name = test_format("item_%02zu", i),
                                .url = url,
                                .session = session,
                                .strange = strange,
                                .changed = &changed};
        run_column(&run, copies);
    }
    session_close(strange);
    session_close(session);
    for (size_t i = 0; i < TYPE_DATABASES; i++)
        type_copy_close(&copies[i]);
    if (changed.length > 0)
        test_fail("changed in silence:\n%s", buffer_text(&changed));
    buffer_done(&changed);
    ret_matrix->complete = true;
}
