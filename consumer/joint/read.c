/* From records of the joint topic to rows of keepstep_joint: proposals are noted, votes counted,
 * decisions recorded, with the position in one transaction (rule 62). */
#include "common/utf8.h"
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a batch of records did, for the log, the metrics and the crash points. */
struct joint_batch {
    size_t noted;
    size_t decided;
};

static void open_set_reason(struct joint_open *open, const char *reason)
{
    utf8_format(open->reason, sizeof open->reason, "%s", reason);
}

static bool takes_part(const struct joint_agent *agent, const struct joint_tally *tally)
{
    return joint_tally_ballot(tally, slice_of(agent->options.config->service)) != NULL;
}

/* What a proposal that was just read is here. */
static struct joint_open open_begin(const struct joint_agent *agent, struct joint_tally *tally,
                                    const struct joint_record *record)
{
    struct joint_open open = {.tally = tally,
                              .timeout_ms = record->proposal.timeout_ms,
                              .state = JOINT_STATE_QUEUED,
                              .since_us = clock_monotonic_us(),
                              .read_at_us = clock_wall_us()};
    bool is_mine = strcmp(tally->proposer, agent->options.config->service) == 0;
    if (tally->outcome == JOINT_ABORTED) {
        open.state = JOINT_STATE_ABORTED;
        open.decided_at_us = open.read_at_us;
        open.timeout_ms = JOINT_TIMEOUT_MS;
        open_set_reason(&open, tally->reason);
    }
    if (!is_mine && !takes_part(agent, tally))
        open.state = JOINT_STATE_ELSEWHERE;
    return open;
}

static enum status joint_note(struct joint_agent *agent, struct joint_tally *tally,
                              const struct joint_record *record, struct joint_batch *batch,
                              struct error *err)
{
    struct joint_noted noted = {.known = false};
    struct joint_open open = open_begin(agent, tally, record);
    struct slice changes = record->proposal.changes_text;
    if (open.state == JOINT_STATE_ELSEWHERE)
        changes = (struct slice){0};
    enum status status = joint_row_note(agent, &open, changes, &noted, err);
    if (status != STATUS_OK)
        return status;
    if (noted.known)
        log_warning("joint", "%s of %s was proposed before: the first proposal counts", tally->id,
                    tally->proposer);
    if (noted.known || joint_state_is_settled(open.state)) {
        joint_log_forget(&agent->log, tally);
        return STATUS_OK;
    }
    batch->noted++;
    status = joint_opens_add(&agent->opens, &open, record->proposal.changes_text, err);
    if (status != STATUS_OK)
        return status;
    return joint_open_find_wants(agent->opens.items[agent->opens.count - 1],
                                 agent->options.config->service, &agent->options.types, err);
}

/* An own yes in what is history to this database: perhaps it has made all of it before Keepstep's
 * tables were made anew, perhaps it has lost it. Only a person knows. */
static enum status joint_refuse_history(const struct joint_open *open,
                                        const struct joint_record *record, struct error *err)
{
    return error_set(err, STATUS_STOP,
                     "offset %" PRId64 " of the joint topic has a yes of this service on %s of %s, "
                     "and its database had no position in that topic: it was uninstalled, is new, "
                     "or is older than joint transactions. If it holds what was committed so far, "
                     "or is to go on without it, say so with `keepstep joint adopt`; else restore "
                     "a newer backup",
                     record->offset, open->tally->id, open->tally->proposer);
}

/* An own vote is in the log and the database does not know it: it was restored (rule 69). */
static enum status joint_check_own_vote(struct joint_agent *agent, struct joint_open *open,
                                        const struct joint_record *record, struct error *err)
{
    if (record->kind != JOINT_VOTE || open->state != JOINT_STATE_QUEUED ||
        !slice_is(record->source, agent->options.config->service))
        return STATUS_OK;
    if (record->answer.yes && record->offset < agent->history.end && !agent->history.made)
        return joint_refuse_history(open, record, err);
    if (slice_is(record->incarnation, agent->meta.incarnation))
        return error_set(err, STATUS_STOP,
                         "offset %" PRId64 " of the joint topic has a vote of this service on %s "
                         "of %s that its database does not know: the database was rewound or "
                         "cloned. Stop the other one; after a restore run `keepstep init "
                         "--restored --new-incarnation`",
                         record->offset, open->tally->id, open->tally->proposer);
    open->lost_vote = true;
    return STATUS_OK;
}

/* Reading a decision only records it; a step of its own makes it so (rule 70). */
static void open_decide(struct joint_agent *agent, struct joint_open *open)
{
    const struct joint_tally *tally = open->tally;
    bool is_reserved = open->state == JOINT_STATE_RESERVED;
    bool is_made = agent->history.made && tally->decision_offset < agent->history.end;
    open->decided_at_us = clock_wall_us();
    open->next_us = 0;
    open_set_reason(open, tally->reason);
    if (tally->outcome == JOINT_COMMITTED) {
        bool has_part = joint_open_has_part(open) && !is_made;
        open->late = has_part && !is_reserved;
        open->state = has_part ? JOINT_STATE_COMMITTING : JOINT_STATE_COMMITTED;
        if (open->late)
            atomic_fetch_add(&agent->options.metrics->late, 1);
    } else {
        open->state = is_reserved ? JOINT_STATE_ABORTING : JOINT_STATE_ABORTED;
    }
    if (is_made) /* it is not settled by a step, which would make it */
        open->row_until_us = clock_monotonic_us();
}

/* A trigger that acts on the outcome writes what another transaction reserves. The log is read on,
 * or that one would never be decided; a step of its own settles this one, with nothing to make. */
static void open_step_back(struct joint_open *open)
{
    open->state = open->tally->outcome == JOINT_COMMITTED ? JOINT_STATE_COMMITTING
                                                          : JOINT_STATE_ABORTING;
}

static enum status joint_count(struct joint_agent *agent, struct joint_tally *tally,
                               const struct joint_record *record, struct joint_batch *batch,
                               struct error *err)
{
    struct joint_open *open = joint_opens_find(&agent->opens, tally);
    if (open == NULL)
        return error_set(err, STATUS_FATAL, "a joint transaction is counted and not open");
    enum status status = joint_check_own_vote(agent, open, record, err);
    if (status != STATUS_OK)
        return status;
    if (tally->outcome != JOINT_UNDECIDED) {
        open_decide(agent, open);
        batch->decided++;
    }
    status = joint_mark(agent, open, err);
    if (status == STATUS_REJECT) {
        error_clear(err);
        open_step_back(open);
        status = joint_mark(agent, open, err);
    }
    if (status == STATUS_OK && joint_state_is_settled(open->state)) {
        atomic_fetch_add(open->state == JOINT_STATE_COMMITTED ? &agent->options.metrics->committed
                                                              : &agent->options.metrics->aborted,
                         1);
        joint_opens_remove(&agent->opens, open);
        joint_log_forget(&agent->log, tally);
    }
    return status;
}

/* The sources of the log are those of the partition's state, in the same order. */
static enum status joint_keep_source(struct joint_agent *agent, const struct joint_record *record,
                                     struct error *err)
{
    struct partition_state *state = &agent->state;
    size_t i = 0;
    while (i < agent->log.source_count &&
           !(slice_is(record->source, agent->log.sources[i].source) &&
             slice_is(record->incarnation, agent->log.sources[i].incarnation)))
        i++;
    if (i == agent->log.source_count)
        return STATUS_OK;
    const struct joint_source *source = &agent->log.sources[i];
    if (i == state->sequence_count) {
        struct sequence_state *more = realloc(state->sequences, (i + 1) * sizeof *more);
        if (more == NULL)
            return error_set(err, STATUS_RETRY, "no memory for a source of joint transactions");
        more[i] = (struct sequence_state){.base = 1};
        state->sequences = more;
        state->sequence_count++;
        (void)snprintf(more[i].source, sizeof more[i].source, "%s", source->source);
        (void)snprintf(more[i].incarnation, sizeof more[i].incarnation, "%.36s",
                       source->incarnation);
    }
    struct sequence_state *kept = &state->sequences[i];
    if (kept->last == source->last)
        return STATUS_OK;
    kept->last = source->last;
    (void)snprintf(kept->last_id, sizeof kept->last_id, "%s", source->last_id);
    return agent->ops->record_sequence(agent->store, state->topic, state->partition, kept, err);
}

static enum status joint_store_record(struct joint_agent *agent, const struct joint_record *record,
                                      struct joint_batch *batch, struct error *err)
{
    enum joint_effect effect;
    struct joint_tally *tally = NULL;
    enum status status = joint_log_read(&agent->log, record, &effect, &tally, err);
    if (status != STATUS_OK)
        return status;
    if (effect == JOINT_SOURCE_ENDED)
        log_error("joint",
                  "offset %" PRId64 " of the joint topic: %.*s skips a number or names another "
                  "predecessor: nothing that this incarnation of it says counts from here on. "
                  "`keepstep init --new-incarnation` there starts another one",
                  record->offset, SLICE_ARGS(record->source));
    if (effect == JOINT_PROPOSED)
        status = joint_note(agent, tally, record, batch, err);
    else if (effect == JOINT_VOTED || effect == JOINT_DECIDED)
        status = joint_count(agent, tally, record, batch, err);
    return status == STATUS_OK ? joint_keep_source(agent, record, err) : status;
}

static void joint_pass_before(const struct joint_batch *batch)
{
    if (batch->noted > 0)
        failpoint(FAILPOINT_JOINT_BEFORE_NOTE);
    if (batch->decided > 0)
        failpoint(FAILPOINT_JOINT_BEFORE_DECISION);
}

static void joint_pass_after(const struct joint_batch *batch)
{
    if (batch->noted > 0)
        failpoint(FAILPOINT_JOINT_AFTER_NOTE);
    if (batch->decided > 0)
        failpoint(FAILPOINT_JOINT_AFTER_DECISION);
}

enum status joint_store_records(struct joint_agent *agent, struct error *err)
{
    struct joint_batch batch = {0};
    const struct joint_record *last = NULL;
    for (size_t i = 0; i < agent->record_count; i++) {
        if (agent->records[i].sequence != 0)
            last = &agent->records[i];
    }
    enum status status = joint_begin(agent, agent->read_to, last, err);
    for (size_t i = 0; i < agent->record_count && status == STATUS_OK; i++)
        status = joint_store_record(agent, &agent->records[i], &batch, err);
    if (status == STATUS_OK)
        joint_pass_before(&batch);
    status = joint_end(agent, status, false, err);
    if (status != STATUS_OK)
        return status;
    joint_pass_after(&batch);
    agent->state.next_offset = agent->read_to;
    agent->record_count = 0;
    arena_reset(&agent->arena);
    return STATUS_OK;
}

static enum status load_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_agent *agent = context;
    struct joint_tally tally = {.proposal_offset = row->proposal_offset,
                                .decision_offset = row->decision_offset};
    struct joint_open open = {.timeout_ms = row->timeout_ms,
                              .state = row->state,
                              .withdrawn = row->withdrawn,
                              .late = row->late,
                              .since_us = clock_monotonic_us(),
                              .read_at_us = row->read_at_us,
                              .decided_at_us = row->decided_at_us};
    const char *service = agent->options.config->service;
    (void)snprintf(tally.proposer, sizeof tally.proposer, "%.*s", SLICE_ARGS(row->name.proposer));
    (void)snprintf(tally.id, sizeof tally.id, "%.*s", SLICE_ARGS(row->name.id));
    (void)snprintf(tally.proposal_id, sizeof tally.proposal_id, "%.*s",
                   SLICE_ARGS(row->proposal_id));
    utf8_format(open.reason, sizeof open.reason, "%.*s", SLICE_ARGS(row->reason));
    if (row->state == JOINT_STATE_COMMITTING || row->state == JOINT_STATE_HELD)
        tally.outcome = JOINT_COMMITTED;
    else if (row->state == JOINT_STATE_ABORTING)
        tally.outcome = JOINT_ABORTED;
    enum status status = joint_ballots_read(row->votes, &tally, err);
    if (status != STATUS_OK)
        return status;
    const struct joint_ballot *own = joint_tally_ballot(&tally, slice_of(service));
    open.lost_vote = row->state == JOINT_STATE_QUEUED && own != NULL && own->vote != JOINT_NO_VOTE;
    status = joint_log_add_tally(&agent->log, &tally, err);
    if (status != STATUS_OK)
        return status;
    open.tally = agent->log.tallies[agent->log.tally_count - 1];
    status = joint_opens_add(&agent->opens, &open, row->changes, err);
    return status == STATUS_OK ? joint_open_find_wants(agent->opens.items[agent->opens.count - 1],
                                                       service, &agent->options.types, err)
                               : status;
}

enum status joint_load(struct joint_agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->state.sequence_count && status == STATUS_OK; i++) {
        const struct sequence_state *kept = &agent->state.sequences[i];
        struct joint_source source = {.last = kept->last};
        (void)snprintf(source.source, sizeof source.source, "%s", kept->source);
        (void)snprintf(source.incarnation, sizeof source.incarnation, "%s", kept->incarnation);
        (void)snprintf(source.last_id, sizeof source.last_id, "%s", kept->last_id);
        status = joint_log_add_source(&agent->log, &source, err);
    }
    return status == STATUS_OK ? agent->ops->joint->load(agent->store, load_row, agent, err)
                               : status;
}
