/* A publisher whose table is compared with copies: the service `shop` of shop.h, its relay, and a
 * source with the rights of the relay's role. */
#ifndef TESTS_SUPPORT_SOURCE_CASE_H
#define TESTS_SUPPORT_SOURCE_CASE_H

#include "producer/outbox/outbox.h"
#include "producer/source/source.h"
#include "tests/support/database_case.h"
#include "tests/support/shop.h"

#define SOURCE_CASE_SCHEMA shop_schema("id", "id integer,name text")
#define SOURCE_CASE_TABLE  "CREATE TABLE orders (id bigint PRIMARY KEY, name varchar(40))"

/** Do not move it after source_case_make(). */
struct source_case {
    struct shop shop;
    struct config config; /* the shop's, with the URL of the relay's role */
    const char *relay_url;
    struct source *source;
    struct outbox *outbox; /* of the relay */
    struct lease lease;
    struct arena arena; /* of what is read */
    uint64_t last[3];   /* numbers given in each partition */
};

/** Make the running case's database with the shop's tables, run init, and open relay and source.
 * Skips the test if there is no such server. */
void source_case_make(struct source_case *self, const char *schema, const char *tables);

/** The same without rows that were there before: `init` has published none. */
void source_case_make_bare(struct source_case *self, const char *schema, const char *tables);

/** As source_case_make_bare(), for a table of another name than orders. */
void source_case_make_named(struct source_case *self, const char *table, const char *schema,
                            const char *tables);

/** Open relay and source, which were closed. */
void source_case_open_all(struct source_case *self);
void source_case_done(struct source_case *self);

/** Run SQL as the owner, in a session of its own. @return as database_text(). */
const char *source_case_text(const struct source_case *self, const char *sql);

/** Number all that waits, for a partition. */
void source_case_claim(struct source_case *self, int32_t partition);

/** Acknowledge a partition up to a sequence, whose record is at offset sequence + 100. */
void source_case_acknowledge(struct source_case *self, int32_t partition, uint64_t sequence);

/** Set the row at a position aside. */
void source_case_set_aside(struct source_case *self, int64_t position);

/** Begin a snapshot, or end it; the test fails unless that is OK. */
void source_case_snapshot(struct source_case *self, bool begin);

enum status source_case_try_stamp(struct source_case *self, struct error *err);
struct source_stamp source_case_stamp(struct source_case *self);

/** @return the stamp as "partition:next_offset:acknowledged_sequence " of each partition. */
const char *source_case_positions(struct source_case *self);

/** @return the open keys, a blank behind each. */
const char *source_case_open(struct source_case *self);

/** Scan the shop's table. @param keys  NULL: all rows. */
enum status source_case_try_scan(struct source_case *self, const struct slice *keys, size_t count,
                                 struct buffer *ret_rows, struct error *err);

/** @return the rows, sorted by key: the key, and behind it the digest of the row or, for people,
 * its values; "\n" after each row. */
const char *source_case_rows(struct source_case *self, const char *const *keys, size_t count);

/** Append a row as source_case_rows() writes it. */
void source_case_append_row(struct buffer *rows, const struct entity_schema *schema,
                            struct slice key, const struct value *values);

#endif
