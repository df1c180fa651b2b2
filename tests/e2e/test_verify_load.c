/* `keepstep verify` all the time, by itself and with --every, while three databases are written and
 * sidecars are killed: it raises no false alarm, and it misses no row that was changed by hand.
 * TEST_LOAD_SECONDS is the length. labels: early */
#include "tests/support/load.h"
#include "tests/support/plants.h"
#include "tests/support/verify.h"

#include "common/clock.h"

#include <limits.h>
#include <sysexits.h>

#define SCRIPT_MAX    ((size_t)1024 * 1024)
#define STATEMENTS    400 /* of one client */
#define HOT_KEYS      60  /* that the clients write */
#define KILL_EVERY_US 6000000
#define BY_EVERY      3 /* each third time one process goes on comparing */
#define ROUNDS_MIN    6
#define WAIT_MS       120000

struct world {
    struct kafka *kafka;
    struct sidecar services[VERIFY_KINDS];
    const struct sidecar *all[VERIFY_KINDS + 1]; /* PostgreSQL, MariaDB, SQLite */
    struct process *clients[VERIFY_KINDS];
    struct plants plants;
    int client_count;
    struct process *repeating; /* `verify --every` */
    int wanted;                /* rounds of it */
    /* What was counted: */
    int runs, rounds_by_every, kills;
    int compared[VERIFY_KINDS]; /* how often the rows of each service were */
    int64_t rows;
};

/* "order" has one publisher, "stock" is written by two services. */
static const char *const entries[] = {
    [DATABASE_SQLITE] = "apply:\n  order: {table: orders, partitions: 2}\n"
                        "  stock: {table: stocks, partitions: 2}\n",
    [DATABASE_POSTGRESQL] = "publish:\n  order: {table: orders, partitions: 2}\n"
                            "  stock: {table: stocks, partitions: 2}\n"
                            "apply:\n  stock: {table: stocks, partitions: 2}\n",
    [DATABASE_MARIADB] = "publish:\n  stock: {table: stocks, partitions: 2}\n"
                         "apply:\n  order: {table: orders, partitions: 2}\n"
                         "  stock: {table: stocks, partitions: 2}\n",
};

static void world_tables(const struct world *world)
{
    const char *post = world->services[DATABASE_POSTGRESQL].url;
    const char *maria = world->services[DATABASE_MARIADB].url;
    verify_write_schema("order");
    verify_write_schema("stock");
    (void)database_text(post, test_format("CREATE TABLE orders (%s); CREATE TABLE stocks (%s)",
                                          verify_dialects[DATABASE_POSTGRESQL].columns,
                                          verify_dialects[DATABASE_POSTGRESQL].columns));
    (void)database_text(
        maria, test_format("CREATE TABLE stocks (%s)", verify_dialects[DATABASE_MARIADB].columns));
}

static void world_settle(const struct world *world)
{
    const struct sidecar *post = &world->services[DATABASE_POSTGRESQL];
    const struct sidecar *maria = &world->services[DATABASE_MARIADB];
    const struct sidecar *lite = &world->services[DATABASE_SQLITE];
    const struct sidecar *const one[] = {post, NULL};
    const struct sidecar *const both[] = {post, maria, NULL};
    const struct sidecar *const copies[] = {maria, lite, NULL};
    const struct sidecar *const all[] = {post, maria, lite, NULL};
    load_settle(world->kafka, "order", one, copies, WAIT_MS);
    load_settle(world->kafka, "stock", both, all, WAIT_MS);
}

static void world_fill(struct world *world)
{
    world->plants = (struct plants){.services = world->services,
                                    .types = {"order", "stock"},
                                    .type_count = 2,
                                    .has_no_triggers = {[DATABASE_SQLITE] = true},
                                    .hot_keys = HOT_KEYS,
                                    .seed = 11};
    for (int i = 0; i < world->plants.type_count; i++) {
        plants_prepare(&world->plants, world->plants.types[i], DATABASE_POSTGRESQL);
    }
    world_settle(world);
}

static void world_begin(struct world *world)
{
    load_need("psql");
    load_need("mariadb");
    *world = (struct world){.kafka = kafka_start()};
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *name = verify_dialects[i].service;
        world->services[i] = sidecar_make_on(
            world->kafka, name, database_make((enum database_kind)i, name), entries[i]);
    }
    world->all[0] = &world->services[DATABASE_POSTGRESQL];
    world->all[1] = &world->services[DATABASE_MARIADB];
    world->all[2] = &world->services[DATABASE_SQLITE];
    world_tables(world);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&world->services[i]);
    world_fill(world);
}

/* Keep a client writing at each service that publishes. */
static void world_write(struct world *world)
{
    for (size_t i = DATABASE_POSTGRESQL; i < VERIFY_KINDS; i++) {
        struct buffer script;
        if (world->clients[i] != NULL && process_running(world->clients[i]))
            continue;
        if (world->clients[i] != NULL)
            assert_true(load_client_end(world->clients[i], 1000) < 2 * STATEMENTS);
        buffer_init(&script, SCRIPT_MAX);
        for (int s = 0; s < STATEMENTS; s++) {
            bool orders = i == DATABASE_POSTGRESQL && load_random(&world->plants.seed, 2) == 0;
            verify_append_statement(&script, orders ? "orders" : "stocks", HOT_KEYS,
                                    &world->plants.seed);
            buffer_append_text(&script, verify_dialects[i].pause);
        }
        world->clients[i] = load_client(test_format("client-%d", ++world->client_count),
                                        world->services[i].url, &script);
        buffer_done(&script);
    }
}

static void note_compared(struct world *world, const char *service)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        world->compared[i] += strcmp(verify_dialects[i].service, service) == 0;
}

static void note_line(void *context, const json_t *line)
{
    struct world *world = context;
    const char *reference = json_string_value(json_object_get(line, "reference"));
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        const char *reason = json_string_value(json_object_get(copy, "reason"));
        if (reason == NULL) {
            world->rows += json_integer_value(json_object_get(line, "rows"));
            note_compared(world, json_string_value(json_object_get(copy, "service")));
            note_compared(world, reference);
        } else {
            print_message("not compared: %s: %s\n",
                          json_string_value(json_object_get(line, "entity_type")), reason);
        }
    }
}

/* @return how many times all types were compared. */
static int rounds(const struct world *world, const char *output)
{
    int count = INT_MAX;
    for (int i = 0; i < world->plants.type_count; i++) {
        int lines = plants_lines(output, world->plants.types[i]);
        count = lines < count ? lines : count;
    }
    return count;
}

static void expect_compared(const struct process_result *result)
{
    if (result->exit_code != EX_OK && result->exit_code != EX_DATAERR &&
        result->exit_code != EX_TEMPFAIL)
        test_fail("exit code %d: %s", result->exit_code, result->errors);
}

static void world_verify(struct world *world)
{
    struct process_result result = verify_run(
        world->all, (const char *const[]){"--json", "--rows", NULL}, WAIT_MS);
    expect_compared(&result);
    if (rounds(world, result.output) != 1)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    plants_judge(&world->plants, result.output, 0, note_line, world);
    world->runs++;
}

static void world_kill(struct world *world)
{
    load_kill(&world->services[load_random(&world->plants.seed, VERIFY_KINDS)]);
    world->kills++;
}

static bool has_rounds(void *context)
{
    struct world *world = context;
    world_write(world);
    return rounds(world, process_output(world->repeating)) >= world->wanted;
}

static void wait_for_rounds(struct world *world, int wanted)
{
    world->wanted = wanted;
    if (!test_wait(has_rounds, world, WAIT_MS))
        test_fail("%d rounds instead of %d: %s%s", rounds(world, process_output(world->repeating)),
                  wanted, process_output(world->repeating), process_errors(world->repeating));
}

/* Rows are changed, and sidecars killed, while one process compares again and again. The round that
 * is under way then, of each type, need not find them; those behind it must. */
static void world_verify_by_every(struct world *world)
{
    const char *const argv[] = {KEEPSTEP_BINARY,
                                "verify",
                                "-c",
                                world->all[0]->config,
                                "--with",
                                world->all[1]->config,
                                "--with",
                                world->all[2]->config,
                                "--every",
                                "1",
                                "--json",
                                "--rows",
                                NULL};
    world->repeating = process_start(test_format("every-%d", world->runs), argv, NULL);
    wait_for_rounds(world, 1);
    plants_make(&world->plants);
    const char *output = process_output(world->repeating);
    int before = 1 + plants_lines(output, world->plants.types[0]);
    world_kill(world);
    wait_for_rounds(world, before + 2);
    struct process_result result = {.exit_code = process_stop(world->repeating, WAIT_MS),
                                    .output = process_output(world->repeating),
                                    .errors = process_errors(world->repeating)};
    expect_compared(&result);
    plants_judge(&world->plants, result.output, before, note_line, world);
    plants_undo(&world->plants);
    world->runs += rounds(world, result.output);
    world->rounds_by_every += rounds(world, result.output) - before;
}

static void no_false_alarm_and_nothing_missed(void **state)
{
    (void)state;
    struct world world;
    int seconds = load_number("TEST_LOAD_SECONDS", 30);
    world_begin(&world);
    int64_t until_us = clock_monotonic_us() + (int64_t)seconds * 1000000;
    int64_t killed_us = clock_monotonic_us();
    for (int i = 1; i <= ROUNDS_MIN || clock_monotonic_us() < until_us; i++) {
        world_write(&world);
        if (i == 1 || clock_monotonic_us() - killed_us > KILL_EVERY_US) {
            world_kill(&world);
            killed_us = clock_monotonic_us();
        }
        if (i % BY_EVERY == 0) {
            world_verify_by_every(&world);
            continue;
        }
        plants_make(&world.plants);
        world_verify(&world);
        plants_undo(&world.plants);
    }
    for (size_t i = DATABASE_POSTGRESQL; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(world.clients[i], WAIT_MS) < 2 * STATEMENTS);
    world_settle(&world);
    world_verify(&world);
    const struct plants *plants = &world.plants;
    print_message(
        "note: %d runs, %d of them behind a planting by --every, %d kills, %lld rows compared, %d "
        "false alarms; of %d rows changed by hand: %d times found, %d times left out, 0 missed; %d "
        "other marks\n",
        world.runs, world.rounds_by_every, world.kills, (long long)world.rows, plants->false_alarms,
        plants->planted, plants->found, plants->left, plants->marked);
    assert_int_equal(plants->false_alarms, 0);
    assert_true(plants->found > 0);
    assert_true(world.rounds_by_every > 0);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (world.compared[i] == 0)
            test_fail("%s was never compared", verify_dialects[i].service);
        sidecar_stop(&world.services[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(no_false_alarm_and_nothing_missed, 7200),
    };
    return TEST_RUN(tests);
}
