/* The MariaDB store's transactions: fences, savepoints, commit; its grants and function table. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "consumer_mariadb_sql.h"

#define FENCES_MAX       64 /* of one message */
#define FENCE_VALUES_MAX 12

static enum status store_mariadb_meta(struct store *store, struct store_meta *ret_meta,
                                      struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_statement *statement = NULL;
    int64_t version = 0;
    bool row = false;

    *ret_meta = (struct store_meta){0};
    enum status status = store_mariadb_number(
        self, STATEMENT_META_READ, PARAMETERS(mariadb_string("schema_version")), 0, &version, err);
    if (status == STATUS_OK)
        status = store_mariadb_start(self, STATEMENT_META_READ,
                                     PARAMETERS(mariadb_string("copy_id")), &statement, &row, err);
    if (status == STATUS_OK && row)
        mariadb_statement_copy(statement, 0, ret_meta->copy_id, sizeof ret_meta->copy_id);
    ret_meta->schema_version = (int)version;
    mariadb_statement_end(statement);
    if (status == STATUS_OK && self->has_outbox) {
        status = store_mariadb_start(self, STATEMENT_PENDING_INCARNATION, NULL, 0, &statement, &row,
                                     err);
        if (status == STATUS_OK && row)
            mariadb_statement_copy(statement, 0, ret_meta->incarnation,
                                   sizeof ret_meta->incarnation);
        if (status == STATUS_OK)
            mariadb_statement_end(statement);
    }
    store_mariadb_release(self);
    return status;
}

static enum statement_id fence_statement(const struct fence *fence)
{
    if (fence->by_epoch_alone)
        return STATEMENT_POSITION_FENCE_EPOCH;
    return fence->anchor_offset < 0 ? STATEMENT_POSITION_FENCE_UNANCHORED
                                    : STATEMENT_POSITION_FENCE;
}

/* @return how many values its statement takes. */
static size_t fence_values(const struct fence *fence, struct mariadb_parameter *values)
{
    size_t count = 0;
    if (!fence->by_epoch_alone) {
        values[count++] = mariadb_integer(fence->new_offset);
        values[count++] = mariadb_integer(fence->new_offset);
        if (fence->anchor_offset >= 0) {
            values[count++] = mariadb_integer(fence->anchor_offset);
            values[count++] = mariadb_bytes(
                slice_of(fence->anchor_id == NULL ? "" : fence->anchor_id));
        }
        values[count++] = mariadb_integer(fence->revise);
        values[count++] = mariadb_bytes(slice_of(fence->stopped == NULL ? "" : fence->stopped));
    }
    values[count++] = mariadb_integer(clock_wall_us());
    values[count++] = mariadb_string(fence->topic);
    values[count++] = mariadb_integer(fence->partition);
    if (!fence->by_epoch_alone)
        values[count++] = mariadb_integer(fence->old_offset);
    values[count++] = mariadb_integer(fence->epoch);
    if (!fence->by_epoch_alone)
        values[count++] = mariadb_integer(fence->revision);
    return count;
}

/* One of these fences matched nothing. */
static enum status fences_judge(struct store_mariadb *self, const struct fence *fences,
                                size_t count, struct error *err)
{
    int64_t owned = 1;
    enum status status = STATUS_OK;
    size_t i = 0;
    for (; status == STATUS_OK && owned != 0 && i < count; i++)
        status = store_mariadb_number(self, STATEMENT_POSITION_OWNED,
                                      PARAMETERS(mariadb_string(fences[i].topic),
                                                 mariadb_integer(fences[i].partition),
                                                 mariadb_integer(fences[i].epoch)),
                                      0, &owned, err);
    if (status != STATUS_OK)
        return status;
    if (owned == 0)
        return error_set_native(err, STATUS_ABORT, 0, "%s/%d: another agent owns the partition",
                                fences[i - 1].topic, fences[i - 1].partition);
    return error_set_native(err, STATUS_ABORT, 1, "%s/%d%s: the position has changed: load it anew",
                            fences[0].topic, fences[0].partition,
                            count > 1 ? " or one behind it" : "");
}

/* Takes as many of the first fences as one statement does, in one message: *ret_taken. */
static enum status fences_take(struct store_mariadb *self, const struct fence *fences, size_t count,
                               size_t *ret_taken, struct error *err)
{
    struct mariadb_parameter values[FENCES_MAX * FENCE_VALUES_MAX];
    const enum statement_id id = fence_statement(&fences[0]);
    size_t taken = 0;
    size_t used = 0;
    uint64_t matched = 0;
    while (taken < count && taken < FENCES_MAX && fence_statement(&fences[taken]) == id)
        used += fence_values(&fences[taken++], &values[used]);
    *ret_taken = taken;
    enum status status = store_mariadb_run_rows(self, id, values, used / taken, taken, &matched,
                                                err);
    return status != STATUS_OK || matched == taken ? status
                                                   : fences_judge(self, fences, taken, err);
}

/* With autocommit=0 the first fence begins the transaction. */
static enum status store_mariadb_begin(struct store *store, const struct fence *fences,
                                       size_t count, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    if (self->applying) /* a rollback could not clear it */
        status = store_mariadb_run(self, STATEMENT_APPLYING, PARAMETERS(mariadb_string(NULL)), NULL,
                                   err);
    self->applying = status != STATUS_OK;
    self->in_transaction = true;
    for (size_t i = 0, taken = 0; status == STATUS_OK && i < count; i += taken)
        status = fences_take(self, &fences[i], count - i, &taken, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "SAVEPOINT keepstep_batch", err);
    return status;
}

static enum status store_mariadb_savepoint(struct store *store, bool undo, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    if (undo)
        self->range_count = 0;
    else
        status = store_mariadb_write_ranges(self, err);
    if (status != STATUS_OK)
        return status;
    return mariadb_session_execute(
        self->session, undo ? "ROLLBACK TO SAVEPOINT keepstep_batch" : "SAVEPOINT keepstep_batch",
        err);
}

/* InnoDB checks every constraint with its row. */
static enum status store_mariadb_defer(struct store *store, bool on, struct error *err)
{
    (void)store, (void)on, (void)err;
    return STATUS_OK;
}

/* Whatever goes wrong here leaves the outcome unknown: another session reads it back. */
static enum status store_mariadb_commit(struct store *store, bool durable, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    (void)durable; /* every commit waits */
    enum status status = store_mariadb_write_ranges(self, err);
    if (status != STATUS_OK)
        return status;
    bool first = err != NULL && err->status == STATUS_OK;
    status = mariadb_session_execute(self->session, "COMMIT", err);
    self->in_transaction = status != STATUS_OK;
    if (status == STATUS_OK)
        return STATUS_OK;
    if (first) {
        err->status = STATUS_RETRY;
        err->connection_lost = true;
    }
    return STATUS_RETRY;
}

static enum status store_mariadb_prune(struct store *store, const struct prune *prune,
                                       size_t *ret_pruned, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_parameter before = mariadb_integer(prune->skipped_before_us);
    struct mariadb_parameter limit = mariadb_integer((int64_t)prune->limit);
    uint64_t changes = 0;
    enum status status = store_mariadb_run(
        self, STATEMENT_KEY_PRUNE, PARAMETERS(mariadb_integer(prune->keys_before_us), limit),
        &changes, err);
    if (status == STATUS_OK)
        status = store_mariadb_run(self, STATEMENT_PARKED_PRUNE, PARAMETERS(before, before, limit),
                                   NULL, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    store_mariadb_release(self);
    *ret_pruned = (size_t)changes;
    return status;
}

static enum status store_mariadb_copy_sql(const struct mapping *mappings, size_t count,
                                          struct buffer *out, struct error *err)
{
    buffer_append_text(out, SQL_GRANTS);
    for (size_t i = 0; i < count; i++) {
        enum status status = store_mariadb_append_table(out, &mappings[i],
                                                        "CREATE TABLE IF NOT EXISTS ", err);
        if (status != STATUS_OK)
            return status;
        buffer_append_text(out, ";\nGRANT SELECT, INSERT, UPDATE, DELETE ON ");
        store_mariadb_append_name(out, mapping_table(&mappings[i]));
        buffer_append_text(out, " TO keepstep_agent;\n");
    }
    return STATUS_OK;
}

const struct store_ops store_mariadb_ops = {
    .scheme = "mysql",
    .install_sql = SQL_INSTALL,
    .copy_sql = store_mariadb_copy_sql,
    .open = store_mariadb_open,
    .close = store_mariadb_close,
    .places = store_mariadb_places,
    .prepare = store_mariadb_prepare,
    .order = store_mariadb_order,
    .meta = store_mariadb_meta,
    .read = store_mariadb_read,
    .list = store_mariadb_list,
    .take = store_mariadb_take,
    .begin = store_mariadb_begin,
    .savepoint = store_mariadb_savepoint,
    .defer = store_mariadb_defer,
    .read_pending = store_mariadb_read_pending,
    .claim_keys = store_mariadb_claim_keys,
    .apply = store_mariadb_apply,
    .record_sequences = store_mariadb_record_sequences,
    .park = store_mariadb_park,
    .read_parked = store_mariadb_read_parked,
    .edit_parked = store_mariadb_edit_parked,
    .superseded = store_mariadb_superseded,
    .commit = store_mariadb_commit,
    .rollback = store_mariadb_rollback,
    .prune = store_mariadb_prune,
};
