/* The MariaDB outbox's session: made anew when it was lost, its statements prepared once. */
#include "producer/mariadb/outbox_internal.h"
#include "common/clock.h"
#include "producer_mariadb_sql.h"

static const char *const OUTBOX_SQL[SQL_COUNT] = {
    [READ_LEASE] = SQL_READ_LEASE,     [LOCK_LEASE] = SQL_LOCK_LEASE,
    [TAKE_LEASE] = SQL_TAKE_LEASE,     [RELEASE_LEASE] = SQL_RELEASE_LEASE,
    [RENEW_LEASE] = SQL_RENEW_LEASE,   [LOAD_PARTITIONS] = SQL_LOAD_PARTITIONS,
    [LOAD_WAITING] = SQL_LOAD_WAITING, [COUNT_FITTING] = SQL_COUNT_FITTING,
    [CLAIM_ROWS] = SQL_CLAIM_ROWS,     [CLAIM_PARTITION] = SQL_CLAIM_PARTITION,
    [CLAIM_TYPE] = SQL_CLAIM_TYPE,     [READ_TYPE] = SQL_READ_TYPE,
    [MOVE_LOOK] = SQL_MOVE_LOOK,       [MOVE_NOTE] = SQL_MOVE_NOTE,
    [MOVE_ROWS] = SQL_MOVE_ROWS,       [MOVE_TYPE] = SQL_MOVE_TYPE,
    [LOAD_CLAIMED] = SQL_LOAD_CLAIMED, [ACKNOWLEDGE] = SQL_ACKNOWLEDGE,
    [NOTE_READ] = SQL_NOTE_READ,       [SET_ASIDE] = SQL_SET_ASIDE,
    [WRITE_KEY] = SQL_WRITE_KEY,       [FIND_ROW] = SQL_FIND_ROW,
    [PURGE_LOOK] = SQL_PURGE_LOOK,     [PURGE_LOOK_APPLIED] = SQL_PURGE_LOOK_APPLIED,
    [PURGE_ROW] = SQL_PURGE_ROW,       [PURGE_MOVED] = SQL_PURGE_MOVED,
    [HELD_BACK] = SQL_HELD_BACK,       [SIGNATURE] = SQL_SIGNATURE,
    [LIST_WAITING] = SQL_LIST_WAITING, [LIST_SET_ASIDE] = SQL_LIST_SET_ASIDE,
    [LIST_ALL] = SQL_LIST_ALL,         [COUNT_ROWS] = SQL_COUNT_ROWS,
    [RETRY_ROW] = SQL_RETRY_ROW,       [DROP_ROW] = SQL_DROP_ROW,
};

struct outbox_mariadb *outbox_mariadb_of(struct outbox *outbox)
{
    return (struct outbox_mariadb *)outbox;
}

void outbox_mariadb_disconnect(struct outbox_mariadb *self)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        mariadb_statement_free(self->statements[i]);
        self->statements[i] = NULL;
    }
    if (self->session != NULL)
        self->base.session++;
    mariadb_session_close(self->session);
    self->session = NULL;
}

/* Transactions are begun by name here and given up at the first error, so that nothing can slip out
 * of one; without one a reading statement leaves no lock behind. */
static enum status outbox_mariadb_connect(struct outbox_mariadb *self, struct error *err)
{
    const struct server_session_options options = {
        .url = self->url, .application = "keepstep relay", .read_only = self->read_only};
    if (self->session != NULL)
        return STATUS_OK;
    enum status status = mariadb_session_open(&options, &self->session, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "SET SESSION autocommit = 1", err);
    if (status != STATUS_OK)
        outbox_mariadb_disconnect(self);
    return status;
}

enum status outbox_mariadb_statement(struct outbox_mariadb *self, enum outbox_statement which,
                                     struct mariadb_statement **ret_statement, struct error *err)
{
    enum status status = outbox_mariadb_connect(self, err);
    if (status == STATUS_OK && self->statements[which] == NULL)
        status = mariadb_statement_new(self->session, "outbox", OUTBOX_SQL[which],
                                       &self->statements[which], err);
    *ret_statement = self->statements[which];
    return status;
}

enum status outbox_mariadb_run(struct outbox_mariadb *self, enum outbox_statement which,
                               const struct mariadb_parameter *values, size_t count,
                               uint64_t *ret_affected, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = outbox_mariadb_statement(self, which, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, values, count, ret_affected, err);
    return status;
}

enum status outbox_mariadb_settle(struct outbox_mariadb *self, enum status status,
                                  const struct error *err)
{
    if (status != STATUS_OK && (err == NULL || err->connection_lost))
        outbox_mariadb_disconnect(self);
    return status;
}

enum status outbox_mariadb_begin(struct outbox_mariadb *self, struct error *err)
{
    enum status status = outbox_mariadb_connect(self, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "START TRANSACTION", err);
    return status;
}

enum status outbox_mariadb_end(struct outbox_mariadb *self, enum status status, struct error *err)
{
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    if (status != STATUS_OK)
        mariadb_session_rollback(self->session);
    return outbox_mariadb_settle(self, status, err);
}

enum status outbox_mariadb_begin_fenced(struct outbox_mariadb *self, const struct lease *lease,
                                        struct error *err)
{
    const struct mariadb_parameter values[] = {mariadb_integer(clock_wall_us() + self->lease_us),
                                               mariadb_integer(lease->epoch)};
    uint64_t found = 0;
    enum status status = outbox_mariadb_begin(self, err);
    if (status == STATUS_OK && lease->session != self->base.session)
        status = error_set(err, STATUS_RETRY, OUTBOX_NEW_SESSION);
    if (status == STATUS_OK)
        status = outbox_mariadb_run(self, RENEW_LEASE, values, 2, &found, err);
    if (status == STATUS_OK && found != 1)
        status = error_set(err, STATUS_ABORT, OUTBOX_LEASE_TAKEN);
    return status;
}
