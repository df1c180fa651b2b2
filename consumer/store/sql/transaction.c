/* The SQL stores' transactions: fences, savepoint, COMMIT; and the deletion of what is old. */
#include "consumer/store/sql/session.h"

#include "common/clock.h"

#include <stdlib.h>

#define FENCES_MAX    64 /* sent together */
#define FENCE_COLUMNS 11

struct text {
    char *text;
    size_t size;
};

static enum status read_text(void *context, struct store_row *row, struct error *err)
{
    const struct text *text = context;
    (void)err;
    row->copy(row, 0, text->text, text->size);
    row->is_last = true;
    return STATUS_OK;
}

enum status store_sql_meta(struct store *store, struct store_meta *ret_meta, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    char version[STORE_TOKEN_SIZE] = "";
    struct text version_text = {version, sizeof version};
    struct text copy_id = {ret_meta->copy_id, sizeof ret_meta->copy_id};
    struct text incarnation = {ret_meta->incarnation, sizeof ret_meta->incarnation};
    *ret_meta = (struct store_meta){0};
    enum status status = store_sql_ask(self, SQL_CALL(META_READ, parameter_text("schema_version")),
                                       read_text, &version_text, err);
    if (status == STATUS_OK)
        status = store_sql_ask(self, SQL_CALL(META_READ, parameter_text("copy_id")), read_text,
                               &copy_id, err);
    if (status == STATUS_OK && self->has_outbox)
        status = store_sql_ask(self, SQL_CALL_PLAIN(PENDING_INCARNATION), read_text, &incarnation,
                               err);
    if (status == STATUS_OK)
        status = store_sql_wait(self, err);
    ret_meta->schema_version = (int)strtol(version, NULL, 10);
    return status;
}

/* @return how many values the fence's statement takes. */
static size_t fence_values(const struct fence *fence, struct parameter values[static FENCE_COLUMNS],
                           int64_t now_us)
{
    size_t count = 0;
    values[count++] = parameter_text(fence->topic);
    values[count++] = parameter_integer(fence->partition);
    if (fence->by_epoch_alone) {
        values[count++] = parameter_integer(fence->epoch);
        values[count++] = parameter_integer(now_us);
        return count;
    }
    values[count++] = parameter_integer(fence->old_offset);
    values[count++] = parameter_integer(fence->new_offset);
    values[count++] = parameter_integer(fence->epoch);
    values[count++] = parameter_integer(fence->revision);
    values[count++] = parameter_integer(fence->anchor_offset);
    values[count++] = parameter_raw(slice_of(fence->anchor_id == NULL ? "" : fence->anchor_id));
    values[count++] = parameter_raw(slice_of(fence->stopped == NULL ? "" : fence->stopped));
    values[count++] = parameter_integer(now_us);
    values[count++] = parameter_integer(fence->revise);
    return count;
}

/** The fences of a transaction while they are sent. */
struct fence_run {
    const struct fence *fences;
    size_t count;
    size_t sent;
    int64_t matched; /* of those sent: as soon as it is known */
};

/* Send the next fences, as many as have the same statement, at most FENCES_MAX. */
static enum status fences_send(struct store_sql *self, struct fence_run *run, struct error *err)
{
    struct parameter values[FENCES_MAX * FENCE_COLUMNS];
    const struct fence *fences = &run->fences[run->sent];
    bool by_epoch = fences[0].by_epoch_alone;
    int64_t now_us = clock_wall_us();
    size_t rows = 0;
    size_t columns = 0;
    while (run->sent < run->count && rows < FENCES_MAX && fences[rows].by_epoch_alone == by_epoch) {
        columns = fence_values(&fences[rows], &values[rows * columns], now_us);
        rows++;
        run->sent++;
    }
    struct sql_call call = {.id = by_epoch ? STATEMENT_POSITION_FENCE_EPOCH
                                           : STATEMENT_POSITION_FENCE,
                            .parameters = values,
                            .count = columns,
                            .changes = &run->matched};
    return self->session->send_rows(self, &call, rows, err);
}

static enum status read_position(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    store_row_position(row, context);
    return STATUS_OK;
}

/* A fence was lost: find the first one that differs from the stored position. */
static enum status fences_judge(struct store_sql *self, const struct fence *fences, size_t count,
                                struct error *err)
{
    const struct fence *lost = &fences[0];
    bool owned = true;
    store_sql_rollback(&self->base);
    for (size_t i = 0; i < count; i++) {
        const struct fence *fence = &fences[i];
        struct partition_state stored = partition_state_named(fence->topic, fence->partition);
        enum status status = store_sql_query(self,
                                             SQL_CALL(POSITION_READ, parameter_text(fence->topic),
                                                      parameter_integer(fence->partition)),
                                             read_position, &stored, err);
        if (status != STATUS_OK)
            return status;
        owned = stored.exists && stored.epoch == fence->epoch;
        bool changed = !fence->by_epoch_alone && (stored.next_offset != fence->old_offset ||
                                                  stored.revision != fence->revision);
        if (owned && !changed)
            continue;
        lost = fence;
        break;
    }
    if (owned)
        return error_set_native(err, STATUS_ABORT, 1,
                                "%s/%d: the position has changed: load it anew", lost->topic,
                                lost->partition);
    return error_set_native(err, STATUS_ABORT, 0, "%s/%d: another agent owns the partition",
                            lost->topic, lost->partition);
}

/* A lost fence matches no row. Where statements are pipelined it is a REJECT (rule 3). */
enum status store_sql_begin(struct store *store, const struct fence *fences, size_t count,
                            struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    struct error why = ERROR_INIT;
    struct fence_run run = {.fences = fences, .count = count};
    enum status status = store_sql_transaction(self, SQL_WRITE, &why);
    while (status == STATUS_OK && run.sent < count)
        status = fences_send(self, &run, &why);
    if (status == STATUS_OK)
        status = self->session->execute(self, "SAVEPOINT keepstep_batch", &why);
    if (status == STATUS_OK)
        status = store_sql_wait(self, &why);
    if (status == STATUS_REJECT || (status == STATUS_OK && (size_t)run.matched != count))
        return fences_judge(self, fences, count, err);
    if (status != STATUS_OK && err != NULL)
        *err = why;
    return status;
}

/* Sent without waiting: a later slot returns the error. */
enum status store_sql_savepoint(struct store *store, bool undo, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    const struct sql_session_ops *session = self->session;
    if (undo) {
        self->range_count = 0;
        return session->execute(self, "ROLLBACK TO SAVEPOINT keepstep_batch", err);
    }
    enum status status = store_sql_write_ranges(self, err);
    if (status == STATUS_OK && !session->replaces_savepoints)
        status = session->execute(self, "RELEASE SAVEPOINT keepstep_batch", err);
    if (status == STATUS_OK)
        status = session->execute(self, "SAVEPOINT keepstep_batch", err);
    return status;
}

enum status store_sql_drop_savepoint(struct store *store, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    return self->session->execute(self, "RELEASE SAVEPOINT keepstep_batch", err);
}

enum status store_sql_commit(struct store *store, bool durable, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    enum status status = store_sql_write_ranges(self, err);
    if (status == STATUS_OK)
        status = self->session->commit(self, durable, err);
    if (status == STATUS_REJECT) {
        status = STATUS_FATAL; /* a deferred constraint that apply() did not check */
        if (err != NULL)
            err->status = status;
    }
    if (status == STATUS_OK)
        self->in_transaction = false;
    return status;
}

void store_sql_rollback(struct store *store)
{
    struct store_sql *self = store_sql_of(store);
    self->range_count = 0;
    self->session->rollback(self);
    self->in_transaction = false;
    self->in_snapshot = false;
}

/* Ids of the parked records that were deleted. */
struct pruned {
    struct parameter *ids;
    size_t count;
    size_t size;
};

static enum status read_pruned(void *context, struct store_row *row, struct error *err)
{
    struct pruned *pruned = context;
    (void)err;
    pruned->ids[pruned->count++] = parameter_integer(row->integer(row, 0));
    row->is_last = pruned->count == pruned->size;
    return STATUS_OK;
}

/* One transaction, so that a parked record goes from both tables or from none. */
static enum status prune_all(struct store_sql *self, const struct prune *prune,
                             struct pruned *skipped, int64_t *keys, struct error *err)
{
    struct parameter limit = parameter_integer((int64_t)prune->limit);
    struct sql_call prune_keys = SQL_CALL(KEY_PRUNE, parameter_integer(prune->keys_before_us),
                                          limit);
    prune_keys.changes = keys;
    enum status status = store_sql_transaction(self, SQL_WRITE, err);
    if (status == STATUS_OK)
        status = store_sql_send(self, prune_keys, err);
    if (status == STATUS_OK)
        status = store_sql_query(
            self, SQL_CALL(PARKED_PRUNE, parameter_integer(prune->skipped_before_us), limit),
            read_pruned, skipped, err);
    struct sql_call unblock = {
        .id = STATEMENT_BLOCKED_DELETE, .parameters = skipped->ids, .count = 1};
    if (status == STATUS_OK && skipped->count > 0)
        status = self->session->send_rows(self, &unblock, skipped->count, err);
    return status == STATUS_OK ? store_sql_finish(self, err) : status;
}

enum status store_sql_prune(struct store *store, const struct prune *prune, size_t *ret_pruned,
                            struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    struct pruned skipped = {.size = prune->limit};
    int64_t keys = 0;
    *ret_pruned = 0;
    skipped.ids = calloc(prune->limit, sizeof *skipped.ids);
    if (skipped.ids == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = prune_all(self, prune, &skipped, &keys, err);
    free(skipped.ids);
    if (status == STATUS_OK)
        *ret_pruned = (size_t)keys;
    else
        store_sql_rollback(store);
    return status;
}
