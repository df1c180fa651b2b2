/* The MariaDB store's positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store/mariadb/internal.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define RANGES_MAX 32 /* of one message */

static enum status load_sequences(struct store_mariadb *self, struct partition_state *state,
                                  struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_SEQUENCE_READ,
        PARAMETERS(mariadb_string(state->topic), mariadb_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_mariadb_row(statement);
        status = store_row_add_sequence(&current, state, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    return status;
}

static enum status load_blocked(struct store_mariadb *self, struct partition_state *state,
                                struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_BLOCKED_READ,
        PARAMETERS(mariadb_string(state->topic), mariadb_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_mariadb_row(statement);
        status = store_row_add_blocked(&current, state, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    return status;
}

static enum status load_state(struct store_mariadb *self, struct partition_state *state,
                              struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = load_sequences(self, state, err);
    if (status == STATUS_OK && !self->read_only)
        status = load_blocked(self, state, err);
    if (status == STATUS_OK)
        status = store_mariadb_start(
            self, self->read_only ? STATEMENT_PARKED_COUNT : STATEMENT_PARKED_COUNT_BYTES,
            PARAMETERS(mariadb_string(state->topic), mariadb_integer(state->partition)), &statement,
            &row, err);
    if (status != STATUS_OK)
        return status;
    struct store_row counts = store_mariadb_row(statement);
    store_row_counts(&counts, state);
    mariadb_statement_end(statement);
    return STATUS_OK;
}

/* The position row alone; `exists` stays false without one. */
static enum status position_read(struct store_mariadb *self, const char *topic, int32_t partition,
                                 struct partition_state *state, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_POSITION_READ,
        PARAMETERS(mariadb_string(topic), mariadb_integer(partition)), &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    if (row) {
        struct store_row current = store_mariadb_row(statement);
        store_row_position(&current, state);
    }
    mariadb_statement_end(statement);
    return STATUS_OK;
}

/* Outside a transaction all statements read one snapshot; inside one the fence holds the row. */
static const char *const snapshot_sql[] = {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                                           "START TRANSACTION WITH CONSISTENT SNAPSHOT"};

enum status store_mariadb_read(struct store *store, const char *topic, int32_t partition,
                               struct partition_state *ret_state, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;

    *ret_state = partition_state_named(topic, partition);
    if (self->in_transaction)
        status = store_mariadb_write_ranges(self, err);
    for (size_t i = 0; !self->in_transaction && status == STATUS_OK && i < 2; i++)
        status = mariadb_session_execute(self->session, snapshot_sql[i], err);
    if (status == STATUS_OK)
        status = position_read(self, topic, partition, ret_state, err);
    if (status == STATUS_OK)
        status = load_state(self, ret_state, err);
    store_mariadb_release(self);
    if (status != STATUS_OK)
        partition_state_done(ret_state);
    return status;
}

enum status store_mariadb_list(struct store *store, struct partition_state **ret_states,
                               size_t *ret_count, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_statement *statement = NULL;
    struct partition_state *states = NULL;
    size_t count = 0;
    bool row = false;
    enum status status = store_mariadb_start(self, STATEMENT_POSITION_LIST, NULL, 0, &statement,
                                             &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_mariadb_row(statement);
        status = store_row_add_state(&current, &states, &count, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    store_mariadb_release(self);
    if (status != STATUS_OK) {
        free(states);
        return status;
    }
    *ret_states = states;
    *ret_count = count;
    return STATUS_OK;
}

static enum status position_take(struct store_mariadb *self, const struct partition_state *state,
                                 struct partition_state *stored, struct error *err)
{
    struct mariadb_parameter next_offset = mariadb_integer(state->next_offset);
    enum status status = store_mariadb_run(
        self, STATEMENT_POSITION_TAKE,
        PARAMETERS(mariadb_string(state->topic), mariadb_integer(state->partition), next_offset,
                   next_offset, mariadb_string(state->token), mariadb_string(state->cluster_id),
                   mariadb_integer(state->partition_count), mariadb_integer(state->partial),
                   mariadb_integer(clock_wall_us())),
        NULL, err);
    if (status == STATUS_OK)
        status = position_read(self, state->topic, state->partition, stored, err);
    if (status == STATUS_OK)
        status = load_state(self, stored, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    return status;
}

enum status store_mariadb_take(struct store *store, struct partition_state *state,
                               struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct partition_state stored = partition_state_named(state->topic, state->partition);
    self->in_transaction = true;
    enum status status = position_take(self, state, &stored, err);
    store_mariadb_rollback(store);
    if (status != STATUS_OK) {
        partition_state_done(&stored);
        return status;
    }
    stored.exists = stored.epoch > 1; /* a row begins with epoch 1 */
    partition_state_done(state);
    *state = stored;
    return STATUS_OK;
}

enum status store_mariadb_write_ranges(struct store_mariadb *self, struct error *err)
{
    enum { COLUMNS = 8 };
    struct mariadb_parameter values[RANGES_MAX * COLUMNS];
    size_t count = self->range_count;
    for (size_t i = 0; i < count; i++) {
        const struct range *range = &self->ranges[i];
        const struct sequence_state *state = &range->state;
        struct mariadb_parameter *row = &values[i * COLUMNS];
        row[0] = mariadb_bytes(slice_of(state->source));
        row[1] = mariadb_bytes(slice_of(state->incarnation));
        row[2] = mariadb_string(range->topic);
        row[3] = mariadb_integer(range->partition);
        row[4] = mariadb_integer((int64_t)state->base);
        row[5] = mariadb_integer((int64_t)state->last);
        row[6] = mariadb_bytes(slice_of(state->last_id));
        row[7] = mariadb_bytes(
            (struct slice){.data = (const char *)state->digests, .length = sizeof state->digests});
    }
    self->range_count = 0;
    if (count == 0)
        return STATUS_OK;
    return store_mariadb_run_rows(self, STATEMENT_SEQUENCE_WRITE, values, COLUMNS, count, NULL,
                                  err);
}

/* Written before the COMMIT, all partitions' together: each message costs as much as a range. */
enum status store_mariadb_record_sequences(struct store *store, const char *topic,
                                           int32_t partition,
                                           const struct sequence_state *sequences, size_t count,
                                           struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    if (self->ranges == NULL)
        self->ranges = calloc(RANGES_MAX, sizeof *self->ranges);
    if (self->ranges == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (self->range_count == RANGES_MAX)
            status = store_mariadb_write_ranges(self, err);
        struct range *range = &self->ranges[self->range_count++];
        range->partition = partition;
        range->state = sequences[i];
        (void)snprintf(range->topic, sizeof range->topic, "%s", topic);
    }
    return status;
}
