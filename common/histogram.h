/* Counts how long things took, in fixed buckets that any thread may read. */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS  18 /* 1 ms to 1 h */
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1)

/** All zero is an empty one. */
struct histogram {
    atomic_ullong counts[HISTOGRAM_BUCKETS]; /* each bucket's own; the last has no bound */
    atomic_ullong sum_us;
};

/** What a histogram held at one moment. */
struct histogram_snapshot {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};

/** @return the upper bound of a bucket in seconds, which belongs to it; infinity for the last. */
double histogram_bound_s(size_t bucket);

/** Count one. @param took_us  below 0 counts as 0: the clocks of two machines differ.
 * @thread any. */
void histogram_observe(struct histogram *histogram, int64_t took_us);

/** Add what a histogram holds now to a snapshot. Buckets that are written meanwhile are new or
 * old, each for itself. @thread any. */
void histogram_add_to(const struct histogram *histogram, struct histogram_snapshot *snapshot);

/** @return how many were counted between two snapshots. @param earlier  NULL: the beginning. */
uint64_t histogram_count(const struct histogram_snapshot *earlier,
                         const struct histogram_snapshot *later);

/** @return what a share of those counted between two snapshots did not exceed, in seconds. It is
 * interpolated within its bucket, as Prometheus does; the last bound where it is beyond that; NaN
 * where nothing was counted.
 * @param earlier   NULL: the beginning.
 * @param quantile  0 to 1. */
double histogram_quantile_s(const struct histogram_snapshot *earlier,
                            const struct histogram_snapshot *later, double quantile);

#endif
