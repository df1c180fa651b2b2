/* Change sets whose end has not been read: they wait in memory, outside of any transaction, and the
 * other events of the batch are applied (rule 55). */
#include "consumer/agent/internal.h"

#include "common/clock.h"
#include "common/log.h"

#define SETS_IDLE_US 5000000 /* after which an open set may wait for ever */

/** Show how much of a partition's first open set has been read. @param first  its first event. */
static void agent_show_open(struct agent_partition *partition, const struct batch *batch,
                            size_t first)
{
    const struct change *change = &batch->events[first].change;
    struct agent_partition_metrics *row = partition->metrics;
    int64_t records = 0;
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next)
        records++;
    atomic_store(&row->set_records, records);
    atomic_store(&row->set_size, (int64_t)(change->changeset_end - change->sequence + 1));
    if (partition->open_end != change->changeset_end || atomic_load(&row->set_since_us) == 0)
        atomic_store(&row->set_since_us, clock_wall_us());
    partition->open_end = change->changeset_end;
}

static void agent_show_none(struct agent_partition *partition)
{
    partition->open_end = 0;
    atomic_store(&partition->metrics->set_since_us, 0);
}

/** Show which sets are open. Their logs' ends are no place to which their positions could move. */
static void agent_note_open(struct agent *agent, const struct batch *batch)
{
    bool any = false;
    for (size_t i = 0; i < agent->partition_count; i++)
        agent->partitions[i].is_open = false;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        struct agent_partition *partition = &agent->partitions[event->change.partition_index];
        if (event->is_open && event->change.record.offset > partition->read_to) {
            partition->read_to = event->change.record.offset;
            partition->read_us = clock_monotonic_us();
        }
        if (!event->is_open || partition->is_open)
            continue;
        partition->is_open = any = true;
        agent_show_open(partition, batch, i);
        applier_note_end(agent->applier, event->change.partition_index, 0);
    }
    for (size_t i = 0; i < agent->partition_count; i++) {
        struct agent_partition *partition = &agent->partitions[i];
        if (!partition->is_open && !partition->is_put_off && partition->large_state == LARGE_NONE &&
            partition->open_end != 0)
            agent_show_none(partition);
    }
    agent->has_open = any;
}

void agent_forget_open(struct agent *agent)
{
    for (size_t i = 0; i < agent->partition_count; i++)
        agent_show_none(&agent->partitions[i]);
    agent->has_open = false;
    agent->has_put_off = false;
}

bool agent_waits_for_more(const struct agent *agent)
{
    const struct batch *batch = &agent->batch;
    return batch->count == 0 || (batch->is_linked && batch_whole(batch) == 0);
}

/** @return the open partition of which nothing has been read for the longest time, and how many are
 * open. */
static size_t agent_find_idle(const struct agent *agent, size_t *ret_open)
{
    size_t idle = SIZE_MAX;
    *ret_open = 0;
    for (size_t i = 0; i < agent->partition_count; i++) {
        const struct agent_partition *partition = &agent->partitions[i];
        if (!partition->is_open)
            continue;
        ++*ret_open;
        if (idle == SIZE_MAX || partition->read_us < agent->partitions[idle].read_us)
            idle = i;
    }
    return idle;
}

/** @return the first event of a partition's open set in a batch that was linked or kept. */
static const struct change *agent_find_open(const struct batch *batch, size_t index)
{
    size_t i = 0;
    while (i < batch->count && (batch->events[i].change.partition_index != index ||
                                (batch->is_linked && !batch->events[i].is_open)))
        i++;
    return i == batch->count ? NULL : &batch->events[i].change;
}

/** @return whether the batch has an event of a partition in front of this offset. */
static bool agent_has_before(const struct batch *batch, size_t index, int64_t offset)
{
    size_t i = 0;
    while (i < batch->count && batch->events[i].change.partition_index != index)
        i++;
    return i < batch->count && batch->events[i].change.record.offset < offset;
}

/** What stands in front of a large set is applied first. The set is read again behind that. */
static enum status agent_put_behind(struct agent *agent, size_t index, int64_t offset,
                                    struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    batch_remove_from(&agent->batch, index, offset);
    partition->next_end = -1;
    partition->is_open = false;
    applier_note_end(agent->applier, index, 0);
    enum status status = feed_seek(agent->feed, partition->tp, offset, err);
    if (status == STATUS_RETRY) /* it is read from the position on */
        applier_set_reloaded(agent->applier, index, true);
    return status;
}

/** Forget the sets that are too large to be kept, and read them without keeping them. */
static enum status agent_leave_large(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        const struct change *first = agent->partitions[i].is_open
                                         ? agent_find_open(&agent->batch, i)
                                         : NULL;
        if (first == NULL || !batch_is_large_set(&agent->batch, first))
            continue;
        const struct change begun = *first;
        if (agent_has_before(&agent->batch, i, begun.record.offset))
            status = agent_put_behind(agent, i, begun.record.offset, err);
        else
            status = agent_begin_large(agent, &begun, err);
    }
    return status;
}

/** A record of a large set ends its batch. Where the set is not open it was applied before, and
 * comes late: so that its records do not come one by one, both batches know it from now on. */
static void agent_note_late(struct agent *agent)
{
    const struct batch *batch = &agent->batch;
    for (size_t i = batch->has_large ? batch->count : 0; i-- > 0;) {
        const struct batch_event *event = &batch->events[i];
        if (event->is_open || !batch_is_large_set(batch, &event->change))
            continue;
        batch_note_late(&agent->batch, &event->change);
        batch_note_late(&agent->next, &event->change);
        return;
    }
}

/** The memory is used up by nothing but open sets. One partition is read again from its position,
 * later, when the others have room to spare. Where there is no other one, its set is not kept. */
static enum status agent_make_room(struct agent *agent, struct error *err)
{
    size_t open = 0;
    size_t index = agent_find_idle(agent, &open);
    if (open < 2) {
        const struct change first = *agent_find_open(&agent->next, index);
        return agent_begin_large(agent, &first, err);
    }
    struct agent_partition *partition = &agent->partitions[index];
    log_info("agent", "%s/%d waits: the open change sets of %zu partitions do not fit in memory",
             partition->tp.topic, partition->tp.partition, open);
    agent_forget_read(agent, index);
    partition->paused = true;
    partition->is_put_off = true;
    partition->is_open = false;
    agent->has_put_off = true;
    enum status status = batch_compact(&agent->next, &agent->batch, applier_finder(agent->applier),
                                       err);
    return status == STATUS_OK ? feed_pause(agent->feed, partition->tp, true, err) : status;
}

/** Read partitions again that were put off, once nothing of the others is open, or nothing comes of
 * that. */
static enum status agent_follow_put_off(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count; i++) {
        const struct agent_partition *partition = &agent->partitions[i];
        if (partition->is_open && clock_monotonic_us() - partition->read_us < SETS_IDLE_US)
            return STATUS_OK;
    }
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        struct agent_partition *partition = &agent->partitions[i];
        if (!partition->is_put_off)
            continue;
        partition->paused = false;
        partition->is_put_off = false;
        applier_set_reloaded(agent->applier, i, true);
        status = feed_pause(agent->feed, partition->tp, false, err);
    }
    agent->has_put_off = status != STATUS_OK;
    return status;
}

enum status agent_keep_open(struct agent *agent, struct error *err)
{
    struct batch *batch = &agent->batch;
    if (!batch->has_sets && !agent->has_open && !agent->has_put_off)
        return STATUS_OK;
    enum status status = batch_link_sets(batch, applier_ranges(agent->applier), err);
    if (status == STATUS_OK)
        agent_note_late(agent);
    if (status != STATUS_OK || agent->next.count > 0) /* what was kept stands there already */
        return status;
    agent_note_open(agent, batch);
    status = agent_leave_large(agent, err);
    if (status == STATUS_OK)
        status = batch_link_sets(batch, applier_ranges(agent->applier), err);
    if (status == STATUS_OK)
        status = batch_keep(batch, &agent->next, applier_finder(agent->applier), err);
    if (status == STATUS_OK)
        status = batch_link_sets(batch, applier_ranges(agent->applier), err);
    if (status == STATUS_OK && batch->count == 0 && batch_is_exhausted(&agent->next))
        return agent_make_room(agent, err);
    return status == STATUS_OK && agent->has_put_off ? agent_follow_put_off(agent, err) : status;
}
