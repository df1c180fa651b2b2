/* Reads the log on where a row of keepstep_joint cannot be written yet: in MariaDB, where no row is
 * written without its triggers, one of them may write what another transaction reserves, and that
 * one is decided further on in the log. The rows of all others are written, but position and
 * numbers stay where they are. After a crash all of that is read again, and counts once (rule 60).
 */
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/log.h"

#define CATCH_UP_US INT64_C(200000)
#define BEHIND_MAX  1000 /* rows */
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

enum status joint_let_behind(const struct joint_agent *agent, struct error *err)
{
    if (count_behind(agent) < BEHIND_MAX) {
        error_clear(err);
        return STATUS_OK;
    }
    error_prefix(err, "%d rows of keepstep_joint cannot be written", BEHIND_MAX);
    return err->status = STATUS_RETRY;
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
    status = joint_end(agent, status, false, err);
    if (status == STATUS_REJECT || (status == STATUS_RETRY && !err->connection_lost)) {
        error_clear(err);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
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
    status = joint_end(agent, status, false, err);
    if (status == STATUS_RETRY && !err->connection_lost) {
        error_clear(err);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
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

enum status joint_catch_up(struct joint_agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    int64_t now_us = clock_monotonic_us();
    if (!agent->reads_ahead || agent->record_count > 0 || now_us < agent->catch_up_at_us)
        return STATUS_OK;
    agent->catch_up_at_us = now_us + CATCH_UP_US;
    for (size_t i = 0; status == STATUS_OK && i < agent->opens.count;) {
        struct joint_open *open = agent->opens.items[i];
        size_t count = agent->opens.count;
        if (open_is_behind(open))
            status = catch_up_row(agent, open, err);
        if (agent->opens.count == count)
            i++;
    }
    tell_behind(agent, now_us);
    return status == STATUS_OK && count_behind(agent) == 0 ? catch_up_position(agent, err) : status;
}
