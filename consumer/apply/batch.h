/* A bounded run of decoded events from several partitions, each partition's part in offset order.
 */
#ifndef CONSUMER_APPLY_BATCH_H
#define CONSUMER_APPLY_BATCH_H

#include "schemas/change.h"

#include <stdint.h>

enum event_outcome {
    EVENT_APPLY,      /* its image is to be written */
    EVENT_COVERED,    /* below the position: applied by an earlier transaction */
    EVENT_PASSED,     /* barrier, heartbeat, void, ignored type: only the position moves */
    EVENT_DUPLICATE,  /* its sequence or key was applied before */
    EVENT_SUPERSEDED, /* a later own change of its entity is under way */
    EVENT_PARKED,
    EVENT_DROPPED, /* at or behind the event that stopped its partition: nothing moves */
};

struct batch_event {
    struct change change;      /* change.partition_index: its slot in the applier */
    enum status decoded;       /* what record_decode() said: OK, REJECT or STOP */
    enum reject_kind reject;   /* where decoded is REJECT */
    struct slice decode_error; /* text of a decode that failed */

    bool key_seen; /* set by the applier: its idempotency key was claimed before */

    /* Set by the applier, anew at each attempt. */
    enum event_outcome outcome;
    const struct change *image; /* what is written: this change, or a kept image after a void */
    uint64_t own_last;          /* own range as of this event (rule 18) */
    bool parked_held;
    bool parked_behind; /* judged anew when those before it are gone */
    bool rejected;      /* parked for what the database said of its write */
    struct slice parked_reason;
    int parked_code;
};

struct batch {
    struct arena arena;
    struct batch_event *events;
    size_t count;
    size_t count_max; /* at present; at most `size` */
    size_t size;
    size_t bytes;
    size_t bytes_max;
    bool ended; /* by a barrier */
};

enum status batch_init(struct batch *batch, size_t count_max, size_t bytes_max,
                       size_t message_bytes_max, struct error *err) MUST_CHECK;
void batch_done(struct batch *batch);
void batch_reset(struct batch *batch);

/** Bound it in time too (rule 19): it begins small, as its first transaction may not last longer
 * either. */
void batch_begin_small(struct batch *batch);

/** Take what a transaction of it lasted: the next ones are as large as the bound allows. */
void batch_adapt(struct batch *batch, int64_t took_us, int64_t bound_us);

/** @return whether nothing more may be added. */
bool batch_is_full(const struct batch *batch);

/** Decode a record into the batch; what cannot be decoded is in it too, with its error.
 * @return OK; FATAL (a single record larger than the arena). */
enum status batch_add(struct batch *batch, const struct record *record, size_t partition_index,
                      schema_lookup *lookup, void *context, struct error *err) MUST_CHECK;

/** Take out all events of one partition (it was revoked or is read again). */
void batch_remove(struct batch *batch, size_t partition_index);

#endif
