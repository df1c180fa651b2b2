/* The applier from inside: what all files of this folder share. */
#ifndef CONSUMER_APPLY_INTERNAL_H
#define CONSUMER_APPLY_INTERNAL_H

#include "consumer/apply/applier.h"
#include "consumer/apply/owned.h"

#define APPLIER_DURABLE_US  800000 /* "within a second" less the time a commit takes */
#define APPLIER_BACKOFF_US  1000000
#define APPLIER_BACKOFF_MAX 60000000

/** When the waiting entities were last tried together. */
struct together {
    int64_t tried_us; /* monotonic; 0: never */
    int64_t pause_us; /* until the next time; 0: soon */
    int64_t waiting;  /* so many records waited then */
    size_t part;      /* which part of them is tried next, where one transaction cannot take all */
    size_t turn;      /* with which of that part the next small group begins */
};

/** What is done piece by piece, and where it goes on. */
struct turns {
    size_t images_index; /* the partition whose kept images are looked at next */
    size_t retry_index;  /* the partition whose waiting records are tried next */
    size_t parked_index; /* the partition whose first parked record is looked at next */
    bool is_retrying;    /* a pass through waiting records has more to do at once */
    struct together together;
};

/** The state of the database session and of its last commits. */
struct session_state {
    int64_t undurable_since_us; /* monotonic: of the first commit that the disk may lack; 0 */
    bool reload_needed;         /* a commit's outcome is unknown: read the positions anew */
    bool is_lost;               /* open the store anew; then reload_needed too */
};

/** Why applier_apply() judges a batch again, and what the next attempt does otherwise. */
struct repeat {
    bool is_cut; /* a partition stops at one of its events: leave out that and later ones */
    bool singly; /* writing in bulk was refused or fatal: write one by one to find the event */
    bool names;  /* it was fatal: no set is written in bulk either */
    unsigned int overtaken; /* how often own changes were committed during single writes */
};

struct large_set;

struct applier {
    const struct store_ops *ops;
    const struct config *config;
    const struct mapping *mappings;
    size_t mapping_count;
    struct agent_metrics *metrics;
    bool publishes; /* some mapping is published here: rule 18 applies */
    struct store *store;
    struct store_meta meta;
    struct table_order *orders;        /* of each mapping's table */
    struct agent_type_metrics **types; /* of each mapping */
    struct session_state session;
    struct owned *owned;
    size_t owned_count;
    struct turns turns;

    /* The running transaction. */
    struct arena arena;
    struct repeat repeat;
    struct type_tally *large_tally; /* of a large set that is written in parts; by mapping */
    struct block_set large_sparse;  /* while room is made for it: what begins with a sparse image */
    struct pending_read pending; /* what was read for the batch; no entities: each is asked alone */
};

/* applier.c */

/** Open the store, prepare every mapping and read whose copy it is. @return OK; RETRY; FATAL. */
enum status applier_open(struct applier *applier, struct error *err) MUST_CHECK;

/** @return how an entity type is kept here; NULL: not at all. */
const struct mapping *applier_mapping(const struct applier *applier, struct slice entity_type);

/** @return what the catalogue says of the order of its changes (rule 21). */
const struct table_order *applier_order(const struct applier *applier,
                                        const struct mapping *mapping);

/** @return whether the service itself made the change. */
bool applier_is_own(const struct applier *applier, const struct change *change);

/** @return FATAL, with its text. */
enum status applier_no_memory(struct error *err);

/** Decode a stored record into the applier's arena. @return as record_decode(). */
enum status applier_decode(struct applier *applier, const struct record *record,
                           struct change **ret_change, struct error *err) MUST_CHECK;

/** Put a record's entity and place in front of a fatal error. Any other error stays as it is. */
void applier_name_fatal(struct error *err, struct slice entity_type, struct slice entity_key,
                        const struct record *record);

/* tally.c */

/** Count the events of a batch that is committed, and log what was parked. */
void applier_tally(struct applier *applier, const struct batch *batch);

/** Count a change as applied for its entity type, after the commit.
 * @param now_us  wall clock. */
void applier_tally_applied(const struct applier *applier, const struct change *change,
                           int64_t now_us);

/** How many changes of an entity type a transaction of several parts has written, and when the last
 * one was committed at its origin. */
struct type_tally {
    size_t applied;
    int64_t time_us; /* wall clock; 0: not known */
};

/** Count a change that is written, in its mapping's place. @param tally  one of each mapping. */
void applier_tally_part(const struct applier *applier, const struct change *change,
                        struct type_tally *tally);

/** After the commit, count what the parts have written. @return how many changes. */
size_t applier_tally_parts(const struct applier *applier, const struct type_tally *tally);

/* sets.c */

/** Count the change sets of a batch that is committed, and log those of which nothing was written.
 */
void applier_tally_sets(struct applier *applier, const struct batch *batch);

/** The same of a large set. */
void applier_tally_large(struct applier *applier, const struct large_set *set);

/* fill.c */

/** @return whether an event at `offset` was rejected because it updates a row that is not there,
 * and a later event below filled_to has deleted it: it is passed (rule 39). */
bool applier_passes_absent(const struct owned *owned, int64_t offset, const struct error *why);

/* transaction.c */

/** Let a partition stop in front of this event, and of its change set.
 * @return AGAIN: judge the batch again, without it; STOP: the partition stops before it already. */
enum status applier_stop_at(struct applier *applier, const struct batch_event *event,
                            const char *reason) MUST_CHECK;

/** Commit, and note what is durable by then. @return OK; RETRY (the outcome is unknown). */
enum status applier_commit(struct applier *applier, bool durable, struct error *err) MUST_CHECK;

/** Change what the database holds of one partition beside its position. */
typedef enum status applier_repair_work(struct applier *applier, struct owned *owned, void *subject,
                                        struct error *err);

/** Do that in one transaction with the partition's fence. Statuses as applier_apply(). */
enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           void *subject, struct error *err) MUST_CHECK;

/* recovery.c */

/** Call this before anything is asked of the store: opens it anew and reloads where needed.
 * @return OK; RETRY; ABORT; FATAL. */
enum status applier_ready(struct applier *applier, struct error *err) MUST_CHECK;

/** Note it where the session was lost. @return `status`. */
enum status applier_note(struct applier *applier, enum status status, const struct error *err);

/** After a transaction that failed with `status`: roll back, and reload where this agent still owns
 * the partitions. @return `status`, or why the reload failed. */
enum status applier_recover(struct applier *applier, enum status status,
                            struct error *err) MUST_CHECK;

#endif
