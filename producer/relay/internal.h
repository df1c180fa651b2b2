/* The relay's data, and what its files offer each other. How it works stands in relay.c. */
#ifndef PRODUCER_RELAY_INTERNAL_H
#define PRODUCER_RELAY_INTERNAL_H

#include "producer/capture/watch.h"
#include "producer/relay/loader.h"
#include "producer/relay/passed.h"
#include "producer/relay/record_maker.h"
#include "producer/relay/relay.h"
#include "producer/relay/sets.h"
#include "producer/relay/waits.h"

#define RELAY_LEASE_US      (INT64_C(10) * 1000 * 1000)
#define RELAY_BATCH_ROWS    2000
#define RELAY_FLIGHT_ROWS   16000 /* librdkafka keeps each record and its headers */
#define RELAY_FLIGHT_BYTES  ((size_t)32 * 1024 * 1024)
#define RELAY_RECOVER_BYTES ((size_t)512 * 1024 * 1024)

struct relay_lane;

/** A record in flight: it was handed to Kafka, and is not acknowledged in the outbox yet. */
struct relay_flight {
    struct relay_flight *next;
    struct relay_lane *lane;
    uint64_t sequence;
    int64_t offset; /* once it is delivered */
    size_t bytes;
    bool delivered;
    bool alone;         /* sent while nothing else was in flight: a refusal means this record */
    int64_t created_us; /* wall clock; when the service committed it */
    char id[OUTBOX_ID_SIZE];
};

/** One partition of a topic, and its records in flight. */
struct relay_lane {
    struct relay *relay;
    struct relay_partition state; /* as the outbox has it, and as the next claim leaves it */
    struct relay_flight *first;   /* in the order of their sequences */
    struct relay_flight *last;
    size_t delivered;       /* how many of them are */
    uint64_t sent_sequence; /* the highest that this process sent in this incarnation */
    size_t claimed_again;   /* records of the log whose claims the database had lost */
    int64_t progress_at_us; /* when a record was last delivered, or the first was sent; 0: idle */
    bool unwritten;         /* the outbox lacks what was acknowledged */
    bool anchor_met;        /* the log has the record that was acknowledged last */
    bool in_batch;          /* the batch that is being numbered has rows of it */
    char previous_id[OUTBOX_ID_SIZE]; /* last_id before that batch */
    struct slice tail;                /* id of that batch's last row so far */
    size_t set_rows;                  /* of the set that is being ended: its rows here */
    uint64_t set_end;                 /* and the last number of one */
    uint64_t open_end; /* where the set ends of which the last rows have no numbers; 0: none has */
    uint64_t open_group; /* digest of its `changeset`; 0: it may have several */
    uint64_t rest_noted; /* the open_end of which relay_note_unknown_rests() has told */
    size_t large_rows;   /* of the large set: its rows here that have no number */
    uint64_t void_end;   /* where the set ends that had the last void; 0: that was alone */
};

/** A topic that the relay publishes to. A former topic is one that no type has any more, although
 * rows were numbered for it. */
struct relay_topic {
    const char *name;
    const struct config_entry *entry; /* the first of those with this topic; NULL: a former one */
    char *former_name;                /* `name` of a former topic, owned; NULL elsewhere */
    struct relay_lane *lanes;
    int32_t lane_count;
    struct topic_settings settings;
    bool retention_logged;
    bool applied; /* the service applies it too: others may write to it */
};

/** What was chosen of the rows that wait; in the relay's arena. */
struct relay_choice {
    struct outbox_row *rows; /* in the order in which they are numbered */
    size_t count;
    struct change_set *sets; /* of these rows; NULL: each row is alone */
    size_t set_count;
    size_t wanted; /* nothing can be chosen before so many rows are loaded; 0: that is not so */
    size_t wanted_bytes; /* and so many bytes of payloads */
    int64_t first_left;  /* position of the first row that was loaded and not chosen; 0: none */
    bool moved;   /* a set was chosen or set aside, or is to be judged again, or is a large one */
    bool waits;   /* a set waits, because a type is paused */
    bool goes_on; /* the last set has more rows than these (large.c) */
};

/** Rows that are claimed together. They stand in the relay's arena until they are sent. */
struct relay_batch {
    struct outbox_claim claim; /* its partitions are as the claim leaves them */
    struct relay_lane **lanes; /* parallel to the claim's partitions */
    size_t sets;               /* under `whole`: how many */
};

/** What is done with a change set that is larger than a claim may be. */
enum relay_large_stage {
    LARGE_NONE,     /* there is none */
    LARGE_MEASURED, /* its rows are checked and counted */
    LARGE_PARTS,    /* it gets its numbers */
};

/** That change set (large.c). */
struct relay_large {
    enum relay_large_stage stage;
    uint64_t group;    /* digest of its `changeset` */
    int64_t end;       /* position of its last row; INT64_MAX: not known yet */
    int64_t after;     /* up to here the rows were counted, or numbered */
    size_t rows;       /* that were counted; then: that have no number */
    int64_t set_aside; /* rows that were set aside when the measuring began; 0: not counted */
    bool merged;       /* fact: what lies between its rows is one set with it, which is cut */
    bool begun;        /* fact: a part of it has its numbers, or may have */
    bool cut_noted;    /* latch: that something may be cut was counted and logged */
};

/** The lease (rule 10). All times of the relay are monotonic unless they say "wall clock". */
struct relay_lease {
    struct lease row;      /* as it was taken last */
    int64_t epoch_reached; /* a higher one was raised by another relay; 0: no lease yet */
    int64_t duration_us;
    int64_t renewed_at_us;
    int64_t renew_at_us; /* not before */
};

/** All records in flight. */
struct relay_flights {
    struct relay_flight *spare; /* a list of those to be used again */
    size_t count;
    size_t bytes;
    size_t delivered; /* of `count` */
    int64_t unacknowledged_since_us;
    bool unwritten; /* fact: an acknowledgement is not in the outbox, or was lost there */
};

/** The producer, and what is known of its broker. */
struct relay_broker {
    struct kafka_producer *producer; /* NULL until the relay recovers */
    int64_t batch_bytes;             /* what the smallest topic takes at once; 0: enough */
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
    int64_t found_at_us;       /* when some were there */
    int64_t look_took_us;      /* the last time that none was there; 0: some were */
    bool more;                 /* fact: there may be rows that were not loaded */
    bool has_set_aside;        /* fact: there may be rows that are set aside */
    bool set_aside_in_doubt;   /* fact: a row may be set aside any moment, without an answer */
    unsigned waits_session;    /* the outbox's when rows were passed, or measured */
    bool passes;               /* fact: the next load may pass more, and chooses nothing */
    bool caught_up;            /* latch of a lease: the own agent has read the log (rule 13) */
    bool catch_up_logged;      /* latch of a lease: that it is waited for was logged */
    bool is_read;              /* fact: the own agent reads all topics of both_topics (rule 41) */
    int64_t read_again_us;     /* when that is asked again; monotonic */
    struct buffer read_topics; /* JSON array of what the service's own agent reads */
    struct buffer both_topics; /* JSON array of what it reads of the topics that are published */
};

/** What an operator has paused, as it was read last. */
struct relay_paused {
    struct paused_types types;
    bool any;           /* fact: of the types that are published here */
    bool no_room_noted; /* latch: that no more can be remembered of what waits was logged */
    int64_t again_us;   /* when it is read again */
};

/** Records of joint transactions (joint_first.c). */
struct relay_joint {
    bool is_first; /* fact: the service has any, and they are claimed before others */
    bool more;     /* fact: some may wait that were not looked for */
};

/** The rows that are loaded ahead (ahead.c). */
struct relay_ahead {
    struct loader *loader;
    bool may_order;   /* fact: the batch is all that was loaded, and more rows may wait behind it */
    bool wanted;      /* fact: an order was given, and nothing has happened that makes it void */
    unsigned session; /* the outbox's when it was given */
    int64_t ordered_at_us;
    int64_t order_at_us; /* no order before */
    int64_t *claimed; /* rising positions of rows of the batch which the order may load once more */
    size_t claimed_count;
    size_t claimed_room;
    char text[ERROR_TEXT_SIZE]; /* what was logged of the loader's trouble last */
};

/** The last count of the outbox. */
struct relay_counts {
    int64_t next_at_us; /* not before */
    int64_t oldest_us;  /* wall clock; of the oldest row that is not acknowledged; 0: none */
};

/** The last check of what captures the changes. */
struct relay_capture {
    int64_t checked_at_us;            /* 0: not yet */
    int64_t logged_at_us;             /* when broken capture was logged last */
    struct capture_finding *findings; /* parallel to config->publish */
};

/** When the steps that are taken now and then were taken last, or are to be taken next. */
struct relay_chores {
    int64_t purge_at_us;
    bool purges; /* fact: more rows may go than the last purge took */
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
    int wakeup;       /* what ends a wait of the loop: reports of deliveries */
    struct outbox *outbox;
    struct relay_lease lease;
    struct relay_broker broker;
    struct relay_topic *topics;
    size_t topic_count;
    struct relay_flights flights;
    struct relay_waiting waiting;
    struct relay_paused paused;
    struct waits waits; /* what was passed of what waits with it */
    struct relay_joint joint;
    struct relay_ahead ahead;
    struct relay_large large;
    struct passed passed;     /* what was measured of it, or stays behind it */
    struct relay_batch batch; /* the rows that were claimed last */
    struct record_maker maker;
    int64_t *record_bytes_max; /* the maker's bytes_max */
    struct relay_refusal refusal;
    struct relay_counts counts;
    struct relay_capture capture;
    struct relay_chores chores;
    struct relay_trouble trouble;
    bool spread_logged;   /* latch: that a set lies in several partitions was logged */
    struct arena arena;   /* of the rows that were loaded last */
    struct arena sets;    /* of what was found out about these rows */
    struct arena headers; /* of one record, or of one acknowledgement */
};

/* relay.c */

/** Change the state; logs the change, and tells the metrics of the lease. */
void relay_set_state(struct relay *relay, enum relay_state state);
/** Renew the lease if it is time. Call it within everything that takes long.
 * @return OK, also while the database is busy and the lease still lasts; RETRY; ABORT (lease lost:
 * stop at once). */
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

/** Hand one numbered row to Kafka. The row that the broker refused goes out as a `void`.
 * @return OK; RETRY (also: the producer failed); ABORT (lease lost); FATAL. */
enum status relay_send(struct relay *relay, struct relay_lane *lane, const struct outbox_row *row,
                       struct error *err) MUST_CHECK;
/** The producer's delivery report; called by kafka_producer_poll(). */
delivery_report relay_delivered;
/** Store in the outbox how far each partition was delivered without a gap.
 * @return OK; RETRY; ABORT (lease lost); FATAL. */
enum status relay_acknowledge(struct relay *relay, struct error *err) MUST_CHECK;
/** Free the producer, and forget everything in flight. */
void relay_drop_producer(struct relay *relay);

/* claim.c */

/** Load waiting rows, check them, number them durably and send them.
 * @return OK; RETRY (state IN_DOUBT if the claim itself failed); ABORT (lease lost); FATAL. */
enum status relay_claim(struct relay *relay, struct error *err) MUST_CHECK;

/** While rows come the outbox is looked at often, by loading. The pause is short against how long
 * none has come. A busy database answers late, and is not kept busy by looks alone.
 * @return when to load next, monotonic; INT64_MAX: the outbox tells, as none came for long. */
int64_t relay_look_at_us(const struct relay *relay, int64_t now);
/** Move the rows that may be numbered to the front; the others are set aside, or wait.
 * @return OK; RETRY; ABORT (lease lost). */
enum status relay_select(struct relay *relay, struct outbox_rows *loaded,
                         struct error *err) MUST_CHECK;
/** Give the rows their numbers: they are the batch now. @return OK; RETRY (no memory). */
enum status relay_number(struct relay *relay, const struct relay_choice *choice,
                         struct error *err) MUST_CHECK;
/** Claim the batch and send it.
 * @param next  what is loaded next; NULL: not known.
 * @return OK; RETRY (state IN_DOUBT if the claim itself failed); ABORT (lease lost); FATAL. */
enum status relay_claim_batch(struct relay *relay, const struct outbox_extent *next,
                              struct error *err) MUST_CHECK;
/** Send the batch, once its claim is durable. */
enum status relay_send_batch(struct relay *relay, struct error *err) MUST_CHECK;
/** What a load asks for at first: always the same. */
struct outbox_extent relay_extent(const struct relay *relay);
/** Load waiting rows into relay->arena; waiting.more says whether there may be more behind them.
 * @return OK; RETRY. */
enum status relay_load_rows(struct relay *relay, const struct outbox_extent *extent,
                            struct outbox_rows *ret_rows, struct error *err) MUST_CHECK;
/** Set waiting rows aside, as one set.
 * @param ret_done  false: what it would wait for does not wait any more; it is to be judged again.
 * @return OK; RETRY (it is in doubt); ABORT (lease lost). */
enum status relay_set_aside(struct relay *relay, const struct outbox_set *set, bool *ret_done,
                            struct error *err) MUST_CHECK;
/** Tell the metrics of rows that were set aside, besides those that relay_set_aside() was given. */
void relay_note_set_aside(struct relay *relay, size_t rows);

/* joint_first.c */

/** @return whether so little is in flight that data may be claimed. */
bool relay_has_room(const struct relay *relay);
/** @return whether records of joint transactions are claimed first, and may be claimed now. */
bool relay_has_room_for_joint(const struct relay *relay);
/** @return when to look for them while data has no room; monotonic. */
int64_t relay_look_for_joint_at_us(const struct relay *relay);
/** Claim those that wait, and send them; where they are claimed first. The relay's arenas are empty
 * then. Statuses as of relay_claim(). */
enum status relay_claim_joint(struct relay *relay, struct error *err) MUST_CHECK;
/** Leave them out of rows that were loaded ahead. */
void relay_leave_out_joint(struct outbox_rows *rows);

/* load_sets.c */

/** Load rows until sets can be chosen, or set aside.
 * @return OK; RETRY; ABORT (lease lost). */
enum status relay_load_sets(struct relay *relay, struct relay_choice *ret_choice,
                            struct error *err) MUST_CHECK;
/** Mark the rows that have to wait, because a type is paused, as paused.
 * @return OK; RETRY (no memory). */
enum status relay_mark_waiting(struct relay *relay, struct outbox_rows *rows,
                               struct error *err) MUST_CHECK;
/** Forget what was passed: all that waits is looked at anew. */
void relay_forget_waits(struct relay *relay);
/** Log, once until what is paused changes, that no more can be remembered of what waits.
 * @param behind  what stands behind this position may wait for that. */
void relay_note_no_room(struct relay *relay, int64_t behind);

/* whole.c */

/** @return whether the service publishes its transactions whole. */
bool relay_is_whole(const struct relay *relay);
/** Check rows that were loaded, and give each that cannot be published its reason.
 * @return OK; RETRY where not even the first could be checked. */
enum status relay_check_rows(struct relay *relay, struct outbox_rows *loaded,
                             struct error *err) MUST_CHECK;
/** Choose of checked rows the sets that can be claimed, and set aside what cannot be published.
 * @param extent  that the rows were loaded with; NULL: they were loaded ahead, which is less.
 * @return OK; RETRY; ABORT (lease lost). */
enum status relay_choose_sets(struct relay *relay, struct outbox_rows *loaded,
                              const struct outbox_extent *extent, struct relay_choice *ret_choice,
                              struct error *err) MUST_CHECK;
/** Say how much memory is needed for what is found out about the rows of the largest load. */
size_t relay_sets_bytes(const struct config *config);
/** While rows are set aside, store the keys that relay_check_rows() made canonical.
 * @param ret_stored  true: load again. @return OK; RETRY; ABORT (lease lost). */
enum status relay_store_keys(struct relay *relay, const struct outbox_rows *loaded,
                             bool *ret_stored, struct error *err) MUST_CHECK;
/** Make the keys canonical of all rows of a row's set that stand behind it.
 * @param ret_count  how many these are. @return OK; RETRY; ABORT (lease lost). */
enum status relay_rekey_rest(struct relay *relay, const struct outbox_row *row, size_t *ret_count,
                             struct error *err) MUST_CHECK;
/** @return of rows that are known to be of one transaction, and need not wait, one of the set that
 * ends first; NULL: there is none. */
const struct outbox_row *relay_find_first_end(const struct outbox_row *rows, size_t count);
/** Tell the metrics how large a set is. */
void relay_note_largest(const struct relay *relay, size_t rows);

/* large.c */

/** From the next claim on publish the set of a row in parts. */
void relay_large_begin(struct relay *relay, const struct outbox_row *row);
/** Go on with a set of which a part has its numbers, where a lane has one. */
void relay_large_resume(struct relay *relay);
/** Take the next step with the large set: measure it, or choose a part of it or what goes before
 * it.
 * @return OK; RETRY; ABORT (lease lost); FATAL (its rest is not what it was). */
enum status relay_large_choose(struct relay *relay, struct relay_choice *ret_choice,
                               struct error *err) MUST_CHECK;
/** Note that the part which was chosen is being claimed: from now on it may have its numbers. */
void relay_large_claiming(struct relay *relay);
/** Note that it is claimed. */
void relay_large_claimed(struct relay *relay);
/** Measure the set anew, or the rest of it: what was found of it may not be true any more. */
void relay_large_again(struct relay *relay);

/* set_ends.c */

/** Find sets of which only the first records have numbers: a relay ended between two parts, or the
 * database has lost a part of the claim.
 * @return OK; RETRY; ABORT (lease lost); FATAL (single changes are published now). */
enum status relay_find_open_sets(struct relay *relay, struct error *err) MUST_CHECK;
/** @return whether a lane has such a set. */
bool relay_has_open_set(const struct relay *relay);
/** @return how many lanes have one, and nothing tells which rows are its rest: its numbers wait for
 * what is claimed next there. */
size_t relay_count_lost_rests(const struct relay *relay);
/** Tell, before rows are numbered, where they get the numbers of such a set although nothing says
 * that they are its rest: its `changeset` does not, and they are more or fewer. */
void relay_note_unknown_rests(struct relay *relay, const struct relay_choice *choice);
/** Tell each numbered row where its set ends in its partition. */
void relay_end_sets(struct relay *relay, const struct relay_choice *choice);
/** Count a set that lies in several partitions; each of its parts is a set there. */
void relay_note_spread(struct relay *relay);

/* hold.c */

/** List the topics that the service's own agent reads. One whose apply: entry was taken out is read
 * no further: it holds back no row. @return OK; RETRY (no memory). */
enum status relay_list_topics(struct relay *relay, struct error *err) MUST_CHECK;

/** See whether nothing may be published yet (rules 13 and 41). @return OK; RETRY; FATAL (what is
 * waited for never comes). */
enum status relay_check_hold(struct relay *relay, bool *ret_held, struct error *err) MUST_CHECK;

/* paused.c */

/** From time to time, read which types are paused. load_waiting leaves out their rows by itself.
 * @return OK; RETRY; FATAL with exit code 78 (an older `init` made the tables). */
enum status relay_check_paused(struct relay *relay, struct error *err) MUST_CHECK;

/* ahead.c */

/** Let the loader load the rows behind the batch, if it may; just before the batch is claimed. */
void relay_order_ahead(struct relay *relay, const struct relay_choice *choice);
/** Take the rows that were loaded ahead into relay->arena. Under `whole` it remains to choose.
 * @return whether there are any that may be numbered; if not, load. If the loader has lost its
 * connection the relay compares before it claims. */
bool relay_take_ahead(struct relay *relay, struct outbox_rows *ret_rows);
/** Something happened after which what is loaded ahead must not be numbered. */
void relay_drop_ahead(struct relay *relay);

/* topics.c */

struct relay_topic *relay_find_topic(struct relay *relay, const char *name);
/** @return the lane of a row that was checked. */
struct relay_lane *relay_lane_of(struct relay *relay, const struct outbox_row *row);

/** Where a walk over all lanes stands. All zero: before the first lane. */
struct relay_cursor {
    size_t topic;      /* index of the last lane's topic */
    int32_t partition; /* of the next lane */
};

/** @return the next lane of the walk; NULL at its end. */
struct relay_lane *relay_next_lane(const struct relay *relay, struct relay_cursor *cursor);
size_t relay_count_lanes(const struct relay *relay);
/** Load the partitions' numbers into the lanes. A former topic gets lanes while it has claimed rows
 * that are not acknowledged. @return OK; RETRY; FATAL. */
enum status relay_load_lanes(struct relay *relay, struct error *err) MUST_CHECK;
/** Give each published type the topic that it has in the configuration now.
 * @return OK; RETRY; ABORT (lease lost); FATAL. */
enum status relay_move_types(struct relay *relay, struct error *err) MUST_CHECK;

/* doubt.c */

/** A connection was lost, though not the outbox's own: the next relay_compare() compares. */
void relay_must_compare(struct relay *relay);

/** After a lost connection: compare what the database has numbered with what this relay remembers.
 * Where they differ, it recovers. @return OK; RETRY. */
enum status relay_compare(struct relay *relay, struct error *err) MUST_CHECK;
/** Find out whether a claim that failed is durable after all. If so, its rows are sent; otherwise
 * they wait again. @return OK; RETRY (still not known); ABORT (lease lost); FATAL. */
enum status relay_resolve_claim(struct relay *relay, struct error *err) MUST_CHECK;
/** End what a transaction that set a row aside without an answer may still do. From then on a count
 * says whether it has. @return OK; RETRY (still not known); ABORT (lease lost). */
enum status relay_resolve_set_aside(struct relay *relay, struct error *err) MUST_CHECK;

/* watch.c */

/** Once a minute, check that the triggers are there and as they should be; log what changed. */
void relay_check_capture(struct relay *relay, int64_t now_us);

/* report.c */

/** Count from time to time what waits. This needs the lease, but no producer. @return OK; RETRY. */
enum status relay_count(struct relay *relay, struct error *err) MUST_CHECK;
/** Tell the metrics what is in flight, and since when nothing of it was delivered. */
void relay_report(struct relay *relay);
/** Tell the metrics nothing of the outbox any more: that is for the relay that holds the lease. */
void relay_report_nothing(struct relay *relay);
/** Note that the broker has answered, or has not. */
void relay_note_broker(struct relay *relay, bool answers);
/** Note that the database has answered, or that its connection is lost. */
void relay_note_database(struct relay *relay, bool answers);
/** While nothing is in flight, ask the broker from time to time whether it answers. Waits for it a
 * second at most. @return OK. */
enum status relay_ask_broker(struct relay *relay, struct error *err) MUST_CHECK;

/* recover.c */

/** Make a producer, read the log, and send the claimed rows that the log lacks. Needed after the
 * lease was taken and after a producer failed. @return OK; RETRY; ABORT (lease lost); FATAL. */
enum status relay_recover(struct relay *relay, struct error *err) MUST_CHECK;

/* log.c */

/** Read the log from where it is known. Own records there are adopted: they count as acknowledged.
 * How far it was read is stored. @return OK; RETRY; ABORT; FATAL (another log, a cloned database, a
 * foreign writer). */
enum status relay_read_log(struct relay *relay, struct error *err) MUST_CHECK;
/** While nothing is in flight, store where the log ends. A recovery then need not read what others
 * have written. @return OK, also if the broker does not answer; RETRY; ABORT. */
enum status relay_note_log_ends(struct relay *relay, struct error *err) MUST_CHECK;

#endif
