/* The outbox in a service's SQLite database. */
#include "producer/outbox/sql.h"
#include "producer/sqlite/sql_session.h"
#include "producer_sqlite_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

extern const struct outbox_ops outbox_sqlite_ops;

struct outbox_sqlite {
    struct outbox_sql shared;
    struct sql_sqlite session;
};

/* BEGIN IMMEDIATE is the lock on the lease's row. */
static const char *const STATEMENTS[OUTBOX_STATEMENT_COUNT] = {
    [STATEMENT_LOCK_LEASE] = SQL_READ_LEASE,
    [STATEMENT_LIST_WAITING] = SQL_LIST_ROWS,
    [STATEMENT_LIST_SET_ASIDE] = SQL_LIST_ROWS,
    [STATEMENT_LIST_ALL] = SQL_LIST_ROWS,
    [STATEMENT_PURGE_SCAN] = SQL_PURGE_SCAN,
    [STATEMENT_PURGE_SCAN_APPLIED] = SQL_PURGE_SCAN_APPLIED,
    [STATEMENT_PURGE_ROW] = SQL_PURGE_ROW,
    [STATEMENT_PURGE_MOVED] = SQL_PURGE_MOVED,
    [STATEMENT_SIGNATURE] = SQL_SIGNATURE,
    OUTBOX_STATEMENTS(OUTBOX_STATEMENT_TEXT)};

/* These read the agent's tables, which a service that only publishes does not have. */
static bool outbox_sqlite_reads_agent(unsigned statement)
{
    return statement == STATEMENT_HAS_POSITION_TABLE || statement == STATEMENT_HAS_WAIT_TABLES ||
           statement == STATEMENT_HELD_BACK || statement == STATEMENT_HAS_FILL_TABLE ||
           statement == STATEMENT_UNREAD || statement == STATEMENT_PURGE_SCAN_APPLIED;
}

/* These name the index of whole transactions. */
static bool outbox_sqlite_reads_sets(unsigned statement)
{
    return statement == STATEMENT_LOAD_SETS || statement == STATEMENT_LOAD_GROUP ||
           statement == STATEMENT_SET_ASIDE_REST;
}

/* @return whether the outbox has what the statement names. */
static bool outbox_sqlite_has(const struct outbox_sqlite *self, unsigned statement)
{
    return !outbox_sqlite_reads_agent(statement) &&
           (self->shared.whole || !outbox_sqlite_reads_sets(statement)) &&
           (self->shared.joint || statement != STATEMENT_LOAD_JOINT);
}

/* Preparing costs no round trip here. So an outbox that lacks a table is refused before anything is
 * done with it. */
static enum status outbox_sqlite_prepare(struct outbox_sqlite *self, struct error *err)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; status == STATUS_OK && i < OUTBOX_STATEMENT_COUNT; i++) {
        if (outbox_sqlite_has(self, i))
            status = sql_sqlite_prepare(&self->session, i, err);
    }
    if (status != STATUS_OK)
        sql_judge_tables(self->shared.session, err);
    return status;
}

static enum status outbox_sqlite_open(const struct outbox_options *options,
                                      struct outbox **ret_outbox, struct error *err)
{
    struct outbox_sqlite *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &outbox_sqlite_ops;
    self->shared.session = &self->session.base;
    self->session.base.ops = &sql_sqlite_ops;
    self->session.base.options.texts = STATEMENTS;
    enum status status = outbox_sql_open(&self->shared, options, ret_outbox, err);
    if (status != STATUS_OK)
        return status;
    status = outbox_sqlite_prepare(self, err);
    if (status != STATUS_OK) {
        outbox_sql_close(*ret_outbox);
        *ret_outbox = NULL;
    }
    return status;
}

static const struct outbox_token_sql TOKEN_SQL[] = {
    {"Behind BEGIN IMMEDIATE: where the outbox ends", SQL_TICKET_BEGIN},
    {"Before COMMIT, with that as ?1: the ticket; no row where nothing is published", SQL_TICKET},
    {"Behind COMMIT, with the ticket as ?1: its token, NULL while an event waits for its number; "
     "and "
     "why it has none",
     SQL_TOKEN},
    {NULL, NULL},
};

const struct outbox_ops outbox_sqlite_ops = {
    .scheme = "sqlite",
    .token_sql = TOKEN_SQL,
    .open = outbox_sqlite_open,
    .load_waiting = outbox_sql_load_waiting,
    .load_joint = outbox_sql_load_joint,
    .claim = outbox_sql_claim,
    .wait = outbox_sql_wait,
    OUTBOX_SQL_SLOTS,
};
