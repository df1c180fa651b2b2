/* The rows of keepstep_joint, the records that a service says in the log, and what is emptied. */
#include "consumer/store/sql/joint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define JOINT_TYPE_SIZE 64

enum status joint_sql_prepare(struct store *store, const struct joint_types *types,
                              struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t tables = 0;
    enum status status = store_sql_number(self, SQL_CALL_PLAIN(JOINT_TABLES), 0, &tables, err);
    if (status == STATUS_OK && (tables == 0 || !self->has_outbox))
        status = error_set(error_config(err), STATUS_FATAL,
                           "the database has no tables of joint transactions: run `keepstep init`");
    if (status == STATUS_OK && self->session->has_guard)
        status = store_sql_run(self, SQL_CALL_PLAIN(JOINT_YIELD), err);
    if (status != STATUS_OK)
        return status;
    joint_tables_done(self);
    self->joint_types = types;
    self->joint_tables = calloc(types->count + 1, sizeof *self->joint_tables);
    return self->joint_tables == NULL ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
}

/* An offset that is not known is NULL. */
static struct parameter parameter_offset(int64_t offset)
{
    return offset < 0 ? parameter_slice((struct slice){0}) : parameter_integer(offset);
}

static struct parameter parameter_or_empty(struct slice text)
{
    return parameter_raw(store_or_empty(text));
}

/* What a service's trigger on keepstep_joint meets is its own affair: a reservation too. */
static enum status row_judge(enum status status, struct error *err)
{
    if (status == STATUS_RETRY && strstr(err->text, ERROR_TRY_AGAIN) != NULL)
        status = err->status = STATUS_REJECT;
    return status;
}

/* A trigger can also change what is written, without an error. */
static enum status row_is_changed(struct error *err)
{
    return error_set(err, STATUS_REJECT, "a trigger changes what the agent writes into the row");
}

/** A row that was noted, as it stands now. */
struct row_noted {
    int64_t created_at_us;
    bool is_as_written;
};

static enum status read_noted(void *context, struct store_row *row, struct error *err)
{
    struct row_noted *noted = context;
    (void)err;
    noted->created_at_us = row->integer(row, 0);
    noted->is_as_written = row->integer(row, 1) != 0;
    return STATUS_OK;
}

/* A trigger can leave a row out without an error, and the transaction would be forgotten. */
static enum status joint_write_note(struct store_sql *self, struct sql_call call,
                                    struct row_noted *noted, struct error *err)
{
    int64_t written = 0;
    call.changes = &written;
    enum status status = store_sql_send(self, call, err);
    call.changes = NULL;
    call.id = STATEMENT_JOINT_NOTED;
    if (status == STATUS_OK)
        status = store_sql_query(self, call, read_noted, noted, err);
    status = row_judge(status, err);
    if (status == STATUS_OK && written == 0)
        return error_set(err, STATUS_REJECT, "a trigger leaves the row out");
    return status == STATUS_OK && !noted->is_as_written ? row_is_changed(err) : status;
}

enum status joint_sql_note(struct store *store, const struct joint_row *row, bool *ret_known,
                           int64_t *ret_created_at_us, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    const struct parameter name[] = {parameter_raw(row->name.proposer),
                                     parameter_raw(row->name.id)};
    struct sql_call call = SQL_CALL(
        JOINT_NOTE, name[0], name[1], parameter_or_empty(row->changes),
        parameter_integer(row->timeout_ms), parameter_text(joint_state_name(row->state)),
        parameter_or_empty(row->reason), parameter_or_empty(row->votes),
        parameter_or_empty(row->proposal_id), parameter_offset(row->proposal_offset),
        parameter_offset(row->decision_offset), parameter_integer(row->read_at_us),
        parameter_integer(row->decided_at_us), parameter_integer(row->withdrawn),
        parameter_integer(row->late));
    struct row_noted noted = {0};
    int64_t known = 0;
    enum status status = store_sql_number(self, SQL_CALL(JOINT_KNOWN, name[0], name[1]), 0, &known,
                                          err);
    *ret_known = known != 0;
    if (status == STATUS_OK && !*ret_known)
        status = joint_write_note(self, call, &noted, err);
    call.id = STATEMENT_JOINT_NOTED;
    if (status == STATUS_OK && *ret_known)
        status = store_sql_query(self, call, read_noted, &noted, err);
    *ret_created_at_us = noted.created_at_us;
    return status;
}

struct joint_loading {
    joint_visit *visit;
    void *context;
};

/* The columns of joint_load and joint_find. */
enum {
    JOINT_PROPOSER,
    JOINT_ID,
    JOINT_CHANGES,
    JOINT_TIMEOUT,
    JOINT_STATE,
    JOINT_REASON,
    JOINT_VOTES,
    JOINT_PROPOSAL_ID,
    JOINT_PROPOSAL_OFFSET,
    JOINT_DECISION_OFFSET,
    JOINT_CREATED_AT,
    JOINT_READ_AT,
    JOINT_DECIDED_AT,
    JOINT_WITHDRAWN,
    JOINT_LATE
};

static enum status read_joint(void *context, struct store_row *row, struct error *err)
{
    const struct joint_loading *loading = context;
    struct joint_row joint = {
        .name = {row->bytes(row, JOINT_PROPOSER), row->bytes(row, JOINT_ID)},
        .changes = row->bytes(row, JOINT_CHANGES),
        .timeout_ms = (int32_t)row->integer(row, JOINT_TIMEOUT),
        .reason = row->bytes(row, JOINT_REASON),
        .votes = row->bytes(row, JOINT_VOTES),
        .proposal_id = row->bytes(row, JOINT_PROPOSAL_ID),
        .proposal_offset = row->integer(row, JOINT_PROPOSAL_OFFSET),
        .decision_offset = row->integer(row, JOINT_DECISION_OFFSET),
        .created_at_us = row->integer(row, JOINT_CREATED_AT),
        .read_at_us = row->integer(row, JOINT_READ_AT),
        .decided_at_us = row->integer(row, JOINT_DECIDED_AT),
        .withdrawn = row->integer(row, JOINT_WITHDRAWN) != 0,
        .late = row->integer(row, JOINT_LATE) != 0,
    };
    struct slice state = row->bytes(row, JOINT_STATE);
    if (!joint_state_parse(state, &joint.state))
        return error_set(err, STATUS_FATAL, "keepstep_joint has the unknown state \"%.*s\"",
                         SLICE_ARGS(state));
    return loading->visit(loading->context, &joint, err);
}

enum status joint_sql_load(struct store *store, joint_visit *visit, void *context,
                           struct error *err)
{
    struct joint_loading loading = {visit, context};
    return store_sql_query(store_sql_of(store), SQL_CALL_PLAIN(JOINT_LOAD), read_joint, &loading,
                           err);
}

enum status joint_sql_find(struct store *store, struct joint_name name, joint_visit *visit,
                           void *context, struct error *err)
{
    struct joint_loading loading = {visit, context};
    return store_sql_query(
        store_sql_of(store),
        SQL_CALL(JOINT_FIND, parameter_raw(name.proposer), parameter_raw(name.id)), read_joint,
        &loading, err);
}

static enum status row_left_out(struct store *store, const struct joint_row *row, struct error *err)
{
    int64_t known = 0;
    enum status status = store_sql_number(
        store_sql_of(store),
        SQL_CALL(JOINT_KNOWN, parameter_raw(row->name.proposer), parameter_raw(row->name.id)), 0,
        &known, err);
    if (status != STATUS_OK)
        return status;
    return known != 0
               ? error_set(err, STATUS_REJECT, "a trigger leaves the row as it is")
               : error_set(err, STATUS_ABORT, "joint transaction %.*s of %.*s is not known here",
                           SLICE_ARGS(row->name.id), SLICE_ARGS(row->name.proposer));
}

enum status joint_sql_mark(struct store *store, const struct joint_row *row, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t written = 0;
    int64_t stands = 0;
    struct sql_call call = SQL_CALL(
        JOINT_MARK, parameter_raw(row->name.proposer), parameter_raw(row->name.id),
        parameter_text(joint_state_name(row->state)), parameter_or_empty(row->reason),
        parameter_or_empty(row->votes), parameter_offset(row->decision_offset),
        parameter_integer(row->decided_at_us), parameter_integer(row->withdrawn),
        parameter_integer(row->late));
    call.changes = &written;
    enum status status = store_sql_send(self, call, err);
    call.changes = NULL;
    call.id = STATEMENT_JOINT_MARKED;
    if (status == STATUS_OK)
        status = store_sql_number(self, call, 0, &stands, err);
    status = row_judge(status, err);
    if (status == STATUS_OK && written == 0)
        return row_left_out(store, row, err);
    return status == STATUS_OK && stands == 0 ? row_is_changed(err) : status;
}

enum status joint_sql_say(struct store *store, const struct joint_saying *saying, struct error *err)
{
    char type[JOINT_TYPE_SIZE];
    struct buffer key;
    buffer_init(&key, JOINT_BYTES_MAX);
    joint_name_append(saying->name, &key);
    (void)snprintf(type, sizeof type, JOINT_ENTITY_TYPE ".%s", joint_kind_name(saying->kind));
    enum status status = STATUS_RETRY;
    if (key.failed)
        (void)error_set(err, status, "no memory");
    else
        status = store_sql_run(store_sql_of(store),
                               SQL_CALL(JOINT_SAY, parameter_text(JOINT_ENTITY_TYPE),
                                        parameter_raw(buffer_slice(&key)), parameter_text(type),
                                        parameter_raw(saying->value)),
                               err);
    buffer_done(&key);
    return status;
}

enum status joint_prune_rows(struct store_sql *store, struct sql_call call, size_t *ret_pruned,
                             bool *ret_held, struct error *err)
{
    int64_t pruned = 0;
    struct error held = ERROR_INIT;
    call.changes = &pruned;
    enum status status = store_sql_run(store, call, &held);
    *ret_held = status == STATUS_RETRY && joint_failed_alone(store, &held);
    *ret_pruned = status == STATUS_OK ? (size_t)pruned : 0;
    if (*ret_held)
        return STATUS_OK;
    if (status != STATUS_OK)
        *err = held;
    return status;
}

enum status joint_sql_prune(struct store *store, int64_t decided_before_us, size_t limit,
                            size_t *ret_pruned, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    bool is_held = false;
    enum status status = joint_guard_recount(self, err);
    *ret_pruned = 0;
    return status == STATUS_OK && limit > 0
               ? joint_prune_rows(self,
                                  SQL_CALL(JOINT_PRUNE, parameter_integer(decided_before_us),
                                           parameter_integer((int64_t)limit)),
                                  ret_pruned, &is_held, err)
               : status;
}

#define HISTORY_END  "joint_history_end"
#define HISTORY_MADE "joint_history_made"

enum status joint_sql_propose_again(struct store *store, struct error *err)
{
    return store_sql_run(store_sql_of(store), SQL_CALL_PLAIN(JOINT_PROPOSE_AGAIN), err);
}

/* What the service's triggers and constraints defer would be asked at COMMIT; a trigger may put it
 * off once more. */
static enum status propose_finish(struct store_sql *self, struct error *err)
{
    enum status status = joint_judge(self->base.ops->defer(&self->base, false, err), err);
    if (status == STATUS_OK)
        status = joint_judge(store_sql_finish(self, err), err);
    if (status == STATUS_REJECT)
        error_prefix(err, "a rule of the service's own, which waits for the COMMIT, refuses it");
    return status;
}

enum status joint_sql_propose(struct store *store, const struct joint_wish *wish, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    enum status status = store_sql_transaction(self, SQL_DURABLE, err);
    if (status != STATUS_OK)
        return status;
    status = store_sql_run(self,
                           SQL_CALL(JOINT_PROPOSE, parameter_raw(wish->id),
                                    parameter_raw(wish->changes),
                                    parameter_integer(wish->timeout_ms)),
                           err);
    status = joint_judge(status, err);
    if (status == STATUS_OK)
        status = propose_finish(self, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    return status;
}

static enum status read_number(void *context, struct store_row *row, struct error *err)
{
    char text[32];
    (void)err;
    row->copy(row, 0, text, sizeof text);
    *(int64_t *)context = strtoll(text, NULL, 10);
    return STATUS_OK;
}

enum status joint_sql_history(struct store *store, struct joint_history *ret_history,
                              struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t made = 0;
    *ret_history = (struct joint_history){0};
    enum status status = store_sql_query(self, SQL_CALL(META_READ, parameter_text(HISTORY_END)),
                                         read_number, &ret_history->end, err);
    if (status == STATUS_OK)
        status = store_sql_query(self, SQL_CALL(META_READ, parameter_text(HISTORY_MADE)),
                                 read_number, &made, err);
    ret_history->made = made != 0;
    return status;
}

enum status joint_sql_set_history(struct store *store, const struct joint_history *history,
                                  struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    char end[32];
    (void)snprintf(end, sizeof end, "%" PRId64, history->end);
    bool own = !self->in_transaction;
    enum status status = own ? store_sql_transaction(self, SQL_DURABLE, err) : STATUS_OK;
    if (status == STATUS_OK)
        status = store_sql_run(
            self, SQL_CALL(META_SET, parameter_text(HISTORY_END), parameter_text(end)), err);
    if (status == STATUS_OK)
        status = store_sql_run(self,
                               SQL_CALL(META_SET, parameter_text(HISTORY_MADE),
                                        parameter_text(history->made ? "1" : "0")),
                               err);
    if (status == STATUS_OK && own)
        status = store_sql_finish(self, err);
    if (status != STATUS_OK && own)
        store->ops->rollback(store);
    return status;
}
