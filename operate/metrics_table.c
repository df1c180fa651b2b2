/* Each metric is one row: it registers the metric, documents it and gives its value. */
#include "operate/metrics_table.h"

#include "common/clock.h"

#include <math.h>

#define METRICS_STALE_US                                                                           \
    (5 * (int64_t)1000000) /* after that what the agent saw of the log is old */

double metrics_since_s(int64_t since_us)
{
    return since_us == 0 ? 0 : (double)(clock_monotonic_us() - since_us) / 1e6;
}

double metrics_age_s(int64_t time_us)
{
    double age = time_us == 0 ? 0 : (double)(clock_wall_us() - time_us) / 1e6;
    return age < 0 ? 0 : age;
}

int64_t metrics_agent_silence_us(const struct agent_metrics *agent)
{
    int64_t last_round_us = atomic_load(&agent->last_round_us);
    return last_round_us == 0 ? 0 : clock_monotonic_us() - last_round_us;
}

int64_t metrics_relay_silence_us(const struct relay_metrics *relay)
{
    int64_t looked_at_us = atomic_load(&relay->looked_at_us);
    if (looked_at_us == 0 || !atomic_load(&relay->recovered))
        return 0;
    return clock_monotonic_us() - looked_at_us;
}

double metrics_relay_stalled_s(const struct relay_metrics *relay)
{
    int64_t since_us = atomic_load(&relay->stalled_since_us);
    int64_t looked_at_us = atomic_load(&relay->looked_at_us);
    return since_us == 0 || looked_at_us < since_us ? 0 : (double)(looked_at_us - since_us) / 1e6;
}

static bool is_stale(const struct metric_subject *of)
{
    return metrics_agent_silence_us(of->agent) > METRICS_STALE_US;
}

/* @return the end of the log; -1 unless the agent has seen it lately: a lag of 0 would be false. */
static long long known_end(const struct metric_subject *of)
{
    long long seen_us = atomic_load(&of->partition->log_end_seen_us);
    bool is_old = seen_us != 0 && clock_monotonic_us() - seen_us > METRICS_STALE_US;
    return is_old ? -1 : atomic_load(&of->partition->log_end);
}

static double log_end(const struct metric_subject *of)
{
    long long end = known_end(of);
    return end < 0 || is_stale(of) ? NAN : (double)end;
}

static double lag_records(const struct metric_subject *of)
{
    double lag = log_end(of) - (double)atomic_load(&of->partition->applied_offset);
    return lag < 0 ? 0 : lag;
}

static double lag_seconds(const struct metric_subject *of)
{
    long long applied = atomic_load(&of->partition->applied_offset);
    long long end = known_end(of);
    long long oldest_us = atomic_load(&of->partition->oldest_unapplied_us);
    long long withheld_us = end > applied ? atomic_load(&of->partition->withheld_since_us) : 0;
    double silence_s = is_stale(of) ? (double)metrics_agent_silence_us(of->agent) / 1e6 : 0;
    bool caught_up = end >= 0 && applied >= end;

    if (oldest_us == 0 && withheld_us == 0 && silence_s == 0 && !caught_up)
        return NAN;
    double oldest_s = metrics_age_s(oldest_us);
    double withheld_s = metrics_age_s(withheld_us);
    double lag_s = oldest_s > withheld_s ? oldest_s : withheld_s;
    return lag_s > silence_s ? lag_s : silence_s;
}

double metrics_lag_s(const struct agent_metrics *agent,
                     const struct agent_partition_metrics *partition)
{
    const struct metric_subject of = {.agent = agent, .partition = partition};
    return lag_seconds(&of);
}

static double log_begin(const struct metric_subject *of)
{
    long long begin = atomic_load(&of->partition->log_begin);
    return begin < 0 ? NAN : (double)begin;
}

/* A topic deletes a record once it is older than the retention, or later. The first record that is
 * not applied is not older than the moment at which nothing waited. */
static double retention_overtakes_s(const struct metric_subject *of)
{
    long long applied = atomic_load(&of->partition->applied_offset);
    long long end = atomic_load(&of->partition->log_end);
    long long stored_us = atomic_load(&of->partition->oldest_unapplied_log_us);
    long long retention_us = atomic_load(&of->partition->retention_us);
    if (stored_us == 0)
        stored_us = atomic_load(&of->partition->caught_up_us);
    if ((end >= 0 && applied >= end) || stored_us == 0 || retention_us == 0)
        return NAN;
    double left_s = (double)(stored_us + retention_us - clock_wall_us()) / 1e6;
    return left_s < 0 ? 0 : left_s;
}

double metrics_lag_records(const struct agent_metrics *agent,
                           const struct agent_partition_metrics *partition)
{
    const struct metric_subject of = {.agent = agent, .partition = partition};
    return lag_records(&of);
}

double metrics_log_end(const struct agent_metrics *agent,
                       const struct agent_partition_metrics *partition)
{
    const struct metric_subject of = {.agent = agent, .partition = partition};
    return log_end(&of);
}

double metrics_retention_overtakes_s(const struct agent_metrics *agent,
                                     const struct agent_partition_metrics *partition)
{
    const struct metric_subject of = {.agent = agent, .partition = partition};
    return retention_overtakes_s(&of);
}

static double oldest_parked_s(const struct metric_subject *of)
{
    long long since_us = atomic_load(&of->partition->parked_since_us);
    return since_us == 0 && atomic_load(&of->partition->parked) > 0 ? NAN : metrics_age_s(since_us);
}

/** X(scope, type, name without "keepstep_", help, value) */
#define METRICS(X)                                                                                 \
    X(SERVICE, gauge, broker_up,                                                                   \
      "1 while the broker answers, 0 while it does not; absent before it was asked.",              \
      metrics_broker_up(of->sources))                                                              \
    X(SERVICE, gauge, database_up,                                                                 \
      "1 while the database answers, 0 while it does not; absent before it was asked.",            \
      metrics_database_up(of->sources))                                                            \
    X(AGENT, counter, events_applied_total, "Events written to the local copy.",                   \
      atomic_load(&of->agent->events_applied))                                                     \
    X(AGENT, counter, events_duplicate_total, "Events that had been applied before.",              \
      atomic_load(&of->agent->events_duplicate))                                                   \
    X(AGENT, counter, events_duplicate_unverified_total,                                           \
      "Duplicates that are too old for their id to be compared.",                                  \
      atomic_load(&of->agent->events_unverified))                                                  \
    X(AGENT, counter, events_superseded_total,                                                     \
      "Events that were not written because a later change of this service is pending.",           \
      atomic_load(&of->agent->events_superseded))                                                  \
    X(AGENT, counter, events_parked_total, "Events that were parked, held or waiting.",            \
      atomic_load(&of->agent->events_parked))                                                      \
    X(AGENT, counter, events_rejected_total, "Events that were parked and need a person.",         \
      atomic_load(&of->agent->events_rejected))                                                    \
    X(AGENT, counter, events_passed_absent_total,                                                  \
      "Updates of rows that a filled copy does not have, because a later event deletes them.",     \
      atomic_load(&of->agent->events_passed_absent))                                               \
    X(AGENT, counter, events_healed_total, "Parked events that were applied later.",               \
      atomic_load(&of->agent->events_healed))                                                      \
    X(AGENT, counter, changesets_parked_total,                                                     \
      "Transactions of several changes that were parked, each of them whole.",                     \
      atomic_load(&of->agent->changesets_parked))                                                  \
    X(AGENT, counter, entities_diverged_total,                                                     \
      "Entities that differ from their origin because no superseded image was kept.",              \
      atomic_load(&of->agent->entities_diverged))                                                  \
    X(AGENT, counter, consumer_commits_total, "Transactions of the agent.",                        \
      atomic_load(&of->agent->commits))                                                            \
    X(AGENT, counter, consumer_commits_durable_total,                                              \
      "Transactions of the agent that waited for the disk.",                                       \
      atomic_load(&of->agent->commits_durable))                                                    \
    X(AGENT, gauge, consumer_last_progress_timestamp_seconds,                                      \
      "When the agent last made progress.",                                                        \
      (double)atomic_load(&of->agent->last_progress_us) / 1e6)                                     \
    X(AGENT, gauge, consumer_ready, "1 while the agent makes progress.",                           \
      metrics_agent_is_ready(of->agent))                                                           \
    X(AGENT, gauge, consumer_broker_silent_seconds,                                                \
      "For how long the broker has not answered the agent; 0 while it answers.",                   \
      metrics_since_s(atomic_load(&of->agent->broker_silent_since_us)))                            \
    X(AGENT, gauge, consumer_topics_missing, "Topics under apply: that do not exist yet.",         \
      atomic_load(&of->agent->topics_missing))                                                     \
    X(PARTITION, gauge, consumer_lag_records,                                                      \
      "Records between the position and the end of the log. Records of open transactions count.",  \
      lag_records(of))                                                                             \
    X(PARTITION, gauge, consumer_lag_seconds,                                                      \
      "Age of the oldest event that is not applied: 0 when caught up, absent when not known. It "  \
      "grows while the agent cannot read the log.",                                                \
      lag_seconds(of))                                                                             \
    X(PARTITION, gauge, consumer_applied_offset, "Next offset after the last transaction.",        \
      atomic_load(&of->partition->applied_offset))                                                 \
    X(PARTITION, gauge, consumer_durable_offset,                                                   \
      "Next offset after the last transaction that is on the disk.",                               \
      atomic_load(&of->partition->durable_offset))                                                 \
    X(PARTITION, gauge, consumer_log_end_offset,                                                   \
      "End of the log. Records of open transactions count.", log_end(of))                          \
    X(PARTITION, gauge, consumer_log_begin_offset, "First offset that the log still holds.",       \
      log_begin(of))                                                                               \
    X(PARTITION, gauge, retention_overtakes_seconds,                                               \
      "Until the topic's retention may delete the first record that is not applied; 0 when that "  \
      "may happen now. Absent when all is applied, when the topic keeps its records for ever, "    \
      "and when it is not known how old that record is.",                                          \
      retention_overtakes_s(of))                                                                   \
    X(PARTITION, gauge, consumer_parked_records, "Records that are parked now.",                   \
      atomic_load(&of->partition->parked))                                                         \
    X(PARTITION, gauge, consumer_oldest_parked_age_seconds,                                        \
      "For how long the first of those records is parked; 0 when there is none.",                  \
      oldest_parked_s(of))                                                                         \
    X(PARTITION, gauge, consumer_partition_stopped,                                                \
      "1 where the partition is stopped and needs a person.",                                      \
      atomic_load(&of->partition->stopped))                                                        \
    X(STOP, gauge, stop_info,                                                                      \
      "Always 1, for a partition that is stopped; the class of the reason as a label.", 1)         \
    X(APPLIED, counter, type_events_applied_total,                                                 \
      "Events of the entity type that were written to the local copy.",                            \
      atomic_load(&of->type->events_applied))                                                      \
    X(APPLIED, counter, type_events_parked_total, "Events of the entity type that were parked.",   \
      atomic_load(&of->type->events_parked))                                                       \
    X(AGENT, counter, changesets_applied_total,                                                    \
      "Change sets of several records that were applied whole.",                                   \
      atomic_load(&of->agent->changesets_applied))                                                 \
    X(AGENT, counter, consumer_changesets_voided_total,                                            \
      "Change sets of which nothing was written, because one of their records is a void.",         \
      atomic_load(&of->agent->changesets_voided))                                                  \
    X(AGENT, counter, changesets_abandoned_total,                                                  \
      "Change sets of which nothing was written, because their service was restored before "       \
      "their end was published.",                                                                  \
      atomic_load(&of->agent->changesets_abandoned))                                               \
    X(PARTITION, gauge, changeset_open_seconds,                                                    \
      "For how long the first change set that is not applied lacks its end; 0 when there is "      \
      "none.",                                                                                     \
      metrics_age_s(atomic_load(&of->partition->set_since_us)))                                    \
    X(FILL, gauge, fill_stage,                                                                     \
      "How far the fill of the copy is: 1 asked, 2 clearing, 3 loading, 4 replaying, 5 done, "     \
      "6 cancelled.",                                                                              \
      atomic_load(&of->fill->stage))                                                               \
    X(FILL, gauge, fill_rows, "Rows that the last fill has loaded.", atomic_load(&of->fill->rows)) \
    X(FILL, gauge, fill_given_up,                                                                  \
      "1 where nobody goes on with the fill, and nothing of the topic is read, until a person "    \
      "acts.",                                                                                     \
      atomic_load(&of->fill->is_given_up))                                                         \
    X(ENTRY, gauge, paused, "1 while an operator has paused the entity type.",                     \
      of->paused_at_us != 0)                                                                       \
    X(RELAY, counter, events_published_total, "Events that Kafka acknowledged.",                   \
      atomic_load(&of->relay->acknowledged))                                                       \
    X(RELAY, counter, events_sent_total, "Events handed to Kafka, also again.",                    \
      atomic_load(&of->relay->published))                                                          \
    X(RELAY, counter, events_adopted_total, "Events found in the log when the lease was taken.",   \
      atomic_load(&of->relay->adopted))                                                            \
    X(RELAY, counter, relay_log_records_read_total,                                                \
      "Records of the log that were read when the lease was taken.",                               \
      atomic_load(&of->relay->log_read))                                                           \
    X(RELAY, counter, events_voided_total,                                                         \
      "Events sent without their change, which does not reach the peers.",                         \
      atomic_load(&of->relay->voided))                                                             \
    X(RELAY, counter, events_set_aside_total, "Outbox rows that could not be published.",          \
      atomic_load(&of->relay->set_aside))                                                          \
    X(RELAY, counter, changesets_published_total,                                                  \
      "Change sets that were numbered under `transactions: whole`.",                               \
      atomic_load(&of->relay->sets_published))                                                     \
    X(RELAY, gauge, changeset_largest_events,                                                      \
      "Changes of the largest change set since the relay began; 0 where none was published.",      \
      atomic_load(&of->relay->sets_largest))                                                       \
    X(RELAY, counter, changesets_set_aside_total,                                                  \
      "Change sets that could not be published, or wait behind one.",                              \
      atomic_load(&of->relay->sets_set_aside))                                                     \
    X(RELAY, counter, changesets_split_total,                                                      \
      "Change sets that reach the peers in parts: in several partitions, or cut because nothing "  \
      "tells their transactions apart.",                                                           \
      atomic_load(&of->relay->sets_split))                                                         \
    X(RELAY, counter, changesets_merged_total,                                                     \
      "Change sets that are of several transactions, because their changes cross.",                \
      atomic_load(&of->relay->sets_merged))                                                        \
    X(RELAY, counter, changesets_voided_total,                                                     \
      "Change sets of which a record was sent as a void: peers write none of them.",               \
      atomic_load(&of->relay->sets_voided))                                                        \
    X(RELAY, counter, outbox_purged_events_total,                                                  \
      "Published outbox rows that were deleted after their time.",                                 \
      atomic_load(&of->relay->purged))                                                             \
    X(RELAY, counter, relay_failures_total, "Errors after which the relay tried again.",           \
      atomic_load(&of->relay->failures))                                                           \
    X(RELAY, counter, relay_producers_rebuilt_total,                                               \
      "Kafka producers that replaced a failed one.", atomic_load(&of->relay->rebuilt))             \
    X(LEASE, gauge, outbox_pending_events, "Outbox rows that wait to be published.",               \
      atomic_load(&of->relay->waiting))                                                            \
    X(LEASE, gauge, outbox_set_aside_events, "Outbox rows that are set aside now.",                \
      atomic_load(&of->relay->set_aside_now))                                                      \
    X(LEASE, gauge, changeset_rests_lost,                                                          \
      "Partitions whose last change set lacks its end, and nothing in the outbox is known to be "  \
      "its rest: copies wait for what is published there next.",                                   \
      atomic_load(&of->relay->rests_lost))                                                         \
    X(LEASE, gauge, relay_in_flight_events, "Events that are sent and not yet acknowledged.",      \
      atomic_load(&of->relay->in_flight))                                                          \
    X(LEASE, gauge, outbox_oldest_pending_age_seconds,                                             \
      "Age of the oldest outbox row that Kafka has not acknowledged; 0 when there is none.",       \
      metrics_age_s(atomic_load(&of->relay->oldest_unacknowledged_us)))                            \
    X(LEASE, gauge, relay_oldest_unacknowledged_seconds,                                           \
      "Age of the oldest event that was sent and that Kafka has not acknowledged; 0 when none is " \
      "under way.",                                                                                \
      metrics_age_s(atomic_load(&of->relay->oldest_in_flight_us)))                                 \
    X(RELAY, gauge, relay_stalled_seconds,                                                         \
      "For how long a partition with events under way has had none acknowledged, as the relay "    \
      "saw when it last looked; 0 while acknowledgements come.",                                   \
      metrics_relay_stalled_s(of->relay))                                                          \
    X(RELAY, gauge, relay_broker_silent_seconds,                                                   \
      "For how long the broker has not answered the relay; 0 while it answers.",                   \
      metrics_since_s(atomic_load(&of->relay->broker_silent_since_us)))                            \
    X(RELAY, gauge, relay_last_progress_timestamp_seconds, "When the relay last made progress.",   \
      (double)atomic_load(&of->relay->progress_us) / 1e6)                                          \
    X(LEASE, gauge, capture_broken_types,                                                          \
      "Entity types whose triggers are missing or not as init would make them.",                   \
      atomic_load(&of->relay->capture_broken))                                                     \
    X(LEASE, gauge, capture_unknown_types, "Entity types whose triggers could not be checked.",    \
      atomic_load(&of->relay->capture_unknown))                                                    \
    X(LEASE, gauge, relay_held_back,                                                               \
      "1 while nothing is published because the service's own copy does not have all rows yet.",   \
      atomic_load(&of->relay->held_entry) != 0)                                                    \
    X(RELAY, gauge, relay_holds_lease, "1 while this relay is the one that publishes.",            \
      atomic_load(&of->relay->holds_lease))                                                        \
    X(RELAY, gauge, relay_standby,                                                                 \
      "1 while another relay publishes and this one waits to take over.",                          \
      atomic_load(&of->relay->standby))                                                            \
    X(DESK, counter, desk_questions_total, "Questions of other services that the desk got.",       \
      atomic_load(&of->desk->questions))                                                           \
    X(DESK, gauge, snapshots_open, "Snapshots that the desk keeps open for other services.",       \
      atomic_load(&of->desk->snapshots_open))                                                      \
    X(DESK, gauge, snapshot_age_seconds, "Age of the oldest of them; 0 when there is none.",       \
      metrics_since_s(atomic_load(&of->desk->oldest_snapshot_us)))                                 \
    X(JOINT, counter, joint_committed_total,                                                       \
      "Joint transactions that were committed and settled.", atomic_load(&of->joint->committed))   \
    X(JOINT, counter, joint_aborted_total, "Joint transactions that were aborted.",                \
      atomic_load(&of->joint->aborted))                                                            \
    X(JOINT, counter, joint_votes_yes_total, "Votes of this service that promised its part.",      \
      atomic_load(&of->joint->votes_yes))                                                          \
    X(JOINT, counter, joint_votes_no_total, "Votes of this service that refused its part.",        \
      atomic_load(&of->joint->votes_no))                                                           \
    X(JOINT, counter, joint_withdrawals_total,                                                     \
      "Joint transactions that this service has withdrawn because no decision came.",              \
      atomic_load(&of->joint->withdrawals))                                                        \
    X(JOINT, counter, joint_late_total,                                                            \
      "Committed joint transactions that a restored database did not know of.",                    \
      atomic_load(&of->joint->late))                                                               \
    X(JOINT, gauge, joint_queued, "Joint transactions that this service has not voted on.",        \
      atomic_load(&of->joint->queued))                                                             \
    X(JOINT, gauge, joint_reserved, "Undecided ones whose entities are reserved here.",            \
      atomic_load(&of->joint->reserved))                                                           \
    X(JOINT, gauge, joint_settling, "Decided ones that are not made so here yet.",                 \
      atomic_load(&of->joint->settling))                                                           \
    X(JOINT, gauge, joint_held, "Committed ones whose changes this database refuses: act.",        \
      atomic_load(&of->joint->held))                                                               \
    X(JOINT, gauge, joint_oldest_undecided_seconds,                                                \
      "Age of the oldest undecided one; 0: none is.",                                              \
      metrics_age_s(atomic_load(&of->joint->undecided_us)))                                        \
    X(JOINT, gauge, joint_oldest_settling_seconds,                                                 \
      "For how long the oldest of those that are decided is not made so; 0: there is none.",       \
      metrics_age_s(atomic_load(&of->joint->decided_us)))                                          \
    X(JOINT, gauge, joint_ready,                                                                   \
      "1 while this process reads the joint topic and may vote; 0 also where another agent does.", \
      atomic_load(&of->joint->ready))

/** X(type, name without "process_", help, value), under the names that Prometheus' own libraries
 * use */
#define PROCESS_METRICS(X)                                                                         \
    X(counter, cpu_seconds_total, "Time that the process has used processors.",                    \
      of->process->cpu_s)                                                                          \
    X(gauge, resident_memory_bytes, "Memory of the process that is in use.",                       \
      of->process->resident_bytes)                                                                 \
    X(gauge, virtual_memory_bytes, "Addresses of the process that are in use.",                    \
      of->process->virtual_bytes)                                                                  \
    X(gauge, start_time_seconds, "When the process was started.", of->process->started_s)          \
    X(gauge, open_fds, "File descriptors that are open.", of->process->open_files)                 \
    X(gauge, max_fds, "File descriptors that may be open.", of->process->max_files)

#define PROCESS_VALUE(type, name, help, value)                                                     \
    static double process_##name(const struct metric_subject *of)                                  \
    {                                                                                              \
        return value;                                                                              \
    }
PROCESS_METRICS(PROCESS_VALUE)
#undef PROCESS_VALUE

#define METRIC_VALUE(scope, type, name, help, value)                                               \
    static double value_##name(const struct metric_subject *of)                                    \
    {                                                                                              \
        (void)of;                                                                                  \
        return (double)(value);                                                                    \
    }
METRICS(METRIC_VALUE)
#undef METRIC_VALUE

static const struct histogram *commit_to_applied(const struct metric_subject *of)
{
    return &of->type->commit_to_applied;
}

#define METRIC_ROW(scope, type, name, help, value)                                                 \
    {METRIC_##scope, #type, "keepstep_" #name, help, value_##name, NULL},
#define PROCESS_ROW(type, name, help, value)                                                       \
    {METRIC_PROCESS, #type, "process_" #name, help, process_##name, NULL},
const struct metric metrics_table[] = {
    METRICS(METRIC_ROW){METRIC_APPLIED, "histogram", "keepstep_commit_to_applied_seconds",
                        "From the commit of a change at its origin, as its record has it, to the "
                        "commit of the transaction that applied it. Events whose record does not "
                        "say when they were committed are not counted.",
                        NULL, commit_to_applied},
    PROCESS_METRICS(PROCESS_ROW)};
#undef METRIC_ROW
#undef PROCESS_ROW

const size_t metrics_count = sizeof metrics_table / sizeof *metrics_table;
