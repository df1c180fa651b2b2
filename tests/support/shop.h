/* A service `shop` that publishes its table `orders`, for tests of its triggers and of its rows. */
#ifndef TESTS_SUPPORT_SHOP_H
#define TESTS_SUPPORT_SHOP_H

#include "producer/init/init.h"
#include "producer/init/origin.h"
#include "tests/support/database.h"

#include <stdio.h>

/** Its configuration points into it: it stays where shop_make() found it. */
struct shop {
    struct config config;
    struct config_entry entry;
    const char *url;
    struct entity_schema *schema;
    struct origin *origin; /* from shop_open() on */
};

/** First of all: where its database is. */
void shop_begin(enum database_kind kind);

/** @param keys     key columns, "shelf,id".
 * @param columns  all columns with their types, "id integer,name text"; those that are no key may
 * be null.
 * @return the text of a schema. */
const char *shop_schema(const char *keys, const char *columns);

/** Make its database with these tables, and its configuration; without such a server the test is
 * skipped. */
void shop_make(struct shop *shop, const char *schema, const char *tables);

/** As `keepstep init`; what that says is in init.txt. */
enum status shop_init(struct shop *shop, bool rows, struct error *err);

/** The same with any options but `out`. */
enum status shop_init_with(struct shop *shop, const struct init_options *options,
                           struct error *err);

/** Make it, and `keepstep init` too. */
void shop_ready(struct shop *shop, const char *schema, const char *tables);

/** @return what `keepstep init --print-sql` prints. */
const char *shop_print(struct shop *shop);

/** Open its origin as `keepstep init` does. */
void shop_open(struct shop *shop);

/** As `keepstep init` without the rows that are there, and open its origin. */
void shop_track(struct shop *shop);

void shop_done(struct shop *shop);

#endif
