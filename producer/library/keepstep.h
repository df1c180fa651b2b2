/* libkeepstep: writes a change event into the outbox, in the service's own transaction. */
#ifndef KEEPSTEP_H
#define KEEPSTEP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEEPSTEP_ID_SIZE 37

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

#ifdef __cplusplus
}
#endif

#endif
