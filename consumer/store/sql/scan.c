/* How the SQL stores read a copy in one snapshot (rules 32 and 37). */
#include "common/clock.h"
#include "consumer/store/sql/prepare.h"
#include "schemas/table_scan.h"

#define LOCK_US (INT64_C(60) * 1000 * 1000) /* for all rows */

enum status store_sql_snapshot_check(const struct store_sql *self, struct error *err)
{
    if (!self->in_snapshot)
        return error_set(err, STATUS_RETRY, "no snapshot is open");
    if (clock_monotonic_us() > self->until_us)
        return error_set(err, STATUS_RETRY, "the snapshot lasts longer than limits.scan_time_s");
    return STATUS_OK;
}

/* PostgreSQL and SQLite take the snapshot with the first statement that reads. */
static enum status snapshot_begin(struct store_sql *self, struct error *err)
{
    int64_t ignored = 0;
    enum status status = store_sql_transaction(self, SQL_SNAPSHOT, err);
    if (status == STATUS_OK)
        status = store_sql_number(self, SQL_CALL_PLAIN(META_EXISTS), 0, &ignored, err);
    return status;
}

enum status store_sql_snapshot(struct store *store, bool begin, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    if (begin && (!self->read_only || self->in_snapshot))
        return error_set(err, STATUS_FATAL, "%s",
                         self->read_only ? "a snapshot is open already"
                                         : "a store that applies begins no snapshot");
    store_sql_rollback(store);
    if (!begin)
        return STATUS_OK;
    enum status status = snapshot_begin(self, err);
    self->in_snapshot = status == STATUS_OK;
    self->until_us = clock_monotonic_us() + self->snapshot_time_s * 1000 * 1000;
    if (status != STATUS_OK)
        store_sql_rollback(store);
    return status;
}

/* A statement also ends the idle time. */
enum status store_sql_keep(struct store *store, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t ignored = 0;
    enum status status = store_sql_snapshot_check(self, err);
    if (status == STATUS_OK)
        status = store_sql_number(self, SQL_CALL_PLAIN(META_EXISTS), 0, &ignored, err);
    if (status == STATUS_OK && self->session->give_way != NULL)
        status = self->session->give_way(self, err);
    if (status != STATUS_OK)
        store_sql_rollback(store);
    return status;
}

static enum status query_run(void *session, struct row_query *query, struct error *err)
{
    struct store_sql *self = session;
    return self->session->query(self, query, err);
}

static enum status table_scan(const struct mapped_table *table, const struct store_scan *scan,
                              bool locks, int64_t until_us, struct error *err)
{
    struct store_sql *self = store_sql_of(table->store);
    bool is_timestamp[ENTITY_COLUMNS_MAX];
    struct buffer name;
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++)
        is_timestamp[i] = table->limits[i].is_timestamp;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_table_name_append(&name, table->dialect, table->mapping);
    const struct table_scan rows = {.columns = {.dialect = table->dialect->columns,
                                                .schema = table->mapping->schema,
                                                .entry = table->mapping->entry,
                                                .is_timestamp = is_timestamp},
                                    .table = buffer_text(&name),
                                    .keys = scan->keys,
                                    .key_count = scan->count,
                                    .index = locks ? table->dialect->row_index : NULL,
                                    .lock = locks ? table->dialect->row_lock : NULL,
                                    .until_us = until_us,
                                    .rows_s = locks ? 0 : self->scan_rows_s,
                                    .visit = scan->visit,
                                    .context = scan->context,
                                    .run = query_run,
                                    .session = self};
    enum status status = table_scan_run(&rows, err);
    buffer_done(&name);
    return status;
}

enum status sql_table_scan(const struct mapped_table *table, const struct store_scan *scan,
                           int64_t until_us, struct error *err)
{
    return table_scan(table, scan, false, until_us, err);
}

static enum status row_pass(void *context, const struct scanned_row *row, struct error *err)
{
    (void)context, (void)row, (void)err;
    return STATUS_OK;
}

enum status sql_table_lock(const struct mapped_table *table, const struct slice *keys, size_t count,
                           struct error *err)
{
    struct store_sql *self = store_sql_of(table->store);
    const struct sql_dialect *dialect = table->dialect;
    const struct store_scan scan = {.keys = keys, .count = count, .visit = row_pass};
    enum status status = dialect->row_patience == NULL
                             ? STATUS_OK
                             : self->session->execute(self, dialect->row_patience, err);
    return status == STATUS_OK ? table_scan(table, &scan, true, clock_monotonic_us() + LOCK_US, err)
                               : status;
}

static enum status scan_rows(struct store_sql *self, const struct store_scan *scan,
                             struct error *err)
{
    struct mapped_table *table = sql_table_new(&self->base, self->tables.dialect, scan->mapping);
    enum status status = table == NULL ? error_set(err, STATUS_RETRY, "out of memory") : STATUS_OK;
    if (status == STATUS_OK)
        status = sql_table_check_columns(table, err);
    if (status == STATUS_OK)
        status = sql_table_scan(table, scan, self->until_us, err);
    sql_table_free(table);
    return status;
}

enum status store_sql_scan(struct store *store, const struct store_scan *scan, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    enum status status = store_sql_snapshot_check(self, err);
    if (status == STATUS_OK && scan->mapping == NULL)
        status = store_sql_scan_keys(self, scan, err);
    else if (status == STATUS_OK)
        status = scan_rows(self, scan, err);
    if (status != STATUS_OK)
        store_sql_rollback(store);
    return status;
}
