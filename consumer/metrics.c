/* The bounded tables that other threads read without locks. */
#include "consumer/metrics.h"
#include "common/utf8.h"
#include "consumer/stop_reason.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

const char *agent_state_name(enum agent_state state)
{
    static const char *const names[] = {
        [AGENT_CONNECTING] = "connecting", [AGENT_ASSIGNING] = "assigning",
        [AGENT_APPLYING] = "applying",     [AGENT_WAITING_DATABASE] = "waiting for the database",
        [AGENT_DRAINING] = "draining",     [AGENT_STOPPED] = "stopped",
    };
    return names[state];
}

/* Held while a text is copied, which happens when a partition stops and when somebody looks. */
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;

void agent_metrics_set_stop(struct agent_partition_metrics *partition, const char *text)
{
    bool is_stopped = text[0] != '\0';
    if (!is_stopped && !atomic_load(&partition->stopped))
        return;
    (void)pthread_mutex_lock(&stop_lock);
    utf8_format(partition->stop_text, sizeof partition->stop_text, "%s", text);
    (void)pthread_mutex_unlock(&stop_lock);
    atomic_store(&partition->stop_reason, stop_reason_name(text));
    atomic_store(&partition->stopped, is_stopped);
}

void agent_metrics_stop(const struct agent_partition_metrics *partition, char *ret_text,
                        size_t size)
{
    (void)pthread_mutex_lock(&stop_lock);
    utf8_format(ret_text, size, "%s", partition->stop_text);
    (void)pthread_mutex_unlock(&stop_lock);
}

struct agent_partition_metrics *agent_metrics_partition(struct agent_metrics *metrics,
                                                        struct topic_partition tp)
{
    size_t count = atomic_load(&metrics->partition_count);
    for (size_t i = 0; i < count; i++) {
        struct agent_partition_metrics *row = &metrics->partitions[i];
        if (topic_partition_equal((struct topic_partition){row->topic, row->partition}, tp))
            return row;
    }
    if (count == AGENT_METRICS_PARTITIONS)
        return &metrics->spare;
    struct agent_partition_metrics *row = &metrics->partitions[count];
    (void)snprintf(row->topic, sizeof row->topic, "%s", tp.topic);
    row->partition = tp.partition;
    atomic_store(&row->stable_end, -1);
    atomic_store(&row->log_end, -1);
    atomic_store(&row->log_begin, -1);
    atomic_store(&metrics->partition_count, count + 1);
    return row;
}

struct agent_type_metrics *agent_metrics_type(struct agent_metrics *metrics, const char *type,
                                              const char *topic)
{
    size_t count = atomic_load(&metrics->type_count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(metrics->types[i].type, type) == 0)
            return &metrics->types[i];
    }
    if (count == AGENT_METRICS_TYPES)
        return &metrics->spare_type;
    metrics->types[count].type = type;
    metrics->types[count].topic = topic;
    atomic_store(&metrics->type_count, count + 1);
    return &metrics->types[count];
}

struct histogram_snapshot agent_metrics_commit_to_applied(const struct agent_metrics *metrics)
{
    struct histogram_snapshot all = {0};
    size_t count = atomic_load(&metrics->type_count);
    for (size_t i = 0; i < count; i++)
        histogram_add_to(&metrics->types[i].commit_to_applied, &all);
    return all;
}

void agent_metrics_set_fill(struct agent_metrics *metrics, const char *topic, int stage,
                            int64_t rows, bool is_given_up)
{
    size_t count = atomic_load(&metrics->fill_count);
    size_t i = 0;
    while (i < count && strcmp(metrics->fills[i].topic, topic) != 0)
        i++;
    if (i == AGENT_METRICS_FILLS)
        return;
    struct agent_fill_metrics *row = &metrics->fills[i];
    atomic_store(&row->stage, stage);
    atomic_store(&row->rows, rows);
    atomic_store(&row->is_given_up, is_given_up);
    if (i < count)
        return;
    (void)snprintf(row->topic, sizeof row->topic, "%s", topic);
    atomic_store(&metrics->fill_count, count + 1);
}
