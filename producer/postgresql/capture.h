/* Capture in PostgreSQL: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_POSTGRESQL_CAPTURE_H
#define PRODUCER_POSTGRESQL_CAPTURE_H

#include "common/postgresql_session.h"
#include "producer/capture/capture.h"
#include "producer/capture/check.h"

extern const struct dialect capture_postgresql_dialect;

/** Check that every change of the table can be captured, and that its columns hold what the
 * schema's types say.
 * @param check  its `ops` is not read.
 * @return OK; RETRY, also where the role that watches does not see the table; FATAL with exit code
 * 78, naming what stands in the way and what to do. */
enum status capture_postgresql_check(PGconn *connection, const struct check *check,
                                     struct error *err) MUST_CHECK;

/** A captured table and its outbox; borrows all. Queries of existing rows need only `name`. */
struct capture_postgresql {
    struct capture base;
    const char *name;           /* the table as it is configured, quoted */
    const char *outbox;         /* the outbox's schema */
    const PGresult *table;      /* oid, and name with its schema, quoted */
    const PGresult *partitions; /* first column: the table and all its partitions, quoted */
    const PGresult *uniques;    /* its secondary unique indexes (schemas/unique_names.sql) */
};

#endif
