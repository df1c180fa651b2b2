/* Capture in SQLite: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_SQLITE_CAPTURE_H
#define PRODUCER_SQLITE_CAPTURE_H

#include "common/sqlite_session.h"
#include "producer/capture/capture.h"
#include "producer/capture/check.h"

extern const struct dialect capture_sqlite_dialect;

/** Check that every change of the table can be captured.
 * @param check  its `ops` is not read.
 * @return OK; RETRY; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status capture_sqlite_check(sqlite3 *db, const struct check *check,
                                 struct error *err) MUST_CHECK;

/** Check that no row has a NULL in its key; reads the table. capture_sqlite_check() does it where
 * it does not watch.
 * @return OK; RETRY; FATAL with exit code 78, naming the column. */
enum status capture_sqlite_check_keys(sqlite3 *db, const struct check *check,
                                      struct error *err) MUST_CHECK;

#endif
