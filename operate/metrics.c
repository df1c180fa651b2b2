/* The metrics page: the table's values in Prometheus' text format, and the table as a document. */
#include "operate/metrics_table.h"

#include "operate/members_page.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_START_MAX 4096

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

static void append_text_label(struct buffer *text, const char *name, const char *value)
{
    buffer_append_format(text, ",%s=\"", name);
    metrics_append_label(text, value);
    buffer_append_text(text, "\"");
}

void metrics_append_service(struct buffer *text, const char *service)
{
    buffer_append_text(text, "{service=\"");
    metrics_append_label(text, service);
    buffer_append_text(text, "\"");
}

static void append_labels(struct buffer *text, const struct metric *metric,
                          const struct metric_subject *of)
{
    metrics_append_service(text, of->sources->config->service);
    if (metric->scope == METRIC_PARTITION || metric->scope == METRIC_STOP) {
        append_text_label(text, "topic", of->partition->topic);
        buffer_append_format(text, ",partition=\"%d\"", (int)of->partition->partition);
    }
    if (metric->scope == METRIC_STOP)
        append_text_label(text, "reason", of->stop_reason);
    if (metric->scope == METRIC_APPLIED) {
        append_text_label(text, "type", of->type->type);
        append_text_label(text, "topic", of->type->topic);
    }
    if (metric->scope == METRIC_ENTRY) {
        append_text_label(text, "type", of->entry->entity_type);
        append_text_label(text, "topic", of->entry->topic);
    }
    if (metric->scope == METRIC_FILL)
        append_text_label(text, "topic", of->fill->topic);
}

/* @param part  of a histogram, "" for any other metric. */
static void append_value(struct buffer *text, const struct metric *metric,
                         const struct metric_subject *of, const char *part, double value)
{
    buffer_append_format(text, "%s%s", metric->name, part);
    append_labels(text, metric, of);
    buffer_append_format(text, "} %.17g\n", value);
}

/* A bucket counts those below it too. */
static void append_histogram(struct buffer *text, const struct metric *metric,
                             const struct metric_subject *of)
{
    struct histogram_snapshot now = {0};
    uint64_t count = 0;
    histogram_add_to(metric->histogram(of), &now);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += now.counts[i];
        buffer_append_format(text, "%s_bucket", metric->name);
        append_labels(text, metric, of);
        if (i < HISTOGRAM_BOUNDS)
            buffer_append_format(text, ",le=\"%g\"", histogram_bound_s(i));
        else
            buffer_append_text(text, ",le=\"+Inf\"");
        buffer_append_format(text, "} %llu\n", (unsigned long long)count);
    }
    append_value(text, metric, of, "_sum", (double)now.sum_us / 1e6);
    append_value(text, metric, of, "_count", (double)count);
}

static void append_metric(struct buffer *text, const struct metric *metric,
                          const struct metric_subject *of)
{
    double value = metric->value == NULL ? NAN : metric->value(of);
    if (metric->histogram != NULL)
        append_histogram(text, metric, of);
    else if (!isnan(value))
        append_value(text, metric, of, "", value);
}

/* A partition that another agent owns now is on that agent's page. */
static void append_partitions(struct buffer *text, const struct metric *metric,
                              struct metric_subject *of)
{
    size_t count = atomic_load(&of->agent->partition_count);
    for (size_t i = 0; i < count && i < AGENT_METRICS_PARTITIONS; i++) {
        of->partition = &of->agent->partitions[i];
        of->stop_reason = atomic_load(&of->partition->stop_reason);
        if (atomic_load(&of->partition->owned) &&
            (metric->scope != METRIC_STOP || of->stop_reason != NULL))
            append_metric(text, metric, of);
    }
}

/* A type that is applied and published has one value. */
static void append_entries(struct buffer *text, const struct metric *metric,
                           struct metric_subject *of)
{
    const struct config *config = of->sources->config;
    size_t applied = of->agent == NULL ? 0 : config->apply_count;
    bool publishes = of->relay != NULL && atomic_load(&of->relay->holds_lease);
    for (size_t i = 0; i < applied && i < PAUSED_SHOWN_MAX; i++) {
        of->entry = &config->apply[i];
        of->paused_at_us = atomic_load(&of->agent->paused_at_us[i]);
        append_metric(text, metric, of);
    }
    for (size_t i = 0; publishes && i < config->publish_count && i < PAUSED_SHOWN_MAX; i++) {
        of->entry = &config->publish[i];
        of->paused_at_us = atomic_load(&of->relay->paused_at_us[i]);
        if (config_find(config->apply, applied, of->entry->entity_type,
                        strlen(of->entry->entity_type)) == NULL)
            append_metric(text, metric, of);
    }
}

static void append_all(struct buffer *text, const struct metric *metric, struct metric_subject *of)
{
    size_t fills = metric->scope == METRIC_FILL ? atomic_load(&of->agent->fill_count) : 0;
    size_t types = metric->scope == METRIC_APPLIED ? atomic_load(&of->agent->type_count) : 0;
    if (metric->scope == METRIC_PARTITION || metric->scope == METRIC_STOP)
        append_partitions(text, metric, of);
    else if (metric->scope == METRIC_ENTRY)
        append_entries(text, metric, of);
    else if (metric->scope != METRIC_FILL && metric->scope != METRIC_APPLIED)
        append_metric(text, metric, of);
    for (size_t i = 0; i < fills; i++) {
        of->fill = &of->agent->fills[i];
        append_metric(text, metric, of);
    }
    for (size_t i = 0; i < types; i++) {
        of->type = &of->agent->types[i];
        append_metric(text, metric, of);
    }
}

static bool is_shown(enum metric_scope scope, const struct metric_subject *of)
{
    switch (scope) {
    case METRIC_AGENT:
    case METRIC_PARTITION:
    case METRIC_STOP:
    case METRIC_APPLIED:
    case METRIC_FILL:
        return of->agent != NULL;
    case METRIC_ENTRY:
        return of->agent != NULL || of->relay != NULL;
    case METRIC_RELAY:
        return of->relay != NULL;
    case METRIC_LEASE:
        return of->relay != NULL && atomic_load(&of->relay->holds_lease);
    case METRIC_DESK:
        return of->desk != NULL;
    case METRIC_JOINT:
        return of->joint != NULL;
    default:
        return true;
    }
}

void metrics_render(void *context, struct buffer *text)
{
    const struct metrics_sources *sources = context;
    const struct process_numbers process = process_numbers_read();
    struct metric_subject of = {.sources = sources,
                                .agent = sources->agent,
                                .relay = sources->relay,
                                .desk = sources->desk,
                                .joint = sources->joint,
                                .process = &process};

    append_head(text, "keepstep_build_info", "gauge", "Always 1; the version as a label.");
    buffer_append_text(text, "keepstep_build_info");
    metrics_append_service(text, sources->config->service);
    buffer_append_text(text, ",version=\"" KEEPSTEP_VERSION "\"} 1\n");
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        if (!is_shown(metric->scope, &of))
            continue;
        append_head(text, metric->name, metric->type, metric->help);
        append_all(text, metric, &of);
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
    static const char *const labels[METRIC_SCOPES] = {
        [METRIC_PARTITION] = ", `topic`, `partition`",
        [METRIC_STOP] = ", `topic`, `partition`, `reason`",
        [METRIC_APPLIED] = ", `type`, `topic`",
        [METRIC_FILL] = ", `topic`",
        [METRIC_ENTRY] = ", `type`, `topic`",
        [METRIC_LEASE] = "; only while it publishes"};
    static const char *const who[METRIC_SCOPES] = {
        [METRIC_PROCESS] = "process",      [METRIC_SERVICE] = "process",
        [METRIC_ENTRY] = "agent or relay", [METRIC_RELAY] = "relay",
        [METRIC_LEASE] = "relay",          [METRIC_DESK] = "desk",
        [METRIC_JOINT] = "joint"};
    buffer_append_text(
        text, "# Metrics\n\n"
              "<!-- Written by metrics_describe(); change operate/metrics_table.c instead. -->\n\n"
              "`/metrics` has Prometheus' text format. A value that is not known is absent, "
              "never a false 0.\nEach metric has the label `service`. "
              "`keepstep_build_info` has the version.\nAlerts on them are in "
              "`deploy/prometheus/keepstep.rules.yml`, a dashboard is in `deploy/grafana/`.\n\n"
              "| metric | type | of | labels | meaning |\n"
              "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        const char *of = who[metric->scope];
        const char *more = labels[metric->scope];
        buffer_append_format(text, "| `%s` | %s | %s | `service`%s | %s |\n", metric->name,
                             metric->type, of == NULL ? "agent" : of, more == NULL ? "" : more,
                             metric->help);
    }
    members_page_describe(text);
}
