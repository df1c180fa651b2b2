/* Opening an outbox, and its lease: taking it, giving it back, renewing it in each transaction. */
#include "common/clock.h"
#include "producer/outbox/sql.h"

#include <stdio.h>
#include <stdlib.h>

void outbox_sql_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    struct outbox_sql *self = outbox_sql_of(outbox);
    self->session->ops->close(self->session);
    free(self->url);
    free(self->origin);
    free(self->instance);
    free(self);
}

static enum status outbox_sql_fetch_lease(struct outbox_sql *self, enum outbox_statement statement,
                                          struct lease *ret_lease, struct error *err)
{
    struct sql_session *session = self->session;
    enum status status = sql_first(session, statement, NULL, 0, err);
    if (status != STATUS_OK)
        return status;
    if (!session->has_row)
        return error_set(error_config(err), STATUS_FATAL,
                         "the outbox has no relay row; run `keepstep init`");
    sql_column_copy(session, 0, ret_lease->origin, sizeof ret_lease->origin);
    sql_column_copy(session, 1, ret_lease->incarnation, sizeof ret_lease->incarnation);
    sql_column_copy(session, 2, ret_lease->holder, sizeof ret_lease->holder);
    ret_lease->epoch = sql_column_integer(session, 3);
    ret_lease->until_us = sql_column_integer(session, 4);
    session->ops->finish(session);
    return STATUS_OK;
}

static enum status outbox_sql_read_durability(struct sql_session *session, struct lease *lease,
                                              struct error *err)
{
    if (sql_statement_text(session, STATEMENT_NOT_DURABLE) == NULL)
        return STATUS_OK;
    enum status status = sql_first(session, STATEMENT_NOT_DURABLE, NULL, 0, err);
    if (session->has_row)
        sql_column_copy(session, 0, lease->not_durable, sizeof lease->not_durable);
    session->ops->finish(session);
    return status;
}

enum status outbox_sql_read_lease(struct outbox *outbox, struct lease *ret_lease, struct error *err)
{
    return outbox_sql_fetch_lease(outbox_sql_of(outbox), STATEMENT_READ_LEASE, ret_lease, err);
}

/* An outbox of an earlier version, or one for single changes, or without joint transactions, lacks
 * what the statements name. One for whole transactions has sets that single changes would tear. Who
 * only reads may not see all columns.
 */
static enum status outbox_sql_check_prepared(const struct outbox_sql *self,
                                             const struct outbox_options *options,
                                             struct error *err)
{
    struct sql_session *session = self->session;
    if (options->read_only)
        return STATUS_OK;
    enum status status = sql_first(session, STATEMENT_IS_PREPARED, NULL, 0, err);
    if (!session->has_row)
        return status;
    bool has_column = sql_column_bool(session, 0);
    bool has_index = sql_column_bool(session, 1);
    bool is_unfinished = sql_column_bool(session, 2); /* `init` has not come to its end */
    bool has_joint_index = sql_column_bool(session, 3);
    session->ops->finish(session);
    if (!has_column)
        status = error_set(error_config(err), STATUS_FATAL,
                           "the outbox was made by an earlier version, or this login may not see "
                           "its columns: run `keepstep init`, or `keepstep doctor`, which says "
                           "what the login lacks");
    else if (options->whole && (!has_index || is_unfinished))
        status = error_set(error_config(err), STATUS_FATAL,
                           "the outbox does not tell transactions apart yet, as `transactions: "
                           "whole` needs: run `keepstep init`");
    else if (!options->whole && has_index && !options->for_operator)
        status = error_set(error_config(err), STATUS_FATAL,
                           "the outbox was made for `transactions: whole`, which is not set, and "
                           "single changes would tear transactions that wait: set it, or run "
                           "`keepstep init`");
    else if (options->joint && !has_joint_index)
        status = error_set(
            error_config(err), STATUS_FATAL,
            "the outbox does not find records of joint transactions yet, as `joint:` "
            "needs: run `keepstep init`");
    return status;
}

enum status outbox_sql_open(struct outbox_sql *self, const struct outbox_options *options,
                            struct outbox **ret_outbox, struct error *err)
{
    struct sql_session *session = self->session;
    struct lease lease;
    enum status status = STATUS_OK;
    self->url = strdup(options->path);
    self->origin = strdup(options->service);
    self->instance = strdup(options->instance == NULL ? "" : options->instance);
    self->whole = options->whole;
    self->joint = options->joint;
    session->options.url = self->url;
    session->options.application = "keepstep relay";
    session->options.read_only = options->read_only;
    session->options.lasting = options->for_operator && !options->read_only;
    session->options.text_count = OUTBOX_STATEMENT_COUNT;
    session->options.lost_count = &self->base.session;
    if (self->url == NULL || self->origin == NULL || self->instance == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status == STATUS_OK)
        status = session->ops->ready(session, err);
    if (status == STATUS_OK)
        status = outbox_sql_read_lease(&self->base, &lease, err);
    if (status == STATUS_OK)
        status = outbox_sql_check_prepared(self, options, err);
    if (status == STATUS_OK) {
        *ret_outbox = &self->base;
        return STATUS_OK;
    }
    if (err != NULL && session->ops->lacks_table(err)) {
        error_mark_config(err);
        error_prefix(err, "the database has no outbox of Keepstep's; run `keepstep init`");
    }
    outbox_sql_close(&self->base);
    return status;
}

static enum status outbox_sql_judge_lease(const struct outbox_sql *self, const struct lease *lease,
                                          int64_t now, struct error *err)
{
    if (strcmp(lease->origin, self->origin) != 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "the outbox belongs to service %s, not %s: correct `service:`",
                         lease->origin, self->origin);
    if (lease->holder[0] != '\0' && strcmp(lease->holder, self->instance) != 0 &&
        lease->until_us > now)
        return error_set(err, STATUS_ABORT, "another relay holds the lease: instance %s",
                         lease->holder);
    return STATUS_OK;
}

enum status outbox_sql_take_lease(struct outbox *outbox, int64_t duration_us,
                                  struct lease *ret_lease, struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    struct sql_session *session = self->session;
    struct lease lease = {0};
    enum status status = session->ops->begin(session, err);
    if (status == STATUS_OK)
        status = outbox_sql_fetch_lease(self, STATEMENT_LOCK_LEASE, &lease, err);
    if (status == STATUS_OK)
        status = outbox_sql_read_durability(session, &lease, err);
    int64_t now = clock_wall_us();
    if (status == STATUS_OK)
        status = outbox_sql_judge_lease(self, &lease, now, err);
    lease.until_us = now + duration_us;
    lease.epoch++;
    lease.session = self->base.session;
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", self->instance);
    const struct sql_parameter taken[] = {sql_string(self->instance), sql_integer(lease.until_us)};
    if (status == STATUS_OK)
        status = sql_run(session, STATEMENT_TAKE_LEASE, taken, 2, err);
    status = session->ops->end(session, status, err);
    if (status == STATUS_OK) {
        self->lease_us = duration_us;
        *ret_lease = lease;
    }
    return status;
}

enum status outbox_sql_release_lease(struct outbox *outbox, const struct lease *lease,
                                     struct error *err)
{
    const struct sql_parameter epoch = sql_integer(lease->epoch);
    return sql_run(outbox_sql_of(outbox)->session, STATEMENT_RELEASE_LEASE, &epoch, 1, err);
}

/* The database that another session reaches may have lost what the lease's holder remembers. */
static enum status outbox_sql_same_session(struct outbox_sql *self, const struct lease *lease,
                                           struct error *err)
{
    enum status status = self->session->ops->ready(self->session, err);
    if (status == STATUS_OK && lease->session != self->base.session)
        status = error_set(err, STATUS_RETRY, OUTBOX_NEW_SESSION);
    return status;
}

static struct sql_step outbox_sql_renewal(const struct outbox_sql *self, const struct lease *lease,
                                          struct sql_parameter ret_values[static 2])
{
    ret_values[0] = sql_integer(lease->epoch);
    ret_values[1] = sql_integer(clock_wall_us() + self->lease_us);
    return (struct sql_step){.statement = STATEMENT_RENEW_LEASE,
                             .parameters = ret_values,
                             .columns = 2,
                             .rows = 1,
                             .if_missed = "another relay took the lease"};
}

enum status outbox_sql_run_fenced(struct outbox_sql *self, const struct lease *lease,
                                  const struct sql_step *steps, size_t count, struct error *err)
{
    struct sql_parameter renewed[2];
    struct sql_step all[SQL_STEPS_MAX] = {outbox_sql_renewal(self, lease, renewed)};
    if (count >= SQL_STEPS_MAX)
        return error_set(err, STATUS_FATAL, "too many steps");
    for (size_t i = 0; i < count; i++)
        all[i + 1] = steps[i];
    enum status status = outbox_sql_same_session(self, lease, err);
    return status == STATUS_OK ? self->session->ops->run_steps(self->session, all, count + 1, err)
                               : status;
}

enum status outbox_sql_begin_fenced(struct outbox_sql *self, const struct lease *lease,
                                    struct error *err)
{
    const struct sql_session_ops *ops = self->session->ops;
    struct sql_parameter renewed[2];
    const struct sql_step renewal = outbox_sql_renewal(self, lease, renewed);
    enum status status = outbox_sql_same_session(self, lease, err);
    if (status == STATUS_OK)
        status = ops->begin(self->session, err);
    if (status != STATUS_OK)
        return status;
    status = ops->run_step(self->session, &renewal, err);
    return status == STATUS_OK ? status : ops->end(self->session, status, err);
}

enum status outbox_sql_run_counted(struct outbox_sql *self, const struct lease *lease,
                                   const struct sql_step *steps, size_t count, struct error *err)
{
    const struct sql_session_ops *ops = self->session->ops;
    enum status status = outbox_sql_begin_fenced(self, lease, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = ops->run_step(self->session, &steps[i], err);
    uint64_t changed = self->session->changed;
    status = ops->end(self->session, status, err);
    self->session->changed = changed;
    return status;
}
