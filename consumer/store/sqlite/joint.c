/* What SQLite does otherwise for joint transactions: triggers of the service's are passed over, and
 * a decision is a change set of its own. */
#include "consumer/store/sql/joint.h"
#include "consumer/store/sqlite/internal.h"

static enum status joint_sqlite_triggers(struct store *store, bool run, struct error *err)
{
    sqlite3 *database = store_sqlite_of(store)->database;
    int code = sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, run ? 1 : 0, NULL);
    return code == SQLITE_OK ? STATUS_OK
                             : sqlite_session_code_error(database, code, "triggers", err);
}

static enum status row_execute(struct store *store, const char *sql, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    return self->session->execute(self, sql, err);
}

/* What a trigger has done to the row goes with it, so that it can be written without triggers. A
 * trigger may have ended the transaction. */
static enum status row_end(struct store *store, enum status status, struct error *err)
{
    struct error gone = ERROR_INIT;
    enum status ended = STATUS_OK;
    if (status == STATUS_REJECT)
        ended = row_execute(store, "ROLLBACK TO SAVEPOINT keepstep_row", &gone);
    if (ended == STATUS_OK && (status == STATUS_OK || status == STATUS_REJECT))
        ended = row_execute(store, "RELEASE SAVEPOINT keepstep_row", &gone);
    if (ended == STATUS_OK)
        return status;
    if (status == STATUS_OK)
        *err = gone;
    return err->status = ended;
}

static enum status joint_sqlite_note(struct store *store, const struct joint_row *row,
                                     bool *ret_known, int64_t *ret_created_at_us, struct error *err)
{
    enum status status = row_execute(store, "SAVEPOINT keepstep_row", err);
    if (status == STATUS_OK)
        status = joint_sql_note(store, row, ret_known, ret_created_at_us, err);
    return row_end(store, status, err);
}

static enum status joint_sqlite_mark(struct store *store, const struct joint_row *row,
                                     struct error *err)
{
    enum status status = row_execute(store, "SAVEPOINT keepstep_row", err);
    if (status == STATUS_OK)
        status = joint_sql_mark(store, row, err);
    return row_end(store, status, err);
}

static enum status joint_sqlite_attempt(struct store *store, const struct joint_part *part,
                                        struct error *err)
{
    enum status status = joint_sql_attempt(store, part, err);
    if (status == STATUS_OK)
        status = joint_sqlite_keys(store, part, err);
    else
        return status;
    if (status == STATUS_REJECT &&
        store_sql_run(store_sql_of(store),
                      SQL_CALL(JOINT_RELEASE, parameter_raw(part->name.proposer),
                               parameter_raw(part->name.id)),
                      NULL) != STATUS_OK)
        status = err->status = STATUS_RETRY;
    return status;
}

/* Where whole transactions are published a transaction says where it begins (rule 51). What it
 * writes is told by its positions, because nobody else writes meanwhile. */
static enum status joint_sqlite_settle(struct store *store, const struct joint_part *part,
                                       struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t has_sets = 0;
    int64_t end = 0;
    struct buffer name;
    enum status status = store_sql_number(self, SQL_CALL_PLAIN(JOINT_HAS_SETS), 0, &has_sets, err);
    if (status == STATUS_OK && has_sets != 0 && part->committed)
        status = store_sql_run(self, SQL_CALL_PLAIN(JOINT_NEXT_SET), err);
    if (status == STATUS_OK)
        status = store_sql_number(self, SQL_CALL_PLAIN(JOINT_OUTBOX_END), 0, &end, err);
    if (status == STATUS_OK)
        status = joint_sql_settle(store, part, err);
    if (status != STATUS_OK || !part->committed)
        return status;
    buffer_init(&name, JOINT_BYTES_MAX);
    joint_name_append(part->name, &name);
    status = name.failed
                 ? error_set(err, STATUS_RETRY, "no memory")
                 : store_sql_run(self,
                                 SQL_CALL(JOINT_NAME_WRITTEN, parameter_raw(buffer_slice(&name)),
                                          parameter_integer(end)),
                                 err);
    buffer_done(&name);
    return status;
}

static enum status joint_sqlite_prune(struct store *store, int64_t decided_before_us, size_t limit,
                                      size_t *ret_pruned, struct error *err)
{
    *ret_pruned = 0;
    enum status status = joint_sqlite_triggers(store, false, err);
    if (status == STATUS_OK)
        status = joint_sql_prune(store, decided_before_us, limit, ret_pruned, err);
    if (joint_sqlite_triggers(store, true, NULL) != STATUS_OK && status == STATUS_OK)
        status = error_set(err, STATUS_RETRY, "triggers could not be switched on again");
    return status;
}

const struct joint_ops joint_sqlite_ops = {
    JOINT_SQL_SLOTS,
    .prepare = joint_sql_prepare,
    .note = joint_sqlite_note,
    .mark = joint_sqlite_mark,
    .prune = joint_sqlite_prune,
    .attempt = joint_sqlite_attempt,
    .settle = joint_sqlite_settle,
    .triggers = joint_sqlite_triggers,
};
