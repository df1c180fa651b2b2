/* The JSON Schema of a table that is there, as a start for people: what the databases share. */
#ifndef CONSUMER_DESCRIBE_TABLE_H
#define CONSUMER_DESCRIBE_TABLE_H

#include "common/buffer.h"
#include "schemas/entity_schema.h"

/** A schema being written, column by column. */
struct schema_table {
    const char *name;
    struct buffer columns;
    struct buffer keys;
    struct buffer required;
    size_t count;
};

void schema_table_init(struct schema_table *table, const char *name, size_t size_max);
void schema_table_done(struct schema_table *table);

/** Add a column, in the table's order. */
void schema_table_add(struct schema_table *table, const struct column *column);

/** @return FATAL: a column whose declared type has no form on the wire. */
enum status schema_table_refuse(const struct schema_table *table, const char *column,
                                const char *declared, struct error *err);

/** Append draft-07 with x-keepstep-type.
 * @return OK; FATAL where the table has no column (it does not exist) or no primary key. */
enum status schema_table_write(const struct schema_table *table, struct buffer *out,
                               struct error *err) MUST_CHECK;

#endif
