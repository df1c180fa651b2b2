/* Inside schemas/: turns JSON values into plain values of columns, and those into keys. */
#ifndef SCHEMAS_RECORD_VALUE_H
#define SCHEMAS_RECORD_VALUE_H

#include "schemas/change.h"
#include "schemas/json.h"

/** Read one column's value in the wire form of its type.
 * @return OK; REJECT naming the column, never the value; RETRY (arena full). */
enum status record_value_decode(const struct column *column, const json_t *json,
                                struct arena *arena, struct value *ret_value,
                                struct error *err) MUST_CHECK;

/** As record_value_decode() for a value that is a string on the wire. The value borrows `text`
 * where that is canonical. */
enum status record_value_text(const struct column *column, struct slice text, struct arena *arena,
                              struct value *ret_value, struct error *err) MUST_CHECK;

/** Write the canonical key from the values of the key columns.
 * @return OK; REJECT where one is absent or null; RETRY (arena full). */
enum status record_value_key(const struct entity_schema *schema, const struct value *values,
                             struct arena *arena, struct slice *ret_key,
                             struct error *err) MUST_CHECK;

/** A record's key and row while they are read. */
struct record_row {
    const struct entity_schema *schema;
    struct arena *arena;
    struct value *values;           /* schema->column_count of them, all absent at first */
    struct slice entity_key;        /* canonical; set by the key's reader, compared by the row's */
    const struct value *key_values; /* as the key's reader left them, compared by the flat one */
    enum change_op op;              /* set by the readers of a payload */
};

/** @return a row with its values in `arena`; `values` is NULL where the arena is full. */
struct record_row record_row_new(const struct entity_schema *schema, struct arena *arena);

#define RECORD_ROW_COLUMNS 32 /* of a row on the stack */

/** As record_row_new() for a row that is not kept: its values are in `room`, and only those of a
 * wider row are in `arena`. */
struct record_row record_row_in(struct value room[static RECORD_ROW_COLUMNS],
                                const struct entity_schema *schema, struct arena *arena);

/** As canonical_key(), and keep the values of the key columns in `row`. The key borrows `text`
 * where that is canonical. */
enum status canonical_key_values(struct record_row *row, struct slice text,
                                 struct error *err) MUST_CHECK;

/** Read a record's value ({"op","before","after"}) and validate it.
 * @return OK; REJECT; STOP (a column that the schema lacks); RETRY (arena full). */
enum status record_payload_decode(struct record_row *row, struct slice payload,
                                  struct error *err) MUST_CHECK;

/** As record_payload_decode() for the document of a row. The caller sets row->op. */
enum status record_row_decode(struct record_row *row, json_t *after, struct error *err) MUST_CHECK;

/** As canonical_key_values() and record_payload_decode(), but without a document in memory: for a
 * key that is canonical already, and for a flat row of a flat schema. Texts are borrowed.
 * @return true where those would return OK, with the same values. After false the values are
 * absent, and the text may still be valid. */
bool record_flat_key(struct record_row *row, struct slice key) MUST_CHECK;
bool record_flat_payload(struct record_row *row, struct slice payload) MUST_CHECK;

/** Read the value that `rest` begins with, and move `rest` behind it. The row's JSON Schema is not
 * asked. @return false where record_value_decode() must look; then `rest` is as it was. */
bool record_flat_value(struct slice *rest, const struct column *column, struct arena *arena,
                       struct value *ret_value) MUST_CHECK;

/** The same by jansson alone. Tests compare the readers above with these. */
enum status canonical_key_document(struct record_row *row, struct slice text,
                                   struct error *err) MUST_CHECK;
enum status record_payload_document(struct record_row *row, struct slice payload,
                                    struct error *err) MUST_CHECK;

#endif
