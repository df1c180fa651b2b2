/* The seam between the applier and a peer's database: one const function table a back end.
 *
 * A back end never logs, retries or decides policy. One thread calls all slots. Between begin and
 * commit or rollback it calls nothing of the database but these slots. If a slot fails with RETRY,
 * ABORT or FATAL, the caller rolls back. If it fails with REJECT, the caller goes back to the
 * savepoint. A back end may send statements without waiting for their answers. Then a later slot
 * returns the error, at the latest commit. If the connection is lost, a slot returns RETRY and sets
 * err->connection_lost. The caller then closes the store, opens it again and takes its fences by
 * epoch alone (rule 4). */
#ifndef CONSUMER_STORE_STORE_H
#define CONSUMER_STORE_STORE_H

#include "consumer/store/blocked.h"
#include "consumer/store/fill.h"
#include "schemas/change.h"
#include "schemas/paused.h"
#include "schemas/row_scan.h"

#define STORE_SCHEMA_VERSION 3 /* of Keepstep's tables beside a copy; `init` makes it */

#define STORE_TOKEN_SIZE 37 /* a UUID and its NUL */
#define STORE_ID_SIZE    64 /* longest event id that is remembered, with its NUL */
#define STORE_NAME_SIZE  256
#define STORE_KEY_MAX    255 /* bytes of an idempotency key's source, and of its id */
#define SEQUENCE_WINDOW  256

#define STORE_PLACE_KEY_SIZE 23 /* "place ", 16 digits and a NUL */

struct store;
struct joint_ops; /* consumer/joint/joint.h */

struct store_options {
    const char *path;    /* of the database file; of a server the whole URL */
    const char *service; /* its name as the source of own changes (rule 18) */
    bool install;        /* init: create Keepstep's tables */
    bool new_copy;       /* with install: another copy id, and so another consumer group (rule 8) */
    bool read_only;      /* operate: only the reading slots are called */
    int64_t snapshot_time_s; /* read_only: how long a snapshot may last; 0: 600 */
    int64_t scan_rows_s;     /* read_only: most rows that a scan reads a second; 0: no limit */
};

/** How one entity type is kept in a table. Borrowed; outlives the store. */
struct mapping {
    const struct entity_schema *schema;
    const struct config_entry *entry;
    struct record_form form; /* for records of another program; used where entry->format says so */
    bool published_here;     /* the service publishes it too: rules 18 and 25 apply */
};

/** All of a service's copies. */
struct copies {
    const struct mapping *mappings;
    size_t count;
    bool roles_alone; /* of copy_sql(): only what the roles are granted, no tables */
};

/** @return the table's name: the entry's, or the entity type. */
const char *mapping_table(const struct mapping *mapping);

/** The range of applied sequences of one (source, incarnation) in a topic's partition. */
struct sequence_state {
    char source[STORE_NAME_SIZE];
    char incarnation[STORE_TOKEN_SIZE];
    uint64_t base; /* first sequence that counts; 1, or more if the copy started in the middle, or
                    * passed a change set whole that ended before it */
    uint64_t last;
    char last_id[STORE_ID_SIZE]; /* "": of a set that was passed, and whose end was not read */
    uint32_t digests[SEQUENCE_WINDOW]; /* short digests of the last ids, at sequence % window */
};

/** Everything the database knows of one partition. Owned by the caller; free with
 * partition_state_done(). */
struct partition_state {
    char topic[STORE_NAME_SIZE];
    int32_t partition;
    bool exists; /* it had a position before it was taken */
    int64_t next_offset;
    int64_t durable_offset; /* next_offset as of the last durable commit */
    int64_t epoch;
    int64_t revision;
    char token[STORE_TOKEN_SIZE];
    int64_t anchor_offset; /* -1: none */
    char anchor_id[STORE_ID_SIZE];
    char cluster_id[STORE_NAME_SIZE];
    int32_t partition_count;
    int64_t filled_to; /* filled at a stamp, and complete from here on (rule 39); 0: not filled */
    bool partial;      /* started in the middle on request */
    char stopped[ERROR_TEXT_SIZE]; /* why it is stopped; "" while it runs */
    struct sequence_state *sequences;
    size_t sequence_count;
    struct block_set blocked; /* keys of the parked records, without the skipped ones */
    int64_t parked_count;     /* parked records, without the skipped ones */
    int64_t waiting_count;    /* those of them that the agent itself retries */
    int64_t held_count;       /* those that a person must act on */
    int64_t parked_bytes;     /* their keys, values and headers */
};

/** @return whether it was filled and has not come to filled_to: it is not complete (rule 39). */
static inline bool partition_is_filling(const struct partition_state *state)
{
    return state->next_offset < state->filled_to;
}

/** @return whether the copy has read something of the partition. A position at 0 only says why an
 * agent stands still there. */
static inline bool partition_is_read(const struct partition_state *state)
{
    return state->next_offset > 0 || state->anchor_offset >= 0;
}

static inline struct topic_partition partition_state_tp(const struct partition_state *state)
{
    return (struct topic_partition){state->topic, state->partition};
}

/** One partition's part of a transaction: the compare-and-set of rule 3 and what it writes. */
struct fence {
    const char *topic;
    int32_t partition;
    int64_t old_offset;
    int64_t new_offset;
    int64_t epoch;
    int64_t revision;
    bool by_epoch_alone;   /* rule 4: after an unknown COMMIT */
    bool revise;           /* an operator's: raises the revision too */
    int64_t anchor_offset; /* -1: keep the stored anchor */
    const char *anchor_id;
    const char *stopped; /* NULL: clear it */
};

enum key_verdict { KEY_NEW, KEY_DUPLICATE, KEY_CONFLICT /* same key, other digest */ };

struct key_claim {
    const char *topic; /* of its record; NULL: not known */
    struct slice source;
    struct slice id;
    uint64_t digest;
    enum key_verdict verdict; /* set by the store */
};

static inline const char *key_claim_topic(const struct key_claim *claim)
{
    return claim->topic == NULL ? "" : claim->topic;
}

#define OWN_UNNUMBERED UINT64_MAX

/** An entity and the last own change of it that the agent has not read back: an unclaimed,
 * set-aside or numbered outbox row. */
struct own_change {
    struct slice entity_type;
    struct slice entity_key;
    uint64_t sequence; /* 0: no such change; OWN_UNNUMBERED: one without a number */
};

/** Own numbered rows of a topic's partition, above the sequence that was read back last. */
struct pending_range {
    const struct entity_schema *schema;
    int32_t partition;
    uint64_t above;
};

struct pending_read {
    const struct pending_range *ranges;
    size_t range_count;
    /** Sorted by type and key, each once. NULL: those that are found are listed, in `arena`. If
     * there are more than `limit`, entity_count becomes limit + 1 and the list is cut. */
    struct own_change *entities;
    size_t entity_count;
    struct arena *arena;
    size_t limit;
};

/** @param key  borrowed until the call returns; its verdict says nothing.
 * @return OK; anything else ends the scan. */
typedef enum status key_visit(void *context, const struct key_claim *key, struct error *err);

/** Rows of a copy that are read; or the single idempotency keys of a topic. */
struct store_scan {
    const struct mapping *mapping; /* NULL: single keys */
    const char *topic;             /* of the single keys; those without a topic are read too */
    key_visit *visit_key;          /* of the single keys; it must not call the store */
    const struct slice *keys;      /* as scanned rows have them, each once; NULL: all rows */
    size_t count;                  /* 0 with keys: no row. Nobody changes the table from then on */
    row_visit *visit;              /* it must not call the store */
    void *context;                 /* of visit or visit_key */
};

enum parked_state { PARKED_HELD, PARKED_WAITING, PARKED_BEHIND, PARKED_SKIPPED };

struct parked_record {
    int64_t parked_id; /* set by the store */
    struct record record;
    struct slice entity_type;
    struct slice entity_key; /* what it blocks */
    enum parked_state state;
    struct slice reason;
    int code;
    int attempts;
    int64_t parked_at_us;
    int64_t next_attempt_us; /* waiting: not before */
    int64_t bytes;           /* of key, value and headers; set by the store */
    uint64_t changeset_end;  /* the last sequence of its set; 0: it is alone (rule 57) */
    size_t set_size;         /* how many records it stands for where a list has its set as one */
};

/** Parked records that were read, in an arena. */
struct parked_records {
    struct parked_record *records;
    size_t count;
    size_t size; /* that there is room for */
};

/** Which parked records to read. A field that is NULL or 0 does not matter. */
struct parked_filter {
    const char *topic;
    int32_t partition; /* -1: any */
    const char *entity_type;
    struct slice entity_key; /* data NULL: any */
    int64_t parked_id;
    int64_t from_offset;
    const struct parked_record
        *set_of;        /* all of this record's set, also the skipped ones; of the
                         * rest only from_offset, `limit` and `without_value` matter */
    int64_t due_us;     /* waiting records whose next attempt is due at this time */
    bool blocking;      /* without the skipped ones */
    bool without_value; /* their values are left out: so many records need little memory */
    bool by_id;         /* those behind after_id, in the order of their ids; of the rest only
                         * `limit` and `without_value` matter */
    int64_t after_id;
    size_t limit; /* 0: all */
};

/** @return whether one entity's records in one partition are asked for. */
static inline bool parked_filter_is_entity(const struct parked_filter *filter)
{
    return filter->topic != NULL && filter->partition >= 0 && filter->entity_type != NULL &&
           filter->entity_key.data != NULL;
}

/** The store does not decide which record is next: see block_keys_conflict(). What takes a record
 * of a set away takes all of its set. */
enum parked_edit {
    PARKED_DELETE,      /* it was applied, or its set was */
    PARKED_ATTEMPT,     /* state, reason, code, attempts and next_attempt_us are written */
    PARKED_SET_SKIPPED, /* it, or its set, by an operator, at next_attempt_us; raises the revision
                         */
    PARKED_SET_WAITING, /* by an operator, to be retried now; raises the revision. A set that is
                         * skipped stays so, and is not there */
};

/** The last image of an entity that an own change kept from being written (rule 18). */
struct superseded_image {
    struct slice entity_type;
    struct slice entity_key;
    struct record record;
};

/** What was recorded for a place: nothing yet, the same place, another one that still exists, or
 * one that does not exist any more. */
enum place_record { PLACE_UNRECORDED, PLACE_SAME, PLACE_ELSEWHERE, PLACE_GONE };

/** Where a column of an entity type is kept, in the catalogue and as it was recorded. */
struct place {
    const char *table;              /* as the configuration writes it */
    const char *column;             /* likewise; "": the table itself */
    char name[STORE_NAME_SIZE];     /* as the catalogue has both: "table.column" */
    char key[STORE_PLACE_KEY_SIZE]; /* of its record in keepstep_meta */
    char recorded[STORE_NAME_SIZE]; /* the name there; "" without a record */
    bool has_table;
    bool has_column;
    enum place_record record; /* set by store_prepare() */
};

/** Set a place's name; if it is too long, its digest. */
void place_set_name(struct place *place, struct slice name);

/** @return whether there is nothing to record. */
static inline bool place_is_recorded(const struct place *place)
{
    return strcmp(place->name, place->recorded) == 0;
}

struct store_meta {
    char copy_id[STORE_TOKEN_SIZE];
    char incarnation[STORE_TOKEN_SIZE]; /* of the outbox beside the copy; "" without one */
    int schema_version;
};

/** What the catalogue says of the order in which a copy has to be written. */
struct table_order {
    /** Rows elsewhere change with its rows, by foreign keys that cascade or by triggers that are
     * not Keepstep's. So no change is left out, and all are written in their order. */
    bool is_followed;
    bool is_whole; /* it has only the mapping's columns: a row that is deleted and made again is the
                      same */
    /** A foreign key by which rows of a copy change with this one's. `child` is "" if there is
     * none, `constraint` is "" if it has no name. */
    char constraint[STORE_NAME_SIZE];
    char child[STORE_NAME_SIZE];
    char parent[STORE_NAME_SIZE];
};

/** How far the rows of a table are deleted. */
struct store_clearing {
    int64_t rows;    /* so many are deleted by a call at most; of each partition of the table */
    int64_t next;    /* where the next call goes on; 0: it is the first one */
    int64_t end;     /* the store's own */
    int64_t deleted; /* by the last call */
    bool is_over;    /* it went through the table, which may have rows again */
};

/** What a store says of a token. */
enum token_verdict {
    TOKEN_UNKNOWN = -1, /* it never saw the token's origin in one of its topics */
    TOKEN_WAITS = 0,    /* an event is not applied, or the copy is not complete */
    TOKEN_APPLIED = 1,
};

/** The place of an event among those of its origin. */
struct record_sequence {
    struct slice source;
    struct slice incarnation;
    int64_t sequence; /* 0: it has none, and so neither source nor incarnation */
};

/** What is old enough to be deleted: at most `limit` of each kind. */
struct prune {
    int64_t keys_before_us;    /* single keys that were claimed before this time; 0: none */
    int64_t skipped_before_us; /* records that were parked and skipped before this time; 0: none */
    size_t limit;
};

struct store_ops {
    const char *scheme;            /* "sqlite", "memory" */
    bool excludes_writers;         /* no other session writes between begin and commit (rule 18) */
    bool refuses_alone;            /* a single change that apply() rejects undoes only itself; and
                                    * constraints cannot be deferred */
    const char *install_sql;       /* what open() with `install` runs; for `init --print-sql` */
    const char *applied_sql;       /* asks whether the events of a token are applied */
    const struct joint_ops *joint; /* joint transactions; NULL: only of a test's store */
    /** Append the rest of what `init --print-sql` prints for this side: the local copies' tables,
     * and grants of exactly the rights that the roles keepstep_agent and keepstep_lag need. Their
     * rights on the outbox are the other side's. @return OK; FATAL (a column that cannot be). */
    enum status (*copy_sql)(const struct copies *copies, struct buffer *out, struct error *err);

    /** Open or create the connection. @return OK, RETRY (cannot be reached), FATAL (not
     * initialised, newer schema version: text names `keepstep init`). */
    enum status (*open)(const struct store_options *options, struct store **ret_store,
                        struct error *err);
    /** NULL is a no-op; rolls back what is open. */
    void (*close)(struct store *store);
    /** Read what the catalogue and keepstep_meta say of places: has_table, has_column, recorded and
     * name. All spellings of a place have one name; a place that does not exist has the name with
     * which it would be made. With `record`, write the names that are not recorded yet instead.
     * @return OK, RETRY. */
    enum status (*places)(struct store *store, struct place *places, size_t count, bool record,
                          struct error *err);
    /** Create or widen the local table of a mapping (DDL, own transaction), check it against the
     * catalogue and prepare its statements. @return OK, RETRY, FATAL (cannot be kept exactly). */
    enum status (*prepare)(struct store *store, const struct mapping *mapping, struct error *err);
    /** Read whether the order of a prepared mapping's changes matters. If so, apply() keeps it from
     * then on. @return OK; RETRY. */
    enum status (*order)(struct store *store, const struct mapping *mapping,
                         const struct copies *copies, struct table_order *ret_order,
                         struct error *err);
    /** Read the copy's identity. */
    enum status (*meta)(struct store *store, struct store_meta *ret_meta, struct error *err);
    /** Read one partition without owning it. `exists` is false if it has no position. */
    enum status (*read)(struct store *store, const char *topic, int32_t partition,
                        struct partition_state *ret_state, struct error *err);
    /** List the positions of all partitions, without their sequences, blocked entities and counts.
     * The caller frees the array. */
    enum status (*list)(struct store *store, struct partition_state **ret_states, size_t *ret_count,
                        struct error *err);
    /** In one durable transaction raise the epoch, clear `stopped` and store `state`'s token,
     * cluster id, partition count and partial flag, and next_offset if there was no position. Then
     * load all of it into `state`; lists of an earlier call are freed. */
    enum status (*take)(struct store *store, struct partition_state *state, struct error *err);
    /** Begin a transaction, write the fences in their order, which is (topic, partition), and set a
     * savepoint.
     * @return OK; RETRY (locked); ABORT (a fence was lost: native_code 1: the epoch is still ours,
     * so load the state again and go on; 0: another agent owns the partition). */
    enum status (*begin)(struct store *store, const struct fence *fences, size_t count,
                         struct error *err);
    /** With `undo` go back to the savepoint. Else set it here; the last one is gone. */
    enum status (*savepoint)(struct store *store, bool undo, struct error *err);
    /** Give the savepoint up: from now on only rollback() undoes anything. */
    enum status (*drop_savepoint)(struct store *store, struct error *err);
    /** With `on` defer the constraints that can be deferred. A way back to the savepoint does not
     * change that. Else check them now, and from now on with each statement, as after begin().
     * @return OK; REJECT (waiting; the change at fault is not known); RETRY. */
    enum status (*defer)(struct store *store, bool on, struct error *err);
    /** Let each statement of this transaction last as long as it needs, not 60 s alone: it writes
     * more than one that is bounded in time, and checks all of that at its end. What waits for a
     * lock still waits no longer than ever. @return OK; RETRY. */
    enum status (*take_time)(struct store *store, struct error *err);
    /** Find own changes of the given entities that were not read back, and set the sequence of each
     * entity. They are the outbox rows without a sequence, also those set aside, and the rows above
     * each range. All such rows of the types are read, but not kept in memory. Legal outside a
     * transaction. */
    enum status (*read_pending)(struct store *store, struct pending_read *pending,
                                struct error *err);
    /** List what was written of the fills of all topics. The caller frees the array. Legal outside
     * a transaction. @return OK; RETRY. */
    enum status (*list_fills)(struct store *store, struct fill_state **ret_fills, size_t *ret_count,
                              struct error *err);
    /** Write the fill of a topic, in a transaction; the fences may be none, because `fill->id`
     * fences too. @param partitions  of FILL_INSTALL and FILL_END, all of the topic; else NULL.
     * @return OK; RETRY; ABORT (another attempt, or another stage: read it again). */
    enum status (*fill)(struct store *store, enum fill_edit edit, const struct fill_state *fill,
                        const struct fill_partitions *partitions, struct error *err);
    /** List what is paused (rule 49). Legal outside a transaction, and in a snapshot.
     * @return OK, then the caller frees it; RETRY; FATAL. */
    enum status (*list_paused)(struct store *store, struct paused_types *ret_paused,
                               struct error *err);
    /** Find whether all events that a token names are applied here (rule 47).
     * @param token  a text that token_read() can read. @return OK; RETRY. */
    enum status (*applied)(struct store *store, const char *token, enum token_verdict *ret_verdict,
                           struct error *err);
    /** Claim single idempotency keys: set the verdict of each, and store the new ones. A source and
     * an id have at most STORE_KEY_MAX bytes. */
    enum status (*claim_keys)(struct store *store, struct key_claim *claims, size_t count,
                              struct error *err);
    /** Write a run of changes of one entity type. Those of one entity are written in the given
     * order; if order() said so, all are. If the mapping is published_here, a flag that names the
     * table silences its triggers for the run (rule 25). Updates that lack columns keep the old
     * values. @return OK; REJECT (held or waiting in err->reject; all of the run is void, and a run
     * of more than one change does not say which is at fault); RETRY; STOP; FATAL. */
    enum status (*apply)(struct store *store, const struct mapping *mapping,
                         const struct change *const *changes, size_t count, struct error *err);
    /** Write an applied range. It may be written as late as with the COMMIT. Of `digests` only the
     * slots of sequences up to `last` matter. */
    enum status (*record_sequence)(struct store *store, const char *topic, int32_t partition,
                                   const struct sequence_state *sequence, struct error *err);
    /** Park records. Each blocks its entity and gets a parked_id. @return OK; STOP (the first
     * record without a parked_id does not fit); RETRY; FATAL. */
    enum status (*park)(struct store *store, struct parked_record *records, size_t count,
                        struct error *err);
    /** Read parked records in the order of (topic, partition, offset), unless the filter has
     * another one, into `arena`. Legal outside a transaction. */
    enum status (*read_parked)(struct store *store, const struct parked_filter *filter,
                               struct arena *arena, struct parked_records *ret_parked,
                               struct error *err);
    /** Change one parked record, found by its parked_id, or its set, found by its record's headers,
     * inside a transaction.
     * @return OK; RETRY; ABORT (it is not there any more). */
    enum status (*edit_parked)(struct store *store, const struct parked_record *record,
                               enum parked_edit edit, struct error *err);
    /** Keep a superseded image, in the place of an older one of its entity. */
    enum status (*keep_image)(struct store *store, const struct superseded_image *image,
                              struct error *err);
    /** Read the kept image of the entity that `wanted` names; where it names none, the first one
     * behind the record's offset in its topic and partition. Legal outside a transaction.
     * ret_image->record.topic is NULL where there is none. */
    enum status (*read_image)(struct store *store, const struct superseded_image *wanted,
                              struct arena *arena, struct superseded_image *ret_image,
                              struct error *err);
    /** Drop the kept image of an entity; there need not be one. */
    enum status (*drop_image)(struct store *store, const struct superseded_image *image,
                              struct error *err);
    /** Commit; with `durable` wait until it is on the disk. @return OK; RETRY (the outcome is
     * unknown: the caller takes the fences by epoch alone, rule 4); FATAL. */
    enum status (*commit)(struct store *store, bool durable, struct error *err);
    /** Legal in any state, cannot fail. */
    void (*rollback)(struct store *store);
    /** Begin a snapshot, or end it; only of a store that was opened `read_only`. Until it ends,
     * read, list, list_fills, read_pending, read_parked, read_image, meta and scan see one state,
     * and read() reads blocked entities too (rule 32). Where one of them fails, end it. To begin a
     * second one is FATAL: see keep(). Ending it is legal in any state and cannot fail.
     * @return OK; RETRY; STOP (SQLite without WAL: its readers would keep the writers out). */
    enum status (*snapshot)(struct store *store, bool begin, struct error *err);
    /** Call it once a second while a snapshot is open and nothing is read from it: a server ends
     * one that is idle for 60 s. @return OK; RETRY (it has ended: it gave way to somebody who waits
     * for a table that it has read (rule 37), lasted too long, or the connection is lost). */
    enum status (*keep)(struct store *store, struct error *err);
    /** Hand rows of a copy to visit(), in no order; of keys those that have a row. Only in a
     * snapshot; needs no prepare(). A few rows are in memory at once. If it does not return OK, the
     * snapshot has ended, and the rows so far count for nothing.
     * @return OK; what visit() returned; RETRY (as keep(); also where the table was replaced or
     * emptied after the snapshot began); FATAL with exit code 78 (the table or a column is not
     * there, or its type does not keep the schema's: the text names it). */
    enum status (*scan)(struct store *store, const struct store_scan *scan, struct error *err);
    /** Within a transaction delete rows of a prepared mapping's table, whichever come next. Types
     * that are published here have triggers, which are not silenced. @return OK; RETRY; REJECT
     * (rows of another table refer to them). */
    enum status (*clear)(struct store *store, const struct mapping *mapping,
                         struct store_clearing *clearing, struct error *err);
    /** Delete what is old, in a transaction of its own. @param ret_pruned  deleted keys. */
    enum status (*prune)(struct store *store, const struct prune *prune, size_t *ret_pruned,
                         struct error *err);
};

/** First member of each store. */
struct store {
    const struct store_ops *ops;
};

/** As prepare(), but refuse a table or a column that would begin in the middle of its topic: what
 * was applied before would be missing there. Record where each column is kept. Another spelling of
 * the same table is accepted; if the type is published here too, only by `init`, because `init`
 * makes the triggers that know the spelling.
 * @param accept_moved  set by `init`: accept another place if the recorded one does not exist any
 * more.
 * @return as prepare(); FATAL with exit code 78 and the ways out. */
enum status store_prepare(struct store *store, const struct mapping *mapping, bool accept_moved,
                          struct error *err) MUST_CHECK;

/** After all mappings were prepared: refuse a foreign key by which rows of a copy change with rows
 * of a copy, because their events have no common order.
 * @param ret_orders  one of each mapping; may be NULL.
 * @return OK; RETRY; FATAL with exit code 78 and the way out. */
enum status store_order(struct store *store, const struct mapping *mappings, size_t count,
                        struct table_order *ret_orders, struct error *err) MUST_CHECK;

void partition_state_done(struct partition_state *state);

/** @return the last applied sequence of a source's incarnation; 0: none. */
uint64_t sequences_last(const struct sequence_state *sequences, size_t count, const char *source,
                        const char *incarnation);

/** @return what the headers of one of Keepstep's own records say. Borrowed. */
struct record_sequence store_record_sequence(const struct record *record);

/** @return whether two parked records are of one set (rule 57); a record alone is of none. */
bool parked_is_same_set(const struct parked_record *left, const struct parked_record *right);

/** @return the bytes of a record's key, value and headers. */
int64_t store_record_bytes(const struct record *record);

static inline struct slice store_or_empty(struct slice text)
{
    return text.data == NULL ? slice_of("") : text;
}

#endif
