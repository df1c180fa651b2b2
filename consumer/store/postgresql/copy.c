/* Writes rows that are not there yet by COPY, in the binary form of each column's type. */
#include "consumer/store/postgresql/internal.h"

#include "consumer_postgresql_sql.h"

#include <endian.h>

#define PIECE_SIZE    ((size_t)64 * 1024) /* of what libpq keeps until it is sent */
#define UUID_SIZE     16
#define DIGIT_WIDTH   4 /* decimal digits in one of numeric's */
#define NUMERIC_MINUS 0x4000
#define HEAD_OF_VALUE sizeof(uint32_t) /* its length */

static void append_16(struct buffer *out, uint16_t number)
{
    number = htobe16(number);
    buffer_append(out, &number, sizeof number);
}

/* The last value in `out` begins at `start`, with its length. */
static void value_replace(struct buffer *out, size_t start, const void *bytes, size_t length)
{
    uint32_t head = htobe32((uint32_t)length);
    out->length = start;
    buffer_append(out, &head, sizeof head);
    buffer_append(out, bytes, length);
}

static unsigned int hexadecimal(char c)
{
    return (unsigned int)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void fit_uuid(struct buffer *out, size_t start)
{
    unsigned char bytes[UUID_SIZE];
    const char *text = out->data + start + HEAD_OF_VALUE;
    for (size_t i = 0; i < UUID_SIZE; i++) {
        text += *text == '-';
        bytes[i] = (unsigned char)(hexadecimal(text[0]) << 4 | hexadecimal(text[1]));
        text += 2;
    }
    value_replace(out, start, bytes, sizeof bytes);
}

static void fit_float4(struct buffer *out, size_t start)
{
    uint64_t wide = 0;
    uint32_t bits = 0;
    double number = 0;
    memcpy(&wide, out->data + start + HEAD_OF_VALUE, sizeof wide);
    wide = be64toh(wide);
    memcpy(&number, &wide, sizeof number);
    const float narrow = (float)number; /* judged: it is one */
    memcpy(&bits, &narrow, sizeof bits);
    bits = htobe32(bits);
    value_replace(out, start, &bits, sizeof bits);
}

/* The integer's last bytes; it was judged to be in the type's range. */
static void fit_integer(struct buffer *out, size_t start, size_t size)
{
    char bytes[sizeof(int64_t)];
    memcpy(bytes, out->data + start + HEAD_OF_VALUE, sizeof bytes);
    value_replace(out, start, bytes + sizeof bytes - size, size);
}

/** Digits in a buffer, which may move while something is appended to it. */
struct digits {
    size_t at;
    size_t length;
    size_t before; /* zeros before the first one */
};

/* Appends groups of four digits; there are zeros behind the last one too. */
static void append_digits(struct buffer *out, struct digits digits)
{
    const size_t end = digits.before + digits.length;
    for (size_t i = 0; i < end && !out->failed; i += DIGIT_WIDTH) {
        uint16_t group = 0;
        for (size_t j = i; j < i + DIGIT_WIDTH; j++) {
            bool is_digit = j >= digits.before && j < end;
            int digit = is_digit ? out->data[digits.at + j - digits.before] - '0' : 0;
            group = (uint16_t)(group * 10 + digit);
        }
        append_16(out, group);
    }
}

/* "-12345.60": digits to the base 10000, the weight of the first one, the sign, how many decimal
 * digits are shown behind the point. They are made behind the text, and take its place. */
static void fit_numeric(struct buffer *out, size_t start)
{
    const size_t number = out->length;
    size_t at = start + HEAD_OF_VALUE;
    const bool is_negative = out->data[at] == '-';
    at += is_negative;
    const char *point = memchr(out->data + at, '.', number - at);
    struct digits whole = {.at = at, .length = number - at};
    struct digits behind = {0};
    if (point != NULL) {
        whole.length = (size_t)(point - out->data) - at;
        behind = (struct digits){.at = at + whole.length + 1,
                                 .length = number - at - whole.length - 1};
    }
    whole.before = (DIGIT_WIDTH - whole.length % DIGIT_WIDTH) % DIGIT_WIDTH;
    const size_t groups = (whole.before + whole.length) / DIGIT_WIDTH;
    append_16(out, (uint16_t)(groups + (behind.length + DIGIT_WIDTH - 1) / DIGIT_WIDTH));
    append_16(out, (uint16_t)(groups - 1));
    append_16(out, is_negative ? NUMERIC_MINUS : 0);
    append_16(out, (uint16_t)behind.length);
    append_digits(out, whole);
    append_digits(out, behind);
    if (out->failed)
        return;
    const size_t length = out->length - number;
    memmove(out->data + start + HEAD_OF_VALUE, out->data + number, length);
    const uint32_t head = htobe32((uint32_t)length);
    memcpy(out->data + start, &head, sizeof head);
    out->length = start + HEAD_OF_VALUE + length;
}

/* An array of the type `wire` is cast by the server; COPY takes the column's own type alone. */
static void value_fit(const struct column_form *form, struct buffer *out, size_t start)
{
    uint32_t length = 0;
    if (out->failed)
        return;
    memcpy(&length, out->data + start, sizeof length);
    if (length == UINT32_MAX) /* NULL */
        return;
    if (strcmp(form->typname, "numeric") == 0)
        fit_numeric(out, start);
    else if (strcmp(form->typname, "uuid") == 0)
        fit_uuid(out, start);
    else if (strcmp(form->typname, "float4") == 0)
        fit_float4(out, start);
    else if (strcmp(form->typname, "int4") == 0)
        fit_integer(out, start, sizeof(int32_t));
    else if (strcmp(form->typname, "int2") == 0)
        fit_integer(out, start, sizeof(int16_t));
}

static enum status rows_write(const struct mapped_table *table, const struct change *const *changes,
                              size_t count, struct buffer *out, struct error *err)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* no flags, no extension */
    const size_t columns = table->mapping->schema->column_count;
    enum status status = STATUS_OK;
    buffer_reset(out);
    buffer_append(out, head, sizeof head);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        append_16(out, (uint16_t)columns);
        for (size_t c = 0; status == STATUS_OK && c < columns; c++) {
            size_t start = out->length;
            status = store_postgresql_encode_value(table, c, changes[i], out, err);
            if (status == STATUS_OK)
                value_fit(store_postgresql_form(table, c), out, start);
        }
    }
    append_16(out, UINT16_MAX);
    return status == STATUS_OK && out->failed
               ? error_set(err, STATUS_RETRY, "%s: no memory for its rows", table->name)
               : status;
}

static enum status copy_begin(struct store_postgresql *self, const struct mapped_table *table,
                              struct error *err)
{
    struct buffer sql;
    struct sql_text text = {.dialect = table->dialect, .mapping = table->mapping, .table = table};
    enum status status = STATUS_OK;
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    sql_text_append(&sql, &text, SQL_ROW_COPY);
    PGresult *result = postgresql_session_last_result(
        self->connection, sql.failed ? 0 : PQsendQuery(self->connection, buffer_text(&sql)));
    if (PQresultStatus(result) != PGRES_COPY_IN)
        status = postgresql_session_error(self->connection, result, table->name, err);
    PQclear(result);
    buffer_done(&sql);
    return status;
}

static enum status copy_send(struct store_postgresql *self, const struct mapped_table *table,
                             const struct buffer *rows, struct error *err)
{
    enum status status = STATUS_OK;
    bool is_sent = true;
    for (size_t i = 0; is_sent && i < rows->length; i += PIECE_SIZE) {
        size_t left = rows->length - i;
        is_sent = PQputCopyData(self->connection, rows->data + i,
                                (int)(left < PIECE_SIZE ? left : PIECE_SIZE)) == 1;
    }
    PGresult *result = postgresql_session_last_result(
        self->connection, is_sent ? PQputCopyEnd(self->connection, NULL) : 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        status = postgresql_session_error(self->connection, result, table->name, err);
    PQclear(result);
    return status;
}

/* COPY knows no rules, and no row-level security: the upsert does. jsonb may rewrite a value, which
 * only a statement can find out. */
bool store_postgresql_can_copy(const struct mapped_table *table,
                               const struct change *const *changes, size_t count)
{
    bool can = count > 1 && !table->keeps_order;
    for (size_t i = 0; can && i < count; i++)
        can = sql_row_form(changes[i]) == ROW_INSERT;
    for (size_t c = 0; can && c < table->mapping->schema->column_count; c++)
        can = !column_form_rewrites(store_postgresql_form(table, c));
    return can;
}

enum status store_postgresql_copy(struct mapped_table *table, const struct change *const *changes,
                                  size_t count, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(table->store);
    struct buffer *rows = &self->arrays[0];
    enum status status = rows_write(table, changes, count, rows, err);
    if (status == STATUS_OK)
        status = store_postgresql_leave_pipeline(self, err);
    if (status != STATUS_OK)
        return status;
    status = copy_begin(self, table, err);
    if (status == STATUS_OK)
        status = copy_send(self, table, rows, err);
    else if (status == STATUS_FATAL &&
             err->native_code == postgresql_sqlstate_code(SQLSTATE_FEATURE_NOT_SUPPORTED))
        status = err->status = STATUS_REJECT; /* row-level security */
    if (PQenterPipelineMode(self->connection) != 1 && status == STATUS_OK)
        status = postgresql_session_error(self->connection, NULL, "enter the pipeline", err);
    return status;
}
