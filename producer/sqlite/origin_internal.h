/* Inside the SQLite origin. */
#ifndef PRODUCER_SQLITE_ORIGIN_INTERNAL_H
#define PRODUCER_SQLITE_ORIGIN_INTERNAL_H

#include "producer/init/origin_sql.h"
#include "producer/sqlite/sql_session.h"

struct origin_sqlite {
    struct origin_sql shared;
    struct sql_sqlite session;
};

static inline struct origin_sqlite *origin_sqlite_of(struct origin *origin)
{
    return (struct origin_sqlite *)origin;
}

enum status origin_sqlite_publish(struct origin_sql *origin, const struct origin_table *table,
                                  size_t limit, struct origin_progress *progress,
                                  struct error *err) MUST_CHECK;

extern const struct origin_key_database origin_sqlite_keys;
extern const struct origin_ops origin_sqlite_ops;

#endif
