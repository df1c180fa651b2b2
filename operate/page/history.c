/* Samples the atomics of agent and relay. A lag is the longest one since the span's last value, so
 * that a short peak is not lost in a day; a rate is the mean. */
#include "operate/page/history.h"

#include "common/clock.h"
#include "operate/member.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_WHOLE_MAX 1e9
#define NUMBER_DIGITS    10
#define QUARTER_STEPS    (60 / HISTORY_STEP_S)
#define QUARTER_COUNT    (sizeof((struct history *)0)->quarter / sizeof(struct history_counters))

_Static_assert(sizeof(struct history) <= HISTORY_BYTES_MAX, "a sidecar is small");

static const struct {
    const char *seconds;
    size_t steps; /* of HISTORY_STEP_S, for one value */
    size_t count;
} spans[HISTORY_SPANS] = {[HISTORY_QUARTER] = {"900", 1, 180},
                          [HISTORY_HOUR] = {"3600", 3, 240},
                          [HISTORY_DAY] = {"86400", 60, 288}};

static const char *const total_names[HISTORY_TOTALS] = {
    [HISTORY_APPLIED] = "applied_per_s",       [HISTORY_PUBLISHED] = "published_per_s",
    [HISTORY_PENDING] = "outbox_waiting",      [HISTORY_P50] = "commit_to_applied_p50_s",
    [HISTORY_P99] = "commit_to_applied_p99_s", [HISTORY_LAG_ALL] = "lag_records_all"};
static const char *const lag_names[HISTORY_LAGS] = {
    [HISTORY_LAG_SECONDS] = "lag_s", [HISTORY_LAG_RECORDS] = "lag_records"};

void history_init(struct history *ret_history, const struct metrics_sources *sources)
{
    memset(ret_history, 0, sizeof *ret_history);
    (void)pthread_mutex_init(&ret_history->lock, NULL);
    ret_history->sources = sources;
    for (size_t span = 0; span < HISTORY_SPANS; span++) {
        for (size_t i = 0; i < HISTORY_SERIES; i++)
            ret_history->longest[span][i] = NAN;
    }
}

void history_done(struct history *history)
{
    (void)pthread_mutex_destroy(&history->lock);
}

static size_t series_of(size_t partition, enum history_lag lag)
{
    return HISTORY_TOTALS + partition * HISTORY_LAGS + lag;
}

static size_t partitions_shown(const struct history *history)
{
    const struct agent_metrics *agent = history->sources->agent;
    size_t count = agent == NULL ? 0 : atomic_load(&agent->partition_count);
    return count < HISTORY_PARTITIONS ? count : HISTORY_PARTITIONS;
}

static size_t partitions_left_out(const struct history *history)
{
    const struct agent_metrics *agent = history->sources->agent;
    size_t count = agent == NULL ? 0 : atomic_load(&agent->partition_count);
    return count - partitions_shown(history);
}

static struct history_counters counters_now(const struct history *history, int64_t now_us)
{
    const struct agent_metrics *agent = history->sources->agent;
    const struct relay_metrics *relay = history->sources->relay;
    struct history_counters counters = {
        .is_set = true,
        .at_us = now_us,
        .applied = agent == NULL ? NAN : (double)atomic_load(&agent->events_applied),
        .published = relay == NULL ? NAN : (double)atomic_load(&relay->acknowledged)};
    if (agent != NULL)
        counters.commit_to_applied = agent_metrics_commit_to_applied(agent);
    return counters;
}

static double rate(double before, double now, const struct history_counters *last, int64_t now_us)
{
    double seconds = last->is_set ? (double)(now_us - last->at_us) / 1e6 : 0;
    return seconds <= 0 || now < before ? NAN : (now - before) / seconds;
}

/* What is longest since the last value is kept for each span apart. */
static void note_longest(struct history *history, size_t series, double value)
{
    for (size_t span = 0; span < HISTORY_SPANS; span++) {
        float *longest = &history->longest[span][series];
        if (isnan(*longest) || value > (double)*longest)
            *longest = (float)value;
    }
}

static void note_lags(struct history *history)
{
    const struct agent_metrics *agent = history->sources->agent;
    const struct relay_metrics *relay = history->sources->relay;
    size_t shown = partitions_shown(history);
    double all = 0;
    for (size_t i = 0; i < shown + partitions_left_out(history); i++) {
        const struct agent_partition_metrics *partition = &agent->partitions[i];
        if (!atomic_load(&partition->owned))
            continue;
        double records = metrics_lag_records(agent, partition);
        all += records;
        if (i >= shown)
            continue;
        note_longest(history, series_of(i, HISTORY_LAG_SECONDS), metrics_lag_s(agent, partition));
        note_longest(history, series_of(i, HISTORY_LAG_RECORDS), records);
    }
    if (agent != NULL)
        note_longest(history, HISTORY_LAG_ALL, all);
    if (relay != NULL && atomic_load(&relay->holds_lease))
        note_longest(history, HISTORY_PENDING, (double)atomic_load(&relay->waiting));
}

/* Write one value of each series. */
static void ring_add(struct history *history, enum history_span span,
                     const struct history_counters *now, int64_t wall_us)
{
    struct history_ring *ring = &history->rings[span];
    const struct history_counters *last = &ring->last;
    const struct histogram_snapshot *earlier = last->is_set ? &last->commit_to_applied : NULL;
    const struct histogram_snapshot *later = &now->commit_to_applied;
    float *longest = history->longest[span];
    longest[HISTORY_APPLIED] = (float)rate(last->applied, now->applied, last, now->at_us);
    longest[HISTORY_PUBLISHED] = (float)rate(last->published, now->published, last, now->at_us);
    longest[HISTORY_P50] = (float)histogram_quantile_s(earlier, later, 0.5);
    longest[HISTORY_P99] = (float)histogram_quantile_s(earlier, later, 0.99);
    for (size_t i = 0; i < HISTORY_SERIES; i++) {
        ring->values[i][ring->next] = longest[i];
        longest[i] = NAN;
    }
    ring->next = (ring->next + 1) % spans[span].count;
    ring->count += ring->count < spans[span].count ? 1 : 0;
    ring->last = *now;
    ring->end_us = wall_us;
}

void history_sample(struct history *history, int64_t now_us, int64_t wall_us)
{
    struct history_counters now = counters_now(history, now_us);
    (void)pthread_mutex_lock(&history->lock);
    note_lags(history);
    if (history->steps % QUARTER_STEPS == 0)
        history->quarter[history->steps / QUARTER_STEPS % QUARTER_COUNT] = now;
    history->steps++;
    for (size_t span = 0; span < HISTORY_SPANS; span++) {
        if (history->steps % spans[span].steps == 0)
            ring_add(history, (enum history_span)span, &now, wall_us);
    }
    (void)pthread_mutex_unlock(&history->lock);
}

/* @param back  0: the newest one. */
static double ring_value(const struct history *history, enum history_span span, size_t series,
                         size_t back)
{
    const struct history_ring *ring = &history->rings[span];
    size_t size = spans[span].count;
    return back >= ring->count
               ? NAN
               : (double)ring->values[series][(ring->next + size - 1 - back) % size];
}

/* A page has tens of thousands of them, most of them null or small whole numbers: printf would take
 * longer than all else. */
static void append_number(struct buffer *out, double value)
{
    char digits[NUMBER_DIGITS];
    char *first = digits + sizeof digits;
    if (isnan(value)) {
        buffer_append(out, "null", 4);
        return;
    }
    if (!(value >= 0 && value <= NUMBER_WHOLE_MAX && value == floor(value))) {
        buffer_append_format(out, "%.6g", value);
        return;
    }
    unsigned rest = (unsigned)value;
    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    buffer_append(out, first, (size_t)(digits + sizeof digits - first));
}

static void append_series(const struct history *history, enum history_span span, size_t series,
                          struct buffer *out)
{
    member_begin(out, "values", "[");
    for (size_t back = history->rings[span].count; back-- > 0;) {
        append_number(out, ring_value(history, span, series, back));
        if (back > 0)
            buffer_append(out, ",", 1);
    }
    buffer_append_text(out, "]}");
}

void history_append(struct history *history, enum history_span span, struct buffer *out)
{
    (void)pthread_mutex_lock(&history->lock);
    member_begin(out, NULL, "{");
    member_number(out, "step_s", (int64_t)spans[span].steps * HISTORY_STEP_S);
    int64_t end_us = history->rings[span].end_us;
    member_time(out, "taken_at", end_us == 0 ? clock_wall_us() : end_us);
    member_number(out, "left_out", (int64_t)partitions_left_out(history));
    member_begin(out, "series", "[");
    for (size_t i = 0; i < partitions_shown(history); i++) {
        const struct agent_partition_metrics *partition = &history->sources->agent->partitions[i];
        for (size_t lag = 0; lag < HISTORY_LAGS; lag++) {
            member_begin(out, NULL, "{");
            member_text(out, "name", slice_of(lag_names[lag]));
            member_text(out, "topic", slice_of(partition->topic));
            member_number(out, "partition", partition->partition);
            append_series(history, span, series_of(i, (enum history_lag)lag), out);
        }
    }
    for (size_t i = 0; i < HISTORY_TOTALS; i++) {
        member_begin(out, NULL, "{");
        member_text(out, "name", slice_of(total_names[i]));
        member_text(out, "topic", (struct slice){0});
        member_text(out, "partition", (struct slice){0});
        append_series(history, span, i, out);
    }
    buffer_append_text(out, "]}\n");
    (void)pthread_mutex_unlock(&history->lock);
}

enum history_span history_span_of(const char *seconds)
{
    size_t span = HISTORY_QUARTER;
    while (seconds != NULL && span < HISTORY_SPANS && strcmp(spans[span].seconds, seconds) != 0)
        span++;
    return (enum history_span)span;
}

/* The mean of those of the last values that are known; NaN where none is. */
static double recent_mean(const struct history *history, size_t series)
{
    double sum = 0;
    double count = 0;
    for (size_t back = 0; back < HISTORY_TREND; back++) {
        double value = ring_value(history, HISTORY_QUARTER, series, back);
        sum += isnan(value) ? 0 : value;
        count += isnan(value) ? 0 : 1;
    }
    return count == 0 ? NAN : sum / count;
}

static double per_second(double before, double now)
{
    return (now - before) / (HISTORY_TREND * HISTORY_STEP_S);
}

/* @return records that all partitions were behind, so many steps ago; NaN where that of one that
 * this agent owned is not known. */
static double lag_records(const struct history *history, size_t back)
{
    if (history->rings[HISTORY_QUARTER].count == 0)
        return NAN;
    return history->sources->agent == NULL
               ? 0
               : ring_value(history, HISTORY_QUARTER, HISTORY_LAG_ALL, back);
}

struct page_trends history_trends(struct history *history)
{
    (void)pthread_mutex_lock(&history->lock);
    double lag = lag_records(history, 0);
    struct page_trends trends = {
        .applied_per_s = recent_mean(history, HISTORY_APPLIED),
        .published_per_s = recent_mean(history, HISTORY_PUBLISHED),
        .lag_per_s = per_second(lag_records(history, HISTORY_TREND), lag),
        .pending_per_s = per_second(
            ring_value(history, HISTORY_QUARTER, HISTORY_PENDING, HISTORY_TREND),
            ring_value(history, HISTORY_QUARTER, HISTORY_PENDING, 0)),
        .catch_up_s = NAN};
    (void)pthread_mutex_unlock(&history->lock);
    if (lag == 0)
        trends.catch_up_s = 0;
    else if (trends.lag_per_s < 0)
        trends.catch_up_s = lag / -trends.lag_per_s;
    return trends;
}

void history_latency(struct history *history, double *ret_p50_s, double *ret_p99_s)
{
    struct history_counters now = counters_now(history, clock_monotonic_us());
    const struct histogram_snapshot *earlier = NULL;
    (void)pthread_mutex_lock(&history->lock);
    if (history->steps > QUARTER_COUNT * QUARTER_STEPS) {
        size_t next = (size_t)((history->steps - 1) / QUARTER_STEPS + 1);
        earlier = &history->quarter[next % QUARTER_COUNT].commit_to_applied;
    }
    *ret_p50_s = histogram_quantile_s(earlier, &now.commit_to_applied, 0.5);
    *ret_p99_s = histogram_quantile_s(earlier, &now.commit_to_applied, 0.99);
    (void)pthread_mutex_unlock(&history->lock);
}
