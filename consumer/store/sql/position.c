/* The SQL stores' positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store/sql/session.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define RANGES_MAX       32 /* sent together */
#define SEQUENCE_COLUMNS 8

/** An applied range of a partition. */
struct sql_range {
    char topic[STORE_NAME_SIZE];
    int32_t partition;
    struct sequence_state state; /* owns nothing */
};

static enum status read_position(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    store_row_position(row, context);
    return STATUS_OK;
}

static enum status read_sequence(void *context, struct store_row *row, struct error *err)
{
    return store_row_add_sequence(row, context, err);
}

static enum status read_counts(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    store_row_counts(row, context);
    return STATUS_OK;
}

static enum status read_blocked(void *context, struct store_row *row, struct error *err)
{
    return store_row_add_blocked(row, context, err);
}

/* Ask for everything of one partition. `exists` stays false if it has no position. */
static enum status state_ask(struct store_sql *self, const char *topic, int32_t partition,
                             struct partition_state *state, struct error *err)
{
    bool whole = !self->read_only || self->in_snapshot;
    const struct {
        enum statement_id id;
        sql_row_read *read;
    } parts[] = {
        {STATEMENT_POSITION_READ, read_position},
        {STATEMENT_SEQUENCE_READ, read_sequence},
        {!whole ? STATEMENT_PARKED_COUNT : STATEMENT_PARKED_COUNT_BYTES, read_counts},
        {STATEMENT_BLOCKED_READ, read_blocked},
    };
    const struct parameter parameters[] = {parameter_text(topic), parameter_integer(partition)};
    size_t count = whole ? 4 : 3;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_sql_ask(
            self, (struct sql_call){.id = parts[i].id, .parameters = parameters, .count = 2},
            parts[i].read, state, err);
    return status;
}

enum status store_sql_read(struct store *store, const char *topic, int32_t partition,
                           struct partition_state *ret_state, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    bool own = !self->in_transaction;
    *ret_state = partition_state_named(topic, partition);
    enum status status = own ? store_sql_transaction(self, SQL_SNAPSHOT, err)
                             : store_sql_write_ranges(self, err);
    if (status == STATUS_OK)
        status = state_ask(self, topic, partition, ret_state, err);
    if (status == STATUS_OK)
        status = own ? store_sql_finish(self, err) : store_sql_wait(self, err);
    if (status != STATUS_OK) {
        if (own)
            store_sql_rollback(store);
        partition_state_done(ret_state);
    }
    return status;
}

struct state_list {
    struct partition_state *states;
    size_t count;
};

static enum status read_state(void *context, struct store_row *row, struct error *err)
{
    struct state_list *list = context;
    return store_row_add_state(row, &list->states, &list->count, err);
}

enum status store_sql_list(struct store *store, struct partition_state **ret_states,
                           size_t *ret_count, struct error *err)
{
    struct state_list list = {0};
    enum status status = store_sql_query(store_sql_of(store), SQL_CALL_PLAIN(POSITION_LIST),
                                         read_state, &list, err);
    if (status != STATUS_OK) {
        free(list.states);
        return status;
    }
    *ret_states = list.states;
    *ret_count = list.count;
    return STATUS_OK;
}

static enum status take(struct store_sql *self, const struct partition_state *state,
                        struct partition_state *stored, struct error *err)
{
    enum status status = store_sql_transaction(self, SQL_DURABLE, err);
    if (status == STATUS_OK)
        status = store_sql_send(
            self,
            SQL_CALL(POSITION_TAKE, parameter_text(state->topic),
                     parameter_integer(state->partition), parameter_integer(state->next_offset),
                     parameter_text(state->token), parameter_text(state->cluster_id),
                     parameter_integer(state->partition_count), parameter_integer(state->partial),
                     parameter_integer(clock_wall_us())),
            err);
    if (status == STATUS_OK)
        status = state_ask(self, state->topic, state->partition, stored, err);
    return status == STATUS_OK ? store_sql_finish(self, err) : status;
}

enum status store_sql_take(struct store *store, struct partition_state *state, struct error *err)
{
    struct partition_state stored = partition_state_named(state->topic, state->partition);
    enum status status = take(store_sql_of(store), state, &stored, err);
    store_sql_rollback(store); /* ends also what begin() has set for the session */
    if (status != STATUS_OK) {
        partition_state_done(&stored);
        return status;
    }
    stored.exists = stored.epoch > 1; /* a row begins with epoch 1 */
    partition_state_done(state);
    *state = stored;
    return STATUS_OK;
}

enum status store_sql_write_ranges(struct store_sql *self, struct error *err)
{
    struct parameter values[RANGES_MAX * SEQUENCE_COLUMNS];
    size_t count = self->range_count;
    for (size_t i = 0; i < count; i++) {
        const struct sql_range *range = &self->ranges[i];
        const struct sequence_state *state = &range->state;
        struct parameter *row = &values[i * SEQUENCE_COLUMNS];
        row[0] = parameter_raw(slice_of(state->source));
        row[1] = parameter_raw(slice_of(state->incarnation));
        row[2] = parameter_text(range->topic);
        row[3] = parameter_integer(range->partition);
        row[4] = parameter_integer((int64_t)state->base);
        row[5] = parameter_integer((int64_t)state->last);
        row[6] = parameter_raw(slice_of(state->last_id));
        row[7] = parameter_bytes(
            (struct slice){.data = (const char *)state->digests, .length = sizeof state->digests});
    }
    self->range_count = 0;
    struct sql_call write = {
        .id = STATEMENT_SEQUENCE_WRITE, .parameters = values, .count = SEQUENCE_COLUMNS};
    return count == 0 ? STATUS_OK : self->session->send_rows(self, &write, count, err);
}

/* The ranges of all partitions are written together, before the COMMIT: fewer messages. */
enum status store_sql_record_sequence(struct store *store, const char *topic, int32_t partition,
                                      const struct sequence_state *sequence, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    enum status status = STATUS_OK;
    if (self->ranges == NULL)
        self->ranges = calloc(RANGES_MAX, sizeof *self->ranges);
    if (self->ranges == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    if (self->range_count == RANGES_MAX)
        status = store_sql_write_ranges(self, err);
    struct sql_range *range = &self->ranges[self->range_count++];
    range->partition = partition;
    range->state = *sequence;
    (void)snprintf(range->topic, sizeof range->topic, "%s", topic);
    return status;
}
