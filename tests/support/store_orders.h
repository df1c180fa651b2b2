/* A copy of orders on a database server, for the tests of its store. */
#ifndef TESTS_SUPPORT_STORE_ORDERS_H
#define TESTS_SUPPORT_STORE_ORDERS_H

#include "consumer/store/store.h"
#include "tests/support/database.h"
#include "tests/support/test.h"

extern struct entity_schema orders_schema; /* id, price, note */
extern struct config_entry orders_entry;
extern struct mapping orders_mapping;
extern const struct store_ops *orders_ops;
extern struct error orders_err;
extern const char *orders_url; /* NULL: the next open makes a database */

/** Choose the server. Call this first. */
void orders_begin(enum database_kind kind);

struct store *orders_open(void);

/** Drop the copy's table and what may refer to it. */
void orders_drop(void);

/** Open a store with a new and empty table. */
struct store *orders_open_prepared(void);

/** @param note NULL leaves the column out. @return a change, valid as long as `values`. */
struct change orders_change(struct value *values, enum change_op op, int64_t id, const char *note);

enum status orders_apply(struct store *store, enum change_op op, int64_t id, const char *note);

/** The test fails unless the call returns OK. */
#define assert_ok(call) orders_check(call, __LINE__)
void orders_check(enum status status, int line);

/** The test fails unless a store accepts the tables that `sql` makes, and then writes a row there.
 */
void orders_assert_accepted(const char *sql);

/** The test fails unless a store refuses the tables that `sql` makes, with this reason. */
void orders_assert_refused(const char *sql, const char *reason);

#endif
