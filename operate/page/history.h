/* How the numbers of a sidecar were lately: fixed rings in memory, written by one thread. */
#ifndef OPERATE_PAGE_HISTORY_H
#define OPERATE_PAGE_HISTORY_H

#include "common/buffer.h"
#include "operate/metrics.h"
#include "operate/page/verdict.h"

#include <pthread.h>

#define HISTORY_STEP_S     5
#define HISTORY_PARTITIONS 64 /* the first ones; how many more there are is told */
#define HISTORY_BYTES_MAX  ((size_t)512 * 1024)

enum history_span { HISTORY_QUARTER, HISTORY_HOUR, HISTORY_DAY, HISTORY_SPANS };

/** The series of the whole process; each partition has two more. */
enum history_total {
    HISTORY_APPLIED,
    HISTORY_PUBLISHED,
    HISTORY_PENDING,
    HISTORY_P50,
    HISTORY_P99,
    HISTORY_LAG_ALL, /* records, of all partitions, those without a history too */
    HISTORY_TOTALS,
};
enum history_lag { HISTORY_LAG_SECONDS, HISTORY_LAG_RECORDS, HISTORY_LAGS };
#define HISTORY_SERIES     ((size_t)HISTORY_TOTALS + (size_t)HISTORY_LAGS * HISTORY_PARTITIONS)
#define HISTORY_VALUES_MAX 288
#define HISTORY_TREND      6 /* steps of the shortest span, which trends are of */

/** Counters as they were; a rate is the difference of two, over the time between them. */
struct history_counters {
    bool is_set;
    int64_t at_us; /* monotonic */
    double applied;
    double published;
    struct histogram_snapshot commit_to_applied;
};

/** The values of one span, a ring for each series. All rings are written together. NaN: unknown. */
struct history_ring {
    struct history_counters last;
    size_t next;
    size_t count;
    int64_t end_us; /* wall clock of the newest value */
    float values[HISTORY_SERIES][HISTORY_VALUES_MAX];
};

struct history {
    pthread_mutex_t lock;
    const struct metrics_sources *sources;
    struct history_ring rings[HISTORY_SPANS];
    uint64_t steps;                               /* of the shortest span, so far */
    struct history_counters quarter[16];          /* one a minute: latency of 15 minutes */
    float longest[HISTORY_SPANS][HISTORY_SERIES]; /* of the lags since the span's last value */
};

/** @param sources  outlive it. */
void history_init(struct history *ret_history, const struct metrics_sources *sources);
void history_done(struct history *history);

/** Take one step: every HISTORY_STEP_S. @param now_us  monotonic. @thread one of its own. */
void history_sample(struct history *history, int64_t now_us, int64_t wall_us);

/** Append the JSON of GET /api/history. @thread any. */
void history_append(struct history *history, enum history_span span, struct buffer *out);

/** @return the span of so many seconds; HISTORY_SPANS: there is none. */
enum history_span history_span_of(const char *seconds);

/** Of the last half minute. @thread any. */
struct page_trends history_trends(struct history *history);

/** Of the last 15 minutes; NaN where nothing was applied. @thread any. */
void history_latency(struct history *history, double *ret_p50_s, double *ret_p99_s);

#endif
