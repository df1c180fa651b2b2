/* Runs test cases in each of the databases in turn. */
#include "tests/support/database_case.h"

enum database_kind database_case_kind = DATABASE_SQLITE;

/* What cmocka gives to a test: a case and its database. */
struct case_run {
    struct test_case base; /* first: test_begin() takes it */
    const struct database_case *run;
    enum database_kind kind;
};

static void run_case(void **state)
{
    const struct case_run *running = *state;
    database_case_kind = running->kind;
    running->run->function();
}

static bool has_anything(enum database_kind kind)
{
    (void)kind;
    return true;
}

int database_case_run(const struct database_case *cases, size_t count)
{
    return database_case_run_where(cases, count, has_anything);
}

int database_case_run_where(const struct database_case *cases, size_t count,
                            bool (*has)(enum database_kind kind))
{
    static const char *const names[] = {"sqlite", "postgresql", "mariadb"};
    size_t used = 0;
    struct case_run *runs = calloc(3 * count, sizeof *runs);
    struct CMUnitTest *tests = calloc(3 * count, sizeof *tests);
    assert_non_null(runs);
    assert_non_null(tests);
    for (size_t j = 0; j < 3; j++) {
        for (size_t i = 0; i < count; i++) {
            if (!has((enum database_kind)j) || (j == DATABASE_SQLITE && cases[i].servers_only))
                continue;
            const char *name = test_format("%s:%s", names[j], cases[i].name);
            runs[used] = (struct case_run){.base = {name, 4 * TEST_LIMIT_SECONDS, run_case},
                                           .run = &cases[i],
                                           .kind = (enum database_kind)j};
            tests[used] = (struct CMUnitTest){name, test_body, test_begin, test_end, &runs[used]};
            used++;
        }
    }
    int code = test_run(tests, used);
    free(tests);
    free(runs);
    return code;
}
