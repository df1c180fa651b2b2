/* The outbox in a service's PostgreSQL database: lease, claim, acknowledgement and purge. */
#include "producer/postgresql/outbox_internal.h"
#include "common/clock.h"
#include "producer/postgresql/array.h"
#include "producer_postgresql_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define STEPS_MAX 8

static void outbox_postgresql_disconnect(struct outbox_postgresql *self)
{
    if (self->connection != NULL)
        self->base.session++;
    postgresql_session_close(self->connection);
    self->connection = NULL;
    self->asleep = false;
    self->prepared_count = 0;
}

enum status outbox_postgresql_judge(struct outbox_postgresql *self, enum status status,
                                    const struct error *err)
{
    bool lost = status == STATUS_RETRY && err != NULL && err->connection_lost;
    if (!lost && PQstatus(self->connection) == CONNECTION_OK)
        return status;
    outbox_postgresql_disconnect(self);
    return status;
}

/* An outbox fills and empties faster than its statistics follow: with those of an empty one the
 * planner would sort all that waits, again for each claim. Each statement here has an index that
 * gives its rows one by one and in order. */
static const char outbox_planner[] =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off";

enum status outbox_postgresql_ready(struct outbox_postgresql *self, struct error *err)
{
    const struct server_session_options options = {.url = self->url,
                                                   .application = "keepstep relay",
                                                   .wait_for_disk = true,
                                                   .read_only = self->read_only};
    if (self->connection != NULL)
        return STATUS_OK;
    enum status status = postgresql_session_open(&options, &self->connection, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(self->connection, outbox_planner, err);
    if (status == STATUS_OK && !self->read_only)
        status = postgresql_session_execute(self->connection, "LISTEN keepstep_outbox", err);
    return outbox_postgresql_judge(self, status, err);
}

enum status outbox_postgresql_query(struct outbox_postgresql *self, const char *sql,
                                    const struct slice *parameters, size_t count,
                                    PGresult **ret_result, struct error *err)
{
    enum status status = outbox_postgresql_ready(self, err);
    if (status != STATUS_OK)
        return status;
    status = postgresql_session_query(self->connection, sql, parameters, count, ret_result, err);
    return outbox_postgresql_judge(self, status, err);
}

/* Gives the name under which a statement is prepared in this session. */
static enum status outbox_postgresql_prepare(struct outbox_postgresql *self, const char *sql,
                                             char ret_name[OUTBOX_NUMBER_SIZE], struct error *err)
{
    size_t index = 0;
    while (index < self->prepared_count && self->prepared[index] != sql)
        index++;
    (void)snprintf(ret_name, OUTBOX_NUMBER_SIZE, "keepstep_%zu", index);
    if (index < self->prepared_count)
        return STATUS_OK;
    if (index == OUTBOX_PREPARED_MAX)
        return error_set(err, STATUS_FATAL, "too many prepared statements");
    PGresult *result = postgresql_session_last_result(
        self->connection, PQsendPrepare(self->connection, ret_name, sql, 0, NULL));
    enum status status = PQresultStatus(result) == PGRES_COMMAND_OK
                             ? STATUS_OK
                             : postgresql_session_error(self->connection, result, "outbox", err);
    PQclear(result);
    if (status == STATUS_OK)
        self->prepared[self->prepared_count++] = sql;
    return status;
}

enum status outbox_postgresql_run(struct outbox_postgresql *self, const struct outbox_step *step,
                                  PGresult **ret_result, struct error *err)
{
    char name[OUTBOX_NUMBER_SIZE];
    enum status status = outbox_postgresql_ready(self, err);
    if (status != STATUS_OK)
        return status;
    status = outbox_postgresql_prepare(self, step->sql, name, err);
    if (status == STATUS_OK) {
        *ret_result = postgresql_session_last_result(
            self->connection, PQsendQueryPrepared(self->connection, name, step->count,
                                                  step->parameters, NULL, NULL, 0));
        if (PQresultStatus(*ret_result) != PGRES_TUPLES_OK)
            status = postgresql_session_error(self->connection, *ret_result, "outbox", err);
    }
    return outbox_postgresql_judge(self, status, err);
}

/* Reads one step's result; those behind a failed one are skipped by the server. */
static enum status outbox_postgresql_step(struct outbox_postgresql *self,
                                          const struct outbox_step *step, enum status status,
                                          size_t *ret_changed, struct error *err)
{
    PGresult *result = postgresql_session_result(self->connection);
    ExecStatusType kind = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status != STATUS_OK)
        ; /* the first error counts */
    else if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK)
        *ret_changed = (size_t)strtoull(PQcmdTuples(result), NULL, 10);
    else if (step->broken != NULL && sqlstate != NULL &&
             strcmp(sqlstate, SQLSTATE_DIVISION_BY_ZERO) == 0)
        status = error_set(err, STATUS_ABORT, "%s", step->broken);
    else
        status = postgresql_session_error(self->connection, result, "outbox", err);
    PQclear(result);
    result = postgresql_session_result(self->connection); /* the step's end */
    PQclear(result);
    return status;
}

/* A pipeline up to its sync is one transaction; the commit is the sync's answer. */
static enum status outbox_postgresql_pipeline(struct outbox_postgresql *self,
                                              const struct outbox_step *steps, size_t count,
                                              size_t *ret_changed, struct error *err)
{
    PGconn *connection = self->connection;
    char names[STEPS_MAX][OUTBOX_NUMBER_SIZE];
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = outbox_postgresql_prepare(self, steps[i].sql, names[i], err);
    if (status != STATUS_OK)
        return status;
    int sent = PQenterPipelineMode(connection);
    for (size_t i = 0; sent == 1 && i < count; i++)
        sent = PQsendQueryPrepared(connection, names[i], steps[i].count, steps[i].parameters, NULL,
                                   NULL, 0);
    if (sent != 1 || PQpipelineSync(connection) != 1) {
        status = postgresql_session_error(connection, NULL, "outbox", err);
        outbox_postgresql_disconnect(self); /* nothing is durable, and little is known */
        return status;
    }
    for (size_t i = 0; i < count; i++)
        status = outbox_postgresql_step(self, &steps[i], status, ret_changed, err);
    PGresult *end = postgresql_session_result(connection);
    if (status == STATUS_OK && PQresultStatus(end) != PGRES_PIPELINE_SYNC)
        status = postgresql_session_error(connection, end, "outbox: COMMIT", err);
    PQclear(end);
    if (PQexitPipelineMode(connection) != 1)
        postgresql_session_rollback(connection);
    return status;
}

enum status outbox_postgresql_fenced(struct outbox_postgresql *self, const struct lease *lease,
                                     const struct outbox_step *steps, size_t count,
                                     size_t *ret_changed, struct error *err)
{
    char numbers[2][OUTBOX_NUMBER_SIZE];
    const char *const fence[] = {numbers[0], numbers[1]};
    struct outbox_step all[STEPS_MAX];
    size_t changed = 0;
    if (count >= STEPS_MAX)
        return error_set(err, STATUS_FATAL, "too many steps");
    (void)snprintf(numbers[0], sizeof numbers[0], "%" PRId64, lease->epoch);
    (void)snprintf(numbers[1], sizeof numbers[1], "%" PRId64, clock_wall_us() + self->lease_us);
    all[0] = (struct outbox_step){SQL_FENCE, fence, 2, OUTBOX_LEASE_TAKEN};
    if (count > 0)
        memcpy(&all[1], steps, count * sizeof *steps);
    enum status status = outbox_postgresql_ready(self, err);
    if (status != STATUS_OK)
        return status;
    if (lease->session != self->base.session)
        return error_set(err, STATUS_RETRY, OUTBOX_NEW_SESSION);
    status = outbox_postgresql_pipeline(self, all, count + 1, &changed, err);
    if (ret_changed != NULL)
        *ret_changed = changed;
    return self->connection == NULL ? status : outbox_postgresql_judge(self, status, err);
}

static void outbox_postgresql_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    postgresql_session_close(self->connection);
    free(self->url);
    free(self->origin);
    free(self->instance);
    free(self);
}

static void outbox_postgresql_copy(char *target, size_t size, struct slice text)
{
    (void)snprintf(target, size, "%.*s", SLICE_ARGS(text));
}

static enum status outbox_postgresql_lease(struct outbox_postgresql *self, const char *sql,
                                           struct lease *ret_lease, struct error *err)
{
    PGresult *result = NULL;
    enum status status = outbox_postgresql_query(self, sql, NULL, 0, &result, err);
    if (status != STATUS_OK)
        return status;
    if (PQntuples(result) > 0) {
        outbox_postgresql_copy(ret_lease->origin, sizeof ret_lease->origin,
                               postgresql_session_text(result, 0, 0));
        outbox_postgresql_copy(ret_lease->incarnation, sizeof ret_lease->incarnation,
                               postgresql_session_text(result, 0, 1));
        outbox_postgresql_copy(ret_lease->holder, sizeof ret_lease->holder,
                               postgresql_session_text(result, 0, 2));
        ret_lease->epoch = postgresql_session_integer(result, 0, 3);
        ret_lease->until_us = postgresql_session_integer(result, 0, 4);
        outbox_postgresql_copy(ret_lease->not_durable, sizeof ret_lease->not_durable,
                               postgresql_session_text(result, 0, 5));
    } else {
        status = outbox_refuse_no_relay(err);
    }
    PQclear(result);
    return status;
}

static enum status outbox_postgresql_read_lease(struct outbox *outbox, struct lease *ret_lease,
                                                struct error *err)
{
    return outbox_postgresql_lease(outbox_postgresql_of(outbox), SQL_READ_LEASE, ret_lease, err);
}

static enum status outbox_postgresql_open(const struct outbox_options *options,
                                          struct outbox **ret_outbox, struct error *err)
{
    struct lease lease;
    struct outbox_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->base.ops = &outbox_postgresql_ops;
    self->read_only = options->read_only;
    self->url = strdup(options->path);
    self->origin = strdup(options->service);
    self->instance = strdup(options->instance == NULL ? "" : options->instance);
    enum status status = STATUS_OK;
    if (self->url == NULL || self->origin == NULL || self->instance == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    else
        status = outbox_postgresql_lease(self, SQL_READ_LEASE, &lease, err);
    if (status == STATUS_FATAL && err != NULL &&
        err->native_code == postgresql_sqlstate_code(SQLSTATE_UNDEFINED_TABLE)) {
        err->exit_code = EX_CONFIG;
        error_prefix(err, "the database has no outbox of Keepstep's; run `keepstep init`");
    }
    if (status == STATUS_OK)
        *ret_outbox = &self->base;
    else
        outbox_postgresql_close(&self->base);
    return status;
}

static enum status outbox_postgresql_judge_lease(const struct outbox_postgresql *self,
                                                 const struct lease *lease, struct error *err)
{
    if (strcmp(lease->origin, self->origin) != 0) {
        if (err != NULL)
            err->exit_code = EX_CONFIG;
        return error_set(err, STATUS_FATAL,
                         "the outbox belongs to service %s, not %s: correct `service:`",
                         lease->origin, self->origin);
    }
    if (lease->holder[0] != '\0' && strcmp(lease->holder, self->instance) != 0 &&
        lease->until_us > clock_wall_us())
        return error_set(err, STATUS_ABORT, "another relay holds the lease: instance %s",
                         lease->holder);
    return STATUS_OK;
}

static enum status outbox_postgresql_take_lease(struct outbox *outbox, int64_t duration_us,
                                                struct lease *ret_lease, struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    struct lease lease = {0};
    char until[OUTBOX_NUMBER_SIZE];
    enum status status = outbox_postgresql_query(self, "BEGIN", NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = outbox_postgresql_lease(self, SQL_HOLD_LEASE, &lease, err);
    if (status == STATUS_OK)
        status = outbox_postgresql_judge_lease(self, &lease, err);
    lease.until_us = clock_wall_us() + duration_us;
    lease.epoch++;
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", self->instance);
    (void)snprintf(until, sizeof until, "%" PRId64, lease.until_us);
    const struct slice parameters[] = {slice_of(self->instance), slice_of(until)};
    if (status == STATUS_OK)
        status = outbox_postgresql_query(self, SQL_TAKE_LEASE, parameters, 2, NULL, err);
    if (status == STATUS_OK)
        status = outbox_postgresql_query(self, "COMMIT", NULL, 0, NULL, err);
    if (status != STATUS_OK) {
        postgresql_session_rollback(self->connection);
        return status;
    }
    self->lease_us = duration_us;
    *ret_lease = lease;
    ret_lease->session = self->base.session;
    return STATUS_OK;
}

static enum status outbox_postgresql_release_lease(struct outbox *outbox, const struct lease *lease,
                                                   struct error *err)
{
    char epoch[OUTBOX_NUMBER_SIZE];
    (void)snprintf(epoch, sizeof epoch, "%" PRId64, lease->epoch);
    struct slice parameter = slice_of(epoch);
    return outbox_postgresql_query(outbox_postgresql_of(outbox), SQL_RELEASE_LEASE, &parameter, 1,
                                   NULL, err);
}

static enum status outbox_postgresql_load_partitions(struct outbox *outbox,
                                                     struct relay_partition **ret_partitions,
                                                     size_t *ret_count, struct error *err)
{
    PGresult *result = NULL;
    enum status status = outbox_postgresql_query(outbox_postgresql_of(outbox), SQL_LOAD_PARTITIONS,
                                                 NULL, 0, &result, err);
    if (status == STATUS_FATAL && err != NULL &&
        err->native_code == postgresql_sqlstate_code(SQLSTATE_UNDEFINED_TABLE)) {
        err->exit_code = EX_CONFIG;
        error_prefix(err, OUTBOX_OLD_TABLES);
    }
    if (status != STATUS_OK)
        return status;
    size_t count = (size_t)PQntuples(result);
    struct relay_partition *partitions = calloc(count + 1, sizeof *partitions);
    for (size_t i = 0; partitions != NULL && i < count; i++) {
        struct relay_partition *row = &partitions[i];
        outbox_postgresql_copy(row->topic, sizeof row->topic,
                               postgresql_session_text(result, (int)i, 0));
        row->partition = (int32_t)postgresql_session_integer(result, (int)i, 1);
        row->last_sequence = (uint64_t)postgresql_session_integer(result, (int)i, 2);
        outbox_postgresql_copy(row->last_id, sizeof row->last_id,
                               postgresql_session_text(result, (int)i, 3));
        row->acknowledged_sequence = (uint64_t)postgresql_session_integer(result, (int)i, 4);
        row->acknowledged_offset = postgresql_session_integer(result, (int)i, 5);
        outbox_postgresql_copy(row->acknowledged_id, sizeof row->acknowledged_id,
                               postgresql_session_text(result, (int)i, 6));
        row->read_offset = postgresql_session_integer(result, (int)i, 7);
    }
    PQclear(result);
    if (partitions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    *ret_partitions = partitions;
    *ret_count = count;
    return STATUS_OK;
}

#define ARRAYS_MAX 11

/* Ends the arrays and names them; @return false where one grew too large. */
static bool outbox_postgresql_arrays(struct buffer *arrays, size_t count, const char **ret_texts)
{
    bool complete = true;
    for (size_t i = 0; i < count; i++) {
        (void)postgresql_array_end(&arrays[i]);
        ret_texts[i] = buffer_text(&arrays[i]);
        complete = complete && !arrays[i].failed;
    }
    return complete;
}

/* Fills two arrays: position and key of each row that the relay made canonical. @return how many.
 */
static size_t outbox_postgresql_keys(struct buffer *arrays, const struct outbox_row *rows,
                                     size_t count)
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].rekeyed)
            continue;
        postgresql_array_integer(&arrays[0], rows[i].position);
        postgresql_array_text(&arrays[1], rows[i].entity_key);
        changed++;
    }
    return changed;
}

static enum status outbox_postgresql_claim(struct outbox *outbox, const struct lease *lease,
                                           const struct outbox_row *rows, size_t row_count,
                                           const struct relay_partition *partitions,
                                           size_t partition_count, struct error *err)
{
    struct buffer arrays[ARRAYS_MAX];
    const char *texts[ARRAYS_MAX];
    for (size_t i = 0; i < ARRAYS_MAX; i++)
        buffer_init(&arrays[i], POSTGRESQL_ARRAY_SIZE_MAX);
    for (size_t i = 0; i < row_count; i++) {
        postgresql_array_integer(&arrays[0], rows[i].position);
        postgresql_array_integer(&arrays[1], rows[i].partition);
        postgresql_array_integer(&arrays[2], (int64_t)rows[i].sequence);
        if (i > 0 && slice_equal(rows[i].entity_type, rows[i - 1].entity_type))
            continue;
        postgresql_array_text(&arrays[3], rows[i].entity_type);
        postgresql_array_text(&arrays[4], slice_of(rows[i].topic));
    }
    for (size_t i = 0; i < partition_count; i++) {
        postgresql_array_text(&arrays[5], slice_of(partitions[i].topic));
        postgresql_array_integer(&arrays[6], partitions[i].partition);
        postgresql_array_integer(&arrays[7], (int64_t)partitions[i].last_sequence);
        postgresql_array_text(&arrays[8], slice_of(partitions[i].last_id));
    }
    bool rekeyed = outbox_postgresql_keys(&arrays[9], rows, row_count) > 0;
    bool complete = outbox_postgresql_arrays(arrays, ARRAYS_MAX, texts);
    struct outbox_step steps[5];
    size_t count = 0;
    steps[count++] = (struct outbox_step){SQL_JOIN_BY_HASH, NULL, 0, NULL};
    if (rekeyed)
        steps[count++] = (struct outbox_step){SQL_WRITE_KEYS, texts + 9, 2, NULL};
    steps[count++] = (struct outbox_step){SQL_CLAIM_ROWS, texts, 3,
                                          "an outbox row is no longer waiting"};
    steps[count++] = (struct outbox_step){SQL_CLAIM_TYPES, texts + 3, 2, NULL};
    steps[count++] = (struct outbox_step){SQL_CLAIM_PARTITIONS, texts + 5, 4, NULL};
    enum status status = complete ? outbox_postgresql_fenced(outbox_postgresql_of(outbox), lease,
                                                             steps, count, NULL, err)
                                  : error_set(err, STATUS_RETRY, "no memory for the claim");
    for (size_t i = 0; i < ARRAYS_MAX; i++)
        buffer_done(&arrays[i]);
    return status;
}

/** Run one fenced statement with the partitions' columns as its parameters, which are given back.
 */
static enum status outbox_postgresql_write_lanes(struct outbox *outbox, const struct lease *lease,
                                                 struct outbox_step step, struct buffer *arrays,
                                                 struct error *err)
{
    const char *texts[ARRAYS_MAX];
    size_t columns = (size_t)step.count;
    bool complete = outbox_postgresql_arrays(arrays, columns, texts);
    step.parameters = texts;
    enum status status = complete ? outbox_postgresql_fenced(outbox_postgresql_of(outbox), lease,
                                                             &step, 1, NULL, err)
                                  : error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < columns; i++)
        buffer_done(&arrays[i]);
    return status;
}

static enum status outbox_postgresql_acknowledge(struct outbox *outbox, const struct lease *lease,
                                                 const struct relay_partition *partitions,
                                                 size_t count, struct error *err)
{
    enum { COLUMNS = 5 };
    struct buffer arrays[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++)
        buffer_init(&arrays[i], POSTGRESQL_ARRAY_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        postgresql_array_text(&arrays[0], slice_of(partitions[i].topic));
        postgresql_array_integer(&arrays[1], partitions[i].partition);
        postgresql_array_integer(&arrays[2], (int64_t)partitions[i].acknowledged_sequence);
        postgresql_array_text(&arrays[3], slice_of(partitions[i].acknowledged_id));
        postgresql_array_integer(&arrays[4], partitions[i].acknowledged_offset);
    }
    return outbox_postgresql_write_lanes(
        outbox, lease, (struct outbox_step){SQL_ACKNOWLEDGE, NULL, COLUMNS, NULL}, arrays, err);
}

static enum status outbox_postgresql_note_read(struct outbox *outbox, const struct lease *lease,
                                               const struct relay_partition *partitions,
                                               size_t count, struct error *err)
{
    enum { COLUMNS = 3 };
    struct buffer arrays[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++)
        buffer_init(&arrays[i], POSTGRESQL_ARRAY_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        postgresql_array_text(&arrays[0], slice_of(partitions[i].topic));
        postgresql_array_integer(&arrays[1], partitions[i].partition);
        postgresql_array_integer(&arrays[2], partitions[i].read_offset);
    }
    return outbox_postgresql_write_lanes(
        outbox, lease, (struct outbox_step){SQL_NOTE_READ, NULL, COLUMNS, NULL}, arrays, err);
}

static enum status outbox_postgresql_set_aside(struct outbox *outbox, const struct lease *lease,
                                               const struct outbox_row *row, const char *reason,
                                               struct error *err)
{
    char position[OUTBOX_NUMBER_SIZE];
    char *key = strndup(row->entity_key.data == NULL ? "" : row->entity_key.data,
                        row->entity_key.length);
    if (key == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    (void)snprintf(position, sizeof position, "%" PRId64, row->position);
    const char *const parameters[] = {position, reason, key};
    const struct outbox_step step = {SQL_SET_ASIDE, parameters, 3, NULL};
    enum status status = outbox_postgresql_fenced(outbox_postgresql_of(outbox), lease, &step, 1,
                                                  NULL, err);
    free(key);
    return status;
}

static enum status outbox_postgresql_write_keys(struct outbox *outbox, const struct lease *lease,
                                                const struct outbox_row *rows, size_t count,
                                                struct error *err)
{
    struct buffer arrays[2];
    const char *texts[2];
    buffer_init(&arrays[0], POSTGRESQL_ARRAY_SIZE_MAX);
    buffer_init(&arrays[1], POSTGRESQL_ARRAY_SIZE_MAX);
    (void)outbox_postgresql_keys(arrays, rows, count);
    bool complete = outbox_postgresql_arrays(arrays, 2, texts);
    const struct outbox_step steps[] = {{SQL_JOIN_BY_HASH, NULL, 0, NULL},
                                        {SQL_WRITE_KEYS, texts, 2, NULL}};
    enum status status = complete ? outbox_postgresql_fenced(outbox_postgresql_of(outbox), lease,
                                                             steps, 2, NULL, err)
                                  : error_set(err, STATUS_RETRY, "no memory");
    buffer_done(&arrays[0]);
    buffer_done(&arrays[1]);
    return status;
}

static enum status outbox_postgresql_purge(struct outbox *outbox, const struct lease *lease,
                                           const struct outbox_purge *purge, size_t *ret_purged,
                                           struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    char before[CLOCK_TEXT_SIZE];
    char number[OUTBOX_NUMBER_SIZE];
    PGresult *result = NULL;
    *ret_purged = 0;
    enum status status = outbox_postgresql_query(self, SQL_HAS_POSITION_TABLE, NULL, 0, &result,
                                                 err);
    if (status != STATUS_OK)
        return status;
    bool applies = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    clock_format_utc(purge->before_us, before);
    (void)snprintf(number, sizeof number, "%zu", purge->limit);
    const char *const parameters[] = {before, number, purge->read_topics.data};
    const struct outbox_step step = {applies ? SQL_PURGE_APPLIED : SQL_PURGE, parameters,
                                     applies ? 3 : 2, NULL};
    return outbox_postgresql_fenced(self, lease, &step, 1, ret_purged, err);
}

const struct outbox_ops outbox_postgresql_ops = {
    .scheme = "postgresql",
    .open = outbox_postgresql_open,
    .close = outbox_postgresql_close,
    .take_lease = outbox_postgresql_take_lease,
    .release_lease = outbox_postgresql_release_lease,
    .load_partitions = outbox_postgresql_load_partitions,
    .load_waiting = outbox_postgresql_load_waiting,
    .claim = outbox_postgresql_claim,
    .move_type = outbox_postgresql_move_type,
    .load_claimed = outbox_postgresql_load_claimed,
    .acknowledge = outbox_postgresql_acknowledge,
    .note_read = outbox_postgresql_note_read,
    .set_aside = outbox_postgresql_set_aside,
    .write_keys = outbox_postgresql_write_keys,
    .find = outbox_postgresql_find,
    .purge = outbox_postgresql_purge,
    .held_back = outbox_postgresql_held_back,
    .wait = outbox_postgresql_wait,
    .list = outbox_postgresql_list,
    .count = outbox_postgresql_count,
    .release = outbox_postgresql_release,
    .read_lease = outbox_postgresql_read_lease,
};
