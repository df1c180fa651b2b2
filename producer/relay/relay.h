/* The relay: it claims the rows of a service's outbox and publishes them. */
#ifndef PRODUCER_RELAY_RELAY_H
#define PRODUCER_RELAY_RELAY_H

#include "producer/outbox/outbox.h"

#include <stdatomic.h>

/** Written by the relay's thread; any thread may read it. */
struct relay_metrics {
    atomic_int_fast64_t published;      /* records handed to Kafka, each time */
    atomic_int_fast64_t acknowledged;   /* records that Kafka confirmed, as the outbox knows */
    atomic_int_fast64_t adopted;        /* records found in the log when the lease was taken */
    atomic_int_fast64_t log_read;       /* records that were read for that */
    atomic_int_fast64_t set_aside;      /* rows that could not be published, each time */
    atomic_int_fast64_t voided;         /* claimed rows that went out as a void */
    atomic_int_fast64_t sets_published; /* change sets that were claimed, under `whole` */
    atomic_int_fast64_t sets_largest;   /* rows of the largest of them */
    atomic_int_fast64_t sets_set_aside;
    atomic_int_fast64_t sets_split;  /* that reach the copies in several parts */
    atomic_int_fast64_t sets_merged; /* that are of several transactions */
    atomic_int_fast64_t sets_voided; /* with a record that went out as a void */
    /** Partitions that wait for the end of a set of which nothing tells the rest. */
    atomic_int_fast64_t rests_lost;
    atomic_int_fast64_t rebuilt; /* producers that were replaced after a failure */
    atomic_int_fast64_t purged;
    atomic_int_fast64_t in_flight;
    atomic_int_fast64_t waiting;       /* rows, as of the last count */
    atomic_int_fast64_t set_aside_now; /* rows, as of the last count or later */
    /** Wall clock, when the oldest row that waits or is in flight was committed; 0: there is none.
     */
    atomic_int_fast64_t oldest_unacknowledged_us;
    /** Monotonic, since when a partition with records in flight has had none delivered; 0: none.
     * As of looked_at_us: while the relay waits for its database it does not see what arrives. */
    atomic_int_fast64_t stalled_since_us;
    atomic_int_fast64_t looked_at_us; /* monotonic; when its loop last came round; 0: not yet */
    atomic_bool recovered;            /* no step of the loop waits long, but for the database */
    /** Wall clock, when the oldest of the records in flight was committed; 0: none is. */
    atomic_int_fast64_t oldest_in_flight_us;
    atomic_int_fast64_t broker_silent_since_us; /* monotonic; 0: it answers, or was not asked */
    atomic_int_fast64_t broker_heard_us;        /* monotonic; its last answer; 0: none yet */
    atomic_int_fast64_t database_lost_since_us; /* monotonic; 0: it answers, or was not asked */
    atomic_int_fast64_t database_heard_us;      /* monotonic; its last answer; 0: none yet */
    atomic_int_fast64_t progress_us; /* wall clock; end of the last cycle without error */
    atomic_int_fast64_t failures;    /* cycles that ended with an error */
    atomic_bool holds_lease;
    atomic_bool standby; /* another relay holds it, and this one waits to take over */
    /** Entity types whose changes were not captured as they should be at the last check. */
    atomic_int_fast64_t capture_broken;
    atomic_int_fast64_t capture_unknown; /* entity types that could not be checked */
    atomic_size_t capture_first;         /* index in config->publish of the first broken one */
    /** Of an entry of config->publish whose topic the own agent does not read yet, the index from 1
     * on: nothing is published (rule 41). 0: none. */
    atomic_size_t held_entry;
    /** Wall clock, when a type was paused; 0: it is not. Parallel to config->publish. */
    atomic_int_fast64_t paused_at_us[PAUSED_SHOWN_MAX];
};

struct bell;

struct relay_options {
    const struct config *config;
    const struct entity_schema *const *schemas; /* parallel to config->publish */
    struct relay_metrics *metrics;
    int64_t lease_us;  /* how long a lease lasts; 0: 10 s */
    struct bell *bell; /* rung where records of joint transactions were committed; NULL */
};

struct relay;

/** Make a relay; the database is not touched yet. Options and what they point to outlive it.
 * @return OK; RETRY (no memory); FATAL. */
enum status relay_new(const struct relay_options *options, struct relay **ret_relay,
                      struct error *err) MUST_CHECK;
void relay_free(struct relay *relay);

/** Publish until *stop, in the caller's thread. Transient failures are logged once and retried for
 * ever. After *stop, up to 5 seconds are spent on what is in flight.
 * @return OK after *stop; FATAL with what to do (rewound or cloned outbox, foreign writer, a topic
 * that differs, another relay under the same instance name). */
enum status relay_run(struct relay *relay, const atomic_bool *stop, struct error *err) MUST_CHECK;

#endif
