/* Inside the SQLite origin. */
#ifndef PRODUCER_SQLITE_ORIGIN_INTERNAL_H
#define PRODUCER_SQLITE_ORIGIN_INTERNAL_H

#include "common/sqlite_session.h"
#include "producer/init/origin.h"

struct origin_sqlite {
    struct origin base;
    const struct config *config; /* the caller's */
    bool watching;               /* reads no rows */
    sqlite3 *db;
    sqlite3_stmt *note_in_log; /* prepared at its first use */
};

static inline struct origin_sqlite *origin_sqlite_of(struct origin *origin)
{
    return (struct origin_sqlite *)origin;
}

/** Run one statement of up to two texts. @param ret_changes  may be NULL. */
enum status origin_sqlite_run(sqlite3 *db, const char *sql, struct slice first, struct slice second,
                              int *ret_changes, struct error *err) MUST_CHECK;

enum status origin_sqlite_captured(struct origin *origin, const char *entity_type,
                                   struct arena *arena, struct origin_captured *ret_captured,
                                   struct error *err) MUST_CHECK;
enum status origin_sqlite_write_captured(struct origin *origin, const char *entity_type,
                                         const struct origin_captured *captured,
                                         struct error *err) MUST_CHECK;
enum status origin_sqlite_republish(struct origin *origin, const char *entity_type,
                                    struct error *err) MUST_CHECK;
enum status origin_sqlite_progress(struct origin *origin, const char *entity_type,
                                   struct origin_progress *ret_progress,
                                   struct error *err) MUST_CHECK;
enum status origin_sqlite_chunk(struct origin *origin, const struct config_entry *entry,
                                const struct entity_schema *schema, size_t limit,
                                struct origin_progress *ret_progress, struct error *err) MUST_CHECK;
enum status origin_sqlite_write(struct origin *origin, const struct origin_event *events,
                                size_t count, struct error *err) MUST_CHECK;

extern const struct origin_ops origin_sqlite_ops;

#endif
