/* What the agent does for a joint transaction again and again is prepared once, and asked for in
 * few messages. What was seen of a table is remembered, where that costs less, until the table is
 * another one (test_joint_ops.c). */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include "consumer/store/sql/session.h"

#include <libpq-fe.h>
#include <mysql.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 4096

/* How the stores of all databases begin; their headers cannot be read together. */
struct opened {
    struct store_sql sql;
    void *connection;
};

static void *connection(void)
{
    return ((struct opened *)joint_case_store)->connection;
}

/* A statement that reads or writes tables was compiled. */
static int note_compiled(void *context, int action, const char *a, const char *b, const char *c,
                         const char *d)
{
    (void)a, (void)b, (void)c, (void)d;
    if (action == SQLITE_SELECT || action == SQLITE_INSERT || action == SQLITE_UPDATE ||
        action == SQLITE_DELETE)
        ++*(size_t *)context;
    return SQLITE_OK;
}

static size_t compiled;
static size_t asked;
static FILE *trace;

/* @return how many messages the agent's own session has sent so far, with this one. */
static size_t questions(void)
{
    assert_int_equal(mysql_query(connection(), "SHOW SESSION STATUS LIKE 'Questions'"), 0);
    MYSQL_RES *result = mysql_store_result(connection());
    assert_non_null(result);
    MYSQL_ROW row = mysql_fetch_row(result);
    assert_non_null(row);
    size_t count = strtoul(row[1], NULL, 10);
    mysql_free_result(result);
    return count;
}

static void count_from_now_on(void)
{
    compiled = 0;
    if (database_case_kind == DATABASE_SQLITE)
        return;
    if (database_case_kind == DATABASE_MARIADB) {
        asked = questions();
        return;
    }
    trace = fopen(test_path("trace"), "w");
    assert_non_null(trace);
    PQtrace(connection(), trace);
}

/* @return how many statements were compiled, or how many times the server was waited for, or how
 * many messages it got. */
static size_t counted(void)
{
    char line[LINE_SIZE];
    size_t waits = 0;
    if (database_case_kind == DATABASE_SQLITE)
        return compiled;
    if (database_case_kind == DATABASE_MARIADB)
        return questions() - asked - 1;
    PQuntrace(connection());
    (void)fclose(trace);
    trace = fopen(test_path("trace"), "r");
    assert_non_null(trace);
    while (fgets(line, sizeof line, trace) != NULL)
        waits += strstr(line, "ReadyForQuery") != NULL;
    (void)fclose(trace);
    return waits;
}

static const struct {
    size_t attempt;
    size_t settle;
} limits[] = {
    [DATABASE_SQLITE] = {0, 0},
    [DATABASE_POSTGRESQL] = {18, 15},
    [DATABASE_MARIADB] = {27, 18},
};

static void expect_at_most(size_t limit, const char *of)
{
    size_t found = counted();
    (void)printf("note: %s: %zu\n", of, found);
    if (found > limit)
        test_fail("%s: %zu, more than %zu", of, found, limit);
}

/* With begin and commit, of one change of one row. */
static void a_try_and_a_decision_cost_little(void)
{
    joint_case_begin_test();
    if (database_case_kind == DATABASE_SQLITE) /* which lets it compile all statements once more */
        assert_int_equal(sqlite3_set_authorizer(connection(), note_compiled, &compiled), SQLITE_OK);
    for (size_t i = 0; i < 2; i++) { /* a look at MariaDB's catalogue opens what it sees */
        joint_case_assert_yes(joint_case_attempt(test_format("%zu", i), 7, MINUS(1)), "first");
        joint_case_assert_yes(joint_case_settle(test_format("%zu", i), MINUS(1), true), "first");
    }
    count_from_now_on();
    joint_case_assert_yes(joint_case_attempt("t", 8, MINUS(1)), "attempt");
    expect_at_most(limits[database_case_kind].attempt, "attempt");
    count_from_now_on();
    joint_case_assert_yes(joint_case_settle("t", MINUS(1), true), "settle");
    expect_at_most(limits[database_case_kind].settle, "settle");
    joint_case_done();
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_try_and_a_decision_cost_little),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, joint_case_has);
}
