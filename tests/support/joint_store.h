/* What tests of joint transactions say differently in each database. A database that has joint
 * transactions is one line of `joint_stores` in joint_store.c. */
#ifndef TESTS_SUPPORT_JOINT_STORE_H
#define TESTS_SUPPORT_JOINT_STORE_H

#include "tests/support/database.h"

/** What is done to the service's tables, and how it is undone. */
struct joint_obstacle {
    const char *sql;
    const char *undo;
    const char *no; /* what the reason of the vote, or of what is held, says */
};

/** A statement of the service's own. */
struct joint_write {
    const char *sql;
    bool of_absent; /* it writes the row N, else the row A */
};

#define JOINT_COLUMNS 9 /* of stock, beside its key and `note`, which is not published */

struct joint_store_case {
    enum database_kind kind;
    /* The tables stock (sku, free CHECK (free >= 0), state, price, weight, paid, at, image, doc,
     * day, note), movement (id, sku, delta) and audit (id, what); in the end the row A of stock. */
    const char *tables;
    const char *row;
    /** @return the SQL of a row trigger. @param when  "AFTER UPDATE". @param body  one statement.
     */
    const char *(*trigger)(const char *name, const char *when, const char *table, const char *body);
    const char *(*drop_trigger)(const char *name, const char *table);
    /** @return a statement of a trigger that refuses with this text. */
    const char *(*raise)(const char *text);
    const char *const *values; /* JOINT_COLUMNS: what test_joint_ops.c sets, as it is read back */
    const struct joint_obstacle *obstacles; /* in the way of a change of A by -3 */
    size_t obstacle_count;
    const struct joint_obstacle *breaks; /* what was promised, so that it is held */
    size_t break_count;
    const struct joint_write *writes;
    size_t write_count;
};

/** @return the case of a database; NULL: its stores have no joint transactions. */
const struct joint_store_case *joint_store_case(enum database_kind kind);

extern const struct joint_store_case joint_store_sqlite;
extern const struct joint_store_case joint_store_postgresql;
extern const struct joint_store_case joint_store_mariadb;

#endif
