/* What the applier's files share; included by them only. */
#ifndef CONSUMER_APPLY_INTERNAL_H
#define CONSUMER_APPLY_INTERNAL_H

#include "consumer/apply/applier.h"

#define APPLIER_DURABLE_US  800000 /* "within a second" less the time a commit takes */
#define APPLIER_BACKOFF_US  1000000
#define APPLIER_BACKOFF_MAX 60000000

#define APPLIER_DELETES 256

/** A delete that was read: a tombstone may follow it. */
struct delete_seen {
    uint64_t digest; /* of source and entity */
    int64_t offset;
};

#define RUN_RECORDS 64 /* of one entity's that are read at a time */

/** Some neighbours among the parked records of one entity, as many as one transaction takes. */
struct run_piece {
    int64_t first_offset;
    size_t count;
    int64_t bytes;
};

/** What is known of the parked records of one entity that follow the first of them. */
struct run_scan {
    struct run_piece *pieces; /* of the records that were looked at */
    size_t piece_count;
    int64_t replaced_from; /* from here on those before `replacing` are skipped; INT64_MAX: none */
    uint64_t digest;       /* of entity type and key */
    int64_t next_offset;   /* records below were looked at */
    int64_t last_own;      /* offset of the last own one (rule 18); -1: none */
    int64_t replacing;     /* of the last that replaces all before it; -1: none */
    bool closed;           /* behind what cannot be read nothing replaces anything */
    bool told;             /* the log says already that it is being released */
};

/** One time through the waiting records of a partition, in pieces. */
struct retry_pass {
    bool running;
    int64_t due_us;
    int64_t offset; /* goes on here */
    bool progress;  /* it has released something of what is left */
    size_t healed;  /* entities, for the log */
};

/** An owned partition: its state as committed, and what the running transaction makes of it. */
struct owned {
    struct partition_state state;
    int64_t durable_offset;
    bool reloaded;
    int64_t end_offset;  /* noted end of the log, 0: none */
    int64_t retry_at_us; /* no earlier look for waiting records */
    bool cure;           /* a commit may have cured waiting records: look at once */
    bool unordered;      /* whose turn it is among the parked records is to be found out */
    struct retry_pass pass;
    int64_t together_offset; /* from here on waiting heads are tried together the next time */
    struct run_scan *scans;  /* of waiting entities */
    size_t scan_count;
    bool kept;                                   /* superseded images of it may be stored */
    int64_t kept_offset;                         /* the record of the last one looked at */
    struct delete_seen deletes[APPLIER_DELETES]; /* the last ones, at digest % their number */

    int64_t stop_offset; /* events from here on are not applied; INT64_MAX: none */
    char stop_reason[ERROR_TEXT_SIZE];
    char first_reason[ERROR_TEXT_SIZE / 2]; /* of what was parked first since it was taken */

    /* The running transaction. */
    bool touched;
    struct sequence_state *sequences;
    size_t sequence_count;
    size_t sequence_size;
    int64_t next_offset;
    const struct record *anchor; /* the last data record; NULL: none yet */
    char anchor_id[STORE_ID_SIZE];
    int64_t parked; /* records, */
    int64_t parked_bytes;
    size_t blocked;            /* and entities that were not blocked before */
    struct block_set blocking; /* what waits for them */
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
    size_t stops;               /* partitions cut: the batch is judged anew */
    bool again;                 /* it is judged anew for what it was found to hold */
    bool singly;                /* in bulk the batch was fatal: find the event that is */
    bool publishes;             /* some mapping is published here: rule 18 applies */
    struct together together;
    size_t kept_index;  /* the partition whose kept images are looked at next, */
    size_t retry_index; /* and whose waiting records */
    bool retries;       /* some pass through waiting records is not at its end */

    /* The running transaction. */
    struct pending_read pending; /* of all entities of the batch; none: each is asked for alone */
    unsigned int outrun; /* own changes that were committed behind a batch's single writes */
    size_t parks;        /* events that were parked so far */
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

/** Inside the transaction: idempotency keys, own changes not read back, kept images. */
enum status applier_judge_keys(struct applier *applier, struct batch *batch,
                               struct error *err) MUST_CHECK;
enum status applier_read_pending(struct applier *applier, const struct batch *batch,
                                 struct error *err) MUST_CHECK;
enum status applier_judge_own(struct applier *applier, struct batch *batch,
                              struct error *err) MUST_CHECK;

/** Where writers are not excluded: look again behind the writes of a batch. An event that stands
 * over an own change that was committed meanwhile, or that the database rejected because of it, is
 * superseded, and the caller writes again from the batch's start on. */
enum status applier_recheck_pending(struct applier *applier, struct batch *batch, bool *ret_pending,
                                    struct error *err) MUST_CHECK;

/** The same behind one event's write, which is taken back to its savepoint. */
enum status applier_recheck_write(struct applier *applier, struct batch_event *event,
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

/** Keep a superseded image, until something newer is written or the own change was read back. */
enum status applier_keep(struct applier *applier, struct owned *owned, const struct change *change,
                         struct error *err) MUST_CHECK;

/** What a kept image (NULL: none) and a newer one make of the row: the newer one, unless it lacks
 * columns that the kept one has. @param ret_image  either of them, or in the applier's arena. */
enum status applier_merge(struct applier *applier, const struct change *kept,
                          const struct change *newer, const struct change **ret_image,
                          struct error *err) MUST_CHECK;

/** @return whether a stored record was merged of several: it has Keepstep's form in any topic. */
bool applier_is_merged(const struct record *record);

/** Read the kept image of a change's entity; NULL: none. @return OK; STOP (it cannot be read). */
enum status applier_read_kept(struct applier *applier, const struct change *of,
                              const struct change **ret_kept, struct error *err) MUST_CHECK;

/** What is kept of a change's entity in front of the batch's event at `end`; NULL: nothing. */
enum status applier_image_before(struct applier *applier, const struct batch *batch, size_t end,
                                 const struct change *of, const struct change **ret_image,
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
enum status applier_read_pending_singly(struct applier *applier, const struct owned *owned,
                                        struct slice entity_type, struct error *err) MUST_CHECK;

/** Work on what the database keeps of a partition, in one transaction with its fence; memory takes
 * what the database holds after it. */
typedef enum status applier_repair_work(struct applier *applier, struct owned *owned, void *subject,
                                        struct error *err);
enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           void *subject, struct error *err) MUST_CHECK;

/** Find out whose turn it is among the parked records of a partition, and tell the database.
 * Statuses as applier_apply(). */
enum status applier_order_parked(struct applier *applier, struct owned *owned,
                                 struct error *err) MUST_CHECK;

/** Of the parked records of one entity those from an offset on, without the skipped.
 * @param ret_type  borrowed by the filter. */
struct parked_filter applier_run_filter(const struct owned *owned, const struct parked_record *of,
                                        int64_t from_offset, char ret_type[static STORE_NAME_SIZE]);

/** @return whether a record has to wait for one before it whose entity cannot be read. */
bool applier_is_behind_unreadable(const struct owned *owned, const struct parked_record *record);

/** Read parked records of one entity from an offset on, at most as many bytes as a batch has.
 * @param ret_more  whether others follow. */
enum status applier_read_run(struct applier *applier, const struct owned *owned,
                             const struct parked_record *of, int64_t from_offset,
                             struct parked_record **ret_records, size_t *ret_count, bool *ret_more,
                             struct error *err) MUST_CHECK;

/** Look through what is parked of an entity until `until_us`. @return OK; *ret_scan is NULL where
 * there is more to look at. */
enum status applier_scan_run(struct applier *applier, struct owned *owned,
                             const struct parked_record *head, int64_t until_us,
                             struct run_scan **ret_scan, struct error *err) MUST_CHECK;
void applier_forget_scans(struct owned *owned);

/** @return where the last piece in front of an offset begins; -1: none is there. */
int64_t run_scan_piece_before(const struct run_scan *scan, int64_t offset);

/** How long a transaction may last beside the service (rule 19). */
int64_t applier_time_us(const struct applier *applier);

/** Memory takes over what a transaction has parked. */
enum status applier_advance_blocked(struct owned *owned, struct error *err) MUST_CHECK;

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
