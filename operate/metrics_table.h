/* The table of all metrics of this process: what each is called, means and is worth. */
#ifndef OPERATE_METRICS_TABLE_H
#define OPERATE_METRICS_TABLE_H

#include "operate/metrics.h"
#include "operate/process_numbers.h"

/** Of what a value is read. */
struct metric_subject {
    const struct metrics_sources *sources;
    const struct agent_metrics *agent;
    const struct relay_metrics *relay;
    const struct desk_metrics *desk;
    const struct joint_metrics *joint;
    const struct process_numbers *process;
    const struct agent_partition_metrics *partition;
    const char *stop_reason; /* of the partition, read once; NULL: it has not stopped */
    const struct agent_fill_metrics *fill;
    const struct agent_type_metrics *type;
    const struct config_entry *entry;
    int64_t paused_at_us; /* the entry's type; 0: it is not paused */
};

/** Whose metric it is, and so where it is shown. */
enum metric_scope {
    METRIC_PROCESS,   /* one value */
    METRIC_SERVICE,   /* one value */
    METRIC_AGENT,     /* one value, where an agent runs */
    METRIC_PARTITION, /* one value for each partition that this agent owns */
    METRIC_STOP,      /* one value for each of those that is stopped */
    METRIC_APPLIED,   /* one value for each entity type under apply: */
    METRIC_FILL,      /* one value for each topic that was ever filled */
    METRIC_ENTRY,     /* one value for each type that is applied, or published with the lease */
    METRIC_RELAY,     /* one value, where a relay runs */
    METRIC_LEASE,     /* as RELAY, while it holds the lease: what it counted before is old */
    METRIC_DESK,      /* one value, where a desk answers questions */
    METRIC_JOINT,     /* one value, where the service takes part in joint transactions */
    METRIC_SCOPES,    /* their number */
};

struct metric {
    enum metric_scope scope;
    const char *type; /* Prometheus': "counter", "gauge" or "histogram" */
    const char *name;
    const char *help;
    double (*value)(const struct metric_subject *of); /* NaN: not known, so not shown */
    const struct histogram *(*histogram)(const struct metric_subject *of); /* instead of value */
};

extern const struct metric metrics_table[];
extern const size_t metrics_count;

#endif
