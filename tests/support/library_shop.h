/* A service that publishes items and links libkeepstep: its database in the test's directory, after
 * `keepstep init`. */
#ifndef TESTS_SUPPORT_LIBRARY_SHOP_H
#define TESTS_SUPPORT_LIBRARY_SHOP_H

#include "tests/support/sql.h"

#include <sqlite3.h>

#define LIBRARY_SHOP test_path("shop.db")

/** @param item  what its configuration says of the type "item", whose table is "item": "{}".
 * @return the database, for sqlite3_close(). */
sqlite3 *library_shop_open(const char *item);

#endif
