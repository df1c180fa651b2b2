/* Fills over Kafka, which nobody asks for: a copy whose topic has lost its beginning, or that is
 * always filled, takes the rows of another one, whoever is killed meanwhile (rules 38 to 42).
 * labels: early */
#include "common/clock.h"
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/sidecar.h"

#include <signal.h>
#include <sysexits.h>

#define SHOP  "publish:\n  item: {table: items, partitions: 2}\n"
#define COPY  "apply:\n  item: {table: items}\n"
#define STAGE "SELECT stage FROM keepstep_fill"
#define ROWS  300

static const char *const ddl[] = {
    [DATABASE_SQLITE] = SIDECAR_ITEM_DDL,
    [DATABASE_POSTGRESQL] = "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, "
                            "amount bigint)",
    [DATABASE_MARIADB] = "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) CHARACTER "
                         "SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, amount BIGINT)"};

static void expect(const struct sidecar *service, const char *sql, const char *rows)
{
    if (!database_wait_for(service->url, sql, rows, 40000))
        test_fail("%s at %s: %s", sql, service->name, database_text(service->url, sql));
}

struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
};

static void write_rows(const struct world *world, int from, int count)
{
    for (int i = from; i < from + count; i += 100) {
        const char *values = "";
        for (int id = i; id < i + 100 && id < from + count; id++)
            values = test_format("%s%s(%d, 'n%d', %d)", values, id == i ? "" : ",", id, id, id);
        (void)database_text(world->shop.url, test_format("INSERT INTO items VALUES %s", values));
    }
}

/* The shop has published its rows and changed some; the log has lost its beginning. */
static void world_begin(struct world *world, enum database_kind kind)
{
    world->kafka = kafka_start();
    world->shop = sidecar_make_on(world->kafka, "shop", database_make(kind, "shop"), SHOP);
    (void)database_text(world->shop.url, ddl[kind]);
    sidecar_begin(&world->shop);
    write_rows(world, 1, ROWS);
    const struct sidecar *const publishers[] = {&world->shop, NULL};
    const struct sidecar *const nobody[] = {NULL};
    load_settle(world->kafka, "item", publishers, nobody, 30000);
    kafka_trim(world->kafka, sidecar_topic("item"), 0, 20);
    kafka_trim(world->kafka, sidecar_topic("item"), 1, 20);
}

static void a_copy_that_comes_late_is_filled_by_itself(enum database_kind of_shop,
                                                       enum database_kind of_billing)
{
    struct world world;
    world_begin(&world, of_shop);
    world.billing = sidecar_make_on(world.kafka, "billing", database_make(of_billing, "billing"),
                                    COPY);
    (void)database_text(world.billing.url, ddl[of_billing]);
    sidecar_begin(&world.billing);
    sidecar_assert_equal(&world.shop, &world.billing, "items", 60000);
    expect(&world.billing, STAGE, "done\n");
    (void)database_text(world.shop.url, "UPDATE items SET name = 'late' WHERE id = 7;"
                                        "DELETE FROM items WHERE id = 8");
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    expect(&world.billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

static void sqlite_is_filled_from_postgresql(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_POSTGRESQL, DATABASE_SQLITE);
}

static void postgresql_is_filled_from_mariadb(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_MARIADB, DATABASE_POSTGRESQL);
}

static void mariadb_is_filled_from_sqlite(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_SQLITE, DATABASE_MARIADB);
}

/* Whoever asks anew, and follows it to its end. */
static struct process *ask_again(const struct world *world)
{
    static int asked;
    const char *const argv[] = {KEEPSTEP_BINARY,       "fill",    "item", "-c",
                                world->billing.config, "--again", NULL};
    return process_start(test_format("fill-%d", ++asked), argv, NULL);
}

static void follow(struct process *command)
{
    int code = process_wait(command, 90000);
    if (code != 0)
        test_fail("exit code %d: %s", code, process_errors(command));
}

/* Interleaving 14: the loading agent is killed before and behind each commit. */
static void a_loader_that_is_killed_anywhere_begins_anew(void **state)
{
    static const char *const points[] = {
        "fill_before_ask",  "fill_after_ask",      "fill_before_mark",   "fill_after_mark",
        "fill_after_clear", "fill_before_install", "fill_after_install", "fill_before_rows",
        "fill_after_rows",  "fill_before_end",     "fill_after_end"};
    (void)state;
    struct world world;
    world_begin(&world, DATABASE_SQLITE);
    world.billing = sidecar_make(world.kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    sidecar_begin(&world.billing);
    expect(&world.billing, STAGE, "done\n");
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        sidecar_stop(&world.billing);
        sidecar_start(&world.billing, points[i]);
        struct process *command = ask_again(&world);
        (void)database_text(world.shop.url,
                            test_format("UPDATE items SET name = '%s' WHERE id %% 7 = %zu;"
                                        "DELETE FROM items WHERE id = %zu",
                                        points[i], i % 7, 20 + i));
        if (process_wait(world.billing.process, 60000) == 0)
            test_fail("%s was not passed", points[i]);
        sidecar_start(&world.billing, NULL);
        follow(command);
        sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    }
    expect(&world.billing, STAGE, "done\n");
    expect(&world.billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

/* A shop that dies at a failpoint whenever it is asked for its rows. */
struct dying {
    struct world *world;
    const char *failpoint;
    bool (*has_told)(const struct world *world);
    int deaths;
};

static bool has_told_or_dies(void *context)
{
    struct dying *dying = context;
    struct world *world = dying->world;
    if (!process_running(world->shop.process)) {
        dying->deaths++;
        sidecar_start(&world->shop, dying->failpoint);
    }
    return dying->has_told(world);
}

/* Who answers so late that the copy has given the attempt up dies in vain, and is asked again. */
static void let_the_shop_die_until(struct world *world, const char *failpoint,
                                   bool (*has_told)(const struct world *world))
{
    struct dying dying = {.world = world, .failpoint = failpoint, .has_told = has_told};
    sidecar_start(&world->shop, failpoint);
    if (!test_wait(has_told_or_dies, &dying, 150000))
        test_fail("after %d deaths at %s: %s", dying.deaths, failpoint,
                  process_errors(world->billing.process));
    if (dying.deaths == 0 && process_wait(world->shop.process, 60000) < 0)
        test_fail("%s was not passed", failpoint);
    process_kill(world->shop.process);
}

static bool is_void(const struct world *world)
{
    return strstr(process_errors(world->billing.process), "are void: no rows have come") != NULL;
}

static bool is_done(const struct world *world)
{
    return strcmp(sqlite_text(world->billing.database, STAGE), "done\n") == 0;
}

/* The rest of interleaving 14: the source is killed in the middle of the rows, and behind the end.
 * The next attempt takes them from the other one. */
static void a_source_that_is_killed_makes_an_attempt_void(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, DATABASE_SQLITE);
    sidecar_stop(&world.shop);
    world.billing = sidecar_make(world.kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    sidecar_begin(&world.billing);
    let_the_shop_die_until(&world, "fill_source_row:100", is_void);
    assert_int_equal(sqlite_number(world.billing.database, "SELECT voids FROM keepstep_fill"), 1);
    let_the_shop_die_until(&world, "fill_source_after_end", is_done);
    sidecar_start(&world.shop, NULL);
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

/* Interleaving 18: the agent that loads is stopped, and another one gets partition 0. When the
 * first one comes back it finds another attempt, and changes nothing. */
static void a_loader_that_comes_back_from_the_dead_writes_nothing(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, DATABASE_SQLITE);
    world.billing = sidecar_make(world.kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    struct sidecar second = world.billing;
    second.name = "billing-second";
    second.config = test_path("billing-second.yaml");
    test_write_file(second.config,
                    test_format("%sinstance: \"2\"\n", test_read_file(world.billing.config)));
    sidecar_init(&world.billing, NULL);
    sidecar_start(&world.billing, "fill_after_install:1:stop");
    assert_true(process_wait_stopped(world.billing.process, 60000));
    sidecar_start(&second, NULL); /* it gets the partitions when the session of 10 s ends */
    expect(&second, "SELECT stage IN ('replaying', 'done') FROM keepstep_fill", "1\n");
    const char *id = sqlite_text(world.billing.database, "SELECT id FROM keepstep_fill");
    process_signal(world.billing.process, SIGCONT);
    clock_sleep_us(3000000); /* it goes on where it stood */
    assert_true(process_running(world.billing.process));
    expect(&second, STAGE, "done\n");
    sidecar_assert_equal(&world.shop, &second, "items", 30000);
    assert_string_equal(sqlite_text(world.billing.database, "SELECT id FROM keepstep_fill"), id);
    sidecar_stop(&second);
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

/* Who publishes nothing is asked first, unless fill_from: names another. The publisher applies
 * another type: it has the id of a copy, and its own table all the same. */
/* Until then it is no source. */
static void expect_told_complete(const struct world *world, const struct sidecar *copy)
{
    const char *wanted = test_format("  %-20s complete ", copy->name);
    int64_t until_us = clock_monotonic_us() + INT64_C(60000000);
    struct process_result result;
    do {
        result = sidecar_run(&world->shop, "copies", "item", NULL);
        if (strstr(result.output, wanted) != NULL)
            return;
        clock_sleep_us(100000);
    } while (clock_monotonic_us() < until_us);
    test_fail("%s%s", result.output, result.errors);
}

static void a_copy_is_asked_before_the_publisher(void **state)
{
    (void)state;
    struct world world;
    world.kafka = kafka_start();
    kafka_create_topic(world.kafka, sidecar_topic("extra"), 1, NULL);
    world.shop = sidecar_make(world.kafka, "shop", SIDECAR_ITEM_DDL,
                              SHOP "apply:\n  extra: {table: extras}\n");
    struct sidecar shipping = sidecar_make(world.kafka, "shipping", SIDECAR_ITEM_DDL, COPY);
    sidecar_begin(&world.shop);
    sidecar_begin(&shipping);
    write_rows(&world, 1, ROWS);
    sidecar_assert_equal(&world.shop, &shipping, "items", 30000);
    kafka_trim(world.kafka, sidecar_topic("item"), 0, 20);
    world.billing = sidecar_make(world.kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    struct sidecar ware = sidecar_make(world.kafka, "ware", SIDECAR_ITEM_DDL,
                                       "apply:\n  item: {table: items, fill_from: shop}\n");
    expect_told_complete(&world, &shipping);
    sidecar_begin(&world.billing);
    sidecar_begin(&ware);
    expect(&world.billing, "SELECT stage, source FROM keepstep_fill", "done|shipping\n");
    expect(&ware, "SELECT stage, source FROM keepstep_fill", "done|shop\n");
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    sidecar_assert_equal(&world.shop, &ware, "items", 30000);
    sidecar_stop(&ware);
    sidecar_stop(&world.billing);
    sidecar_stop(&shipping);
    sidecar_stop(&world.shop);
}

/* What was a loud stop is a wait now: nothing is read, and nothing is written down. */
static void a_copy_waits_until_somebody_has_the_rows(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (int i = 1; i <= 4; i++)
        sidecar_produce_sequenced(kafka, i, test_format("e%d", i),
                                  i == 1 ? NULL : test_format("e%d", i - 1));
    kafka_trim(kafka, sidecar_topic("item"), 0, 2);
    sidecar_begin(&billing);
    assert_true(process_wait_for(billing.process, "its log has lost its beginning", 30000));
    assert_true(process_wait_for(
        billing.process, "waits to be filled: no service has told in the control topic", 30000));
    sidecar_stop(&billing);
    assert_int_equal(sqlite_number(billing.database,
                                   "SELECT (SELECT count(*) FROM keepstep_position) + "
                                   "(SELECT count(*) FROM keepstep_fill)"),
                     0);
}

/* The rows of the first topic refer to those of the second. If the first one is tried first, its
 * attempt is void, the second one gets its turn, and then the first one again. */
static void a_topic_whose_rows_refer_to_another_one_waits_for_that(void **state)
{
    static const char tables[] = SIDECAR_ITEM_DDL
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "amount INTEGER)";
    static const char children[] =
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER);"
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "amount INTEGER REFERENCES parents)";
    (void)state;
    struct world world = {.kafka = kafka_start()};
    world.shop = sidecar_make(world.kafka, "shop", tables,
                              "publish:\n  item: {table: items, partitions: 1}\n"
                              "  extra: {table: parents, partitions: 1}\n");
    world.billing = sidecar_make(world.kafka, "billing", children,
                                 "apply:\n  item: {table: items}\n  extra: {table: parents}\n");
    sidecar_begin(&world.shop);
    (void)database_text(world.shop.url, "INSERT INTO parents VALUES (7, 'p', NULL), (8, 'q', 1);"
                                        "INSERT INTO items VALUES (1, 'a', 7), (2, 'b', 8)");
    const struct sidecar *const publishers[] = {&world.shop, NULL};
    const struct sidecar *const nobody[] = {NULL};
    load_settle(world.kafka, "item", publishers, nobody, 30000);
    load_settle(world.kafka, "extra", publishers, nobody, 30000);
    kafka_trim(world.kafka, sidecar_topic("item"), 0, 1);
    kafka_trim(world.kafka, sidecar_topic("extra"), 0, 1);
    clock_sleep_us(2500000); /* until the shop has told what it has */
    sidecar_begin(&world.billing);
    expect(&world.billing, STAGE, "done\ndone\n");
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    sidecar_assert_equal(&world.shop, &world.billing, "parents", 30000);
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

static struct process_result fill_item(const struct world *world, const char *flag)
{
    return sidecar_run(&world->billing, "fill", flag, "item");
}

/* One partition was read and the other one is cut off: the loader would refuse to clear the copy,
 * so nobody is asked, and the partition stands still. */
static void expect_no_fill_of_a_copy_that_was_read(struct world *world)
{
    sidecar_stop(&world->billing);
    (void)sqlite_text(world->billing.database,
                      "DELETE FROM keepstep_fill; UPDATE keepstep_position SET next_offset = 0, "
                      "durable_offset = 0, filled_to = 0, anchor_offset = -1, anchor_id = '' "
                      "WHERE partition = 1");
    sidecar_start(&world->billing, NULL);
    expect(&world->billing,
           "SELECT stopped LIKE 'the log begins at offset 20%' FROM keepstep_position WHERE "
           "partition = 1",
           "1\n");
    assert_null(strstr(process_errors(world->billing.process), "is to be filled"));
    assert_int_equal(sqlite_number(world->billing.database, "SELECT count(*) FROM keepstep_fill"),
                     0);
}

static void what_was_asked_for_can_be_cancelled(void **state)
{
    (void)state;
    struct world world;
    world_begin(&world, DATABASE_SQLITE);
    world.billing = sidecar_make(world.kafka, "billing", SIDECAR_ITEM_DDL, COPY);
    sidecar_begin(&world.billing);
    expect(&world.billing, STAGE, "done\n");
    const char *const argv[] = {KEEPSTEP_BINARY, "fill",   "item",    "-c", world.billing.config,
                                "--from",        "nobody", "--again", NULL};
    struct process *command = process_start("fill-nobody", argv, NULL);
    expect(&world.billing, STAGE, "asked\n");
    assert_true(process_wait_for(world.billing.process, "is being filled from nobody", 40000));
    (void)database_text(world.shop.url, "UPDATE items SET name = 'held' WHERE id = 7");
    struct process_result status = sidecar_run(&world.billing, "status", NULL, NULL);
    assert_non_null(strstr(status.output, "is being FILLED from nobody: asked"));
    assert_non_null(strstr(status.output, "--cancel` takes the request back"));
    assert_string_equal(sqlite_text(world.billing.database, "SELECT name FROM items WHERE id = 7"),
                        "n7\n");
    assert_int_equal(fill_item(&world, "--cancel").exit_code, 0);
    assert_int_equal(process_wait(command, 60000), EX_TEMPFAIL);
    assert_non_null(strstr(process_errors(command), "the fill was cancelled"));
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    expect(&world.billing, STAGE, "cancelled\n");
    struct process_result again = fill_item(&world, "--cancel");
    assert_int_equal(again.exit_code, EX_CONFIG);
    assert_non_null(strstr(again.errors, "nobody has asked for a fill"));
    expect_no_fill_of_a_copy_that_was_read(&world);
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(mariadb_is_filled_from_sqlite, 120),
        TEST_WITH_LIMIT(sqlite_is_filled_from_postgresql, 120),
        TEST_WITH_LIMIT(postgresql_is_filled_from_mariadb, 120),
        TEST_WITH_LIMIT(a_copy_is_asked_before_the_publisher, 120),
        TEST_WITH_LIMIT(a_topic_whose_rows_refer_to_another_one_waits_for_that, 120),
        TEST_WITH_LIMIT(what_was_asked_for_can_be_cancelled, 120),
        TEST_WITH_LIMIT(a_copy_waits_until_somebody_has_the_rows, 90),
        TEST_WITH_LIMIT(a_loader_that_comes_back_from_the_dead_writes_nothing, 200),
        TEST_WITH_LIMIT(a_source_that_is_killed_makes_an_attempt_void, 400),
        TEST_WITH_LIMIT(a_loader_that_is_killed_anywhere_begins_anew, 400),
    };
    return TEST_RUN(tests);
}
