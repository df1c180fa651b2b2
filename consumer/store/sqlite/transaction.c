/* The SQLite store's transactions: fences, savepoints, keys, commit; and its function table. */
#include "consumer/store/sqlite/internal.h"

#include "common/clock.h"
#include "consumer_sqlite_sql.h"

#include <stdio.h>

static enum status store_sqlite_meta(struct store *store, struct store_meta *ret_meta,
                                     struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    sqlite3_stmt *statement = NULL;
    int64_t version = 0;
    bool row = false;

    *ret_meta = (struct store_meta){0};
    enum status status = store_sqlite_number(
        self, STATEMENT_META_READ, PARAMETERS(parameter_text("schema_version")), 0, &version, err);
    if (status == STATUS_OK)
        status = store_sqlite_start(self, STATEMENT_META_READ,
                                    PARAMETERS(parameter_text("copy_id")), &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    ret_meta->schema_version = (int)version;
    if (row)
        store_sqlite_copy(statement, 0, ret_meta->copy_id, sizeof ret_meta->copy_id);
    (void)sqlite3_reset(statement);
    if (!self->has_outbox)
        return STATUS_OK;
    status = store_sqlite_start(self, STATEMENT_PENDING_INCARNATION, NULL, 0, &statement, &row,
                                err);
    if (status == STATUS_OK && row)
        store_sqlite_copy(statement, 0, ret_meta->incarnation, sizeof ret_meta->incarnation);
    if (status == STATUS_OK)
        (void)sqlite3_reset(statement);
    return status;
}

static enum status store_sqlite_fence(struct store_sqlite *self, const struct fence *fence,
                                      struct error *err)
{
    int64_t changes = 0;
    int64_t owned = 0;
    struct parameter topic = parameter_text(fence->topic);
    struct parameter partition = parameter_integer(fence->partition);
    struct parameter epoch = parameter_integer(fence->epoch);
    struct parameter now = parameter_integer(clock_wall_us());
    enum status status;

    if (fence->by_epoch_alone)
        status = store_sqlite_run(self, STATEMENT_POSITION_FENCE_EPOCH,
                                  PARAMETERS(topic, partition, epoch, now), &changes, err);
    else
        status = store_sqlite_run(
            self, STATEMENT_POSITION_FENCE,
            PARAMETERS(topic, partition, parameter_integer(fence->old_offset),
                       parameter_integer(fence->new_offset), epoch,
                       parameter_integer(fence->revision), parameter_integer(fence->anchor_offset),
                       parameter_text(fence->anchor_id == NULL ? "" : fence->anchor_id),
                       parameter_text(fence->stopped == NULL ? "" : fence->stopped), now,
                       parameter_integer(fence->revise ? 1 : 0)),
            &changes, err);
    if (status != STATUS_OK || changes == 1)
        return status;
    status = store_sqlite_number(self, STATEMENT_POSITION_OWNED,
                                 PARAMETERS(topic, partition, epoch), 0, &owned, err);
    if (status != STATUS_OK)
        return status;
    if (owned != 0)
        return error_set_native(err, STATUS_ABORT, 1,
                                "%s/%d: the position has changed: load it anew", fence->topic,
                                fence->partition);
    return error_set_native(err, STATUS_ABORT, 0, "%s/%d: another agent owns the partition",
                            fence->topic, fence->partition);
}

static enum status store_sqlite_begin_fenced(struct store *store, const struct fence *fences,
                                             size_t count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = store_sqlite_begin(self, err);
    self->defers = false;
    self->has_written = false;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_sqlite_fence(self, &fences[i], err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "SAVEPOINT keepstep_batch", err);
    return status;
}

static enum status store_sqlite_savepoint(struct store *store, bool undo, struct error *err)
{
    return store_sqlite_execute(store_sqlite_of(store),
                                undo ? "ROLLBACK TO keepstep_batch"
                                     : "RELEASE keepstep_batch; SAVEPOINT keepstep_batch",
                                err);
}

/* Uniqueness cannot wait in SQLite. COMMIT and ROLLBACK switch the pragma off. */
static enum status store_sqlite_defer(struct store *store, bool on, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = on ? STATUS_OK : store_sqlite_check_deferred(self, "deferred", err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(
            self, on ? "PRAGMA defer_foreign_keys = ON" : "PRAGMA defer_foreign_keys = OFF", err);
    self->defers = on;
    return status;
}

static enum status store_sqlite_claim_keys(struct store *store, struct key_claim *claims,
                                           size_t count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    struct parameter now = parameter_integer(clock_wall_us());
    enum status status = STATUS_OK;

    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct parameter source = parameter_slice(claims[i].source);
        struct parameter id = parameter_slice(claims[i].id);
        int64_t digest = (int64_t)claims[i].digest;
        int64_t stored = 0;
        int64_t changes = 0;
        status = store_sqlite_run(self, STATEMENT_KEY_CLAIM,
                                  PARAMETERS(source, id, parameter_integer(digest), now), &changes,
                                  err);
        claims[i].verdict = KEY_NEW;
        if (status != STATUS_OK || changes == 1)
            continue;
        status = store_sqlite_number(self, STATEMENT_KEY_READ, PARAMETERS(source, id), 0, &stored,
                                     err);
        claims[i].verdict = stored == digest ? KEY_DUPLICATE : KEY_CONFLICT;
    }
    return status;
}

/* What may not wait takes a second, tiny transaction with synchronous=FULL: the pragma cannot be
 * changed inside the first. In WAL mode a FULL commit fsyncs the one WAL file after its frames are
 * written and before the wal-index shows them, so it makes every earlier commit in that file
 * durable too; frames that are no longer in it were fsynced, and the database file behind them, by
 * the checkpoint that came before the WAL's restart (NORMAL does that). Hence no reader sees a
 * durable_offset that the disk does not have. The counter changes each time because a transaction
 * that changes nothing writes no frame and syncs nothing. */
static enum status store_sqlite_make_durable(struct store_sqlite *self, struct error *err)
{
    enum status status = store_sqlite_synchronous(self, true, err);
    if (status == STATUS_OK)
        status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = store_sqlite_run(self, STATEMENT_DURABLE_POSITION, NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = store_sqlite_run(self, STATEMENT_DURABLE_COUNT, NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    return status;
}

#define DURABLE_BUSY_MS 5000 /* the service writes meanwhile; the agent holds no lock */

static enum status store_sqlite_commit(struct store *store, bool durable, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = STATUS_OK;

    /* Without WAL every commit is synchronous, and nobody reads before it is done. */
    if (durable && !self->is_wal)
        status = store_sqlite_run(self, STATEMENT_DURABLE_POSITION, NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    if (status == STATUS_OK && durable && self->is_wal) {
        (void)sqlite3_busy_timeout(self->database, DURABLE_BUSY_MS);
        status = store_sqlite_make_durable(self, err);
        (void)sqlite3_busy_timeout(self->database, self->busy_ms);
        store_sqlite_rollback(store);
    }
    if (status == STATUS_REJECT && err != NULL)
        status = err->status = STATUS_FATAL; /* a deferred constraint that apply did not see */
    return status;
}

/* Both tables of a parked record or none. */
static enum status store_sqlite_prune_skipped(struct store_sqlite *self, const struct prune *prune,
                                              struct error *err)
{
    struct parameter before = parameter_integer(prune->skipped_before_us);
    struct parameter limit = parameter_integer((int64_t)prune->limit);
    enum status status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = store_sqlite_run(self, STATEMENT_BLOCKED_PRUNE, PARAMETERS(before, limit), NULL,
                                  err);
    if (status == STATUS_OK)
        status = store_sqlite_run(self, STATEMENT_PARKED_PRUNE, PARAMETERS(before, limit), NULL,
                                  err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    if (status != STATUS_OK)
        store_sqlite_rollback(&self->base);
    return status;
}

static enum status store_sqlite_prune(struct store *store, const struct prune *prune,
                                      size_t *ret_pruned, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    int64_t changes = 0;
    enum status status = store_sqlite_run(self, STATEMENT_KEY_PRUNE,
                                          PARAMETERS(parameter_integer(prune->keys_before_us),
                                                     parameter_integer((int64_t)prune->limit)),
                                          &changes, err);
    *ret_pruned = (size_t)changes;
    return status == STATUS_OK ? store_sqlite_prune_skipped(self, prune, err) : status;
}

/* A file has no roles. */
static enum status store_sqlite_copy_sql(const struct mapping *mappings, size_t count,
                                         struct buffer *out, struct error *err)
{
    (void)err;
    for (size_t i = 0; i < count; i++) {
        store_sqlite_append_table(out, &mappings[i], "CREATE TABLE IF NOT EXISTS ");
        buffer_append_text(out, ";\n");
    }
    return STATUS_OK;
}

const struct store_ops store_sqlite_ops = {
    .scheme = "sqlite",
    .excludes_writers = true,
    .install_sql = SQL_INSTALL,
    .copy_sql = store_sqlite_copy_sql,
    .open = store_sqlite_open,
    .close = store_sqlite_close,
    .places = store_sqlite_places,
    .prepare = store_sqlite_prepare,
    .order = store_sqlite_order,
    .meta = store_sqlite_meta,
    .read = store_sqlite_read,
    .list = store_sqlite_list,
    .take = store_sqlite_take,
    .begin = store_sqlite_begin_fenced,
    .savepoint = store_sqlite_savepoint,
    .defer = store_sqlite_defer,
    .read_pending = store_sqlite_read_pending,
    .claim_keys = store_sqlite_claim_keys,
    .apply = store_sqlite_apply,
    .record_sequences = store_sqlite_record_sequences,
    .park = store_sqlite_park,
    .read_parked = store_sqlite_read_parked,
    .edit_parked = store_sqlite_edit_parked,
    .superseded = store_sqlite_superseded,
    .commit = store_sqlite_commit,
    .rollback = store_sqlite_rollback,
    .prune = store_sqlite_prune,
};
