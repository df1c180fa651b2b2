/* What the relay's files share. */
#ifndef PRODUCER_RELAY_INTERNAL_H
#define PRODUCER_RELAY_INTERNAL_H

#include "producer/capture/watch.h"
#include "producer/relay/kafka_producer.h"
#include "producer/relay/relay.h"

#define RELAY_LEASE_US      (INT64_C(10) * 1000 * 1000)
#define RELAY_BATCH_ROWS    2000
#define RELAY_FLIGHT_ROWS   20000
#define RELAY_FLIGHT_BYTES  ((size_t)32 * 1024 * 1024)
#define RELAY_ARENA_BYTES   ((size_t)64 * 1024 * 1024)
#define RELAY_RECOVER_BYTES ((size_t)512 * 1024 * 1024)

struct relay_lane;

/** A record that was handed to Kafka and is not acknowledged in the outbox yet. */
struct relay_flight {
    struct relay_flight *next;
    struct relay_lane *lane;
    uint64_t sequence;
    int64_t offset;
    size_t bytes;
    bool delivered;
    bool alone;         /* nothing else was under way: what is refused is this record */
    int64_t created_us; /* wall clock; when the service committed it */
    char id[OUTBOX_ID_SIZE];
};

/** One partition of a topic. */
struct relay_lane {
    struct relay *relay;
    struct relay_partition state; /* as the outbox has it, plus what is being claimed */
    struct relay_flight *first;   /* by sequence */
    struct relay_flight *last;
    size_t delivered;    /* flights of this lane that are */
    int64_t moved_at_us; /* when its last record was delivered, or its first was sent; 0: idle */
    bool touched;        /* its state is to be written */
    bool anchored;       /* the last acknowledged record was met in the log */
    bool numbering;      /* among those that the batch under way moves */
    char previous_id[OUTBOX_ID_SIZE]; /* last_id before that batch */
    struct slice tail;                /* id of the batch's last row so far */
};

struct relay_topic {
    const char *name;
    const struct config_entry *entry; /* the first of those that share the topic; NULL: none does
                                         any more, but rows were numbered for it */
    char *left_name;                  /* of such a one, owned; NULL elsewhere */
    struct relay_lane *lanes;
    int32_t lane_count;
    struct topic_settings settings;
    bool retention_told;
    bool applied; /* the service applies it too, so others may write here */
};

/** Rows that were numbered together; in the relay's arena until they are sent. */
struct relay_batch {
    struct outbox_row *rows;
    size_t count;
    struct relay_partition *partitions; /* those it moves, as they are after it */
    size_t partition_count;
};

/** The lease (rule 10). All times of the relay are monotonic unless they say "wall clock". */
struct relay_lease {
    struct lease row;      /* as it was taken or compared last */
    int64_t epoch_reached; /* no epoch above it is of this relay's making; 0: it has had no lease */
    int64_t duration_us;
    int64_t renewed_at_us;
    int64_t renew_at_us; /* not before */
};

/** The records that were handed to Kafka and are not acknowledged in the outbox yet. */
struct relay_flights {
    struct relay_flight *spare; /* to be used again */
    size_t count;
    size_t bytes;
    size_t delivered; /* of `count` */
    int64_t unacknowledged_since_us;
    bool unwritten; /* fact: an acknowledgement is not in the outbox, or was lost there */
};

/** The producer, and what is known of its broker. */
struct relay_broker {
    struct kafka_producer *producer; /* NULL until the relay recovers */
    int64_t batch_bytes;             /* what the smallest topic takes at once; 0: the default */
    int64_t heard_at_us;             /* when the broker was last asked or has acknowledged */
    /* Fact, and not a state: a producer can also fail while claimed rows are sent again, and while
     * a claim is in doubt. It sends nothing more, and is replaced once the claim is resolved. */
    bool failed;
    char failed_text[ERROR_TEXT_SIZE];
};

/** The record that the broker refuses. Latches: they outlive the producer, until all that was
 * claimed is acknowledged. */
struct relay_refusal {
    bool one_by_one;         /* a record was refused: send one at a time, to learn which */
    bool void_refused;       /* even its void was refused: wait before the next try */
    char id[OUTBOX_ID_SIZE]; /* the one that was refused alone, which goes out as a void; "" */
};

/** The rows of the outbox that are not claimed yet. */
struct relay_waiting {
    int64_t loaded_at_us;      /* when they were last asked for */
    bool more;                 /* fact: there may be rows that were not loaded */
    bool has_set_aside;        /* fact: there may be rows that are set aside */
    bool caught_up;            /* latch of a lease: the own agent has read the log (rule 13) */
    bool catch_up_told;        /* latch of a lease: that it is waited for was logged */
    struct buffer read_topics; /* JSON array of what the service's own agent reads */
};

/** The last count of the outbox. */
struct relay_counts {
    int64_t next_at_us; /* not before */
    int64_t oldest_us;  /* wall clock; of the oldest row that is not acknowledged; 0: none */
};

/** The last check of what captures the changes. */
struct relay_capture {
    int64_t checked_at_us;            /* 0: not yet */
    int64_t told_at_us;               /* when broken capture was logged last */
    struct capture_finding *findings; /* parallel to config->publish */
};

/** When the steps that are taken now and then were taken last. */
struct relay_chores {
    int64_t purged_at_us;
    int64_t ends_noted_at_us;
    int64_t reported_at_us;
};

/** Transient trouble, while it lasts. */
struct relay_trouble {
    int64_t backoff_us;
    char text[ERROR_TEXT_SIZE]; /* what was logged of it last */
};

/** Where the relay stands; relay_set_state() alone changes it. The order counts: from RECOVERING on
 * the relay holds the lease, from DRAINING on it has a producer and knows what is in the log. */
enum relay_state {
    RELAY_CONNECTING,    /* the outbox was not opened yet */
    RELAY_WITHOUT_LEASE, /* the lease was not taken yet, or was lost */
    RELAY_STANDBY,       /* another relay holds the lease */
    RELAY_RECOVERING,    /* the log is to be read, and claimed rows are to be sent again */
    RELAY_DRAINING,      /* those were sent; nothing is claimed before all are acknowledged */
    RELAY_PUBLISHING,    /* rows are claimed and sent */
    RELAY_IN_DOUBT,      /* a claim failed, but may be durable all the same */
};

struct relay {
    struct relay_options options;
    const atomic_bool *stop; /* while it runs */
    enum relay_state state;
    const char *step; /* of the loop, the last that was taken */
    struct outbox *outbox;
    struct relay_lease lease;
    struct relay_broker broker;
    struct relay_topic *topics;
    size_t topic_count;
    struct relay_flights flights;
    struct relay_waiting waiting;
    struct relay_batch batch; /* the rows that were claimed last */
    struct relay_refusal refusal;
    struct relay_counts counts;
    struct relay_capture capture;
    struct relay_chores chores;
    struct relay_trouble trouble;
    struct arena arena;   /* of the rows that were loaded last */
    struct arena headers; /* of one record, or of one acknowledgement */
};

/* relay.c */

/** Change the state; logs the change, and tells the metrics of the lease. */
void relay_set_state(struct relay *relay, enum relay_state state);
/** Renew the lease where it is time, in everything that takes long.
 * @return OK, also while the database is busy and the lease lasts; RETRY; ABORT: it is lost, stop
 * at once. */
enum status relay_keep_lease(struct relay *relay, struct error *err) MUST_CHECK;
/** Note that a transaction which began at `now` has renewed the lease. */
void relay_renewed(struct relay *relay, int64_t now);

static inline bool relay_holds_lease(const struct relay *relay)
{
    return relay->state >= RELAY_RECOVERING;
}

/** @return whether there is a producer, and the lanes have what the log and the outbox have. */
static inline bool relay_is_recovered(const struct relay *relay)
{
    return relay->state >= RELAY_DRAINING;
}

/** @return whether a delivery report is still to come. */
static inline bool relay_awaits_delivery(const struct relay *relay)
{
    return relay->flights.delivered < relay->flights.count && !relay->broker.failed;
}

/* send.c */

/** Hand one numbered row to Kafka, as a `void` where it is the refused one. */
enum status relay_send(struct relay *relay, struct relay_lane *lane, const struct outbox_row *row,
                       struct error *err) MUST_CHECK;
/** The producer's delivery report. */
delivery_report relay_delivered;
/** Write what was delivered without a gap into the outbox. */
enum status relay_acknowledge(struct relay *relay, struct error *err) MUST_CHECK;
/** Free the producer, and forget everything in flight. */
void relay_drop_producer(struct relay *relay);
/** Make a row's record, but for its partition. Headers stand in relay->headers until the next one.
 */
enum status relay_build_record(struct relay *relay, const struct outbox_row *row,
                               enum change_kind kind, struct kafka_message *ret_message,
                               struct error *err) MUST_CHECK;
struct slice relay_record_key(const struct outbox_row *row);

/* claim.c */

/** Load waiting rows, check them, number them durably and publish them. */
enum status relay_claim(struct relay *relay, struct error *err) MUST_CHECK;
/** Send the numbered batch, whose claim is durable. */
enum status relay_send_batch(struct relay *relay, struct error *err) MUST_CHECK;

/* topics.c */

struct relay_topic *relay_find_topic(struct relay *relay, const char *name);

/** Where a walk over all lanes stands; zero: before the first. */
struct relay_cursor {
    size_t topic; /* index of the lane that was met last */
    int32_t partition;
};

/** @return the next lane of the walk; NULL behind the last. */
struct relay_lane *relay_next_lane(const struct relay *relay, struct relay_cursor *cursor);
size_t relay_count_lanes(const struct relay *relay);
/** Load the partitions' numbers into the lanes. A topic that no type has any more gets lanes again
 * while it has claimed rows that are not acknowledged. */
enum status relay_load_lanes(struct relay *relay, struct error *err) MUST_CHECK;
/** Give each published type the topic that it has in the configuration. */
enum status relay_move_types(struct relay *relay, struct error *err) MUST_CHECK;

/* doubt.c */

/** After a lost connection: compare what the database has numbered with what this relay remembers.
 * Where they differ, it recovers. @return OK; RETRY. */
enum status relay_compare(struct relay *relay, struct error *err) MUST_CHECK;
/** Find out whether a claim that failed is durable after all: then its rows are sent, else they
 * wait again. @return OK; RETRY (still not known); ABORT (lease lost); FATAL. */
enum status relay_resolve_claim(struct relay *relay, struct error *err) MUST_CHECK;

/* watch.c */

/** Once a minute, check that the triggers are there and as they should be; log what changed. */
void relay_check_capture(struct relay *relay, int64_t now_us);

/* report.c */

/** Now and then count what waits; holding the lease is enough. @return OK; RETRY. */
enum status relay_count(struct relay *relay, struct error *err) MUST_CHECK;
/** Tell the metrics what is in flight and since when nothing of it moves. */
void relay_report(struct relay *relay);
/** Only the relay that holds the lease tells the metrics what the outbox has: take it back. */
void relay_report_nothing(struct relay *relay);
/** The broker has answered, or has not. */
void relay_note_broker(struct relay *relay, bool answers);
/** While nothing is in flight, ask the broker now and then whether it answers; waits for it a
 * second at most. @return OK. */
enum status relay_ask_broker(struct relay *relay, struct error *err) MUST_CHECK;

/* recover.c */

/** After the lease was taken or the producer failed: topics, log, adoption, claimed rows again. */
enum status relay_recover(struct relay *relay, struct error *err) MUST_CHECK;

/* log.c */

/** Read the log from what is known of it on; adopt what this outbox published, and remember how far
 * it was read. @return OK; RETRY; ABORT; FATAL (another log, a clone, a foreign writer). */
enum status relay_read_log(struct relay *relay, struct error *err) MUST_CHECK;
/** While nothing is in flight, store where the log ends, so that no recovery reads what others
 * wrote before. @return OK, also where the broker does not answer; RETRY; ABORT. */
enum status relay_note_log_ends(struct relay *relay, struct error *err) MUST_CHECK;

#endif
