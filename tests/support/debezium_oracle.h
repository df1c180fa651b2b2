/* Compares the flat reader of Debezium's records with the reader of documents, its oracle. */
#ifndef TESTS_SUPPORT_DEBEZIUM_ORACLE_H
#define TESTS_SUPPORT_DEBEZIUM_ORACLE_H

#include "schemas/record/foreign.h"
#include "schemas/record/descriptions.h"
#include "tests/support/flat_oracle.h"

/** @return how many of key and value the flat reader takes with what it remembers. */
static inline int debezium_oracle_taken(const struct record *record,
                                        const struct descriptions *descriptions,
                                        struct arena *arena)
{
    struct value key_values[ENTITY_COLUMNS_MAX] = {0};
    struct value after_values[ENTITY_COLUMNS_MAX] = {0};
    struct record_row key = {.schema = record->form->schema, .arena = arena, .values = key_values};
    struct record_row after = key;
    after.values = after_values;
    after.key_values = key_values;
    if (!debezium_flat_key(descriptions, record->form, &key, record->key))
        return 0;
    return 1 + debezium_flat_value(descriptions, record->form, &after, record->value);
}

/** Read a record with what is remembered, and without. Afterwards it is remembered.
 * @param ret_taken  of key and value, how many the flat reader took
 * @return NULL if both agree, otherwise the difference. */
static inline const char *debezium_oracle_compare(const struct record *record,
                                                  struct descriptions *descriptions,
                                                  struct arena *arena, int *ret_taken)
{
    const struct entity_schema *schema = record->form->schema;
    const struct decoder flat = {.arena = arena, .descriptions = descriptions};
    const struct decoder document = {.arena = arena};
    struct error flat_error = ERROR_INIT;
    struct error document_error = ERROR_INIT;
    struct change read;
    struct change expected;
    *ret_taken = 0;
    if (record->form->format == FORMAT_DEBEZIUM && record->value.data != NULL)
        *ret_taken = debezium_oracle_taken(record, descriptions, arena);
    enum status status = record_decode(record, &flat, &read, &flat_error);
    if (record_decode(record, &document, &expected, &document_error) != status)
        return "another status";
    if (strcmp(flat_error.text, document_error.text) != 0)
        return "another error";
    if (read.op != expected.op || !slice_equal(read.entity_key, expected.entity_key))
        return "another operation or key";
    if (status != STATUS_OK)
        return *ret_taken == 2 ? "taken, but refused" : NULL;
    return flat_oracle_equal(schema, read.values, expected.values) ? NULL : "other values";
}

#endif
