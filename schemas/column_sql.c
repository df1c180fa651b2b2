/* Writes the JSON texts of a row's columns as SQL expressions. */
#include "schemas/column_dialect.h"

static void column_word(void *context, struct slice word);

static void column_template(const struct column_place *place, const char *text)
{
    sql_template(place->sql, text, column_word, (void *)(uintptr_t)place);
}

static void column_name(const struct column_place *place)
{
    const struct column_sql *columns = place->columns;
    const char *name = columns->schema->columns[place->index].name;
    buffer_append(place->sql, place->row.data, place->row.length);
    buffer_append_text(place->sql, ".");
    sql_quote(place->sql, columns->dialect->text.quote,
              slice_of(config_column(columns->entry, name)));
}

/* Templates are part of the program: only its own fault leaves a word unknown. */
static void column_word(void *context, struct slice word)
{
    const struct column_place *place = context;
    const struct column_dialect *dialect = place->columns->dialect;
    if (word.length == 0) {
        column_name(place);
        return;
    }
    for (size_t i = 0; i < dialect->part_count; i++) {
        const struct column_part *part = &dialect->parts[i];
        if (slice_is(word, part->name) && (part->when == NULL || part->when(place))) {
            column_template(place, part->text);
            return;
        }
    }
    place->sql->failed = true;
}

static void column_write_member(struct sql_text *text, struct column_place *place,
                                const char *separator)
{
    const struct column *column = &place->columns->schema->columns[place->index];
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    buffer_append_text(&name, separator);
    buffer_append_json(&name, slice_of(column->name));
    buffer_append_text(&name, ":");
    sql_text_fixed(text, buffer_slice(&name));
    text->sql->failed = text->sql->failed || name.failed;
    buffer_done(&name);
    sql_text_join(text);
    place->sql = sql_text_value_begin(text);
    column_template(place, place->columns->dialect->values[column->type]);
    sql_text_value_end(text);
}

void column_sql_write(struct sql_text *text, const struct column_sql *columns, bool key,
                      struct slice row)
{
    const struct entity_schema *schema = columns->schema;
    bool has_operator = text->dialect->join == JOIN_OPERATOR;
    size_t count = key ? schema->key_count : schema->column_count;
    struct column_place place = {.columns = columns, .row = row, .in_key = key};
    buffer_append_text(text->sql, has_operator ? "(" : "");
    for (size_t i = 0; i < count; i++) {
        place.index = key ? schema->key_columns[i] : i;
        column_write_member(text, &place, i == 0 ? "{" : ",");
        sql_text_join_line(text);
    }
    sql_text_fixed(text, slice_of("}"));
    buffer_append_text(text->sql, has_operator ? ")" : "");
}

static void column_append(struct buffer *sql, const struct column_sql *columns, bool key,
                          const char *row)
{
    struct sql_text text;
    sql_text_begin(&text, &columns->dialect->text, sql);
    column_sql_write(&text, columns, key, slice_of(row));
    sql_text_end(&text);
}

void column_sql_append_key(struct buffer *sql, const struct column_sql *columns, const char *row)
{
    column_append(sql, columns, true, row);
}

void column_sql_append_image(struct buffer *sql, const struct column_sql *columns, const char *row)
{
    column_append(sql, columns, false, row);
}
