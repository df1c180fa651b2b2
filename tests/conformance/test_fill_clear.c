/* A copy of many rows is cleared before it is filled (rule 38). TEST_CLEAR_ROWS is how many; the
 * test says how long that took. */
#include "consumer/fill/loader.h"
#include "tests/support/database.h"
#include "tests/support/store_case.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define TOPIC       "filled"
#define ATTEMPT     "01942f6e-0000-7000-8000-000000000001"
#define RETRIES_MAX 500
#define BATCH_ROWS  10000 /* no transaction deletes more */
#define ROWS        25000 /* more than several transactions delete */

static struct config_entry entry = {
    .entity_type = (char[]){"order"}, .table = (char[]){"orders"}, .topic = (char[]){TOPIC}};
static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"properties\":{"
    "\"id\":{\"type\":\"integer\"},\"name\":{\"type\":[\"string\",\"null\"]},"
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\"}}}";
static struct entity_schema *schema; /* as long as the program: the memory store's rows have it */
static struct mapping mapping;
static char service[] = "billing";
static struct config config;
static struct fill_loader *loader;
static struct error err;

static const char *url_of(void)
{
    const char *path = store_case_agent_database();
    return strstr(path, "://") != NULL ? path : test_format("sqlite:%s", path);
}

static long row_count(void)
{
    const char *text = getenv("TEST_CLEAR_ROWS");
    return text == NULL ? ROWS : strtol(text, NULL, 10);
}

/* A database that lets no transaction through that deletes more rows by a range, or by key. */
static struct store_ops slow_ops;
static int64_t most_rows; /* 0: any number */
static int64_t seen_most; /* in one call that was let through */
static int64_t timeouts;
static bool refuses_ranges;

static enum status slow_down(int64_t count, enum status status, struct error *error)
{
    if (status == STATUS_OK && most_rows != 0 && count > most_rows) {
        timeouts++;
        status = error_set(error, STATUS_RETRY, "the statement took too long");
    }
    seen_most = status == STATUS_OK && count > seen_most ? count : seen_most;
    return status;
}

static enum status slow_clear(struct store *store, const struct mapping *of,
                              struct store_clearing *clearing, struct error *error)
{
    if (refuses_ranges)
        return error_set(error, STATUS_REJECT, "rows of another table refer to a row");
    enum status status = store_case_ops->clear(store, of, clearing, error);
    return slow_down(clearing->deleted, status, error);
}

static enum status slow_apply(struct store *store, const struct mapping *of,
                              const struct change *const *changes, size_t count,
                              struct error *error)
{
    enum status status = store_case_ops->apply(store, of, changes, count, error);
    return slow_down((int64_t)count, status, error);
}

static enum status slow_open(const struct store_options *options, struct store **ret_store,
                             struct error *error)
{
    enum status status = store_case_ops->open(options, ret_store, error);
    if (status == STATUS_OK)
        (*ret_store)->ops = &slow_ops;
    return status;
}

/* Their keys are in another order than the rows. */
static void write_rows(long count)
{
    const char *url = url_of();
    const char *rows = test_format("SELECT x * 7919 %% %ld, 'a name of some length, %%', 1.5 FROM ",
                                   count);
    const char *into = "INSERT INTO orders (id, name, price) ";
    if (strncmp(url, "postgresql", strlen("postgresql")) == 0)
        (void)database_text(url, test_format("%s%s generate_series(0::bigint, %ld) AS g (x)", into,
                                             rows, count - 1));
    else if (strncmp(url, "sqlite", strlen("sqlite")) == 0)
        (void)database_text(url, test_format("WITH RECURSIVE g(x) AS (SELECT 0 UNION ALL SELECT x "
                                             "+ 1 FROM g WHERE x < %ld) %s%s g",
                                             count - 1, into, rows));
    else
        (void)database_text(url, test_format("%s%s (SELECT seq AS x FROM seq_0_to_%ld) AS g", into,
                                             rows, count - 1));
}

static void begin_case(void)
{
    const struct fill_loader_options options = {.ops = &slow_ops,
                                                .config = &config,
                                                .mappings = &mapping,
                                                .mapping_count = 1,
                                                .topic = TOPIC};
    error_clear(&err);
    slow_ops = *store_case_ops;
    slow_ops.open = slow_open;
    slow_ops.clear = slow_clear;
    slow_ops.apply = slow_apply;
    most_rows = seen_most = timeouts = 0;
    refuses_ranges = false;
    if (schema == NULL) {
        test_write_file(test_path("order.schema.json"), schema_text);
        assert_int_equal(entity_schema_new(test_directory(), "order", &schema, &err), STATUS_OK);
    }
    store_case_settle();
    mapping = (struct mapping){.schema = schema, .entry = &entry};
    config = (struct config){.service = service,
                             .limits = {.batch_events = 7,
                                        .batch_bytes = 65536,
                                        .message_bytes = 65536,
                                        .batch_time_ms = 50,
                                        .scan_time_s = 600}};
    config.database_path = (char *)(uintptr_t)store_case_agent_database();
    assert_int_equal(fill_loader_new(&options, &loader, &err), STATUS_OK);
}

static void must(enum status status)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), err.text);
}

/* @return how the clearing ended. */
static enum status clear(void)
{
    static const char *const types[] = {"order"};
    const struct fill_asked asked = {.id = ATTEMPT, .source = "shop", .again = true};
    const struct fill_position positions[] = {{8, 7, "e7"}};
    const struct fill_begin begin = {.id = ATTEMPT,
                                     .topic = TOPIC,
                                     .source = "shop",
                                     .cluster_id = "cluster",
                                     .types = types,
                                     .type_count = 1,
                                     .positions = positions,
                                     .partition_count = 1};
    enum status status = STATUS_OK;
    int retries = 0;
    must(fill_loader_ask(loader, &asked, &err));
    must(fill_loader_begin(loader, &begin, &err));
    while (status == STATUS_OK && fill_loader_is_busy(loader)) {
        status = fill_loader_step(loader, &err);
        if (status == STATUS_RETRY && ++retries < RETRIES_MAX) {
            error_clear(&err);
            status = STATUS_OK;
        }
    }
    return status;
}

static void end_case(void)
{
    fill_loader_free(loader);
    loader = NULL;
}

static void many_rows_are_cleared(void)
{
    long count = row_count();
    begin_case();
    write_rows(count);
    int64_t begun_us = clock_monotonic_us();
    must(clear());
    double took_s = (double)(clock_monotonic_us() - begun_us) / 1e6;
    print_message("note: %ld rows cleared in %.2f s\n", count, took_s);
    assert_int_equal(fill_loader_progress(loader).cleared, count);
    assert_string_equal(database_text(url_of(), "SELECT count(*) FROM orders"), "0\n");
    assert_in_range(seen_most, 1, BATCH_ROWS);
    end_case();
}

/* Of each row's cost nothing is known beforehand: a trigger or a foreign key may take long. */
static void rows_that_take_long_are_cleared_by_smaller_transactions(void)
{
    begin_case();
    write_rows(ROWS / 50);
    most_rows = 30;
    must(clear());
    assert_in_range(timeouts, 1, RETRIES_MAX);
    assert_in_range(seen_most, 8, 30);
    assert_int_equal(fill_loader_progress(loader).cleared, ROWS / 50);
    assert_string_equal(database_text(url_of(), "SELECT count(*) FROM orders"), "0\n");
    end_case();
}

static void rows_that_take_long_are_cleared_by_smaller_transactions_by_key_too(void)
{
    begin_case();
    write_rows(ROWS / 50);
    most_rows = 30;
    refuses_ranges = true;
    must(clear());
    assert_in_range(timeouts, 1, RETRIES_MAX);
    assert_in_range(seen_most, 8, 30);
    assert_int_equal(fill_loader_progress(loader).cleared, ROWS / 50);
    assert_string_equal(database_text(url_of(), "SELECT count(*) FROM orders"), "0\n");
    end_case();
}

/* Most rows go by ranges, until one is met that may not go; then they go one by one. */
static void row_that_may_not_go(const char *foreign_key)
{
    begin_case();
    write_rows(ROWS);
    (void)store_case_back_end->text(store_case_database(),
                                    test_format("CREATE TABLE bills(id int PRIMARY KEY, paid "
                                                "bigint, FOREIGN KEY (paid) REFERENCES orders(id)%s"
                                                "); INSERT INTO bills VALUES (1, 24000)",
                                                foreign_key));
    assert_int_equal(clear(), STATUS_FATAL);
    if (strstr(err.text, "1 rows of filled cannot be deleted") == NULL)
        test_fail("%s", err.text);
    assert_string_equal(database_text(url_of(), "SELECT id FROM orders"), "24000\n");
    (void)store_case_back_end->text(store_case_database(), "DROP TABLE bills");
    end_case();
}

static void a_row_that_may_not_go_keeps_no_other_one(void)
{
    row_that_may_not_go("");
}

/* MariaDB has no such keys. */
static void nor_where_only_a_commit_would_refuse_it(void)
{
    bool has = strncmp(url_of(), "mysql", 5) != 0 && strncmp(url_of(), "mariadb", 7) != 0;
    row_that_may_not_go(has ? " DEFERRABLE INITIALLY DEFERRED" : "");
}

int main(void)
{
    struct store_case cases[] = {
        STORE_CASE_OF_SQL(many_rows_are_cleared),
        STORE_CASE_OF_SQL(rows_that_take_long_are_cleared_by_smaller_transactions),
        STORE_CASE_OF_SQL(rows_that_take_long_are_cleared_by_smaller_transactions_by_key_too),
        STORE_CASE_OF_SQL(a_row_that_may_not_go_keeps_no_other_one),
        STORE_CASE_OF_SQL(nor_where_only_a_commit_would_refuse_it),
    };
    return store_case_run(cases, sizeof cases / sizeof *cases);
}
