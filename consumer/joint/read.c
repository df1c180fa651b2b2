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
    int64_t committed;
    int64_t aborted;
    int64_t late;
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
                              .since_us = agent->read_us[record - agent->records],
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
    joint_times_give(agent, &open);
    return open;
}

/* A trigger that acts on the outcome writes what another transaction reserves. The log is read on,
 * or that one would never be decided; a step of its own settles this one, with nothing to make. */
static void open_step_back(struct joint_open *open)
{
    open->state = open->tally->outcome == JOINT_COMMITTED ? JOINT_STATE_COMMITTING
                                                          : JOINT_STATE_ABORTING;
}

static enum status joint_note(struct joint_agent *agent, struct joint_tally *tally,
                              const struct joint_record *record, struct joint_batch *batch,
                              struct error *err)
{
    struct joint_noted noted = {.known = false};
    struct joint_open open = open_begin(agent, tally, record);
    struct slice changes = record->proposal.changes_text;
    if (joint_leaves_out(agent)) {
        joint_log_forget(&agent->log, tally);
        return STATUS_OK;
    }
    if (open.state == JOINT_STATE_ELSEWHERE)
        changes = (struct slice){0};
    enum status status = joint_row_note(agent, &open, changes, &noted, err);
    if (status == STATUS_REJECT && open.state == JOINT_STATE_ABORTED) {
        error_clear(err);
        open_step_back(&open);
        status = joint_row_note(agent, &open, changes, &noted, err);
    }
    open.is_unnoted = status == STATUS_REJECT && agent->reads_ahead;
    if (status != STATUS_OK && !open.is_unnoted)
        return status;
    error_clear(err);
    if (noted.known)
        log_warning("joint", "%s of %s was proposed before: the first proposal counts", tally->id,
                    tally->proposer);
    if (noted.known || (joint_state_is_settled(open.state) && !open.is_unnoted)) {
        joint_log_forget(&agent->log, tally);
        return STATUS_OK;
    }
    batch->noted++;
    status = joint_opens_add(&agent->opens, &open, changes, err);
    if (status != STATUS_OK)
        return status;
    return joint_open_find_wants(joint_opens_find(&agent->opens, tally),
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

/* Reading a decision only records it; a step of its own makes it so (rule 70). What is reserved
 * here was not made here: both are one transaction. */
static void open_decide(const struct joint_agent *agent, struct joint_open *open)
{
    const struct joint_tally *tally = open->tally;
    bool is_reserved = open->state == JOINT_STATE_RESERVED;
    bool is_made = agent->history.made && !is_reserved &&
                   tally->decision_offset < agent->history.end;
    open->decided_at_us = clock_wall_us();
    open->next_us = 0;
    open_set_reason(open, tally->reason);
    if (tally->outcome == JOINT_COMMITTED) {
        bool has_part = joint_open_has_part(open) && !is_made;
        open->late = has_part && !is_reserved;
        open->state = has_part ? JOINT_STATE_COMMITTING : JOINT_STATE_COMMITTED;
    } else {
        open->state = is_reserved ? JOINT_STATE_ABORTING : JOINT_STATE_ABORTED;
    }
    if (is_made) /* it is not settled by a step, which would make it */
        open->row_until_us = clock_monotonic_us();
}

static enum status joint_count(struct joint_agent *agent, struct joint_tally *tally,
                               const struct joint_record *record, struct joint_batch *batch,
                               struct error *err)
{
    struct joint_open *open = joint_opens_find(&agent->opens, tally);
    if (open == NULL)
        return error_set(err, STATUS_FATAL, "a joint transaction is counted and not open");
    if (open->state == JOINT_STATE_ELSEWHERE) /* its row is all that is wanted */
        return STATUS_OK;
    enum status status = joint_check_own_vote(agent, open, record, err);
    if (status != STATUS_OK)
        return status;
    if (tally->outcome != JOINT_UNDECIDED) {
        open_decide(agent, open);
        batch->decided++;
        batch->late += open->late;
    }
    if (open->is_unnoted)
        return STATUS_OK;
    status = joint_mark(agent, open, err);
    /* What history has made would be made once more by a step. */
    if (status == STATUS_REJECT && joint_state_is_settled(open->state) && open->row_until_us == 0) {
        error_clear(err);
        open_step_back(open);
        status = joint_mark(agent, open, err);
    }
    open->row_is_behind = status == STATUS_REJECT && agent->reads_ahead;
    if (open->row_is_behind) {
        error_clear(err);
        return STATUS_OK;
    }
    if (status == STATUS_OK && joint_state_is_settled(open->state)) {
        if (open->state == JOINT_STATE_COMMITTED)
            batch->committed++;
        else
            batch->aborted++;
        joint_opens_remove(&agent->opens, open);
        joint_log_forget(&agent->log, tally);
    }
    return status;
}

/* The sources of the log are those of the partition's state, in the same order. */
static enum status sources_grow(struct joint_agent *agent, struct error *err)
{
    struct partition_state *state = &agent->state;
    if (state->sequence_count == agent->log.source_count)
        return STATUS_OK;
    struct sequence_state *more = realloc(state->sequences, agent->log.source_count * sizeof *more);
    if (more == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a source of joint transactions");
    state->sequences = more;
    while (state->sequence_count < agent->log.source_count) {
        const struct joint_source *source = &agent->log.sources[state->sequence_count];
        struct sequence_state *added = &more[state->sequence_count++];
        *added = (struct sequence_state){.base = 1};
        (void)snprintf(added->source, sizeof added->source, "%s", source->source);
        (void)snprintf(added->incarnation, sizeof added->incarnation, "%.36s", source->incarnation);
    }
    return STATUS_OK;
}

static void source_keep(const struct joint_source *source, struct sequence_state *kept)
{
    kept->last = source->last;
    (void)snprintf(kept->last_id, sizeof kept->last_id, "%s", source->last_id);
}

enum status joint_sources_write(struct joint_agent *agent, struct error *err)
{
    const struct partition_state *state = &agent->state;
    enum status status = sources_grow(agent, err);
    for (size_t i = 0; status == STATUS_OK && i < agent->log.source_count; i++) {
        struct sequence_state next = state->sequences[i];
        source_keep(&agent->log.sources[i], &next);
        if (next.last != state->sequences[i].last)
            status = agent->ops->record_sequence(agent->store, state->topic, state->partition,
                                                 &next, err);
    }
    return status;
}

void joint_sources_keep(struct joint_agent *agent)
{
    for (size_t i = 0; i < agent->log.source_count; i++)
        source_keep(&agent->log.sources[i], &agent->state.sequences[i]);
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
    return status;
}

static void joint_pass_before(const struct joint_batch *batch)
{
    if (batch->noted > 0)
        failpoint(FAILPOINT_JOINT_BEFORE_NOTE);
    if (batch->decided > 0)
        failpoint(FAILPOINT_JOINT_BEFORE_DECISION);
}

/* What is committed is counted once, however often it was tried. */
static void joint_pass_after(struct joint_agent *agent, const struct joint_batch *batch)
{
    struct joint_metrics *metrics = agent->options.metrics;
    if (batch->noted > 0)
        failpoint(FAILPOINT_JOINT_AFTER_NOTE);
    if (batch->decided > 0)
        failpoint(FAILPOINT_JOINT_AFTER_DECISION);
    atomic_fetch_add(&metrics->committed, batch->committed);
    atomic_fetch_add(&metrics->aborted, batch->aborted);
    atomic_fetch_add(&metrics->late, batch->late);
    if (agent->reads_ahead) {
        agent->seen_to = agent->read_to;
    } else {
        joint_sources_keep(agent);
        agent->state.next_offset = agent->read_to;
    }
    agent->record_count = 0;
    agent->store_until_us = 0;
    arena_reset(&agent->arena);
}

static enum status joint_store_batch(struct joint_agent *agent, struct joint_batch *batch,
                                     struct error *err)
{
    const struct joint_record *last = NULL;
    for (size_t i = 0; i < agent->record_count; i++) {
        if (agent->records[i].sequence != 0)
            last = &agent->records[i];
    }
    enum status status = agent->reads_ahead
                             ? joint_begin(agent, agent->state.next_offset, NULL, err)
                             : joint_begin(agent, agent->read_to, last, err);
    for (size_t i = 0; i < agent->record_count && status == STATUS_OK; i++)
        status = joint_store_record(agent, &agent->records[i], batch, err);
    if (status == STATUS_OK && !agent->reads_ahead)
        status = joint_sources_write(agent, err);
    if (status == STATUS_OK)
        joint_pass_before(batch);
    return joint_end(agent, status, false, err);
}

/* What is known of the records before those that were read is read anew, with the times of what was
 * open. @param why  of what could not be stored; it is cleared. */
static enum status joint_load_again(struct joint_agent *agent, struct error *why)
{
    error_clear(why);
    joint_times_keep(agent);
    joint_opens_done(&agent->opens);
    joint_log_done(&agent->log);
    return joint_load(agent, why);
}

/* Somebody holds what the transaction writes, or a trigger on keepstep_joint. The records stay in
 * memory and wait. Meanwhile steps go on: a timeout does not wait. */
static enum status joint_store_later(struct joint_agent *agent, struct error *why)
{
    int64_t now_us = clock_monotonic_us();
    if (agent->store_until_us == 0) {
        agent->store_until_us = now_us + JOINT_ROW_US;
        log_warning("joint", "what was read waits, and is stored as soon as that can be: %s",
                    why->text);
    } else if (now_us >= agent->store_until_us) {
        why->connection_lost = true; /* what a session has prepared may be to blame */
        return STATUS_RETRY;
    }
    enum status status = joint_load_again(agent, why);
    clock_sleep_us(JOINT_STORE_US);
    return status;
}

/* A trigger meets what is reserved, until something that stands further on in the log. */
static enum status joint_store_ahead(struct joint_agent *agent, struct error *why)
{
    log_warning("joint",
                "a trigger on keepstep_joint writes what is reserved: the log is read on, and what "
                "it says is stored when that is free: %s",
                why->text);
    agent->seen_to = agent->state.next_offset;
    agent->reads_ahead = true;
    return joint_load_again(agent, why);
}

enum status joint_store_records(struct joint_agent *agent, struct error *err)
{
    struct joint_batch batch = {0};
    enum status status = joint_store_batch(agent, &batch, err);
    if (status == STATUS_RETRY && !err->connection_lost && !agent->reads_ahead)
        return joint_store_later(agent, err);
    if (status == STATUS_REJECT && !agent->reads_ahead)
        return joint_store_ahead(agent, err);
    if (status == STATUS_OK)
        joint_pass_after(agent, &batch);
    return status;
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
    joint_times_give(agent, &open);
    status = joint_opens_add(&agent->opens, &open, row->changes, err);
    return status == STATUS_OK ? joint_open_find_wants(joint_opens_find(&agent->opens, open.tally),
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
    if (status == STATUS_OK)
        status = agent->ops->joint->load(agent->store, load_row, agent, err);
    if (status == STATUS_OK)
        joint_times_pass(agent);
    return status;
}
