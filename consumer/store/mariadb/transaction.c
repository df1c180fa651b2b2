/* The MariaDB store's COMMIT and grants, and its function table. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "consumer_mariadb_sql.h"

/* InnoDB checks every constraint with its row. */
static enum status store_mariadb_defer(struct store *store, bool on, struct error *err)
{
    (void)store, (void)on, (void)err;
    return STATUS_OK;
}

/* Whatever goes wrong here leaves the outcome unknown: another session reads it back. */
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

static enum status store_mariadb_copy_sql(const struct mapping *mappings, size_t count,
                                          struct buffer *out, struct error *err)
{
    struct copies copies = {.mappings = mappings, .count = count};
    return sql_copy_sql(&store_mariadb_dialect, &copies, out, err);
}

const struct store_ops store_mariadb_ops = {
    .scheme = "mysql",
    .install_sql = SQL_INSTALL,
    .copy_sql = store_mariadb_copy_sql,
    .open = store_mariadb_open,
    .close = store_mariadb_close,
    .places = store_sql_places,
    .prepare = store_sql_prepare,
    .order = store_mariadb_order,
    .meta = store_sql_meta,
    .read = store_sql_read,
    .list = store_sql_list,
    .take = store_sql_take,
    .begin = store_sql_begin,
    .savepoint = store_sql_savepoint,
    .defer = store_mariadb_defer,
    .read_pending = store_sql_read_pending,
    .claim_keys = store_mariadb_claim_keys,
    .apply = store_sql_apply,
    .record_sequence = store_sql_record_sequence,
    .park = store_sql_park,
    .read_parked = store_sql_read_parked,
    .edit_parked = store_sql_edit_parked,
    .keep_image = store_sql_keep_image,
    .read_image = store_sql_read_image,
    .drop_image = store_sql_drop_image,
    .commit = store_sql_commit,
    .rollback = store_sql_rollback,
    .prune = store_sql_prune,
};
