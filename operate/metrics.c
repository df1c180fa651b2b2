/* Renders atomics as metrics; names and units follow Prometheus' conventions. */
#include "operate/metrics.h"

#include "common/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_START_MAX   4096
#define METRICS_PROGRESS_US (30 * (int64_t)1000000) /* a loop silent for longer is not ready */
#define METRICS_SILENT_TEXT "%s: the broker has not answered for %.0f s"
#define METRICS_STALL_S     10.0                   /* without an acknowledgement */
#define METRICS_SILENT_S    30.0                   /* without an answer of the broker */
#define METRICS_LOOK_US     (5 * (int64_t)1000000) /* an agent's look at its log is old then */

static void metrics_head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_append_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Label values escape backslash, quote and line end. */
static void metrics_label(struct buffer *text, const char *value)
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

static void metrics_one(struct buffer *text, const struct metrics_sources *sources,
                        const char *name, const char *type, const char *help, double value)
{
    metrics_head(text, name, type, help);
    buffer_append_format(text, "%s{service=\"", name);
    metrics_label(text, sources->config->service);
    buffer_append_format(text, "\"} %.17g\n", value);
}

/* How long ago a wall clock time was; 0 for none, and where the clocks of two machines differ. */
static double metrics_age(int64_t time_us)
{
    double age = time_us == 0 ? 0 : (double)(clock_wall_us() - time_us) / 1e6;
    return age < 0 ? 0 : age;
}

/* For how long something lasts that began at a monotonic time; 0: it does not. */
static double metrics_silence_s(int64_t since_us)
{
    return since_us == 0 ? 0 : (double)(clock_monotonic_us() - since_us) / 1e6;
}

/* For how long the agent's loop has not come round: its database, or its broker, does not answer.
 */
static int64_t metrics_agent_silence_us(const struct agent_metrics *agent)
{
    int64_t looked_us = atomic_load(&agent->looked_us);
    return looked_us == 0 ? 0 : clock_monotonic_us() - looked_us;
}

static bool metrics_agent_ready(const struct agent_metrics *agent)
{
    return atomic_load(&agent->ready) && metrics_agent_silence_us(agent) <= METRICS_PROGRESS_US &&
           metrics_silence_s(atomic_load(&agent->broker_silent_since_us)) <= METRICS_SILENT_S;
}

enum metrics_partition_value {
    METRICS_LAG_RECORDS,
    METRICS_LAG_SECONDS,
    METRICS_APPLIED_OFFSET,
    METRICS_DURABLE_OFFSET,
    METRICS_LOG_END,
    METRICS_PARKED,
    METRICS_STOPPED,
};

/* @return false where the value is not known, so that no false zero is told. All that was in the
 * log may have been applied when the agent looked last; what came since then is not. */
static bool metrics_partition_value(const struct agent_partition_metrics *partition,
                                    int64_t silence_us, enum metrics_partition_value which,
                                    double *ret_value)
{
    long long applied = atomic_load(&partition->applied_offset);
    long long end = atomic_load(&partition->log_end);
    long long oldest = atomic_load(&partition->oldest_unapplied_us);
    long long withheld = end > applied ? atomic_load(&partition->withheld_since_us) : 0;
    bool silent = silence_us > METRICS_LOOK_US;
    bool caught_up = end >= 0 && applied >= end;
    switch (which) {
    case METRICS_LAG_RECORDS:
        *ret_value = end > applied ? (double)(end - applied) : 0;
        return end >= 0 && !silent;
    case METRICS_LAG_SECONDS:
        *ret_value = metrics_age(oldest);
        if (withheld != 0 && metrics_age(withheld) > *ret_value)
            *ret_value = metrics_age(withheld);
        if (silent && *ret_value < (double)silence_us / 1e6)
            *ret_value = (double)silence_us / 1e6;
        return oldest != 0 || withheld != 0 || caught_up || silent;
    case METRICS_APPLIED_OFFSET:
        *ret_value = (double)applied;
        return true;
    case METRICS_DURABLE_OFFSET:
        *ret_value = (double)atomic_load(&partition->durable_offset);
        return true;
    case METRICS_LOG_END:
        *ret_value = (double)end;
        return end >= 0 && !silent;
    case METRICS_PARKED:
        *ret_value = (double)atomic_load(&partition->parked);
        return true;
    case METRICS_STOPPED:
        *ret_value = atomic_load(&partition->stopped) ? 1 : 0;
        return true;
    }
    return false;
}

static void metrics_partitions(struct buffer *text, struct agent_metrics *agent, const char *name,
                               const char *help, enum metrics_partition_value which)
{
    double value;
    metrics_head(text, name, "gauge", help);
    size_t count = atomic_load(&agent->partition_count);
    for (size_t i = 0; i < count && i < AGENT_METRICS_PARTITIONS; i++) {
        const struct agent_partition_metrics *partition = &agent->partitions[i];
        /* What another agent owns now, that one tells. */
        if (!atomic_load(&partition->owned) ||
            !metrics_partition_value(partition, metrics_agent_silence_us(agent), which, &value))
            continue;
        buffer_append_format(text, "%s{topic=\"", name);
        metrics_label(text, partition->topic);
        buffer_append_format(text, "\",partition=\"%d\"} %.17g\n", (int)partition->partition,
                             value);
    }
}

static void metrics_agent_counters(const struct metrics_sources *sources, struct buffer *text)
{
    struct agent_metrics *agent = sources->agent;
    const struct {
        const char *name;
        const char *help;
        atomic_ullong *value;
    } counters[] = {
        {"keepstep_events_applied_total", "Events written to the local copy.",
         &agent->events_applied},
        {"keepstep_events_duplicate_total", "Events that had been applied before.",
         &agent->events_duplicate},
        {"keepstep_events_duplicate_unverified_total",
         "Duplicates too old for their id to be compared.", &agent->events_unverified},
        {"keepstep_events_superseded_total",
         "Events not written because a later own change is under way.", &agent->events_superseded},
        {"keepstep_events_parked_total", "Events set aside, held or waiting.",
         &agent->events_parked},
        {"keepstep_events_rejected_total", "Events set aside that need a hand.",
         &agent->events_rejected},
        {"keepstep_events_healed_total", "Events applied after they had been set aside.",
         &agent->events_healed},
        {"keepstep_entities_diverged_total", "Entities whose superseded image could not be kept.",
         &agent->entities_diverged},
        {"keepstep_consumer_commits_total", "Transactions of the agent.", &agent->commits},
        {"keepstep_consumer_commits_durable_total", "Transactions that waited for the disk.",
         &agent->commits_durable},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        metrics_one(text, sources, counters[i].name, "counter", counters[i].help,
                    (double)atomic_load(counters[i].value));
}

static void metrics_agent(const struct metrics_sources *sources, struct buffer *text)
{
    struct agent_metrics *agent = sources->agent;
    metrics_agent_counters(sources, text);
    metrics_one(text, sources, "keepstep_consumer_last_progress_timestamp_seconds", "gauge",
                "When the agent last made progress.",
                (double)atomic_load(&agent->last_progress_us) / 1e6);
    metrics_one(text, sources, "keepstep_consumer_ready", "gauge",
                "1 while the agent makes progress.", metrics_agent_ready(agent) ? 1 : 0);
    metrics_one(text, sources, "keepstep_consumer_broker_silent_seconds", "gauge",
                "For how long the broker has not answered the agent; 0 while it does.",
                metrics_silence_s(atomic_load(&agent->broker_silent_since_us)));
    metrics_one(text, sources, "keepstep_consumer_topics_missing", "gauge",
                "Topics of apply: that do not exist yet.",
                (double)atomic_load(&agent->topics_missing));
    metrics_partitions(
        text, agent, "keepstep_consumer_lag_records",
        "Records between the position and the end of the log, those of open transactions "
        "of other producers included.",
        METRICS_LAG_RECORDS);
    metrics_partitions(
        text, agent, "keepstep_consumer_lag_seconds",
        "Age of the oldest event not applied; 0 when caught up, absent where not known; at "
        "least for how long the agent could not look.",
        METRICS_LAG_SECONDS);
    metrics_partitions(text, agent, "keepstep_consumer_applied_offset",
                       "Next offset after the last transaction.", METRICS_APPLIED_OFFSET);
    metrics_partitions(text, agent, "keepstep_consumer_durable_offset",
                       "Next offset that the disk has.", METRICS_DURABLE_OFFSET);
    metrics_partitions(text, agent, "keepstep_consumer_log_end_offset",
                       "End of the log, behind open transactions of other producers too.",
                       METRICS_LOG_END);
    metrics_partitions(text, agent, "keepstep_consumer_parked_records",
                       "Records set aside at present.", METRICS_PARKED);
    metrics_partitions(text, agent, "keepstep_consumer_partition_stopped",
                       "1 where the partition stands still and needs a hand.", METRICS_STOPPED);
}

struct relay_number {
    const char *name;
    const char *help;
    atomic_int_fast64_t *value;
};

static void metrics_relay(const struct metrics_sources *sources, struct buffer *text)
{
    struct relay_metrics *relay = sources->relay;
    const struct relay_number numbers[] = {
        {"keepstep_events_published_total", "Events that Kafka acknowledged.",
         &relay->acknowledged},
        {"keepstep_events_sent_total", "Events handed to Kafka, those sent again included.",
         &relay->published},
        {"keepstep_events_adopted_total", "Events found in the log when the lease was taken.",
         &relay->adopted},
        {"keepstep_relay_log_records_read_total",
         "Records of the log that were read when the lease was taken.", &relay->log_read},
        {"keepstep_events_voided_total",
         "Events sent without their change, which does not reach the peers.", &relay->voided},
        {"keepstep_events_set_aside_total", "Outbox rows that could not be published.",
         &relay->set_aside},
        {"keepstep_outbox_purged_events_total", "Published outbox rows deleted after their time.",
         &relay->purged},
        {"keepstep_relay_failures_total", "Errors that the relay waited out.", &relay->failures},
        {"keepstep_relay_producers_rebuilt_total", "Producers made anew after a failure.",
         &relay->rebuilt},
    };
    const struct relay_number held[] = {
        {"keepstep_outbox_pending_events", "Outbox rows that wait to be published.",
         &relay->waiting},
        {"keepstep_outbox_set_aside_events", "Outbox rows set aside at present.",
         &relay->set_aside_now},
        {"keepstep_relay_in_flight_events", "Events sent and not yet acknowledged.",
         &relay->in_flight},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        metrics_one(text, sources, numbers[i].name, "counter", numbers[i].help,
                    (double)atomic_load(numbers[i].value));
    /* What a relay without the lease counted last is not true any more. */
    bool holds_lease = atomic_load(&relay->holds_lease);
    for (size_t i = 0; holds_lease && i < sizeof held / sizeof *held; i++)
        metrics_one(text, sources, held[i].name, "gauge", held[i].help,
                    (double)atomic_load(held[i].value));
    if (holds_lease)
        metrics_one(text, sources, "keepstep_outbox_oldest_pending_age_seconds", "gauge",
                    "Age of the oldest outbox row that waits or is under way; 0 when none is.",
                    metrics_age(atomic_load(&relay->oldest_unacknowledged_us)));
    metrics_one(text, sources, "keepstep_relay_stalled_seconds", "gauge",
                "For how long a partition with events under way has had none acknowledged; 0 when "
                "acknowledgements come.",
                metrics_silence_s(atomic_load(&relay->stalled_since_us)));
    metrics_one(text, sources, "keepstep_relay_broker_silent_seconds", "gauge",
                "For how long the broker has not answered the relay; 0 while it does.",
                metrics_silence_s(atomic_load(&relay->broker_silent_since_us)));
    metrics_one(text, sources, "keepstep_relay_last_progress_timestamp_seconds", "gauge",
                "When the relay last made progress.",
                (double)atomic_load(&relay->progress_us) / 1e6);
    metrics_one(text, sources, "keepstep_capture_broken_types", "gauge",
                "Entity types whose triggers are missing or not as they should be.",
                (double)atomic_load(&relay->capture_broken));
    metrics_one(text, sources, "keepstep_capture_unknown_types", "gauge",
                "Entity types whose triggers could not be looked at.",
                (double)atomic_load(&relay->capture_unknown));
    metrics_one(text, sources, "keepstep_relay_holds_lease", "gauge",
                "1 while this relay is the one that publishes.", holds_lease ? 1 : 0);
    metrics_one(text, sources, "keepstep_relay_standby", "gauge",
                "1 while another relay publishes and this one waits to take over.",
                atomic_load(&relay->standby) ? 1 : 0);
}

void metrics_render(void *context, struct buffer *text)
{
    const struct metrics_sources *sources = context;
    metrics_head(text, "keepstep_build_info", "gauge", "Always 1; version and service as labels.");
    buffer_append_text(text, "keepstep_build_info{version=\"" KEEPSTEP_VERSION "\",service=\"");
    metrics_label(text, sources->config->service);
    buffer_append_text(text, "\"} 1\n");
    if (sources->agent != NULL)
        metrics_agent(sources, text);
    if (sources->relay != NULL)
        metrics_relay(sources, text);
}

bool metrics_find(const char *page, const char *name, const char *service, double *ret_value)
{
    struct buffer start;
    buffer_init(&start, METRICS_START_MAX);
    buffer_append_format(&start, "\n%s{service=\"", name);
    metrics_label(&start, service);
    buffer_append_text(&start, "\"} ");
    const char *line = start.failed ? NULL : strstr(page, buffer_text(&start));
    if (line != NULL)
        *ret_value = strtod(line + start.length, NULL);
    buffer_done(&start);
    return line != NULL;
}

/* @return whether the agent makes progress; the reason otherwise. */
static bool metrics_agent_state(const struct agent_metrics *agent, struct buffer *reason)
{
    enum agent_state state = (enum agent_state)atomic_load(&agent->state);
    double silent = metrics_silence_s(atomic_load(&agent->broker_silent_since_us));
    if (metrics_agent_ready(agent))
        return true;
    if (silent > METRICS_SILENT_S)
        buffer_append_format(reason, METRICS_SILENT_TEXT, "agent", silent);
    else
        buffer_append_format(reason, "agent: %s",
                             state == AGENT_APPLYING ? "no progress" : agent_state_name(state));
    return false;
}

/* @return whether acknowledgements come where something is under way; the reason otherwise. */
static bool metrics_relay_state(const struct relay_metrics *relay, struct buffer *reason)
{
    const char *before = reason->length > 0 ? "; " : "";
    double stalled = metrics_silence_s(atomic_load(&relay->stalled_since_us));
    double silent = metrics_silence_s(atomic_load(&relay->broker_silent_since_us));
    if (stalled > METRICS_STALL_S) {
        buffer_append_format(
            reason, "%srelay: nothing was acknowledged for %.0f s, %lld events are under way",
            before, stalled, (long long)atomic_load(&relay->in_flight));
    } else if (silent > METRICS_SILENT_S) {
        buffer_append_text(reason, before);
        buffer_append_format(reason, METRICS_SILENT_TEXT, "relay", silent);
    } else if (clock_wall_us() - atomic_load(&relay->progress_us) > METRICS_PROGRESS_US) {
        buffer_append_format(reason, "%srelay: no progress", before);
    } else {
        return true;
    }
    return false;
}

/* A relay that goes on while nothing comes in would look healthy. */
static bool metrics_captures(const struct metrics_sources *sources, struct buffer *reason)
{
    const struct config *config = sources->config;
    size_t first = atomic_load(&sources->relay->capture_first);
    if (atomic_load(&sources->relay->capture_broken) == 0 || first >= config->publish_count)
        return true;
    buffer_append_format(reason,
                         "%srelay: changes of table %s are not captured as they should be; run "
                         "keepstep init -c %s",
                         reason->length > 0 ? "; " : "", config->publish[first].table,
                         config->path);
    return false;
}

bool metrics_ready(void *context, struct buffer *reason)
{
    const struct metrics_sources *sources = context;
    bool ready = true;
    if (sources->agent != NULL && !metrics_agent_state(sources->agent, reason))
        ready = false;
    if (sources->relay != NULL && !metrics_relay_state(sources->relay, reason))
        ready = false;
    if (sources->relay != NULL && !metrics_captures(sources, reason))
        ready = false;
    if (ready && sources->relay != NULL && atomic_load(&sources->relay->standby))
        buffer_append_text(reason, "relay: standby");
    return ready;
}
