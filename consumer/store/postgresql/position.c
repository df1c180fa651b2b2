/* The PostgreSQL store's positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"

#include <stdlib.h>

#define STATE_STATEMENTS 4

/* Everything of one partition: statements whose results state_fill() reads. */
static enum status state_send(struct store_postgresql *self, const char *topic, int32_t partition,
                              size_t *ret_first, struct error *err)
{
    const enum statement_id ids[STATE_STATEMENTS] = {
        STATEMENT_POSITION_READ, STATEMENT_SEQUENCE_READ,
        self->read_only ? STATEMENT_PARKED_COUNT : STATEMENT_PARKED_COUNT_BYTES,
        STATEMENT_BLOCKED_READ};
    size_t count = self->read_only ? STATE_STATEMENTS - 1 : STATE_STATEMENTS;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = store_postgresql_send(
            self, ids[i], PARAMETERS(parameter_text(topic), parameter_integer(partition)), err);
    *ret_first = self->queued - (status == STATUS_OK ? count : 0);
    return status;
}

static enum status state_fill(const struct store_postgresql *self, size_t first,
                              struct partition_state *state, struct error *err)
{
    const struct queued *queue = &self->queue[first];
    enum status status = STATUS_OK;
    struct store_row row = store_postgresql_row(queue[0].result, 0);
    if (PQntuples(queue[0].result) > 0)
        store_row_position(&row, state);
    for (int i = 0; i < PQntuples(queue[1].result) && status == STATUS_OK; i++) {
        row = store_postgresql_row(queue[1].result, i);
        status = store_row_add_sequence(&row, state, err);
    }
    row = store_postgresql_row(queue[2].result, 0);
    store_row_counts(&row, state);
    for (int i = 0; !self->read_only && i < PQntuples(queue[3].result) && status == STATUS_OK;
         i++) {
        row = store_postgresql_row(queue[3].result, i);
        status = store_row_add_blocked(&row, state, err);
    }
    if (status != STATUS_OK)
        partition_state_done(state);
    return status;
}

enum status store_postgresql_read(struct store *store, const char *topic, int32_t partition,
                                  struct partition_state *ret_state, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    bool own = !self->in_transaction;

    *ret_state = partition_state_named(topic, partition);
    enum status status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && own) { /* one snapshot for all statements */
        status = store_postgresql_send_sql(self, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                                           err);
        self->in_transaction = true;
    }
    size_t first = 0;
    if (status == STATUS_OK)
        status = state_send(self, topic, partition, &first, err);
    if (status == STATUS_OK && own)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && own)
        self->in_transaction = false;
    if (status == STATUS_OK)
        status = state_fill(self, first, ret_state, err);
    if (status != STATUS_OK && own)
        store_postgresql_rollback(store);
    return status;
}

enum status store_postgresql_list(struct store *store, struct partition_state **ret_states,
                                  size_t *ret_count, struct error *err)
{
    const PGresult *result = NULL;
    enum status status = store_postgresql_run(store_postgresql_of(store), STATEMENT_POSITION_LIST,
                                              NULL, 0, &result, err);
    if (status != STATUS_OK)
        return status;
    struct partition_state *states = NULL;
    size_t count = 0;
    for (int i = 0; i < PQntuples(result) && status == STATUS_OK; i++) {
        struct store_row row = store_postgresql_row(result, i);
        status = store_row_add_state(&row, &states, &count, err);
    }
    if (status != STATUS_OK) {
        free(states);
        return status;
    }
    *ret_states = states;
    *ret_count = count;
    return STATUS_OK;
}

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

static enum status take_send(struct store_postgresql *self, const struct partition_state *state,
                             size_t *ret_first, struct error *err)
{
    enum status status = store_postgresql_send_sql(self, "BEGIN", err);
    self->in_transaction = true;
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "SET LOCAL synchronous_commit = on", err);
    if (status == STATUS_OK)
        status = store_postgresql_send(
            self, STATEMENT_POSITION_TAKE,
            PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition),
                       parameter_integer(state->next_offset), parameter_text(state->token),
                       parameter_text(state->cluster_id), parameter_integer(state->partition_count),
                       parameter_integer(state->partial), parameter_integer(clock_wall_us())),
            err);
    if (status == STATUS_OK)
        status = state_send(self, state->topic, state->partition, ret_first, err);
    return status;
}

enum status store_postgresql_take(struct store *store, struct partition_state *state,
                                  struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct partition_state stored = partition_state_named(state->topic, state->partition);
    size_t first = 0;
    enum status status = take_send(self, state, &first, err);
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK)
        self->in_transaction = false;
    if (status == STATUS_OK)
        status = state_fill(self, first, &stored, err);
    if (status == STATUS_OK)
        status = taken_add(self, &stored, err);
    if (status != STATUS_OK) {
        store_postgresql_rollback(store);
        partition_state_done(&stored);
        return status;
    }
    stored.exists = stored.epoch > 1; /* a new row begins with 1 */
    partition_state_done(state);
    *state = stored;
    return STATUS_OK;
}

enum status store_postgresql_record_sequences(struct store *store, const char *topic,
                                              int32_t partition,
                                              const struct sequence_state *sequences, size_t count,
                                              struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct sequence_state *sequence = &sequences[i];
        struct slice digests = {.data = (const char *)sequence->digests,
                                .length = sizeof sequence->digests};
        status = store_postgresql_send(
            self, STATEMENT_SEQUENCE_WRITE,
            PARAMETERS(parameter_text(sequence->source), parameter_text(sequence->incarnation),
                       parameter_text(topic), parameter_integer(partition),
                       parameter_integer((int64_t)sequence->base),
                       parameter_integer((int64_t)sequence->last),
                       parameter_text(sequence->last_id), parameter_bytes(digests)),
            err);
    }
    return status;
}
