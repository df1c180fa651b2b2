/* The entities that open transactions want here, by name: who is tried must not want one of them
 * before its turn (rule 61). */
#ifndef CONSUMER_JOINT_WANTED_H
#define CONSUMER_JOINT_WANTED_H

#include "consumer/joint/open.h"

struct joint_want {
    struct slice name; /* borrowed from `open`; data NULL: the place is free */
    const struct joint_open *open;
};

/** Zeroed: nothing is wanted. */
struct joint_wanted {
    struct joint_want *wants;
    size_t size; /* a power of two, or 0 */
    size_t count;
};

/** Forget all. */
void joint_wanted_clear(struct joint_wanted *wanted);
void joint_wanted_done(struct joint_wanted *wanted);

/** Add the entities of a transaction that keeps others waiting; the first one that wants an entity
 * stays. The transaction must live until the next clear. @return OK; RETRY (no memory). */
enum status joint_wanted_add(struct joint_wanted *wanted, const struct joint_open *open,
                             struct error *err) MUST_CHECK;

/** @return a transaction that was added and wants an entity of `open` too; NULL: there is none. */
const struct joint_open *joint_wanted_by(const struct joint_wanted *wanted,
                                         const struct joint_open *open);

#endif
