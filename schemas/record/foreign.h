/* Inside schemas/: reads records of other programs into the same changes. */
#ifndef SCHEMAS_RECORD_FOREIGN_H
#define SCHEMAS_RECORD_FOREIGN_H

#include "schemas/change.h"
#include "schemas/json.h"
#include "schemas/record/value.h"

/** Read a record of another program's topic (`record.form` is set). `change->record` is filled.
 * @return OK; REJECT; STOP (a column that the schema lacks, a truncated table); RETRY. */
enum status record_foreign_decode(struct change *change, const struct decoder *decoder,
                                  struct error *err) MUST_CHECK;

/** Convert a row of Debezium's in place into the forms of our columns. A value that Debezium marks
 * as unavailable is removed, so the column keeps its old value.
 * @param fields  Kafka Connect's description of the row; NULL where the record has none. */
enum status debezium_row(const struct record_form *form, const json_t *fields, json_t *row,
                         struct error *err) MUST_CHECK;

/** Read a key or a value of Debezium's without a document in memory, where it begins as the topic's
 * last one did (descriptions_learn()) and all of it is plain.
 * @return true where the reader of documents would return OK, with the same values. After false
 * the row's values are absent, and the text may still be valid. */
bool debezium_flat_key(const struct descriptions *descriptions, const struct record_form *form,
                       struct record_row *row, struct slice key) MUST_CHECK;
bool debezium_flat_value(const struct descriptions *descriptions, const struct record_form *form,
                         struct record_row *row, struct slice value) MUST_CHECK;

/** Take an envelope apart into the payload and the description of the row in it. `member` NULL: the
 * payload itself is the row. Both are borrowed from `json`. */
const json_t *debezium_payload(const json_t *json);
const json_t *debezium_fields(const json_t *json, const char *member);

#endif
