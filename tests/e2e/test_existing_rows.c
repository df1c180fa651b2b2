/* Rows exist before Keepstep is installed, and clients write all the time. `keepstep init` is
 * killed half-way, goes on where it was, and makes no writer wait. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS_DEFAULT  200000
#define WIDE_ROWS     500
#define WIDE_DIVISOR  4                      /* wide rows are fewer */
#define WAIT_MAX_US   (INT64_C(5000) * 1000) /* over a hundred times the usual */
#define INIT_LIMIT_MS 600000
#define LIMIT_S       1800 /* of a program in tests/run_tests.sh */
#define READING       "reading  rows    item: ([0-9]+) so far"
#define COMPARED      "SELECT id, name, amount FROM items ORDER BY id"

/* pgbench's script, and the same kinds of writes as MariaDB statements. */
static const char writes[] =
    "\\set id random(1, :rows + :rows / 50)\n"
    "\\set what random(1, 10)\n"
    "\\if :what <= 7\n"
    "UPDATE items SET amount = amount + 1 WHERE id = :id;\n"
    "\\elif :what <= 9\n"
    "INSERT INTO items VALUES (:id, 'written', 0) ON CONFLICT DO NOTHING;\n"
    "\\else\n"
    "DELETE FROM items WHERE id = :id;\n"
    "\\endif\n";
static const char *const statements[] = {"UPDATE items SET amount = amount + 1 WHERE id = %d",
                                         "INSERT IGNORE INTO items VALUES (%d, 'written', 0)",
                                         "DELETE FROM items WHERE id = %d"};

struct crowd {
    struct kafka *kafka;
    enum database_kind kind;
    int rows;
    const char *url;
    struct sidecar shop;
    struct sidecar billing;
    int written;
    int64_t longest_us;
};

/* The load of one client. */
struct writing {
    struct crowd *crowd;
    int seconds;
    struct process *pgbench;
    pthread_t thread;
    struct session *session;
    const char *failure;
    int count;
    int64_t longest_us;
};

static void crowd_begin(struct crowd *crowd, enum database_kind kind)
{
    *crowd = (struct crowd){.kafka = kafka_start(),
                            .kind = kind,
                            .rows = load_number("TEST_EXISTING_ROWS", ROWS_DEFAULT),
                            .url = database_make(kind, "shop")};
    const char *name = "text";
    const char *rows = test_format("SELECT i, 'before ' || i, i FROM generate_series(1, %d) AS i",
                                   crowd->rows);
    if (kind == DATABASE_MARIADB) {
        crowd->rows /= WIDE_DIVISOR;
        name = "mediumtext";
        rows = test_format("SELECT seq, IF(seq %% %d = 0, REPEAT('w', 100000), CONCAT('before ', "
                           "seq)), seq FROM seq_1_to_%d",
                           crowd->rows / WIDE_ROWS, crowd->rows);
    }
    (void)database_text(crowd->url, test_format("CREATE TABLE items (id bigint PRIMARY KEY, "
                                                "name %s NOT NULL, amount bigint)",
                                                name));
    (void)database_text(crowd->url, test_format("INSERT INTO items %s", rows));
    crowd->shop = sidecar_make_on(crowd->kafka, "shop", crowd->url,
                                  "publish:\n  item: {table: items, partitions: 2}\n");
    load_write_schema("item", crowd->url, "items");
    crowd->billing = sidecar_make(crowd->kafka, "billing", NULL,
                                  "apply:\n  item: {table: items, partitions: 2}\n");
    test_write_file(test_path("writes.sql"), writes);
}

static void *write_for_seconds(void *context)
{
    struct writing *writing = context;
    unsigned seed = 1;
    int64_t start = clock_monotonic_us();
    int64_t end = start + writing->seconds * INT64_C(1000000);
    for (; writing->failure == NULL && start < end; writing->count++) {
        char sql[128];
        int kind = load_random(&seed, 10);
        (void)snprintf(sql, sizeof sql,
                       statements[kind < 7   ? 0
                                  : kind < 9 ? 1
                                             : 2],
                       1 + load_random(&seed, writing->crowd->rows + writing->crowd->rows / 50));
        writing->failure = session_try(writing->session, sql, NULL);
        int64_t now = clock_monotonic_us();
        if (now - start > writing->longest_us)
            writing->longest_us = now - start;
        start = now;
    }
    return NULL;
}

static void crowd_write(struct crowd *crowd, struct writing *writing, int seconds)
{
    const char *const pgbench[] = {"pgbench",
                                   "-n",
                                   "-c",
                                   "2",
                                   "-T",
                                   test_format("%d", seconds),
                                   "-l",
                                   "--log-prefix",
                                   test_path("latency"),
                                   "-D",
                                   test_format("rows=%d", crowd->rows),
                                   "-f",
                                   test_path("writes.sql"),
                                   crowd->url,
                                   NULL};
    *writing = (struct writing){.crowd = crowd, .seconds = seconds};
    if (crowd->kind == DATABASE_POSTGRESQL) {
        writing->pgbench = process_start("writes", pgbench, NULL);
        return;
    }
    writing->session = session_open(crowd->url);
    assert_int_equal(pthread_create(&writing->thread, NULL, write_for_seconds, writing), 0);
}

/* Read pgbench's log: one line per transaction; the third number is its time in microseconds. */
static void writing_read_log(struct writing *writing)
{
    glob_t found;
    if (glob(test_path("latency.*"), 0, NULL, &found) != 0 || found.gl_pathc != 1)
        test_fail("pgbench ended with no log: %s", process_errors(writing->pgbench));
    FILE *log = fopen(found.gl_pathv[0], "r");
    char line[256];
    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        long long took = 0;
        if (sscanf(line, "%*d %*d %lld", &took) != 1)
            test_fail("pgbench wrote %s", line);
        writing->longest_us = took > writing->longest_us ? took : writing->longest_us;
        writing->count++;
    }
    if (log != NULL)
        (void)fclose(log);
    (void)unlink(found.gl_pathv[0]);
    globfree(&found);
}

/* @return how many statements ran. The test fails if one of them failed or waited too long. */
static int crowd_written(struct writing *writing)
{
    if (writing->pgbench != NULL) {
        int code = process_wait(writing->pgbench, 120000);
        if (code != 0)
            test_fail("pgbench ended with %d: %s%s", code, process_output(writing->pgbench),
                      process_errors(writing->pgbench));
        writing_read_log(writing);
    } else {
        (void)pthread_join(writing->thread, NULL);
        session_close(writing->session);
        if (writing->failure != NULL)
            test_fail("a write failed: %s", writing->failure);
    }
    struct crowd *crowd = writing->crowd;
    crowd->written += writing->count;
    crowd->longest_us = writing->longest_us > crowd->longest_us ? writing->longest_us
                                                                : crowd->longest_us;
    if (crowd->longest_us > WAIT_MAX_US)
        test_fail("a write took %lld ms", (long long)crowd->longest_us / 1000);
    return writing->count;
}

static struct process *crowd_init(const struct crowd *crowd)
{
    const char *const init[] = {KEEPSTEP_BINARY, "init", "-c", crowd->shop.admin, NULL};
    return process_start("init", init, NULL);
}

/* @return the number of rows in the first line of progress. */
static int crowd_first_count(struct process *init)
{
    if (!process_wait_for(init, READING, 60000))
        test_fail("init shows no progress: %s%s", process_output(init), process_errors(init));
    const char *line = strstr(process_output(init), "reading  rows    item: ");
    return atoi(line + strlen("reading  rows    item: "));
}

static void crowd_survives(enum database_kind kind)
{
    struct crowd crowd;
    struct writing writing;
    crowd_begin(&crowd, kind);
    crowd_write(&crowd, &writing, 3);
    struct process *init = crowd_init(&crowd);
    int64_t start_us = clock_monotonic_us();
    int first = crowd_first_count(init);
    assert_true(first > 0 && first < crowd.rows);
    (void)usleep((useconds_t)crowd.rows); /* a microsecond a row: init is far from its end */
    assert_true(process_running(init));
    process_kill(init);
    (void)crowd_written(&writing);

    init = crowd_init(&crowd);
    assert_true(crowd_first_count(init) > first);
    do {
        crowd_write(&crowd, &writing, 2);
        (void)crowd_written(&writing);
    } while (process_running(init));
    if (process_wait(init, INIT_LIMIT_MS) != 0)
        test_fail("init: %s", process_errors(init));
    assert_non_null(strstr(process_output(init), "created  rows    item: "));
    assert_true(crowd.written > 100);
    print_message("%d rows in %lld s, beside %d writes, of which the longest took %lld ms\n",
                  crowd.rows, (long long)(clock_monotonic_us() - start_us) / 1000000, crowd.written,
                  (long long)crowd.longest_us / 1000);

    sidecar_grant(&crowd.shop);
    sidecar_start(&crowd.shop, NULL);
    sidecar_begin(&crowd.billing);
    crowd_write(&crowd, &writing, 2);
    assert_true(crowd_written(&writing) > 0);
    const struct sidecar *const publishers[] = {&crowd.shop, NULL};
    const struct sidecar *const appliers[] = {&crowd.billing, NULL};
    load_settle(crowd.kafka, "item", publishers, appliers, 600000);
    load_assert_rows("the copy", database_text(crowd.url, COMPARED),
                     database_text(crowd.billing.url, COMPARED));
    sidecar_stop(&crowd.shop);
    sidecar_stop(&crowd.billing);
}

static void init_survives_a_kill_under_load_and_the_copy_ends_equal(void **state)
{
    (void)state;
    load_need("pgbench");
    crowd_survives(DATABASE_POSTGRESQL);
}

static void init_survives_a_kill_under_load_in_mariadb_with_wide_rows(void **state)
{
    (void)state;
    crowd_survives(DATABASE_MARIADB);
}

int main(void)
{
    unsigned int limit = (unsigned int)load_number("TEST_LIMIT_E2E", LIMIT_S) / 2 - 10;
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(init_survives_a_kill_under_load_and_the_copy_ends_equal, limit),
        TEST_WITH_LIMIT(init_survives_a_kill_under_load_in_mariadb_with_wide_rows, limit),
    };
    return TEST_RUN(tests);
}
