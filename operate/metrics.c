/* The metrics page: one table says of each metric what it is called, means and is worth. */
#include "operate/metrics.h"

#include "common/clock.h"
#include "operate/members_page.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_START_MAX 4096
#define METRICS_STALE_US                                                                           \
    (5 * (int64_t)1000000) /* after that what the agent saw of the log is old */

/** Of what a value is read. */
struct metric_subject {
    const struct agent_metrics *agent;
    const struct relay_metrics *relay;
    const struct desk_metrics *desk;
    const struct agent_partition_metrics *partition;
    const struct agent_fill_metrics *fill;
};

/** Whose metric it is, and so where it is shown. */
enum metric_scope {
    METRIC_AGENT,     /* one value, where an agent runs */
    METRIC_PARTITION, /* one value for each partition that this agent owns */
    METRIC_FILL,      /* one value for each topic that was ever filled */
    METRIC_RELAY,     /* one value, where a relay runs */
    METRIC_LEASE,     /* as RELAY, while it holds the lease: what it counted before is old */
    METRIC_DESK,      /* one value, where a desk answers questions */
};

struct metric {
    enum metric_scope scope;
    const char *type; /* Prometheus': "counter" or "gauge" */
    const char *name;
    const char *help;
    double (*value)(const struct metric_subject *of); /* NaN: not known, so not shown */
};

double metrics_since_s(int64_t since_us)
{
    return since_us == 0 ? 0 : (double)(clock_monotonic_us() - since_us) / 1e6;
}

/* The age of a wall clock time. It is 0 for no time, and where the clocks of two machines differ.
 */
static double age_s(int64_t time_us)
{
    double age = time_us == 0 ? 0 : (double)(clock_wall_us() - time_us) / 1e6;
    return age < 0 ? 0 : age;
}

int64_t metrics_agent_silence_us(const struct agent_metrics *agent)
{
    int64_t last_round_us = atomic_load(&agent->last_round_us);
    return last_round_us == 0 ? 0 : clock_monotonic_us() - last_round_us;
}

static bool is_stale(const struct metric_subject *of)
{
    return metrics_agent_silence_us(of->agent) > METRICS_STALE_US;
}

/* The end of the log, unless the agent has not seen it lately: a lag of 0 would be false then. */
static double log_end(const struct metric_subject *of)
{
    long long end = atomic_load(&of->partition->log_end);
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
    long long end = atomic_load(&of->partition->log_end);
    long long oldest_us = atomic_load(&of->partition->oldest_unapplied_us);
    long long withheld_us = end > applied ? atomic_load(&of->partition->withheld_since_us) : 0;
    double silence_s = is_stale(of) ? (double)metrics_agent_silence_us(of->agent) / 1e6 : 0;
    bool caught_up = end >= 0 && applied >= end;

    if (oldest_us == 0 && withheld_us == 0 && silence_s == 0 && !caught_up)
        return NAN;
    double oldest_s = age_s(oldest_us);
    double withheld_s = age_s(withheld_us);
    double lag_s = oldest_s > withheld_s ? oldest_s : withheld_s;
    return lag_s > silence_s ? lag_s : silence_s;
}

double metrics_lag_s(const struct agent_metrics *agent,
                     const struct agent_partition_metrics *partition)
{
    const struct metric_subject of = {.agent = agent, .partition = partition};
    return lag_seconds(&of);
}

/** X(scope, type, name without "keepstep_", help, value) */
#define METRICS(X)                                                                                 \
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
    X(PARTITION, gauge, consumer_parked_records, "Records that are parked now.",                   \
      atomic_load(&of->partition->parked))                                                         \
    X(PARTITION, gauge, consumer_partition_stopped,                                                \
      "1 where the partition is stopped and needs a person.",                                      \
      atomic_load(&of->partition->stopped))                                                        \
    X(FILL, gauge, fill_stage,                                                                     \
      "How far the fill of the copy is: 1 asked, 2 clearing, 3 loading, 4 replaying, 5 done.",     \
      atomic_load(&of->fill->stage))                                                               \
    X(FILL, gauge, fill_rows, "Rows that the last fill has loaded.", atomic_load(&of->fill->rows)) \
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
    X(LEASE, gauge, relay_in_flight_events, "Events that are sent and not yet acknowledged.",      \
      atomic_load(&of->relay->in_flight))                                                          \
    X(LEASE, gauge, outbox_oldest_pending_age_seconds,                                             \
      "Age of the oldest outbox row that Kafka has not acknowledged; 0 when there is none.",       \
      age_s(atomic_load(&of->relay->oldest_unacknowledged_us)))                                    \
    X(RELAY, gauge, relay_stalled_seconds,                                                         \
      "For how long a partition with events under way has had none acknowledged; 0 while "         \
      "acknowledgements come.",                                                                    \
      metrics_since_s(atomic_load(&of->relay->stalled_since_us)))                                  \
    X(RELAY, gauge, relay_broker_silent_seconds,                                                   \
      "For how long the broker has not answered the relay; 0 while it answers.",                   \
      metrics_since_s(atomic_load(&of->relay->broker_silent_since_us)))                            \
    X(RELAY, gauge, relay_last_progress_timestamp_seconds, "When the relay last made progress.",   \
      (double)atomic_load(&of->relay->progress_us) / 1e6)                                          \
    X(RELAY, gauge, capture_broken_types,                                                          \
      "Entity types whose triggers are missing or not as init would make them.",                   \
      atomic_load(&of->relay->capture_broken))                                                     \
    X(RELAY, gauge, capture_unknown_types, "Entity types whose triggers could not be checked.",    \
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
      metrics_since_s(atomic_load(&of->desk->oldest_snapshot_us)))

#define METRIC_VALUE(scope, type, name, help, value)                                               \
    static double value_##name(const struct metric_subject *of)                                    \
    {                                                                                              \
        return (double)(value);                                                                    \
    }
METRICS(METRIC_VALUE)
#undef METRIC_VALUE

#define METRIC_ROW(scope, type, name, help, value)                                                 \
    {METRIC_##scope, #type, "keepstep_" #name, help, value_##name},
static const struct metric metrics[] = {METRICS(METRIC_ROW)};
#undef METRIC_ROW

#define METRIC_COUNT (sizeof metrics / sizeof metrics[0])

static void append_head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_append_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value escapes backslash, quote and line end. */
void metrics_append_label(struct buffer *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buffer_append_text(text, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            buffer_append_text(text, "\\");
        buffer_append(text, value, 1);
    }
}

static void append_one(struct buffer *text, const struct metric *metric,
                       const struct metric_subject *of, const char *service)
{
    buffer_append_format(text, "%s{service=\"", metric->name);
    metrics_append_label(text, service);
    buffer_append_format(text, "\"} %.17g\n", metric->value(of));
}

/* A partition that another agent owns now is on that agent's page. */
static void append_partitions(struct buffer *text, const struct metric *metric,
                              struct metric_subject *of)
{
    size_t count = atomic_load(&of->agent->partition_count);
    for (size_t i = 0; i < count && i < AGENT_METRICS_PARTITIONS; i++) {
        of->partition = &of->agent->partitions[i];
        double value = atomic_load(&of->partition->owned) ? metric->value(of) : NAN;
        if (isnan(value))
            continue;
        buffer_append_format(text, "%s{topic=\"", metric->name);
        metrics_append_label(text, of->partition->topic);
        buffer_append_format(text, "\",partition=\"%d\"} %.17g\n", (int)of->partition->partition,
                             value);
    }
}

static void append_fills(struct buffer *text, const struct metric *metric,
                         struct metric_subject *of)
{
    size_t count = atomic_load(&of->agent->fill_count);
    for (size_t i = 0; i < count; i++) {
        of->fill = &of->agent->fills[i];
        buffer_append_format(text, "%s{topic=\"", metric->name);
        metrics_append_label(text, of->fill->topic);
        buffer_append_format(text, "\"} %.17g\n", metric->value(of));
    }
}

void metrics_render(void *context, struct buffer *text)
{
    const struct metrics_sources *sources = context;
    struct metric_subject of = {
        .agent = sources->agent, .relay = sources->relay, .desk = sources->desk};
    const bool is_shown[] = {[METRIC_AGENT] = of.agent != NULL,
                             [METRIC_PARTITION] = of.agent != NULL,
                             [METRIC_FILL] = of.agent != NULL,
                             [METRIC_RELAY] = of.relay != NULL,
                             [METRIC_LEASE] = of.relay != NULL &&
                                              atomic_load(&of.relay->holds_lease),
                             [METRIC_DESK] = of.desk != NULL};

    append_head(text, "keepstep_build_info", "gauge", "Always 1; version and service as labels.");
    buffer_append_text(text, "keepstep_build_info{version=\"" KEEPSTEP_VERSION "\",service=\"");
    metrics_append_label(text, sources->config->service);
    buffer_append_text(text, "\"} 1\n");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric *metric = &metrics[i];
        if (!is_shown[metric->scope])
            continue;
        append_head(text, metric->name, metric->type, metric->help);
        if (metric->scope == METRIC_PARTITION)
            append_partitions(text, metric, &of);
        else if (metric->scope == METRIC_FILL)
            append_fills(text, metric, &of);
        else
            append_one(text, metric, &of, sources->config->service);
    }
    if (sources->members != NULL)
        members_page_append(sources->members, text);
}

bool metrics_find(const char *page, const char *name, const char *service, double *ret_value)
{
    struct buffer start;
    buffer_init(&start, METRICS_START_MAX);
    buffer_append_format(&start, "\n%s{service=\"", name);
    metrics_append_label(&start, service);
    buffer_append_text(&start, "\"} ");
    const char *line = start.failed ? NULL : strstr(page, buffer_text(&start));
    if (line != NULL)
        *ret_value = strtod(line + start.length, NULL);
    buffer_done(&start);
    return line != NULL;
}

void metrics_describe(struct buffer *text)
{
    static const char *const labels[] = {[METRIC_AGENT] = "`service`",
                                         [METRIC_PARTITION] = "`topic`, `partition`",
                                         [METRIC_FILL] = "`topic`",
                                         [METRIC_RELAY] = "`service`",
                                         [METRIC_LEASE] = "`service`; only while it publishes",
                                         [METRIC_DESK] = "`service`"};
    static const char *const who[] = {
        [METRIC_AGENT] = "agent", [METRIC_PARTITION] = "agent", [METRIC_FILL] = "agent",
        [METRIC_RELAY] = "relay", [METRIC_LEASE] = "relay",     [METRIC_DESK] = "desk"};
    buffer_append_text(
        text, "# Metrics\n\n"
              "<!-- Written by metrics_describe(); change operate/metrics.c instead. -->\n\n"
              "`/metrics` has Prometheus' text format. A value that is not known is absent, "
              "never a false 0.\n`keepstep_build_info` has the version.\n\n"
              "| metric | type | of | labels | meaning |\n"
              "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < METRIC_COUNT; i++)
        buffer_append_format(text, "| `%s` | %s | %s | %s | %s |\n", metrics[i].name,
                             metrics[i].type, who[metrics[i].scope], labels[metrics[i].scope],
                             metrics[i].help);
    members_page_describe(text);
}
