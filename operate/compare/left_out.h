/* The entities that a comparison leaves out, each once, and for which copies it does so. */
#ifndef OPERATE_COMPARE_LEFT_OUT_H
#define OPERATE_COMPARE_LEFT_OUT_H

#include "common/arena.h"
#include "operate/compare/participant.h"

/** A set of participants by their numbers; bit 0 is the reference. */
typedef uint32_t participant_mask;

static inline participant_mask participant_bit(size_t index)
{
    return (participant_mask)1 << index;
}

struct left_entity {
    struct slice key;
    uint64_t key_digest;
    participant_mask pending; /* copies that it is still to be compared at */
    participant_mask closed;  /* copies that it cannot be compared at in this round */
    enum left_reason reason;  /* the gravest one of those of its last round */
    size_t where;             /* participant that `reason` is of */
    /* What was answered in this round: */
    bool is_asked;
    bool is_at_reference;
    uint64_t reference_digest;
    participant_mask answered; /* copies that have a row of it */
    participant_mask differs;  /* … another one than the reference's */
    participant_mask doubled;  /* … several */
};

struct left_out {
    struct left_entity *entities;
    size_t count;
    size_t size;
    size_t *slots; /* index + 1; 0: free */
    size_t slot_count;
    struct arena keys;
};

/** Why an entity cannot be compared at some copies in this round. */
struct closing {
    struct slice key; /* copied */
    participant_mask copies;
    enum left_reason reason;
    size_t where;
};

/** @param bytes_max  of all keys. */
void left_out_init(struct left_out *left_out, size_t bytes_max);
void left_out_done(struct left_out *left_out);

/** @return the entity; NULL where it is not in the set. */
struct left_entity *left_out_find(const struct left_out *left_out, struct slice key);

/** Close an entity, which is added where it is not in the set.
 * @return OK; RETRY (memory, or too many bytes). */
enum status left_out_close(struct left_out *left_out, const struct closing *closing,
                           struct error *err) MUST_CHECK;

/** Close an entity if it is in the set. */
void left_out_close_known(struct left_out *left_out, const struct closing *closing);

/** Begin another round: nothing is closed or answered. */
void left_out_open_all(struct left_out *left_out);

#endif
