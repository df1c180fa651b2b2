/* The SQLite store's function table, its deferred constraints and its durable COMMIT. */
#include "consumer/store/sqlite/internal.h"

#include "consumer_sqlite_sql.h"

/* SQLite can defer foreign keys, but no unique index. COMMIT and ROLLBACK switch the pragma off. To
 * set it makes SQLite compile every statement anew, so that it is left alone where it is right. */
static enum status store_sqlite_defer(struct store *store, bool on, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = on ? STATUS_OK
                            : store_sqlite_check_deferred(self, "a deferred foreign key", err);
    if (status == STATUS_OK && on != self->has_pragma) {
        status = store_sqlite_execute(
            self, on ? "PRAGMA defer_foreign_keys = ON" : "PRAGMA defer_foreign_keys = OFF", err);
        if (status == STATUS_OK)
            self->has_pragma = on;
    }
    self->defers = on;
    return status;
}

/* Nothing bounds its statements. */
static enum status store_sqlite_take_time(struct store *store, struct error *err)
{
    (void)store, (void)err;
    return STATUS_OK;
}

/* A commit that must be durable needs a second, tiny transaction with synchronous=FULL, because the
 * pragma cannot be changed inside the first. In WAL mode a FULL commit fsyncs the WAL file after
 * its frames are written and before the wal-index shows them. So it also makes all earlier commits
 * in that file durable. Frames that have left the file are durable already: with NORMAL the
 * checkpoint before the WAL's restart fsyncs the WAL, and then the database file. Hence no reader
 * sees a durable_offset that the disk does not have. The counter changes each time, because a
 * transaction that changes nothing writes no frame and syncs nothing. */
static enum status store_sqlite_make_durable(struct store_sqlite *self, struct error *err)
{
    enum status status = store_sqlite_synchronous(self, true, err);
    if (status == STATUS_OK)
        status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = store_sql_run(&self->sql, SQL_CALL_PLAIN(DURABLE_POSITION), err);
    if (status == STATUS_OK)
        status = store_sql_run(&self->sql, SQL_CALL_PLAIN(DURABLE_COUNT), err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    return status;
}

#define DURABLE_BUSY_MS 5000 /* the service writes meanwhile; the agent holds no lock */

enum status store_sqlite_commit(struct store_sql *sql, bool durable, struct error *err)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    enum status status = STATUS_OK;

    /* Without WAL every commit is synchronous, and nobody reads before it is done. */
    if (durable && !self->is_wal)
        status = store_sql_run(&self->sql, SQL_CALL_PLAIN(DURABLE_POSITION), err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    if (status == STATUS_OK && durable && self->is_wal) {
        (void)sqlite3_busy_timeout(self->database, DURABLE_BUSY_MS);
        status = store_sqlite_make_durable(self, err);
        (void)sqlite3_busy_timeout(self->database, self->busy_ms);
        store_sql_rollback(&sql->base);
    }
    return status;
}

static enum status store_sqlite_snapshot(struct store *store, bool begin, struct error *err)
{
    if (begin && !store_sqlite_of(store)->is_wal)
        return error_set(err, STATUS_STOP,
                         "the database is not in WAL mode, so the service cannot write while its "
                         "tables are read: PRAGMA journal_mode = WAL");
    return store_sql_snapshot(store, begin, err);
}

/* A file has no roles. */
static enum status store_sqlite_copy_sql(const struct copies *copies, struct buffer *out,
                                         struct error *err)
{
    return sql_copy_sql(&store_sqlite_dialect, copies, out, err);
}

const struct store_ops store_sqlite_ops = {
    STORE_SQL_SLOTS,
    .scheme = "sqlite",
    .joint = &joint_sqlite_ops,
    .excludes_writers = true,
    .install_sql = SQL_INSTALL,
    .applied_sql = SQL_APPLIED,
    .copy_sql = store_sqlite_copy_sql,
    .open = store_sqlite_open,
    .close = store_sqlite_close,
    .order = store_sql_order,
    .take = store_sql_take,
    .defer = store_sqlite_defer,
    .take_time = store_sqlite_take_time,
    .read_pending = store_sqlite_read_pending,
    .claim_keys = store_sqlite_claim_keys,
    .snapshot = store_sqlite_snapshot,
};
