/* Copies whose records are change sets: rows that fit, rows that are refused, and where a set
 * begins and ends. */
#ifndef TESTS_SUPPORT_SET_CASE_H
#define TESTS_SUPPORT_SET_CASE_H

#include "tests/support/copy.h"

#define FINE   COPY_A_NULL COPY_B("fine")
#define BAD    COPY_A_NULL COPY_B("bad") /* a check refuses it */
#define ORPHAN COPY_ROW("p", "orphan")   /* refused until its parent is there */
#define PARENT "INSERT INTO parents VALUES ('p')"

/** By database_kind, for copy_begin_two(): a check refuses b = 'bad' of orders and lines; a of an
 * order needs a parent where it is not NULL. */
extern const char *const set_tables[];

/** The next `count` sequenced records are one set; the sequence of its first one is `first`. */
void set_begin(struct copy *copy, int first, int count);

/** The next ones are each alone. */
void set_end(struct copy *copy);

#endif
