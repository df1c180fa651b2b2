/* The relay of a relay_shop in a thread, on the database of an outbox case, whose test stands
 * between relay and outbox: what the relay asks for goes through functions of the test. */
#ifndef TESTS_SUPPORT_RELAY_WATCHED_H
#define TESTS_SUPPORT_RELAY_WATCHED_H

#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"

/** What the outbox does, for functions of the test that go on there. */
extern const struct outbox_ops *relay_watched_ops;

/** Start the relay. `change` puts the test's functions among the outbox's. */
void relay_watched_start(struct relay_shop *shop, void (*change)(struct outbox_ops *ops));

/** Write this many orders, each of an entity of its own: they are numbered from `first` on. */
void relay_watched_write(int first, int count, const char *changeset);

/** Give the row at a position the entity of another number than its own. */
void relay_watched_give_entity(int position, int of);

/** Wait until a query on the database gives `rows`. */
void relay_watched_expect(const struct relay_shop *shop, const char *sql, const char *rows);

/** All rows have numbers, and each entity's rise with its positions. */
void relay_watched_expect_order(void);

#endif
