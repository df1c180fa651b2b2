/* Writes array literals; every element is quoted, so that none of them means anything. */
#include "producer/postgresql/array.h"

#include <inttypes.h>

static void postgresql_array_next(struct buffer *array)
{
    buffer_append_text(array, array->length == 0 ? "{" : ",");
}

void postgresql_array_text(struct buffer *array, struct slice element)
{
    size_t start = 0;
    postgresql_array_next(array);
    if (element.data == NULL) {
        buffer_append_text(array, "NULL");
        return;
    }
    buffer_append_text(array, "\"");
    for (size_t i = 0; i < element.length; i++) {
        if (element.data[i] != '"' && element.data[i] != '\\')
            continue;
        buffer_append(array, element.data + start, i - start);
        buffer_append_text(array, "\\");
        start = i;
    }
    buffer_append(array, element.data + start, element.length - start);
    buffer_append_text(array, "\"");
}

void postgresql_array_integer(struct buffer *array, int64_t element)
{
    postgresql_array_next(array);
    buffer_append_format(array, "%" PRId64, element);
}

struct slice postgresql_array_end(struct buffer *array)
{
    buffer_append_text(array, array->length == 0 ? "{}" : "}");
    return buffer_slice(array);
}
