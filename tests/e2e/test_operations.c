/* What docs/OPERATIONS.md tells of a new peer, a lost peer and a wrong row: its commands are typed
 * as they stand there, and say what is shown. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/readme.h"
#include "tests/support/verify.h"

#include <sysexits.h>

#define DOCUMENT "docs/OPERATIONS.md"
#define PUBLISH  "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY    "apply:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS  60000

struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar shipping;
};

static void write_items(const struct world *world, int count)
{
    for (int id = 1; id <= count; id++)
        (void)sqlite_format(world->shop.database, "INSERT INTO items VALUES (%d, '%s', %d)", id,
                            id == 2 ? "two" : "x", id);
}

static struct sidecar make_peer(const struct world *world, const char *name)
{
    return sidecar_make(world->kafka, name, SIDECAR_ITEM_DDL, APPLY);
}

static void settle(const struct world *world)
{
    const struct sidecar *const publishers[] = {&world->shop, NULL};
    const struct sidecar *const appliers[] = {&world->billing, &world->shipping, NULL};
    load_settle(world->kafka, "item", publishers, appliers, WAIT_MS);
}

static void begin(struct world *world, int items)
{
    *world = (struct world){.kafka = kafka_start()};
    world->shop = sidecar_make(world->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    world->shipping = make_peer(world, "shipping");
    world->billing = make_peer(world, "billing");
    sidecar_begin(&world->shop);
    write_items(world, items);
    sidecar_expect_published(&world->shop);
}

static void end(struct world *world)
{
    sidecar_stop(&world->shop);
    sidecar_stop(&world->billing);
    sidecar_stop(&world->shipping);
}

struct waiting {
    const struct world *world;
    const char *members;
};

static bool are_members(void *context)
{
    const struct waiting *waiting = context;
    const char *said = sidecar_run(&waiting->world->shop, "copies", "item", NULL).output;
    return strstr(said, waiting->members) != NULL && strstr(said, "starting") == NULL &&
           strstr(said, "filling") == NULL;
}

/* Until then nobody can be asked for rows, or counts. */
static void wait_for_members(const struct world *world, const char *members)
{
    struct waiting waiting = {world, members};
    if (!test_wait(are_members, &waiting, WAIT_MS))
        test_fail("%s", sidecar_run(&world->shop, "copies", "item", NULL).output);
}

/* @return a text without the lines that say how far something is, which come as it goes, those of
 * `init`, and that a peer has just been heard of. */
static const char *without_progress(const char *text)
{
    static const char *const begins[] = {"item: ", "ready ", "created ", "kept ",
                                         "keepstep: shipping reported"};
    const char *kept = "";
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        bool is_progress = false;
        for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
            is_progress = is_progress || strncmp(at, begins[i], strlen(begins[i])) == 0;
        if (!is_progress)
            kept = test_format("%s%.*s\n", kept, (int)strcspn(at, "\n"), at);
    }
    return kept;
}

/* Type a block's commands. What they say names files in full, and topics that begin with the test's
 * name. */
static void type(const char *line)
{
    const char *shown = document_block(DOCUMENT, line);
    const char *prefix = test_format("%.*s", (int)(strlen(sidecar_topic("item")) - 4),
                                     sidecar_topic("item"));
    const char *said = readme_type(shown, test_directory());
    said = test_replace(said, test_format("%s/", test_directory()), "");
    said = test_replace(said, test_format(" of topic %sitem", prefix), "");
    readme_expect(without_progress(shown), without_progress(test_replace(said, prefix, "")));
}

static void expect_equal(struct world *world)
{
    const struct sidecar *const all[] = {&world->shop, &world->billing, &world->shipping, NULL};
    settle(world);
    struct process_result result = VERIFY(all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 2)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

/* They are named in the order in which they reported first. */
static void begin_peers(struct world *world)
{
    begin(world, 3);
    sidecar_begin(&world->billing);
    wait_for_members(world, "2 members");
    sidecar_begin(&world->shipping);
    settle(world);
    wait_for_members(world, "3 members");
}

static void a_new_peer(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 30);
    sidecar_begin(&world.shipping);
    type("$ keepstep fill item -c billing.yaml --from-config shop.yaml");
    sidecar_start(&world.billing, NULL);
    expect_equal(&world);
    wait_for_members(&world, "3 members");
    type("$ keepstep fill item -c billing.yaml --from shipping --again");
    expect_equal(&world);
    end(&world);
}

static void a_wrong_row(void **state)
{
    struct world world;
    (void)state;
    begin_peers(&world);
    (void)sqlite_text(world.shipping.database, "UPDATE items SET name = 'tow' WHERE id = 2");
    type("$ keepstep verify item --rows -c shop.yaml");
    type("$ keepstep repair item -c shipping.yaml --from shop --key '{\"id\":2}'");
    struct process_result tail = PROCESS_RUN(KEEPSTEP_BINARY, "tail", "item", "--key", "{\"id\":2}",
                                             "--from", "beginning", "--until-end", "-c",
                                             world.shop.config);
    assert_int_equal(tail.exit_code, EX_OK);
    assert_non_null(strstr(tail.output, "two"));
    expect_equal(&world);
    end(&world);
}

static void a_lost_peer(void **state)
{
    struct world world;
    (void)state;
    begin_peers(&world);
    process_kill(world.shipping.process);
    assert_int_equal(PROCESS_RUN("sh", "-c", "rm \"$1\"*", "sh", world.shipping.database).exit_code,
                     0);
    type("$ keepstep copies forget shipping -c shop.yaml");
    world.shipping = make_peer(&world, "shipping");
    sidecar_begin(&world.shipping);
    expect_equal(&world);
    wait_for_members(&world, "3 members");
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_new_peer, 300),
        TEST_WITH_LIMIT(a_wrong_row, 300),
        TEST_WITH_LIMIT(a_lost_peer, 300),
    };
    return TEST_RUN(tests);
}
