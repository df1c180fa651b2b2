/* A load of versioned rows, and a witness of what a local copy did with it: triggers of the copy's
 * own database that write down every write of a row. The service is an SQLite file, its copies are
 * in any database. */
#ifndef TESTS_SUPPORT_WITNESS_H
#define TESTS_SUPPORT_WITNESS_H

#include "tests/support/sidecar.h"

/** Watch the table "items", which must be there, of a service and of its copies. A row's `amount`
 * is its version. */
void witness_begin(const struct sidecar *service);

/** Let sqlite3 write `statements` upserts and deletes of 60 rows, each upsert with a higher
 * version, starting behind `version`: two a transaction, some hundred transactions a second. `name`
 * is its own. */
struct process *witness_load(const struct sidecar *service, const char *name, int version,
                             int statements);

/** The test fails where a statement of the load has failed, or it goes on past two minutes. */
void witness_load_end(struct process *load);

/** @return how many writes were seen. */
int64_t witness_count(const struct sidecar *service);

/** Wait for the first write behind the first `seen` ones. @return its time, as clock_wall_us(). */
int64_t witness_next_us(const struct sidecar *service, int64_t seen, int64_t limit_ms);

/** The test fails unless the log holds each row of the service's outbox under its number and id,
 * in order. @return how many records more it holds, each a copy of an earlier one. */
int witness_assert_log(struct kafka *kafka, const struct sidecar *service);

/** Wait until the log is applied. The test fails where the copy is then not equal to the service,
 * or where it wrote a version twice, set a row back, wrote what the service never did, deleted
 * more often than it, or parked a record. */
void witness_assert_copy(struct kafka *kafka, const struct sidecar *service,
                         const struct sidecar *copy);

#endif
