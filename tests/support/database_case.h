/* Test cases that run in each of the databases in turn. */
#ifndef TESTS_SUPPORT_DATABASE_CASE_H
#define TESTS_SUPPORT_DATABASE_CASE_H

#include "tests/support/database.h"

/** One entry of the array that database_case_run() takes. */
#define DATABASE_CASE(case_function)                                                               \
    {                                                                                              \
        .name = #case_function, .function = (case_function)                                        \
    }
#define DATABASE_CASE_SERVERS(case_function)                                                       \
    {                                                                                              \
        .name = #case_function, .function = (case_function), .servers_only = true                  \
    }

/** A test NAME_in_DATABASE of NAME(kind), for programs whose topics are named after their tests. */
#define DATABASE_TEST(name, database, kind)                                                        \
    static void name##_in_##database(void **state)                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        name(kind);                                                                                \
    }
#define DATABASE_TESTS_SERVERS(name)                                                               \
    DATABASE_TEST(name, postgresql, DATABASE_POSTGRESQL)                                           \
    DATABASE_TEST(name, mariadb, DATABASE_MARIADB)
#define DATABASE_TESTS(name)                                                                       \
    DATABASE_TEST(name, sqlite, DATABASE_SQLITE)                                                   \
    DATABASE_TESTS_SERVERS(name)

struct database_case {
    const char *name;
    void (*function)(void);
    bool servers_only;
};

/** The database of the running case. */
extern enum database_kind database_case_kind;

/** Run all cases in each of the databases in turn. @return the exit code for main(). */
int database_case_run(const struct database_case *cases, size_t count);

/** The same in those databases that have what is tested. */
int database_case_run_where(const struct database_case *cases, size_t count,
                            bool (*has)(enum database_kind kind));

#endif
