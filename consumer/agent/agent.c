/* The agent's loop: the steps of one round, and what the failure of a step means. */
#include "consumer/agent/loading.h"
#include "consumer/agent/reader.h"

#include "common/clock.h"
#include "common/log.h"
#include "consumer/store/registry.h"

#include <stdlib.h>

#define AGENT_POLL_MS        50
#define AGENT_POLL_RECORDS   20000 /* then it is another step's turn */
#define AGENT_BACKOFF_US     50000
#define AGENT_BACKOFF_MAX_US 5000000
#define AGENT_CHECK_US       500000
#define AGENT_HINT_US        200000
#define AGENT_PRUNE_US       60000000
#define AGENT_IMAGES_US      1000000
#define AGENT_PARKED_US      1000000
#define AGENT_END_US         1000000
#define AGENT_FREE_US        2000 /* with an outbox: between two transactions, for the service */

void agent_set_state(struct agent *agent, enum agent_state state)
{
    if (state != agent->state)
        log_info("agent", "%s", agent_state_name(state));
    agent->state = state;
    atomic_store(&agent->metrics->state, (int)state);
    atomic_store(&agent->metrics->ready, state == AGENT_APPLYING);
}

bool agent_is_due(struct agent_timer *timer, int64_t period_us)
{
    int64_t now = clock_monotonic_us();
    if (now < timer->next_us)
        return false;
    timer->next_us = now + period_us;
    return true;
}

enum status agent_new(const struct agent_options *options, struct agent **ret_agent,
                      struct error *err)
{
    const struct config *config = options->config;
    struct agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the agent");
    agent->config = config;
    agent->mappings = options->mappings;
    agent->mapping_count = options->mapping_count;
    agent->metrics = options->metrics;
    agent->wishes = options->wishes;
    agent->has_outbox = config->publish_count > 0;
    agent->ops = store_find(config->database);
    enum status status = STATUS_OK;
    if (agent->ops == NULL)
        status = error_set(err, STATUS_FATAL, "no store knows the database's scheme");
    if (status == STATUS_OK)
        status = agent_init_batches(agent, err);
    if (status == STATUS_OK)
        status = agent_add_topics(agent, err);
    if (status != STATUS_OK) {
        agent_free(agent);
        return status;
    }
    *ret_agent = agent;
    return STATUS_OK;
}

void agent_free(struct agent *agent)
{
    if (agent == NULL)
        return;
    feed_close(agent->feed);
    applier_free(agent->applier);
    batch_done(&agent->batch);
    batch_done(&agent->next);
    if (agent->large_batch.events != NULL)
        batch_done(&agent->large_batch);
    free(agent->partitions);
    free(agent->fills);
    paused_types_done(&agent->pauses);
    agent_drop_loading(agent);
    free(agent->wants_fill);
    free(agent->owns_first);
    free(agent->topics);
    free(agent);
}

size_t agent_partition_find(const struct agent_partition *partitions, size_t count, size_t guess,
                            struct topic_partition tp)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = (guess + i) % count;
        if (topic_partition_equal(partitions[index].tp, tp))
            return index;
    }
    return SIZE_MAX;
}

static size_t agent_find(const struct agent *agent, struct topic_partition tp)
{
    return agent_partition_find(agent->partitions, agent->partition_count, agent->last_index, tp);
}

static enum status agent_pause_silently(struct agent *agent, size_t index, struct error *err)
{
    agent_forget_read(agent, index);
    agent->partitions[index].paused = true;
    return feed_pause(agent->feed, agent->partitions[index].tp, true, err);
}

/** Pause a partition until an operator resumes it, and log why. No other function does that. */
static enum status agent_pause(struct agent *agent, size_t index, const char *reason,
                               struct error *err)
{
    const struct partition_state *state = applier_partition(agent->applier, index);
    if (state == NULL)
        return STATUS_OK;
    log_error("agent", "%s/%d stands still: %s. Mend the cause, then: `keepstep parked resume`",
              state->topic, state->partition, reason);
    agent->partitions[index].large_refusals = 0;
    agent->partitions[index].large_heal_us = 0;
    return agent_pause_silently(agent, index, err);
}

enum status agent_stop_partition(struct agent *agent, size_t index, const char *reason,
                                 struct error *err)
{
    enum status status = agent_pause(agent, index, reason, err);
    return status == STATUS_OK ? applier_stop(agent->applier, index, reason, err) : status;
}

enum status agent_hold_partition(struct agent *agent, size_t index, const char *reason,
                                 struct error *err)
{
    enum status status = agent_pause_silently(agent, index, err);
    return status == STATUS_OK ? applier_stop(agent->applier, index, reason, err) : status;
}

static enum status agent_on_record(struct agent *agent, const struct feed_event *event,
                                   struct error *err)
{
    bool pass = false;
    struct error stop = ERROR_INIT;
    struct batch *batch = agent_filled_batch(agent);
    size_t index = agent_find(agent, event->tp);
    if (index == SIZE_MAX || agent->partitions[index].paused)
        return STATUS_OK;
    struct record record = event->record;
    record.form = agent->partitions[index].form;
    agent->last_index = index;
    if (agent->partitions[index].large_state != LARGE_NONE)
        return agent_read_large(agent, index, &record, err);
    if (agent_check_anchor(agent, index, &record, &pass, &stop) == STATUS_STOP)
        return agent_stop_partition(agent, index, stop.text, err);
    if (!pass)
        return STATUS_OK;
    enum status status = batch_add(batch, &record, index, applier_finder(agent->applier), err);
    if (status != STATUS_OK)
        return status;
    agent_note_waiting(&agent->partitions[index], batch_last(batch));
    return agent->partitions[index].type_is_paused ? agent_hold_paused(agent, index, err)
                                                   : STATUS_OK;
}

static void agent_on_end(struct agent *agent, const struct feed_event *event)
{
    size_t index = agent_find(agent, event->tp);
    if (index == SIZE_MAX || agent->partitions[index].paused)
        return;
    agent->partitions[index].next_end = event->offset;
    agent_take_next(agent);
}

static enum status agent_apply_batch(struct agent *agent, bool read_ahead, struct error *err);

static enum status agent_on_revoke(struct agent *agent, struct error *err)
{
    struct error last = ERROR_INIT;
    if (agent_apply_batch(agent, false, &last) != STATUS_OK)
        log_warning("agent", "the last batch is left to the next owner: %s", last.text);
    agent_drop(agent);
    agent_set_state(agent, AGENT_ASSIGNING);
    return feed_unassign(agent->feed, err);
}

static enum status agent_on_event(struct agent *agent, const struct feed_event *event,
                                  struct error *err)
{
    size_t index;
    switch (event->type) {
    case FEED_NONE:
        return STATUS_OK;
    case FEED_RECORD:
        return agent_on_record(agent, event, err);
    case FEED_END:
        agent_on_end(agent, event);
        return STATUS_OK;
    case FEED_ASSIGN:
        return agent_assign(agent, event, err);
    case FEED_REVOKE:
        return agent_on_revoke(agent, err);
    case FEED_STOPPED:
        index = agent_find(agent, event->tp);
        if (index == SIZE_MAX || agent->partitions[index].paused)
            return STATUS_OK;
        return agent_stop_partition(agent, index, event->reason, err);
    }
    return STATUS_OK;
}

void agent_leave_record(struct agent *agent, const struct feed_event *event)
{
    size_t index = agent_find(agent, event->tp);
    if (index != SIZE_MAX && !agent->partitions[index].paused)
        applier_set_reloaded(agent->applier, index, true);
}

/** Wait while the database does not answer. Polling goes on, or the group would put the member out.
 */
static enum status agent_poll_paused(struct agent *agent, struct error *err)
{
    struct feed_event event;
    int64_t until = clock_monotonic_us() + agent->backoff_us;
    enum status status = feed_pause_all(agent->feed, true, err);
    while (status == STATUS_OK && clock_monotonic_us() < until && !atomic_load(agent->stop)) {
        agent_measure_lag(agent);
        status = feed_poll(agent->feed, AGENT_POLL_MS, &event, err);
        if (status == STATUS_OK && event.type == FEED_RECORD &&
            batch_is_full(agent_filled_batch(agent)))
            agent_leave_record(agent, &event);
        else if (status == STATUS_OK && event.type != FEED_ASSIGN && event.type != FEED_NONE)
            status = agent_on_event(agent, &event, err);
        else if (event.type == FEED_ASSIGN)
            clock_sleep_us(AGENT_BACKOFF_US); /* the next round answers it */
    }
    if (status == STATUS_OK)
        status = feed_pause_all(agent->feed, false, err);
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        const struct partition_state *state = applier_partition(agent->applier, i);
        if (agent->partitions[i].paused && state != NULL)
            status = feed_pause(agent->feed, partition_state_tp(state), true, err);
    }
    return status;
}

/** Wait for the first event, then take what has arrived by then. */
static enum status agent_poll(struct agent *agent, struct error *err)
{
    struct feed_event event;
    enum status status = STATUS_OK;
    if (agent->backoff_us > 0)
        status = agent_poll_paused(agent, err);
    agent_take_next(agent);
    bool busy = !agent_waits_for_more(agent) || applier_is_retrying(agent->applier) ||
                agent_is_loading(agent);
    int timeout_ms = busy ? 0 : AGENT_POLL_MS;
    if (agent->retrying && agent->batch.count > 0)
        return status;
    for (int i = 0; status == STATUS_OK && i < AGENT_POLL_RECORDS &&
                    !batch_is_full(&agent->batch) && !agent_is_large_read(agent);
         i++) {
        status = feed_poll(agent->feed, timeout_ms, &event, err);
        if (status != STATUS_OK || event.type == FEED_NONE)
            break;
        status = agent_on_event(agent, &event, err);
        timeout_ms = 0;
        if (event.type != FEED_RECORD && event.type != FEED_END)
            break;
    }
    return status;
}

enum status agent_pause_stopped(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        const struct partition_state *state = applier_partition(agent->applier, i);
        if (state != NULL && !agent->partitions[i].paused && state->stopped[0] != '\0')
            status = agent_pause(agent, i, state->stopped, err);
    }
    return status;
}

/** The service that writes in this database too gets its turn, and shorter transactions where the
 * last one took too long. Each of the two batches follows its own transactions; one that was not
 * used meanwhile takes the other's size. */
static void agent_yield_to_service(struct agent *agent, int64_t took_us)
{
    batch_adapt(&agent->batch, took_us, agent->config->limits.batch_time_ms * 1000);
    clock_sleep_us(AGENT_FREE_US);
}

/** @param read_ahead  let the reader fill the next batch meanwhile */
static enum status agent_apply_batch(struct agent *agent, bool read_ahead, struct error *err)
{
    int64_t begun = clock_monotonic_us();
    agent_take_next(agent);
    enum status status = agent_keep_open(agent, err);
    if (status != STATUS_OK)
        return status;
    if (agent->batch.count == 0 &&
        (!applier_has_ends(agent->applier) || !agent_is_due(&agent->ends, AGENT_END_US)))
        return STATUS_OK;
    bool is_lent = read_ahead && agent_begin_read_ahead(agent);
    agent->retrying = true;
    status = applier_apply(agent->applier, &agent->batch, err);
    if (status == STATUS_OK && agent->has_outbox)
        agent_yield_to_service(agent, clock_monotonic_us() - begun);
    if (is_lent)
        reader_end(agent->reader);
    if (status != STATUS_OK)
        return status;
    agent->retrying = false;
    if (agent->next.count == 0)
        agent->next.count_max = agent->batch.count_max;
    agent_note_applied(agent);
    batch_reset(&agent->batch);
    status = agent_pause_stopped(agent, err);
    agent_take_next(agent);
    return status;
}

static enum status agent_apply(struct agent *agent, struct error *err)
{
    return agent_apply_batch(agent, true, err);
}

static enum status agent_retry_parked(struct agent *agent, struct error *err)
{
    enum status status = applier_retry_parked(agent->applier, clock_wall_us(), err);
    if (agent->has_outbox && applier_is_retrying(agent->applier))
        clock_sleep_us(AGENT_FREE_US);
    return status;
}

static enum status agent_make_durable(struct agent *agent, struct error *err)
{
    return applier_make_durable(agent->applier, false, err);
}

static enum status agent_check_revisions(struct agent *agent, struct error *err)
{
    return applier_refresh(agent->applier, err);
}

/** Read reloaded partitions again from their position. One that was stopped and may go on is
 * assigned anew, because the checks of an assignment say whether its cause is gone. */
static enum status agent_follow_reload(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < agent->partition_count && status == STATUS_OK; i++) {
        const struct partition_state *state = applier_partition(agent->applier, i);
        if (state == NULL || !applier_is_reloaded(agent->applier, i))
            continue;
        bool stopped = state->stopped[0] != '\0';
        if (agent->partitions[i].paused && !stopped) {
            feed_assign_again(agent->feed);
            return STATUS_OK;
        }
        agent_forget_read(agent, i);
        agent_forget_waiting(agent, partition_state_tp(state));
        int64_t anchor = agent->partitions[i].anchor_offset;
        int64_t offset = state->next_offset;
        if (anchor >= 0 && anchor < offset)
            offset = anchor; /* it is still to be compared */
        else
            agent->partitions[i].anchor_offset = -1;
        if (!stopped)
            status = feed_seek(agent->feed, partition_state_tp(state), offset, err);
        if (status == STATUS_OK)
            applier_set_reloaded(agent->applier, i, false);
    }
    return status == STATUS_OK ? agent_pause_stopped(agent, err) : status;
}

static enum status agent_look_for_parked(struct agent *agent, struct error *err)
{
    return applier_note_parked(agent->applier, err);
}

/* A pause of a type that is only published, or not configured any more, keeps no keys. */
static enum status agent_prune(struct agent *agent, struct error *err)
{
    bool any_paused = false;
    for (size_t i = 0; i < agent->topic_count; i++)
        any_paused = any_paused || agent_is_paused(agent, agent->topics[i]);
    return applier_prune(agent->applier, any_paused, err);
}

static enum status agent_write_images(struct agent *agent, struct error *err)
{
    return applier_write_images(agent->applier, err);
}

/** One round, in this order. */
static const struct agent_step {
    const char *name;
    enum status (*run)(struct agent *agent, struct error *err);
    int64_t period_us; /* 0: in each round */
} agent_steps[AGENT_STEPS] = {
    {"poll", agent_poll, 0},
    {"follow a reload", agent_follow_reload, 0},
    {"apply", agent_apply, 0},
    {"apply a large change set", agent_apply_large, 0},
    {"hint", agent_send_hints, AGENT_HINT_US},
    {"retry parked", agent_retry_parked, 0},
    {"write kept images", agent_write_images, AGENT_IMAGES_US},
    {"make durable", agent_make_durable, 0},
    {"follow fills", agent_follow_fills, AGENT_CHECK_US},
    {"follow pauses", agent_follow_pauses, AGENT_CHECK_US},
    {"fill", agent_load, 0},
    {"check revisions", agent_check_revisions, AGENT_CHECK_US},
    {"look for the oldest parked", agent_look_for_parked, AGENT_PARKED_US},
    {"prune", agent_prune, AGENT_PRUNE_US},
    {"check the hints of other agents", agent_check_other_hints, 0},
    {"find partitions", agent_find_partitions, 0},
};

static void agent_back_off(struct agent *agent, const char *step, const struct error *err)
{
    int64_t next = agent->backoff_us == 0 ? AGENT_BACKOFF_US : 2 * agent->backoff_us;
    if (agent->backoff_us == 0)
        log_warning("agent", "%s: %s; trying again", step, err->text);
    agent->backoff_us = next < AGENT_BACKOFF_MAX_US ? next : AGENT_BACKOFF_MAX_US;
}

/** Ask the database while there is no broker, so that it is known whether it answers. */
static enum status agent_ask_database(struct agent *agent, struct error *err)
{
    struct paused_types ignored = {0};
    enum status status = applier_list_paused(agent->applier, &ignored, err);
    paused_types_done(&ignored);
    return status;
}

/** Open the store and join the group. */
static enum status agent_connect(struct agent *agent, struct error *err)
{
    enum status status = STATUS_OK;
    struct applier_options options = {.ops = agent->ops,
                                      .config = agent->config,
                                      .mappings = agent->mappings,
                                      .mapping_count = agent->mapping_count,
                                      .metrics = agent->metrics};
    if (agent->applier == NULL)
        status = applier_new(&options, &agent->applier, err);
    else
        status = agent_ask_database(agent, err);
    if (status == STATUS_OK || (status == STATUS_RETRY && err->connection_lost))
        agent_note_database(agent, status == STATUS_OK);
    if (status != STATUS_OK)
        return status;
    atomic_store(&agent->metrics->database_checked, true);
    struct feed_options feed = {.config = agent->config,
                                .copy_id = applier_copy_id(agent->applier),
                                .topics = agent->topics,
                                .topic_count = agent->topic_count};
    status = feed_open(&feed, &agent->feed, err);
    if (status == STATUS_OK || status == STATUS_RETRY)
        agent_note_broker(agent, status == STATUS_OK || !feed_is_silence(err));
    return status;
}

static enum status agent_connect_patiently(struct agent *agent, struct error *err)
{
    agent_set_state(agent, AGENT_CONNECTING);
    enum status status = agent_connect(agent, err);
    while (status == STATUS_RETRY && !atomic_load(agent->stop)) {
        agent_back_off(agent, "connect", err);
        error_clear(err);
        clock_sleep_us(agent->backoff_us < AGENT_CHECK_US ? agent->backoff_us : AGENT_CHECK_US);
        status = agent_connect(agent, err);
    }
    agent->backoff_us = 0;
    if (status != STATUS_OK)
        return status == STATUS_RETRY ? STATUS_OK : status;
    log_info("agent", "group %s, copy %s, cluster %s", feed_group(agent->feed),
             applier_copy_id(agent->applier), feed_cluster_id(agent->feed));
    return STATUS_OK;
}

/** Open another feed, as a restart would. */
static enum status agent_join_anew(struct agent *agent, struct error *err)
{
    feed_close(agent->feed);
    agent->feed = NULL;
    return agent_connect_patiently(agent, err);
}

/** A fence was lost: to a fill, or to another agent, and then the group knows who owns what, and
 * who of the same name came last. */
static enum status agent_rejoin(struct agent *agent, struct error *err)
{
    struct error ignored = ERROR_INIT;
    bool is_filled = false;
    if (agent_read_fills(agent, &is_filled, &ignored) == STATUS_OK && is_filled) {
        feed_assign_again(agent->feed);
        return STATUS_OK;
    }
    enum status status = feed_find_double(agent->feed, err);
    if (status == STATUS_OK)
        status = feed_rejoin(agent->feed, err);
    if (status != STATUS_ABORT || !feed_is_fenced(agent->feed))
        return status;
    error_clear(err);
    return agent_join_anew(agent, err);
}

/** Decide what a step's status means for the loop. @return OK: go on; FATAL. */
static enum status agent_handle_status(struct agent *agent, const char *step, enum status status,
                                       struct error *err)
{
    if (status == STATUS_OK)
        return STATUS_OK;
    if (status == STATUS_RETRY) {
        agent_back_off(agent, step, err);
        if (err->connection_lost)
            agent_note_database(agent, false);
        if (agent->state == AGENT_APPLYING)
            agent_set_state(agent, AGENT_WAITING_DATABASE);
        error_clear(err);
        return STATUS_OK;
    }
    if (status == STATUS_ABORT) {
        bool own = err->native_code == 1;
        log_warning("agent", "%s: %s; %s", step, err->text, own ? "reloaded" : "joining again");
        error_clear(err);
        if (own)
            return STATUS_OK;
        agent_drop(agent);
        if (feed_is_fenced(agent->feed))
            return agent_join_anew(agent, err);
        agent_set_state(agent, AGENT_ASSIGNING);
        return agent_rejoin(agent, err);
    }
    if (status != STATUS_FATAL) {
        err->status = STATUS_FATAL;
        error_prefix(err, "%s", step);
    }
    return STATUS_FATAL;
}

static enum status agent_round(struct agent *agent, struct error *err)
{
    bool failed = false;
    agent_measure_lag(agent); /* also where no step succeeds */
    for (size_t i = 0; i < AGENT_STEPS && !failed; i++) {
        const struct agent_step *step = &agent_steps[i];
        if (!agent_is_due(&agent->step_timers[i], step->period_us))
            continue;
        enum status status = step->run(agent, err);
        failed = status != STATUS_OK;
        status = agent_handle_status(agent, step->name, status, err);
        if (status != STATUS_OK)
            return status;
    }
    if (!failed) {
        agent_note_database(agent, true);
        agent->backoff_us = 0;
        if (agent->state == AGENT_WAITING_DATABASE)
            agent_set_state(agent, AGENT_APPLYING);
    }
    return STATUS_OK;
}

enum status agent_run(struct agent *agent, const atomic_bool *stop, struct error *err)
{
    struct error last = ERROR_INIT;
    agent->stop = stop;
    enum status status = reader_new(&agent->reader, err);
    if (status == STATUS_OK)
        status = agent_connect_patiently(agent, err);
    while (status == STATUS_OK && !atomic_load(stop))
        status = agent_round(agent, err);
    agent_set_state(agent, AGENT_DRAINING);
    if (status == STATUS_OK && agent->feed != NULL &&
        agent_apply_batch(agent, false, &last) == STATUS_OK)
        (void)agent_send_hints(agent, &last);
    if (agent->applier != NULL)
        agent_drop(agent);
    reader_free(agent->reader);
    agent->reader = NULL;
    feed_close(agent->feed);
    agent->feed = NULL;
    agent_set_state(agent, AGENT_STOPPED);
    return status;
}
