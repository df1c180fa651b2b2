/* Numbers of the answering side of the desk, which any other thread may read. */
#ifndef OPERATE_DESK_METRICS_H
#define OPERATE_DESK_METRICS_H

#include <stdatomic.h>

struct desk_metrics {
    atomic_size_t snapshots_open; /* for other services */
    atomic_llong
        oldest_snapshot_us;  /* monotonic, when the oldest of them began; 0: there is none */
    atomic_ullong questions; /* that this service was asked */
};

#endif
