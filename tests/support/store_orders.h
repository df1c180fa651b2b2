/* A copy of orders on a database server, as the tests of its store write it. */
#ifndef TESTS_SUPPORT_STORE_ORDERS_H
#define TESTS_SUPPORT_STORE_ORDERS_H

#include "consumer/store.h"
#include "tests/support/database.h"
#include "tests/support/test.h"

extern struct entity_schema orders_schema; /* id, price, note */
extern struct config_entry orders_entry;
extern struct mapping orders_mapping;
extern const struct store_ops *orders_ops;
extern struct error orders_err;
extern const char *orders_url; /* NULL: the next open makes a database */

/** First of all: which server. */
void orders_begin(enum database_kind kind);

struct store *orders_open(void);

/** Drop the copy's table, and what may refer to it. */
void orders_drop(void);

/** Opened with a new and empty table. */
struct store *orders_open_prepared(void);

/** @param note  NULL leaves the column out. @return a change that lives as long as `values`. */
struct change orders_change(struct value *values, enum change_op op, int64_t id, const char *note);

enum status orders_apply(struct store *store, enum change_op op, int64_t id, const char *note);

#define ORDERS_LOOKED 6

/** Orders 3 to 8: what a look at partition 0 above sequence 4 says of each. */
const uint64_t *orders_look(struct store *store);
#define assert_looked(store, ...)                                                                  \
    assert_memory_equal(orders_look(store), ((const uint64_t[ORDERS_LOOKED]){__VA_ARGS__}),        \
                        ORDERS_LOOKED * sizeof(uint64_t))

/** The test fails unless the call gives OK. */
#define assert_ok(call) orders_check(call, __LINE__)
void orders_check(enum status status, int line);

#endif
