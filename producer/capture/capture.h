/* Writes what captures a table, for all databases: triggers, and the query of the rows that are
 * there. */
#ifndef PRODUCER_CAPTURE_CAPTURE_H
#define PRODUCER_CAPTURE_CAPTURE_H

#include "producer/init/origin.h"

struct dialect;
struct capture_object;

#define CAPTURE_SQL_MAX ((size_t)4 * 1024 * 1024)

/** An entry of `publish:` whose table is captured. First member of what a database knows of it
 * besides; borrows all. */
struct capture {
    const struct dialect *dialect;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    size_t key[ENTITY_COLUMNS_MAX]; /* schema columns in the order of the primary key */
};

/** The key's columns are in the schema's order. */
void capture_init(struct capture *capture, const struct dialect *dialect,
                  const struct config_entry *entry, const struct entity_schema *schema);

/** Write the objects that capture the table, in the order of their creation: deletes first, so that
 * no row leaves a `c` alone that is inserted and deleted between two of them.
 * @return OK; RETRY (no memory); FATAL (they grow too large). */
enum status capture_write(const struct capture *capture, struct origin_objects *ret_objects,
                          struct error *err) MUST_CHECK;

/** Which of the rows that are there a query reads. */
struct capture_rows {
    bool resumed; /* those behind the noted key */
    bool waits;   /* for rows that others hold */
    size_t limit;
};

/** Write a query of the rows that are there from its template. */
void capture_write_rows(struct buffer *sql, const struct capture *capture, const char *text,
                        const struct capture_rows *rows);

/** Append an object's name, unquoted. */
void capture_name(struct buffer *name, const struct dialect *dialect,
                  const struct capture_object *object, const char *entity_type);

/** @return whether objects of two entity types would have the same names. */
bool capture_clashes(const struct dialect *dialect, const char *entity_type, const char *other);

/** @return whether an update may not change the partition key's column, because the partition
 * follows from it and not from the primary key. */
bool capture_is_fixed(const struct config_entry *entry, const struct entity_schema *schema);

#endif
