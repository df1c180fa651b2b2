/* Writes the rows of keepstep_joint. A service may have triggers on them, to act on what becomes of
 * its transactions; one that refuses a row refuses nothing, because the log has decided. */
#include "consumer/joint/internal.h"

#include "common/log.h"

/** A row that is to be written: noted, or marked. */
struct row_writing {
    const struct joint_row *row;
    struct joint_noted *noted; /* NULL: it is marked */
};

static enum status row_write(struct joint_agent *agent, const struct row_writing *writing,
                             struct error *err)
{
    const struct joint_ops *ops = agent->ops->joint;
    struct joint_noted *noted = writing->noted;
    return noted == NULL
               ? ops->mark(agent->store, writing->row, err)
               : ops->note(agent->store, writing->row, &noted->known, &noted->created_at_us, err);
}

static enum status row_write_silently(struct joint_agent *agent, const struct row_writing *writing,
                                      struct error *err)
{
    const struct joint_ops *ops = agent->ops->joint;
    if (ops->triggers == NULL)
        return error_set(err, STATUS_RETRY,
                         "this database cannot write a row without its triggers");
    enum status status = ops->triggers(agent->store, false, err);
    if (status != STATUS_OK)
        return status == STATUS_REJECT ? (err->status = STATUS_RETRY) : status;
    status = row_write(agent, writing, err);
    enum status again = ops->triggers(agent->store, true, status == STATUS_OK ? err : NULL);
    return status == STATUS_OK ? again : status;
}

/* A trigger that has ended the transaction has taken all of it with it: next time none runs. */
static enum status row_pass_triggers(struct joint_agent *agent, enum status status,
                                     struct error *err)
{
    log_error("joint",
              "a row of keepstep_joint cannot be written: %s. Its triggers do not run from now on; "
              "mend them, then start the sidecar again",
              err->text);
    agent->passes_triggers = true;
    return status == STATUS_ABORT ? status : (err->status = STATUS_RETRY);
}

static enum status joint_write_row(struct joint_agent *agent, const struct row_writing *writing,
                                   struct error *err)
{
    struct error refused = ERROR_INIT;
    if (agent->passes_triggers)
        return row_write_silently(agent, writing, err);
    enum status status = row_write(agent, writing, &refused);
    if (status == STATUS_REJECT) {
        log_warning("joint",
                    "a trigger refuses the row of %.*s of %.*s in keepstep_joint, which is written "
                    "all the same, because the log has decided: %s",
                    SLICE_ARGS(writing->row->name.id), SLICE_ARGS(writing->row->name.proposer),
                    refused.text);
        return row_write_silently(agent, writing, err);
    }
    *err = refused;
    return status == STATUS_FATAL || status == STATUS_ABORT ? row_pass_triggers(agent, status, err)
                                                            : status;
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

enum status joint_mark(struct joint_agent *agent, const struct joint_open *open, struct error *err)
{
    struct buffer votes;
    buffer_init(&votes, JOINT_BYTES_MAX);
    const struct joint_row row = open_row(open, &votes);
    const struct row_writing writing = {.row = &row};
    enum status status = votes.failed
                             ? error_set(err, STATUS_RETRY, "no memory for a joint transaction")
                             : joint_write_row(agent, &writing, err);
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
    const struct row_writing writing = {&row, ret_noted};
    enum status status = votes.failed
                             ? error_set(err, STATUS_RETRY, "no memory for a joint transaction")
                             : joint_write_row(agent, &writing, err);
    buffer_done(&votes);
    return status;
}
