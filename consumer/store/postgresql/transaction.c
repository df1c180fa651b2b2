/* The PostgreSQL store's transactions: fences, savepoints, keys, commit, grants; and its function
 * table. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"
#include "common/postgresql_name.h"
#include "consumer_postgresql_sql.h"

#include <stdlib.h>

static enum status store_postgresql_meta(struct store *store, struct store_meta *ret_meta,
                                         struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = store_postgresql_send(self, STATEMENT_META_READ,
                                               PARAMETERS(parameter_text("schema_version")), err);
    if (status == STATUS_OK)
        status = store_postgresql_send(self, STATEMENT_META_READ,
                                       PARAMETERS(parameter_text("copy_id")), err);
    if (status == STATUS_OK && self->has_outbox)
        status = store_postgresql_send(self, STATEMENT_PENDING_INCARNATION, NULL, 0, err);
    size_t sent = self->queued;
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status != STATUS_OK)
        return status;
    const struct queued *queue = &self->queue[sent - (self->has_outbox ? 3 : 2)];
    char version[STORE_TOKEN_SIZE] = "";
    *ret_meta = (struct store_meta){0};
    if (PQntuples(queue[0].result) > 0)
        store_postgresql_copy(queue[0].result, 0, 0, version, sizeof version);
    ret_meta->schema_version = (int)strtol(version, NULL, 10);
    if (PQntuples(queue[1].result) > 0)
        store_postgresql_copy(queue[1].result, 0, 0, ret_meta->copy_id, sizeof ret_meta->copy_id);
    if (self->has_outbox && PQntuples(queue[2].result) > 0)
        store_postgresql_copy(queue[2].result, 0, 0, ret_meta->incarnation,
                              sizeof ret_meta->incarnation);
    return STATUS_OK;
}

static enum status fence_send(struct store_postgresql *self, const struct fence *fence,
                              struct error *err)
{
    struct parameter topic = parameter_text(fence->topic);
    struct parameter partition = parameter_integer(fence->partition);
    struct parameter epoch = parameter_integer(fence->epoch);
    struct parameter now = parameter_integer(clock_wall_us());

    if (fence->by_epoch_alone)
        return store_postgresql_send(self, STATEMENT_POSITION_FENCE_EPOCH,
                                     PARAMETERS(topic, partition, epoch, now), err);
    return store_postgresql_send(
        self, STATEMENT_POSITION_FENCE,
        PARAMETERS(topic, partition, parameter_integer(fence->old_offset),
                   parameter_integer(fence->new_offset), epoch, parameter_integer(fence->revision),
                   parameter_integer(fence->anchor_offset),
                   parameter_text(fence->anchor_id == NULL ? "" : fence->anchor_id),
                   parameter_text(fence->stopped == NULL ? "" : fence->stopped), now,
                   parameter_integer(fence->revise ? 1 : 0)),
        err);
}

/* The division by zero says that a fence was lost; who owns the partition is read behind it. */
static enum status fence_lost(struct store_postgresql *self, const struct fence *fence,
                              struct error *err)
{
    const PGresult *result = NULL;
    struct error why = ERROR_INIT;
    store_postgresql_rollback(&self->base);
    enum status status = store_postgresql_run(self, STATEMENT_POSITION_OWNED,
                                              PARAMETERS(parameter_text(fence->topic),
                                                         parameter_integer(fence->partition),
                                                         parameter_integer(fence->epoch)),
                                              &result, &why);
    if (status != STATUS_OK)
        *err = why;
    else if (PQntuples(result) > 0)
        status = error_set_native(err, STATUS_ABORT, 1,
                                  "%s/%d: the position has changed: load it anew", fence->topic,
                                  fence->partition);
    else
        status = error_set_native(err, STATUS_ABORT, 0, "%s/%d: another agent owns the partition",
                                  fence->topic, fence->partition);
    return status;
}

/* So many at a time that each has its own place in the queue. */
#define FENCES_MAX (QUEUE_MAX - 4)

/* The first part begins the transaction, the last one sets the savepoint. */
static enum status fences_send(struct store_postgresql *self, const struct fence *fences,
                               size_t count, bool first, bool last, struct error *err)
{
    enum status status = STATUS_OK;
    size_t before = first ? 2 : 0;
    size_t failed = 0;
    struct error why = ERROR_INIT;
    if (first) {
        status = store_postgresql_send_sql(self, "BEGIN", &why);
        self->in_transaction = true;
        if (status == STATUS_OK) /* at COMMIT no event could be blamed */
            status = store_postgresql_send_sql(self, "SET CONSTRAINTS ALL IMMEDIATE", &why);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = fence_send(self, &fences[i], &why);
    if (last && status == STATUS_OK)
        status = store_postgresql_send_sql(self, "SAVEPOINT keepstep_batch", &why);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, &failed, &why);
    if (status == STATUS_REJECT && failed >= before && failed < before + count)
        return fence_lost(self, &fences[failed - before], err);
    if (status != STATUS_OK)
        *err = why;
    return status;
}

static enum status store_postgresql_begin(struct store *store, const struct fence *fences,
                                          size_t count, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = STATUS_OK;
    size_t done = 0;
    do {
        size_t part = count - done > FENCES_MAX ? FENCES_MAX : count - done;
        status = fences_send(self, part == 0 ? NULL : &fences[done], part, done == 0,
                             done + part == count, err);
        done += part;
    } while (status == STATUS_OK && done < count);
    return status;
}

/* Sent without waiting: what comes next says how it went. */
static enum status store_postgresql_savepoint(struct store *store, bool undo, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    if (undo)
        return store_postgresql_send_sql(self, "ROLLBACK TO SAVEPOINT keepstep_batch", err);
    enum status status = store_postgresql_send_sql(self, "RELEASE SAVEPOINT keepstep_batch", err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "SAVEPOINT keepstep_batch", err);
    return status;
}

static enum status store_postgresql_defer(struct store *store, bool on, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = store_postgresql_send_sql(
        self, on ? "SET CONSTRAINTS ALL DEFERRED" : "SET CONSTRAINTS ALL IMMEDIATE", err);
    return status == STATUS_OK ? store_postgresql_sync(self, NULL, err) : status;
}

/* Arrays of source, id and digest in self->arrays[0..2]. */
static enum status keys_encode(struct store_postgresql *self, const struct key_claim *claims,
                               size_t count, struct error *err)
{
    struct buffer *source = &self->arrays[0];
    struct buffer *id = &self->arrays[1];
    struct buffer *digest = &self->arrays[2];
    array_begin(source, WIRE_TEXT);
    array_begin(id, WIRE_TEXT);
    array_begin(digest, WIRE_INT8);
    for (size_t i = 0; i < count; i++) {
        array_append_text(source, claims[i].source);
        array_append_text(id, claims[i].id);
        array_append_integer(digest, (int64_t)claims[i].digest);
    }
    array_end(source, count);
    array_end(id, count);
    array_end(digest, count);
    if (source->failed || id->failed || digest->failed)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    return STATUS_OK;
}

/* Both in the form that they have in the database. */
static bool key_is(struct buffer *scratch, const PGresult *result, int row, int column,
                   struct slice text)
{
    buffer_reset(scratch);
    store_postgresql_encode(scratch, text);
    return slice_equal(buffer_slice(scratch), store_postgresql_bytes(result, row, column));
}

/* The rows that were stored come back in the claims' order. @return how many are not new. */
static size_t keys_match(struct store_postgresql *self, const PGresult *stored,
                         struct key_claim *claims, size_t count)
{
    size_t known = 0;
    int next = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_new = next < PQntuples(stored) &&
                      key_is(&self->scratch, stored, next, 0, claims[i].source) &&
                      key_is(&self->scratch, stored, next, 1, claims[i].id);
        claims[i].verdict = is_new ? KEY_NEW : KEY_CONFLICT;
        next += is_new;
        known += !is_new;
    }
    return known;
}

/* As a rule all are new, and a count says so; where one is not, again from the savepoint, with the
 * rows that are stored. @return OK with *ret_stored NULL where all are new. */
static enum status keys_add(struct store_postgresql *self, const struct parameter *parameters,
                            size_t parameter_count, size_t count, const PGresult **ret_stored,
                            struct error *err)
{
    const PGresult *added = NULL;
    *ret_stored = NULL;
    enum status status = store_postgresql_send_sql(self, "SAVEPOINT keepstep_keys", err);
    if (status == STATUS_OK)
        status = store_postgresql_run(self, STATEMENT_KEY_ADD, parameters, parameter_count, &added,
                                      err);
    if (status != STATUS_OK)
        return status;
    bool all = strtoul(PQcmdTuples((PGresult *)added), NULL, 10) == count;
    if (!all)
        status = store_postgresql_send_sql(self, "ROLLBACK TO SAVEPOINT keepstep_keys", err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "RELEASE SAVEPOINT keepstep_keys", err);
    if (status == STATUS_OK && !all)
        status = store_postgresql_run(self, STATEMENT_KEY_CLAIM, parameters, parameter_count,
                                      ret_stored, err);
    return status;
}

static enum status store_postgresql_claim_keys(struct store *store, struct key_claim *claims,
                                               size_t count, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    const PGresult *result = NULL;
    if (count == 0)
        return STATUS_OK;
    enum status status = keys_encode(self, claims, count, err);
    const struct parameter parameters[] = {parameter_bytes(buffer_slice(&self->arrays[0])),
                                           parameter_bytes(buffer_slice(&self->arrays[1])),
                                           parameter_bytes(buffer_slice(&self->arrays[2])),
                                           parameter_integer(clock_wall_us())};
    for (size_t i = 0; i < count; i++)
        claims[i].verdict = KEY_NEW;
    if (status == STATUS_OK)
        status = keys_add(self, parameters, 4, count, &result, err);
    if (status != STATUS_OK || result == NULL || keys_match(self, result, claims, count) == 0)
        return status;
    status = store_postgresql_run(self, STATEMENT_KEY_READ, parameters, 2, &result, err);
    for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++) {
        struct key_claim *claim = &claims[store_postgresql_integer(result, row, 0) - 1];
        if (claim->verdict == KEY_CONFLICT &&
            store_postgresql_integer(result, row, 1) == (int64_t)claim->digest)
            claim->verdict = KEY_DUPLICATE;
    }
    return status;
}

static enum status durable_send(struct store_postgresql *self, struct error *err)
{
    struct buffer *arrays = self->arrays;
    array_begin(&arrays[0], WIRE_TEXT);
    array_begin(&arrays[1], WIRE_INT8);
    array_begin(&arrays[2], WIRE_INT8);
    for (size_t i = 0; i < self->taken_count; i++) {
        array_append_text(&arrays[0], slice_of(self->taken[i].topic));
        array_append_integer(&arrays[1], self->taken[i].partition);
        array_append_integer(&arrays[2], self->taken[i].epoch);
    }
    for (size_t i = 0; i < 3; i++)
        array_end(&arrays[i], self->taken_count);
    if (arrays[0].failed || arrays[1].failed || arrays[2].failed)
        return error_set(err, STATUS_RETRY, "no memory for a durable commit");
    enum status status = store_postgresql_send_sql(self, "SET LOCAL synchronous_commit = on", err);
    if (status == STATUS_OK && self->taken_count > 0)
        status = store_postgresql_send(self, STATEMENT_POSITION_DURABLE,
                                       PARAMETERS(parameter_bytes(buffer_slice(&arrays[0])),
                                                  parameter_bytes(buffer_slice(&arrays[1])),
                                                  parameter_bytes(buffer_slice(&arrays[2]))),
                                       err);
    return status;
}

static enum status store_postgresql_commit(struct store *store, bool durable, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = STATUS_OK;
    if (durable)
        status = durable_send(self, err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_REJECT) /* a deferred constraint that apply did not see */
        status = err->status = STATUS_FATAL;
    if (status != STATUS_OK)
        return status;
    self->in_transaction = false;
    /* COMMIT of a transaction that has failed rolls back, and says so in its tag alone. */
    if (strcmp(PQcmdStatus(self->queue[self->queued - 1].result), "COMMIT") != 0)
        return error_set(err, STATUS_FATAL, "commit: the transaction had failed before");
    return STATUS_OK;
}

static enum status store_postgresql_prune(struct store *store, const struct prune *prune,
                                          size_t *ret_pruned, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct parameter limit = parameter_integer((int64_t)prune->limit);
    const PGresult *result = NULL;
    enum status status = store_postgresql_run(
        self, STATEMENT_KEY_PRUNE, PARAMETERS(parameter_integer(prune->keys_before_us), limit),
        &result, err);
    *ret_pruned = status == STATUS_OK ? strtoul(PQcmdTuples((PGresult *)result), NULL, 10) : 0;
    if (status == STATUS_OK)
        status = store_postgresql_run(
            self, STATEMENT_PARKED_PRUNE,
            PARAMETERS(parameter_integer(prune->skipped_before_us), limit), &result, err);
    return status;
}

/* The grants that stand before are of the schema that the search path finds. */
static void append_schema_grant(struct buffer *out, const char *table)
{
    const char *dot = table == NULL ? NULL : strchr(table, '.');
    if (dot == NULL)
        return;
    buffer_append_text(out, "GRANT USAGE ON SCHEMA ");
    postgresql_name_append(out, (struct slice){table, (size_t)(dot - table)});
    buffer_append_text(out, " TO keepstep_agent;\n");
}

static enum status store_postgresql_copy_sql(const struct mapping *mappings, size_t count,
                                             struct buffer *out, struct error *err)
{
    (void)err;
    buffer_append_text(out, SQL_GRANTS);
    for (size_t i = 0; i < count; i++) {
        store_postgresql_append_table(out, &mappings[i], "CREATE TABLE IF NOT EXISTS ");
        buffer_append_text(out, ";\nGRANT SELECT, INSERT, UPDATE, DELETE ON ");
        store_postgresql_append_name(out, &mappings[i]);
        buffer_append_text(out, " TO keepstep_agent;\n");
        append_schema_grant(out, mappings[i].entry->table);
    }
    return STATUS_OK;
}

const struct store_ops store_postgresql_ops = {
    .scheme = "postgresql",
    .install_sql = SQL_INSTALL,
    .copy_sql = store_postgresql_copy_sql,
    .open = store_postgresql_open,
    .close = store_postgresql_close,
    .places = store_postgresql_places,
    .prepare = store_postgresql_prepare,
    .order = store_postgresql_order,
    .meta = store_postgresql_meta,
    .read = store_postgresql_read,
    .list = store_postgresql_list,
    .take = store_postgresql_take,
    .begin = store_postgresql_begin,
    .savepoint = store_postgresql_savepoint,
    .defer = store_postgresql_defer,
    .read_pending = store_postgresql_read_pending,
    .claim_keys = store_postgresql_claim_keys,
    .apply = store_postgresql_apply,
    .record_sequences = store_postgresql_record_sequences,
    .park = store_postgresql_park,
    .read_parked = store_postgresql_read_parked,
    .edit_parked = store_postgresql_edit_parked,
    .superseded = store_postgresql_superseded,
    .commit = store_postgresql_commit,
    .rollback = store_postgresql_rollback,
    .prune = store_postgresql_prune,
};
