/* The SQLite store's positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store/sqlite/internal.h"

#include "common/clock.h"

#include <stdlib.h>

static enum status load_sequences(struct store_sqlite *self, struct partition_state *state,
                                  struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(
        self, STATEMENT_SEQUENCE_READ,
        PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_sqlite_row(statement);
        status = store_row_add_sequence(&current, state, err);
        if (status == STATUS_OK)
            status = store_sqlite_next(self, statement, &row, err);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    return status;
}

static enum status load_blocked(struct store_sqlite *self, struct partition_state *state,
                                struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(
        self, STATEMENT_BLOCKED_READ,
        PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_sqlite_row(statement);
        status = store_row_add_blocked(&current, state, err);
        if (status == STATUS_OK)
            status = store_sqlite_next(self, statement, &row, err);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    return status;
}

enum status store_sqlite_load(struct store_sqlite *self, struct partition_state *state,
                              struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = load_sequences(self, state, err);
    if (status == STATUS_OK && !self->read_only)
        status = load_blocked(self, state, err);
    if (status == STATUS_OK)
        status = store_sqlite_start(
            self, self->read_only ? STATEMENT_PARKED_COUNT : STATEMENT_PARKED_COUNT_BYTES,
            PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)),
            &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    struct store_row counts = store_sqlite_row(statement);
    store_row_counts(&counts, state);
    (void)sqlite3_reset(statement);
    return STATUS_OK;
}

/* The position row alone; `exists` stays false without one. */
static enum status position_read(struct store_sqlite *self, const char *topic, int32_t partition,
                                 struct partition_state *state, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(
        self, STATEMENT_POSITION_READ,
        PARAMETERS(parameter_text(topic), parameter_integer(partition)), &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    if (row) {
        struct store_row current = store_sqlite_row(statement);
        store_row_position(&current, state);
    }
    (void)sqlite3_reset(statement);
    return STATUS_OK;
}

enum status store_sqlite_read(struct store *store, const char *topic, int32_t partition,
                              struct partition_state *ret_state, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    bool own = sqlite3_get_autocommit(self->database) != 0;

    *ret_state = partition_state_named(topic, partition);
    /* One snapshot for all statements. */
    enum status status = own ? store_sqlite_execute(self, "BEGIN", err) : STATUS_OK;
    if (status == STATUS_OK)
        status = position_read(self, topic, partition, ret_state, err);
    if (status == STATUS_OK)
        status = store_sqlite_load(self, ret_state, err);
    if (own)
        store_sqlite_rollback(store);
    if (status != STATUS_OK)
        partition_state_done(ret_state);
    return status;
}

enum status store_sqlite_list(struct store *store, struct partition_state **ret_states,
                              size_t *ret_count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    sqlite3_stmt *statement = NULL;
    struct partition_state *states = NULL;
    size_t count = 0;
    bool row = false;
    enum status status = store_sqlite_start(self, STATEMENT_POSITION_LIST, NULL, 0, &statement,
                                            &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_sqlite_row(statement);
        status = store_row_add_state(&current, &states, &count, err);
        if (status == STATUS_OK)
            status = store_sqlite_next(self, statement, &row, err);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    if (status != STATUS_OK) {
        free(states);
        return status;
    }
    *ret_states = states;
    *ret_count = count;
    return STATUS_OK;
}

static enum status position_take(struct store_sqlite *self, struct partition_state *state,
                                 struct error *err)
{
    struct partition_state stored = partition_state_named(state->topic, state->partition);
    enum status status = position_read(self, state->topic, state->partition, &stored, err);
    bool existed = stored.exists;
    if (status == STATUS_OK)
        status = store_sqlite_run(
            self, STATEMENT_POSITION_TAKE,
            PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition),
                       parameter_integer(state->next_offset), parameter_text(state->token),
                       parameter_text(state->cluster_id), parameter_integer(state->partition_count),
                       parameter_integer(state->partial), parameter_integer(clock_wall_us())),
            NULL, err);
    if (status == STATUS_OK)
        status = position_read(self, state->topic, state->partition, &stored, err);
    if (status == STATUS_OK)
        status = store_sqlite_load(self, &stored, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    if (status != STATUS_OK) {
        partition_state_done(&stored);
        return status;
    }
    stored.exists = existed;
    partition_state_done(state);
    *state = stored;
    return STATUS_OK;
}

enum status store_sqlite_take(struct store *store, struct partition_state *state, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = store_sqlite_synchronous(self, true, err);
    if (status == STATUS_OK)
        status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = position_take(self, state, err);
    store_sqlite_rollback(store); /* also back to synchronous=NORMAL */
    return status;
}

enum status store_sqlite_record_sequences(struct store *store, const char *topic, int32_t partition,
                                          const struct sequence_state *sequences, size_t count,
                                          struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct sequence_state *sequence = &sequences[i];
        struct slice digests = {.data = (const char *)sequence->digests,
                                .length = sizeof sequence->digests};
        status = store_sqlite_run(
            self, STATEMENT_SEQUENCE_WRITE,
            PARAMETERS(parameter_text(sequence->source), parameter_text(sequence->incarnation),
                       parameter_text(topic), parameter_integer(partition),
                       parameter_integer((int64_t)sequence->base),
                       parameter_integer((int64_t)sequence->last),
                       parameter_text(sequence->last_id), parameter_blob(digests)),
            NULL, err);
    }
    return status;
}
