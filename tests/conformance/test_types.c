/* Every native type of every source, with its extreme values, either reaches each copy unchanged or
 * is refused with a reason. docs/TYPES.md is written from what this program finds. */
#include "tests/support/type_document.h"

#include "tests/conformance/types_mariadb.h"
#include "tests/conformance/types_postgresql.h"
#include "tests/conformance/types_sqlite.h"

#define SIZE_OF(array)     (sizeof(array) / sizeof(array)[0])
#define DOCUMENT_SIZE_MAX  ((size_t)1024 * 1024)
#define TYPE_LIMIT_SECONDS 300

static struct type_matrix matrices[TYPE_DATABASES];

static void run(enum database_kind kind, const struct type_column *columns, size_t count)
{
    const struct type_source source = {.kind = kind, .columns = columns, .count = count};
    type_case_run(&source, &matrices[kind]);
}

static void every_value_of_sqlite_arrives_as_it_was_or_is_refused(void **state)
{
    (void)state;
    run(DATABASE_SQLITE, sqlite_columns, SIZE_OF(sqlite_columns));
}

static void every_value_of_postgresql_arrives_as_it_was_or_is_refused(void **state)
{
    (void)state;
    run(DATABASE_POSTGRESQL, postgresql_columns, SIZE_OF(postgresql_columns));
}

static void every_value_of_mariadb_arrives_as_it_was_or_is_refused(void **state)
{
    (void)state;
    run(DATABASE_MARIADB, mariadb_columns, SIZE_OF(mariadb_columns));
}

static void the_documentation_is_current(void **state)
{
    (void)state;
    struct buffer text;
    for (size_t i = 0; i < TYPE_DATABASES; i++) {
        if (!matrices[i].complete)
            test_skip("not all sources could be run to their end");
    }
    buffer_init(&text, DOCUMENT_SIZE_MAX);
    type_document(matrices, &text);
    test_assert_document("docs/TYPES.md", buffer_text(&text));
    buffer_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(every_value_of_sqlite_arrives_as_it_was_or_is_refused, TYPE_LIMIT_SECONDS),
        TEST_WITH_LIMIT(every_value_of_postgresql_arrives_as_it_was_or_is_refused,
                        TYPE_LIMIT_SECONDS),
        TEST_WITH_LIMIT(every_value_of_mariadb_arrives_as_it_was_or_is_refused, TYPE_LIMIT_SECONDS),
        TEST(the_documentation_is_current),
    };
    return TEST_RUN(tests);
}
