/* Compares the flat reader of keys and values with jansson, its oracle. */
#ifndef TESTS_SUPPORT_FLAT_ORACLE_H
#define TESTS_SUPPORT_FLAT_ORACLE_H

#include "schemas/record/value.h"

/** A schema with every column type, limits on rows, and a key of two columns. */
#define FLAT_ORACLE_SCHEMA                                                                         \
    "{\"type\":\"object\",\"x-keepstep-key\":[\"id\",\"part\"],\"required\":[\"id\",\"kind\"],"    \
    "\"additionalProperties\":false,\"properties\":{"                                              \
    "\"id\":{\"type\":\"integer\",\"minimum\":-9},"                                                \
    "\"part\":{\"type\":\"string\",\"maxLength\":4},"                                              \
    "\"kind\":{\"enum\":[\"new\",\"old\",null],\"type\":[\"string\",\"null\"]},"                   \
    "\"note\":{\"type\":[\"string\",\"null\"],\"minLength\":1,\"maxLength\":6},"                   \
    "\"share\":{\"type\":[\"number\",\"null\"],\"maximum\":2.5},"                                  \
    "\"open\":{\"type\":\"boolean\"},"                                                             \
    "\"total\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\",\"x-keepstep-precision\":5,"   \
    "\"x-keepstep-scale\":2},"                                                                     \
    "\"raw\":{\"type\":\"string\",\"x-keepstep-type\":\"bytes\"},"                                 \
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},"                                       \
    "\"extra\":{\"type\":\"string\",\"x-keepstep-type\":\"json\"},"                                \
    "\"day\":{\"type\":\"string\",\"x-keepstep-type\":\"date\"},"                                  \
    "\"clock\":{\"type\":\"string\",\"x-keepstep-type\":\"time\"},"                                \
    "\"local\":{\"type\":\"string\",\"x-keepstep-type\":\"timestamp\"},"                           \
    "\"mark\":{\"type\":\"string\",\"x-keepstep-type\":\"uuid\"},"                                 \
    "\"memo\":{\"type\":\"string\"},\"a\\\"b\\u0007\":{\"type\":\"string\"}}}"

static inline bool flat_oracle_same(const struct value *a, const struct value *b)
{
    bool same = a->kind == b->kind;
    if (same && a->kind == VALUE_INTEGER)
        same = a->integer == b->integer;
    else if (same && a->kind == VALUE_DOUBLE)
        same = memcmp(&a->number, &b->number, sizeof a->number) == 0;
    else if (same && a->kind == VALUE_BOOLEAN)
        same = a->boolean == b->boolean;
    else if (same && a->kind == VALUE_TEXT)
        same = slice_equal(a->text, b->text);
    return same;
}

static inline bool flat_oracle_equal(const struct entity_schema *schema, const struct value *left,
                                     const struct value *right)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        if (!flat_oracle_same(&left[i], &right[i]))
            return false;
    }
    return true;
}

/** Read `key` and then `payload` with both readers. @param ret_taken how many of the two the flat
 * reader could read @return NULL if both agree, otherwise the difference. */
static inline const char *flat_oracle_compare(const struct entity_schema *schema, struct slice key,
                                              struct slice payload, struct arena *arena,
                                              int *ret_taken)
{
    static const struct value none[ENTITY_COLUMNS_MAX];
    struct value flat_values[ENTITY_COLUMNS_MAX] = {0};
    struct value document_values[ENTITY_COLUMNS_MAX] = {0};
    struct value key_values[ENTITY_COLUMNS_MAX];
    struct record_row flat = {
        .schema = schema, .arena = arena, .values = flat_values, .op = CHANGE_DELETE};
    struct record_row document = flat;
    struct error err = ERROR_INIT;
    document.values = document_values;
    bool taken = record_flat_key(&flat, key);
    enum status status = canonical_key_document(&document, key, &err);
    *ret_taken = taken;
    if (!taken && !flat_oracle_equal(schema, flat_values, none))
        return "values of a key that was not taken";
    if (taken && status != STATUS_OK)
        return "a key that jansson refuses";
    if (taken && (!slice_equal(key, document.entity_key) ||
                  !flat_oracle_equal(schema, flat_values, document_values)))
        return "another key";
    if (status != STATUS_OK)
        return NULL;
    memset(flat_values, 0, sizeof flat_values);
    memcpy(key_values, document_values, sizeof key_values);
    memset(document_values, 0, sizeof document_values);
    error_clear(&err);
    flat.entity_key = document.entity_key;
    flat.key_values = key_values;
    taken = record_flat_payload(&flat, payload);
    status = record_payload_document(&document, payload, &err);
    *ret_taken += taken;
    if (!taken)
        return flat_oracle_equal(schema, flat_values, none) ? NULL : "values of what was not taken";
    if (status != STATUS_OK)
        return "a value that jansson refuses";
    if (flat.op != document.op)
        return "another op";
    return flat_oracle_equal(schema, flat_values, document_values) ? NULL : "other values";
}

#endif
