/* A step's parameters as MariaDB takes them: values to bind, or all rows as one JSON text. */
#include "producer/mariadb/parameters.h"

#include <inttypes.h>

struct mariadb_parameter sql_mariadb_parameter(const struct sql_parameter *parameter)
{
    static const enum mariadb_kind kinds[] = {[SQL_KIND_NULL] = MARIADB_NULL,
                                              [SQL_KIND_INTEGER] = MARIADB_INTEGER,
                                              [SQL_KIND_TEXT] = MARIADB_TEXT,
                                              [SQL_KIND_BYTES] = MARIADB_BYTES};
    return (struct mariadb_parameter){
        .kind = kinds[parameter->kind], .integer = parameter->integer, .text = parameter->text};
}

bool sql_mariadb_takes_list(const char *text)
{
    return strstr(text, "JSON_TABLE(?1,") != NULL;
}

static void sql_mariadb_append_value(struct buffer *list, const struct sql_parameter *parameter)
{
    if (parameter->kind == SQL_KIND_INTEGER)
        buffer_append_format(list, "%" PRId64, parameter->integer);
    else if (parameter->kind == SQL_KIND_NULL)
        buffer_append_text(list, "null");
    else
        buffer_append_json(list, parameter->text);
}

size_t sql_mariadb_append_list(const struct sql_step *step, size_t from, size_t size,
                               struct buffer *list)
{
    size_t begin = list->length;
    size_t row = from;
    do {
        const struct sql_parameter *values = &step->parameters[row * step->columns];
        buffer_append_text(list, row == from ? "[" : ",");
        for (size_t i = 0; i < step->columns; i++) {
            buffer_append_text(list, i == 0 ? "[" : ",");
            sql_mariadb_append_value(list, &values[i]);
        }
        buffer_append_text(list, "]");
        row++;
    } while (row < step->rows && !list->failed && list->length - begin < size);
    buffer_append_text(list, "]");
    return row - from;
}
