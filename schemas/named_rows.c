/* Writes the query of what a row names. */
#include "schemas/named_rows.h"

#include "schemas/key_sql.h"
#include "schemas/sql_text.h"
#include "schemas_sql.h"

/** What a template is being written for. */
struct naming_rows {
    struct buffer *sql;
    const struct named_rows *rows;
};

static void append_word(void *context, struct slice word)
{
    const struct naming_rows *naming = context;
    const struct named_rows *rows = naming->rows;
    if (slice_is(word, "key"))
        column_sql_append_key(naming->sql, &rows->parent, "t");
    else if (slice_is(word, "child"))
        buffer_append_text(naming->sql, rows->child_table);
    else if (slice_is(word, "parent"))
        buffer_append_text(naming->sql, rows->parent_table);
    else
        buffer_append(naming->sql, rows->condition.data, rows->condition.length);
}

void named_rows_append(struct buffer *sql, const struct named_rows *rows)
{
    struct naming_rows naming = {sql, rows};
    sql_template(sql, SQL_NAMED_ROWS, append_word, &naming);
    buffer_append_text(sql, " ");
    key_sql_append(sql, &rows->child, "c", 1);
}
