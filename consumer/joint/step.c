/* What an agent does with the open transactions of its service: settles what is decided, withdraws
 * what has waited too long, and tries what is queued; each in a transaction of its own. */
#include "common/utf8.h"
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>

#define STEP_BACKOFF_US     INT64_C(20000)
#define STEP_BACKOFF_MAX_US INT64_C(1000000)
#define US_OF_A_MS          1000

static struct joint_name open_name(const struct joint_open *open)
{
    return (struct joint_name){.proposer = slice_of(open->tally->proposer),
                               .id = slice_of(open->tally->id)};
}

static void open_wait(struct joint_open *open)
{
    int64_t longer = open->backoff_us == 0 ? STEP_BACKOFF_US : 2 * open->backoff_us;
    open->backoff_us = longer < STEP_BACKOFF_MAX_US ? longer : STEP_BACKOFF_MAX_US;
    open->next_us = clock_monotonic_us() + open->backoff_us;
}

static void open_go_on(struct joint_open *open, enum joint_state state, const char *reason)
{
    open->state = state;
    open->backoff_us = 0;
    open->next_us = 0;
    open->is_told = false;
    utf8_format(open->reason, sizeof open->reason, "%s", reason);
}

/* A row that meets what is reserved is written the next time. */
static enum status step_mark(struct joint_agent *agent, const struct joint_open *open,
                             struct error *err)
{
    enum status status = joint_mark(agent, open, err);
    return status == STATUS_REJECT ? (err->status = STATUS_RETRY) : status;
}

/* Whoever lists the transactions sees what this one waits for; of one that is to be aborted he sees
 * why it is. */
static enum status step_tell(struct joint_agent *agent, struct joint_open *open, struct error *err)
{
    struct joint_open told = *open;
    log_warning("joint", "%s of %s waits, and is tried again each second: %s", open->tally->id,
                open->tally->proposer, err->text);
    open->is_told = true;
    if (open->state == JOINT_STATE_ABORTING)
        return STATUS_OK;
    utf8_format(told.reason, sizeof told.reason, "waits: %.480s", err->text);
    error_clear(err);
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = step_mark(agent, &told, err);
    status = joint_end(agent, status, false, err);
    if (status == STATUS_OK)
        utf8_format(open->reason, sizeof open->reason, "%s", told.reason);
    return status == STATUS_RETRY && !err->connection_lost ? STATUS_OK : status;
}

/* @return RETRY as OK where only a lock was missing: the transaction is tried again later. */
static enum status step_end(struct joint_agent *agent, struct joint_open *open, enum status status,
                            struct error *err)
{
    if (status != STATUS_RETRY || err->connection_lost)
        return status;
    open_wait(open);
    status = STATUS_OK;
    if (open->backoff_us == STEP_BACKOFF_MAX_US && !open->is_told)
        status = step_tell(agent, open, err);
    if (status == STATUS_OK)
        error_clear(err);
    return status;
}

/** The changes of this service, in an arena. */
struct step_part {
    struct arena arena;
    struct joint_proposal proposal;
    struct joint_part part;
};

static enum status step_part_read(const struct joint_agent *agent, const struct joint_open *open,
                                  struct step_part *ret_part, struct error *err)
{
    struct joint_proposal *proposal = &ret_part->proposal;
    struct slice service = slice_of(agent->options.config->service);
    size_t count = 0;
    arena_init(&ret_part->arena, JOINT_ARENA_BYTES);
    *proposal = (struct joint_proposal){0};
    enum status status = STATUS_OK;
    if (open->changes[0] != '\0')
        status = joint_changes_read(slice_of(open->changes), &ret_part->arena, proposal, err);
    if (status == STATUS_REJECT)
        status = err->status = STATUS_FATAL;
    for (size_t i = 0; status == STATUS_OK && i < proposal->change_count; i++) {
        if (slice_equal(proposal->changes[i].service, service))
            proposal->changes[count++] = proposal->changes[i];
    }
    ret_part->part = (struct joint_part){.name = open_name(open),
                                         .proposal_offset = open->tally->proposal_offset,
                                         .changes = proposal->changes,
                                         .change_count = count,
                                         .committed = open->tally->outcome == JOINT_COMMITTED,
                                         .late = open->late};
    return status;
}

static bool type_allows(const struct mapping *mapping, struct slice proposer)
{
    const struct config_entry *entry = mapping->entry;
    for (size_t i = 0; i < entry->joint_count; i++) {
        if (slice_is(proposer, entry->joint[i]))
            return true;
    }
    return false;
}

/* Who may ask for what (rule 72). @return OK; REJECT with the reason. */
static enum status step_check_allowed(const struct joint_agent *agent,
                                      const struct joint_part *part, struct error *err)
{
    bool is_own = slice_is(part->name.proposer, agent->options.config->service);
    for (size_t i = 0; i < part->change_count; i++) {
        struct slice type = part->changes[i].entity_type;
        const struct mapping *mapping = joint_types_find(&agent->options.types, type);
        if (mapping == NULL)
            return error_set(err, STATUS_REJECT,
                             "%.*s: no such type can be changed here: its entry in publish: needs "
                             "joint:",
                             SLICE_ARGS(type));
        if (!is_own && !type_allows(mapping, part->name.proposer))
            return error_set(err, STATUS_REJECT,
                             "%.*s: joint: does not let %.*s propose changes of it",
                             SLICE_ARGS(type), SLICE_ARGS(part->name.proposer));
    }
    return STATUS_OK;
}

static const char *step_code(const struct error *why, char text[static 16])
{
    if (why->native_code == 0)
        return "";
    (void)snprintf(text, 16, "%d", why->native_code);
    return text;
}

/* State and vote, in the transaction of the try. @param why  of a no. */
static enum status step_vote(struct joint_agent *agent, struct joint_open *open, bool yes,
                             const struct error *why, struct error *err)
{
    char code[16];
    const struct joint_answer vote = {.proposal = slice_of(open->tally->proposal_id),
                                      .yes = yes,
                                      .reason = slice_of(yes ? NULL : why->text),
                                      .code = slice_of(yes ? NULL : step_code(why, code))};
    struct joint_open voted = *open;
    open_go_on(&voted, yes ? JOINT_STATE_RESERVED : JOINT_STATE_REFUSED, yes ? "" : why->text);
    enum status status = step_mark(agent, &voted, err);
    return status == STATUS_OK ? joint_say_vote(agent, open, &vote, err) : status;
}

static enum status step_judge(struct joint_agent *agent, const struct joint_part *part,
                              struct error *why)
{
    int64_t limit = agent->options.config->limits.joint_open;
    enum status status = step_check_allowed(agent, part, why);
    if (status == STATUS_OK && (int64_t)joint_opens_undecided(&agent->opens) > limit)
        status = error_set(why, STATUS_REJECT,
                           "more than %" PRId64 " joint transactions are undecided here "
                           "(limits.joint_open)",
                           limit);
    return status == STATUS_OK ? agent->ops->joint->attempt(agent->store, part, why) : status;
}

/* What was refused is said in another transaction where a trigger has ended this one.
 * @return OK or REJECT (a verdict); else the status of `err`. */
static enum status step_verdict(struct joint_agent *agent, enum status verdict, struct error *why,
                                struct error *err)
{
    enum status status = STATUS_OK;
    if (verdict == STATUS_STOP) {
        agent->ops->rollback(agent->store);
        status = joint_begin(agent, agent->state.next_offset, NULL, err);
        verdict = why->status = STATUS_REJECT;
    } else if (verdict != STATUS_OK && verdict != STATUS_REJECT) {
        *err = *why;
    }
    return status == STATUS_OK ? verdict : status;
}

/* Reservation, state, vote and fence commit together (rule 62). */
static enum status step_try(struct joint_agent *agent, struct joint_open *open, struct error *err)
{
    struct error why = ERROR_INIT;
    struct step_part part;
    bool yes = false;
    enum status status = step_part_read(agent, open, &part, err);
    if (status == STATUS_OK)
        status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK) {
        status = step_verdict(agent, step_judge(agent, &part.part, &why), &why, err);
        yes = status == STATUS_OK;
        if (yes || status == STATUS_REJECT)
            status = step_vote(agent, open, yes, &why, err);
    }
    if (status == STATUS_OK)
        failpoint(FAILPOINT_JOINT_BEFORE_VOTE);
    status = joint_end(agent, status, false, err);
    arena_done(&part.arena);
    if (status != STATUS_OK)
        return step_end(agent, open, status, err);
    failpoint(FAILPOINT_JOINT_AFTER_VOTE);
    open_go_on(open, yes ? JOINT_STATE_RESERVED : JOINT_STATE_REFUSED, yes ? "" : why.text);
    atomic_fetch_add(yes ? &agent->options.metrics->votes_yes : &agent->options.metrics->votes_no,
                     1);
    return STATUS_OK;
}

/* As step_try() would be without rule 62: the vote is out before anything is reserved. */
static enum status step_try_apart(struct joint_agent *agent, struct joint_open *open,
                                  struct error *err)
{
    const struct joint_answer yes = {.proposal = slice_of(open->tally->proposal_id), .yes = true};
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = joint_say_vote(agent, open, &yes, err);
    status = joint_end(agent, status, true, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_JOINT_BEFORE_VOTE);
    return status == STATUS_OK ? step_try(agent, open, err) : status;
}

/* The log decides whether the withdrawal comes before the last yes (rule 68). */
static enum status step_withdraw(struct joint_agent *agent, struct joint_open *open,
                                 const char *why, struct error *err)
{
    struct joint_open withdrawn = *open;
    withdrawn.withdrawn = true;
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = step_mark(agent, &withdrawn, err);
    if (status == STATUS_OK)
        status = joint_say_withdrawal(agent, open, slice_of(why), err);
    status = joint_end(agent, status, false, err);
    if (status != STATUS_OK)
        return step_end(agent, open, status, err);
    open->withdrawn = true;
    atomic_fetch_add(&agent->options.metrics->withdrawals, 1);
    return STATUS_OK;
}

static enum status step_withdraw_late(struct joint_agent *agent, struct joint_open *open,
                                      struct error *err)
{
    struct buffer why;
    if (failpoint_rule_is_off(FAILPOINT_CLOCK)) {
        open->state = open->state == JOINT_STATE_RESERVED ? JOINT_STATE_ABORTING
                                                          : JOINT_STATE_ABORTED;
        open->tally->outcome = JOINT_ABORTED;
        open->tally->decision_offset = agent->state.next_offset;
        return STATUS_OK;
    }
    buffer_init(&why, JOINT_REASON_SIZE * JOINT_PARTICIPANTS_MAX);
    buffer_append_format(&why, "no decision within %d ms: ", (int)open->timeout_ms);
    joint_tally_missing(open->tally, &why);
    enum status status = step_withdraw(agent, open, buffer_text(&why), err);
    buffer_done(&why);
    return status;
}

static enum status step_settle_part(struct joint_agent *agent, struct joint_open *open,
                                    const struct joint_part *part, struct error *why,
                                    struct error *err)
{
    struct joint_open settled = *open;
    enum status verdict = open->late ? step_check_allowed(agent, part, why) : STATUS_OK;
    if (verdict == STATUS_OK)
        verdict = agent->ops->joint->settle(agent->store, part, why);
    verdict = step_verdict(agent, verdict, why, err);
    if (verdict == STATUS_REJECT && part->committed) {
        open_go_on(&settled, JOINT_STATE_HELD, why->text);
    } else if (verdict == STATUS_OK) {
        settled.state = part->committed ? JOINT_STATE_COMMITTED : JOINT_STATE_ABORTED;
        if (part->committed)
            settled.reason[0] = '\0';
    } else if (verdict == STATUS_REJECT) { /* what is reserved cannot be given back: not now */
        *err = *why;
        return err->status = STATUS_RETRY;
    }
    if (verdict != STATUS_OK && verdict != STATUS_REJECT)
        return verdict;
    verdict = joint_mark(agent, &settled, err);
    if (verdict == STATUS_REJECT && open->row_until_us == 0)
        open->row_until_us = clock_monotonic_us() + JOINT_ROW_US;
    return verdict == STATUS_REJECT ? (err->status = STATUS_RETRY) : verdict;
}

void joint_note_settled(struct joint_agent *agent, const struct joint_open *open)
{
    const struct joint_tally *tally = open->tally;
    struct joint_metrics *metrics = agent->options.metrics;
    if (open->state != JOINT_STATE_ELSEWHERE)
        atomic_fetch_add(
            tally->outcome == JOINT_COMMITTED ? &metrics->committed : &metrics->aborted, 1);
    joint_opens_remove(&agent->opens, open);
    joint_log_forget(&agent->log, tally);
}

/* A rejection after "committed" is held: loud, reserved still, and tried again (rule 70). */
static void step_note_held(struct joint_open *open, const struct error *why)
{
    if (open->state != JOINT_STATE_HELD)
        log_error("joint",
                  "%s of %s is committed, but this database refuses its changes: %s. Its entities "
                  "stay reserved and it is tried again each second: mend the cause",
                  open->tally->id, open->tally->proposer, why->text);
    open_go_on(open, JOINT_STATE_HELD, why->text);
    open->backoff_us = STEP_BACKOFF_MAX_US;
    open->next_us = clock_monotonic_us() + STEP_BACKOFF_MAX_US;
}

static enum status step_settle(struct joint_agent *agent, struct joint_open *open,
                               struct error *err)
{
    struct error why = ERROR_INIT;
    struct step_part part;
    enum status status = step_part_read(agent, open, &part, err);
    if (status == STATUS_OK)
        status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = step_settle_part(agent, open, &part.part, &why, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_JOINT_BEFORE_SETTLE);
    status = joint_end(agent, status, true, err);
    arena_done(&part.arena);
    if (status != STATUS_OK)
        return step_end(agent, open, status, err);
    failpoint(FAILPOINT_JOINT_AFTER_SETTLE);
    if (why.status == STATUS_REJECT)
        step_note_held(open, &why);
    else
        joint_note_settled(agent, open);
    return STATUS_OK;
}

static bool open_is_decided(const struct joint_open *open)
{
    return open->tally->outcome != JOINT_UNDECIDED;
}

static bool open_is_late(const struct joint_open *open)
{
    return clock_monotonic_us() - open->since_us >= (int64_t)open->timeout_ms * US_OF_A_MS;
}

/* What is to be done with one that is not decided. */
static enum status step_one(struct joint_agent *agent, struct joint_open *open, struct error *err)
{
    bool has_caught_up = joint_seen_to(agent) >= agent->read_first ||
                         failpoint_rule_is_off(FAILPOINT_NO_CATCHUP);
    if (!open->withdrawn && has_caught_up && open->lost_vote)
        return step_withdraw(agent, open, "it was restored, and does not know its vote any more",
                             err);
    if (!open->withdrawn && open_is_late(open))
        return step_withdraw_late(agent, open, err);
    if (open->state == JOINT_STATE_QUEUED && !open->withdrawn && !open->lost_vote &&
        has_caught_up && joint_open_has_part(open) && joint_wanted_by(&agent->wanted, open) == NULL)
        return failpoint_rule_is_off(FAILPOINT_VOTE_APART) ? step_try_apart(agent, open, err)
                                                           : step_try(agent, open, err);
    return STATUS_OK;
}

/* @return the decided one that is due for longest, the first proposed of these; NULL: none is. */
static struct joint_open *open_to_settle(const struct joint_agent *agent)
{
    struct joint_open *found = NULL;
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < agent->opens.count; i++) {
        struct joint_open *open = agent->opens.items[i];
        bool is_row_alone = open->row_is_behind && joint_state_is_settled(open->state);
        if (open_is_decided(open) && !open->is_unnoted && !is_row_alone &&
            open->next_us <= now_us && (found == NULL || open->next_us < found->next_us))
            found = open;
    }
    return found;
}

/* One that waits for its rows waits up to a second, and the log is read between two of them: votes
 * on other rows must not come too late. */
static enum status step_settle_due(struct joint_agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    bool has_waited = false;
    struct joint_open *open = open_to_settle(agent);
    while (open != NULL && status == STATUS_OK && !has_waited) {
        size_t count = agent->opens.count;
        status = step_settle(agent, open, err);
        has_waited = agent->opens.count == count && open->state != JOINT_STATE_HELD;
        open = open_to_settle(agent);
    }
    return status;
}

/* In the order of their proposals: each one meets what those before it want (rule 61). */
enum status joint_step(struct joint_agent *agent, struct error *err)
{
    enum status status = step_settle_due(agent, err);
    joint_wanted_clear(&agent->wanted);
    for (size_t i = 0; i < agent->opens.count && status == STATUS_OK; i++) {
        struct joint_open *open = agent->opens.items[i];
        if (!open_is_decided(open) && !open->is_unnoted && open->next_us <= clock_monotonic_us())
            status = step_one(agent, open, err);
        if (status == STATUS_OK)
            status = joint_wanted_add(&agent->wanted, open, err);
    }
    return status;
}
