/* The source over SQL: what all databases do alike is written once. */
#ifndef PRODUCER_SOURCE_SQL_H
#define PRODUCER_SOURCE_SQL_H

#include "producer/source/source.h"
#include "producer/source/statements.h"
#include "producer/sql/session.h"
#include "schemas/table_scan.h"

struct source_sql;

/** What the catalogue says of a table. */
struct source_table {
    bool is_timestamp[ENTITY_COLUMNS_MAX]; /* struct column_sql */
};

/** What each database does in its own way. All are called with a connection. */
struct source_database {
    const struct column_dialect *columns;
    /** Begin a snapshot that may last limits.scan_time_s. */
    enum status (*begin)(struct source_sql *self, struct error *err);
    /** See whether it must give way. NULL: nobody waits for a reader. */
    enum status (*keep)(struct source_sql *self, struct error *err);
    /** See whether the snapshot still has the rows of a table that was read. NULL: reading fails
     * where it has not. @param table  quoted where its name needs that. */
    enum status (*has)(struct source_sql *self, const char *table, struct error *err);
    /** Check that the table's columns hold what the schema's types say. @return OK; RETRY; FATAL
     * with exit code 78. */
    enum status (*describe)(struct source_sql *self, const struct source_scan *scan,
                            struct source_table *ret_table, struct error *err);
    void (*append_table)(struct buffer *sql, const char *table);
    enum status (*query)(struct source_sql *self, struct row_query *query, struct error *err);
    /** @return whether `err` says that the role lacks a right. */
    bool (*lacks_right)(const struct error *err);
};

/** First member of each database's source. */
struct source_sql {
    struct source base;
    const struct source_database *database;
    const struct config *config; /* the caller's */
    struct sql_session *session; /* a member of the database's source */
    unsigned lost;               /* connections so far */
    unsigned snapshot_lost;      /* those when the snapshot began */
    bool in_snapshot;
    int64_t until_us; /* monotonic; the snapshot ends there */
};

static inline struct source_sql *source_sql_of(struct source *source)
{
    return (struct source_sql *)source;
}

/** Connect. The caller has set `base.ops`, `database`, `session` and the session's ops, texts and
 * setup. `self` is heap memory: freed where it fails. */
enum status source_sql_open(struct source_sql *self, const struct config *config,
                            struct source **ret_source, struct error *err) MUST_CHECK;

/** @return OK while the snapshot is open; RETRY. */
enum status source_sql_check(const struct source_sql *self, struct error *err) MUST_CHECK;

/** Where `err` says that a table of Keepstep's is missing, or is not this role's to read, say what
 * to run. @return `status`. */
enum status source_sql_judge(const struct source_sql *self, enum status status, struct error *err);

/** What a slot ends with: where it failed, the snapshot ends. @return `status`. */
enum status source_sql_settle(struct source_sql *self, enum status status);

/* The slots: source.h says what each one does. */
void source_sql_close(struct source *source);
enum status source_sql_snapshot(struct source *source, bool begin, struct error *err);
enum status source_sql_keep(struct source *source, struct error *err);
enum status source_sql_stamp(struct source *source, const struct source_type *type,
                             struct arena *arena, struct source_stamp *ret_stamp,
                             struct error *err);
enum status source_sql_open_keys(struct source *source, const struct source_type *type,
                                 struct arena *arena, struct source_open_keys *open,
                                 struct error *err);
enum status source_sql_open_rows(struct source *source, const struct source_type *type,
                                 struct source_open_rows *open, struct error *err);
enum status source_sql_scan(struct source *source, const struct source_scan *scan,
                            struct error *err);

/** All slots but open. */
#define SOURCE_SQL_SLOTS                                                                           \
    .close = source_sql_close, .snapshot = source_sql_snapshot, .keep = source_sql_keep,           \
    .stamp = source_sql_stamp, .open_keys = source_sql_open_keys,                                  \
    .open_rows = source_sql_open_rows, .scan = source_sql_scan

#endif
