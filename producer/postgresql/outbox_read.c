/* The PostgreSQL outbox's other half: reading rows, and what an operator does. */
#include "producer/postgresql/outbox_internal.h"
#include "common/clock.h"
#include "producer/postgresql/array.h"
#include "producer_postgresql_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice outbox_postgresql_slice(const PGresult *result, int row, int column,
                                            struct arena *arena, bool *complete)
{
    struct slice text = postgresql_session_text(result, row, column);
    if (text.data == NULL)
        return text;
    text = arena_copy(arena, text);
    *complete = *complete && text.data != NULL;
    return text;
}

/* @return false where the arena is full. */
static bool outbox_postgresql_row(const PGresult *result, int row, struct arena *arena,
                                  struct outbox_row *ret_row)
{
    bool complete = true;
    *ret_row = (struct outbox_row){
        .position = postgresql_session_integer(result, row, 0),
        .id = outbox_postgresql_slice(result, row, 1, arena, &complete),
        .entity_type = outbox_postgresql_slice(result, row, 2, arena, &complete),
        .entity_key = outbox_postgresql_slice(result, row, 3, arena, &complete),
        .type = outbox_postgresql_slice(result, row, 4, arena, &complete),
        .payload = outbox_postgresql_slice(result, row, 5, arena, &complete),
        .created_at = outbox_postgresql_slice(result, row, 6, arena, &complete),
        .traceparent = outbox_postgresql_slice(result, row, 7, arena, &complete),
        .partition_key = outbox_postgresql_slice(result, row, 8, arena, &complete),
        .partition = (int32_t)postgresql_session_integer(result, row, 9),
        .sequence = (uint64_t)postgresql_session_integer(result, row, 10),
        .set_aside = outbox_postgresql_slice(result, row, 11, arena, &complete),
    };
    if (ret_row->payload.data == NULL)
        ret_row->left_out_bytes = postgresql_session_integer(result, row, 12);
    return complete;
}

/* Copies rows into the arena. Where it is full the rows so far are returned; with none at all that
 * is an error, unless `all` are asked for. */
static enum status outbox_postgresql_rows(const PGresult *result, bool all, struct arena *arena,
                                          struct outbox_row **ret_rows, size_t *ret_count,
                                          struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    size_t read = 0;
    *ret_rows = count == 0 ? NULL : arena_alloc(arena, count * sizeof **ret_rows);
    while (*ret_rows != NULL && read < count &&
           outbox_postgresql_row(result, (int)read, arena, &(*ret_rows)[read]))
        read++;
    *ret_count = read;
    if (read < count && (all || read == 0))
        return error_set(err, STATUS_FATAL, "outbox rows do not fit into %zu bytes",
                         arena->size_max);
    return STATUS_OK;
}

static enum status outbox_postgresql_load(struct outbox_postgresql *self, const char *sql,
                                          const struct slice *parameters, size_t count, bool all,
                                          struct arena *arena, struct outbox_row **ret_rows,
                                          size_t *ret_count, struct error *err)
{
    PGresult *result = NULL;
    enum status status = outbox_postgresql_query(self, sql, parameters, count, &result, err);
    if (status == STATUS_OK)
        status = outbox_postgresql_rows(result, all, arena, ret_rows, ret_count, err);
    PQclear(result);
    return status;
}

enum status outbox_postgresql_load_waiting(struct outbox *outbox,
                                           const struct outbox_extent *extent, struct arena *arena,
                                           struct outbox_row **ret_rows, size_t *ret_count,
                                           struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    const size_t bounds[] = {extent->rows, extent->payload_bytes, extent->total_bytes};
    char numbers[3][OUTBOX_NUMBER_SIZE];
    const char *const parameters[] = {numbers[0], numbers[1], numbers[2]};
    const struct outbox_step step = {SQL_LOAD_WAITING, parameters, 3, NULL};
    PGresult *result = NULL;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(numbers[i], sizeof numbers[i], "%zu", bounds[i]);
    enum status status = outbox_postgresql_run(self, &step, &result, err);
    if (status == STATUS_OK)
        status = outbox_postgresql_rows(result, false, arena, ret_rows, ret_count, err);
    PQclear(result);
    if (status == STATUS_OK && *ret_count > 0) {
        self->found_at_us = clock_monotonic_us();
        self->pause_us = 0;
        self->resume_at_us = 0;
    }
    return status;
}

enum status outbox_postgresql_load_claimed(struct outbox *outbox,
                                           const struct relay_partition *partition,
                                           struct arena *arena, struct outbox_row **ret_rows,
                                           size_t *ret_count, struct error *err)
{
    char numbers[2][OUTBOX_NUMBER_SIZE];
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", (int)partition->partition);
    (void)snprintf(numbers[1], sizeof numbers[1], "%" PRIu64, partition->acknowledged_sequence);
    const struct slice parameters[] = {slice_of(partition->topic), slice_of(numbers[0]),
                                       slice_of(numbers[1])};
    enum status status = outbox_postgresql_load(outbox_postgresql_of(outbox), SQL_LOAD_CLAIMED,
                                                parameters, 3, true, arena, ret_rows, ret_count,
                                                err);
    return status == STATUS_OK ? outbox_chain(partition, *ret_rows, *ret_count, err) : status;
}

enum status outbox_postgresql_find(struct outbox *outbox, struct slice id, struct arena *arena,
                                   struct outbox_row *ret_row, struct error *err)
{
    PGresult *result = NULL;
    bool complete = true;
    *ret_row = (struct outbox_row){0};
    enum status status = outbox_postgresql_query(outbox_postgresql_of(outbox), SQL_FIND_ROW, &id, 1,
                                                 &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0) {
        complete = outbox_postgresql_row(result, 0, arena, ret_row);
        ret_row->topic = outbox_postgresql_slice(result, 0, 13, arena, &complete).data;
    }
    PQclear(result);
    return complete ? status : error_set(err, STATUS_RETRY, "no memory for an outbox row");
}

enum status outbox_postgresql_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                                   struct arena *arena, struct outbox_row **ret_rows,
                                   size_t *ret_count, struct error *err)
{
    char numbers[2][OUTBOX_NUMBER_SIZE];
    (void)snprintf(numbers[0], sizeof numbers[0], "%zu", limit);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", (int)filter);
    const struct slice parameters[] = {slice_of(numbers[0]), slice_of(numbers[1])};
    return outbox_postgresql_load(outbox_postgresql_of(outbox), SQL_LIST_ROWS, parameters, 2, false,
                                  arena, ret_rows, ret_count, err);
}

enum status outbox_postgresql_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                    struct error *err)
{
    PGresult *result = NULL;
    *ret_counts = (struct outbox_counts){0};
    enum status status = outbox_postgresql_query(outbox_postgresql_of(outbox), SQL_COUNT_ROWS, NULL,
                                                 0, &result, err);
    if (status == STATUS_OK)
        *ret_counts = (struct outbox_counts){
            .waiting = postgresql_session_integer(result, 0, 0),
            .set_aside = postgresql_session_integer(result, 0, 1),
            .claimed = postgresql_session_integer(result, 0, 2),
            .oldest_waiting_us = postgresql_session_integer(result, 0, 3),
            .oldest_claimed_us = postgresql_session_integer(result, 0, 4)};
    PQclear(result);
    return status;
}

enum status outbox_postgresql_release(struct outbox *outbox, int64_t position, bool drop,
                                      struct error *err)
{
    char number[OUTBOX_NUMBER_SIZE];
    PGresult *result = NULL;
    (void)snprintf(number, sizeof number, "%" PRId64, position);
    struct slice parameter = slice_of(number);
    enum status status = outbox_postgresql_query(outbox_postgresql_of(outbox),
                                                 drop ? SQL_DROP_ROW : SQL_RETRY_ROW, &parameter, 1,
                                                 &result, err);
    if (status == STATUS_OK && strcmp(PQcmdTuples(result), "0") == 0)
        status = error_set(err, STATUS_REJECT, "no row at position %" PRId64 " is set aside",
                           position);
    PQclear(result);
    return status;
}

enum status outbox_postgresql_held_back(struct outbox *outbox, struct slice read_topics,
                                        char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    PGresult *result = NULL;
    ret_topic[0] = '\0';
    enum status status = outbox_postgresql_query(self, SQL_HAS_POSITION_TABLE, NULL, 0, &result,
                                                 err);
    bool can_tell = status == STATUS_OK && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    result = NULL;
    if (!can_tell)
        return status;
    status = outbox_postgresql_query(self, SQL_HELD_BACK, &read_topics, 1, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0)
        (void)snprintf(ret_topic, OUTBOX_NAME_SIZE, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return status;
}
