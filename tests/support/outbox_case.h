/* The database in which a case of the outbox's contract runs: each back end, opened with the rights
 * of a relay's role. */
#ifndef TESTS_SUPPORT_OUTBOX_CASE_H
#define TESTS_SUPPORT_OUTBOX_CASE_H

#include "producer/outbox/outbox.h"
#include "tests/support/test.h"

#define OUTBOX_CASE_PAYLOAD_BYTES 5000 /* the largest payload that is loaded */
#define OUTBOX_CASE_LEASE_US      (INT64_C(10) * 1000 * 1000)

/** A database product: how a test makes an empty database and runs SQL. */
struct outbox_product {
    const char *name;
    const char *(*make)(void); /* @return its URL as its owner; skips if there is no server */
    const char *(*relay)(const char *); /* @return the URL of a relay's role, after init */
    const char *(*text)(const char *url, const char *sql);
    void (*kill)(const char *url); /* ends all other sessions; NULL if there are none */
    const char *grants;            /* how init's grants begin; NULL if there are none */
};

extern const struct outbox_product outbox_products[]; /* sqlite, postgresql, mariadb */

/* The running case's. */
extern const struct outbox_product *outbox_case_product;
extern const char *outbox_case_url; /* as its owner */
extern struct arena outbox_case_arena;
extern bool outbox_case_whole; /* `transactions: whole` */
extern bool outbox_case_joint; /* the service takes part in joint transactions */
extern const struct outbox_extent outbox_case_extent;

/** Make an empty database. Skips the test if there is no server. */
void outbox_case_make_empty(void);

/** Run `init`, and what it prints of grants. @return what it said. */
const char *outbox_case_init(void);

/** Make an empty database and run `init`. Skips the test if there is no server. */
void outbox_case_make(void);

/** Run SQL as the owner. @return the rows as sqlite_text() writes them. */
const char *outbox_case_ask(const char *sql);

/** @return the URL with the rights of a relay, after outbox_case_init(). */
const char *outbox_case_relay_url(void);

/** @return the URL as the outbox takes it: of SQLite the path. */
const char *outbox_case_path(const char *url);

/** Open the outbox with the rights of a relay. */
enum status outbox_case_open_as(const char *instance, struct outbox **ret_outbox,
                                struct error *err);
struct outbox *outbox_case_open(const char *instance);

/** Write one row of the entity type for each number. */
void outbox_case_write(const char *type, int from, int to);

/** Write a record of joint transactions: the proposal of transaction t<number>. */
void outbox_case_propose(int number);

struct lease outbox_case_lease(struct outbox *outbox);

/** Load the rows that wait. @return how many. */
size_t outbox_case_waiting(struct outbox *outbox, struct outbox_row **ret_rows);

/** Claim all that wait, for partition 1 of a topic ("orders" unless named), with the sequences
 * after `last`. */
enum status outbox_case_claim_for(struct outbox *outbox, const struct lease *lease,
                                  const char *topic, uint64_t last, struct error *err);
enum status outbox_case_claim(struct outbox *outbox, const struct lease *lease, uint64_t last,
                              struct error *err);
void outbox_case_claimed(struct outbox *outbox, const struct lease *lease, uint64_t last);
void outbox_case_acknowledged(struct outbox *outbox, const struct lease *lease, uint64_t sequence);

/* Each case becomes one test per back end: CASE(name) defines them, ALL(name) lists them. */
#define CASE_OF(function, index, product_name)                                                     \
    static void function##_##product_name(void **state)                                            \
    {                                                                                              \
        (void)state;                                                                               \
        outbox_case_product = &outbox_products[index];                                             \
        outbox_case_whole = outbox_case_joint = false;                                             \
        function();                                                                                \
        arena_done(&outbox_case_arena);                                                            \
    }
#define CASE_OF_SERVERS(function) CASE_OF(function, 1, postgresql) CASE_OF(function, 2, mariadb)
#define CASE(function)            CASE_OF(function, 0, sqlite) CASE_OF_SERVERS(function)
#define SERVERS(function)         TEST(function##_postgresql), TEST(function##_mariadb)
#define ALL(function)             TEST(function##_sqlite), SERVERS(function)

#endif
