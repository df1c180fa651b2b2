/* Inside the MariaDB origin. */
#ifndef PRODUCER_MARIADB_ORIGIN_INTERNAL_H
#define PRODUCER_MARIADB_ORIGIN_INTERNAL_H

#include "producer/init/origin_sql.h"
#include "producer/mariadb/capture.h"
#include "producer/mariadb/sql_session.h"

struct origin_mariadb {
    struct origin_sql shared;
    struct sql_mariadb session;
    struct capture_mariadb table; /* whose present rows are being read */
};

static inline struct origin_mariadb *origin_mariadb_of(struct origin *origin)
{
    return (struct origin_mariadb *)origin;
}

enum status origin_mariadb_publish(struct origin_sql *origin, const struct origin_table *table,
                                   size_t limit, struct origin_progress *progress,
                                   struct error *err) MUST_CHECK;
enum status origin_mariadb_chunk(struct origin *origin, const struct origin_table *table,
                                 size_t limit, struct origin_progress *ret_progress,
                                 struct error *err) MUST_CHECK;

extern const struct origin_key_database origin_mariadb_keys;
extern const struct origin_ops origin_mariadb_ops;

#endif
