/* One case of the store contract runs over every back end: what the cases share, and the matrix of
 * case by store that is printed at the end. */
#ifndef TESTS_SUPPORT_STORE_CASE_H
#define TESTS_SUPPORT_STORE_CASE_H

#include "consumer/store/registry.h"
#include "consumer/store/store.h"
#include "tests/support/test.h"

#define STORE_CASE_TOPIC "order"

/** A back end as the cases see it; one line each in store_case.c. */
struct store_back_end {
    const char *url;                  /* what store_find() finds it by */
    bool is_server;                   /* other sessions, connections that break */
    const char *(*skip_reason)(void); /* why it cannot run here; NULL: it can */
    const char *(*database)(void);    /* make an empty one; @return store_options.path */
    /** The rows of a table ordered by its first column, as sqlite_text() writes them. */
    const char *(*rows)(struct store *store, const char *database, const char *table);
    /** Run SQL as its administrator. @return the rows. */
    const char *(*text)(const char *database, const char *sql);
    void (*kill_sessions)(const char *database);
    void (*crash)(void);                  /* the server ends without a goodbye and starts again */
    void (*cancel)(const char *database); /* end what other sessions run */
    void (*read_only)(const char *database, bool on); /* as a failover makes it */
    const char *cancelled; /* how the text of a cancelled statement's error ends */
    const char *agent;    /* of a server: the user that holds the role keepstep_agent and no more */
    const char *lag;      /* and the one that holds keepstep_lag */
    const char *users;    /* SQL that creates them */
    const char *outbox;   /* SQL that makes what the store looks at of an outbox */
    const char *schema;   /* what the catalogue has before a table's name: "public." */
    const char *table;    /* the table orders, and */
    const char *column;   /* its column price, written in another way, where there is one */
    const char *sleep;    /* SQL that sleeps, */
    const char *sleepers; /* and counts who does */
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

/** Run all over all back ends and print the matrix; @return the exit code for main(). */
int store_case_run(struct store_case *cases, size_t count);

/* The running case: an open store that owns partition 0 of the topic at offset 5, and an entity
 * type `order` (id, name, price) in the table `orders`, prepared. */
extern const struct store_back_end *store_case_back_end;
extern const struct store_ops *store_case_ops;
extern struct store *store_case_store;
extern struct partition_state store_case_owned;
extern struct error store_case_err;
extern struct arena store_case_arena;
extern const struct mapping store_case_mapping;

/** The test fails unless the call gives OK. */
#define assert_ok(call) store_case_check(call, __LINE__)
void store_case_check(enum status status, int line);

/** @return store_options.path of the running case, of a server its administrator's. */
const char *store_case_database(void);

/** @return store_options.path of the agent, which on a server has the rights of its role alone. */
const char *store_case_agent_database(void);

/** @return store_options.path of a user of a server. */
const char *store_case_user_database(const char *user);

/** @return another open store on the same database, the agent's. */
struct store *store_case_open(void);

/** Prepare a mapping for the agent, whose table an administrator makes where it is a server's. */
void store_case_prepare(const struct mapping *mapping);

/** @return a fence that moves the owned position. */
struct fence store_case_fence(int64_t new_offset);

/** Begin without moving the position; commit without waiting for the disk; read the state anew. */
void store_case_begin(void);
void store_case_commit(void);
void store_case_reload(void);

/** Apply one change of an order; NULL leaves a column out. */
enum status store_case_apply(enum change_op op, int64_t id, const char *name, const char *price);

/** Rows with the zeros at the end of their decimals cut: a decimal without a precision is in
 * MariaDB a column with thirty digits behind the point. */
const char *store_case_trim(const char *rows);

/** The rows of `orders`, columns parted by "|", each row ended by a line feed. */
void store_case_assert_rows(const char *expected);

void store_case_assert_fence_lost(struct fence fence, int native_code);

#endif
