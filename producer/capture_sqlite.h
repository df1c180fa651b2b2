/* Capture in SQLite: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_CAPTURE_SQLITE_H
#define PRODUCER_CAPTURE_SQLITE_H

#include "common/buffer.h"
#include "producer/sqlite_session.h"
#include "schemas/config.h"
#include "schemas/entity_schema.h"

#define CAPTURE_TRIGGER_COUNT 4

/** One trigger: its name, and the statement that creates it. */
struct capture_trigger {
    struct buffer name;
    struct buffer sql;
};

/** Check that every change of the table can be captured (rules 25, 26).
 * @return OK; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status capture_sqlite_check(sqlite3 *db, const struct config_entry *entry,
                                 const struct entity_schema *schema, struct error *err) MUST_CHECK;

/** Write the triggers of an entry's table: insert, update, update of the key, delete.
 * The caller frees with capture_sqlite_triggers_done(). */
enum status capture_sqlite_triggers(const struct config_entry *entry,
                                    const struct entity_schema *schema,
                                    struct capture_trigger triggers[CAPTURE_TRIGGER_COUNT],
                                    struct error *err) MUST_CHECK;
void capture_sqlite_triggers_done(struct capture_trigger triggers[CAPTURE_TRIGGER_COUNT]);

/** Write the query of the rows that are there: key, payload (op r), partition key, then the mapped
 * key columns; at most `limit` rows behind the key that keepstep_existing_key holds. */
void capture_sqlite_existing(struct buffer *sql, const struct config_entry *entry,
                             const struct entity_schema *schema, bool resumed, size_t limit);

#endif
