/* Numbers that the agent and its reader write and any other thread may read. */
#ifndef CONSUMER_METRICS_H
#define CONSUMER_METRICS_H

#include "common/histogram.h"
#include "common/status.h"
#include "common/topic_partition.h"
#include "schemas/paused.h"

#include <stdatomic.h>
#include <stdint.h>

#define AGENT_METRICS_PARTITIONS 1024
#define AGENT_METRICS_TOPIC_SIZE 256
#define AGENT_METRICS_FILLS      256
#define AGENT_METRICS_TYPES      256

enum agent_state {
    AGENT_CONNECTING,
    AGENT_ASSIGNING,
    AGENT_APPLYING,
    AGENT_WAITING_DATABASE,
    AGENT_DRAINING,
    AGENT_STOPPED,
};

/** One row for each partition that was ever assigned. Topic and partition are written once, before
 * `partition_count` is raised past the row. */
struct agent_partition_metrics {
    char topic[AGENT_METRICS_TOPIC_SIZE];
    int32_t partition;
    atomic_bool owned;
    atomic_bool stopped;
    _Atomic(const char *)
        stop_reason;                  /* as stop_reason_name() calls it; NULL: it has not stopped */
    char stop_text[ERROR_TEXT_SIZE];  /* why; by agent_metrics_stop() alone */
    atomic_llong applied_offset;      /* position after the last commit */
    atomic_llong durable_offset;      /* position after the last durable commit */
    atomic_llong stable_end;          /* last stable offset; -1: not known yet */
    atomic_llong log_end;             /* after all records; -1: not known */
    atomic_llong log_end_seen_us;     /* monotonic; when that was seen; 0: never */
    atomic_llong withheld_since_us;   /* wall clock; since when records stand after this stable_end,
                                       * by an open transaction of another producer; 0 */
    atomic_llong oldest_unapplied_us; /* wall clock; 0: none read, or its time is not known */
    atomic_llong oldest_unapplied_log_us; /* the same record's, when the broker stored it */
    atomic_llong caught_up_us; /* wall clock; when nothing stood after the position; 0: never */
    atomic_llong log_begin;    /* -1: not known */
    atomic_llong retention_us; /* how long the topic keeps a record; 0: for ever, or not known */
    atomic_llong parked;
    atomic_llong parked_since_us; /* wall clock; of the first record that is parked now; 0 */
    atomic_llong parked_waiting;  /* those of them that the agent itself tries again */
    atomic_llong parked_held;     /* those that a person must act on */
    atomic_llong set_since_us;    /* wall clock; since when a change set is open; 0: none is */
    atomic_llong set_records;     /* that were read of it */
    atomic_llong set_size;        /* that it has */
};

/** One row for each topic that was ever filled. Its topic is written once, before `fill_count` is
 * raised past the row. */
struct agent_fill_metrics {
    char topic[AGENT_METRICS_TOPIC_SIZE];
    atomic_int stage; /* enum fill_stage */
    atomic_llong rows;
    atomic_bool is_given_up; /* nobody goes on with it until somebody asks anew */
};

/** One row for each entity type under `apply:`. Its names are written once, before `type_count` is
 * raised past the row; they are borrowed from the configuration. */
struct agent_type_metrics {
    const char *type;
    const char *topic;
    atomic_ullong events_applied;
    atomic_ullong events_parked;
    /* From the commit at the origin, as the record has it, to the agent's commit. Events whose
     * record does not say when they were committed are not in it. */
    struct histogram commit_to_applied;
};

struct agent_metrics {
    atomic_ullong events_applied;
    atomic_ullong events_duplicate;
    atomic_ullong events_unverified; /* duplicates too old to compare */
    atomic_ullong events_superseded;
    atomic_ullong events_parked;
    atomic_ullong events_rejected;   /* of the parked: those held */
    atomic_ullong events_healed;     /* parked once, and applied since */
    atomic_ullong changesets_parked; /* each counts once, beside its events */
    atomic_ullong entities_diverged;
    atomic_ullong events_passed_absent; /* updates of rows that a filled copy does not have */
    atomic_ullong changesets_applied;
    atomic_ullong changesets_voided;    /* one of their records is a void */
    atomic_ullong changesets_abandoned; /* their origin has begun another incarnation */
    atomic_ullong commits;
    atomic_ullong commits_durable;
    atomic_llong last_progress_us; /* wall clock */
    atomic_llong last_round_us;    /* monotonic: when the loop's last round began; 0: none has */
    atomic_llong broker_silent_since_us; /* monotonic; 0: it answers, or was not asked yet */
    atomic_llong broker_heard_us;        /* monotonic; its last answer; 0: none yet */
    atomic_llong database_lost_since_us; /* monotonic; 0: it answers, or was not asked yet */
    atomic_llong database_heard_us;      /* monotonic; its last answer; 0: none yet */
    atomic_int state;                    /* enum agent_state */
    atomic_bool ready;
    atomic_bool database_checked; /* once since the start */
    atomic_size_t topics_missing;
    /** Wall clock, when a type was paused; 0: it is not. Parallel to the configuration's apply. */
    atomic_llong paused_at_us[PAUSED_SHOWN_MAX];
    atomic_size_t fill_count;
    struct agent_fill_metrics fills[AGENT_METRICS_FILLS];
    atomic_size_t type_count;
    struct agent_type_metrics types[AGENT_METRICS_TYPES];
    struct agent_type_metrics spare_type; /* of all types beyond those; nobody reads it */
    atomic_size_t partition_count;
    struct agent_partition_metrics partitions[AGENT_METRICS_PARTITIONS];
    struct agent_partition_metrics spare; /* of all partitions beyond those; nobody reads it */
};

/** @return "connecting", "applying", … */
const char *agent_state_name(enum agent_state state);

/** Note how far the fill of a topic is. Topics beyond AGENT_METRICS_FILLS are not shown. @thread
 * the agent's only. */
void agent_metrics_set_fill(struct agent_metrics *metrics, const char *topic, int stage,
                            int64_t rows, bool is_given_up);

/** @return the row of an entity type, made where it is new; the spare one where the table is full.
 * @param type  and topic: borrowed, must outlive the metrics. @thread the agent's only. */
struct agent_type_metrics *agent_metrics_type(struct agent_metrics *metrics, const char *type,
                                              const char *topic);

/** @return how long events of all entity types took from commit to applied, since the start. Keep
 * one, and histogram_quantile_s() says what was usual since then. @thread any. */
struct histogram_snapshot agent_metrics_commit_to_applied(const struct agent_metrics *metrics);

/** Note why a partition is stopped; "": it is not. @thread the agent's only. */
void agent_metrics_set_stop(struct agent_partition_metrics *partition, const char *text);

/** Copy why a partition is stopped; "" where it is not. @thread any. */
void agent_metrics_stop(const struct agent_partition_metrics *partition, char *ret_text,
                        size_t size);

/** @return the partition's row, made where it is new; the spare one where the table is full.
 * @thread the agent's only. */
struct agent_partition_metrics *agent_metrics_partition(struct agent_metrics *metrics,
                                                        struct topic_partition tp);

#endif
