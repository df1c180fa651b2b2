/* Rows that were there before Keepstep came, under live load: `keepstep init` is killed in the
 * middle, goes on where it was, and keeps no writer waiting. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/postgresql.h"

#include <unistd.h>

#define ROWS_DEFAULT  200000
#define WAIT_MAX_MS   "3000" /* ten times a moment */
#define INIT_LIMIT_MS 600000
#define LIMIT_S       900 /* of a program, as tests/run_tests.sh has it */
#define READING       "reading  rows    item: ([0-9]+) so far"
#define COMPARED      "SELECT id, name, amount FROM items ORDER BY id"

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

struct crowd {
    struct kafka *kafka;
    int rows;
    const char *url;
    struct sidecar shop;
    struct sidecar billing;
};

static void crowd_begin(struct crowd *crowd)
{
    load_need("pgbench");
    *crowd = (struct crowd){.kafka = kafka_start(),
                            .rows = load_number("KEEPSTEP_EXISTING_ROWS", ROWS_DEFAULT),
                            .url = database_make(DATABASE_POSTGRESQL, "shop")};
    postgresql_execute(crowd->url,
                       test_format("CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, "
                                   "amount bigint); INSERT INTO items SELECT i, 'before ' || i, i "
                                   "FROM generate_series(1, %d) AS i",
                                   crowd->rows));
    crowd->shop = sidecar_make_on(crowd->kafka, "shop", crowd->url,
                                  "publish:\n  item: {table: items, partitions: 2}\n");
    crowd->billing = sidecar_make(crowd->kafka, "billing", NULL,
                                  "apply:\n  item: {table: items, partitions: 2}\n");
    test_write_file(test_path("writes.sql"), writes);
}

static struct process *crowd_write(const struct crowd *crowd, const char *seconds)
{
    const char *const pgbench[] = {"pgbench",  "-n",
                                   "-c",       "2",
                                   "-T",       seconds,
                                   "-L",       WAIT_MAX_MS,
                                   "-D",       test_format("rows=%d", crowd->rows),
                                   "-f",       test_path("writes.sql"),
                                   crowd->url, NULL};
    return process_start("writes", pgbench, NULL);
}

/* @return how many statements it ran, none of which waited too long. */
static int crowd_written(struct process *load)
{
    int code = process_wait(load, 120000);
    const char *output = process_output(load);
    const char *processed = strstr(output, "actually processed: ");
    if (code != 0 || processed == NULL || strstr(output, "latency limit: 0/") == NULL)
        test_fail("pgbench ended with %d: %s%s", code, output, process_errors(load));
    return atoi(processed + strlen("actually processed: "));
}

static struct process *crowd_init(const struct crowd *crowd)
{
    const char *const init[] = {KEEPSTEP_BINARY, "init", "-c", crowd->shop.config, NULL};
    return process_start("init", init, NULL);
}

/* @return the rows that the first line of progress counts. */
static int crowd_first_count(struct process *init)
{
    if (!process_wait_for(init, READING, 60000))
        test_fail("init shows no progress: %s%s", process_output(init), process_errors(init));
    const char *line = strstr(process_output(init), "reading  rows    item: ");
    return atoi(line + strlen("reading  rows    item: "));
}

static void init_survives_a_kill_under_load_and_the_copy_ends_equal(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_begin(&crowd);
    struct process *load = crowd_write(&crowd, "3");
    struct process *init = crowd_init(&crowd);
    int first = crowd_first_count(init);
    assert_true(first > 0 && first < crowd.rows);
    (void)usleep(300000);
    assert_true(process_running(init));
    process_kill(init);
    int written = crowd_written(load);

    init = crowd_init(&crowd);
    assert_true(crowd_first_count(init) > first);
    do {
        written += crowd_written(crowd_write(&crowd, "2"));
    } while (process_running(init));
    if (process_wait(init, INIT_LIMIT_MS) != 0)
        test_fail("init: %s", process_errors(init));
    assert_non_null(strstr(process_output(init), "created  rows    item: "));
    assert_true(written > 100);

    sidecar_start(&crowd.shop, NULL);
    sidecar_begin(&crowd.billing);
    written = crowd_written(crowd_write(&crowd, "2"));
    assert_true(written > 0);
    const struct sidecar *const publishers[] = {&crowd.shop, NULL};
    const struct sidecar *const appliers[] = {&crowd.billing, NULL};
    load_settle(crowd.kafka, "item", publishers, appliers, 600000);
    load_assert_rows("the copy", database_text(crowd.url, COMPARED),
                     database_text(crowd.billing.url, COMPARED));
    sidecar_stop(&crowd.shop);
    sidecar_stop(&crowd.billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(init_survives_a_kill_under_load_and_the_copy_ends_equal,
                        (unsigned int)load_number("KEEPSTEP_LIMIT_E2E", LIMIT_S) - 30),
    };
    return TEST_RUN(tests);
}
