/* Whatever is not known here is not known in the facts. */
#include "operate/page/facts.h"

#include "consumer/store/fill.h"

#include <math.h>
#include <string.h>

static void read_stop(const struct agent_partition_metrics *partition, struct page_reading *reading)
{
    struct page_agent_facts *agent = &reading->facts.agent;
    if (agent->partitions_stopped++ > 0)
        return;
    agent->stopped_topic = partition->topic;
    agent->stopped_partition = partition->partition;
    agent_metrics_stop(partition, reading->stopped_reason, sizeof reading->stopped_reason);
}

static void read_lag(const struct agent_metrics *metrics,
                     const struct agent_partition_metrics *partition,
                     struct page_agent_facts *agent)
{
    double lag_s = metrics_lag_s(metrics, partition);
    double records = metrics_lag_records(metrics, partition);
    agent->partitions_unknown += isnan(lag_s) || isnan(records);
    if (lag_s > agent->lag_s || agent->lag_topic == NULL) {
        agent->lag_s = isnan(lag_s) ? 0 : lag_s;
        agent->lag_topic = partition->topic;
        agent->lag_partition = partition->partition;
    }
    if (agent->lag_records >= 0)
        agent->lag_records = isnan(records) ? -1 : agent->lag_records + (int64_t)records;
}

static void read_retention(const struct agent_metrics *metrics,
                           const struct agent_partition_metrics *partition,
                           struct page_source_facts *source)
{
    double left_s = metrics_retention_overtakes_s(metrics, partition);
    if (isnan(left_s) || (source->retention_s >= 0 && source->retention_s <= left_s))
        return;
    source->retention_s = left_s;
    source->retention_topic = partition->topic;
}

static void read_partitions(const struct agent_metrics *metrics, struct page_reading *reading)
{
    struct page_agent_facts *agent = &reading->facts.agent;
    size_t count = atomic_load(&metrics->partition_count);
    for (size_t i = 0; i < count; i++) {
        const struct agent_partition_metrics *partition = &metrics->partitions[i];
        if (!atomic_load(&partition->owned))
            continue;
        agent->partitions++;
        agent->parked += atomic_load(&partition->parked);
        agent->parked_held += atomic_load(&partition->parked_held);
        agent->parked_waiting += atomic_load(&partition->parked_waiting);
        if (atomic_load(&partition->stopped))
            read_stop(partition, reading);
        read_lag(metrics, partition, agent);
        read_retention(metrics, partition, &reading->facts.source);
    }
}

static void read_fills(const struct agent_metrics *metrics, struct page_agent_facts *agent)
{
    size_t count = atomic_load(&metrics->fill_count);
    for (size_t i = 0; i < count && !agent->is_given_up; i++) {
        const struct agent_fill_metrics *fill = &metrics->fills[i];
        bool is_given_up = atomic_load(&fill->is_given_up);
        if (!fill_is_under_way((enum fill_stage)atomic_load(&fill->stage)) ||
            (agent->filling_topic != NULL && !is_given_up))
            continue;
        agent->is_given_up = is_given_up;
        agent->filling_topic = fill->topic;
        agent->filling_rows = atomic_load(&fill->rows);
    }
}

/* Note a pause of an entry of the configuration, unless an earlier one is noted. */
static void note_paused(const struct config_entry *entry, int64_t paused_at_us,
                        const char **paused_type, double *paused_s)
{
    if (paused_at_us == 0 || *paused_type != NULL)
        return;
    *paused_type = entry->entity_type;
    *paused_s = metrics_age_s(paused_at_us);
}

static void read_agent(const struct metrics_sources *sources, struct page_reading *reading)
{
    const struct agent_metrics *metrics = sources->agent;
    struct page_agent_facts *agent = &reading->facts.agent;
    *agent = (struct page_agent_facts){.is_wanted = sources->config->apply_count > 0,
                                       .is_here = metrics != NULL,
                                       .stopped_reason = reading->stopped_reason};
    if (metrics == NULL)
        return;
    agent->is_checked = atomic_load(&metrics->database_checked);
    agent->broker_silent_s = metrics_since_s(atomic_load(&metrics->broker_silent_since_us));
    agent->database_silent_s = metrics_since_s(atomic_load(&metrics->database_lost_since_us));
    /* A loop that does not come round waits for one of the two. */
    if (agent->broker_silent_s == 0 && agent->database_silent_s == 0)
        agent->database_silent_s = (double)metrics_agent_silence_us(metrics) / 1e6;
    const struct config *config = sources->config;
    for (size_t i = 0; i < config->apply_count && i < PAUSED_SHOWN_MAX; i++)
        note_paused(&config->apply[i], atomic_load(&metrics->paused_at_us[i]), &agent->paused_type,
                    &agent->paused_s);
    agent->topics_missing = (int64_t)atomic_load(&metrics->topics_missing);
    agent->diverged = (int64_t)atomic_load(&metrics->entities_diverged);
    read_partitions(metrics, reading);
    read_fills(metrics, agent);
}

static void read_relay(const struct metrics_sources *sources, struct page_relay_facts *relay)
{
    const struct relay_metrics *metrics = sources->relay;
    const struct config *config = sources->config;
    *relay = (struct page_relay_facts){.is_wanted = config->publish_count > 0,
                                       .is_here = metrics != NULL,
                                       .pending = -1,
                                       .in_flight = -1,
                                       .set_aside = -1,
                                       .oldest_s = -1};
    if (metrics == NULL)
        return;
    relay->holds_lease = atomic_load(&metrics->holds_lease);
    relay->is_standby = atomic_load(&metrics->standby);
    relay->is_held_back = atomic_load(&metrics->held_entry) != 0;
    relay->broker_silent_s = metrics_since_s(atomic_load(&metrics->broker_silent_since_us));
    relay->database_silent_s = metrics_since_s(atomic_load(&metrics->database_lost_since_us));
    if (relay->database_silent_s == 0)
        relay->database_silent_s = (double)metrics_relay_silence_us(metrics) / 1e6;
    relay->stalled_s = metrics_relay_stalled_s(metrics);
    for (size_t i = 0; i < config->publish_count && i < PAUSED_SHOWN_MAX; i++)
        note_paused(&config->publish[i], atomic_load(&metrics->paused_at_us[i]),
                    &relay->paused_type, &relay->paused_s);
    relay->voided = atomic_load(&metrics->voided);
    relay->capture_broken = atomic_load(&metrics->capture_broken);
    relay->capture_unknown = atomic_load(&metrics->capture_unknown);
    relay->rests_lost = atomic_load(&metrics->rests_lost);
    size_t first = atomic_load(&metrics->capture_first);
    relay->capture_type = first < config->publish_count ? config->publish[first].entity_type : "";
    if (!relay->holds_lease)
        return;
    relay->pending = atomic_load(&metrics->waiting);
    relay->in_flight = atomic_load(&metrics->in_flight);
    relay->set_aside = atomic_load(&metrics->set_aside_now);
    relay->oldest_s = metrics_age_s(atomic_load(&metrics->oldest_unacknowledged_us));
}

void page_read(struct page_sources *sources, struct page_reading *ret_reading)
{
    memset(ret_reading, 0, sizeof *ret_reading);
    struct page_facts *facts = &ret_reading->facts;
    facts->source = (struct page_source_facts){.retention_s = -1,
                                               .disk_free = atomic_load(&sources->disk_free),
                                               .disk_size = atomic_load(&sources->disk_size)};
    read_agent(sources->metrics, ret_reading);
    read_relay(sources->metrics, &facts->relay);
    facts->trends = history_trends(sources->history);
    fleet_facts(sources->fleet, sources->metrics->config, &facts->fleet, ret_reading->fleet_type,
                ret_reading->fleet_service);
    if (facts->source.retention_s >= 0 || facts->fleet.retention_s < 0)
        return;
    facts->source.retention_s = facts->fleet.retention_s;
    facts->source.retention_topic = facts->fleet.retention_topic;
}
