/* What a record's value changes, as a short text for people. */
#ifndef SCHEMAS_CHANGE_TEXT_H
#define SCHEMAS_CHANGE_TEXT_H

#include "common/buffer.h"

/** Append `state: "new" -> "paid", total: "9.90"`: each column that differs from `before`, all
 * where there is no `before`; of a delete what `before` says. Reads {"op","before","after"}, also
 * below Debezium's "payload", and a row alone. Long values are cut. Appends nothing where the value
 * is no JSON. The caller looks at out->failed. */
void change_text_append(struct slice value, struct buffer *out);

#endif
