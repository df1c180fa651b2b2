/* Sidecars answer what another program asks them over Kafka, and nobody who is asked is held up.
 * labels: early */
#include "common/clock.h"
#include "operate/http_client.h"
#include "tests/support/asking.h"
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/sidecar.h"

#include <inttypes.h>
#include <stdio.h>

#define WAIT_MS          30000
#define MEMORY_KIB       (64 * 1024) /* that a desk may take */
#define WIDE_ROWS        1024        /* of 890 kB; `./run test long` has 65,536 */
#define MANY_ROWS        600000
#define SCANS_MAX        5
#define LONG_SECONDS     600
#define SNAPSHOT_SECONDS 20 /* of one that nobody wants any more */
#define WIDE_PER_SECOND  20 /* rows, on a busy machine; a quiet one reads ten times as many */

static const char publishes[] = "publish:\n  item: {table: items, partitions: 1}\n";
static const char applies[] = "apply:\n  item: {table: items}\n";

static struct sidecar make(struct kafka *kafka, const char *name, enum database_kind kind,
                           bool is_publisher)
{
    const char *url = kind == DATABASE_SQLITE ? test_format("sqlite:%s", test_path("%s.db", name))
                                              : database_make(kind, name);
    struct sidecar sidecar = sidecar_make_on(kafka, name, url, is_publisher ? publishes : applies);
    if (is_publisher)
        (void)database_text(url, "CREATE TABLE items(id BIGINT PRIMARY KEY, name TEXT NOT NULL, "
                                 "amount BIGINT)");
    return sidecar;
}

/* Publisher and copies, whatever their databases are, say the same of the same rows. */
static void three_databases_answer(void **state)
{
    static const char *const names[] = {"shop", "billing", "shipping"};
    struct kafka *kafka = kafka_start();
    struct sidecar services[3];
    const struct talk_answer *sums[3];
    (void)state;
    load_need("psql");
    load_need("mariadb");
    for (int kind = DATABASE_SQLITE; kind <= DATABASE_MARIADB; kind++) {
        int publisher = DATABASE_POSTGRESQL;
        int role = kind == publisher ? 0 : kind == DATABASE_SQLITE ? 1 : 2;
        services[role] = make(kafka, names[role], (enum database_kind)kind, role == 0);
    }
    for (int i = 0; i < 3; i++)
        sidecar_begin(&services[i]);
    (void)database_text(services[0].url, "INSERT INTO items VALUES (1, 'one', 1), (2, 'two', 2), "
                                         "(3, 'three', NULL)");
    sidecar_assert_equal(&services[0], &services[1], "items", WAIT_MS);
    sidecar_assert_equal(&services[0], &services[2], "items", WAIT_MS);
    for (int i = 0; i < 3; i++) {
        const struct slice keys[] = {slice_of("{\"id\":2}"), slice_of("{\"id\":7}")};
        struct asking asking = asking_make(kafka, names[i]);
        const struct talk_answer *stamp = asking_begin(&asking, 60);
        assert_int_equal(stamp->partition_count, 1);
        assert_int_equal(stamp->offsets[0], 3);
        const struct talk_question question = asking_next(&asking, TALK_SUMS);
        sums[i] = asking_run(&asking, &question);
        if (sums[i]->why != NULL)
            test_fail("%s: %s", names[i], sums[i]->why);
        assert_int_equal(sums[i]->rows, 3);
        assert_memory_equal(sums[i]->sums, sums[0]->sums, ROW_BUCKETS * sizeof *sums[i]->sums);
        struct talk_question rows = asking_next(&asking, TALK_KEYS);
        rows.keys = keys;
        rows.key_count = 2;
        rows.with_rows = true;
        assert_int_equal(asking_run(&asking, &rows)->rows, 1);
        assert_string_equal(asking_rows(&asking, &rows),
                            "{\"id\":2} {\"id\":2,\"name\":\"two\"}\n");
        const struct talk_question end = asking_next(&asking, TALK_END);
        asking_ask(&asking, &end);
    }
    for (int i = 0; i < 3; i++)
        sidecar_stop(&services[i]);
}

struct metric {
    int port;
    const char *line;
    const char *seen;
};

static bool metric_is_there(void *context)
{
    struct metric *metric = context;
    struct buffer body;
    buffer_init(&body, (size_t)1024 * 1024);
    (void)http_get("127.0.0.1", test_format("%d", metric->port), "/metrics", &body);
    metric->seen = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return strstr(metric->seen, metric->line) != NULL;
}

static void expect_metric(int port, const char *line)
{
    struct metric metric = {.port = port, .line = line};
    if (!test_wait(metric_is_there, &metric, WAIT_MS))
        test_fail("no %s in %s", line, metric.seen);
}

/* Whoever asks may be killed at any time. */
static void a_snapshot_that_nobody_wants_ends(void **state)
{
    static const char idle[] =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%'";
    struct kafka *kafka = kafka_start();
    (void)state;
    load_need("psql");
    struct sidecar shop = make(kafka, "shop", DATABASE_POSTGRESQL, true);
    int port = sidecar_listen(&shop);
    sidecar_begin(&shop);
    struct asking asking = asking_make(kafka, "shop");
    (void)asking_begin(&asking, SNAPSHOT_SECONDS);
    expect_metric(port, "keepstep_snapshots_open{service=\"shop\"} 1\n");
    assert_true(database_wait_for(shop.url, idle, "1\n", WAIT_MS)); /* the relay is idle at times */
    struct process_result status = sidecar_run(&shop, "status", NULL, NULL);
    assert_non_null(strstr(status.output, "\nReaders   1 snapshot open for other services"));
    expect_metric(port, "keepstep_snapshots_open{service=\"shop\"} 0\n");
    expect_metric(port, "keepstep_snapshot_age_seconds{service=\"shop\"} 0\n");
    assert_true(database_wait_for(shop.url, idle, "0\n", WAIT_MS));
    const struct talk_question sums = asking_next(&asking, TALK_SUMS);
    assert_non_null(strstr(asking_run(&asking, &sums)->why, "its session has ended"));
    sidecar_stop(&shop);
}

static struct sidecar begin_copy(struct kafka *kafka, enum database_kind kind, int scan_seconds)
{
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "message.timestamp.type=LogAppendTime");
    sidecar_produce(kafka, "first", "item.created", 0, "{\"id\":0,\"name\":\"a\",\"amount\":null}");
    struct sidecar billing = make(kafka, "billing", kind, false);
    test_write_file(billing.config, test_format("%slimits: {scan_time_s: %d}\n",
                                                test_read_file(billing.config), scan_seconds));
    sidecar_begin(&billing);
    assert_true(database_wait_for(billing.url, "SELECT count(*) FROM items", "1\n", WAIT_MS));
    return billing;
}

/* Rows that take a while to be read, put into a copy by hand. */
static void write_many_rows(const struct sidecar *billing)
{
    (void)database_text(billing->url, test_format("INSERT INTO items SELECT i, 'x', 0 "
                                                  "FROM generate_series(1, %d) AS i",
                                                  MANY_ROWS));
}

static bool rows_are_read(void *context)
{
    struct asking *asking = context;
    const struct talk_question keep = asking_next(asking, TALK_KEEP);
    return asking_run(asking, &keep)->rows > 0;
}

/* Asks for the sums of a copy, and waits until its rows are read. */
static void begin_scan(struct asking *asking, struct talk_question *ret_sums)
{
    (void)asking_begin(asking, LONG_SECONDS);
    *ret_sums = asking_next(asking, TALK_SUMS);
    asking_ask(asking, ret_sums);
    if (!test_wait(rows_are_read, asking, WAIT_MS))
        test_fail("nothing is read");
}

/* A scan may end before the migration begins; then it is done once more. */
static void a_migration_waits_for_no_reader(void **state)
{
    struct kafka *kafka = kafka_start();
    struct talk_question sums;
    const char *why = NULL;
    (void)state;
    load_need("psql");
    struct sidecar billing = begin_copy(kafka, DATABASE_POSTGRESQL, LONG_SECONDS);
    struct asking asking = asking_make(kafka, "billing");
    write_many_rows(&billing);
    for (int i = 0; why == NULL && i < SCANS_MAX; i++) {
        begin_scan(&asking, &sums);
        int64_t begun_us = clock_monotonic_us();
        (void)database_text(billing.url,
                            test_format("ALTER TABLE items ADD COLUMN more%d integer", i));
        assert_true(clock_monotonic_us() - begun_us < 20000000);
        why = asking_answer(&asking, &sums)->why;
    }
    assert_non_null(why);
    assert_non_null(strstr(why, "gave way"));
    sidecar_stop(&billing);
}

static void a_sidecar_ends_while_a_table_is_read(void **state)
{
    struct kafka *kafka = kafka_start();
    struct talk_question sums;
    (void)state;
    load_need("psql");
    struct sidecar billing = begin_copy(kafka, DATABASE_POSTGRESQL, LONG_SECONDS);
    struct asking asking = asking_make(kafka, "billing");
    write_many_rows(&billing);
    begin_scan(&asking, &sums);
    int64_t begun_us = clock_monotonic_us();
    sidecar_stop(&billing);
    assert_true(clock_monotonic_us() - begun_us < 10000000);
}

static void answers_go_on_behind_a_broker_that_was_away(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = make(kafka, "shop", DATABASE_SQLITE, true);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'one', 1)");
    sidecar_begin(&shop);
    struct asking asking = asking_make(kafka, "shop");
    (void)asking_begin(&asking, 60);
    kafka_stop(kafka);
    kafka_start_again(kafka);
    const struct talk_answer *stamp = asking_begin(&asking, 60);
    assert_int_equal(stamp->partition_count, 1);
    const struct talk_question sums = asking_next(&asking, TALK_SUMS);
    assert_int_equal(asking_run(&asking, &sums)->rows, 1);
    sidecar_stop(&shop);
}

static struct process *start_verify(const struct sidecar *asker, int number)
{
    const char *const argv[] = {KEEPSTEP_BINARY, "verify", "item", "-c", asker->config, NULL};
    return process_start(test_format("verify-%d", number), argv, NULL);
}

static bool all_are_equal(void *context)
{
    return sidecar_run(context, "verify", "item", NULL).exit_code == 0;
}

/* Nobody waits for another asker for ever, and whoever is killed holds nothing. */
static void services_that_compare_at_once_all_end(void **state)
{
    struct kafka *kafka = kafka_start();
    struct sidecar services[3];
    struct process *verifies[4];
    (void)state;
    services[0] = make(kafka, "shop", DATABASE_SQLITE, true);
    services[1] = make(kafka, "billing", DATABASE_SQLITE, false);
    services[2] = make(kafka, "shipping", DATABASE_SQLITE, false);
    test_write_file(services[0].config, test_format("%slimits: {scan_time_s: 15}\n",
                                                    test_read_file(services[0].config)));
    int port = sidecar_listen(&services[0]);
    for (int i = 0; i < 3; i++)
        sidecar_begin(&services[i]);
    (void)sqlite_text(services[0].database, "INSERT INTO items VALUES (1, 'one', 1)");
    if (!test_wait(all_are_equal, &services[1], 2 * WAIT_MS))
        test_fail("%s", sidecar_run(&services[1], "verify", "item", NULL).output);
    for (int i = 0; i < 4; i++)
        verifies[i] = start_verify(&services[1 + i % 2], i);
    process_kill(verifies[3]);
    for (int i = 0; i < 3; i++) {
        if (process_wait(verifies[i], 2 * WAIT_MS) != 0)
            test_fail("%s%s", process_output(verifies[i]), process_errors(verifies[i]));
    }
    expect_metric(port, "keepstep_snapshots_open{service=\"shop\"} 0\n");
    for (int i = 0; i < 3; i++)
        sidecar_stop(&services[i]);
}

static int wide_rows(void)
{
    return load_number("TEST_WIDE_ROWS", WIDE_ROWS);
}

/* @return how long they may be read. */
static int wide_seconds(void)
{
    return LONG_SECONDS + wide_rows() / WIDE_PER_SECOND;
}

/* The wide column is generated when it is read, so that they need no room on the disk. */
static void wide_rows_take_little_memory(void **state)
{
    struct kafka *kafka = kafka_start();
    const struct slice keys[] = {slice_of("{\"id\":3}"), slice_of("{\"id\":4}")};
    (void)state;
    struct sidecar billing = begin_copy(kafka, DATABASE_SQLITE, wide_seconds());
    struct asking asking = asking_make(kafka, "billing");
    (void)asking_begin(&asking, wide_seconds());
    struct talk_question end = asking_next(&asking, TALK_END);
    asking_ask(&asking, &end);
    int64_t before_kib = process_memory_kib(billing.process, "VmHWM");
    int count = wide_rows();
    (void)sqlite_text(
        billing.database,
        test_format("ALTER TABLE items DROP COLUMN name; "
                    "ALTER TABLE items ADD COLUMN name TEXT AS (printf('%%.*c', 890000, 'x')); "
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n "
                    "WHERE i < %d) INSERT INTO items(id, amount) SELECT i, i FROM n",
                    count));
    (void)asking_begin(&asking, wide_seconds());
    const struct talk_question sums = asking_next(&asking, TALK_SUMS);
    assert_int_equal(asking_run(&asking, &sums)->rows, count + 1);
    struct talk_question rows = asking_next(&asking, TALK_KEYS);
    rows.keys = keys;
    rows.key_count = 2;
    rows.with_rows = true;
    const struct talk_answer *answer = asking_run(&asking, &rows);
    assert_int_equal(answer->rows, 2);
    assert_int_equal(answer->parts, 2);
    int64_t peak_kib = process_memory_kib(billing.process, "VmHWM");
    if (!TEST_SANITIZES_ADDRESSES && peak_kib - before_kib > MEMORY_KIB)
        test_fail("the sidecar grew from %" PRId64 " to %" PRId64 " KiB", before_kib, peak_kib);
    sidecar_stop(&billing);
}

static void a_sidecar_can_be_told_to_answer_nothing(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = make(kafka, "shop", DATABASE_SQLITE, true);
    int port = sidecar_listen(&shop);
    test_write_file(shop.config,
                    test_format("%slimits: {snapshots: 0}\n", test_read_file(shop.config)));
    sidecar_begin(&shop);
    (void)asking_make(kafka, "shop");
    struct metric metric = {.port = port, .line = "keepstep_desk_questions_total"};
    assert_false(metric_is_there(&metric));
    assert_non_null(strstr(metric.seen, "keepstep_build_info"));
    sidecar_stop(&shop);
}

int main(void)
{
    unsigned int wide_limit = 60 + (unsigned int)wide_seconds();
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(three_databases_answer, 300),
        TEST_WITH_LIMIT(a_snapshot_that_nobody_wants_ends, 180),
        TEST_WITH_LIMIT(a_migration_waits_for_no_reader, 180),
        TEST_WITH_LIMIT(a_sidecar_ends_while_a_table_is_read, 180),
        TEST_WITH_LIMIT(answers_go_on_behind_a_broker_that_was_away, 180),
        TEST_WITH_LIMIT(services_that_compare_at_once_all_end, 240),
        TEST_WITH_LIMIT(wide_rows_take_little_memory, wide_limit),
        TEST_WITH_LIMIT(a_sidecar_can_be_told_to_answer_nothing, 180),
    };
    return TEST_RUN(tests);
}
