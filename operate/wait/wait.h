/* Whether the events that a token names have arrived: here, at another service, at a majority of
 * the members, or at all of them (rules 46 and 47). Nothing here waits: whoever wants to know looks
 * again. */
#ifndef OPERATE_WAIT_WAIT_H
#define OPERATE_WAIT_WAIT_H

#include "common/buffer.h"
#include "operate/service.h"
#include "schemas/token.h"

enum wait_scope { WAIT_HERE, WAIT_SERVICE, WAIT_QUORUM, WAIT_ALL };

/** What is waited for. */
struct wait_goal {
    const char *text; /* the token; borrowed */
    enum wait_scope scope;
    const char *at; /* WAIT_SERVICE: "SERVICE", or "SERVICE/COPY" where it has several; borrowed */
    struct token token;
    int64_t *offsets; /* parallel to its places: a member that has come so far has the event; -1:
                       * not known yet */
    struct arena arena;
};

#define WAIT_REASON_SIZE 512

/** What one look saw. */
struct wait_state {
    bool fulfilled;
    int64_t control_offset; /* the control topic was read up to here; -1: it was not needed */
    char reason[WAIT_REASON_SIZE]; /* what is still lacking, or who has it; for people */
};

struct wait_view;

/** Read the token. wait_goal_done() is legal after any status.
 * @return OK; REJECT (it is none); RETRY (no memory). */
enum status wait_goal_init(struct wait_goal *goal, const char *token, enum wait_scope scope,
                           const char *at, struct error *err) MUST_CHECK;
void wait_goal_done(struct wait_goal *goal);

/** What looks share: sessions with the service's database, and the control topic. They are opened
 * at the first look that needs them. @return OK; RETRY (no memory). */
enum status wait_view_open(const struct service *service, const atomic_bool *stop,
                           struct wait_view **ret_view, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void wait_view_close(struct wait_view *view);

/** Look once. @return OK; RETRY (database or broker: look again); FATAL (nobody has the name of
 * `goal->at`; a configuration without control topic). */
enum status wait_look(struct wait_view *view, struct wait_goal *goal, struct wait_state *ret_state,
                      struct error *err) MUST_CHECK;

/** Append what a look saw, as a JSON object and the end of a line. */
void wait_append_state(struct buffer *out, const struct wait_state *state);

#endif
