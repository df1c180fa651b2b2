/* The outbox in a service's PostgreSQL database. */
#include "producer/postgresql/outbox_internal.h"
#include "producer_postgresql_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

extern const struct outbox_ops outbox_postgresql_ops;

static const char *const STATEMENTS[OUTBOX_STATEMENT_COUNT] = {
    [STATEMENT_LOCK_LEASE] = SQL_LOCK_LEASE,       [STATEMENT_NOT_DURABLE] = SQL_NOT_DURABLE,
    [STATEMENT_LIST_WAITING] = SQL_LIST_ROWS,      [STATEMENT_LIST_SET_ASIDE] = SQL_LIST_ROWS,
    [STATEMENT_LIST_ALL] = SQL_LIST_ROWS,          [STATEMENT_PURGE] = SQL_PURGE,
    [STATEMENT_PURGE_APPLIED] = SQL_PURGE_APPLIED, [STATEMENT_CLAIM_ROW] = SQL_CLAIM_ROW,
    [STATEMENT_JOIN_BY_HASH] = SQL_JOIN_BY_HASH,   [STATEMENT_SLEEP] = SQL_SLEEP,
    [STATEMENT_OLDER_ENDED] = SQL_OLDER_ENDED,     [STATEMENT_AWAKE] = SQL_AWAKE,
    OUTBOX_STATEMENTS(OUTBOX_STATEMENT_TEXT)};

static enum status outbox_postgresql_open(const struct outbox_options *options,
                                          struct outbox **ret_outbox, struct error *err)
{
    struct outbox_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &outbox_postgresql_ops;
    self->shared.session = &self->session.base;
    self->session.base.ops = &sql_postgresql_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.setup = options->read_only ? POSTGRESQL_OUTBOX_PLANNER
                                       : options->for_operator
                                           ? POSTGRESQL_OUTBOX_PLANNER "; SET statement_timeout = 0"
                                           : POSTGRESQL_OUTBOX_PLANNER "; LISTEN keepstep_outbox";
    return outbox_sql_open(&self->shared, options, ret_outbox, err);
}

static bool outbox_postgresql_is_next(const struct outbox_postgresql *self,
                                      const struct outbox_extent *extent)
{
    const struct outbox_extent *next = &self->next;
    return next->rows == extent->rows && next->payload_bytes == extent->payload_bytes &&
           next->total_bytes == extent->total_bytes && next->after == extent->after &&
           next->claimed == extent->claimed && next->tells_earlier == extent->tells_earlier;
}

static enum status outbox_postgresql_load_waiting(struct outbox *outbox,
                                                  const struct outbox_extent *extent,
                                                  struct arena *arena, struct outbox_rows *ret_rows,
                                                  struct error *err)
{
    struct outbox_postgresql *self = (struct outbox_postgresql *)outbox;
    if (outbox->has_next && !outbox_postgresql_is_next(self, extent))
        sql_postgresql_forget_follower(&self->session);
    outbox->has_next = false;
    enum status status = outbox_sql_load_waiting(outbox, extent, arena, ret_rows, err);
    if (status == STATUS_OK && ret_rows->count > 0)
        status = outbox_postgresql_found(self, err);
    return status;
}

/* Rows that were sent along are dropped by any other statement. */
static enum status outbox_postgresql_load_joint(struct outbox *outbox,
                                                const struct outbox_extent *extent,
                                                struct arena *arena, struct outbox_rows *ret_rows,
                                                struct error *err)
{
    outbox->has_next = false;
    enum status status = outbox_sql_load_joint(outbox, extent, arena, ret_rows, err);
    if (status == STATUS_OK && ret_rows->count > 0)
        status = outbox_postgresql_found((struct outbox_postgresql *)outbox, err);
    return status;
}

/* The rows that are asked for next are read while this claim's records are handed to Kafka. */
static enum status outbox_postgresql_claim(struct outbox *outbox, const struct lease *lease,
                                           const struct outbox_claim *claim, struct error *err)
{
    struct outbox_postgresql *self = (struct outbox_postgresql *)outbox;
    struct sql_parameter values[OUTBOX_EXTENT_VALUES];
    const struct sql_step next = {.statement = outbox_sql_load_statement(&self->shared),
                                  .parameters = values,
                                  .columns = OUTBOX_EXTENT_VALUES,
                                  .rows = 1};
    if (claim->next != NULL) {
        self->next = *claim->next;
        outbox_sql_fill_extent(&self->shared, &self->next, values);
        sql_postgresql_follow(&self->session, &next);
    }
    enum status status = outbox_sql_claim(outbox, lease, claim, err);
    sql_postgresql_follow(&self->session, NULL); /* it may have failed before it was sent */
    outbox->has_next = status == STATUS_OK && sql_postgresql_is_followed(&self->session);
    return status;
}

static const struct outbox_token_sql TOKEN_SQL[] = OUTBOX_TOKEN_SQL;

const struct outbox_ops outbox_postgresql_ops = {
    .scheme = "postgresql",
    .token_sql = TOKEN_SQL,
    .open = outbox_postgresql_open,
    .load_waiting = outbox_postgresql_load_waiting,
    .load_joint = outbox_postgresql_load_joint,
    .claim = outbox_postgresql_claim,
    .wait = outbox_postgresql_wait,
    OUTBOX_SQL_SLOTS,
};
