/* The PostgreSQL store's keys, durable COMMIT and grants; and its function table. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"
#include "consumer_postgresql_sql.h"

#include <stdlib.h>

/* Remember whose durable position is this session's to raise. */
static enum status taken_add(struct store_postgresql *self, const struct partition_state *state,
                             struct error *err)
{
    struct taken *taken = NULL;
    for (size_t i = 0; i < self->taken_count && taken == NULL; i++) {
        if (self->taken[i].partition == state->partition &&
            strcmp(self->taken[i].topic, state->topic) == 0)
            taken = &self->taken[i];
    }
    if (taken == NULL) {
        struct taken *grown = realloc(self->taken, (self->taken_count + 1) * sizeof *grown);
        if (grown == NULL)
            return error_set(err, STATUS_RETRY, "out of memory");
        self->taken = grown;
        taken = &self->taken[self->taken_count++];
        memcpy(taken->topic, state->topic, sizeof taken->topic);
        taken->partition = state->partition;
    }
    taken->epoch = state->epoch;
    return STATUS_OK;
}

static enum status store_postgresql_take(struct store *store, struct partition_state *state,
                                         struct error *err)
{
    enum status status = store_sql_take(store, state, err);
    return status == STATUS_OK ? taken_add(store_postgresql_of(store), state, err) : status;
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

enum status store_postgresql_commit(struct store_sql *sql, bool durable, struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    enum status status = STATUS_OK;
    if (durable)
        status = durable_send(self, err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    /* COMMIT of a transaction that has failed rolls back, and says so in its tag alone. */
    if (status == STATUS_OK &&
        strcmp(PQcmdStatus(self->queue[self->queued - 1].result), "COMMIT") != 0)
        status = error_set(err, STATUS_FATAL, "commit: the transaction had failed before");
    return status;
}

static enum status store_postgresql_copy_sql(const struct mapping *mappings, size_t count,
                                             struct buffer *out, struct error *err)
{
    struct copies copies = {.mappings = mappings, .count = count};
    return sql_copy_sql(&store_postgresql_dialect, &copies, out, err);
}

const struct store_ops store_postgresql_ops = {
    .scheme = "postgresql",
    .install_sql = SQL_INSTALL,
    .copy_sql = store_postgresql_copy_sql,
    .open = store_postgresql_open,
    .close = store_postgresql_close,
    .places = store_sql_places,
    .prepare = store_sql_prepare,
    .order = store_sql_order,
    .meta = store_sql_meta,
    .read = store_sql_read,
    .list = store_sql_list,
    .take = store_postgresql_take,
    .begin = store_sql_begin,
    .savepoint = store_sql_savepoint,
    .defer = store_postgresql_defer,
    .read_pending = store_sql_read_pending,
    .claim_keys = store_postgresql_claim_keys,
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
