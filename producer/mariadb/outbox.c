/* The outbox in a service's MariaDB database: lease, claim, acknowledgement, setting aside. */
#include "producer/mariadb/outbox_internal.h"
#include "common/buffer.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define CLAIM_SIZE_MAX ((size_t)1024 * 1024)

static void outbox_mariadb_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    outbox_mariadb_disconnect(self);
    free(self->url);
    free(self->origin);
    free(self->instance);
    free(self);
}

static enum status outbox_mariadb_open(const struct outbox_options *options,
                                       struct outbox **ret_outbox, struct error *err)
{
    struct mariadb_statement *lease = NULL;
    enum status status = STATUS_OK;
    struct outbox_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->base.ops = &outbox_mariadb_ops;
    self->read_only = options->read_only;
    self->signature.count = -1;
    self->url = strdup(options->path);
    self->origin = strdup(options->service);
    self->instance = strdup(options->instance == NULL ? "" : options->instance);
    if (self->url == NULL || self->origin == NULL || self->instance == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    else
        status = outbox_mariadb_statement(self, READ_LEASE, &lease, err);
    if (status == STATUS_OK) {
        *ret_outbox = &self->base;
        return STATUS_OK;
    }
    if (err != NULL && err->native_code == ER_NO_SUCH_TABLE) {
        err->exit_code = EX_CONFIG;
        error_prefix(err, "the database has no outbox of Keepstep's; run `keepstep init`");
    }
    outbox_mariadb_close(&self->base);
    return status;
}

static enum status outbox_mariadb_fetch_lease(struct outbox_mariadb *self,
                                              enum outbox_statement which, struct lease *ret_lease,
                                              struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = outbox_mariadb_statement(self, which, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = mariadb_statement_next(statement, &row, err);
    if (status == STATUS_OK && !row)
        status = outbox_refuse_no_relay(err);
    if (status == STATUS_OK) {
        struct lease *lease = ret_lease;
        mariadb_statement_copy(statement, 0, lease->origin, sizeof lease->origin);
        mariadb_statement_copy(statement, 1, lease->incarnation, sizeof lease->incarnation);
        mariadb_statement_copy(statement, 2, lease->holder, sizeof lease->holder);
        lease->epoch = mariadb_statement_integer(statement, 3);
        lease->until_us = mariadb_statement_integer(statement, 4);
        mariadb_statement_copy(statement, 5, lease->not_durable, sizeof lease->not_durable);
    }
    mariadb_statement_end(statement);
    return status;
}

static enum status outbox_mariadb_read_lease(struct outbox *outbox, struct lease *ret_lease,
                                             struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    return outbox_mariadb_settle(self, outbox_mariadb_fetch_lease(self, READ_LEASE, ret_lease, err),
                                 err);
}

static enum status outbox_mariadb_take_lease(struct outbox *outbox, int64_t duration_us,
                                             struct lease *ret_lease, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct lease lease = {0};
    enum status status = outbox_mariadb_begin(self, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_fetch_lease(self, LOCK_LEASE, &lease, err);
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
    const struct mariadb_parameter values[] = {mariadb_string(self->instance),
                                               mariadb_integer(lease.until_us)};
    status = outbox_mariadb_run(self, TAKE_LEASE, values, 2, NULL, err);
out:
    status = outbox_mariadb_end(self, status, err);
    if (status == STATUS_OK) {
        self->lease_us = duration_us;
        *ret_lease = lease;
        ret_lease->session = self->base.session;
    }
    return status;
}

static enum status outbox_mariadb_release_lease(struct outbox *outbox, const struct lease *lease,
                                                struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    const struct mariadb_parameter epoch = mariadb_integer(lease->epoch);
    return outbox_mariadb_settle(
        self, outbox_mariadb_run(self, RELEASE_LEASE, &epoch, 1, NULL, err), err);
}

static void outbox_mariadb_fetch_partition(struct mariadb_statement *statement,
                                           struct relay_partition *ret_row)
{
    *ret_row = (struct relay_partition){
        .partition = (int32_t)mariadb_statement_integer(statement, 1),
        .last_sequence = (uint64_t)mariadb_statement_integer(statement, 2),
        .acknowledged_sequence = (uint64_t)mariadb_statement_integer(statement, 4),
        .acknowledged_offset = mariadb_statement_integer(statement, 5),
        .read_offset = mariadb_statement_integer(statement, 7)};
    mariadb_statement_copy(statement, 0, ret_row->topic, sizeof ret_row->topic);
    mariadb_statement_copy(statement, 3, ret_row->last_id, sizeof ret_row->last_id);
    mariadb_statement_copy(statement, 6, ret_row->acknowledged_id, sizeof ret_row->acknowledged_id);
}

static enum status outbox_mariadb_load_partitions(struct outbox *outbox,
                                                  struct relay_partition **ret_partitions,
                                                  size_t *ret_count, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_statement *statement = NULL;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    bool row = true;
    enum status status = outbox_mariadb_statement(self, LOAD_PARTITIONS, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, NULL, 0, NULL, err);
    while (status == STATUS_OK) {
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        struct relay_partition *more = realloc(partitions, (count + 1) * sizeof *more);
        if (more == NULL) {
            status = error_set(err, STATUS_RETRY, "no memory");
            break;
        }
        partitions = more;
        outbox_mariadb_fetch_partition(statement, &partitions[count++]);
    }
    mariadb_statement_end(statement);
    if (err != NULL && err->native_code == ER_NO_SUCH_TABLE) {
        err->exit_code = EX_CONFIG;
        error_prefix(err, OUTBOX_OLD_TABLES);
    }
    if (status == STATUS_OK) {
        *ret_partitions = partitions;
        *ret_count = count;
    } else {
        free(partitions);
    }
    return outbox_mariadb_settle(self, status, err);
}

/* Runs a statement once for each row of values, in one message. */
static enum status outbox_mariadb_run_rows(struct outbox_mariadb *self, enum outbox_statement which,
                                           const struct mariadb_parameter *values, size_t columns,
                                           size_t rows, uint64_t *ret_affected, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = outbox_mariadb_statement(self, which, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run_rows(statement, values, columns, rows, ret_affected, err);
    return status;
}

/* Keys that the relay made canonical, while their rows still wait. */
static enum status outbox_mariadb_run_keys(struct outbox_mariadb *self,
                                           const struct outbox_row *rows, size_t count,
                                           struct mariadb_parameter *values, struct error *err)
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].rekeyed)
            continue;
        values[changed * 2] = mariadb_text(rows[i].entity_key);
        values[changed * 2 + 1] = mariadb_integer(rows[i].position);
        changed++;
    }
    return outbox_mariadb_run_rows(self, WRITE_KEY, values, 2, changed, NULL, err);
}

static enum status outbox_mariadb_claim_rows(struct outbox_mariadb *self,
                                             const struct outbox_row *rows, size_t count,
                                             struct error *err)
{
    struct buffer list;
    uint64_t found = 0;
    enum status status = STATUS_OK;
    buffer_init(&list, CLAIM_SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&list, "%s[%" PRId64 ",%" PRId32 ",%" PRIu64 "]", i == 0 ? "[" : ",",
                             rows[i].position, rows[i].partition, rows[i].sequence);
    buffer_append_text(&list, "]");
    const struct mariadb_parameter value = mariadb_text(buffer_slice(&list));
    if (list.failed)
        status = error_set(err, STATUS_RETRY, "no memory for the claim");
    else
        status = outbox_mariadb_run(self, CLAIM_ROWS, &value, 1, &found, err);
    if (status == STATUS_OK && found != count)
        status = error_set(err, STATUS_ABORT, "%zu outbox rows are no longer waiting",
                           count - (size_t)found);
    buffer_done(&list);
    return status;
}

static enum status outbox_mariadb_claim_types(struct outbox_mariadb *self,
                                              const struct outbox_row *rows, size_t count,
                                              struct mariadb_parameter *values, struct error *err)
{
    size_t types = 0;
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        while (known < types && !slice_equal(values[known * 2].text, rows[i].entity_type))
            known++;
        if (known < types)
            continue;
        values[types * 2] = mariadb_text(rows[i].entity_type);
        values[types * 2 + 1] = mariadb_string(rows[i].topic);
        types++;
    }
    return outbox_mariadb_run_rows(self, CLAIM_TYPE, values, 2, types, NULL, err);
}

static enum status outbox_mariadb_claim_partitions(struct outbox_mariadb *self,
                                                   const struct relay_partition *partitions,
                                                   size_t count, struct mariadb_parameter *values,
                                                   struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct mariadb_parameter *row = &values[i * 4];
        row[0] = mariadb_string(partitions[i].topic);
        row[1] = mariadb_integer(partitions[i].partition);
        row[2] = mariadb_integer((int64_t)partitions[i].last_sequence);
        row[3] = mariadb_string(partitions[i].last_id);
    }
    return outbox_mariadb_run_rows(self, CLAIM_PARTITION, values, 4, count, NULL, err);
}

static enum status outbox_mariadb_claim(struct outbox *outbox, const struct lease *lease,
                                        const struct outbox_row *rows, size_t row_count,
                                        const struct relay_partition *partitions,
                                        size_t partition_count, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    size_t most = row_count > partition_count ? row_count : partition_count;
    struct mariadb_parameter *values = calloc(most + 1, 4 * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run_keys(self, rows, row_count, values, err);
    if (status == STATUS_OK && row_count > 0)
        status = outbox_mariadb_claim_rows(self, rows, row_count, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_claim_types(self, rows, row_count, values, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_claim_partitions(self, partitions, partition_count, values, err);
    free(values);
    return outbox_mariadb_end(self, status, err);
}

static enum status outbox_mariadb_acknowledge(struct outbox *outbox, const struct lease *lease,
                                              const struct relay_partition *partitions,
                                              size_t count, struct error *err)
{
    enum { COLUMNS = 7 };
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_parameter *values = calloc(count + 1, COLUMNS * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < count; i++) {
        const struct relay_partition *partition = &partitions[i];
        struct mariadb_parameter *row = &values[i * COLUMNS];
        row[0] = mariadb_string(partition->topic);
        row[1] = mariadb_integer(partition->partition);
        row[2] = row[4] = mariadb_integer((int64_t)partition->acknowledged_sequence);
        row[3] = row[6] = mariadb_string(partition->acknowledged_id);
        row[5] = mariadb_integer(partition->acknowledged_offset);
    }
    enum status status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run_rows(self, ACKNOWLEDGE, values, COLUMNS, count, NULL, err);
    free(values);
    return outbox_mariadb_end(self, status, err);
}

static enum status outbox_mariadb_note_read(struct outbox *outbox, const struct lease *lease,
                                            const struct relay_partition *partitions, size_t count,
                                            struct error *err)
{
    enum { COLUMNS = 3 };
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_parameter *values = calloc(count + 1, COLUMNS * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < count; i++) {
        values[i * COLUMNS] = mariadb_string(partitions[i].topic);
        values[i * COLUMNS + 1] = mariadb_integer(partitions[i].partition);
        values[i * COLUMNS + 2] = mariadb_integer(partitions[i].read_offset);
    }
    enum status status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run_rows(self, NOTE_READ, values, COLUMNS, count, NULL, err);
    free(values);
    return outbox_mariadb_end(self, status, err);
}

static enum status outbox_mariadb_set_aside(struct outbox *outbox, const struct lease *lease,
                                            const struct outbox_row *row, const char *reason,
                                            struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    const struct mariadb_parameter values[] = {
        mariadb_string(reason), mariadb_text(row->entity_key), mariadb_integer(row->position)};
    enum status status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run(self, SET_ASIDE, values, 3, NULL, err);
    return outbox_mariadb_end(self, status, err);
}

static enum status outbox_mariadb_write_keys(struct outbox *outbox, const struct lease *lease,
                                             const struct outbox_row *rows, size_t count,
                                             struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_parameter *values = calloc(count + 1, 2 * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run_keys(self, rows, count, values, err);
    free(values);
    return outbox_mariadb_end(self, status, err);
}

const struct outbox_ops outbox_mariadb_ops = {
    .scheme = "mysql",
    .open = outbox_mariadb_open,
    .close = outbox_mariadb_close,
    .take_lease = outbox_mariadb_take_lease,
    .release_lease = outbox_mariadb_release_lease,
    .load_partitions = outbox_mariadb_load_partitions,
    .load_waiting = outbox_mariadb_load_waiting,
    .claim = outbox_mariadb_claim,
    .move_type = outbox_mariadb_move_type,
    .load_claimed = outbox_mariadb_load_claimed,
    .acknowledge = outbox_mariadb_acknowledge,
    .note_read = outbox_mariadb_note_read,
    .set_aside = outbox_mariadb_set_aside,
    .write_keys = outbox_mariadb_write_keys,
    .find = outbox_mariadb_find,
    .purge = outbox_mariadb_purge,
    .held_back = outbox_mariadb_held_back,
    .wait = outbox_mariadb_wait,
    .list = outbox_mariadb_list,
    .count = outbox_mariadb_count,
    .release = outbox_mariadb_release,
    .read_lease = outbox_mariadb_read_lease,
};
