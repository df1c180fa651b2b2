/* The session of a service's PostgreSQL database: made anew when it was lost. */
#ifndef PRODUCER_POSTGRESQL_SQL_SESSION_H
#define PRODUCER_POSTGRESQL_SQL_SESSION_H

#include "common/postgresql_session.h"
#include "producer/sql/session.h"

struct sql_postgresql {
    struct sql_session base;
    PGconn *connection; /* NULL: lost, or never opened */
    bool *prepared;     /* by statement, in this session */
    PGresult *result;   /* whose rows are being read; NULL: none */
    int row;
    const struct sql_step *follower; /* sent along behind the next run_steps(); NULL: nothing */
    bool follows;                    /* its result is still to come */
    PGresult *followed;              /* its result; NULL: none */
    unsigned followed_statement;
    int64_t followed_at_us; /* when that was sent along; 0: its rows must not be used */
};

extern const struct sql_session_ops sql_postgresql_ops;

/** Send a reading statement along with the next run_steps(): it is executed right behind the
 * COMMIT, without a round trip of its own. The next run() of that statement gets its rows; any
 * other call drops them, and so does time. @param step  borrowed until run_steps(). */
static inline void sql_postgresql_follow(struct sql_postgresql *self, const struct sql_step *step)
{
    self->follower = step;
}

/** Let nobody get the rows of a statement that was sent along. */
static inline void sql_postgresql_forget_follower(struct sql_postgresql *self)
{
    self->followed_at_us = 0;
}

/** @return whether there are, or will be, rows of a statement that was sent along. */
static inline bool sql_postgresql_is_followed(const struct sql_postgresql *self)
{
    return self->follows || self->followed != NULL;
}

/** An outbox fills and empties faster than its statistics follow: with those of an empty one the
 * planner would sort all that waits, again for each claim. Each statement of the outbox has an
 * index that gives its rows one by one and in order. */
#define POSTGRESQL_OUTBOX_PLANNER                                                                  \
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;"                \
    "SET enable_hashjoin = off; SET enable_mergejoin = off"

/** Drop a session that is gone, as after each statement. @return `status`. */
enum status sql_postgresql_judge(struct sql_postgresql *self, enum status status,
                                 const struct error *err);

#endif
