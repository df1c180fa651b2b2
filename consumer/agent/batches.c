/* The agent's two batches: one is applied, the next one is read ahead meanwhile. */
#include "consumer/agent/reader.h"

/* From so many events on a batch is worth a hand-over, which wakes two threads. A smaller one that
 * is not full says that nothing more has arrived. */
#define READ_AHEAD_LEAST 64

enum status agent_init_batches(struct agent *agent, struct error *err)
{
    const struct config_limits *limits = &agent->config->limits;
    struct batch *const both[] = {&agent->batch, &agent->next};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        status = batch_init(both[i], (size_t)limits->batch_events, (size_t)limits->batch_bytes,
                            (size_t)limits->message_bytes, err);
        both[i]->set_events_max = (size_t)limits->changeset_events;
        if (agent->has_outbox)
            batch_begin_small(both[i]);
    }
    return status;
}

void agent_reset_batches(struct agent *agent)
{
    batch_reset(&agent->batch);
    batch_reset(&agent->next);
    agent->retrying = false;
}

struct batch *agent_filled_batch(struct agent *agent)
{
    return agent->next.count > 0 ? &agent->next : &agent->batch;
}

bool agent_begin_read_ahead(struct agent *agent)
{
    bool is_large = batch_is_full(&agent->batch) || agent->batch.count >= READ_AHEAD_LEAST;
    if (!is_large || agent->retrying || agent->next.count > agent->next.kept)
        return false;
    const struct reader_loan loan = {.feed = agent->feed,
                                     .batch = &agent->next,
                                     .partitions = agent->partitions,
                                     .partition_count = agent->partition_count,
                                     .finder = applier_finder(agent->applier)};
    reader_begin(agent->reader, &loan);
    return true;
}

/** Note the ends of the logs, once nothing stands before them but the batch. Noted while the next
 * batch has events, an end would move the position past those. */
static void agent_note_ends(struct agent *agent)
{
    for (size_t i = 0; i < agent->partition_count; i++) {
        struct agent_partition *partition = &agent->partitions[i];
        if (partition->large_state != LARGE_NONE)
            partition->next_end = -1; /* the set in front of it is not applied */
        if (partition->next_end < 0)
            continue;
        applier_note_end(agent->applier, i, partition->next_end);
        agent_note_log_end(agent, partition->tp, partition->next_end);
        partition->next_end = -1;
    }
}

void agent_take_next(struct agent *agent)
{
    if (agent->batch.count == 0 && agent->next.count > 0) {
        struct batch empty = agent->batch;
        agent->batch = agent->next;
        agent->next = empty;
        batch_reset(&agent->next);
        agent->retrying = false;
        for (size_t i = 0; i < agent->batch.count; i++) {
            const struct batch_event *event = &agent->batch.events[i];
            agent_note_waiting(&agent->partitions[event->change.partition_index], event);
        }
    }
    if (agent->next.count == 0)
        agent_note_ends(agent);
}

void agent_forget_read(struct agent *agent, size_t index)
{
    batch_remove(&agent->batch, index);
    batch_remove(&agent->next, index);
    agent->partitions[index].next_end = -1;
    agent_forget_large(&agent->partitions[index]);
}
