/* `keepstep verify` all the time, while three databases are written and sidecars are killed: it
 * raises no false alarm, and it misses no row that was changed by hand. TEST_LOAD_SECONDS is the
 * length. labels: alone */
#include "tests/support/load.h"
#include "tests/support/plants.h"
#include "tests/support/verify.h"

#include "common/clock.h"

#include <stdlib.h>
#include <sysexits.h>

#define SCRIPT_MAX    ((size_t)1024 * 1024)
#define STATEMENTS    400 /* of one client */
#define HOT_KEYS      60  /* that the clients write */
#define KILL_EVERY_US 6000000

struct world {
    struct kafka *kafka;
    struct sidecar services[VERIFY_KINDS];
    const struct sidecar *all[VERIFY_KINDS + 1]; /* PostgreSQL, MariaDB, SQLite */
    struct process *clients[VERIFY_KINDS];
    struct plants plants;
    int client_count;
    /* What was counted: */
    int runs, kills;
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
        plants_expect_prepared(&world->plants, world->plants.types[i], DATABASE_SQLITE);
    }
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

static void judge_line(struct world *world, const json_t *line)
{
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
                          json_string_value(json_object_get(line, "type")), reason);
        }
    }
    plants_judge(&world->plants, line);
}

static void world_verify(struct world *world)
{
    struct process_result result = VERIFY(world->all, "--json", "--rows");
    int lines = 0;
    if (result.exit_code != EX_OK && result.exit_code != EX_DATAERR &&
        result.exit_code != EX_TEMPFAIL)
        test_fail("exit code %d: %s", result.exit_code, result.errors);
    for (const char *at = result.output; *at != '\0'; at += strcspn(at, "\n") + 1, lines++) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_non_null(line);
        judge_line(world, line);
        json_decref(line);
    }
    if (lines != 2)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    world->runs++;
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
    load_settle(world->kafka, "order", one, copies, 60000);
    load_settle(world->kafka, "stock", both, all, 60000);
}

static void no_false_alarm_and_nothing_missed(void **state)
{
    (void)state;
    struct world world;
    const char *length = getenv("TEST_LOAD_SECONDS");
    long seconds = length == NULL ? 30 : strtol(length, NULL, 10);
    world_begin(&world);
    int64_t until_us = clock_monotonic_us() + (int64_t)seconds * 1000000;
    int64_t killed_us = clock_monotonic_us();
    while (clock_monotonic_us() < until_us) {
        world_write(&world);
        if (clock_monotonic_us() - killed_us > KILL_EVERY_US) {
            load_kill(&world.services[load_random(&world.plants.seed, VERIFY_KINDS)]);
            killed_us = clock_monotonic_us();
            world.kills++;
        }
        plants_make(&world.plants);
        world_verify(&world);
        plants_undo(&world.plants);
    }
    for (size_t i = DATABASE_POSTGRESQL; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(world.clients[i], 60000) < 2 * STATEMENTS);
    world_settle(&world);
    world_verify(&world);
    const struct plants *plants = &world.plants;
    print_message(
        "note: %d runs, %d kills, %lld rows compared, %d false alarms; of %d rows changed "
        "by hand: %d times found, %d times left out, 0 missed; %d other marks\n",
        world.runs, world.kills, (long long)world.rows, plants->false_alarms, plants->planted,
        plants->found, plants->left, plants->marked);
    assert_int_equal(plants->false_alarms, 0);
    assert_true(plants->found > 0);
    assert_true(world.kills > 0 || seconds < 12);
    assert_true(world.runs >= seconds / 20);
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
