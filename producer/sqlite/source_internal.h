/* Inside the SQLite source. */
#ifndef PRODUCER_SQLITE_SOURCE_INTERNAL_H
#define PRODUCER_SQLITE_SOURCE_INTERNAL_H

#include "producer/init/source.h"
#include "producer/sqlite/session.h"

struct source_sqlite {
    struct source base;
    const struct config *config; /* the caller's */
    bool watching;               /* reads no rows */
    sqlite3 *db;
    sqlite3_stmt *note_in_log; /* prepared at its first use */
};

static inline struct source_sqlite *source_sqlite_of(struct source *source)
{
    return (struct source_sqlite *)source;
}

/** Run one statement of up to two texts. @param ret_changes  may be NULL. */
enum status source_sqlite_run(sqlite3 *db, const char *sql, struct slice first, struct slice second,
                              int *ret_changes, struct error *err) MUST_CHECK;

enum status source_sqlite_captured(struct source *source, const char *entity_type,
                                   struct arena *arena, struct source_captured *ret_captured,
                                   struct error *err) MUST_CHECK;
enum status source_sqlite_write_captured(struct source *source, const char *entity_type,
                                         const struct source_captured *captured,
                                         struct error *err) MUST_CHECK;
enum status source_sqlite_republish(struct source *source, const char *entity_type,
                                    struct error *err) MUST_CHECK;
enum status source_sqlite_progress(struct source *source, const char *entity_type,
                                   struct source_progress *ret_progress,
                                   struct error *err) MUST_CHECK;
enum status source_sqlite_chunk(struct source *source, const struct config_entry *entry,
                                const struct entity_schema *schema, size_t limit,
                                struct source_progress *ret_progress, struct error *err) MUST_CHECK;
enum status source_sqlite_write(struct source *source, const struct source_event *events,
                                size_t count, struct error *err) MUST_CHECK;

extern const struct source_ops source_sqlite_ops;

#endif
