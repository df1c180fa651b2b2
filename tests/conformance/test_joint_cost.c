/* What the agent does for a joint transaction again and again is prepared once, and asked for in
 * few messages; and what was seen of a table is forgotten when the table is another one. */
#include "tests/support/database_case.h"
#include "tests/support/joint_case.h"

#include "consumer/store/sql/session.h"

#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define LINE_SIZE 4096

/* How the stores of both databases begin; the headers of the two cannot be read together. */
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
static FILE *trace;

static bool is_sqlite(void)
{
    return database_case_kind == DATABASE_SQLITE;
}

static void count_from_now_on(void)
{
    compiled = 0;
    if (is_sqlite())
        return;
    trace = fopen(test_path("trace"), "w");
    assert_non_null(trace);
    PQtrace(connection(), trace);
}

/* @return how many statements were compiled, or how many times the server was waited for. */
static size_t counted(void)
{
    char line[LINE_SIZE];
    size_t waits = 0;
    if (is_sqlite())
        return compiled;
    PQuntrace(connection());
    (void)fclose(trace);
    trace = fopen(test_path("trace"), "r");
    assert_non_null(trace);
    while (fgets(line, sizeof line, trace) != NULL)
        waits += strstr(line, "ReadyForQuery") != NULL;
    (void)fclose(trace);
    return waits;
}

static void expect_at_most(size_t sqlite, size_t postgresql, const char *of)
{
    size_t found = counted();
    size_t limit = is_sqlite() ? sqlite : postgresql;
    (void)printf("note: %s: %zu\n", of, found);
    if (found > limit)
        test_fail("%s: %zu, more than %zu", of, found, limit);
}

/* With begin and commit, of one change of one row. */
static void a_try_and_a_decision_cost_little(void)
{
    joint_case_begin_test();
    if (is_sqlite()) /* which lets it compile all statements once more */
        assert_int_equal(sqlite3_set_authorizer(connection(), note_compiled, &compiled), SQLITE_OK);
    joint_case_assert_yes(joint_case_attempt("first", 7, MINUS(1)), "first");
    joint_case_assert_yes(joint_case_settle("first", MINUS(1), true), "first");
    count_from_now_on();
    joint_case_assert_yes(joint_case_attempt("t", 8, MINUS(1)), "attempt");
    expect_at_most(0, 20, "attempt");
    count_from_now_on();
    joint_case_assert_yes(joint_case_settle("t", MINUS(1), true), "settle");
    expect_at_most(0, 16, "settle");
    joint_case_done();
}

static bool counts(enum database_kind kind)
{
    return kind != DATABASE_MARIADB;
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_try_and_a_decision_cost_little),
    };
    return database_case_run_where(cases, sizeof cases / sizeof *cases, counts);
}
