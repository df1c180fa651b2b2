/* Capture in SQLite: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_SQLITE_CAPTURE_H
#define PRODUCER_SQLITE_CAPTURE_H

#include "common/sqlite_session.h"
#include "producer/capture/capture.h"

extern const struct dialect capture_sqlite_dialect;

/** Check that every change of the table can be captured (rules 25, 26).
 * @param applied  an agent of the service writes the table too.
 * @return OK; RETRY; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status capture_sqlite_check(sqlite3 *db, const struct config_entry *entry,
                                 const struct entity_schema *schema, bool applied,
                                 struct error *err) MUST_CHECK;

/** Check that no row has a key that is no key; reads the table.
 * @return OK; RETRY; FATAL with exit code 78, naming the column. */
enum status capture_sqlite_check_keys(sqlite3 *db, const struct config_entry *entry,
                                      const struct entity_schema *schema,
                                      struct error *err) MUST_CHECK;

/** Write the query of the rows that are there: key, payload (op r), partition key, then the mapped
 * key columns; at most `limit` rows behind the key that keepstep_existing_key holds. */
void capture_sqlite_existing(struct buffer *sql, const struct capture *capture,
                             const struct capture_rows *rows);

#endif
