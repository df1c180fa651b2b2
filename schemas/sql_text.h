/* Puts SQL texts together: names, literals, templates, and expressions of fixed pieces and values.
 */
#ifndef SCHEMAS_SQL_TEXT_H
#define SCHEMAS_SQL_TEXT_H

#include "common/buffer.h"

#define SQL_TEXT_MAX ((size_t)4 * 1024 * 1024)

/** How a text is put together of fixed pieces and values. */
enum text_join {
    JOIN_OPERATOR, /* 'a' || b */
    JOIN_CONCAT,   /* CONCAT('a', b) */
    JOIN_FORMAT,   /* format('a%s', b): PostgreSQL prepares each operator anew for each row */
};

/** A database's own way. */
struct text_dialect {
    char quote; /* around names */
    enum text_join join;
    const char *line_start; /* of an expression over several lines: "\n    " */
    void (*literal)(struct buffer *sql, struct slice text); /* NULL: as 'it''s' */
};

/** Append a text between quotes, where those in it are doubled. */
void sql_quote(struct buffer *sql, char quote, struct slice text);

/** Append a text as a literal. */
void sql_literal(struct buffer *sql, const struct text_dialect *dialect, struct slice text);

/** Writes what a word of a template stands for. */
typedef void sql_word(void *context, struct slice word);

/** Append a template: SQL with words in braces, which `word` appends to the same buffer. A line is
 * left out if all of it is one word that writes nothing. An end of line at the end is not written.
 * A brace without its end makes `sql` fail. */
void sql_template(struct buffer *sql, const char *text, sql_word *word, void *context);

/** An expression of fixed pieces and values that is being written. */
struct sql_text {
    const struct text_dialect *dialect;
    struct buffer *sql;
    struct buffer fixed; /* both for JOIN_FORMAT: the pieces, with a mark for each value */
    struct buffer values;
};

void sql_text_begin(struct sql_text *text, const struct text_dialect *dialect, struct buffer *sql);
void sql_text_fixed(struct sql_text *text, struct slice piece);

/** Between two pieces; `_line` goes to a new line. */
void sql_text_join(struct sql_text *text);
void sql_text_join_line(struct sql_text *text);

/** Around each value. @return the buffer that the caller appends the value's expression to. */
struct buffer *sql_text_value_begin(struct sql_text *text);
void sql_text_value_end(struct sql_text *text);

void sql_text_end(struct sql_text *text);

#endif
