/* Puts waiting rows together to change sets, in the order in which they are numbered (rule 52).
 * Nothing here touches a database: it is a function of the rows that were loaded. */
#ifndef PRODUCER_RELAY_SETS_H
#define PRODUCER_RELAY_SETS_H

#include "producer/outbox/outbox.h"

/** Rows that are published together. */
struct change_set {
    size_t first;  /* index of its first row */
    size_t count;  /* rows */
    size_t groups; /* how many `changeset` values they have; more than one: it was merged */
    bool shared;   /* one of these values may stand for several transactions */
};

/** What was made of one load. The arrays live in the arena that sets_arrange() was given. */
struct change_sets {
    struct change_set *sets; /* complete ones, in the order in which they are numbered */
    size_t count;
    struct change_set rest; /* the rows behind them: of groups whose end was not loaded, and of what
                               crosses one of these */
    int64_t first_end;      /* position at which the first such group ends that need not wait; 0 */
    bool first_shared;      /* that group's value may stand for several transactions */
    size_t *groups;         /* number of each row's group; parallel to the rows */
    bool *shared;           /* of each group: its value may stand for several transactions */
    size_t group_count;
    size_t *entities; /* number of each row's entity; parallel to the rows */
    size_t entity_count;
};

/** How large a set may be. */
struct set_limits {
    size_t events;
    size_t bytes; /* of its payloads */
};

/** Put rows, which come in the order of their positions, into the order of their sets.
 *
 * A group is all rows with the same `changeset`; a row without one is a group of its own. Groups
 * are ordered by their last position, and within a group rows are ordered by position. Where that
 * would number two rows of one entity against their positions, the two groups become one set, with
 * all groups between them.
 * @return OK; RETRY (no memory). */
enum status sets_arrange(struct outbox_row *rows, size_t count, struct arena *arena,
                         struct change_sets *ret_sets, struct error *err) MUST_CHECK;

/** @return how many rows, from `first` on and before `end`, fit into one set: at least one. */
size_t sets_fit(const struct outbox_row *rows, size_t first, size_t end,
                const struct set_limits *limits);

/** @param counts  room for a number of each group; holds their rows in `set` afterwards.
 * @return the number of the group that has the most rows in `set`, which is not empty. */
size_t sets_largest_group(const struct change_sets *sets, const struct change_set *set,
                          size_t *counts);

#endif
