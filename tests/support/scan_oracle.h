/* Compares the reader of a scan's rows with jansson, its oracle. */
#ifndef TESTS_SUPPORT_SCAN_ORACLE_H
#define TESTS_SUPPORT_SCAN_ORACLE_H

#include "schemas/row_scan.h"
#include "tests/support/flat_oracle.h"

/** Read a column's member as jansson has it. A limit of the schema does not count. */
static inline enum status scan_oracle_value(const struct column *column, json_t *member,
                                            struct arena *arena, struct value *ret_value)
{
    struct column unlimited = *column;
    unlimited.nullable = true;
    unlimited.is_key = false;
    unlimited.length_max = 0;
    unlimited.precision = 0;
    return record_value_decode(&unlimited, member, arena, ret_value, NULL);
}

/** @return whether jansson reads the image as an object of scalars with all columns and no more. */
static inline bool scan_oracle_reads(const struct entity_schema *schema, json_t *image)
{
    bool reads = json_object_size(image) == schema->column_count;
    for (size_t i = 0; reads && i < schema->column_count; i++) {
        const json_t *member = json_object_get(image, schema->columns[i].name);
        reads = member != NULL && !json_is_object(member) && !json_is_array(member);
    }
    return reads;
}

/** Read a row as a database writes it. The image has no blanks around its names.
 * @param ret_unfit  how many columns had no canonical form
 * @return NULL if both readers agree, otherwise the difference. */
static inline const char *scan_oracle_compare(const struct entity_schema *schema,
                                              struct row_texts texts, struct arena *arena,
                                              size_t *ret_unfit)
{
    struct error err = ERROR_INIT;
    struct scanned_row row;
    struct slice canonical = {0};
    const char *difference = NULL;
    *ret_unfit = 0;
    if (row_scan_read(schema, texts, arena, &row, &err) != STATUS_OK)
        return "not read";
    bool is_key = canonical_key(schema, texts.key, arena, &canonical, NULL) == STATUS_OK;
    if (!slice_equal(row.key, is_key ? canonical : texts.key))
        difference = "another key";
    for (size_t i = 0; i < schema->column_count; i++)
        *ret_unfit += row.values[i].kind == VALUE_UNFIT;
    json_t *document = json_loadb(texts.image.data == NULL ? "" : texts.image.data,
                                  texts.image.length, JSON_LOAD_FLAGS | JSON_ALLOW_NUL, NULL);
    bool reads = scan_oracle_reads(schema, document);
    for (size_t i = 0; reads && difference == NULL && i < schema->column_count; i++) {
        struct value value = {0};
        const struct column *column = &schema->columns[i];
        json_t *member = json_object_get(document, column->name);
        bool fits = scan_oracle_value(column, member, arena, &value) == STATUS_OK;
        if (fits != (row.values[i].kind != VALUE_UNFIT))
            difference = fits ? "a canonical value is unfit" : "an unfit value was read";
        else if (fits && !flat_oracle_same(&row.values[i], &value))
            difference = "another value";
    }
    json_decref(document);
    return difference;
}

#endif
