/* Three services, one on each kind of database, for tests of `keepstep verify`: their tables, what
 * is written to them, and how a row is changed behind Keepstep's back. */
#ifndef TESTS_SUPPORT_VERIFY_TABLES_H
#define TESTS_SUPPORT_VERIFY_TABLES_H

#include "common/buffer.h"
#include "tests/support/database.h"

#define VERIFY_KINDS 3

/** By database_kind. */
extern const struct verify_dialect {
    const char *service;
    const char *entity_type; /* that it publishes; the table has one letter more: "orders" */
    const char *columns;     /* of any of the tables */
    const char *pause;       /* of a client between two statements */
    const char *silently[2]; /* what lets a table's triggers be silent, and speak again */
} verify_dialects[VERIFY_KINDS];

/** Write schemas/ENTITY_TYPE.schema.json: id, name, price, ratio. */
void verify_write_schema(const char *entity_type);

/** Append an INSERT, UPDATE or DELETE of one of `keys` rows. */
void verify_append_statement(struct buffer *script, const char *table, int keys, unsigned *seed);

/** Run statements on a table without its triggers. */
void verify_write_silently(enum database_kind kind, const char *url, const char *table,
                           const char *sql);

#endif
