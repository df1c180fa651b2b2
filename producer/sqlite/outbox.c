/* The outbox in a service's SQLite database: lease, claim, acknowledgement and what people ask. */
#include "producer/sqlite/outbox_internal.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static const char *const OUTBOX_SQL[SQL_COUNT] = {
    [READ_LEASE] = SQL_READ_LEASE,
    [TAKE_LEASE] = SQL_TAKE_LEASE,
    [RELEASE_LEASE] = SQL_RELEASE_LEASE,
    [RENEW_LEASE] = SQL_RENEW_LEASE,
    [HOLD_LEASE] = SQL_HOLD_LEASE,
    [LOAD_PARTITIONS] = SQL_LOAD_PARTITIONS,
    [LOAD_WAITING] = SQL_LOAD_WAITING,
    [CLAIM_ROW] = SQL_CLAIM_ROW,
    [CLAIM_PARTITION] = SQL_CLAIM_PARTITION,
    [CLAIM_TYPE] = SQL_CLAIM_TYPE,
    [READ_TYPE] = SQL_READ_TYPE,
    [MOVE_LOOK] = SQL_MOVE_LOOK,
    [MOVE_NOTE] = SQL_MOVE_NOTE,
    [MOVE_ROWS] = SQL_MOVE_ROWS,
    [MOVE_TYPE] = SQL_MOVE_TYPE,
    [LOAD_CLAIMED] = SQL_LOAD_CLAIMED,
    [ACKNOWLEDGE] = SQL_ACKNOWLEDGE,
    [NOTE_READ] = SQL_NOTE_READ,
    [SET_ASIDE] = SQL_SET_ASIDE,
    [WRITE_KEY] = SQL_WRITE_KEY,
    [PURGE_ROW] = SQL_PURGE_ROW,
    [PURGE_MOVED] = SQL_PURGE_MOVED,
    [FIND_ROW] = SQL_FIND_ROW,
    [DATA_VERSION] = SQL_DATA_VERSION,
    [LIST_ROWS] = SQL_LIST_ROWS,
    [COUNT_ROWS] = SQL_COUNT_ROWS,
    [RETRY_ROW] = SQL_RETRY_ROW,
    [DROP_ROW] = SQL_DROP_ROW,
};

struct outbox_sqlite *outbox_sqlite_of(struct outbox *outbox)
{
    return (struct outbox_sqlite *)outbox;
}

enum status outbox_sqlite_begin(struct outbox_sqlite *self, struct error *err)
{
    return sqlite_session_execute(self->db, "BEGIN IMMEDIATE", err);
}

enum status outbox_sqlite_end(struct outbox_sqlite *self, enum status status, struct error *err)
{
    if (status == STATUS_OK)
        status = sqlite_session_execute(self->db, "COMMIT", err);
    if (status != STATUS_OK)
        sqlite_session_rollback(self->db);
    return status;
}

static void outbox_sqlite_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    for (size_t i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(self->statements[i]);
    (void)sqlite3_close_v2(self->db);
    free(self->origin);
    free(self->instance);
    free(self);
}

static enum status outbox_sqlite_open(const struct outbox_options *options,
                                      struct outbox **ret_outbox, struct error *err)
{
    enum status status = STATUS_OK;
    struct outbox_sqlite *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->base.ops = &outbox_sqlite_ops;
    self->origin = strdup(options->service);
    self->instance = strdup(options->instance == NULL ? "" : options->instance);
    if (self->origin == NULL || self->instance == NULL) {
        status = error_set(err, STATUS_RETRY, "no memory");
        goto out;
    }
    status = sqlite_session_open(options->path,
                                 options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE,
                                 &self->db, err);
    for (size_t i = 0; status == STATUS_OK && i < SQL_COUNT; i++) {
        status = sqlite_session_prepare(self->db, OUTBOX_SQL[i], &self->statements[i], err);
        if (status == STATUS_FATAL) {
            err->exit_code = EX_CONFIG;
            error_prefix(err, "%s lacks tables of Keepstep's; run `keepstep init`", options->path);
        }
    }
out:
    if (status == STATUS_OK)
        *ret_outbox = &self->base;
    else
        outbox_sqlite_close(&self->base);
    return status;
}

static void outbox_sqlite_copy(char *target, size_t size, struct slice text)
{
    (void)snprintf(target, size, "%.*s", SLICE_ARGS(text));
}

static enum status outbox_sqlite_read_lease(struct outbox *outbox, struct lease *ret_lease,
                                            struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[READ_LEASE];
    enum status status = STATUS_OK;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct lease *lease = ret_lease;
        outbox_sqlite_copy(lease->origin, sizeof lease->origin, sqlite_session_text(statement, 0));
        outbox_sqlite_copy(lease->incarnation, sizeof lease->incarnation,
                           sqlite_session_text(statement, 1));
        outbox_sqlite_copy(lease->holder, sizeof lease->holder, sqlite_session_text(statement, 2));
        lease->epoch = sqlite3_column_int64(statement, 3);
        lease->until_us = sqlite3_column_int64(statement, 4);
    } else if (code == SQLITE_DONE) {
        status = outbox_refuse_no_relay(err);
    } else {
        status = sqlite_session_error(self->db, "lease", err);
    }
    (void)sqlite3_reset(statement);
    return status;
}

static enum status outbox_sqlite_take_lease(struct outbox *outbox, int64_t duration_us,
                                            struct lease *ret_lease, struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    struct lease lease = {0};
    enum status status = outbox_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = outbox_sqlite_read_lease(outbox, &lease, err);
    if (status != STATUS_OK)
        goto out;
    int64_t now = clock_wall_us();
    if (strcmp(lease.origin, self->origin) != 0) {
        status = error_set(err, STATUS_FATAL,
                           "the outbox belongs to service %s, not %s: correct `service:`",
                           lease.origin, self->origin);
        if (err != NULL)
            err->exit_code = EX_CONFIG;
    } else if (lease.holder[0] != '\0' && strcmp(lease.holder, self->instance) != 0 &&
               lease.until_us > now) {
        status = error_set(err, STATUS_ABORT, "another relay holds the lease: instance %s",
                           lease.holder);
    }
    if (status != STATUS_OK)
        goto out;
    lease.until_us = now + duration_us;
    lease.epoch++;
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", self->instance);
    sqlite3_stmt *statement = self->statements[TAKE_LEASE];
    sqlite_session_bind(statement, 1, slice_of(self->instance));
    (void)sqlite3_bind_int64(statement, 2, lease.until_us);
    status = sqlite_session_run(self->db, statement, NULL, err);
out:
    status = outbox_sqlite_end(self, status, err);
    if (status == STATUS_OK) {
        self->lease_us = duration_us;
        *ret_lease = lease;
    }
    return status;
}

static enum status outbox_sqlite_release_lease(struct outbox *outbox, const struct lease *lease,
                                               struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[RELEASE_LEASE];
    (void)sqlite3_bind_int64(statement, 1, lease->epoch);
    return sqlite_session_run(self->db, statement, NULL, err);
}

enum status outbox_sqlite_begin_fenced(struct outbox_sqlite *self, const struct lease *lease,
                                       struct error *err)
{
    int changes = 0;
    enum status status = outbox_sqlite_begin(self, err);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = self->statements[RENEW_LEASE];
    (void)sqlite3_bind_int64(statement, 1, lease->epoch);
    (void)sqlite3_bind_int64(statement, 2, clock_wall_us() + self->lease_us);
    status = sqlite_session_run(self->db, statement, &changes, err);
    if (status == STATUS_OK && changes != 1)
        status = error_set(err, STATUS_ABORT, OUTBOX_LEASE_TAKEN);
    return status;
}

static enum status outbox_sqlite_load_partitions(struct outbox *outbox,
                                                 struct relay_partition **ret_partitions,
                                                 size_t *ret_count, struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[LOAD_PARTITIONS];
    struct relay_partition *partitions = NULL;
    enum status status = STATUS_OK;
    size_t count = 0;
    int code = sqlite3_step(statement);
    for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
        struct relay_partition *more = realloc(partitions, (count + 1) * sizeof *more);
        if (more == NULL) {
            status = error_set(err, STATUS_RETRY, "no memory");
            goto out;
        }
        partitions = more;
        struct relay_partition *row = &partitions[count++];
        *row = (struct relay_partition){0};
        outbox_sqlite_copy(row->topic, sizeof row->topic, sqlite_session_text(statement, 0));
        row->partition = sqlite3_column_int(statement, 1);
        row->last_sequence = (uint64_t)sqlite3_column_int64(statement, 2);
        outbox_sqlite_copy(row->last_id, sizeof row->last_id, sqlite_session_text(statement, 3));
        row->acknowledged_sequence = (uint64_t)sqlite3_column_int64(statement, 4);
        row->acknowledged_offset = sqlite3_column_int64(statement, 5);
        outbox_sqlite_copy(row->acknowledged_id, sizeof row->acknowledged_id,
                           sqlite_session_text(statement, 6));
        row->read_offset = sqlite3_column_int64(statement, 7);
    }
    if (code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "relay's partitions", err);
out:
    (void)sqlite3_reset(statement);
    if (status == STATUS_OK) {
        *ret_partitions = partitions;
        *ret_count = count;
    } else {
        free(partitions);
    }
    return status;
}

static enum status outbox_sqlite_write_key(struct outbox_sqlite *self, const struct outbox_row *row,
                                           struct error *err)
{
    sqlite3_stmt *statement = self->statements[WRITE_KEY];
    (void)sqlite3_bind_int64(statement, 1, row->position);
    sqlite_session_bind(statement, 2, row->entity_key);
    return sqlite_session_run(self->db, statement, NULL, err);
}

static enum status outbox_sqlite_claim_row(struct outbox_sqlite *self, const struct outbox_row *row,
                                           struct error *err)
{
    int changes = 0;
    sqlite3_stmt *statement = self->statements[CLAIM_ROW];
    enum status status = row->rekeyed ? outbox_sqlite_write_key(self, row, err) : STATUS_OK;
    (void)sqlite3_bind_int64(statement, 1, row->position);
    (void)sqlite3_bind_int(statement, 2, row->partition);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)row->sequence);
    if (status == STATUS_OK)
        status = sqlite_session_run(self->db, statement, &changes, err);
    if (status == STATUS_OK && changes != 1)
        status = error_set(err, STATUS_ABORT, "outbox row %lld is no longer waiting",
                           (long long)row->position);
    return status;
}

static enum status outbox_sqlite_claim_partition(struct outbox_sqlite *self,
                                                 const struct relay_partition *partition,
                                                 struct error *err)
{
    sqlite3_stmt *statement = self->statements[CLAIM_PARTITION];
    sqlite_session_bind(statement, 1, slice_of(partition->topic));
    (void)sqlite3_bind_int(statement, 2, partition->partition);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)partition->last_sequence);
    sqlite_session_bind(statement, 4, slice_of(partition->last_id));
    return sqlite_session_run(self->db, statement, NULL, err);
}

static enum status outbox_sqlite_claim_type(struct outbox_sqlite *self,
                                            const struct outbox_row *row, struct error *err)
{
    sqlite3_stmt *statement = self->statements[CLAIM_TYPE];
    sqlite_session_bind(statement, 1, row->entity_type);
    sqlite_session_bind(statement, 2, slice_of(row->topic));
    return sqlite_session_run(self->db, statement, NULL, err);
}

static enum status outbox_sqlite_claim(struct outbox *outbox, const struct lease *lease,
                                       const struct outbox_row *rows, size_t row_count,
                                       const struct relay_partition *partitions,
                                       size_t partition_count, struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    enum status status = outbox_sqlite_begin_fenced(self, lease, err);
    for (size_t i = 0; status == STATUS_OK && i < row_count; i++) {
        status = outbox_sqlite_claim_row(self, &rows[i], err);
        bool same = i > 0 && slice_equal(rows[i].entity_type, rows[i - 1].entity_type);
        if (status == STATUS_OK && !same)
            status = outbox_sqlite_claim_type(self, &rows[i], err);
    }
    for (size_t i = 0; status == STATUS_OK && i < partition_count; i++)
        status = outbox_sqlite_claim_partition(self, &partitions[i], err);
    return outbox_sqlite_end(self, status, err);
}

static enum status outbox_sqlite_acknowledge(struct outbox *outbox, const struct lease *lease,
                                             const struct relay_partition *partitions, size_t count,
                                             struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[ACKNOWLEDGE];
    enum status status = outbox_sqlite_begin_fenced(self, lease, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct relay_partition *partition = &partitions[i];
        sqlite_session_bind(statement, 1, slice_of(partition->topic));
        (void)sqlite3_bind_int(statement, 2, partition->partition);
        (void)sqlite3_bind_int64(statement, 3, (int64_t)partition->acknowledged_sequence);
        (void)sqlite3_bind_int64(statement, 4, partition->acknowledged_offset);
        sqlite_session_bind(statement, 5, slice_of(partition->acknowledged_id));
        status = sqlite_session_run(self->db, statement, NULL, err);
    }
    return outbox_sqlite_end(self, status, err);
}

static enum status outbox_sqlite_note_read(struct outbox *outbox, const struct lease *lease,
                                           const struct relay_partition *partitions, size_t count,
                                           struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[NOTE_READ];
    enum status status = outbox_sqlite_begin_fenced(self, lease, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        sqlite_session_bind(statement, 1, slice_of(partitions[i].topic));
        (void)sqlite3_bind_int(statement, 2, partitions[i].partition);
        (void)sqlite3_bind_int64(statement, 3, partitions[i].read_offset);
        status = sqlite_session_run(self->db, statement, NULL, err);
    }
    return outbox_sqlite_end(self, status, err);
}

static enum status outbox_sqlite_set_aside(struct outbox *outbox, const struct lease *lease,
                                           const struct outbox_row *row, const char *reason,
                                           struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[SET_ASIDE];
    enum status status = outbox_sqlite_begin_fenced(self, lease, err);
    if (status == STATUS_OK) {
        (void)sqlite3_bind_int64(statement, 1, row->position);
        sqlite_session_bind(statement, 2, slice_of(reason));
        sqlite_session_bind(statement, 3, row->entity_key);
        status = sqlite_session_run(self->db, statement, NULL, err);
    }
    return outbox_sqlite_end(self, status, err);
}

static enum status outbox_sqlite_write_keys(struct outbox *outbox, const struct lease *lease,
                                            const struct outbox_row *rows, size_t count,
                                            struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    enum status status = outbox_sqlite_begin_fenced(self, lease, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = outbox_sqlite_write_key(self, &rows[i], err);
    return outbox_sqlite_end(self, status, err);
}

const struct outbox_ops outbox_sqlite_ops = {
    .scheme = "sqlite",
    .open = outbox_sqlite_open,
    .close = outbox_sqlite_close,
    .take_lease = outbox_sqlite_take_lease,
    .release_lease = outbox_sqlite_release_lease,
    .load_partitions = outbox_sqlite_load_partitions,
    .load_waiting = outbox_sqlite_load_waiting,
    .claim = outbox_sqlite_claim,
    .move_type = outbox_sqlite_move_type,
    .load_claimed = outbox_sqlite_load_claimed,
    .acknowledge = outbox_sqlite_acknowledge,
    .note_read = outbox_sqlite_note_read,
    .set_aside = outbox_sqlite_set_aside,
    .write_keys = outbox_sqlite_write_keys,
    .find = outbox_sqlite_find,
    .purge = outbox_sqlite_purge,
    .held_back = outbox_sqlite_held_back,
    .wait = outbox_sqlite_wait,
    .list = outbox_sqlite_list,
    .count = outbox_sqlite_count,
    .release = outbox_sqlite_release,
    .read_lease = outbox_sqlite_read_lease,
};
