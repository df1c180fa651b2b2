/* A publisher's snapshot holds up nobody: in PostgreSQL it gives way to those who wait for its
 * table, in SQLite it is refused where it would keep writers out. What hides rows is refused. */
#include "tests/support/session.h"
#include "tests/support/source_case.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>

#define ROWS_SIZE ((size_t)16 * 1024 * 1024)
#define WAITERS                                                                                    \
    "SELECT count(*) FROM pg_locks WHERE NOT granted "                                             \
    "AND relation = 'orders'::regclass"
#define WAIT_MS 20000
#define ROWS    5000

struct migration {
    const char *url;
    pthread_t thread;
};

static void *alter(void *context)
{
    const struct migration *migration = context;
    struct session *session = session_open(migration->url);
    const char *error = session_try(session, "ALTER TABLE orders ADD COLUMN more integer", NULL);
    session_close(session);
    return (void *)(uintptr_t)error;
}

/* Starts a migration, and waits until it waits. */
static void migration_begin(struct migration *migration, const char *url)
{
    migration->url = url;
    assert_int_equal(pthread_create(&migration->thread, NULL, alter, migration), 0);
    assert_true(database_wait_for(url, WAITERS, "1\n", WAIT_MS));
}

static void migration_ends(const struct migration *migration)
{
    void *error = NULL;
    assert_int_equal(pthread_join(migration->thread, &error), 0);
    assert_null(error);
}

static void a_snapshot_that_rests_gives_way(void **state)
{
    struct source_case self;
    struct migration migration;
    struct error err = ERROR_INIT;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                          SOURCE_CASE_TABLE ";INSERT INTO orders VALUES (1, 'a')");
    source_case_snapshot(&self, true);
    (void)source_case_rows(&self, NULL, 0);
    assert_int_equal(self.source->ops->keep(self.source, &err), STATUS_OK);
    migration_begin(&migration, self.shop.url);
    assert_int_equal(self.source->ops->keep(self.source, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "gave way"));
    assert_non_null(strstr(err.text, "orders"));
    migration_ends(&migration);
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "id=1 name=\"a\""));
    source_case_done(&self);
}

/* A change that does not need the table alone is not held up, and holds up nothing. */
static void a_snapshot_does_not_give_way_to_a_writer(void **state)
{
    struct source_case self;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                          SOURCE_CASE_TABLE ";INSERT INTO orders VALUES (1, 'a')");
    source_case_snapshot(&self, true);
    (void)source_case_rows(&self, NULL, 0);
    (void)source_case_text(&self, "UPDATE orders SET name = 'b'; CREATE INDEX ON orders (name)");
    assert_int_equal(self.source->ops->keep(self.source, NULL), STATUS_OK);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "name=\"a\""));
    source_case_done(&self);
}

struct visited {
    struct migration migration;
    int rows;
};

/* Each part takes its time. */
static enum status visit(void *context, const struct scanned_row *row, struct error *err)
{
    struct visited *visited = context;
    (void)row;
    (void)err;
    if (visited->rows++ == 0)
        migration_begin(&visited->migration, visited->migration.url);
    clock_sleep_us(1000);
    return STATUS_OK;
}

static void a_scan_gives_way_between_two_parts(void **state)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                          test_format(SOURCE_CASE_TABLE ";INSERT INTO orders SELECT n, 'x' FROM "
                                                        "generate_series(1, %d) AS n",
                                      ROWS));
    struct visited visited = {.migration.url = self.shop.url};
    const struct source_scan scan = {
        .entry = &self.shop.entry, .schema = self.shop.schema, .visit = visit, .context = &visited};
    source_case_snapshot(&self, true);
    assert_int_equal(self.source->ops->scan(self.source, &scan, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "gave way"));
    assert_true(visited.rows < ROWS);
    migration_ends(&visited.migration);
    source_case_done(&self);
}

static void row_security_that_hides_rows_is_refused(void **state)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    struct buffer rows;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    buffer_init(&rows, ROWS_SIZE);
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                          SOURCE_CASE_TABLE ";INSERT INTO orders VALUES (1, 'a'), (2, 'b')");
    (void)source_case_text(&self, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
                                  "CREATE POLICY few ON orders TO PUBLIC USING (id = 1)");
    source_case_snapshot(&self, true);
    assert_int_equal(source_case_try_scan(&self, NULL, 0, &rows, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "row security"));
    assert_non_null(strstr(err.text, "BYPASSRLS"));
    assert_int_equal(rows.length, 0);

    (void)source_case_text(&self, "ALTER ROLE source_relay BYPASSRLS");
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "{\"id\":2}"));
    (void)source_case_text(&self, "ALTER ROLE source_relay NOBYPASSRLS");
    buffer_done(&rows);
    source_case_done(&self);
}

static void a_table_in_another_schema_is_read_with_the_printed_grants(void **state)
{
    struct source_case self;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    source_case_make_named(&self, "sales.Orders", SOURCE_CASE_SCHEMA,
                           "CREATE SCHEMA sales; CREATE TABLE sales.\"Orders\" (id bigint PRIMARY "
                           "KEY, name text); INSERT INTO sales.\"Orders\" VALUES (1, 'a')");
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "id=1 name=\"a\""));
    source_case_done(&self);
}

static void a_partition_that_was_emptied_after_the_snapshot_is_noticed(void **state)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    struct buffer rows;
    (void)state;
    database_case_kind = DATABASE_POSTGRESQL;
    buffer_init(&rows, ROWS_SIZE);
    source_case_make_bare(
        &self, SOURCE_CASE_SCHEMA,
        "CREATE TABLE orders (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (100) TO (200);"
        "INSERT INTO orders VALUES (1, 'a'), (101, 'b')");
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "{\"id\":101}"));
    source_case_snapshot(&self, false);
    source_case_snapshot(&self, true);
    (void)source_case_text(&self, "TRUNCATE high");
    assert_int_equal(source_case_try_scan(&self, NULL, 0, &rows, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "emptied"));
    buffer_done(&rows);
    source_case_done(&self);
}

static void a_sqlite_database_without_wal_is_refused(void **state)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    (void)state;
    database_case_kind = DATABASE_SQLITE;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    self.outbox->ops->close(self.outbox);
    self.source->ops->close(self.source);
    (void)source_case_text(&self, "PRAGMA journal_mode = DELETE");
    source_case_open_all(&self);
    assert_int_equal(self.source->ops->snapshot(self.source, true, &err), STATUS_STOP);
    assert_non_null(strstr(err.text, "journal_mode = WAL"));
    error_clear(&err);
    (void)source_case_text(&self, "INSERT INTO orders VALUES (1, 'a')");
    source_case_done(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_that_rests_gives_way),
        TEST(a_snapshot_does_not_give_way_to_a_writer),
        TEST(a_scan_gives_way_between_two_parts),
        TEST(row_security_that_hides_rows_is_refused),
        TEST(a_table_in_another_schema_is_read_with_the_printed_grants),
        TEST(a_partition_that_was_emptied_after_the_snapshot_is_noticed),
        TEST(a_sqlite_database_without_wal_is_refused),
    };
    return TEST_RUN(tests);
}
