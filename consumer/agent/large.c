/* Change sets that are not kept in memory (rule 58): one is read to its end, outside of any
 * transaction, then read again and applied in parts of one. */
#include "common/utf8.h"
#include "consumer/agent/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdio.h>

#define LARGE_POLL_MS     50
#define LARGE_STALL_US    5000000 /* so long a transaction waits for a record */
#define LARGE_WAIT_US     1000000 /* after an attempt that came to nothing; each doubles it */
#define LARGE_WAIT_MAX_US 60000000

static void agent_set_large(struct agent_partition *partition, enum large_state state)
{
    partition->large_state = state;
    partition->large_again_us = 0;
    partition->large_wait_us = LARGE_WAIT_US;
}

/* What other partitions need, and what an operator asks for, comes between two attempts. */
static void large_put_off(struct agent_partition *partition)
{
    partition->large_again_us = clock_monotonic_us() + partition->large_wait_us;
    partition->large_wait_us *= 2;
    if (partition->large_wait_us > LARGE_WAIT_MAX_US)
        partition->large_wait_us = LARGE_WAIT_MAX_US;
}

/** @return whether the partition's set may be applied now. */
static bool large_is_due(const struct agent_partition *partition)
{
    return partition->large_state == LARGE_READ &&
           (partition->large_again_us == 0 || clock_monotonic_us() >= partition->large_again_us);
}

bool agent_is_large_read(const struct agent *agent)
{
    bool any = false;
    for (size_t i = 0; i < agent->partition_count; i++)
        any = any || large_is_due(&agent->partitions[i]);
    return any;
}

void agent_forget_large(struct agent_partition *partition)
{
    if (partition->large_state == LARGE_NONE)
        return;
    agent_set_large(partition, LARGE_NONE);
    partition->open_end = 0;
    atomic_store(&partition->metrics->set_since_us, 0);
}

enum status agent_begin_large(struct agent *agent, const struct change *first, struct error *err)
{
    const size_t index = first->partition_index;
    struct agent_partition *partition = &agent->partitions[index];
    large_set_begin(agent->applier, first, &partition->large);
    struct large_set *set = &partition->large;
    log_info("agent",
             "%s/%d offset %lld: a change set of %llu records is not kept in memory: it is read to "
             "its end, then again and applied",
             set->topic, set->partition, (long long)set->first_offset,
             (unsigned long long)(set->end - set->first_sequence + 1));
    agent_forget_read(agent, index);
    agent_set_large(partition, LARGE_READING);
    atomic_store(&partition->metrics->set_records, 0);
    partition->is_open = false;
    applier_note_end(agent->applier, index, 0);
    if (agent->large_batch.events == NULL) {
        const struct config_limits *limits = &agent->config->limits;
        enum status status = batch_init(&agent->large_batch, (size_t)limits->batch_events,
                                        (size_t)limits->batch_bytes, (size_t)limits->message_bytes,
                                        err);
        if (status != STATUS_OK)
            return status;
    }
    enum status status = feed_seek(agent->feed, partition->tp, set->first_offset, err);
    if (status == STATUS_RETRY) { /* it is read from the position on, and met again */
        agent_forget_large(partition);
        applier_set_reloaded(agent->applier, index, true);
    }
    return status;
}

enum status agent_read_large(struct agent *agent, size_t index, const struct record *record,
                             struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    struct batch *batch = &agent->large_batch;
    struct error stop = ERROR_INIT;
    if (partition->large_state == LARGE_READ) /* it is read again, with all behind it */
        return STATUS_OK;
    batch_reset(batch);
    enum status status = batch_add(batch, record, index, applier_finder(agent->applier), err);
    if (status != STATUS_OK)
        return status;
    agent_note_waiting(partition, batch_last(batch));
    if (large_set_note(agent->applier, &partition->large, batch_last(batch), &stop) != STATUS_OK)
        return agent_stop_partition(agent, index, stop.text, err);
    atomic_store(&partition->metrics->set_records, large_set_records(&partition->large));
    if (partition->large.is_read) {
        agent_set_large(partition, LARGE_READ);
        failpoint(FAILPOINT_AGENT_LARGE_READ);
    }
    return STATUS_OK;
}

/** The second reading of a set. */
struct large_run {
    struct agent *agent;
    struct agent_partition *partition;
    const struct large_set *set;
    int64_t heard_us; /* monotonic: when the last record of it came */
    int64_t begun_us; /* monotonic: the attempt */
    bool has_begun;   /* its transaction */
    bool makes_room;  /* it is read once more after this: its rows are taken away */
    bool is_over;     /* all of it is in the batch, or written; or the log has no more of it */
    bool is_left;     /* the agent has other things to do: the group, or its end */
};

/** Write the records that were read, and begin with the transaction where they are the first. */
static enum status run_write(struct large_run *run, struct error *err)
{
    struct agent *agent = run->agent;
    enum status status = STATUS_OK;
    if (!run->has_begun) /* this transaction may take minutes: what was committed before is safe */
        status = applier_make_durable(agent->applier, true, err);
    if (status == STATUS_OK && !run->has_begun)
        status = applier_begin_large(agent->applier, run->set, err);
    run->has_begun = status == STATUS_OK;
    if (status == STATUS_OK && run->makes_room)
        status = applier_make_large_room(agent->applier, run->set, &agent->large_batch, err);
    else if (status == STATUS_OK)
        status = applier_write_large(agent->applier, run->set, &agent->large_batch, err);
    run->has_begun = status == STATUS_OK;
    batch_reset(&agent->large_batch);
    agent_note_round(agent);
    run->heard_us = clock_monotonic_us(); /* the database may have taken longer than a stall */
    return status;
}

/** Take an event. What others of the group or other partitions need is left to the agent's loop. */
static enum status run_take(struct large_run *run, const struct feed_event *event,
                            struct error *err)
{
    struct agent *agent = run->agent;
    if (event->type == FEED_NONE)
        return STATUS_OK;
    size_t index = agent_partition_find(agent->partitions, agent->partition_count, run->set->index,
                                        event->tp);
    bool is_own = index == run->set->index;
    if (event->type == FEED_END && index != SIZE_MAX) {
        agent->partitions[index].next_end = is_own ? -1 : event->offset;
        run->is_over = is_own && event->offset >= run->set->next_offset;
        return STATUS_OK;
    }
    if (event->type != FEED_RECORD) {
        feed_unread(agent->feed);
        run->is_left = true;
        return STATUS_OK;
    }
    if (!is_own) { /* it was fetched before its partition was paused */
        agent_leave_record(agent, event);
        return STATUS_OK;
    }
    run->heard_us = clock_monotonic_us();
    if (event->record.offset < run->set->first_offset)
        return STATUS_OK;
    run->is_over = event->record.offset + 1 >= run->set->next_offset;
    if (event->record.offset >= run->set->next_offset)
        return STATUS_OK; /* the set's last record is not there any more */
    struct record record = event->record;
    record.form = run->partition->form;
    return batch_add(&agent->large_batch, &record, run->set->index, applier_finder(agent->applier),
                     err);
}

/** @return for how long nothing may come. Before its transaction has begun, an attempt keeps other
 * partitions waiting no longer than they had their turn before. */
static int64_t run_patience_us(const struct large_run *run)
{
    int64_t had_us = run->partition->large_wait_us;
    return run->has_begun || had_us > LARGE_STALL_US ? LARGE_STALL_US : had_us;
}

/** Read the set, and do with each part what is to be done. */
static enum status run_read(struct large_run *run, struct error *err)
{
    struct agent *agent = run->agent;
    struct feed_event event;
    enum status status = STATUS_OK;
    run->is_over = false;
    run->heard_us = clock_monotonic_us();
    batch_reset(&agent->large_batch);
    while (status == STATUS_OK && !run->is_over && !run->is_left) {
        status = feed_poll(agent->feed, LARGE_POLL_MS, &event, err);
        if (status == STATUS_OK)
            status = run_take(run, &event, err);
        bool is_part = run->is_over || batch_is_part(&agent->large_batch);
        if (status == STATUS_OK && is_part)
            status = run_write(run, err);
        run->is_left = run->is_left || atomic_load(agent->stop) ||
                       clock_monotonic_us() - run->heard_us > run_patience_us(run);
    }
    return status;
}

static enum status run_all(struct large_run *run, struct error *err)
{
    struct agent *agent = run->agent;
    enum status status = STATUS_OK;
    run->makes_room = run->set->may_move && run->set->fate == SET_WHOLE;
    if (run->makes_room) {
        status = run_read(run, err);
        run->makes_room = false;
        if (status == STATUS_OK && run->is_over)
            status = feed_seek(agent->feed, run->partition->tp, run->set->first_offset, err);
    }
    if (status == STATUS_OK && run->is_left)
        run->is_over = false;
    else if (status == STATUS_OK)
        status = run_read(run, err);
    if (status == STATUS_OK && run->is_over) {
        run->has_begun = false;
        return applier_end_large(agent->applier, run->set, err);
    }
    if (run->has_begun)
        applier_undo_large(agent->applier);
    return status;
}

/** Read nothing but this partition meanwhile, or all again that may be read. */
static enum status large_pause_others(struct agent *agent, size_t index, bool pause,
                                      struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        if (i != index && !agent->partitions[i].paused)
            status = feed_pause(agent->feed, agent->partitions[i].tp, pause, err);
    }
    return status;
}

/** What an attempt means for the partition that did not come to its end. */
static enum status large_failed(const struct large_run *run, size_t index, enum status status,
                                struct error *err)
{
    struct agent *agent = run->agent;
    char reason[ERROR_TEXT_SIZE];
    if (status == STATUS_STOP) {
        bool may_heal = err->reject == REJECT_WAITING;
        utf8_format(reason, sizeof reason, "%s", err->text);
        error_clear(err);
        return may_heal ? agent_wait_for_large(agent, index, reason,
                                               clock_monotonic_us() - run->begun_us, err)
                        : agent_stop_partition(agent, index, reason, err);
    }
    if (status == STATUS_ABORT && err->native_code == 1) /* it is read anew, from its position on */
        applier_set_reloaded(agent->applier, index, true);
    large_put_off(run->partition);
    return status;
}

/** Read a set again and apply it. */
static enum status large_apply(struct agent *agent, size_t index, struct error *err)
{
    struct agent_partition *partition = &agent->partitions[index];
    struct large_run run = {.agent = agent,
                            .partition = partition,
                            .set = &partition->large,
                            .begun_us = clock_monotonic_us()};
    struct error resume = ERROR_INIT;
    partition->large.may_move = agent_was_refused(partition);
    enum status status = large_pause_others(agent, index, true, err);
    if (status == STATUS_OK)
        status = feed_seek(agent->feed, partition->tp, run.set->first_offset, err);
    if (status == STATUS_OK)
        status = run_all(&run, err);
    batch_reset(&agent->large_batch);
    enum status resumed = large_pause_others(agent, index, false, &resume);
    if (status != STATUS_OK)
        return large_failed(&run, index, status, err);
    if (resumed != STATUS_OK) {
        *err = resume;
        return resumed;
    }
    if (run.is_over) {
        agent_forget_large(partition);
        agent_forget_waiting(agent, partition->tp);
        partition->large_refusals = 0;
        return STATUS_OK;
    }
    large_put_off(partition);
    log_info("agent", "%s/%d: the change set at offset %lld is read again in a moment",
             run.set->topic, run.set->partition, (long long)run.set->first_offset);
    return STATUS_OK;
}

enum status agent_apply_large(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        if (large_is_due(&agent->partitions[i]))
            status = large_apply(agent, i, err);
        else
            status = agent_heal_large(agent, i, err);
    }
    return status;
}
