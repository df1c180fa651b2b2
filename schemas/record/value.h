/* Inside schemas/: JSON values to plain values of a column, and keys from plain values. */
#ifndef SCHEMAS_RECORD_VALUE_H
#define SCHEMAS_RECORD_VALUE_H

#include "schemas/change.h"
#include "schemas/json.h"

/** Read one column's value in the form that its type has on the wire.
 * @return OK; REJECT naming the column, never the value; RETRY (arena full). */
enum status record_value_decode(const struct column *column, const json_t *json,
                                struct arena *arena, struct value *ret_value,
                                struct error *err) MUST_CHECK;

/** The same for a value that is a string on the wire; `text` is copied. */
enum status record_value_text(const struct column *column, struct slice text, struct arena *arena,
                              struct value *ret_value, struct error *err) MUST_CHECK;

/** Write the canonical key out of the key columns' values.
 * @return OK; REJECT where one is absent or null; RETRY (arena full). */
enum status record_value_key(const struct entity_schema *schema, const struct value *values,
                             struct arena *arena, struct slice *ret_key,
                             struct error *err) MUST_CHECK;

/** canonical_key() that also leaves the key columns' values in `values` (column_count of them, all
 * absent). The key is borrowed from `text` where that is canonical. */
enum status canonical_key_values(const struct entity_schema *schema, struct slice text,
                                 struct arena *arena, struct value *values, struct slice *ret_key,
                                 struct error *err) MUST_CHECK;

/** Read a record's value ({"op","before","after"}) and validate it.
 * @param values  column_count of them, all absent.
 * @return OK; REJECT; STOP (a column that the schema does not know); RETRY (arena full). */
enum status record_payload_decode(const struct entity_schema *schema, struct slice payload,
                                  struct slice entity_key, struct arena *arena,
                                  enum change_op *ret_op, struct value *values,
                                  struct error *err) MUST_CHECK;

/** The same from the row alone. */
enum status record_row_decode(const struct entity_schema *schema, enum change_op op, json_t *after,
                              struct slice entity_key, struct arena *arena, struct value *values,
                              struct error *err) MUST_CHECK;

/** canonical_key_values() and record_payload_decode() for what needs no document in memory: a key
 * that is canonical already, a flat row of a flat schema. Texts are borrowed from `payload`.
 * @return true where they would say OK, with the same values; false for all else, and then nothing
 * is said and `values` are absent. */
bool record_flat_key(const struct entity_schema *schema, struct slice key, struct arena *arena,
                     struct value *values) MUST_CHECK;
bool record_flat_payload(const struct entity_schema *schema, struct slice payload,
                         struct slice entity_key, struct arena *arena, enum change_op *ret_op,
                         struct value *values) MUST_CHECK;

/** The same by jansson alone: the oracles of record_flat_key() and record_flat_payload(). */
enum status canonical_key_document(const struct entity_schema *schema, struct slice text,
                                   struct arena *arena, struct value *values, struct slice *ret_key,
                                   struct error *err) MUST_CHECK;
enum status record_payload_document(const struct entity_schema *schema, struct slice payload,
                                    struct slice entity_key, struct arena *arena,
                                    enum change_op *ret_op, struct value *values,
                                    struct error *err) MUST_CHECK;

#endif
