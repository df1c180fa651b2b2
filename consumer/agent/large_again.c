/* A large change set that is refused for what may heal by itself, such as a row that it refers to:
 * it is not parked, so its partition stops in front of it, and goes on after a while. */
#include "common/utf8.h"
#include "consumer/agent/internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>

#define HEAL_FIRST_US INT64_C(1000000)
#define HEAL_MAX_US   INT64_C(60000000)
#define HEAL_TIMES    4 /* so many times what an attempt lasts, others have their turn */

static int64_t heal_pause_us(int refusals, int64_t took_us)
{
    int64_t pause_us = HEAL_FIRST_US;
    for (int i = 1; i < refusals && pause_us < HEAL_MAX_US; i++)
        pause_us *= 2;
    pause_us = pause_us < HEAL_MAX_US ? pause_us : HEAL_MAX_US;
    return pause_us > HEAL_TIMES * took_us ? pause_us : HEAL_TIMES * took_us;
}

bool agent_was_refused(const struct agent_partition *partition)
{
    return partition->large_refusals > 0 &&
           partition->large_refused_offset == partition->large.first_offset;
}

enum status agent_wait_for_large(struct agent *agent, size_t index, const char *reason,
                                 int64_t took_us, struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    const struct large_set *set = &partition->large;
    char text[ERROR_TEXT_SIZE];
    if (!agent_was_refused(partition))
        partition->large_refusals = 0;
    partition->large_refused_offset = set->first_offset;
    partition->large_refusals++;
    utf8_format(text, sizeof text, "%.420s; it is tried again by itself", reason);
    if (partition->large_refusals == 1) /* this is told once */
        log_warning("agent", "%s/%d stands still: %s", set->topic, set->partition, text);
    partition->large_heal_us = clock_monotonic_us() +
                               heal_pause_us(partition->large_refusals, took_us);
    return agent_hold_partition(agent, index, text, err);
}

enum status agent_heal_large(struct agent *agent, size_t index, struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    const struct partition_state *state = applier_partition(agent->applier, index);
    if (partition->large_heal_us == 0 || clock_monotonic_us() < partition->large_heal_us)
        return STATUS_OK;
    partition->large_heal_us = 0;
    if (state == NULL || !partition->paused || state->stopped[0] == '\0')
        return STATUS_OK; /* somebody was faster */
    enum status status = applier_go_on(agent->applier, index, err);
    if (status != STATUS_OK) {
        partition->large_heal_us = clock_monotonic_us() + HEAL_FIRST_US;
        return status;
    }
    partition->paused = false;
    applier_set_reloaded(agent->applier, index, true); /* it is read from its position on */
    return feed_pause(agent->feed, partition->tp, false, err);
}
