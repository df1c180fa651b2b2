/* The stores that there are; the only file that knows all of them. */
#ifndef CONSUMER_STORE_REGISTRY_H
#define CONSUMER_STORE_REGISTRY_H

#include "consumer/store/store.h"

extern const struct store_ops store_sqlite_ops;
extern const struct store_ops store_postgresql_ops;
extern const struct store_ops store_mariadb_ops;
extern const struct store_ops store_memory_ops;

/** @return the back end for "sqlite:…", "postgresql:…", "mysql:…" or "memory:", NULL for another
 * scheme. */
const struct store_ops *store_find(const char *url);

#endif
