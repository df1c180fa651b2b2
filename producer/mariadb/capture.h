/* Capture in MariaDB: the triggers that write a table's changes into the outbox. */
#ifndef PRODUCER_MARIADB_CAPTURE_H
#define PRODUCER_MARIADB_CAPTURE_H

#include "common/mariadb_session.h"
#include "producer/capture/capture.h"
#include "producer/capture/check.h"

extern const struct dialect capture_mariadb_dialect;

#define CAPTURE_UNIQUES_MAX 64 /* secondary indexes that InnoDB lets a table have */

/** A captured table, and what the catalogue says of its columns. The base borrows from it, so it is
 * not copied. */
struct capture_mariadb {
    struct capture base;
    bool is_timestamp[ENTITY_COLUMNS_MAX]; /* by schema column: TIMESTAMP, which has a zone */
    const char *value_names[CAPTURE_UNIQUES_MAX]; /* of unique indexes: templates of their names */
    size_t value_name_count;
};

/** Read the names of unique values of a joint type; they live as long as the arena.
 * @param watching  with the rights of the relay's role. @return OK; RETRY; FATAL. */
enum status capture_mariadb_read_uniques(MYSQL *session, struct capture_mariadb *capture,
                                         bool watching, struct arena *arena,
                                         struct error *err) MUST_CHECK;

/** Read the catalogue, and check that every change of the table can be captured and that its
 * columns hold what the schema's types say.
 * @param check  its `ops` and `config` are not read.
 * @return OK; RETRY; FATAL with exit code 78, naming what stands in the way and what to do. */
enum status capture_mariadb_check(MYSQL *session, const struct check *check,
                                  struct capture_mariadb *ret_capture,
                                  struct error *err) MUST_CHECK;

#endif
