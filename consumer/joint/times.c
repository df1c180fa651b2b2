/* Since when each transaction waits, which outlasts a retry: what is read anew behind one has begun
 * to wait before. */
#include "consumer/joint/internal.h"

#include <stdlib.h>

#define TIMES_FIRST_SIZE 16

static int time_compare(const void *a, const void *b)
{
    const struct joint_time *left = a;
    const struct joint_time *right = b;
    return (left->proposal_offset > right->proposal_offset) -
           (left->proposal_offset < right->proposal_offset);
}

/* @param sorted  how many of them are in order. */
static struct joint_time *times_find(const struct joint_times *times, size_t sorted,
                                     int64_t proposal_offset)
{
    const struct joint_time wanted = {.proposal_offset = proposal_offset};
    return sorted == 0 ? NULL : bsearch(&wanted, times->items, sorted, sizeof wanted, time_compare);
}

static void times_set(struct joint_times *times, size_t sorted, const struct joint_time *time)
{
    struct joint_time *known = times_find(times, sorted, time->proposal_offset);
    if (known == NULL && times->count == times->size) {
        size_t size = times->size == 0 ? TIMES_FIRST_SIZE : 2 * times->size;
        struct joint_time *more = realloc(times->items, size * sizeof *more);
        if (more == NULL)
            return;
        times->items = more;
        times->size = size;
    }
    if (known == NULL)
        known = &times->items[times->count++];
    *known = *time;
}

static bool is_open(const struct joint_opens *opens, int64_t proposal_offset)
{
    for (size_t i = opens->count; i-- > 0;) {
        if (opens->items[i]->tally->proposal_offset == proposal_offset)
            return true;
    }
    return false;
}

void joint_times_keep(struct joint_agent *agent)
{
    struct joint_times *times = &agent->times;
    const size_t sorted = times->count;
    for (size_t i = 0; i < agent->opens.count; i++) {
        const struct joint_open *open = agent->opens.items[i];
        const struct joint_time time = {.proposal_offset = open->tally->proposal_offset,
                                        .since_us = open->since_us,
                                        .row_until_us = open->row_until_us,
                                        .next_us = open->next_us,
                                        .backoff_us = open->backoff_us,
                                        .is_told = open->is_told};
        times_set(times, sorted, &time);
    }
    for (size_t i = 0; i < agent->record_count; i++) { /* read, and perhaps not stored */
        const struct joint_time time = {.proposal_offset = agent->records[i].offset,
                                        .since_us = agent->read_us[i]};
        if (agent->records[i].kind == JOINT_PROPOSAL &&
            times_find(times, sorted, time.proposal_offset) == NULL &&
            !is_open(&agent->opens, time.proposal_offset))
            times_set(times, sorted, &time);
    }
    if (times->count > sorted)
        qsort(times->items, times->count, sizeof *times->items, time_compare);
}

void joint_times_give(const struct joint_agent *agent, struct joint_open *open)
{
    const struct joint_time *time = times_find(&agent->times, agent->times.count,
                                               open->tally->proposal_offset);
    if (time == NULL)
        return;
    open->since_us = time->since_us;
    open->row_until_us = time->row_until_us;
    open->next_us = time->next_us;
    open->backoff_us = time->backoff_us;
    open->is_told = time->is_told;
}

void joint_times_pass(struct joint_agent *agent)
{
    struct joint_times *times = &agent->times;
    size_t passed = 0;
    while (passed < times->count && times->items[passed].proposal_offset < agent->state.next_offset)
        passed++;
    times->count -= passed;
    if (passed > 0 && times->count > 0)
        memmove(times->items, &times->items[passed], times->count * sizeof *times->items);
}
