/* Puts SQL texts together. */
#include "schemas/sql_text.h"

#define FORMAT_VALUES_MAX 90   /* PostgreSQL takes 100 arguments */
#define VALUE_PLACE       '\0' /* among the fixed pieces of a text, and behind each of its values */

void sql_quote(struct buffer *sql, char quote, struct slice text)
{
    buffer_append(sql, &quote, 1);
    for (size_t i = 0; i < text.length; i++) {
        buffer_append(sql, &text.data[i], 1);
        buffer_append(sql, &text.data[i], text.data[i] == quote ? 1 : 0);
    }
    buffer_append(sql, &quote, 1);
}

void sql_literal(struct buffer *sql, const struct text_dialect *dialect, struct slice text)
{
    if (dialect->literal != NULL)
        dialect->literal(sql, text);
    else
        sql_quote(sql, '\'', text);
}

void sql_template(struct buffer *sql, const char *text, sql_word *word, void *context)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n') /* an .sql file's end of line */
        length--;
    const char *end = text + length;
    while (text < end) {
        size_t before = strcspn(text, "{");
        before = before > (size_t)(end - text) ? (size_t)(end - text) : before;
        buffer_append(sql, text, before);
        text += before;
        if (text == end)
            break;
        const char *close = strchr(text, '}');
        if (close == NULL) {
            sql->failed = true;
            break;
        }
        size_t start = sql->length;
        word(context, (struct slice){text + 1, (size_t)(close - text - 1)});
        text = close + 1;
        bool alone = sql->length == start && (start == 0 || sql->data[start - 1] == '\n');
        text += alone && *text == '\n' ? 1 : 0;
    }
}

void sql_text_begin(struct sql_text *text, const struct text_dialect *dialect, struct buffer *sql)
{
    text->dialect = dialect;
    text->sql = sql;
    buffer_init(&text->fixed, SQL_TEXT_MAX);
    buffer_init(&text->values, SQL_TEXT_MAX);
    buffer_append_text(sql, dialect->join == JOIN_CONCAT ? "CONCAT(" : "");
}

void sql_text_fixed(struct sql_text *text, struct slice piece)
{
    if (text->dialect->join == JOIN_FORMAT)
        buffer_append(&text->fixed, piece.data, piece.length);
    else
        sql_literal(text->sql, text->dialect, piece);
}

void sql_text_join(struct sql_text *text)
{
    if (text->dialect->join != JOIN_FORMAT)
        buffer_append_text(text->sql, text->dialect->join == JOIN_CONCAT ? ", " : " || ");
}

void sql_text_join_line(struct sql_text *text)
{
    if (text->dialect->join != JOIN_FORMAT)
        buffer_append_format(text->sql, text->dialect->join == JOIN_CONCAT ? ",%s" : "%s|| ",
                             text->dialect->line_start);
}

struct buffer *sql_text_value_begin(struct sql_text *text)
{
    const char place = VALUE_PLACE;
    if (text->dialect->join != JOIN_FORMAT)
        return text->sql;
    buffer_append(&text->fixed, &place, 1);
    buffer_append_format(&text->values, ",%s", text->dialect->line_start);
    return &text->values;
}

void sql_text_value_end(struct sql_text *text)
{
    const char place = VALUE_PLACE;
    if (text->dialect->join == JOIN_FORMAT)
        buffer_append(&text->values, &place, 1);
}

/* Takes pieces and values for one call. @return whether anything is left. */
static bool sql_format_call(struct sql_text *text, struct slice *pieces, struct slice *values)
{
    struct buffer format, arguments;
    buffer_init(&format, SQL_TEXT_MAX);
    buffer_init(&arguments, SQL_TEXT_MAX);
    for (size_t count = 0; pieces->length > 0 && count < FORMAT_VALUES_MAX;
         pieces->data++, pieces->length--) {
        bool is_value = *pieces->data == VALUE_PLACE;
        buffer_append(&format, pieces->data, is_value ? 0 : 1);
        buffer_append_text(&format, is_value ? "%s" : *pieces->data == '%' ? "%" : "");
        for (; is_value && *values->data != VALUE_PLACE; values->data++)
            buffer_append(&arguments, values->data, 1);
        values->data += is_value;
        count += is_value;
    }
    buffer_append_text(text->sql, "pg_catalog.format(");
    sql_literal(text->sql, text->dialect, buffer_slice(&format));
    buffer_append(text->sql, buffer_text(&arguments), arguments.length);
    buffer_append_text(text->sql, ")");
    text->sql->failed = text->sql->failed || format.failed || arguments.failed;
    buffer_done(&format);
    buffer_done(&arguments);
    return pieces->length > 0;
}

static void sql_format(struct sql_text *text)
{
    struct slice pieces = buffer_slice(&text->fixed);
    struct slice values = buffer_slice(&text->values);
    if (values.length == 0)
        sql_literal(text->sql, text->dialect, pieces);
    else if (!text->values.failed && !text->fixed.failed)
        while (sql_format_call(text, &pieces, &values))
            buffer_append_text(text->sql, " || ");
}

void sql_text_end(struct sql_text *text)
{
    if (text->dialect->join == JOIN_FORMAT)
        sql_format(text);
    buffer_append_text(text->sql, text->dialect->join == JOIN_CONCAT ? ")" : "");
    text->sql->failed = text->sql->failed || text->fixed.failed || text->values.failed;
    buffer_done(&text->fixed);
    buffer_done(&text->values);
}
