/* Writes the rows of keepstep_joint. A service may have triggers on them, to act on what becomes of
 * its transactions; one that refuses a row refuses nothing, because the log has decided. */
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/log.h"

static enum status row_write(struct store *store, const struct joint_row_writing *writing,
                             struct error *err)
{
    const struct joint_ops *ops = store->ops->joint;
    struct joint_noted *noted = writing->noted;
    return noted == NULL
               ? ops->mark(store, writing->row, err)
               : ops->note(store, writing->row, &noted->known, &noted->created_at_us, err);
}

/* @param err  what the trigger has said. */
static enum status row_stands(const struct joint_row *row, struct error *err)
{
    error_prefix(err,
                 "a trigger refuses the row of %.*s of %.*s in keepstep_joint, and this database "
                 "writes none without its triggers: joint transactions wait until it is mended",
                 SLICE_ARGS(row->name.id), SLICE_ARGS(row->name.proposer));
    err->exit_code = 0;
    return err->status = STATUS_RETRY;
}

static enum status row_write_silently(struct store *store, const struct joint_row_writing *writing,
                                      struct error *err)
{
    const struct joint_ops *ops = store->ops->joint;
    struct error ignored = ERROR_INIT;
    enum status status = ops->triggers(store, false, err);
    if (status == STATUS_OK) {
        status = row_write(store, writing, err);
        enum status again = ops->triggers(store, true, status == STATUS_OK ? err : &ignored);
        status = status == STATUS_OK ? again : status;
    }
    return status == STATUS_REJECT ? (err->status = STATUS_RETRY) : status;
}

enum status joint_row_write(struct store *store, const struct joint_row_writing *writing,
                            bool silently, struct error *err)
{
    struct error refused = ERROR_INIT;
    bool can_be_silent = store->ops->joint->triggers != NULL;
    if (silently && can_be_silent)
        return row_write_silently(store, writing, err);
    enum status status = row_write(store, writing, &refused);
    bool is_refused = status == STATUS_REJECT || (status == STATUS_FATAL && !can_be_silent);
    if (status == STATUS_OK)
        return status;
    if (writing->waits && strstr(refused.text, ERROR_TRY_AGAIN) != NULL && is_refused) {
        *err = refused;
        return status;
    }
    if (!is_refused || !can_be_silent) {
        *err = refused;
        return is_refused ? row_stands(writing->row, err) : status;
    }
    status = row_write_silently(store, writing, err);
    if (status == STATUS_OK)
        log_warning("joint",
                    "a trigger refuses the row of %.*s of %.*s in keepstep_joint, which is written "
                    "all the same, because the log has decided: %s",
                    SLICE_ARGS(writing->row->name.id), SLICE_ARGS(writing->row->name.proposer),
                    refused.text);
    return status;
}

/* A trigger that has ended the transaction has taken all of it with it: next time none runs. */
static enum status agent_write_row(struct joint_agent *agent,
                                   const struct joint_row_writing *writing, struct error *err)
{
    enum status status = joint_row_write(agent->store, writing, agent->passes_triggers, err);
    if ((status != STATUS_FATAL && status != STATUS_ABORT) || agent->passes_triggers)
        return status;
    log_error("joint",
              "a row of keepstep_joint cannot be written: %s. Its triggers do not run from now on; "
              "mend them, then start the sidecar again",
              err->text);
    agent->passes_triggers = true;
    return status == STATUS_ABORT ? status : (err->status = STATUS_RETRY);
}

/* The row of a transaction, without the changes. @param votes  empty; the caller frees it. */
static struct joint_row open_row(const struct joint_open *open, struct buffer *votes)
{
    const struct joint_tally *tally = open->tally;
    joint_ballots_append(tally, votes);
    return (struct joint_row){
        .name = {.proposer = slice_of(tally->proposer), .id = slice_of(tally->id)},
        .timeout_ms = open->timeout_ms,
        .state = open->state,
        .reason = slice_of(open->reason),
        .votes = buffer_slice(votes),
        .proposal_id = slice_of(tally->proposal_id),
        .proposal_offset = tally->proposal_offset,
        .decision_offset = tally->decision_offset,
        .read_at_us = open->read_at_us,
        .decided_at_us = open->decided_at_us,
        .withdrawn = open->withdrawn,
        .late = open->late,
    };
}

/* A trigger acts on the outcome, which is not written until that is done. Where no row is written
 * without its triggers, each state waits. */
static bool open_row_waits(const struct joint_agent *agent, const struct joint_open *open)
{
    return agent->ops->joint->triggers == NULL ||
           (joint_state_is_settled(open->state) && open->state != JOINT_STATE_ELSEWHERE &&
            (open->row_until_us == 0 || clock_monotonic_us() < open->row_until_us));
}

enum status joint_mark(struct joint_agent *agent, const struct joint_open *open, struct error *err)
{
    struct buffer votes;
    buffer_init(&votes, JOINT_BYTES_MAX);
    const struct joint_row row = open_row(open, &votes);
    const struct joint_row_writing writing = {.row = &row, .waits = open_row_waits(agent, open)};
    enum status status = votes.failed
                             ? error_set(err, STATUS_RETRY, "no memory for a joint transaction")
                             : agent_write_row(agent, &writing, err);
    buffer_done(&votes);
    return status;
}

enum status joint_row_note(struct joint_agent *agent, const struct joint_open *open,
                           struct slice changes, struct joint_noted *ret_noted, struct error *err)
{
    struct buffer votes;
    buffer_init(&votes, JOINT_BYTES_MAX);
    struct joint_row row = open_row(open, &votes);
    row.changes = changes;
    const struct joint_row_writing writing = {
        .row = &row, .noted = ret_noted, .waits = open_row_waits(agent, open)};
    enum status status = votes.failed
                             ? error_set(err, STATUS_RETRY, "no memory for a joint transaction")
                             : agent_write_row(agent, &writing, err);
    buffer_done(&votes);
    return status;
}
