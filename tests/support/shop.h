/* A service `shop` that publishes its table `orders`, for tests of its triggers and its rows. */
#ifndef TESTS_SUPPORT_SHOP_H
#define TESTS_SUPPORT_SHOP_H

#include "producer/init/init.h"
#include "producer/init/origin.h"
#include "tests/support/database.h"

#include <stdio.h>

/** Do not move it after shop_make(): its configuration points into it. */
struct shop {
    struct config config;
    struct config_entry entry;
    const char *url;
    struct entity_schema *schema;
    struct origin *origin; /* from shop_open() on */
};

/** Choose the database. Call this first. */
void shop_begin(enum database_kind kind);

/** @param keys key columns, "shelf,id" @param columns all columns with their types, "id
 * integer,name text"; those that are not in the key may be NULL @return the text of a schema. */
const char *shop_schema(const char *keys, const char *columns);

/** Make its database with these tables, and its configuration. Skips the test if there is no such
 * server. */
void shop_make(struct shop *shop, const char *schema, const char *tables);

/** Do what `keepstep init` does. Its output is in init.txt. */
enum status shop_init(struct shop *shop, bool rows, struct error *err);

/** The same with any options except `out`. */
enum status shop_init_with(struct shop *shop, const struct init_options *options,
                           struct error *err);

/** Make it, and run shop_init(). */
void shop_ready(struct shop *shop, const char *schema, const char *tables);

/** @return what `keepstep init --print-sql` prints. */
const char *shop_print(struct shop *shop);

/** Open its origin, as `keepstep init` does. */
void shop_open(struct shop *shop);

/** Run init without the existing rows, and open the origin. */
void shop_track(struct shop *shop);

void shop_done(struct shop *shop);

#endif
