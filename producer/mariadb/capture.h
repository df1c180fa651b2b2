/* Capture in MariaDB: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_MARIADB_CAPTURE_H
#define PRODUCER_MARIADB_CAPTURE_H

#include "common/mariadb_session.h"
#include "producer/capture/capture.h"
#include "producer/capture/check.h"

extern const struct dialect capture_mariadb_dialect;

/** A captured table, and what the catalogue says of its columns. The base borrows from it, so it is
 * not copied. */
struct capture_mariadb {
    struct capture base;
    bool is_timestamp[ENTITY_COLUMNS_MAX]; /* by schema column: TIMESTAMP, which has a zone */
};

/** Read the catalogue, and check that every change of the table can be captured and that its
 * columns hold what the schema's types say.
 * @param check  its `ops` and `config` are not read.
 * @return OK; RETRY; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status capture_mariadb_check(MYSQL *session, const struct check *check,
                                  struct capture_mariadb *ret_capture,
                                  struct error *err) MUST_CHECK;

#endif
