/* A load of rows with versions, and a witness of what a copy did with it: triggers of the copy's
 * database that note every write of a row. The service is an SQLite file. Its copies are in any
 * database. */
#ifndef TESTS_SUPPORT_WITNESS_H
#define TESTS_SUPPORT_WITNESS_H

#include "tests/support/sidecar.h"

/** Watch the table "items" of a service and of its copies, which must exist. A row's `amount` is
 * its version. */
void witness_begin(const struct sidecar *service);

/** Of a load that goes on until it is stopped; it would take minutes. */
#define WITNESS_ENDLESS 60000

/** Let sqlite3 write `statements` upserts and deletes of 60 rows, some hundred transactions a
 * second with two statements each. Each upsert has a higher version; the first is after `version`.
 * `name` is the load's own. */
struct process *witness_load(const struct sidecar *service, const char *name, int version,
                             int statements);

/** The test fails if a statement of the load failed, or if the load takes over two minutes. */
void witness_load_end(struct process *load);

/** Let it end behind the transaction that it is at, and wait for that like witness_load_end(). */
void witness_load_stop(struct process *load, const char *name);

/** @return how many writes were seen. */
int64_t witness_count(const struct sidecar *service);

/** Wait for the first write after the first `seen` ones. @return its time, as clock_wall_us(). */
int64_t witness_next_us(const struct sidecar *service, int64_t seen, int64_t limit_ms);

/** The test fails unless the log has each row of the service's outbox with its number and id, in
 * order. @return how many more records the log has; each must be a copy of an earlier one. */
int witness_assert_log(struct kafka *kafka, const struct sidecar *service);

/** Wait until the log is applied. The test fails if the copy then differs from the service; or if
 * it wrote a version twice, gave a row an older version, wrote what the service did not write,
 * deleted more often than the service, or parked a record. */
void witness_assert_copy(struct kafka *kafka, const struct sidecar *service,
                         const struct sidecar *copy);

#endif
