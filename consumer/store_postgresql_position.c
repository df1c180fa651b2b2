/* The PostgreSQL store's positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store_postgresql_internal.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

static void position_fill(const PGresult *result, int row, struct partition_state *state)
{
    store_postgresql_copy(result, row, 0, state->topic, sizeof state->topic);
    state->partition = (int32_t)store_postgresql_integer(result, row, 1);
    state->next_offset = store_postgresql_integer(result, row, 2);
    state->durable_offset = store_postgresql_integer(result, row, 3);
    state->epoch = store_postgresql_integer(result, row, 4);
    state->revision = store_postgresql_integer(result, row, 5);
    store_postgresql_copy(result, row, 6, state->token, sizeof state->token);
    state->anchor_offset = store_postgresql_integer(result, row, 7);
    store_postgresql_copy(result, row, 8, state->anchor_id, sizeof state->anchor_id);
    store_postgresql_copy(result, row, 9, state->cluster_id, sizeof state->cluster_id);
    state->partition_count = (int32_t)store_postgresql_integer(result, row, 10);
    state->partial = store_postgresql_integer(result, row, 11) != 0;
    store_postgresql_copy(result, row, 12, state->stopped, sizeof state->stopped);
    state->exists = true;
}

static enum status sequences_fill(const PGresult *result, struct partition_state *state,
                                  struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    state->sequences = calloc(count + 1, sizeof *state->sequences);
    if (state->sequences == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    state->sequence_count = count;
    for (size_t i = 0; i < count; i++) {
        struct sequence_state *sequence = &state->sequences[i];
        int row = (int)i;
        store_postgresql_copy(result, row, 0, sequence->source, sizeof sequence->source);
        store_postgresql_copy(result, row, 1, sequence->incarnation, sizeof sequence->incarnation);
        sequence->base = (uint64_t)store_postgresql_integer(result, row, 2);
        sequence->last = (uint64_t)store_postgresql_integer(result, row, 3);
        store_postgresql_copy(result, row, 4, sequence->last_id, sizeof sequence->last_id);
        struct slice digests = store_postgresql_bytes(result, row, 5);
        if (digests.length == sizeof sequence->digests)
            memcpy(sequence->digests, digests.data, sizeof sequence->digests);
    }
    return STATUS_OK;
}

#define BLOCKED_SIZE_MAX ((size_t)1024 * 1024)

static char *text_copy(const PGresult *result, int row, int column, struct arena *arena)
{
    struct slice text;
    arena_reset(arena);
    if (!store_postgresql_keep(result, row, column, arena, &text) || text.data == NULL)
        return NULL;
    return strndup(text.data, text.length);
}

static enum status blocked_fill(const PGresult *result, struct partition_state *state,
                                struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    enum status status = STATUS_OK;
    struct arena arena;
    state->blocked = calloc(count + 1, sizeof *state->blocked);
    if (state->blocked == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    state->blocked_count = count;
    arena_init(&arena, BLOCKED_SIZE_MAX);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct blocked_entity *entity = &state->blocked[i];
        entity->entity_type = text_copy(result, (int)i, 0, &arena);
        entity->entity_key = text_copy(result, (int)i, 1, &arena);
        if (entity->entity_type == NULL || entity->entity_key == NULL)
            status = error_set(err, STATUS_RETRY, "out of memory");
    }
    arena_done(&arena);
    return status;
}

/* Everything of one partition: four statements, whose results state_fill() reads. */
static enum status state_send(struct store_postgresql *self, const char *topic, int32_t partition,
                              struct error *err)
{
    static const enum statement_id ids[] = {STATEMENT_POSITION_READ, STATEMENT_SEQUENCE_READ,
                                            STATEMENT_BLOCKED_READ, STATEMENT_PARKED_COUNT};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && status == STATUS_OK; i++)
        status = store_postgresql_send(
            self, ids[i], PARAMETERS(parameter_text(topic), parameter_integer(partition)), err);
    return status;
}

static enum status state_fill(const struct queued *queue, struct partition_state *state,
                              struct error *err)
{
    if (PQntuples(queue[0].result) > 0)
        position_fill(queue[0].result, 0, state);
    enum status status = sequences_fill(queue[1].result, state, err);
    if (status == STATUS_OK)
        status = blocked_fill(queue[2].result, state, err);
    state->parked_count = store_postgresql_integer(queue[3].result, 0, 0);
    state->waiting_count = store_postgresql_integer(queue[3].result, 0, 1);
    if (status != STATUS_OK)
        partition_state_done(state);
    return status;
}

static struct partition_state state_named(const char *topic, int32_t partition)
{
    struct partition_state state = {.partition = partition, .anchor_offset = -1};
    (void)snprintf(state.topic, sizeof state.topic, "%s", topic);
    return state;
}

enum status store_postgresql_read(struct store *store, const char *topic, int32_t partition,
                                  struct partition_state *ret_state, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    bool own = !self->in_transaction;

    *ret_state = state_named(topic, partition);
    enum status status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && own) { /* one snapshot for all statements */
        status = store_postgresql_send_sql(self, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                                           err);
        self->in_transaction = true;
    }
    if (status == STATUS_OK)
        status = state_send(self, topic, partition, err);
    size_t first = self->queued - 4;
    if (status == STATUS_OK && own)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && own)
        self->in_transaction = false;
    if (status == STATUS_OK)
        status = state_fill(&self->queue[first], ret_state, err);
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
    size_t count = (size_t)PQntuples(result);
    struct partition_state *states = calloc(count + 1, sizeof *states);
    if (states == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (size_t i = 0; i < count; i++)
        position_fill(result, (int)i, &states[i]);
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
                             struct error *err)
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
        status = state_send(self, state->topic, state->partition, err);
    return status;
}

enum status store_postgresql_take(struct store *store, struct partition_state *state,
                                  struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct partition_state stored = state_named(state->topic, state->partition);
    enum status status = take_send(self, state, err);
    size_t first = self->queued - 4;
    if (status == STATUS_OK)
        status = store_postgresql_send_sql(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK)
        self->in_transaction = false;
    if (status == STATUS_OK)
        status = state_fill(&self->queue[first], &stored, err);
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
