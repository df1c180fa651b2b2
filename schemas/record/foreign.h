/* Inside schemas/: reads records of other programs into the same changes. */
#ifndef SCHEMAS_RECORD_FOREIGN_H
#define SCHEMAS_RECORD_FOREIGN_H

#include "schemas/change.h"
#include "schemas/json.h"

/** Read a record of another program's topic (`record.form` is set). `change->record` is filled.
 * @return OK; REJECT; STOP (a column that the schema lacks, a truncated table); RETRY. */
enum status record_foreign_decode(struct change *change, struct arena *arena,
                                  struct error *err) MUST_CHECK;

/** Convert a row of Debezium's in place into the forms of our columns. A value that Debezium marks
 * as unavailable is removed, so the column keeps its old value.
 * @param fields  Kafka Connect's description of the row; NULL where the record has none. */
enum status debezium_row(const struct record_form *form, const json_t *fields, json_t *row,
                         struct error *err) MUST_CHECK;

/** Take an envelope apart into the payload and the description of the row in it. `member` NULL: the
 * payload itself is the row. Both are borrowed from `json`. */
const json_t *debezium_payload(const json_t *json);
const json_t *debezium_fields(const json_t *json, const char *member);

#endif
