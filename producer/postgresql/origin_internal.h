/* Inside the PostgreSQL origin. */
#ifndef PRODUCER_POSTGRESQL_ORIGIN_INTERNAL_H
#define PRODUCER_POSTGRESQL_ORIGIN_INTERNAL_H

#include "producer/init/origin_sql.h"
#include "producer/postgresql/sql_session.h"

struct origin_postgresql {
    struct origin_sql shared;
    struct sql_postgresql session;
    char *schema; /* where the outbox is, or will be */
};

static inline struct origin_postgresql *origin_postgresql_of(struct origin *origin)
{
    return (struct origin_postgresql *)origin;
}

enum status origin_postgresql_publish(struct origin_sql *origin, const struct origin_table *table,
                                      size_t limit, struct origin_progress *progress,
                                      struct error *err) MUST_CHECK;

extern const struct origin_key_database origin_postgresql_keys;
extern const struct origin_ops origin_postgresql_ops;

#endif
