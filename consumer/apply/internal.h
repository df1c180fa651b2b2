/* The applier from inside: what all files of this folder share. */
#ifndef CONSUMER_APPLY_INTERNAL_H
#define CONSUMER_APPLY_INTERNAL_H

#include "consumer/apply/applier.h"
#include "consumer/apply/owned.h"

#define APPLIER_DURABLE_US  800000 /* "within a second" less the time a commit takes */
#define APPLIER_BACKOFF_US  1000000
#define APPLIER_BACKOFF_MAX 60000000

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

/** Whose turn is next in what is done piece by piece. */
struct turns {
    size_t images_index; /* the partition whose kept images are looked at next, */
    size_t retry_index;  /* and whose waiting records */
    bool is_retrying;    /* some pass through waiting records is not at its end */
    struct together together;
};

/** What of the session and of its commits is not certain. */
struct session_state {
    int64_t undurable_since_us; /* monotonic; 0: all commits waited for the disk */
    bool reload_needed;         /* a commit's outcome is unknown */
    bool is_lost;               /* the store must be opened anew; then reload_needed too */
};

/** Why applier_apply() judges a batch again, and what the next attempt does otherwise. */
struct repeat {
    bool is_cut; /* a partition stops at one of its events: it goes on without the rest */
    bool singly; /* it was fatal in bulk: the events are written one by one */
    unsigned int overtaken; /* how often own changes were committed while it was written singly */
};

struct applier {
    const struct store_ops *ops;
    const struct config *config;
    const struct mapping *mappings;
    size_t mapping_count;
    struct agent_metrics *metrics; /* NULL: nobody asks */
    bool publishes;                /* some mapping is published here: rule 18 applies */
    struct store *store;
    struct store_meta meta;
    struct table_order *orders; /* of each mapping's table */
    struct session_state session;
    struct owned *owned;
    size_t owned_count;
    struct turns turns;

    /* The running transaction. */
    struct arena arena;
    struct repeat repeat;
    struct pending_read pending; /* of all entities of the batch; none: each is asked for alone */
    struct healed healed;
};

/* applier.c */

/** Open the store, prepare every mapping and read whose copy it is. @return OK; RETRY; FATAL. */
enum status applier_open(struct applier *applier, struct error *err) MUST_CHECK;

const struct mapping *applier_mapping(const struct applier *applier, struct slice entity_type);
/** @return what the catalogue says of the order of its changes (rule 21). */
const struct table_order *applier_order(const struct applier *applier,
                                        const struct mapping *mapping);
bool applier_is_own(const struct applier *applier, const struct change *change);

/** Memory for one transaction. */
enum status applier_no_memory(struct error *err);

/** Decode a kept record again. @return what record_decode() says. */
enum status applier_decode(struct applier *applier, const struct record *record,
                           struct change **ret_change, struct error *err) MUST_CHECK;

/** Put in front of a fatal error whose record it is of; any other error stays as it is. */
void applier_name_fatal(struct error *err, struct slice entity_type, struct slice entity_key,
                        const struct record *record);

/* transaction.c */

/** Let a partition stop in front of this event.
 * @return AGAIN: judge the batch again, without it; STOP where its partition stops before it. */
enum status applier_stop_at(struct applier *applier, const struct change *change,
                            const char *reason) MUST_CHECK;

/** Commit; notes a commit whose outcome is unknown and what is durable. */
enum status applier_commit(struct applier *applier, bool durable, struct error *err) MUST_CHECK;

/** Work on what the database keeps of a partition, in one transaction with its fence; memory takes
 * what the database holds after it. */
typedef enum status applier_repair_work(struct applier *applier, struct owned *owned, void *subject,
                                        struct error *err);
enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           void *subject, struct error *err) MUST_CHECK;

/* recovery.c */

/** Before anything is asked of the store: open it anew and reload where that is needed. */
enum status applier_ready(struct applier *applier, struct error *err) MUST_CHECK;

/** Note a store's failure. @return `status`. */
enum status applier_note(struct applier *applier, enum status status, const struct error *err);

/** After a failure of a transaction: roll back and, where it is this agent's still, reload. */
enum status applier_recover(struct applier *applier, enum status status,
                            struct error *err) MUST_CHECK;

#endif
