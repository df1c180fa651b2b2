/* What `init` does in SQLite. */
#ifndef PRODUCER_INIT_SQLITE_H
#define PRODUCER_INIT_SQLITE_H

#include "producer/init.h"

enum status init_sqlite(const struct config *config, const struct entity_schema *const *schemas,
                        const struct init_options *options, struct error *err) MUST_CHECK;

#endif
