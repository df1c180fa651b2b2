/* Capture in MariaDB: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_MARIADB_CAPTURE_H
#define PRODUCER_MARIADB_CAPTURE_H

#include "common/mariadb_session.h"
#include "producer/capture/capture.h"
#include "producer/capture/check.h"

extern const struct dialect capture_mariadb_dialect;

/** A captured table, and what the catalogue says of it. */
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

/** Write the query of the rows that are there: key, payload (op r), partition key, then the key
 * columns in the order of the primary key, under shared row locks. `resumed` has parameters: of
 * each key column all before it and itself, for the rows behind that key. Last parameter: how many
 * rows. Where it does not wait for rows that others hold that is lock timeout at once. */
void capture_mariadb_existing(struct buffer *sql, const struct capture_mariadb *capture,
                              const struct capture_rows *rows);

#endif
