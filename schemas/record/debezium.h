/* Inside the reader of Debezium's values: a field's description, and a conversion for each kind. */
#ifndef SCHEMAS_RECORD_DEBEZIUM_H
#define SCHEMAS_RECORD_DEBEZIUM_H

#include "common/buffer.h"
#include "schemas/record/foreign.h"

extern const char debezium_decimal_name[]; /* of a type: unscaled bytes */
extern const char debezium_bits_name[];

/** How Kafka Connect describes a field. All NULL where the record has no description. */
struct debezium_field {
    const char *type; /* "int32", "bytes", "string" … */
    const char *name; /* the meaning of the type: "io.debezium.time.Date" … */
    const json_t *parameters;
    enum record_binary binary; /* `binary:` of the configuration */
};

/** @return whether the field's type has this name. */
bool debezium_is(const struct debezium_field *field, const char *name);

/** @return whether the record describes the field as bytes. */
bool debezium_has_bytes(const struct debezium_field *field);

/** Refuse a value: "column "price": WHAT (type decimal)". @return REJECT. */
enum status debezium_refuse(const struct column *column, const char *what, struct error *err);

/** @return OK with the text as JSON; RETRY (no memory). */
enum status debezium_text(struct slice text, json_t **ret_json, struct error *err) MUST_CHECK;

/** Each converts a value into the form of its column. *ret_json stays NULL where the value has that
 * form already, and where the reader of our own forms must refuse it.
 * @return OK; REJECT naming the column; RETRY (no memory). */
enum status debezium_number(const struct column *column, const struct debezium_field *field,
                            const json_t *value, json_t **ret_json, struct error *err) MUST_CHECK;
enum status debezium_bytes(const struct column *column, const struct debezium_field *field,
                           const json_t *value, json_t **ret_json, struct error *err) MUST_CHECK;
enum status debezium_time(const struct column *column, const struct debezium_field *field,
                          const json_t *value, json_t **ret_json, struct error *err) MUST_CHECK;

/** Convert a value of any column as debezium_row() does. */
enum status debezium_value(const struct column *column, const struct debezium_field *field,
                           const json_t *value, json_t **ret_json, struct error *err) MUST_CHECK;

/** @return how a record describes a column. @param fields  NULL: it does not. */
struct debezium_field debezium_field_of(const struct record_form *form, const json_t *fields,
                                        const char *name);

/** @return whether debezium_value() converts no text of this column, or no number, and refuses
 * none. */
bool debezium_keeps_texts(const struct column *column, const struct debezium_field *field);
bool debezium_keeps_numbers(const struct column *column, const struct debezium_field *field);

/** @return whether Debezium left the value out, because the source's log does not have it. */
bool debezium_is_unavailable(const json_t *value);
bool debezium_is_placeholder(struct slice text);

#endif
