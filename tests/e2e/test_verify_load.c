/* `keepstep verify` all the time, while three databases are written and sidecars are killed: it
 * raises no false alarm, and it misses no row that was changed by hand. TEST_LOAD_SECONDS is the
 * length. labels: alone */
#include "tests/support/load.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include "common/clock.h"
#include "schemas/json.h"

#include <stdio.h>
#include <sysexits.h>

#define SCRIPT_MAX    ((size_t)1024 * 1024)
#define STATEMENTS    400 /* of one client */
#define HOT_KEYS      60  /* that the clients write */
#define COLD_KEYS     20  /* that nobody writes, from COLD_FIRST on */
#define COLD_FIRST    1000
#define EXTRA_FIRST   2000
#define KILL_EVERY_US 6000000
#define MARK          "planted"

enum plant_kind { PLANT_CHANGE, PLANT_DELETE, PLANT_INSERT };

/* A row that was changed by hand, and is to be found. */
struct plant {
    const char *entity_type;
    enum database_kind where;
    enum plant_kind kind;
    int id;
};

struct world {
    struct kafka *kafka;
    struct sidecar services[VERIFY_KINDS];
    const struct sidecar *all[VERIFY_KINDS + 1]; /* PostgreSQL, MariaDB, SQLite */
    struct process *clients[VERIFY_KINDS];
    unsigned seed;
    int client_count;
    struct plant plants[8];
    int plant_count;
    /* What was counted: */
    int runs, kills, planted, found, left, false_alarms, marked;
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

static void world_fill(const struct world *world)
{
    const char *post = world->services[DATABASE_POSTGRESQL].url;
    for (int id = COLD_FIRST; id < COLD_FIRST + COLD_KEYS; id++)
        (void)database_text(post, test_format("INSERT INTO orders VALUES (%d, 'cold', 1.5, 0.1); "
                                              "INSERT INTO stocks VALUES (%d, 'cold', 1.5, 0.1)",
                                              id, id));
}

static void world_begin(struct world *world)
{
    load_need("psql");
    load_need("mariadb");
    *world = (struct world){.kafka = kafka_start(), .seed = 11};
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
    const struct sidecar *const lite = &world->services[DATABASE_SQLITE];
    const char *count = test_format("%d\n", COLD_KEYS);
    sidecar_expect(lite, "SELECT count(*) FROM orders", count);
    sidecar_expect(lite, "SELECT count(*) FROM stocks", count);
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
            bool orders = i == DATABASE_POSTGRESQL && load_random(&world->seed, 2) == 0;
            verify_append_statement(&script, orders ? "orders" : "stocks", HOT_KEYS, &world->seed);
            buffer_append_text(&script, verify_dialects[i].pause);
        }
        world->clients[i] = load_client(test_format("client-%d", ++world->client_count),
                                        world->services[i].url, &script);
        buffer_done(&script);
    }
}

static void write_by_hand(const struct world *world, const struct plant *plant, const char *sql)
{
    const char *url = world->services[plant->where].url;
    if (plant->where == DATABASE_SQLITE)
        (void)database_text(url, sql); /* it publishes nothing and so has no triggers */
    else
        verify_write_silently(plant->where, url, test_format("%ss", plant->entity_type), sql);
}

static const char *plant_sql(const struct plant *plant)
{
    static const char *const formats[] = {
        [PLANT_CHANGE] = "UPDATE %ss SET name = '" MARK "' WHERE id = %d",
        [PLANT_DELETE] = "DELETE FROM %ss WHERE id = %d",
        [PLANT_INSERT] = "INSERT INTO %ss VALUES (%d, '" MARK "', NULL, 0.5)"};
    const char *format = formats[plant->kind];
    size_t table = strcspn(format, "%");
    const char *rest = format + table + 2;
    size_t id = strcspn(rest, "%");
    return test_format("%.*s%s%.*s%d%s", (int)table, format, plant->entity_type, (int)id, rest,
                       plant->id, rest + id + 2);
}

static const char *undo_sql(const struct plant *plant)
{
    if (plant->kind == PLANT_CHANGE)
        return test_format("UPDATE %ss SET name = 'cold' WHERE id = %d", plant->entity_type,
                           plant->id);
    if (plant->kind == PLANT_DELETE)
        return test_format("INSERT INTO %ss VALUES (%d, 'cold', 1.5, 0.1)", plant->entity_type,
                           plant->id);
    return test_format("DELETE FROM %ss WHERE id = %d", plant->entity_type, plant->id);
}

static bool is_planted(const struct world *world, const char *entity_type, int id)
{
    for (int i = 0; i < world->plant_count; i++) {
        if (world->plants[i].id == id && strcmp(world->plants[i].entity_type, entity_type) == 0)
            return true;
    }
    return false;
}

/* Change some cold rows, which are to be found, and hot rows, which may be mended before. */
static void world_plant(struct world *world)
{
    world->plant_count = 0;
    for (int i = 0; i < 3; i++) {
        struct plant plant = {.entity_type = load_random(&world->seed, 2) == 0 ? "order" : "stock",
                              .where = (enum database_kind)load_random(&world->seed, VERIFY_KINDS),
                              .kind = (enum plant_kind)load_random(&world->seed, 3)};
        plant.id = load_random(&world->seed, COLD_KEYS) +
                   (plant.kind == PLANT_INSERT ? EXTRA_FIRST : COLD_FIRST);
        if (is_planted(world, plant.entity_type, plant.id))
            continue;
        write_by_hand(world, &plant, plant_sql(&plant));
        world->plants[world->plant_count++] = plant;
        plant.kind = PLANT_CHANGE;
        plant.id = load_random(&world->seed, HOT_KEYS);
        write_by_hand(world, &plant, plant_sql(&plant));
    }
    world->planted += world->plant_count;
}

static void world_undo(const struct world *world)
{
    for (int i = 0; i < world->plant_count; i++)
        write_by_hand(world, &world->plants[i], undo_sql(&world->plants[i]));
}

static bool has_mark(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    return name != NULL && strcmp(name, MARK) == 0;
}

/* A difference is none if neither row was changed by hand. */
static void judge_difference(struct world *world, const char *entity_type, const char *service,
                             const json_t *difference)
{
    int id = 0;
    const char *key = json_string_value(json_object_get(difference, "key"));
    assert_int_equal(sscanf(key, "{\"id\":%d}", &id), 1);
    bool marked = has_mark(json_object_get(difference, "row")) !=
                  has_mark(json_object_get(difference, "reference_row"));
    world->marked += marked;
    if (marked || is_planted(world, entity_type, id))
        return;
    world->false_alarms++;
    char *text = json_dumps(difference, JSON_ENCODE_ANY);
    print_message("false: %s at %s: %s\n", entity_type, service, text);
    free(text);
}

static bool has_key(const json_t *list, const char *key)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "key")), key) == 0)
            return true;
    }
    return false;
}

/* A row changed at the reference differs at each copy, another one at its own copy. */
static void judge_plant(struct world *world, const struct plant *plant, const json_t *line)
{
    const char *key = test_format("{\"id\":%d}", plant->id);
    const char *reference = json_string_value(json_object_get(line, "reference"));
    bool left = has_key(json_object_get(json_object_get(line, "left_out"), "entities"), key);
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        const char *service = json_string_value(json_object_get(copy, "service"));
        bool compared = !json_is_string(json_object_get(copy, "reason"));
        const char *where = verify_dialects[plant->where].service;
        bool here = strcmp(where, reference) == 0 || strcmp(where, service) == 0;
        if (!here || !compared)
            continue;
        if (has_key(json_object_get(copy, "differences"), key))
            world->found++;
        else if (left)
            world->left++;
        else
            test_fail("%s %s, changed at %s, was not found at %s: %s", plant->entity_type, key,
                      verify_dialects[plant->where].service, service,
                      json_dumps(line, JSON_INDENT(1)));
    }
}

static void note_compared(struct world *world, const char *service)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        world->compared[i] += strcmp(verify_dialects[i].service, service) == 0;
}

static void judge_line(struct world *world, const json_t *line)
{
    const char *entity_type = json_string_value(json_object_get(line, "type"));
    const char *reference = json_string_value(json_object_get(line, "reference"));
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        size_t number;
        json_t *difference;
        const char *service = json_string_value(json_object_get(copy, "service"));
        if (!json_is_string(json_object_get(copy, "reason"))) {
            world->rows += json_integer_value(json_object_get(line, "rows"));
            note_compared(world, service);
            note_compared(world, reference);
        } else {
            print_message("not compared: %s: %s\n", entity_type,
                          json_string_value(json_object_get(copy, "reason")));
        }
        json_array_foreach(json_object_get(copy, "differences"), number, difference)
        {
            judge_difference(world, entity_type, service, difference);
        }
    }
    for (int i = 0; i < world->plant_count; i++) {
        if (strcmp(world->plants[i].entity_type, entity_type) == 0)
            judge_plant(world, &world->plants[i], line);
    }
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
            load_kill(&world.services[load_random(&world.seed, VERIFY_KINDS)]);
            killed_us = clock_monotonic_us();
            world.kills++;
        }
        world_plant(&world);
        world_verify(&world);
        world_undo(&world);
    }
    for (size_t i = DATABASE_POSTGRESQL; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(world.clients[i], 60000) < 2 * STATEMENTS);
    world_settle(&world);
    world.plant_count = 0;
    world_verify(&world);
    print_message(
        "note: %d runs, %d kills, %lld rows compared, %d false alarms; of %d rows changed "
        "by hand: %d times found, %d times left out, 0 missed; %d other marks\n",
        world.runs, world.kills, (long long)world.rows, world.false_alarms, world.planted,
        world.found, world.left, world.marked);
    assert_int_equal(world.false_alarms, 0);
    assert_true(world.found > 0);
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
