/* A service on a server that publishes its table "items", and a copy of it in SQLite. */
#ifndef TESTS_SUPPORT_ITEM_PAIR_H
#define TESTS_SUPPORT_ITEM_PAIR_H

#include "tests/support/database.h"
#include "tests/support/sidecar.h"

struct item_pair {
    struct sidecar shop;
    struct sidecar billing;
    const char *url; /* the shop's database, as its owner */
};

/** Make both, run `ddl` and then `before` in the shop's database, and run init for both. */
struct item_pair item_pair_make(enum database_kind kind, const char *ddl, const char *before);

void item_pair_start(struct item_pair *pair);
void item_pair_stop(struct item_pair *pair);

/** The test fails unless the copy becomes equal to the shop's table within the limit. */
void item_pair_assert_equal(const struct item_pair *pair, int64_t limit_ms);

#endif
