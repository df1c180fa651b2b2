/* Each case of the store's contract runs over every back end. This is what the cases share, and the
 * matrix of results by case and store, which is printed at the end. */
#ifndef TESTS_SUPPORT_STORE_CASE_H
#define TESTS_SUPPORT_STORE_CASE_H

#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "tests/support/test.h"

#define STORE_CASE_TOPIC "order"

/** A back end as the cases see it. Each has one entry in store_case.c. */
struct store_back_end {
    const char *url;                  /* store_find() finds it by this */
    bool is_server;                   /* it has other sessions, and connections can break */
    const char *(*skip_reason)(void); /* @return why it cannot run here, NULL if it can */
    const char *(*database)(void);    /* make an empty one; @return store_options.path */
    /** @return the rows of a table ordered by its first column, as sqlite_text() writes them. */
    const char *(*rows)(struct store *store, const char *database, const char *table);
    /** Run SQL as its administrator. @return the rows. */
    const char *(*text)(const char *database, const char *sql);
    void (*kill_sessions)(const char *database);
    void (*crash)(void);                  /* the server ends like in a crash and starts again */
    void (*cancel)(const char *database); /* end the statements of other sessions */
    void (*read_only)(const char *database, bool on); /* as a failover does */
    const char *cancelled;    /* how the error of a cancelled statement ends */
    const char *agent;        /* on a server: the user that has only the role keepstep_agent */
    const char *lag;          /* and the one that has keepstep_lag */
    const char *users;        /* SQL that creates them */
    const char *outbox;       /* SQL that makes the parts of an outbox that a store reads */
    const char *schema;       /* comes before a table's name in the catalogue: "public." */
    const char *table;        /* another spelling of the table orders */
    const char *column;       /* and of its column price, if there is one */
    const char *waiters;      /* SQL that says whether a session waits for a lock: 1 or 0 */
    const char *snapshots;    /* SQL that tells whether another session has a transaction open, */
    const char *no_snapshots; /* and its rows where none has */
};

enum store_case_result { STORE_CASE_NOT_RUN, STORE_CASE_FAILED, STORE_CASE_SKIPPED, STORE_CASE_OK };

#define STORE_BACK_ENDS_MAX 4

struct store_case {
    const char *name;
    void (*function)(void);
    bool servers_only;
    bool sql_only;
    enum store_case_result results[STORE_BACK_ENDS_MAX];
};

/** One entry of the array that store_case_run() takes. */
#define STORE_CASE(case_function)                                                                  \
    {                                                                                              \
        .name = #case_function, .function = (case_function)                                        \
    }
#define STORE_CASE_OF_SERVERS(case_function)                                                       \
    {                                                                                              \
        .name = #case_function, .function = (case_function), .servers_only = true                  \
    }

#define STORE_CASE_OF_SQL(case_function)                                                           \
    {                                                                                              \
        .name = #case_function, .function = (case_function), .sql_only = true                      \
    }

/** Run all cases over all back ends and print the matrix. @return the exit code for main(). */
int store_case_run(struct store_case *cases, size_t count);

/* The running case's: an open store that owns partition 0 of the topic at offset 5, and the entity
 * type `order` (id, name, price) in the prepared table `orders`. */
extern const struct store_back_end *store_case_back_end;
extern const struct store_ops *store_case_ops;
extern struct store *store_case_store;
extern struct partition_state store_case_owned;
extern struct error store_case_err;
extern struct arena store_case_arena;
extern const struct mapping store_case_mapping;

/** The test fails unless the call returns OK. */
#define assert_ok(call) store_case_check(call, __LINE__)
void store_case_check(enum status status, int line);

/** @return the running case's store_options.path, on a server its administrator's. */
const char *store_case_database(void);

/** @return the agent's store_options.path. On a server the agent has only the rights of its
 * role. */
const char *store_case_agent_database(void);

/** @return store_options.path of a user of a server. */
const char *store_case_user_database(const char *user);

/** @return another open store of the agent on the same database. */
struct store *store_case_open(void);

/** Do what `init` does in the case's database, as an administrator. */
void store_case_install(void);

/** Prepare a mapping for the agent. On a server an administrator makes its table. */
void store_case_prepare(const struct mapping *mapping);

/** @return a fence that moves the owned position. */
struct fence store_case_fence(int64_t new_offset);

/** Wait until a snapshot can tell the tables that were just made from those that are made later. */
void store_case_settle(void);

/** Begin without moving the position; commit without waiting for the disk; read the state again. */
void store_case_begin(void);
void store_case_commit(void);
void store_case_reload(void);

/** Apply one change of an order. NULL leaves a column out. */
enum status store_case_apply(enum change_op op, int64_t id, const char *name, const char *price);

/** @return rows without the zeros at the end of decimals: in MariaDB a decimal without a precision
 * has thirty digits after the point. */
const char *store_case_trim(const char *rows);

/** Check the rows of `orders`: "|" between columns, a line feed after each row. */
void store_case_assert_rows(const char *expected);

void store_case_assert_fence_lost(struct fence fence, int native_code);

#endif
