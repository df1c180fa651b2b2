/* Waiting for two things at once: each is a descriptor that becomes readable. */
#ifndef COMMON_WAKEUP_H
#define COMMON_WAKEUP_H

#include "common/status.h"

#include <stdatomic.h>
#include <stdint.h>

/** What to write to a wakeup's descriptor to raise it. */
extern const uint64_t wakeup_raised;

/** Make a descriptor that other threads raise and one thread waits for. The caller closes it.
 * @return OK; RETRY. */
enum status wakeup_open(int *ret_descriptor, struct error *err) MUST_CHECK;

/** Raise a wakeup: it stays readable until it is cleared. @thread any. */
void wakeup_raise(int descriptor);

/** Clear a wakeup. Do it before looking at what it stands for, or a later raise is missed. */
void wakeup_clear(int descriptor);

/** By it other threads tell one that there is something for it. */
struct bell {
    int descriptor; /* a wakeup, for which that thread waits */
    atomic_bool is_rung;
};

/** @param bell  NULL: nobody is told. @thread any. */
void bell_ring(struct bell *bell);

/** @return whether it was rung since the last call. @param bell  NULL: it was not. */
bool bell_was_rung(struct bell *bell);

/** Wait until a descriptor is readable, or the time is over. A signal ends it early.
 * @param other  a second one that ends it. Each may be -1: none.
 * @return whether `descriptor` is readable; `other` is for the caller to look at. */
bool wakeup_wait(int descriptor, int other, int64_t timeout_us);

#endif
