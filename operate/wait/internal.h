/* What the parts of operate/wait/ share. */
#ifndef OPERATE_WAIT_INTERNAL_H
#define OPERATE_WAIT_INTERNAL_H

#include "operate/members.h"
#include "operate/wait/wait.h"

#define WAIT_GROUP_SIZE 256

struct wait_view {
    const struct service *service;
    const atomic_bool *stop;
    struct store *store;   /* NULL: open it first */
    struct outbox *outbox; /* likewise */
    struct control_topic *topic;
    struct members members;
    char group[WAIT_GROUP_SIZE];
};

/** Open the service's database as a copy, or as an origin, where it is not open yet.
 * @return OK; RETRY; FATAL. */
enum status wait_view_store(struct wait_view *view, struct error *err) MUST_CHECK;
enum status wait_view_outbox(struct wait_view *view, struct error *err) MUST_CHECK;

/** Read what is new in the control topic. @return OK; RETRY; FATAL. */
enum status wait_view_members(struct wait_view *view, struct error *err) MUST_CHECK;

/** Look whether the token is of this service's outbox, in the incarnation that is under way.
 * @return OK; RETRY; FATAL. */
enum status wait_goal_is_ours(struct wait_view *view, const struct wait_goal *goal,
                              bool *ret_is_ours, struct error *err) MUST_CHECK;

/** Find the offsets of a goal that are not known yet: at the origin by what its relay has
 * acknowledged, elsewhere by what the own copy has applied. A later offset is harmless.
 * @return OK, also where some are still not known; RETRY; FATAL. */
enum status wait_goal_place(struct wait_view *view, struct wait_goal *goal,
                            struct error *err) MUST_CHECK;

/** Find who holds the places of a goal, whose offsets are known.
 * @return OK; RETRY (no memory); FATAL (nobody is called `goal->at`). */
enum status wait_goal_holders(const struct members *members, const struct wait_goal *goal,
                              struct wait_state *state, struct error *err) MUST_CHECK;

#endif
