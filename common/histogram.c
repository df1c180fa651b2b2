/* A histogram of durations: atomic counters, and quantiles of what two snapshots differ by. */
#include "common/histogram.h"

#include <math.h>

static const double bounds_s[HISTOGRAM_BOUNDS] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
};

double histogram_bound_s(size_t bucket)
{
    return bucket < HISTOGRAM_BOUNDS ? bounds_s[bucket] : (double)INFINITY;
}

void histogram_observe(struct histogram *histogram, int64_t took_us)
{
    uint64_t counted_us = took_us < 0 ? 0 : (uint64_t)took_us;
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS && (double)counted_us / 1e6 > bounds_s[bucket])
        bucket++;
    atomic_fetch_add(&histogram->sum_us, counted_us);
    atomic_fetch_add(&histogram->counts[bucket], 1);
}

void histogram_add_to(const struct histogram *histogram, struct histogram_snapshot *snapshot)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        snapshot->counts[i] += atomic_load(&histogram->counts[i]);
    snapshot->sum_us += atomic_load(&histogram->sum_us);
}

static uint64_t counted_in(const struct histogram_snapshot *earlier,
                           const struct histogram_snapshot *later, size_t bucket)
{
    return later->counts[bucket] - (earlier == NULL ? 0 : earlier->counts[bucket]);
}

uint64_t histogram_count(const struct histogram_snapshot *earlier,
                         const struct histogram_snapshot *later)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += counted_in(earlier, later, i);
    return count;
}

double histogram_quantile_s(const struct histogram_snapshot *earlier,
                            const struct histogram_snapshot *later, double quantile)
{
    double rank = quantile * (double)histogram_count(earlier, later);
    double below = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double here = (double)counted_in(earlier, later, i);
        if (here == 0 || below + here < rank) {
            below += here;
            continue;
        }
        if (i == HISTOGRAM_BOUNDS)
            return bounds_s[HISTOGRAM_BOUNDS - 1];
        double from = i == 0 ? 0 : bounds_s[i - 1];
        return from + (bounds_s[i] - from) * (rank - below) / here;
    }
    return NAN;
}
