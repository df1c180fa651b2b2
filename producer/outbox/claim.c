/* What the relay writes into the outbox: numbers, acknowledgements, keys, rows set aside. */
#include "producer/outbox/sql.h"

#include <stdio.h>
#include <stdlib.h>

#define FEW_ROWS 3 /* each number of them is a prepared transaction of its own */

static enum status outbox_sql_no_memory(struct error *err)
{
    return error_set(err, STATUS_RETRY, "no memory");
}

static void outbox_sql_fetch_partition(const struct sql_session *session,
                                       struct relay_partition *ret_row)
{
    *ret_row = (struct relay_partition){
        .partition = (int32_t)sql_column_integer(session, 1),
        .last_sequence = (uint64_t)sql_column_integer(session, 2),
        .acknowledged_sequence = (uint64_t)sql_column_integer(session, 4),
        .acknowledged_offset = sql_column_integer(session, 5),
        .read_offset = sql_column_integer(session, 7)};
    sql_column_copy(session, 0, ret_row->topic, sizeof ret_row->topic);
    sql_column_copy(session, 3, ret_row->last_id, sizeof ret_row->last_id);
    sql_column_copy(session, 6, ret_row->acknowledged_id, sizeof ret_row->acknowledged_id);
}

enum status outbox_sql_load_partitions(struct outbox *outbox,
                                       struct relay_partition **ret_partitions, size_t *ret_count,
                                       struct error *err)
{
    struct sql_session *session = outbox_sql_of(outbox)->session;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    enum status status = sql_first(session, STATEMENT_LOAD_PARTITIONS, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        struct relay_partition *more = realloc(partitions, (count + 1) * sizeof *more);
        if (more == NULL) {
            status = outbox_sql_no_memory(err);
            break;
        }
        partitions = more;
        outbox_sql_fetch_partition(session, &partitions[count++]);
        status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status != STATUS_OK) {
        sql_judge_tables(session, err);
        free(partitions);
        return status;
    }
    *ret_partitions = partitions;
    *ret_count = count;
    return STATUS_OK;
}

static int outbox_sql_compare_first(const void *a, const void *b)
{
    int64_t one = ((const struct sql_parameter *)a)->integer;
    int64_t other = ((const struct sql_parameter *)b)->integer;
    return (one > other) - (one < other);
}

void outbox_sql_sort(void *rows, size_t count, size_t columns)
{
    qsort(rows, count, columns * sizeof(struct sql_parameter), outbox_sql_compare_first);
}

/* Position and key of each row that the relay made canonical. @return how many. */
static size_t outbox_sql_fill_keys(const struct outbox_row *rows, size_t count,
                                   struct sql_parameter (*keys)[2])
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].rekeyed)
            continue;
        keys[changed][0] = sql_integer(rows[i].position);
        keys[changed++][1] = sql_text(rows[i].entity_key);
    }
    outbox_sql_sort(keys, changed, 2);
    return changed;
}

static void outbox_sql_fill_numbers(const struct outbox_row *rows, size_t count,
                                    struct sql_parameter (*numbers)[4])
{
    for (size_t i = 0; i < count; i++) {
        numbers[i][0] = sql_integer(rows[i].position);
        numbers[i][1] = sql_integer(rows[i].partition);
        numbers[i][2] = sql_integer((int64_t)rows[i].sequence);
        numbers[i][3] = sql_integer((int64_t)rows[i].changeset_end);
    }
    outbox_sql_sort(numbers, count, 4);
}

static bool outbox_noted_has(const struct outbox_noted *noted, const struct outbox_row *row)
{
    for (size_t i = 0; i < noted->count; i++) {
        if (slice_is(row->entity_type, noted->types[i].entity_type) &&
            strcmp(row->topic, noted->types[i].topic) == 0)
            return true;
    }
    return false;
}

/* What does not fit is written by each claim. */
static void outbox_noted_add(struct outbox_noted *noted, struct sql_parameter (*types)[2],
                             size_t count)
{
    for (size_t i = 0; i < count && noted->count < OUTBOX_NOTED_MAX; i++) {
        size_t next = noted->count;
        if (types[i][0].text.length >= OUTBOX_NAME_SIZE ||
            types[i][1].text.length >= OUTBOX_NAME_SIZE)
            continue;
        (void)snprintf(noted->types[next].entity_type, OUTBOX_NAME_SIZE, "%.*s",
                       SLICE_ARGS(types[i][0].text));
        (void)snprintf(noted->types[next].topic, OUTBOX_NAME_SIZE, "%.*s",
                       SLICE_ARGS(types[i][1].text));
        noted->count++;
    }
}

/* Each entity type and its topic, once, without those that were noted. @return how many. */
static size_t outbox_sql_fill_types(const struct outbox_noted *noted, const struct outbox_row *rows,
                                    size_t count, struct sql_parameter (*types)[2])
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < found && !slice_equal(types[known][0].text, rows[i].entity_type))
            known++;
        if (known < found || outbox_noted_has(noted, &rows[i]))
            continue;
        types[found][0] = sql_text(rows[i].entity_type);
        types[found++][1] = sql_string(rows[i].topic);
    }
    return found;
}

static void outbox_sql_fill_partitions(const struct relay_partition *partitions, size_t count,
                                       struct sql_parameter (*values)[4])
{
    for (size_t i = 0; i < count; i++) {
        values[i][0] = sql_string(partitions[i].topic);
        values[i][1] = sql_integer(partitions[i].partition);
        values[i][2] = sql_integer((int64_t)partitions[i].last_sequence);
        values[i][3] = sql_string(partitions[i].last_id);
    }
}

/* @return the statement for one row, where the database has one and there are few. */
static enum outbox_statement outbox_sql_choose(const struct sql_session *session,
                                               enum outbox_statement many,
                                               enum outbox_statement one, size_t rows)
{
    return rows <= FEW_ROWS && sql_statement_text(session, one) != NULL ? one : many;
}

enum status outbox_sql_claim(struct outbox *outbox, const struct lease *lease,
                             const struct outbox_claim *claim, struct error *err)
{
    struct outbox_noted *noted = &outbox_sql_of(outbox)->noted;
    const struct sql_session *session = outbox_sql_of(outbox)->session;
    size_t rows = claim->row_count;
    if (noted->epoch != lease->epoch || noted->session != lease->session)
        *noted = (struct outbox_noted){.epoch = lease->epoch, .session = lease->session};
    struct sql_parameter(*keys)[2] = calloc(rows + 1, sizeof *keys);
    struct sql_parameter(*numbers)[4] = calloc(rows + 1, sizeof *numbers);
    struct sql_parameter(*types)[2] = calloc(rows + 1, sizeof *types);
    struct sql_parameter(*partitions)[4] = calloc(claim->partition_count + 1, sizeof *partitions);
    enum status status = STATUS_OK;
    if (keys == NULL || numbers == NULL || types == NULL || partitions == NULL) {
        status = outbox_sql_no_memory(err);
        goto out;
    }
    size_t key_count = outbox_sql_fill_keys(claim->rows, rows, keys);
    size_t type_count = outbox_sql_fill_types(noted, claim->rows, rows, types);
    outbox_sql_fill_numbers(claim->rows, rows, numbers);
    outbox_sql_fill_partitions(claim->partitions, claim->partition_count, partitions);
    const struct sql_step steps[] = {
        {.statement = STATEMENT_JOIN_BY_HASH, .rows = key_count > 0 || rows > FEW_ROWS},
        {.statement = STATEMENT_WRITE_KEYS,
         .parameters = keys[0],
         .columns = 2,
         .rows = key_count,
         .if_missed = "the key of an outbox row was not written"},
        {.statement = outbox_sql_choose(session, STATEMENT_CLAIM_ROWS, STATEMENT_CLAIM_ROW, rows),
         .parameters = numbers[0],
         .columns = 4,
         .rows = rows,
         .if_missed = "not all rows of the claim were waiting still, or the statement was cut off"},
        {.statement = STATEMENT_CLAIM_TYPES,
         .parameters = types[0],
         .columns = 2,
         .rows = type_count},
        {.statement = outbox_sql_choose(session, STATEMENT_CLAIM_PARTITIONS,
                                        STATEMENT_CLAIM_PARTITION, claim->partition_count),
         .parameters = partitions[0],
         .columns = 4,
         .rows = claim->partition_count}};
    status = outbox_sql_run_fenced(outbox_sql_of(outbox), lease, steps,
                                   sizeof steps / sizeof *steps, err);
    if (status == STATUS_OK)
        outbox_noted_add(noted, types, type_count);
out:
    free(keys);
    free(numbers);
    free(types);
    free(partitions);
    return status;
}

enum status outbox_sql_acknowledge(struct outbox *outbox, const struct lease *lease,
                                   const struct relay_partition *partitions, size_t count,
                                   struct error *err)
{
    struct sql_parameter(*values)[5] = calloc(count + 1, sizeof *values);
    if (values == NULL)
        return outbox_sql_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        values[i][0] = sql_string(partitions[i].topic);
        values[i][1] = sql_integer(partitions[i].partition);
        values[i][2] = sql_integer((int64_t)partitions[i].acknowledged_sequence);
        values[i][3] = sql_integer(partitions[i].acknowledged_offset);
        values[i][4] = sql_string(partitions[i].acknowledged_id);
    }
    const struct sql_step step = {
        .statement = STATEMENT_ACKNOWLEDGE, .parameters = values[0], .columns = 5, .rows = count};
    enum status status = outbox_sql_run_fenced(outbox_sql_of(outbox), lease, &step, 1, err);
    free(values);
    return status;
}

enum status outbox_sql_note_read(struct outbox *outbox, const struct lease *lease,
                                 const struct relay_partition *partitions, size_t count,
                                 struct error *err)
{
    struct sql_parameter(*values)[3] = calloc(count + 1, sizeof *values);
    if (values == NULL)
        return outbox_sql_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        values[i][0] = sql_string(partitions[i].topic);
        values[i][1] = sql_integer(partitions[i].partition);
        values[i][2] = sql_integer(partitions[i].read_offset);
    }
    const struct sql_step step = {
        .statement = STATEMENT_NOTE_READ, .parameters = values[0], .columns = 3, .rows = count};
    enum status status = outbox_sql_run_fenced(outbox_sql_of(outbox), lease, &step, 1, err);
    free(values);
    return status;
}

enum status outbox_sql_write_keys(struct outbox *outbox, const struct lease *lease,
                                  const struct outbox_row *rows, size_t count, struct error *err)
{
    struct sql_parameter(*keys)[2] = calloc(count + 1, sizeof *keys);
    if (keys == NULL)
        return outbox_sql_no_memory(err);
    const struct sql_step steps[] = {{.statement = STATEMENT_JOIN_BY_HASH, .rows = 1},
                                     {.statement = STATEMENT_WRITE_KEYS,
                                      .parameters = keys[0],
                                      .columns = 2,
                                      .rows = outbox_sql_fill_keys(rows, count, keys),
                                      .if_missed = "the key of an outbox row was not written"}};
    enum status status = outbox_sql_run_fenced(outbox_sql_of(outbox), lease, steps, 2, err);
    free(keys);
    return status;
}
