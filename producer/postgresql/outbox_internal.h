/* What the parts of the PostgreSQL outbox share. */
#ifndef PRODUCER_POSTGRESQL_OUTBOX_INTERNAL_H
#define PRODUCER_POSTGRESQL_OUTBOX_INTERNAL_H

#include "producer/outbox/sql.h"
#include "producer/postgresql/sql_session.h"

struct outbox_postgresql {
    struct outbox_sql shared;
    struct sql_postgresql session;
    struct outbox_extent next; /* what the last claim's follower has asked for */
    bool asleep;               /* the advisory lock is held: commits notify */
    unsigned slept_session;    /* the session that holds it */
    bool older_ended;          /* all transactions from before it slept have ended */
    char slept_xid[24];        /* xid8 */
    int64_t slept_at_us;       /* monotonic */
    int64_t polled_at_us;
    int64_t pause_us; /* before it sleeps again; 0: rows were found */
    int64_t resume_at_us;
};

enum status outbox_postgresql_wait(struct outbox *outbox, const struct outbox_wait *wait,
                                   bool *ret_changed, struct error *err);

/** Note that rows were found: more may follow, so commits need not notify any more. */
enum status outbox_postgresql_found(struct outbox_postgresql *self, struct error *err) MUST_CHECK;

#endif
