/* Reads the log on where a row of keepstep_joint cannot be written yet: in MariaDB, where no row is
 * written without its triggers, one of them may write what another transaction reserves, and that
 * one is decided further on in the log. The rows of all others are written, but position and
 * numbers stay where they are. After a crash all of that is read again, and counts once (rule 60).
 */
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#define CATCH_UP_US INT64_C(200000)
#define TURN_US     INT64_C(20000) /* then the log is read, and votes are given */
#define BEHIND_MAX  1000           /* rows */
#define TELL_US     (INT64_C(60) * 1000 * 1000)

static bool open_is_behind(const struct joint_open *open)
{
    return open->row_is_behind || open->is_unnoted;
}

static size_t count_behind(const struct joint_agent *agent)
{
    size_t count = 0;
    for (size_t i = 0; i < agent->opens.count; i++)
        count += open_is_behind(agent->opens.items[i]);
    return count;
}

/* Those that wait are in memory. The log is read on all the same, because what they wait for is
 * decided there; its position stays, so what is left out of it now is read again. */
bool joint_leaves_out(struct joint_agent *agent)
{
    if (agent->leaves_out || !agent->reads_ahead || count_behind(agent) < BEHIND_MAX)
        return agent->leaves_out;
    log_warning("joint",
                "%d rows of keepstep_joint cannot be written yet: what is proposed from now on is "
                "read again behind them",
                BEHIND_MAX);
    return agent->leaves_out = true;
}

static enum status catch_up_row(struct joint_agent *agent, struct joint_open *open,
                                struct error *err)
{
    struct joint_noted noted = {.known = false};
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = open->is_unnoted
                     ? joint_row_note(agent, open, slice_of(open->changes), &noted, err)
                     : joint_mark(agent, open, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_JOINT_BEFORE_ROW);
    status = joint_end(agent, status, false, err);
    if (status == STATUS_REJECT || (status == STATUS_RETRY && !err->connection_lost)) {
        error_clear(err);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_JOINT_AFTER_ROW);
    open->row_is_behind = open->is_unnoted = false;
    if (joint_state_is_settled(open->state))
        joint_note_settled(agent, open);
    return STATUS_OK;
}

static enum status catch_up_position(struct joint_agent *agent, struct error *err)
{
    enum status status = joint_begin(agent, agent->seen_to, NULL, err);
    if (status == STATUS_OK)
        status = joint_sources_write(agent, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_JOINT_BEFORE_POSITION);
    status = joint_end(agent, status, false, err);
    if (status == STATUS_RETRY && !err->connection_lost) {
        error_clear(err);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_JOINT_AFTER_POSITION);
    joint_sources_keep(agent);
    agent->state.next_offset = agent->seen_to;
    agent->reads_ahead = false;
    agent->tell_behind_at_us = 0;
    log_info("joint", "all that was read is stored");
    return STATUS_OK;
}

/* Those who read the row see an old state, so an operator learns of it again and again. */
static void tell_behind(struct joint_agent *agent, int64_t now_us)
{
    const size_t behind = count_behind(agent);
    if (behind == 0 || now_us < agent->tell_behind_at_us)
        return;
    if (agent->tell_behind_at_us != 0)
        log_warning("joint",
                    "%zu rows of keepstep_joint cannot be written yet, because triggers of the "
                    "service refuse them or meet what is reserved: the log is read on, and its "
                    "position stays at %lld",
                    behind, (long long)agent->state.next_offset);
    agent->tell_behind_at_us = now_us + TELL_US;
}

/* Rows that wait are many, or each of them waits for a lock: then the others' turn comes between.
 */
static enum status catch_up_some(struct joint_agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    const int64_t until_us = clock_monotonic_us() + TURN_US;
    size_t i = 0;
    while (i < agent->opens.count &&
           agent->opens.items[i]->tally->proposal_offset < agent->catch_up_from)
        i++;
    while (status == STATUS_OK && i < agent->opens.count && clock_monotonic_us() < until_us) {
        struct joint_open *open = agent->opens.items[i];
        size_t count = agent->opens.count;
        agent->catch_up_from = open->tally->proposal_offset + 1;
        if (open_is_behind(open))
            status = catch_up_row(agent, open, err);
        if (agent->opens.count == count)
            i++;
    }
    if (i >= agent->opens.count) {
        agent->catch_up_from = 0;
        agent->catch_up_at_us = clock_monotonic_us() + CATCH_UP_US;
    }
    return status;
}

enum status joint_catch_up(struct joint_agent *agent, struct error *err)
{
    int64_t now_us = clock_monotonic_us();
    if (!agent->reads_ahead || agent->record_count > 0 || now_us < agent->catch_up_at_us)
        return STATUS_OK;
    enum status status = catch_up_some(agent, err);
    tell_behind(agent, now_us);
    if (status != STATUS_OK || count_behind(agent) > 0)
        return status;
    if (!agent->leaves_out)
        return catch_up_position(agent, err);
    log_info("joint", "the rows that could not be written are written: the log is read again from "
                      "where the first of them stands");
    joint_read_again(agent);
    return STATUS_OK;
}
