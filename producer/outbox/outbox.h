/* The seam between the relay and a service's database. Slots are called by one thread. */
#ifndef PRODUCER_OUTBOX_OUTBOX_H
#define PRODUCER_OUTBOX_OUTBOX_H

#include "schemas/change.h"
#include "schemas/paused.h"

#define OUTBOX_UUID_SIZE 37
#define OUTBOX_ID_SIZE   64
#define OUTBOX_NAME_SIZE 256

struct outbox;

struct outbox_options {
    const char *path;     /* of the database file; of a server the whole URL */
    const char *service;  /* origin */
    const char *instance; /* who holds the lease */
    bool read_only;
    bool whole; /* `transactions: whole`: load_waiting tells sets, and `init` has prepared for it */
    bool joint; /* records of joint transactions are claimed first: `init` has prepared for it */
    bool for_operator; /* nothing is published; what it writes may take as long as it takes */
};

/** The lease of rule 10. */
struct lease {
    char origin[OUTBOX_NAME_SIZE];
    char incarnation[OUTBOX_UUID_SIZE];
    char holder[OUTBOX_NAME_SIZE];
    int64_t epoch;
    int64_t until_us; /* wall clock */
    /** The session that it was taken or compared in (struct outbox). A fenced change in another one
     * is refused: the database may have lost what its holder remembers. */
    unsigned session;
    /** A setting of the server by which what was committed, and then published, may be undone by a
     * loss of power; "" where there is none. Set by take_lease. */
    char not_durable[OUTBOX_NAME_SIZE];
};

struct relay_partition {
    char topic[OUTBOX_NAME_SIZE];
    int32_t partition;
    uint64_t last_sequence;
    char last_id[OUTBOX_ID_SIZE];
    uint64_t acknowledged_sequence;
    int64_t acknowledged_offset; /* -1: none */
    char acknowledged_id[OUTBOX_ID_SIZE];
    int64_t read_offset; /* the log was read up to here, and holds nothing that is not known */
};

/** A row of the outbox. Slices live in the arena it was loaded into. */
struct outbox_row {
    int64_t position;
    struct slice id;          /* data NULL: it has none, because its created_at is no time */
    bool id_is_derived;       /* the row was given none (event_id.h) */
    struct slice entity_type; /* aggregatetype */
    struct slice entity_key;  /* aggregateid as written, canonical after the claim */
    bool rekeyed;             /* the relay made entity_key canonical, the table has another one */
    struct slice type;        /* "order.updated" */
    struct slice payload;
    struct slice created_at;
    struct slice traceparent;
    struct slice partition_key;
    const char *topic; /* set by the relay before the claim; what find and load_claimed read */
    int32_t partition;
    uint64_t sequence;
    struct slice previous_id; /* id at sequence - 1 */
    struct slice set_aside;   /* reason */
    uint64_t changeset_end; /* the last sequence of its set in its partition; 0: it is alone. Set by
                             * the relay before the claim; what find, list and load_claimed read */
    struct slice changeset; /* rows that have the same one are a set; empty: it is alone */
    struct slice joint; /* the name of the joint transaction that made the change; empty: none */
    bool shared;        /* several transactions may have its `changeset` (rule 51) */
    /* What load_waiting fills where whole sets are published, all in one snapshot. */
    int64_t
        last_of_group;  /* the largest position that waits with its `changeset`; its own: alone */
    bool behind;        /* a row of its set waits that was not loaded */
    int64_t blocked_by; /* position of the last earlier row of its entity that is set aside; 0 */
    bool paused;        /* its type is paused; the relay marks all that has to wait with it */
    bool earlier;       /* where it was asked for: of its set a row waits at or before `after` */
    int64_t created_us; /* wall clock; 0: created_at was not read yet */
    int64_t left_out_bytes; /* of a payload that was too large to be loaded; 0: it was */
};

/** Rows that were loaded; they live in an arena. */
struct outbox_rows {
    struct outbox_row *rows;
    size_t count;
    /** Of load_waiting behind a claim: up to `extent->after` no row lacks a number, but for those
     * that are being claimed. False where no row was loaded. */
    bool complete;
    bool cut; /* the arena was full: more rows may be there than were loaded */
};

/** How much to load at once, and behind which rows. */
struct outbox_extent {
    size_t rows;
    size_t payload_bytes; /* a payload larger than this is left out of its row */
    size_t total_bytes;   /* of all payloads; one row is loaded in any case */
    int64_t after;        /* only rows above this position; 0: all */
    size_t claimed;       /* how many rows are being claimed, the last of them at `after` */
    bool tells_earlier;   /* of a set that may be committed late: tell `earlier` */
};

/** How long to wait for a commit, and what else ends the wait. */
struct outbox_wait {
    int64_t timeout_us; /* 0: do not wait */
    int descriptor;     /* the wait ends once it is readable; -1: none */
};

enum outbox_filter { OUTBOX_WAITING, OUTBOX_SET_ASIDE, OUTBOX_ALL };

/** Which rows people want to see. */
struct outbox_selection {
    enum outbox_filter filter;
    size_t limit;  /* rows; 0: all */
    int64_t after; /* only rows above this position; 0: all */
    bool brief;    /* without payloads */
};

/** How a reason begins that sets a set aside because it is behind another one that is (rule 54). */
#define OUTBOX_BEHIND "behind "

/** The rows of one set that is set aside, or one row that is alone. */
struct outbox_set {
    const struct outbox_row *rows; /* in the order of their positions */
    size_t count;
    const char *reason;
    int64_t behind; /* position of the row that it waits for; 0: the reason is its own */
};

/** What an operator does with a set that is set aside. */
enum outbox_resolution {
    OUTBOX_RETRY, /* it waits again */
    OUTBOX_DROP,  /* it is deleted */
    OUTBOX_CUT,   /* its rows wait again, each alone */
};

/** What a claim stores, all set by the caller. */
struct outbox_claim {
    const struct outbox_row *rows;
    size_t row_count;
    const struct relay_partition *partitions;
    size_t partition_count;
    /** What load_waiting is asked for next; NULL: not known. Where that costs no round trip, its
     * rows are read right behind the claim. They are then as they were at the claim's end. */
    const struct outbox_extent *next;
};

/** An entity type on its way to another topic. */
struct outbox_move {
    const char *entity_type;
    const char *topic;
    int64_t position; /* rows up to here are done; 0 at first */
    bool done;
};

struct outbox_counts {
    int64_t waiting;
    int64_t claimed;
    int64_t set_aside;
    int64_t oldest_waiting_us; /* wall clock; 0: none waits */
    int64_t oldest_claimed_us; /* wall clock; of those not acknowledged; 0: none is claimed */
};

/** Which rows may go. */
struct outbox_purge {
    int64_t before_us;        /* wall clock; only older rows */
    struct slice read_topics; /* JSON array, NUL-terminated: what the own agent reads */
    size_t limit;             /* rows, or rows of each partition: more may go */
};

/** Append the JSON array of the topics that a service applies; with `published` only of the types
 * that it publishes too. The caller looks at out->failed. */
void outbox_append_applied(const struct config *config, bool published, struct buffer *out);

/** Refuse `transactions: whole` where this incarnation has numbered changes in another topic than
 * the one that all types share now (rule 50).
 * @return OK; FATAL with exit code 78 and what to do. */
enum status outbox_check_whole(const struct config *config, const struct relay_partition *states,
                               size_t count, struct error *err) MUST_CHECK;

/** How a service asks for tickets and tokens. */
struct outbox_token_sql {
    const char *when; /* for people */
    const char *text; /* NULL: the end of the list */
};

/** A slot that returned RETRY may be called again at once: a back end that lost its connection
 * makes a new one. Any fenced change may then be durable or not, and the database may be another
 * one: fenced changes are RETRY until `session` of the lease is that of the outbox again. */
struct outbox_ops {
    const char *scheme;
    const struct outbox_token_sql *token_sql;
    enum status (*open)(const struct outbox_options *options, struct outbox **ret_outbox,
                        struct error *err);
    void (*close)(struct outbox *outbox);
    /** Take the lease where it is free, expired or already this instance's: raises the epoch.
     * @return OK; ABORT with the holder in the text while another one has it; RETRY. */
    enum status (*take_lease)(struct outbox *outbox, int64_t duration_us, struct lease *ret_lease,
                              struct error *err);
    /** Durable: end the lease now, so that another instance can take it at once; the epoch stays.
     * @return OK, also where another one has taken it; RETRY. */
    enum status (*release_lease)(struct outbox *outbox, const struct lease *lease,
                                 struct error *err);
    /** Per-partition state, all topics. Caller frees the array. */
    enum status (*load_partitions)(struct outbox *outbox, struct relay_partition **ret_partitions,
                                   size_t *ret_count, struct error *err);
    /** Read unclaimed rows in position order without those set aside and without later rows of an
     * entity (aggregatetype and aggregateid, bytewise) that has one set aside, and without those of
     * a type that is paused; in one statement, as an operator may change that any time. No more
     * than `extent` has in memory. Positions become visible out of order. So the same statement, in
     * one snapshot, fills `complete`: without that, rows above a position must not be numbered.
     * Where whole sets are published all rows that wait are read, without a gap, and each says by
     * `blocked` and `paused` why it may have to wait: the relay judges whole sets. */
    enum status (*load_waiting)(struct outbox *outbox, const struct outbox_extent *extent,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err);
    /** Read the records of joint transactions that wait, in position order, without those set aside
     * and those behind one of the same transaction that is. Where none waits that costs next to
     * nothing. Of `extent` only the first three members count. */
    enum status (*load_joint)(struct outbox *outbox, const struct outbox_extent *extent,
                              struct arena *arena, struct outbox_rows *ret_rows, struct error *err);
    /** In one durable transaction that begins with the UPDATE of the lease row (epoch): store each
     * row's partition, sequence and `changeset_end`, its key where it is `rekeyed`, and the
     * partitions' last sequence and id; renew the lease. The rows may come in any order of their
     * positions. @return OK; RETRY; ABORT (lease lost). */
    enum status (*claim)(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_claim *claim, struct error *err);
    /** Rows that were numbered for a topic's partition, above its acknowledged sequence and in
     * their order, also where their type has another topic by now. @return OK; RETRY; FATAL (one
     * is gone). */
    enum status (*load_claimed)(struct outbox *outbox, const struct relay_partition *partition,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err);
    /** Take a step in giving an entity type another topic, in one transaction that begins with the
     * lease row: a bounded part of its numbered rows is noted as belonging to the topic that they
     * were numbered for; once all are, the type is the new topic's. Nothing where it is already, or
     * never had one. No claim of the type may come between. */
    enum status (*move_type)(struct outbox *outbox, const struct lease *lease,
                             struct outbox_move *move, struct error *err);
    /** Durable, begins with the lease row: store acknowledged sequence, offset and id. */
    enum status (*acknowledge)(struct outbox *outbox, const struct lease *lease,
                               const struct relay_partition *partitions, size_t count,
                               struct error *err);
    /** Durable, begins with the lease row: store `read_offset`. With none it renews the lease. */
    enum status (*note_read)(struct outbox *outbox, const struct lease *lease,
                             const struct relay_partition *partitions, size_t count,
                             struct error *err);
    /** Set waiting rows aside with a reason, as one set, and store the entity_key of each, which
     * the relay made canonical where it could; also begins with the lease row. Rows that were not
     * loaded go with them where they have the same `changeset` and that is not `shared`.
     * @param ret_done  false: the row that the set is `behind` is not set aside any more, and
     * nothing was changed. */
    enum status (*set_aside)(struct outbox *outbox, const struct lease *lease,
                             const struct outbox_set *set, bool *ret_done, struct error *err);
    /** Read the rows that wait with a row's `changeset`, behind it and up to its last_of_group, in
     * the order of their positions and without payloads. No more than a statement can have: none
     * are left once none is returned. */
    enum status (*load_group)(struct outbox *outbox, const struct outbox_row *row,
                              struct arena *arena, struct outbox_rows *ret_rows, struct error *err);
    /** Store the canonical entity_key of rows that still wait (`rekeyed`, all of them), so that
     * load_waiting can compare them with those set aside; one transaction that begins with the
     * lease row. ABORT where a row does not wait. */
    enum status (*write_keys)(struct outbox *outbox, const struct lease *lease,
                              const struct outbox_row *rows, size_t count, struct error *err);
    /** Find a row by its event id, given or derived.
     * @return OK with position 0 where it is not there. */
    enum status (*find)(struct outbox *outbox, struct slice id, struct arena *arena,
                        struct outbox_row *ret_row, struct error *err);
    /** Delete rows that are old, acknowledged and, where the own agent has a position in their
     * topic and still reads it, read back by it (rule 12). A set goes once its end is acknowledged:
     * its last row that has a number says where that is, and a new incarnation publishes it whole.
     */
    enum status (*purge)(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_purge *purge, size_t *ret_purged, struct error *err);
    /** Name a topic of which the service's own agent has not read what the log had when a new
     * incarnation began (rule 13), first one that it does not read; "" where there is none.
     * @param read_topics  as in outbox_purge. */
    enum status (*held_back)(struct outbox *outbox, struct slice read_topics,
                             char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
    /** Name a topic of which the service's own agent does not read every partition, or which is
     * being filled: rows of it are missing here (rule 41); "" where there is none.
     * @param topics  JSON array, NUL-terminated: those that the service publishes and applies. */
    enum status (*unread)(struct outbox *outbox, struct slice topics,
                          char ret_topic[static OUTBOX_NAME_SIZE], struct error *err);
    /** Wait until another connection may have committed since the last call, or `wait` says to end;
     * outside of a transaction. It is for an idle relay: a busy one just loads again. May say true
     * too often, never false wrongly.
     * @return OK; RETRY (the connection is lost or the database busy). */
    enum status (*wait)(struct outbox *outbox, const struct outbox_wait *wait, bool *ret_changed,
                        struct error *err);
    /** For people. */
    enum status (*list)(struct outbox *outbox, const struct outbox_selection *selection,
                        struct arena *arena, struct outbox_rows *ret_rows, struct error *err);
    enum status (*count)(struct outbox *outbox, struct outbox_counts *ret_counts,
                         struct error *err);
    /** Operator: decide about the row at a position that is set aside, and its whole set. All that
     * was set aside `behind` another set waits again too: the relay judges it once more.
     * @return OK; RETRY; REJECT (no such row is set aside). */
    enum status (*resolve_set_aside)(struct outbox *outbox, int64_t position,
                                     enum outbox_resolution resolution, struct error *err);
    /** Make the token of a ticket, in `arena`; data NULL while an event waits for its number.
     * @return OK; RETRY; REJECT (there will be none, with the reason); FATAL. */
    enum status (*token)(struct outbox *outbox, const char *ticket, struct arena *arena,
                         struct slice *ret_token, struct error *err);
    /** List what is paused (rule 49). @return OK, then the caller frees it; RETRY; FATAL. */
    enum status (*list_paused)(struct outbox *outbox, struct paused_types *ret_paused,
                               struct error *err);
    /** Read the lease row without taking it. */
    enum status (*read_lease)(struct outbox *outbox, struct lease *ret_lease, struct error *err);
};

struct outbox {
    const struct outbox_ops *ops;
    unsigned session; /* how many connections were lost so far */
    bool has_next;    /* the last claim has read rows too: load_waiting costs nothing now */
};

#define OUTBOX_NEW_SESSION "the connection to the database was lost"

#endif
