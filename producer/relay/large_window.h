/* One window of the measuring of a large set, or of one of its parts (large.c): the rows that are
 * loaded at once, and which of them are the set's. */
#ifndef PRODUCER_RELAY_LARGE_WINDOW_H
#define PRODUCER_RELAY_LARGE_WINDOW_H

#include "producer/relay/internal.h"

/** A row, and the entity that it changes. */
struct large_change {
    uint64_t entity;
    int64_t position;
    enum passed_place place;
};

/** Rows that were loaded together. */
struct large_window {
    struct outbox_rows own;       /* of the large set */
    struct large_change *changes; /* all that was loaded, while it is measured */
    size_t change_count;
    struct outbox_rows others; /* that go before it */
    int64_t first;             /* position of the first row; 0: there is none */
    int64_t last;              /* and of the last one */
    bool is_last;              /* no row waits behind it */
    bool cuts; /* others may be a part of a transaction: nothing tells where it ends */
    bool late; /* what was found in front of the window is not so any more */
};

/** @return whether the measuring begins. Up to there all that waits has been passed. */
bool large_begins(const struct relay *relay);
/** Load the rows behind what was measured, or numbered.
 * @param ret_loaded  false: keys were stored, or it is `late`; it is to be done again.
 * @return OK; RETRY; ABORT (lease lost). */
enum status large_window_load(struct relay *relay, struct large_window *ret_window,
                              bool *ret_loaded, struct error *err) MUST_CHECK;
/** @return whether an entity has a change whose place is in front of an earlier one's. Such sets
 * are merged (rule 52), and a merged one is cut where it is large. */
bool large_window_is_crossed(const struct relay *relay, struct large_window *window);
/** Note what a window leaves behind, up to a position. @return OK; RETRY (no memory). */
enum status large_window_pass(struct relay *relay, const struct large_window *window, int64_t to,
                              struct error *err) MUST_CHECK;
/** Take out of a window what has to wait. @return false: there is no room to remember it. */
bool large_window_leave_waiting(struct relay *relay, struct large_window *window);

#endif
