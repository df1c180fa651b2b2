/* The outbox and the log of a relay that publishes transactions whole: what a test writes into
 * both, and what it finds in the log. */
#ifndef TESTS_SUPPORT_RELAY_LOG_H
#define TESTS_SUPPORT_RELAY_LOG_H

#include "tests/support/relay_shop.h"

/** One change of a transaction. */
struct relay_write {
    const char *changeset; /* NULL: the row is alone */
    int id;
    const char *name; /* in JSON; "7" is no text, so the row cannot be published */
};

/** Write rows in one transaction of the database, so that no load sees only some of them. */
void relay_log_write(const struct relay_shop *shop, const struct relay_write *writes, size_t count);

/** @return "ID SEQUENCE CHANGESET" of each record of a partition, one a line; the numbers without
 * their leading zeros, "-" where there is none. A void has "void" for its id. */
const char *relay_log_text(const struct relay_shop *shop, int partition, int count);

/** Write rows and start the relay. The test fails unless it publishes them, alone in partition 0,
 * as relay_log_text() would say. */
void relay_log_expect_published(struct relay_shop *shop, const struct relay_write *writes,
                                size_t count, const char *text);

/** @return the id that the row at a position has. */
const char *relay_log_id(const struct relay_shop *shop, int position);

/** Append a record of the row at a position, which is its sequence too, in a set that ends at
 * `end`. */
void relay_log_append(const struct relay_shop *shop, const char *source, int position, int end);

#endif
