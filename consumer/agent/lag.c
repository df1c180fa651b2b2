/* Measures how far behind each partition is, in records and in time. */
#include "consumer/agent/internal.h"

#include "common/clock.h"

#define LAG_US         1000000
#define LAG_ROUND_US   100000 /* each round asks for one partition, and for more in that time */
#define LAG_TIMEOUT_MS 1000
#define LAG_ASK_US     2000000 /* without partitions, whether the broker answers */
#define RETENTION_US   5000000 /* one question more: each may wait behind a fetch */

/** Note since when there are records after the last stable offset. They can only be read when
 * another producer's transaction has ended. */
static void agent_note_withheld(struct agent_partition_metrics *row, int64_t stable, int64_t seen)
{
    bool moved = atomic_exchange(&row->stable_end, stable) != stable;
    if (seen <= stable)
        atomic_store(&row->withheld_since_us, 0);
    else if (moved || atomic_load(&row->withheld_since_us) == 0)
        atomic_store(&row->withheld_since_us, clock_wall_us());
}

/* Only a fetch sees records after the last stable offset. If nothing is fetched, and all records
 * up to that offset are applied, the end of the log is unknown. */
void agent_note_log_end(struct agent *agent, struct topic_partition tp, int64_t stable)
{
    struct agent_partition_metrics *row = agent_metrics_partition(agent->metrics, tp);
    int64_t seen = feed_log_end_seen(agent->feed, tp);
    int64_t end = stable < 0 || seen < stable ? stable : seen;
    bool is_fetched = seen >= 0 && agent->backoff_us == 0 && !atomic_load(&row->stopped);
    if (stable >= 0)
        agent_note_withheld(row, stable, seen);
    bool caught_up = atomic_load(&row->applied_offset) >= end;
    if (stable >= 0 && is_fetched && caught_up)
        atomic_store(&row->caught_up_us, clock_wall_us());
    if (!is_fetched && caught_up)
        end = -1;
    atomic_store(&row->log_end, end);
    atomic_store(&row->log_end_seen_us, clock_monotonic_us());
}

/* A fetch tells where the log ends, and costs no request.
 * @return whether the partition is fetched, and the broker answers. */
static bool agent_note_seen(struct agent *agent, size_t index, struct topic_partition tp)
{
    struct agent_partition_metrics *row = agent_metrics_partition(agent->metrics, tp);
    int64_t seen = feed_log_end_seen(agent->feed, tp);
    if (seen < 0 || agent->backoff_us > 0 || agent->partitions[index].paused ||
        atomic_load(&row->log_end) < 0 || atomic_load(&agent->metrics->broker_silent_since_us) != 0)
        return false;
    if (atomic_load(&row->log_end) < seen)
        atomic_store(&row->log_end, seen);
    atomic_store(&row->log_end_seen_us, clock_monotonic_us());
    return true;
}

/** @return when its origin committed it; if the record does not say that, when the broker stored
 * it. Wall clock. */
static int64_t agent_time_of(const struct batch_event *event)
{
    return event->change.time_us != 0 ? event->change.time_us : event->change.record.time_us;
}

/* @param event  the oldest that waits to be applied; NULL: none that is known. */
static void agent_note_oldest(struct agent_partition_metrics *row, const struct batch_event *event)
{
    atomic_store(&row->oldest_unapplied_us, event == NULL ? 0 : agent_time_of(event));
    atomic_store(&row->oldest_unapplied_log_us, event == NULL ? 0 : event->change.record.time_us);
}

void agent_forget_waiting(struct agent *agent, struct topic_partition tp)
{
    agent_note_oldest(agent_metrics_partition(agent->metrics, tp), NULL);
}

void agent_note_waiting(const struct agent_partition *partition, const struct batch_event *event)
{
    if (atomic_load(&partition->metrics->oldest_unapplied_us) == 0)
        agent_note_oldest(partition->metrics, event);
}

void agent_note_applied(struct agent *agent)
{
    for (size_t i = 0; i < agent->batch.count; i++) {
        const struct batch_event *event = &agent->batch.events[i];
        struct agent_partition_metrics *row =
            agent->partitions[event->change.partition_index].metrics;
        if (event->change.record.offset < atomic_load(&row->applied_offset))
            agent_note_oldest(row, NULL);
        else if (atomic_load(&row->oldest_unapplied_us) == 0) /* the first that is not applied */
            agent_note_oldest(row, event);
    }
}

/* @param silent_since_us  stays what it is while nobody answers. */
static void agent_note_answer(bool answers, atomic_llong *heard_us, atomic_llong *silent_since_us)
{
    int64_t now_us = clock_monotonic_us();
    if (answers)
        atomic_store(heard_us, now_us);
    if (answers || atomic_load(silent_since_us) == 0)
        atomic_store(silent_since_us, answers ? 0 : now_us);
}

void agent_note_broker(struct agent *agent, bool answers)
{
    agent_note_answer(answers, &agent->metrics->broker_heard_us,
                      &agent->metrics->broker_silent_since_us);
}

void agent_note_database(struct agent *agent, bool answers)
{
    agent_note_answer(answers, &agent->metrics->database_heard_us,
                      &agent->metrics->database_lost_since_us);
}

/** Note where a log begins, and how long its topic keeps a record. */
static void agent_note_retention(struct agent *agent, struct topic_partition tp)
{
    struct error ignored = ERROR_INIT;
    struct agent_partition_metrics *row = agent_metrics_partition(agent->metrics, tp);
    int64_t begin = -1;
    int64_t retention_ms = feed_retention_ms(agent->feed, tp.topic, LAG_TIMEOUT_MS);
    if (feed_log_begin(agent->feed, tp, LAG_TIMEOUT_MS, &begin, &ignored) != STATUS_OK)
        begin = -1;
    atomic_store(&row->log_begin, begin);
    atomic_store(&row->retention_us,
                 retention_ms < 0 || retention_ms > INT64_MAX / 1000 ? 0 : retention_ms * 1000);
}

/** Ask where a partition's log ends. */
static void agent_ask_log_end(struct agent *agent, struct topic_partition tp)
{
    struct error failed = ERROR_INIT;
    int64_t stable = -1;
    if (feed_stable_end(agent->feed, tp, LAG_TIMEOUT_MS, &stable, &failed) != STATUS_OK)
        stable = -1;
    agent_note_broker(agent, stable >= 0 || !feed_is_silence(&failed));
    agent_note_log_end(agent, tp, stable);
    bool is_new = atomic_load(&agent_metrics_partition(agent->metrics, tp)->log_begin) < 0;
    if (stable >= 0 && (agent_is_due(&agent->retention, RETENTION_US) || is_new))
        agent_note_retention(agent, tp);
}

void agent_note_round(struct agent *agent)
{
    atomic_store(&agent->metrics->last_round_us, clock_monotonic_us());
}

void agent_measure_lag(struct agent *agent)
{
    int64_t now_us = clock_monotonic_us();
    agent_note_round(agent);
    if (agent->partition_count == 0) {
        if (agent_is_due(&agent->lag, LAG_ASK_US))
            agent_note_broker(agent, feed_is_answered(agent->feed, LAG_TIMEOUT_MS));
        return;
    }
    if (!agent_is_due(&agent->lag, LAG_US))
        return;
    size_t first = agent->lag_index + 1;
    for (size_t i = 0; i < agent->partition_count; i++) {
        size_t index = (first + i) % agent->partition_count;
        const struct partition_state *state = applier_partition(agent->applier, index);
        if (state == NULL)
            continue;
        bool is_fetched = agent_note_seen(agent, index, partition_state_tp(state));
        bool has_time = i == 0 || clock_monotonic_us() - now_us < LAG_ROUND_US;
        if ((i > 0 && is_fetched) || !has_time)
            continue;
        agent->lag_index = index;
        agent_ask_log_end(agent, partition_state_tp(state));
    }
}
