/* The decoded events that one transaction applies: of several partitions, each one's in offset
 * order. A change set (rule 55) is in it whole, or not at all. */
#ifndef CONSUMER_APPLY_BATCH_H
#define CONSUMER_APPLY_BATCH_H

#include "schemas/change.h"

#include <stdint.h>

enum event_outcome {
    EVENT_APPLY,      /* its image is to be written */
    EVENT_COVERED,    /* below the position: an earlier transaction applied it */
    EVENT_PASSED,     /* barrier, heartbeat, void, ignored type: only the position moves */
    EVENT_DUPLICATE,  /* its sequence or key was applied before */
    EVENT_SUPERSEDED, /* a later own change of its entity is under way */
    EVENT_PARKED,
    EVENT_DROPPED,  /* not applied: its partition stops before it, or is read again */
    EVENT_OUTCOMES, /* their number */
};

/** What becomes of a change set as one (rule 56). */
enum set_fate {
    SET_WHOLE,     /* each of its events is judged; an event alone is a set of one */
    SET_VOID,      /* one of its records is a void: nothing of it is written */
    SET_ABANDONED, /* its origin has begun another incarnation before its end: nothing is written */
    SET_BROKEN,    /* this event contradicts its set: its partition stops in front of that */
};

#define SET_LAST SIZE_MAX

struct batch_event {
    struct change change;      /* change.partition_index: its partition's index in the applier */
    enum status decoded;       /* what record_decode() said: OK, REJECT or STOP */
    enum reject_kind reject;   /* where decoded is REJECT */
    struct slice decode_error; /* where decoded is not OK: why */

    /* batch_link_sets() sets these. Other records that stand between a set's are not in it. */
    size_t set;          /* the first event of its set in the batch; its own index where alone */
    size_t set_next;     /* the next event of its set; SET_LAST: there is none */
    int64_t stop_offset; /* where its partition stops if it stops at this event: in front of all
                          * sets that are open here; its own offset where none is */
    enum set_fate fate;
    bool is_open; /* in a set that lacks its end, or behind the beginning of one */

    /* The applier sets the rest: key_seen as soon as it is known, the others at each attempt. */
    bool key_seen; /* its idempotency key was claimed before */
    enum event_outcome outcome;
    const struct change *image; /* what is written: this change, or after a void a kept image */
    uint64_t own_last;          /* the last own sequence that was read before it (rule 18) */
    bool parked_held;           /* it needs a hand; else the agent tries it again */
    bool parked_behind;         /* it waits for an earlier parked record of its entity */
    bool parked_whole;          /* of a set's first event: all of the set is parked, as one */
    bool rejected;              /* the database refused its write */
    struct slice parked_reason;
    int parked_code;
};

/** @return whether it writes nothing of its own: it, or another record of its set, is a void. */
static inline bool batch_event_is_void(const struct batch_event *event)
{
    return event->change.kind == KIND_VOID || event->fate == SET_VOID;
}

struct batch {
    struct arena arena;
    struct descriptions *descriptions; /* of Debezium's records that were decoded for it */
    struct batch_event *events;
    size_t count;
    size_t count_max; /* at present, see batch_adapt(); at most `size` */
    size_t size;      /* the largest count_max; only a change set may take more events */
    size_t room;      /* for events */
    size_t bytes;     /* of the records' keys and values */
    size_t bytes_max;
    size_t set_events_max; /* larger sets are not kept in memory; 0: all are */
    uint64_t late_digest;  /* of the source and incarnation of the set of the next field */
    uint64_t late_end;     /* of a large set that comes late: its records are like any others */
    size_t late_partition; /* each partition has sequences of its own */
    bool ended;            /* by a barrier: nothing may be added after it */
    bool has_sets;         /* some event is of a change set of several records */
    bool has_large;        /* some event that was not kept says that its set is larger than that */
    bool is_linked;        /* since the last event was added or taken out */
    size_t whole;          /* how many events stand in no open set; while it is linked */
    size_t kept;           /* how many of the first ones a batch before this one has left to it */
    size_t kept_bytes;
};

/** @param message_bytes_max  of a single record. @return OK; FATAL (no memory). */
enum status batch_init(struct batch *batch, size_t count_max, size_t bytes_max,
                       size_t message_bytes_max, struct error *err) MUST_CHECK;
void batch_done(struct batch *batch);

/** Empty it. */
void batch_reset(struct batch *batch);

/** Begin with small batches where transactions are bounded in time (rule 19): how many events fit
 * is not known before the first one. */
void batch_begin_small(struct batch *batch);

/** Choose the size of the next batches so that a transaction lasts no longer than `bound_us`.
 * @param took_us  what the last one lasted. */
void batch_adapt(struct batch *batch, int64_t took_us, int64_t bound_us);

/** @return whether nothing more may be added. A batch that ends in a change set goes on to the end
 * of that. */
bool batch_is_full(const struct batch *batch);

/** @return whether it is large enough for a part of a change set, wherever that ends. */
bool batch_is_part(const struct batch *batch);

/** @return whether a record begins, or is far from the end of, a set that is not kept in memory. */
bool batch_is_large_set(const struct batch *batch, const struct change *change);

/** Note that a large set comes late: it was applied before. Its records are collected as any others
 * from now on, also behind batch_reset(). @param change  one of it. */
void batch_note_late(struct batch *batch, const struct change *change);

/** @return whether it has used up its memory. */
bool batch_is_exhausted(const struct batch *batch);

/** Decode a record and add it. One that cannot be decoded is added with its error.
 * @return OK; FATAL (a single record larger than the arena). */
enum status batch_add(struct batch *batch, const struct record *record, size_t partition_index,
                      struct schema_finder finder, struct error *err) MUST_CHECK;

/** Add the change that gives an entity its row; it is copied.
 * @param value  as an `r` event's.
 * @return OK; REJECT (it is no row of its type: nothing was added); RETRY (memory). */
enum status batch_add_row(struct batch *batch, const struct entity_schema *schema,
                          struct slice entity_key, struct slice value,
                          struct error *err) MUST_CHECK;

/** @return the event that was added last; there is one. */
const struct batch_event *batch_last(const struct batch *batch);

struct sequence_state;

/** What a batch has to know of the copy that it is read for. */
struct applied_finder {
    /** Find how far the sequences of an event's source and incarnation are applied in its
     * partition. @param ret_partial  whether the copy may begin with any (it has `start:`).
     * @return borrowed; NULL: none is. */
    const struct sequence_state *(*find)(void *context, const struct change *change,
                                         bool *ret_partial);
    /** @return whether a new event stops its partition, whatever stands before it. */
    bool (*stops)(void *context, const struct change *change);
    void *context;
};

/** Say of an event that it is alone, before its set is known. */
void batch_event_alone(struct batch_event *event, size_t index);

/** Find out which events are of one change set, which sets are open, and what becomes of each. A
 * batch without sets costs one comparison an event. @return OK; FATAL (no memory). */
enum status batch_link_sets(struct batch *batch, struct applied_finder finder,
                            struct error *err) MUST_CHECK;

/** @return how many events of a linked batch may be applied: those in no open set. */
size_t batch_whole(const struct batch *batch);

/** Move the events in open sets to an empty batch, so that the others can be applied alone.
 * @param finder  as in batch_add(). @return OK; FATAL (no memory). */
enum status batch_keep(struct batch *batch, struct batch *next, struct schema_finder finder,
                       struct error *err) MUST_CHECK;

/** Give back the memory of what was removed from a batch of kept events.
 * @param empty  another batch without events; the two change places. @return OK; FATAL (memory). */
enum status batch_compact(struct batch *batch, struct batch *empty, struct schema_finder finder,
                          struct error *err) MUST_CHECK;

/** Take out all events of one partition: it has stopped, or is read again. */
void batch_remove(struct batch *batch, size_t partition_index);

/** The same with those alone that stand at this offset of the partition, or behind it. */
void batch_remove_from(struct batch *batch, size_t partition_index, int64_t offset);

#endif
