/* The MariaDB store's positions: reading, listing and taking partitions, and their sequences. */
#include "consumer/store_mariadb_internal.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

static void position_fill(struct statement *statement, struct partition_state *state)
{
    store_mariadb_copy(statement, 0, state->topic, sizeof state->topic);
    state->partition = (int32_t)store_mariadb_integer(statement, 1);
    state->next_offset = store_mariadb_integer(statement, 2);
    state->durable_offset = store_mariadb_integer(statement, 3);
    state->epoch = store_mariadb_integer(statement, 4);
    state->revision = store_mariadb_integer(statement, 5);
    store_mariadb_copy(statement, 6, state->token, sizeof state->token);
    state->anchor_offset = store_mariadb_integer(statement, 7);
    store_mariadb_copy(statement, 8, state->anchor_id, sizeof state->anchor_id);
    store_mariadb_copy(statement, 9, state->cluster_id, sizeof state->cluster_id);
    state->partition_count = (int32_t)store_mariadb_integer(statement, 10);
    state->partial = store_mariadb_integer(statement, 11) != 0;
    store_mariadb_copy(statement, 12, state->stopped, sizeof state->stopped);
    state->exists = true;
}

/* One more element at the end of an array; NULL without memory. */
static void *array_grow(void **array, size_t count, size_t size)
{
    char *grown = realloc(*array, (count + 1) * size);
    if (grown == NULL)
        return NULL;
    *array = grown;
    memset(grown + count * size, 0, size);
    return grown + count * size;
}

static enum status load_sequences(struct store_mariadb *self, struct partition_state *state,
                                  struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_SEQUENCE_READ,
        PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        void *array = state->sequences;
        struct sequence_state *sequence = array_grow(&array, state->sequence_count,
                                                     sizeof *sequence);
        state->sequences = array;
        if (sequence == NULL) {
            store_mariadb_end(statement);
            return error_set(err, STATUS_RETRY, "out of memory");
        }
        state->sequence_count++;
        store_mariadb_copy(statement, 0, sequence->source, sizeof sequence->source);
        store_mariadb_copy(statement, 1, sequence->incarnation, sizeof sequence->incarnation);
        sequence->base = (uint64_t)store_mariadb_integer(statement, 2);
        sequence->last = (uint64_t)store_mariadb_integer(statement, 3);
        store_mariadb_copy(statement, 4, sequence->last_id, sizeof sequence->last_id);
        struct slice digests = store_mariadb_column(statement, 5);
        if (digests.length == sizeof sequence->digests)
            memcpy(sequence->digests, digests.data, sizeof sequence->digests);
        status = store_mariadb_next(statement, &row, err);
    }
    store_mariadb_end(statement);
    return status;
}

static enum status load_blocked(struct store_mariadb *self, struct partition_state *state,
                                struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_BLOCKED_READ,
        PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)), &statement,
        &row, err);
    while (status == STATUS_OK && row) {
        void *array = state->blocked;
        struct blocked_entity *entity = array_grow(&array, state->blocked_count, sizeof *entity);
        state->blocked = array;
        if (entity != NULL) {
            struct slice type = store_mariadb_column(statement, 0);
            struct slice key = store_mariadb_column(statement, 1);
            state->blocked_count++;
            entity->entity_type = strndup(type.data, type.length);
            entity->entity_key = strndup(key.data, key.length);
        }
        if (entity == NULL || entity->entity_type == NULL || entity->entity_key == NULL) {
            store_mariadb_end(statement);
            return error_set(err, STATUS_RETRY, "out of memory");
        }
        status = store_mariadb_next(statement, &row, err);
    }
    store_mariadb_end(statement);
    return status;
}

static enum status load_state(struct store_mariadb *self, struct partition_state *state,
                              struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = load_sequences(self, state, err);
    if (status == STATUS_OK)
        status = load_blocked(self, state, err);
    if (status == STATUS_OK)
        status = store_mariadb_start(
            self, STATEMENT_PARKED_COUNT,
            PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition)),
            &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    state->parked_count = store_mariadb_integer(statement, 0);
    state->waiting_count = store_mariadb_integer(statement, 1);
    store_mariadb_end(statement);
    return STATUS_OK;
}

/* The position row alone; `exists` stays false without one. */
static enum status position_read(struct store_mariadb *self, const char *topic, int32_t partition,
                                 struct partition_state *state, struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_POSITION_READ,
        PARAMETERS(parameter_text(topic), parameter_integer(partition)), &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    if (row)
        position_fill(statement, state);
    store_mariadb_end(statement);
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

    *ret_state = (struct partition_state){.partition = partition, .anchor_offset = -1};
    (void)snprintf(ret_state->topic, sizeof ret_state->topic, "%s", topic);
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
    struct statement *statement = NULL;
    void *array = NULL;
    size_t count = 0;
    bool row = false;
    enum status status = store_mariadb_start(self, STATEMENT_POSITION_LIST, NULL, 0, &statement,
                                             &row, err);
    while (status == STATUS_OK && row) {
        struct partition_state *state = array_grow(&array, count, sizeof *state);
        if (state == NULL) {
            status = error_set(err, STATUS_RETRY, "out of memory");
            break;
        }
        position_fill(statement, state);
        count++;
        status = store_mariadb_next(statement, &row, err);
    }
    store_mariadb_end(statement);
    store_mariadb_release(self);
    if (status != STATUS_OK) {
        free(array);
        return status;
    }
    *ret_states = array;
    *ret_count = count;
    return STATUS_OK;
}

static enum status position_take(struct store_mariadb *self, const struct partition_state *state,
                                 struct partition_state *stored, struct error *err)
{
    struct parameter next_offset = parameter_integer(state->next_offset);
    enum status status = store_mariadb_run(
        self, STATEMENT_POSITION_TAKE,
        PARAMETERS(parameter_text(state->topic), parameter_integer(state->partition), next_offset,
                   next_offset, parameter_text(state->token), parameter_text(state->cluster_id),
                   parameter_integer(state->partition_count), parameter_integer(state->partial),
                   parameter_integer(clock_wall_us())),
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
    struct partition_state stored = {.partition = state->partition, .anchor_offset = -1};
    (void)snprintf(stored.topic, sizeof stored.topic, "%s", state->topic);
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

enum status store_mariadb_record_sequences(struct store *store, const char *topic,
                                           int32_t partition,
                                           const struct sequence_state *sequences, size_t count,
                                           struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct sequence_state *sequence = &sequences[i];
        struct slice digests = {.data = (const char *)sequence->digests,
                                .length = sizeof sequence->digests};
        status = store_mariadb_run(
            self, STATEMENT_SEQUENCE_WRITE,
            PARAMETERS(parameter_bytes(sequence->source), parameter_bytes(sequence->incarnation),
                       parameter_text(topic), parameter_integer(partition),
                       parameter_integer((int64_t)sequence->base),
                       parameter_integer((int64_t)sequence->last),
                       parameter_bytes(sequence->last_id), parameter_blob(digests)),
            NULL, err);
    }
    return status;
}
