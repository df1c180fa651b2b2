/* A whole transaction as one compound statement, so that it is one message and one answer. */
#ifndef PRODUCER_MARIADB_COMPOUND_H
#define PRODUCER_MARIADB_COMPOUND_H

#include "producer/mariadb/sql_session.h"

/** Run steps in one transaction, in one round trip. The server itself rolls back where a step
 * misses a row.
 * @param ret_fits  false: the steps do not fit into one message, and nothing was run.
 * @return OK; RETRY; ABORT where a step missed a row; FATAL. `err` must not be NULL. After an error
 * the transaction may still be open, unless it is ABORT. */
enum status sql_compound_run(struct sql_mariadb *session, const struct sql_step *steps,
                             size_t count, bool *ret_fits, struct error *err) MUST_CHECK;

/** Forget all prepared statements, before the session ends. */
void sql_compound_forget(struct sql_mariadb *session);

#endif
