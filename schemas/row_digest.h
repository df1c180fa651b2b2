/* Digests of rows, and their sums: two copies have the same rows where their sums are equal, in
 * whatever order the rows come (docs/PROTOCOL.md, section 9). */
#ifndef SCHEMAS_ROW_DIGEST_H
#define SCHEMAS_ROW_DIGEST_H

#include "schemas/change.h"

#define ROW_BUCKETS 4096

/** How many rows there are, and for each bucket of entity keys the sum of their digests, modulo
 * 2^64. Begin with zeros. */
struct row_sums {
    uint64_t rows;
    uint64_t sums[ROW_BUCKETS];
};

/** The columns of a schema that are digested, in the byte order of their names. */
struct row_columns {
    size_t count;
    uint16_t index[ENTITY_COLUMNS_MAX]; /* into the schema's columns */
};

/** Find the columns of `reference` in `schema`, which may have more of them and another order.
 * @return OK; REJECT naming a column that `schema` lacks, or has with another type. */
enum status row_columns_find(const struct entity_schema *schema,
                             const struct entity_schema *reference, struct row_columns *ret_columns,
                             struct error *err) MUST_CHECK;

/** @return a digest of the names and types of all columns, in whatever order the schema has them.
 */
uint64_t row_columns_digest(const struct entity_schema *schema);

/** @param key  the canonical key; where a row has none, the text that it has instead. */
uint64_t row_key_digest(struct slice key);

/** Compare two digests, for qsort() and bsearch() of an array of them, or of structs that begin
 * with one. */
int row_digest_compare(const void *left, const void *right);

/** @return which sum an entity counts in, below ROW_BUCKETS. */
size_t row_bucket(uint64_t key_digest);

/** @param values  as many as the schema has columns. */
uint64_t row_digest(uint64_t key_digest, const struct entity_schema *schema,
                    const struct row_columns *columns, const struct value *values);

/** @return whether two values of a column are the same value: one whose canonical texts are equal.
 * NULL equals NULL; what has no canonical form equals nothing. */
bool row_value_equal(enum column_type type, const struct value *left, const struct value *right);

void row_sums_add(struct row_sums *sums, uint64_t key_digest, uint64_t digest);

#endif
