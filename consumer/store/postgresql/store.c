/* The PostgreSQL store's function table, its deferred constraints and its durable COMMIT. */
#include "consumer/store/postgresql/internal.h"

#include "consumer/store/sql/joint.h"
#include "consumer_postgresql_sql.h"

#include <stdlib.h>

/* Remember a partition that this session took: it raises the durable positions of these only. */
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

/* To defer is sent without waiting, because only what comes later can be refused for it. */
static enum status store_postgresql_defer(struct store *store, bool on, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = store_postgresql_send_sql(
        self, on ? "SET CONSTRAINTS ALL DEFERRED" : "SET CONSTRAINTS ALL IMMEDIATE", err);
    return status == STATUS_OK && !on ? store_postgresql_sync(self, NULL, err) : status;
}

/* It ends with the transaction. A server notices that its client is gone between two statements. */
static enum status store_postgresql_take_time(struct store *store, struct error *err)
{
    return store_postgresql_send_sql(store_postgresql_of(store), "SET LOCAL statement_timeout = 0",
                                     err);
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
        status = store_sql_send(&self->sql,
                                SQL_CALL(POSITION_DURABLE,
                                         parameter_bytes(buffer_slice(&arrays[0])),
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
    /* COMMIT of a transaction that has failed rolls back. Only its tag says so. */
    if (status == STATUS_OK &&
        strcmp(PQcmdStatus(self->queue[self->queued - 1].result), "COMMIT") != 0)
        status = error_set(err, STATUS_FATAL, "commit: the transaction had failed before");
    return status;
}

static enum status store_postgresql_copy_sql(const struct copies *copies, struct buffer *out,
                                             struct error *err)
{
    return sql_copy_sql(&store_postgresql_dialect, copies, out, err);
}

const struct store_ops store_postgresql_ops = {
    STORE_SQL_SLOTS,
    .scheme = "postgresql",
    .install_sql = SQL_INSTALL,
    .applied_sql = SQL_APPLIED,
    .copy_sql = store_postgresql_copy_sql,
    .open = store_postgresql_open,
    .close = store_postgresql_close,
    .order = store_sql_order,
    .take = store_postgresql_take,
    .defer = store_postgresql_defer,
    .take_time = store_postgresql_take_time,
    .read_pending = store_sql_read_pending,
    .claim_keys = store_postgresql_claim_keys,
    .snapshot = store_sql_snapshot,
    .joint = &joint_postgresql_ops,
};
