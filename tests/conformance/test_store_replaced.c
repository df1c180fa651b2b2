/* The contract of a store's snapshots about tables that are replaced after one began: it lacks
 * them, and says so before a row is read (rule 32). */
#include "tests/support/store_case.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct store *reader; /* with the agent's rights */

static const char *ask(const char *sql)
{
    return store_case_back_end->text(store_case_database(), sql);
}

static void snapshot(void)
{
    struct store_options options = {
        .path = store_case_agent_database(), .service = "billing", .read_only = true};
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    store_case_settle();
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
}

static void end_snapshot(void)
{
    assert_ok(store_case_ops->snapshot(reader, false, &store_case_err));
    store_case_ops->close(reader);
    reader = NULL;
}

static enum status count_row(void *context, const struct scanned_row *row, struct error *err)
{
    (void)row, (void)err;
    ++*(int *)context;
    return STATUS_OK;
}

/* @param none  only open the table. */
static enum status scan_orders(bool none)
{
    const struct slice no_keys[1] = {0};
    int rows = 0;
    const struct store_scan scan = {.mapping = &store_case_mapping,
                                    .keys = none ? no_keys : NULL,
                                    .visit = count_row,
                                    .context = &rows};
    enum status status = store_case_ops->scan(reader, &scan, &store_case_err);
    if (none)
        assert_int_equal(rows, 0);
    return status;
}

/* From then on nobody can change the table: a change of it waits for the snapshot's end. */
static void a_table_that_is_opened_is_read_as_it_was(void)
{
    snapshot();
    assert_ok(scan_orders(true));
    assert_ok(scan_orders(false));
    end_snapshot();
}

static bool is_postgresql(void)
{
    return strcmp(store_case_back_end->url, "postgresql:") == 0;
}

/* Each is run after the snapshot began. All of them leave a table that has no row, or other rows,
 * in the snapshot, without an error. */
static const char *const replacements[] = {
    "TRUNCATE orders",
    "VACUUM FULL orders",
    "ALTER TABLE orders ALTER COLUMN name TYPE text USING name || '!'",
    "ALTER TABLE orders RENAME TO gone; ALTER TABLE other RENAME TO orders",
    "DROP TABLE orders; ALTER TABLE other RENAME TO orders",
    "ALTER TABLE orders RENAME TO gone; ALTER TABLE elsewhere.orders SET SCHEMA public",
    "DROP TABLE orders; CREATE TABLE orders(id bigint PRIMARY KEY, name text, price numeric);"
    "GRANT SELECT ON orders TO keepstep_agent",
    "ALTER TABLE orders DROP COLUMN name",
    "ALTER TABLE parts ATTACH PARTITION low FOR VALUES FROM (0) TO (10);"
    "ALTER TABLE orders RENAME TO gone; ALTER TABLE parts RENAME TO orders",
};

static const char of_partitions[] =
    "ALTER TABLE orders RENAME TO whole;"
    "CREATE TABLE orders(id bigint, name text, price numeric) PARTITION BY RANGE (id);"
    "CREATE TABLE one PARTITION OF orders FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE two PARTITION OF orders FOR VALUES FROM (10) TO (20);"
    "CREATE TABLE three(id bigint, name text, price numeric);"
    "INSERT INTO orders VALUES (1, 'a', 1), (11, 'b', 1); INSERT INTO three VALUES (21, 'c', 1);"
    "GRANT SELECT ON orders TO keepstep_agent";

static const char *const partition_replacements[] = {
    "TRUNCATE two",
    "ALTER TABLE orders DETACH PARTITION two",
    "ALTER TABLE orders DETACH PARTITION two; DROP TABLE two",
    "ALTER TABLE orders ATTACH PARTITION three FOR VALUES FROM (20) TO (30)",
    "CREATE TABLE four PARTITION OF orders FOR VALUES FROM (30) TO (40)",
};

/* @param holds  read no row, but find out whether the snapshot has the table. */
static void replace(const char *before, const char *after, bool holds)
{
    if (before[0] != '\0')
        (void)ask(before);
    snapshot();
    (void)ask(after);
    enum status status = scan_orders(holds);
    if (status != STATUS_RETRY || !store_case_err.is_outdated)
        test_fail("%s: %s: %s", after, status_name(status), store_case_err.text);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    end_snapshot();
}

static const char others[] =
    "DROP TABLE IF EXISTS orders, other, gone, parts, low, whole, one, two, three, four CASCADE;"
    "DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE SCHEMA elsewhere;"
    "CREATE TABLE orders(id bigint PRIMARY KEY, name text, price numeric);"
    "CREATE TABLE other(LIKE orders INCLUDING ALL); CREATE TABLE elsewhere.orders(LIKE orders);"
    "CREATE TABLE parts(id bigint, name text, price numeric) PARTITION BY RANGE (id);"
    "CREATE TABLE low(id bigint, name text, price numeric);"
    "INSERT INTO orders VALUES (1, 'one', 1); INSERT INTO other VALUES (2, 'two', 2);"
    "GRANT SELECT ON orders, other, parts, elsewhere.orders TO keepstep_agent;"
    "GRANT USAGE ON SCHEMA elsewhere TO keepstep_agent";

static void a_table_that_is_replaced_or_emptied_meanwhile_is_read_again(void)
{
    if (!is_postgresql())
        return;
    for (size_t i = 0; i < 2 * COUNT(replacements); i++)
        replace(others, replacements[i / 2], i % 2 == 0);
    for (size_t i = 0; i < 2 * COUNT(partition_replacements); i++) {
        (void)ask(others);
        replace(of_partitions, partition_replacements[i / 2], i % 2 == 0);
    }
}

/* Of these MariaDB finds the first two by itself. */
static const char *const mariadb_replacements[] = {
    "TRUNCATE orders",
    "ALTER TABLE orders ADD COLUMN more int, ALGORITHM = COPY",
    "RENAME TABLE orders TO gone, other TO orders",
    "DROP TABLE orders; RENAME TABLE other TO orders",
    "CREATE TABLE next LIKE orders; RENAME TABLE orders TO gone, next TO orders",
};

static void a_table_that_is_replaced_in_mariadb_is_read_again(void)
{
    if (strcmp(store_case_back_end->url, "mysql:") != 0)
        return;
    for (size_t i = 0; i < 2 * COUNT(mariadb_replacements); i++) {
        (void)ask("DROP TABLE IF EXISTS other, gone");
        (void)ask("CREATE OR REPLACE TABLE orders(id bigint PRIMARY KEY, name longtext, "
                  "price decimal(65, 30)) COLLATE utf8mb4_nopad_bin");
        (void)ask("CREATE TABLE other LIKE orders; INSERT INTO orders VALUES (1, 'one', 1)");
        replace("", mariadb_replacements[i / 2], i % 2 == 0);
    }
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(a_table_that_is_opened_is_read_as_it_was),
        STORE_CASE_OF_SERVERS(a_table_that_is_replaced_or_emptied_meanwhile_is_read_again),
        STORE_CASE_OF_SERVERS(a_table_that_is_replaced_in_mariadb_is_read_again),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
