/* What PostgreSQL does otherwise for joint transactions: a statement that fails ends its
 * transaction, so the rows of keepstep_joint are written behind a savepoint, and the table's owner
 * switches the triggers on it. */
#include "consumer/store/postgresql/internal.h"
#include "consumer/store/sql/joint.h"

static enum status row_execute(struct store *store, const char *sql, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    return self->session->execute(self, sql, err);
}

static enum status row_begin(struct store *store, struct error *err)
{
    return row_execute(store, "SAVEPOINT keepstep_row", err);
}

static enum status row_keep(struct store *store, struct error *err)
{
    return row_execute(store, "RELEASE SAVEPOINT keepstep_row", err);
}

static enum status row_undo(struct store *store, struct error *err)
{
    enum status status = row_execute(store, "ROLLBACK TO SAVEPOINT keepstep_row", err);
    if (status == STATUS_OK)
        status = row_keep(store, err);
    return status == STATUS_OK ? store_sql_wait(store_sql_of(store), err) : status;
}

/* Whatever the database says of a row is said by a trigger on it, or has its cause in one. A right
 * that the agent lacks is one that the trigger would need. */
static bool row_is_refused(enum status status, const struct error *err)
{
    return status == STATUS_REJECT || status == STATUS_FATAL || status == STATUS_STOP ||
           (status == STATUS_RETRY && !err->connection_lost &&
            err->native_code == postgresql_sqlstate_code(SQLSTATE_INSUFFICIENT_PRIVILEGE));
}

static enum status row_end(struct store *store, enum status status, struct error *err)
{
    struct error undone = ERROR_INIT;
    if (status == STATUS_OK)
        return row_keep(store, err);
    if (!row_is_refused(status, err))
        return status;
    status = row_undo(store, &undone);
    if (status == STATUS_OK) {
        err->exit_code = 0;
        return err->status = STATUS_REJECT;
    }
    *err = undone;
    return status;
}

static enum status joint_postgresql_note(struct store *store, const struct joint_row *row,
                                         bool *ret_known, int64_t *ret_created_at_us,
                                         struct error *err)
{
    enum status status = row_begin(store, err);
    if (status != STATUS_OK)
        return status;
    return row_end(store, joint_sql_note(store, row, ret_known, ret_created_at_us, err), err);
}

static enum status joint_postgresql_mark(struct store *store, const struct joint_row *row,
                                         struct error *err)
{
    enum status status = row_begin(store, err);
    return status == STATUS_OK ? row_end(store, joint_sql_mark(store, row, err), err) : status;
}

/* A function that is not there, or that this role may not call, is one of an earlier `init`. */
static enum status joint_postgresql_triggers(struct store *store, bool run, struct error *err)
{
    enum status status = store_sql_run(store_sql_of(store),
                                       SQL_CALL(JOINT_TRIGGERS, parameter_integer(!run)), err);
    if (status == STATUS_FATAL || (status == STATUS_RETRY && row_is_refused(status, err))) {
        error_prefix(err, "the triggers on keepstep_joint cannot be switched off: run `keepstep "
                          "init`, and let an administrator run what its --print-roles prints");
        err->exit_code = 0;
        return err->status = STATUS_REJECT;
    }
    return status;
}

/** How what is old is emptied. */
struct prune_old {
    int64_t decided_before_us;
    size_t limit;
    bool is_seen; /* by a trigger of the service's */
    bool is_held; /* somebody writes the table: what is old can wait for him */
    size_t pruned;
};

static enum status prune_find(struct store *store, struct prune_old *prune, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t has_old = 0;
    int64_t is_seen = 0;
    if (prune->limit == 0)
        return STATUS_OK;
    enum status status = store_sql_number(
        self, SQL_CALL(JOINT_HAS_OLD, parameter_integer(prune->decided_before_us)), 0, &has_old,
        err);
    if (status == STATUS_OK && has_old != 0)
        status = store_sql_number(self, SQL_CALL_PLAIN(JOINT_SEES_OLD), 0, &is_seen, err);
    prune->is_seen = is_seen != 0;
    prune->limit = has_old != 0 ? prune->limit : 0;
    return status;
}

/* The table is held before any bucket is, because its writers wait for buckets while they hold it.
 */
static enum status prune_try(struct store *store, struct prune_old *prune, struct error *err)
{
    struct error held = ERROR_INIT;
    enum status status = row_begin(store, err);
    if (status != STATUS_OK)
        return status;
    if (prune->is_seen)
        status = joint_postgresql_triggers(store, false, &held);
    prune->is_held = prune->is_seen && status == STATUS_RETRY && !held.connection_lost;
    if (status == STATUS_OK)
        status = joint_sql_prune(store, prune->decided_before_us, prune->limit, &prune->pruned,
                                 &held);
    if (status == STATUS_OK && prune->is_seen)
        status = joint_postgresql_triggers(store, true, &held);
    if (status == STATUS_OK)
        return row_keep(store, err);
    prune->pruned = 0;
    if (prune->is_held)
        return row_undo(store, err);
    *err = held;
    return row_end(store, status, err);
}

/* The counts are set right whatever becomes of what is old. */
static enum status joint_postgresql_prune(struct store *store, int64_t decided_before_us,
                                          size_t limit, size_t *ret_pruned, struct error *err)
{
    struct prune_old prune = {.decided_before_us = decided_before_us, .limit = limit};
    struct error miscounted = ERROR_INIT;
    size_t none = 0;
    enum status status = prune_find(store, &prune, err);
    if (status == STATUS_OK)
        status = prune_try(store, &prune, err);
    *ret_pruned = prune.pruned;
    if (status != STATUS_REJECT && !prune.is_held)
        return status;
    enum status counted = joint_sql_prune(store, decided_before_us, 0, &none, &miscounted);
    if (counted == STATUS_OK)
        return status;
    *err = miscounted;
    return counted;
}

static enum status read_unfit(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    row->copy(row, 0, context, ERROR_TEXT_SIZE / 2);
    return STATUS_OK;
}

/* What is reserved already can still be settled. The server has said its encoding by itself. */
static enum status check_fit(struct store *store, struct error *err)
{
    char unfit[ERROR_TEXT_SIZE / 2] = "";
    const char *encoding = PQparameterStatus(store_postgresql_of(store)->connection,
                                             "server_encoding");
    if (encoding != NULL && strcmp(encoding, "UTF8") == 0)
        return STATUS_OK;
    enum status status = store_sql_query(store_sql_of(store), SQL_CALL_PLAIN(JOINT_UNFIT),
                                         read_unfit, unfit, err);
    return status != STATUS_OK || unfit[0] == '\0'
               ? status
               : error_set(err, STATUS_REJECT, "%s: " JOINT_UNFIT_ADVICE, unfit);
}

static enum status read_may_try(void *context, struct store_row *row, struct error *err)
{
    (void)context;
    return row->integer(row, 0) != 0
               ? STATUS_OK
               : error_set(
                     err, STATUS_RETRY,
                     "this login may not delete from keepstep_touched, so that it can try no "
                     "joint transaction: let an administrator run what `keepstep init` prints "
                     "with --print-roles, and let the login inherit its role's rights");
}

/* By it the triggers know that a try is the agent's. Sent without waiting: the try begins with
 * another question. */
static enum status check_rights(struct store *store, struct error *err)
{
    return store_sql_ask(store_sql_of(store), SQL_CALL_PLAIN(JOINT_MAY_TRY), read_may_try, NULL,
                         err);
}

/* Only a try needs these: a decision is made without them. */
static enum status joint_postgresql_attempt(struct store *store, const struct joint_part *part,
                                            struct error *err)
{
    enum status status = check_fit(store, err);
    if (status == STATUS_OK)
        status = check_rights(store, err);
    return status == STATUS_OK ? joint_sql_attempt(store, part, err) : status;
}

const struct joint_ops joint_postgresql_ops = {
    JOINT_SQL_SLOTS,
    .prepare = joint_sql_prepare,
    .note = joint_postgresql_note,
    .mark = joint_postgresql_mark,
    .prune = joint_postgresql_prune,
    .attempt = joint_postgresql_attempt,
    .settle = joint_sql_settle,
    .triggers = joint_postgresql_triggers,
};
