/* The MariaDB store's COMMIT and grants, and its function table. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/mariadb_scan.h"
#include "consumer_mariadb_sql.h"

/* InnoDB checks every constraint when the row is written: there is nothing to defer. */
static enum status store_mariadb_defer(struct store *store, bool on, struct error *err)
{
    (void)store, (void)on, (void)err;
    return STATUS_OK;
}

/* It is a setting of the session: the next transaction takes it back. */
static enum status store_mariadb_take_time(struct store *store, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    self->has_time = true;
    return mariadb_session_execute(self->session, "SET SESSION max_statement_time = 0", err);
}

/* After any error here the outcome is unknown: another session reads it back. */
enum status store_mariadb_commit(struct store_sql *sql, bool durable, struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    (void)durable; /* every commit waits */
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = mariadb_session_execute(self->session, "COMMIT", err);
    if (status == STATUS_OK)
        return STATUS_OK;
    if (first) {
        err->status = STATUS_RETRY;
        err->connection_lost = true;
    }
    return STATUS_RETRY;
}

static enum status store_mariadb_snapshot(struct store *store, bool begin, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    if (begin && !self->sql.in_snapshot)
        status = mariadb_snapshot_time(self->session, &self->snapshot_time_s, err);
    return status == STATUS_OK ? store_sql_snapshot(store, begin, err) : status;
}

static enum status store_mariadb_copy_sql(const struct copies *copies, struct buffer *out,
                                          struct error *err)
{
    return sql_copy_sql(&store_mariadb_dialect, copies, out, err);
}

const struct store_ops store_mariadb_ops = {
    STORE_SQL_SLOTS,
    .scheme = "mysql",
    .refuses_alone = true,
    .install_sql = SQL_INSTALL,
    .applied_sql = SQL_APPLIED,
    .copy_sql = store_mariadb_copy_sql,
    .open = store_mariadb_open,
    .close = store_mariadb_close,
    .order = store_mariadb_order,
    .take = store_sql_take,
    .defer = store_mariadb_defer,
    .take_time = store_mariadb_take_time,
    .read_pending = store_sql_read_pending,
    .claim_keys = store_mariadb_claim_keys,
    .snapshot = store_mariadb_snapshot,
    .joint = &joint_mariadb_ops,
};
