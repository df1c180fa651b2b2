/* Quotes PostgreSQL's names. */
#include "common/postgresql_name.h"

#include <string.h>

void postgresql_name_append(struct buffer *sql, struct slice name)
{
    buffer_append_text(sql, "\"");
    for (size_t i = 0; i < name.length; i++)
        buffer_append(sql, name.data[i] == '"' ? "\"\"" : &name.data[i],
                      name.data[i] == '"' ? 2 : 1);
    buffer_append_text(sql, "\"");
}

void postgresql_name_append_table(struct buffer *sql, const char *table)
{
    size_t schema = strcspn(table, ".");
    if (table[schema] == '.') {
        postgresql_name_append(sql, (struct slice){table, schema});
        buffer_append_text(sql, ".");
        table += schema + 1;
    }
    postgresql_name_append(sql, slice_of(table));
}
