/* The relay: claims the rows of a service's outbox, numbers and publishes them. */
#ifndef PRODUCER_RELAY_RELAY_H
#define PRODUCER_RELAY_RELAY_H

#include "producer/outbox/outbox.h"

#include <stdatomic.h>

/** Written by the relay's thread, read by any. */
struct relay_metrics {
    atomic_int_fast64_t published;    /* records handed to Kafka, also again */
    atomic_int_fast64_t acknowledged; /* records that Kafka confirmed and the outbox remembers */
    atomic_int_fast64_t adopted;      /* found in the log when the lease was taken */
    atomic_int_fast64_t log_read;     /* records of the log that were read for that */
    atomic_int_fast64_t set_aside;    /* rows that could not be numbered, also again */
    atomic_int_fast64_t voided;       /* numbered rows that went out without their value */
    atomic_int_fast64_t rebuilt;      /* producers made anew after a failure */
    atomic_int_fast64_t purged;
    atomic_int_fast64_t in_flight;
    atomic_int_fast64_t waiting;       /* rows, as of the last count */
    atomic_int_fast64_t set_aside_now; /* rows, as of the last count or later */
    /** Wall clock; of the rows that wait or are under way; 0: there is none. */
    atomic_int_fast64_t oldest_unacknowledged_us;
    /** Monotonic; since when a partition with records under way has had none acknowledged; 0. */
    atomic_int_fast64_t stalled_since_us;
    atomic_int_fast64_t broker_silent_since_us; /* monotonic; 0: it answers, as far as is known */
    atomic_int_fast64_t progress_us;            /* wall clock of the last cycle that worked */
    atomic_int_fast64_t failures;               /* cycles that ended with an error */
    atomic_bool holds_lease;
    atomic_bool standby; /* another relay holds it, and this one waits to take over */
    /** Entity types whose changes are not captured as they should be, as of the last look. */
    atomic_int_fast64_t capture_broken;
    atomic_int_fast64_t capture_unknown; /* entity types that could not be looked at */
    atomic_size_t capture_first;         /* index in config->publish of the first broken one */
};

struct relay_options {
    const struct config *config;
    const struct entity_schema *const *schemas; /* parallel to config->publish */
    struct relay_metrics *metrics;
    int64_t lease_us; /* how long a lease lasts; 0: 10 s */
};

struct relay;

/** Touches no database yet. @return OK; RETRY (no memory); FATAL. Options and what they point to
 * outlive the relay. */
enum status relay_new(const struct relay_options *options, struct relay **ret_relay,
                      struct error *err) MUST_CHECK;
void relay_free(struct relay *relay);

/** Publish until *stop; transient failures are logged once and retried for ever.
 * @return OK after *stop, with what was under way delivered where that took less than 5 seconds;
 * FATAL with the way out (rewound or cloned outbox, foreign writer, topic that differs, another
 * relay under the same instance name). */
enum status relay_run(struct relay *relay, const atomic_bool *stop, struct error *err) MUST_CHECK;

#endif
