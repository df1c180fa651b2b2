/* The publishing side of `keepstep init`: outbox, triggers, and the rows that are there already. */
#ifndef PRODUCER_INIT_INIT_H
#define PRODUCER_INIT_INIT_H

#include "common/buffer.h"
#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

#include <stdio.h>

struct init_options {
    bool print_sql;        /* only print what would be run */
    bool existing_rows;    /* publish them also for types that the service applies itself */
    bool no_existing_rows; /* publish none */
    bool new_incarnation;  /* read the log, then start a new history (rule 13) */
    const char *republish; /* entity type whose present rows are published once more; NULL: none */
    FILE *out;
};

/** Make a service's database ready to publish; may be called again at any time, also after a kill.
 * Prints each object as created, kept or changed.
 * @param schemas  parallel to config->publish.
 * @return OK; RETRY (locked, full); FATAL (not ours, or cannot be captured) with exit code 78. */
enum status init_service(const struct config *config, const struct entity_schema *const *schemas,
                         const struct init_options *options, struct error *err) MUST_CHECK;

/** Append the SQL that makes the roles, and grants them what this side needs of what `init` has
 * made; nothing where the database has no logins. It asks no database.
 * @return OK; RETRY (no memory); FATAL. */
enum status init_roles(const struct config *config, const struct entity_schema *const *schemas,
                       struct buffer *sql, struct error *err) MUST_CHECK;

/** Print what stands before all that `keepstep init --print-sql` prints: it ends the database's
 * client where the outbox is not ours. Nothing where the database has no such client. */
void init_print_guard(const struct config *config, FILE *out);

/** Print what stands behind all of it. */
void init_print_end(const struct config *config, FILE *out);

#endif
