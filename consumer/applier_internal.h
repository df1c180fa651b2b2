/* What the applier's files share; included by them only. */
#ifndef CONSUMER_APPLIER_INTERNAL_H
#define CONSUMER_APPLIER_INTERNAL_H

#include "consumer/applier.h"

#define APPLIER_DURABLE_US  800000 /* "within a second" less the time a commit takes */
#define APPLIER_BACKOFF_US  1000000
#define APPLIER_BACKOFF_MAX 60000000

#define APPLIER_DELETES 256

/** A delete that was read: a tombstone may follow it. */
struct delete_seen {
    uint64_t digest; /* of source and entity */
    int64_t offset;
};

/** An owned partition: its state as committed, and what the running transaction makes of it. */
struct owned {
    struct partition_state state;
    int64_t durable_offset;
    bool reloaded;
    int64_t end_offset;  /* noted end of the log, 0: none */
    int64_t retry_at_us; /* no earlier look for waiting records */
    bool cure;           /* a commit may have cured waiting records: look at once */
    bool kept;           /* superseded images of it may be stored */
    int64_t kept_offset; /* the record of the last one looked at */
    struct delete_seen deletes[APPLIER_DELETES]; /* the last ones, at digest % their number */

    int64_t stop_offset; /* events from here on are not applied; INT64_MAX: none */
    char stop_reason[ERROR_TEXT_SIZE];

    /* The running transaction. */
    bool touched;
    struct sequence_state *sequences;
    size_t sequence_count;
    size_t sequence_size;
    int64_t next_offset;
    const struct record *anchor; /* the last data record; NULL: none yet */
    char anchor_id[STORE_ID_SIZE];
    size_t parked;
};

/** Entities that this transaction blocks. */
struct blocked_now {
    size_t partition_index;
    struct slice entity_type;
    struct slice entity_key;
};

/** What left the parked records of an entity in this transaction. */
struct healed {
    const struct parked_record *head; /* the first of them, in the applier's arena; NULL: none */
    bool head_superseded;
    size_t applied;
    size_t superseded; /* not written: an own change is under way */
};

/** When the waiting entities were last tried together. */
struct together {
    int64_t tried_us; /* monotonic; 0: never */
    int64_t pause_us; /* until the next time; 0: soon */
    int64_t waiting;  /* as many did then */
    size_t part;      /* of more than one transaction takes, */
    size_t turn;      /* and of these the first of some neighbours, to be tried next */
};

struct applier {
    const struct store_ops *ops;
    const struct config *config;
    const struct mapping *mappings;
    size_t mapping_count;
    struct table_order *orders; /* of each mapping's table */
    struct agent_metrics *metrics;
    struct store *store;
    struct store_meta meta;
    struct owned *owned;
    size_t owned_count;
    struct arena arena;         /* of one transaction or repair */
    int64_t undurable_since_us; /* monotonic; 0: all commits waited */
    bool reload_needed;         /* a commit's outcome is unknown */
    bool connection_lost;       /* the store must be opened anew; then reload_needed too */
    size_t stops;               /* partitions cut or duplicates found: the batch is judged anew */
    bool singly;                /* in bulk the batch was fatal: find the event that is */
    bool publishes;             /* some mapping is published here: rule 18 applies */
    struct together together;
    size_t kept_index; /* the partition whose kept images are looked at next */

    /* The running transaction. */
    struct look look;    /* of all entities of the batch; none: each is asked for alone */
    unsigned int outrun; /* own changes that were committed behind a batch's single writes */
    struct blocked_now *blocked;
    size_t blocked_count;
    size_t blocked_size;
    struct healed healed;
};

const struct mapping *applier_mapping(const struct applier *applier, struct slice entity_type);
/** @return what the catalogue says of the order of its changes (rule 21). */
const struct table_order *applier_order(const struct applier *applier,
                                        const struct mapping *mapping);
bool applier_is_own(const struct applier *applier, const struct change *change);

/** Memory for one transaction. */
enum status applier_no_memory(struct error *err);

/** Reset what a transaction has made of the owned partitions. */
void applier_begin_work(struct applier *applier);

/** Outcome of every event that needs no statement; a partition that must stop gets stop_offset. */
enum status applier_judge(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Inside the transaction: idempotency keys, the look, kept images. */
enum status applier_judge_keys(struct applier *applier, struct batch *batch,
                               struct error *err) MUST_CHECK;
enum status applier_look(struct applier *applier, const struct batch *batch,
                         struct error *err) MUST_CHECK;
enum status applier_judge_own(struct applier *applier, struct batch *batch,
                              struct error *err) MUST_CHECK;

/** Where writers are not excluded: look again behind the writes of a batch. An event that stands
 * over an own change that was committed meanwhile is superseded, and the caller writes again from
 * the batch's start on. */
enum status applier_look_again(struct applier *applier, struct batch *batch, bool *ret_pending,
                               struct error *err) MUST_CHECK;

/** The same behind one event's write, which is taken back to its savepoint. */
enum status applier_look_behind(struct applier *applier, struct batch_event *event,
                                struct error *err) MUST_CHECK;

/** @return OK with whether an own change above `own_last` of this entity is under way. */
enum status applier_is_pending(struct applier *applier, const struct change *change,
                               uint64_t own_last, bool *ret_pending, struct error *err) MUST_CHECK;

/** The last applied sequence of the service's own events in a partition. */
uint64_t applier_own_last(const struct applier *applier, const struct owned *owned);

/** Mark an event as parked and its entity as blocked. */
enum status applier_park_event(struct applier *applier, struct batch_event *event,
                               enum reject_kind kind, int code, const char *reason,
                               struct error *err) MUST_CHECK;
bool applier_is_blocked(const struct applier *applier, const struct change *change);

/** A full image or a delete is not sparse: it replaces whatever was there before. */
bool applier_is_sparse(const struct change *change);

/** Write the images of a batch: reduced and in bulk, else one by one in log order. */
enum status applier_write(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Park, keep superseded images and record sequences. */
enum status applier_write_evidence(struct applier *applier, const struct batch *batch,
                                   struct error *err) MUST_CHECK;

/** Drop an entity's kept image: what the row holds now is newer. */
enum status applier_drop_kept(struct applier *applier, const struct owned *owned,
                              const struct change *change, struct error *err) MUST_CHECK;

/** Write a change that is stored outside the log, and take it back to the savepoint where the look
 * behind it finds an own change. @return OK with *ret_superseded; REJECT; STOP; RETRY; FATAL. */
enum status applier_attempt_write(struct applier *applier, const struct mapping *mapping,
                                  const struct change *change, bool *ret_superseded,
                                  struct error *err) MUST_CHECK;

/** From here on applier_is_pending() asks for each entity of this type alone. */
enum status applier_look_for(struct applier *applier, const struct owned *owned,
                             struct slice entity_type, struct error *err) MUST_CHECK;

/** Work on what the database keeps of a partition, in one transaction with its fence; memory takes
 * what the database holds after it. */
typedef enum status applier_repair_work(struct applier *applier, struct owned *owned,
                                        const void *subject, struct error *err);
enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           const void *subject, struct error *err) MUST_CHECK;

/** Put in front of a fatal error whose record it is of; any other error stays as it is. */
void applier_name_fatal(struct error *err, struct slice entity_type, struct slice entity_key,
                        const struct record *record);

/** Let an event stop its partition at the next attempt. */
void applier_stop_at(struct applier *applier, const struct change *change, const char *reason);

/** Decode a kept record again. @return what record_decode() says. */
enum status applier_decode(struct applier *applier, const struct record *record,
                           struct change **ret_change, struct error *err) MUST_CHECK;

/** @return whether it must stop, which is not recorded yet. */
bool applier_is_stopping(const struct owned *owned);

/** A fence of a partition as it stands. */
struct fence applier_fence(const struct owned *owned);

/** Before anything is asked of the store: open it anew and reload where that is needed. */
enum status applier_ready(struct applier *applier, struct error *err) MUST_CHECK;

/** Note a store's failure. @return `status`. */
enum status applier_note(struct applier *applier, enum status status, const struct error *err);

/** After a failure of a transaction: roll back and, where it is this agent's still, reload. */
enum status applier_recover(struct applier *applier, enum status status,
                            struct error *err) MUST_CHECK;

/** Commit; notes a commit whose outcome is unknown and what is durable. */
enum status applier_commit(struct applier *applier, bool durable, struct error *err) MUST_CHECK;

/** Try waiting entities together, as many as one transaction takes: what each alone cannot, they
 * may (rule 22). @return OK; as applier_apply(). */
enum status applier_retry_together(struct applier *applier, struct error *err) MUST_CHECK;

/** Memory takes over what was committed. */
enum status applier_advance(struct applier *applier, const struct batch *batch,
                            struct error *err) MUST_CHECK;

/** Show a partition's numbers to other threads. */
void applier_publish_metrics(struct applier *applier, const struct owned *owned);

#endif
