/* The loader: a thread with a session of its own. It loads and checks rows of the outbox while the
 * relay's thread does something else.
 *
 * The two threads share nothing but one order at a time. The relay gives it; from then on all that
 * belongs to it is the loader's, until the loader has carried it out. Then it is the relay's again.
 * The thread begins with the first order. The session is opened for an order, and closed when no
 * other has come for a while. */
#ifndef PRODUCER_RELAY_LOADER_H
#define PRODUCER_RELAY_LOADER_H

#include "producer/relay/record_maker.h"

struct loader;

/** What is to be loaded. */
struct loader_order {
    const struct outbox_ops *ops;
    struct outbox_extent extent;
};

enum loader_answer {
    LOADER_BUSY,   /* the order is not carried out yet */
    LOADER_FAILED, /* the load failed */
    LOADER_LOST,   /* the connection of the session was lost */
    LOADER_PART,   /* rows were loaded, and all of them can be published as they are */
    LOADER_OTHER,  /* no rows were loaded, or some that are not for the loader to judge */
};

/** Rows that were loaded together. */
struct loader_part {
    struct outbox_rows rows;
    bool full; /* the load ended at its limits: more rows may wait */
};

/** @param maker   copied with all that it points to but the configuration and the schemas, once
 * for each order.
 * @param wakeup  raised whenever an order was carried out.
 * @return OK; RETRY (no memory). */
enum status loader_new(const struct record_maker *maker, int wakeup, struct loader **ret_loader,
                       struct error *err) MUST_CHECK;

/** End the thread, and wait for that. NULL: nothing happens. */
void loader_free(struct loader *loader);

/** @return how large an arena for the rows of one load may become. */
size_t loader_arena_bytes(const struct config *config);

/** @return whether a load ended at its limits, so that more rows may wait. */
bool loader_is_full(const struct outbox_extent *extent, const struct outbox_rows *rows);

/** @return whether no order is being carried out. */
bool loader_is_free(struct loader *loader);

/** Give an order; only while the loader is free.
 * @return OK; RETRY (no memory, no thread). */
enum status loader_order(struct loader *loader, const struct loader_order *order,
                         struct error *err) MUST_CHECK;

/** Ask for the last order's outcome, and wait for it. May clear the wakeup.
 * @param arena    of the relay; where there is a part it is exchanged for the part's.
 * @param err      filled with LOADER_FAILED and LOADER_LOST. */
enum loader_answer loader_take(struct loader *loader, int64_t timeout_us, struct arena *arena,
                               struct loader_part *ret_part, struct error *err);

/** Close the session, once the loader is free. Does not wait. */
void loader_rest(struct loader *loader);

#endif
