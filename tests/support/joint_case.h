/* A service `shop` of joint transactions on a database that has them, for tests of any back end:
 * its tables, its triggers, and a store that has taken the joint topic's partition. */
#ifndef TESTS_SUPPORT_JOINT_CASE_H
#define TESTS_SUPPORT_JOINT_CASE_H

#include "consumer/joint/joint.h"
#include "consumer/store/registry.h"
#include "tests/support/joint_store.h"
#include "tests/support/session.h"

/* Beginnings of changes, of a row that is there and of one that is not; what a change of A by n is.
 */
#define STOCK    "{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"sku\":\"A\"},"
#define ABSENT   "{\"service\":\"shop\",\"type\":\"stock\",\"key\":{\"sku\":\"N\"},"
#define MINUS(n) "[" STOCK "\"op\":\"u\",\"add\":{\"free\":-" #n "}}]"

/* What is reserved, what A holds, which events there are; what it is at first, and after a change.
 */
#define RESERVED                                                                                   \
    "SELECT entity_type, entity_key, operation, proposer, id FROM keepstep_reserved ORDER BY 1, 2"
#define ROW     "SELECT free, state, price FROM stock WHERE sku = 'A'"
#define BEFORE  "10|sold|1.25\n"
#define EVENTS  "SELECT aggregatetype, aggregateid, type FROM outbox ORDER BY position"
#define UPDATED "stock|{\"sku\":\"A\"}|stock.updated\n"

/* The types `stock` (a column of each type) and `movement` are joint, `audit` is published alone.
 */
extern const char *joint_case_url;
extern const struct joint_store_case *joint_case_texts; /* of the running test's database */
extern struct store *joint_case_store;
extern const struct joint_ops *joint_case_ops;
extern struct error joint_case_err;

/** @return whether stores of this kind of database have joint transactions. */
bool joint_case_has(enum database_kind kind);

/** Make it anew for the running test, in the database that database_case.h names, and fill it. */
void joint_case_begin_test(void);
void joint_case_done(void);

/** Run `keepstep init` as if a type had no `joint:`; "" gives all of them theirs back. The store
 * still takes it for one that has. */
void joint_case_init_without(const char *type);

/** Run `keepstep init` once more; and what an administrator runs behind it, on a server. */
void joint_case_init(void);
void joint_case_grant(void);

/** @return what `keepstep init --print-sql` prints of the outbox and the triggers. */
const char *joint_case_print(void);

/** @return how many types the watch finds not captured; why nothing can be promised,
 * and what lets a lock that is not had end a transaction, or "". */
size_t joint_case_watch(void);
const char *joint_case_look(void);

/** Prepare the same service in another database of a server. */
enum status joint_case_init_in(const char *url);

/** The agent opens its store again, and takes its partition. */
void joint_case_open_again(void);

/** Run SQL as the service. @return the rows. */
const char *joint_case_text(const char *sql);

/** Make, or drop, a trigger of the service's: joint_store.h. */
void joint_case_trigger(const char *name, const char *when, const char *table, const char *body);
void joint_case_drop_trigger(const char *name, const char *table);

/** The test fails unless the service's statement is refused because of a reservation, or is taken.
 */
void joint_case_assert_refused(const char *sql);
void joint_case_assert_taken(const char *sql);

/** Begin with nothing reserved and one row, A, whose events were published. */
void joint_case_fill(void);

/** The test fails unless a slot has said so. @param of  what it was asked for. */
void joint_case_assert_yes(enum status status, const char *of);
void joint_case_assert_no(enum status status, const char *why, const char *of);

void joint_case_begin(void);
void joint_case_commit(void);

/** @param changes  the array of a proposal; all of it is this service's. */
struct joint_part joint_case_part(const char *id, int64_t offset, const char *changes);

/** Each in a transaction of its own, which is committed where it returns OK or REJECT. */
enum status joint_case_attempt(const char *id, int64_t offset, const char *changes);
enum status joint_case_settle(const char *id, const char *changes, bool committed);

#endif
