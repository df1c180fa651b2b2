/* The loop of joint transactions: takes the partition, reads it, and does what is due. */
#include "consumer/joint/internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/uuid.h"
#include "common/wakeup.h"
#include "consumer/store/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define JOINT_POLL_MS        20
#define JOINT_BACKOFF_US     INT64_C(50000)
#define JOINT_BACKOFF_MAX_US INT64_C(2000000)
#define JOINT_SLEEP_US       INT64_C(100000)
#define JOINT_BOUNDS_MS      10000
#define JOINT_FIND_US        INT64_C(1000000)
#define JOINT_PRUNE_US       INT64_C(60000000)
#define JOINT_PRUNE_ROWS     1000
#define US_OF_A_SECOND       INT64_C(1000000)

enum status joint_begin(struct joint_agent *agent, int64_t offset, const struct joint_record *last,
                        struct error *err)
{
    char anchor[STORE_ID_SIZE] = "";
    if (last != NULL)
        (void)snprintf(anchor, sizeof anchor, "%.*s", SLICE_ARGS(last->id));
    const struct fence fence = {.topic = agent->state.topic,
                                .partition = agent->state.partition,
                                .old_offset = agent->state.next_offset,
                                .new_offset = offset,
                                .epoch = agent->state.epoch,
                                .revision = agent->state.revision,
                                .anchor_offset = last == NULL ? -1 : last->offset,
                                .anchor_id = anchor};
    return agent->ops->begin(agent->store, &fence, 1, err);
}

enum status joint_end(struct joint_agent *agent, enum status status, bool durable,
                      struct error *err)
{
    if (status == STATUS_OK)
        status = agent->ops->commit(agent->store, durable, err);
    if (status != STATUS_OK)
        agent->ops->rollback(agent->store);
    else if (agent->has_said)
        bell_ring(agent->options.outbox);
    agent->has_said = false;
    return status;
}

/* Forget the partition; the database knows it. */
static void joint_drop(struct joint_agent *agent)
{
    joint_times_keep(agent);
    agent->is_owned = false;
    atomic_store(&agent->options.metrics->ready, false);
    joint_opens_done(&agent->opens);
    joint_log_done(&agent->log);
    partition_state_done(&agent->state);
    agent->state = (struct partition_state){0};
    agent->record_count = 0;
    agent->store_until_us = 0;
    agent->reads_ahead = agent->leaves_out = false;
    agent->catch_up_from = 0;
    agent->tell_behind_at_us = 0;
    agent->has_said_again = false;
    agent->has_recounted = false;
    arena_reset(&agent->arena);
}

void joint_read_again(struct joint_agent *agent)
{
    joint_drop(agent);
    feed_assign_again(agent->feed);
}

static enum status joint_open_store(struct joint_agent *agent, struct error *err)
{
    const struct config *config = agent->options.config;
    const struct store_options options = {.path = config->database_path,
                                          .service = config->service};
    if (agent->store != NULL)
        return STATUS_OK;
    enum status status = agent->ops->open(&options, &agent->store, err);
    if (status == STATUS_OK)
        status = agent->ops->meta(agent->store, &agent->meta, err);
    if (status == STATUS_OK)
        status = agent->ops->joint->prepare(agent->store, &agent->options.types, err);
    if (status != STATUS_OK) {
        agent->ops->close(agent->store);
        agent->store = NULL;
    }
    return status;
}

static enum status joint_connect(struct joint_agent *agent, struct error *err)
{
    const char *const topics[] = {agent->options.config->joint_topic};
    enum status status = joint_open_store(agent, err);
    if (status != STATUS_OK || agent->feed != NULL)
        return status;
    const struct feed_options options = {.config = agent->options.config,
                                         .copy_id = agent->meta.copy_id,
                                         .group_suffix = "-joint",
                                         .topics = topics,
                                         .topic_count = 1};
    return feed_open(&options, &agent->feed, err);
}

/* Rules 5 and 74: the log must be the one that was read. @return OK; STOP with the reason. */
static enum status joint_check_log(struct joint_agent *agent, struct log_bounds bounds,
                                   struct error *err)
{
    struct partition_state *state = &agent->state;
    const char *cluster_id = feed_cluster_id(agent->feed);
    if (state->cluster_id[0] != '\0' && strcmp(state->cluster_id, cluster_id) != 0)
        return error_set(err, STATUS_STOP,
                         "its log was read from cluster %.60s, this one is %.60s: go back to it",
                         state->cluster_id, cluster_id);
    if (state->next_offset < bounds.first)
        return error_set(err, STATUS_STOP,
                         "its log begins at %" PRId64 " and this service has read to %" PRId64
                         ": decisions are gone; restore the topic",
                         bounds.first, state->next_offset);
    if (state->next_offset > bounds.end)
        return error_set(err, STATUS_STOP,
                         "its log ends at %" PRId64 " and this service has read to %" PRId64
                         ": the topic was truncated or recreated; restore it",
                         bounds.end, state->next_offset);
    if (feed_partition_count(agent->feed, state->topic) > 1)
        return error_set(err, STATUS_STOP,
                         "it has %d partitions, and all decisions need one order: make it anew "
                         "with one",
                         (int)feed_partition_count(agent->feed, state->topic));
    (void)snprintf(state->cluster_id, sizeof state->cluster_id, "%s", cluster_id);
    state->partition_count = 1;
    return STATUS_OK;
}

/* What stands in the log when a database begins to read it without a position is history to it,
 * also after a crash (rule 69). */
static enum status joint_find_history(struct joint_agent *agent, struct log_bounds bounds,
                                      struct error *err)
{
    if (agent->state.exists)
        return agent->ops->joint->history(agent->store, &agent->history, err);
    agent->history = (struct joint_history){.end = bounds.end};
    return agent->ops->joint->set_history(agent->store, &agent->history, err);
}

/* Take the partition and all that the database knows of it. */
static enum status joint_take(struct joint_agent *agent, struct feed_position *position,
                              struct error *err)
{
    struct log_bounds bounds = {0};
    struct partition_state *state = &agent->state;
    enum status status = agent->ops->read(agent->store, position->tp.topic, 0, state, err);
    if (status == STATUS_OK)
        status = feed_log_bounds(agent->feed, position->tp, JOINT_BOUNDS_MS, &bounds, err);
    if (status == STATUS_OK)
        status = joint_check_log(agent, bounds, err);
    if (status == STATUS_OK)
        status = joint_check_hint(agent, err);
    if (status == STATUS_OK)
        status = joint_find_history(agent, bounds, err);
    if (status != STATUS_OK)
        return status;
    uuid_v7(state->token);
    status = agent->ops->take(agent->store, state, err);
    if (status != STATUS_OK)
        agent->ops->rollback(agent->store);
    else
        status = joint_load(agent, err);
    if (status != STATUS_OK)
        return status;
    bool is_anchored = state->anchor_offset >= bounds.first &&
                       state->anchor_offset < state->next_offset;
    agent->anchor_offset = is_anchored ? state->anchor_offset : -1;
    agent->read_first = bounds.end;
    agent->read_to = state->next_offset;
    agent->hinted_offset = -1;
    if (agent->prune_at_us == 0)
        agent->prune_at_us = clock_monotonic_us() + JOINT_PRUNE_US;
    agent->is_owned = true;
    position->offset = is_anchored ? state->anchor_offset : state->next_offset;
    log_info("joint", "%s goes on at %" PRId64 " of %" PRId64 ", %zu transactions are open",
             state->topic, state->next_offset, bounds.end, agent->opens.count);
    return STATUS_OK;
}

static enum status joint_assign(struct joint_agent *agent, const struct feed_event *event,
                                struct error *err)
{
    enum status status = STATUS_OK;
    struct feed_position position = {.offset = 0};
    size_t count = event->assigned_count > 0 ? 1 : 0;
    joint_drop(agent);
    if (count > 0) {
        position = event->assigned[0];
        status = joint_take(agent, &position, err);
    }
    if (status == STATUS_OK)
        return feed_assign(agent->feed, &position, count, err);
    joint_drop(agent);
    if (status == STATUS_STOP)
        error_prefix(err, "topic %s", agent->options.config->joint_topic);
    return status;
}

/* The record that was read last before the position must still be there (rule 5). */
static enum status joint_check_anchor(struct joint_agent *agent, const struct joint_record *record,
                                      struct error *err)
{
    int64_t anchor = agent->anchor_offset;
    agent->anchor_offset = -1;
    if (record->offset == anchor && slice_is(record->id, agent->state.anchor_id))
        return STATUS_OK;
    return error_set(err, STATUS_STOP,
                     "topic %s: offset %" PRId64 " does not hold record %s, which this service has "
                     "read there: the topic was recreated or truncated; restore it",
                     agent->state.topic, anchor, agent->state.anchor_id);
}

static enum status joint_on_record(struct joint_agent *agent, const struct feed_event *event,
                                   struct error *err)
{
    struct joint_record *record = &agent->records[agent->record_count];
    if (!agent->is_owned)
        return STATUS_OK;
    enum status status = joint_record_read(&event->record, &agent->arena, record, err);
    if (status == STATUS_OK && agent->anchor_offset >= 0)
        status = joint_check_anchor(agent, record, err);
    if (status == STATUS_OK && event->offset < joint_seen_to(agent) && agent->record_count == 0)
        arena_reset(&agent->arena); /* from the anchor to the position any number may stand */
    if (status != STATUS_OK || event->offset < joint_seen_to(agent))
        return status;
    agent->read_us[agent->record_count++] = clock_monotonic_us();
    agent->read_to = event->offset + 1;
    return STATUS_OK;
}

static enum status joint_on_event(struct joint_agent *agent, const struct feed_event *event,
                                  struct error *err)
{
    switch (event->type) {
    case FEED_NONE:
        return STATUS_OK;
    case FEED_RECORD:
        return joint_on_record(agent, event, err);
    case FEED_END: /* behind records of transactions that were aborted, which nobody is given */
        if (agent->is_owned && event->offset > agent->read_to)
            agent->read_to = event->offset;
        return STATUS_OK;
    case FEED_ASSIGN:
        return joint_assign(agent, event, err);
    case FEED_REVOKE:
        joint_drop(agent);
        return feed_unassign(agent->feed, err);
    case FEED_STOPPED:
        return error_set(err, STATUS_STOP, "topic %s: %s", agent->options.config->joint_topic,
                         event->reason);
    }
    return STATUS_OK;
}

/* Wait for the first event, then take what has arrived by then. */
static enum status joint_poll(struct joint_agent *agent, struct error *err)
{
    struct feed_event event;
    int timeout_ms = JOINT_POLL_MS;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && agent->record_count < JOINT_BATCH_RECORDS &&
           agent->arena.used < JOINT_READ_BYTES / 2) {
        status = feed_poll(agent->feed, timeout_ms, &event, err);
        if (status != STATUS_OK || event.type == FEED_NONE)
            break;
        status = joint_on_event(agent, &event, err);
        if (event.type != FEED_RECORD)
            break;
        timeout_ms = 0;
    }
    if (status == STATUS_OK && agent->is_owned && agent->read_to > joint_seen_to(agent))
        status = joint_store_records(agent, err);
    return status;
}

static void measure_oldest(int64_t *oldest_us, int64_t at_us)
{
    if (*oldest_us == 0 || at_us < *oldest_us)
        *oldest_us = at_us;
}

static void joint_measure(struct joint_agent *agent)
{
    struct joint_metrics *metrics = agent->options.metrics;
    int64_t counts[JOINT_STATE_ELSEWHERE + 1] = {0};
    int64_t undecided_us = 0;
    int64_t decided_us = 0;
    for (size_t i = 0; i < agent->opens.count; i++) {
        const struct joint_open *open = agent->opens.items[i];
        counts[open->state]++;
        if (open->tally->outcome == JOINT_UNDECIDED)
            measure_oldest(&undecided_us, open->read_at_us);
        else if (open->state != JOINT_STATE_HELD)
            measure_oldest(&decided_us, open->decided_at_us);
    }
    atomic_store(&metrics->queued, counts[JOINT_STATE_QUEUED]);
    atomic_store(&metrics->reserved, counts[JOINT_STATE_RESERVED]);
    atomic_store(&metrics->settling, counts[JOINT_STATE_COMMITTING] + counts[JOINT_STATE_ABORTING]);
    atomic_store(&metrics->held, counts[JOINT_STATE_HELD]);
    atomic_store(&metrics->undecided_us, undecided_us);
    atomic_store(&metrics->decided_us, decided_us);
    atomic_store(&metrics->ready, agent->is_owned && joint_seen_to(agent) >= agent->read_first);
}

/* Nobody waits for what is old to be emptied, so a trigger of the service's that refuses it stops
 * nothing. */
static enum status joint_prune_rows(struct joint_agent *agent, size_t limit, size_t *ret_pruned,
                                    struct error *err)
{
    int64_t before_us = clock_wall_us() -
                        agent->options.config->limits.joint_retention_s * US_OF_A_SECOND;
    enum status status = agent->ops->joint->prune(agent->store, before_us, limit, ret_pruned, err);
    if (status != STATUS_REJECT)
        return status;
    log_warning("joint", "old rows of keepstep_joint are not emptied: %s", err->text);
    error_clear(err);
    *ret_pruned = 0;
    return STATUS_OK;
}

/* Before anything is tried what a promise rests on is set right; what is old comes later. A lock
 * that is not had then is waited for until the next time: the partition is not to blame. */
static enum status joint_prune(struct joint_agent *agent, struct error *err)
{
    size_t pruned = 0;
    int64_t now_us = clock_monotonic_us();
    bool empties = now_us >= agent->prune_at_us;
    if (agent->has_recounted && !empties)
        return STATUS_OK;
    enum status status = joint_begin(agent, agent->state.next_offset, NULL, err);
    if (status == STATUS_OK)
        status = joint_prune_rows(agent, empties ? JOINT_PRUNE_ROWS : 0, &pruned, err);
    status = joint_end(agent, status, true, err);
    if (empties && pruned < JOINT_PRUNE_ROWS)
        agent->prune_at_us = now_us + JOINT_PRUNE_US;
    if (status == STATUS_RETRY && !err->connection_lost && agent->has_recounted) {
        error_clear(err);
        return STATUS_OK;
    }
    agent->has_recounted = agent->has_recounted || status == STATUS_OK;
    return status;
}

/* A relay makes the topic, perhaps later; and the group may forget whose the partition is. */
static enum status joint_find(struct joint_agent *agent, struct error *err)
{
    bool found = false;
    enum status status = STATUS_OK;
    int64_t now_us = clock_monotonic_us();
    if (agent->is_owned || now_us < agent->find_at_us)
        return STATUS_OK;
    agent->find_at_us = now_us + JOINT_FIND_US;
    if (feed_missing_topics(agent->feed) > 0)
        status = feed_find_topics(agent->feed, &found, err);
    else
        status = feed_find_unowned(agent->feed, &found, err);
    return status == STATUS_OK && found ? feed_rejoin(agent->feed, err) : status;
}

static enum status joint_round(struct joint_agent *agent, struct error *err)
{
    if (agent->is_stopped) {
        clock_sleep_us(JOINT_SLEEP_US);
        return STATUS_OK;
    }
    enum status status = joint_connect(agent, err);
    if (status == STATUS_OK)
        status = joint_poll(agent, err);
    if (status == STATUS_OK)
        status = joint_find(agent, err);
    if (status == STATUS_OK && agent->is_owned)
        status = joint_catch_up(agent, err);
    if (status == STATUS_OK && agent->is_owned)
        status = joint_say_again(agent, err);
    if (status == STATUS_OK && agent->is_owned)
        status = joint_prune(agent, err); /* it also sets right what a promise rests on */
    if (status == STATUS_OK && agent->is_owned)
        status = joint_step(agent, err);
    if (status == STATUS_OK && agent->is_owned)
        joint_send_hint(agent);
    joint_measure(agent);
    return status;
}

/* Data goes on without it; the others' transactions with this service are aborted by their
 * timeouts, and what is reserved here stays so. */
static void joint_stand_still(struct joint_agent *agent, struct error *err)
{
    log_error("joint",
              "joint transactions stand still: %s. Mend the cause, then start the sidecar again",
              err->text);
    joint_drop(agent);
    feed_close(agent->feed);
    agent->feed = NULL;
    agent->is_stopped = true;
    error_clear(err);
}

/* After a failure nothing in memory is trusted: the partition is taken anew (rule 4).
 * @return OK: go on; FATAL. */
static enum status joint_handle(struct joint_agent *agent, enum status status, struct error *err)
{
    if (status == STATUS_OK) {
        agent->backoff_us = 0;
        return STATUS_OK;
    }
    if (status == STATUS_STOP) {
        joint_stand_still(agent, err);
        return STATUS_OK;
    }
    if (status == STATUS_FATAL)
        return STATUS_FATAL;
    int64_t longer = agent->backoff_us == 0 ? JOINT_BACKOFF_US : 2 * agent->backoff_us;
    if (agent->backoff_us == 0)
        log_warning("joint", "%s; trying again", err->text);
    agent->backoff_us = longer < JOINT_BACKOFF_MAX_US ? longer : JOINT_BACKOFF_MAX_US;
    joint_drop(agent);
    if (err->connection_lost) {
        agent->ops->close(agent->store);
        agent->store = NULL;
    }
    if (agent->feed != NULL && feed_is_fenced(agent->feed)) {
        feed_close(agent->feed);
        agent->feed = NULL;
    } else if (agent->feed != NULL) {
        feed_assign_again(agent->feed);
    }
    error_clear(err);
    for (int64_t until = clock_monotonic_us() + agent->backoff_us;
         clock_monotonic_us() < until && !atomic_load(agent->stop);)
        clock_sleep_us(JOINT_SLEEP_US < agent->backoff_us ? JOINT_SLEEP_US : agent->backoff_us);
    return STATUS_OK;
}

enum status joint_agent_run(const struct joint_options *options, const atomic_bool *stop,
                            struct error *err)
{
    struct joint_agent agent = {
        .options = *options, .stop = stop, .ops = store_find(options->config->database)};
    enum status status = STATUS_OK;
    if (agent.ops == NULL || agent.ops->joint == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "joint transactions are not for this database yet: take `joint:` out of "
                         "publish:");
    arena_init(&agent.arena, JOINT_READ_BYTES);
    agent.records = calloc(JOINT_BATCH_RECORDS, sizeof *agent.records);
    if (agent.records == NULL)
        status = error_set(err, STATUS_FATAL, "no memory for joint transactions");
    while (status == STATUS_OK && !atomic_load(stop))
        status = joint_handle(&agent, joint_round(&agent, err), err);
    joint_drop(&agent);
    feed_close(agent.feed);
    if (agent.store != NULL)
        agent.ops->close(agent.store);
    joint_wanted_done(&agent.wanted);
    free(agent.times.items);
    free(agent.records);
    arena_done(&agent.arena);
    return status;
}
