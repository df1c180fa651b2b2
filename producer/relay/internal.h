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

struct relay {
    struct relay_options options;
    const atomic_bool *stop; /* while it runs */
    struct outbox *outbox;
    struct lease lease;
    int64_t epoch_reached; /* no epoch above it is of this relay's making; 0: it has had no lease */
    struct kafka_producer *producer;
    struct relay_topic *topics;
    size_t topic_count;
    struct relay_flight *spare;
    struct arena arena;
    struct arena headers;
    size_t in_flight;
    size_t in_flight_bytes;
    size_t delivered; /* of those in flight */
    int64_t unacknowledged_since_us;
    int64_t loaded_at_us;
    int64_t purged_at_us;
    int64_t count_at_us;       /* not before */
    int64_t counted_oldest_us; /* wall clock; the oldest row not acknowledged, as of the count */
    int64_t told_at_us;
    int64_t heard_at_us;              /* when the broker was last asked or has acknowledged */
    int64_t lease_us;                 /* how long a lease lasts */
    int64_t renewed_at_us;            /* monotonic, as are all these */
    int64_t keep_at_us;               /* not before: the next renewal */
    int64_t passed_at_us;             /* when the log's end was last remembered */
    int64_t watched_at_us;            /* 0: not yet */
    int64_t capture_told_at_us;       /* when broken capture was logged last */
    struct capture_finding *captures; /* parallel to config->publish, as they were found last */
    int64_t backoff_us;
    struct buffer read_topics; /* JSON array of what the service's own agent reads */
    int64_t batch_bytes;       /* what the smallest topic takes at once; 0: the client's default */
    struct relay_batch batch;
    bool blocking; /* the outbox may have rows set aside */
    bool doubtful; /* whether the batch's claim is durable is not known */
    bool recovered;
    bool draining;     /* claimed rows were sent again; no new ones before they are acknowledged */
    bool more;         /* the last load was full */
    bool unwritten;    /* what was acknowledged is not in the outbox, or lost there */
    bool failed;       /* a delivery failed: nothing more is sent with this producer */
    bool careful;      /* send one by one, to find the record that the broker refuses */
    bool void_refused; /* even the void was: wait before the next try */
    bool waiting_told;
    bool held_told;
    bool released; /* the own agent has read what the log had as this incarnation began */
    char failed_text[ERROR_TEXT_SIZE];
    char refused_id[OUTBOX_ID_SIZE]; /* goes out as a void */
    char last_text[ERROR_TEXT_SIZE]; /* what was logged last */
};

/* relay.c */

/** Renew the lease where it is time, in everything that takes long.
 * @return OK, also while the database is busy and the lease lasts; RETRY; ABORT: it is lost, stop
 * at once. */
enum status relay_keep(struct relay *relay, struct error *err) MUST_CHECK;
/** Note that a transaction which began at `now` has renewed the lease. */
void relay_renewed(struct relay *relay, int64_t now);

/* relay_send.c */

/** Hand one numbered row to Kafka, as a `void` where it is the refused one. */
enum status relay_send(struct relay *relay, struct relay_lane *lane, const struct outbox_row *row,
                       struct error *err) MUST_CHECK;
/** The producer's delivery report. */
delivery_report relay_delivered;
/** Write what was delivered without a gap into the outbox. */
enum status relay_acknowledge(struct relay *relay, struct error *err) MUST_CHECK;
/** Let go of the producer and of everything under way. */
void relay_drop_producer(struct relay *relay);
/** @return the record's headers in relay->headers. */
enum status relay_head(struct relay *relay, const struct outbox_row *row, enum change_kind kind,
                       struct header **ret_headers, size_t *ret_count,
                       struct error *err) MUST_CHECK;
struct slice relay_record_key(const struct outbox_row *row);

/* relay_claim.c */

/** Load waiting rows, check them, number them durably and publish them. */
enum status relay_claim(struct relay *relay, struct error *err) MUST_CHECK;
/** Send the numbered batch, whose claim is durable. */
enum status relay_send_batch(struct relay *relay, struct error *err) MUST_CHECK;
struct relay_topic *relay_find_topic(struct relay *relay, const char *name);

/* relay_topics.c */

/** Load the partitions' numbers into the lanes. A topic that no type has any more gets lanes again
 * while it has claimed rows that are not acknowledged. */
enum status relay_load_lanes(struct relay *relay, struct error *err) MUST_CHECK;
/** Give each published type the topic that it has in the configuration. */
enum status relay_move_types(struct relay *relay, struct error *err) MUST_CHECK;

/* relay_doubt.c */

/** After a lost connection: compare what the database has numbered with what this relay remembers,
 * which starts from the top (`recovered` false) where they differ. @return OK; RETRY. */
enum status relay_compare(struct relay *relay, struct error *err) MUST_CHECK;
/** Find out whether a claim that failed is durable after all: then its rows are sent, else they
 * wait again. @return OK; RETRY (still not known); ABORT (lease lost); FATAL. */
enum status relay_settle(struct relay *relay, struct error *err) MUST_CHECK;

/* relay_watch.c */

/** Look at the triggers where a minute has passed since the last look; say what changed. */
void relay_watch(struct relay *relay, int64_t now_us);

/* relay_tell.c */

/** Now and then count what waits; holding the lease is enough. @return OK; RETRY. */
enum status relay_count(struct relay *relay, struct error *err) MUST_CHECK;
/** Tell the metrics what is under way and since when nothing of it moves. */
void relay_tell(struct relay *relay);
/** What the outbox has is told by the relay that holds the lease, and by no other. */
void relay_tell_nothing(struct relay *relay);
/** The broker has answered, or has not. */
void relay_note_broker(struct relay *relay, bool answers);
/** Where nothing is under way, ask the broker now and then; waits a second at most. */
void relay_ask_broker(struct relay *relay);

/* relay_recover.c */

/** After the lease was taken or the producer failed: topics, log, adoption, claimed rows again. */
enum status relay_recover(struct relay *relay, struct error *err) MUST_CHECK;

/* relay_log.c */

/** Read the log from what is known of it on; adopt what this outbox published, and remember how far
 * it was read. @return OK; RETRY; ABORT; FATAL (another log, a clone, a foreign writer). */
enum status relay_read_log(struct relay *relay, struct error *err) MUST_CHECK;
/** Remember the log's ends while nothing is under way, so that no recovery reads what others wrote
 * meanwhile. @return OK, also where the broker does not answer; RETRY; ABORT. */
enum status relay_pass_log(struct relay *relay, struct error *err) MUST_CHECK;

#endif
