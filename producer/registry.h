/* The back ends of a service's database; the only file that knows all of them. */
#ifndef PRODUCER_REGISTRY_H
#define PRODUCER_REGISTRY_H

#include "producer/init/origin.h"
#include "producer/outbox/outbox.h"
#include "producer/source/source.h"

extern const struct outbox_ops outbox_sqlite_ops;
extern const struct outbox_ops outbox_postgresql_ops;
extern const struct outbox_ops outbox_mariadb_ops;

extern const struct origin_ops origin_sqlite_ops;
extern const struct origin_ops origin_postgresql_ops;
extern const struct origin_ops origin_mariadb_ops;

extern const struct source_ops source_sqlite_ops;
extern const struct source_ops source_postgresql_ops;
extern const struct source_ops source_mariadb_ops;

/** @return the outbox for "sqlite:…", "postgresql:…" or "mysql:…", NULL for another scheme. */
const struct outbox_ops *outbox_find(const char *url);

/** @return the origin for "sqlite:…", "postgresql:…" or "mysql:…", NULL for another scheme. */
const struct origin_ops *origin_find(const char *url);

/** @return the source for "sqlite:…", "postgresql:…" or "mysql:…", NULL for another scheme. */
const struct source_ops *source_find(const char *url);

#endif
