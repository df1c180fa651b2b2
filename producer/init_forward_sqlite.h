/* Rule 13: a new incarnation begins behind what the log already has of this service. */
#ifndef PRODUCER_INIT_FORWARD_SQLITE_H
#define PRODUCER_INIT_FORWARD_SQLITE_H

#include "producer/init.h"

#include <sqlite3.h>

/** Read every topic the service publishes, outside any transaction, and note in temporary tables
 * which outbox rows the log has and where it ends. Does nothing before the first `init`.
 * @return OK; RETRY (Kafka, locked); FATAL with exit code 78 where a type can go neither forward
 * (it is not applied here) nor back (--existing-rows is not given), or where a relay is running. */
enum status init_forward_read(sqlite3 *db, const struct config *config,
                              const struct init_options *options, struct error *err) MUST_CHECK;

/** Inside the transaction that starts the incarnation: drop those rows, store where the relay has
 * to wait. Does nothing where init_forward_read() did nothing. */
enum status init_forward_write(sqlite3 *db, FILE *out, struct error *err) MUST_CHECK;

#endif
