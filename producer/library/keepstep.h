/* libkeepstep: writes a change event into the outbox, in the service's own transaction, and asks
 * for joint transactions. */
#ifndef KEEPSTEP_H
#define KEEPSTEP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEEPSTEP_ID_SIZE 37

/** What keepstep_propose() returns where the id was used before; no result code of SQLite. */
#define KEEPSTEP_ID_USED (-1)

struct sqlite3;

enum keepstep_operation {
    KEEPSTEP_CREATE,
    KEEPSTEP_UPDATE,
    KEEPSTEP_DELETE,
};

/** One change of one entity. Texts are UTF-8 and borrowed for the call. */
struct keepstep_change {
    const char *entity_type; /* "order" */
    const char *key;         /* {"id":42}, or 42 where the key has one column */
    enum keepstep_operation operation;
    const char *after;         /* the row as a JSON object; NULL for a delete */
    const char *before;        /* the row before the change; NULL unless the copies want it */
    const char *traceparent;   /* NULL: none */
    const char *partition_key; /* NULL: the key */
};

/** Write one change into the outbox of `db`, inside the caller's open transaction. It is published
 * if and only if that commits. Write the entity's own row first.
 * @param ret_id      the event's id, a UUIDv7 that the row is given; NULL: the relay derives one,
 *                    which costs the transaction less.
 * @param ret_error   what is wrong and what to do, error_size bytes; may be NULL.
 * @return 0, or an SQLite result code: roll back then. */
int keepstep_publish(struct sqlite3 *db, const struct keepstep_change *change,
                     char ret_id[KEEPSTEP_ID_SIZE], char *ret_error, size_t error_size);

/** What several services are asked to change in their own databases, all of them or none. Texts are
 * UTF-8 and borrowed for the call. */
struct keepstep_proposal {
    const char *id;      /* "order-42": 1 to 255 bytes, used once for ever; NULL: a UUIDv7 */
    const char *changes; /* the JSON array of docs/PROTOCOL.md, section 14 */
    int timeout_ms;      /* 0: 10000 */
};

/** Ask for a joint transaction, inside the caller's transaction or in one of its own. It is asked
 * for if and only if that commits. A used id is an error, so a call with an id of the caller's may
 * be repeated safely; without one each call asks anew.
 * @param ret_id      the id that it gets where the caller names none; otherwise untouched, or NULL.
 * @param ret_error   as above.
 * @return 0; KEEPSTEP_ID_USED, and keepstep_joint_state() says what became of the one that has it;
 * or an SQLite result code. Roll back unless it is 0. */
int keepstep_propose(struct sqlite3 *db, const struct keepstep_proposal *proposal,
                     char ret_id[KEEPSTEP_ID_SIZE], char *ret_error, size_t error_size);

enum keepstep_outcome {
    KEEPSTEP_UNDECIDED, /* or decided, and not made here yet */
    KEEPSTEP_COMMITTED, /* this service's part is in its database */
    KEEPSTEP_ABORTED,   /* and nothing will be */
};

struct keepstep_joint_state {
    enum keepstep_outcome outcome;
    char reason[1024]; /* of an abort, or why nothing is decided yet; cut where it is longer */
};

/** What became of a joint transaction that this service has asked for. It waits for nobody.
 * @return 0; SQLITE_NOTFOUND; another result code of SQLite. */
int keepstep_joint_state(struct sqlite3 *db, const char *id, struct keepstep_joint_state *ret_state,
                         char *ret_error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
