/* A savepoint of a SQLite session is kept in memory: it opens no file, and can be undone. */
#include "common/sqlite_session.h"
#include "tests/support/test.h"

#include <dirent.h>

#define ROWS  2000 /* far more pages than the 64 KiB that SQLite keeps by itself */
#define TEXTS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct error err;

static size_t count_open_files(void)
{
    size_t count = 0;
    DIR *files = opendir("/proc/self/fd");
    assert_non_null(files);
    while (readdir(files) != NULL)
        count++;
    (void)closedir(files);
    return count;
}

static void execute(sqlite3 *database, const char *sql)
{
    if (sqlite_session_execute(database, sql, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static int64_t count_changed(sqlite3 *database)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite_session_prepare(database, "SELECT count(*) FROM t WHERE text = 'new'",
                                            &statement, &err),
                     STATUS_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return count;
}

static void a_savepoint_over_many_pages_opens_no_file_and_is_undone(void **state)
{
    (void)state;
    sqlite3 *database = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assert_int_equal(sqlite_session_open(test_format("%s/savepoint.db", test_directory()), flags,
                                         &database, &err),
                     STATUS_OK);
    execute(database, "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, text)");
    execute(database, test_format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                                  "WHERE i < %d) INSERT INTO t SELECT i, '" TEXTS TEXTS TEXTS TEXTS
                                  "' FROM n",
                                  ROWS));
    execute(database, "BEGIN IMMEDIATE; SAVEPOINT batch");
    size_t before = count_open_files();
    execute(database, "UPDATE t SET text = 'new'");
    assert_int_equal(count_open_files(), before);
    assert_int_equal(count_changed(database), ROWS);
    execute(database, "ROLLBACK TO SAVEPOINT batch");
    assert_int_equal(count_changed(database), 0);
    execute(database, "COMMIT");
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_savepoint_over_many_pages_opens_no_file_and_is_undone),
    };
    return TEST_RUN(tests);
}
