/* Writes what captures a table, for all databases: the triggers, and the queries of the rows that
 * existed before. */
#ifndef PRODUCER_CAPTURE_CAPTURE_H
#define PRODUCER_CAPTURE_CAPTURE_H

#include "producer/init/origin.h"
#include "schemas/sql_text.h"

struct dialect;
struct capture_object;

/** An entry of `publish:` whose table is captured. A database that needs to know more of the table
 * has this as the first member of its own structure. Borrows everything. */
struct capture {
    const struct dialect *dialect;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    size_t key[ENTITY_COLUMNS_MAX]; /* schema columns in the order of the primary key */
    const bool *is_timestamp;       /* as in struct column_sql */
};

/** Takes the schema's order for the order of the primary key. */
void capture_init(struct capture *capture, const struct dialect *dialect,
                  const struct config_entry *entry, const struct entity_schema *schema);

/** Write the objects that capture the table, in the order of their creation. What captures deletes
 * comes first: otherwise a row that is inserted and deleted between two of them would leave a `c`
 * without its `d`.
 * @return OK; RETRY (no memory); FATAL (they grow too large). */
enum status capture_write(const struct capture *capture, struct origin_objects *ret_objects,
                          struct error *err) MUST_CHECK;

/** Which of the existing rows a query reads. */
struct capture_rows {
    bool resumed; /* those behind the noted key */
    bool waits;   /* for rows that others hold */
    size_t limit;
};

/** Write a query of the existing rows from its template; their table is `t`. */
void capture_write_rows(struct buffer *sql, const struct capture *capture, const char *text,
                        const struct capture_rows *rows);

/** Append an object's name, unquoted. */
void capture_name(struct buffer *name, const struct dialect *dialect,
                  const struct capture_object *object, const char *entity_type);

/** @return whether objects of two entity types would have the same names. */
bool capture_clashes(const struct dialect *dialect, const char *entity_type, const char *other);

/** @return whether there is a partition key outside the primary key: an update that changed it
 * would move the row's events to another partition. */
bool capture_is_fixed(const struct config_entry *entry, const struct entity_schema *schema);

#endif
