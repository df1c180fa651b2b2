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
    sidecar_begin(&world->shipping);
    write_items(world, items);
}

static void end(struct world *world)
{
    sidecar_stop(&world->shop);
    sidecar_stop(&world->billing);
    sidecar_stop(&world->shipping);
}

/* Until then nobody can be asked for rows, or counts. */
static bool all_are_members(void *context)
{
    const struct world *world = context;
    const char *said = sidecar_run(&world->shop, "copies", "item", NULL).output;
    return strstr(said, "3 members") != NULL && strstr(said, "starting") == NULL &&
           strstr(said, "filling") == NULL;
}

static void wait_for_members(struct world *world)
{
    if (!test_wait(all_are_members, world, WAIT_MS))
        test_fail("%s", sidecar_run(&world->shop, "copies", "item", NULL).output);
}

/* A block inside of a list is indented. @return its text without what is in front of each line. */
static const char *shown_block(const char *first_line)
{
    const char *block = document_block(DOCUMENT, first_line);
    size_t indent = strspn(block, " ");
    const char *shown = "";
    for (const char *at = block; *at != '\0'; at += strcspn(at, "\n") + 1) {
        size_t length = strcspn(at, "\n");
        size_t skipped = length < indent ? length : indent;
        if (length - skipped > 0)
            shown = test_format("%s%.*s\n", shown, (int)(length - skipped), at + skipped);
    }
    return shown;
}

/* @return a text without the lines that say how far something is, which come as it goes. */
static const char *without_progress(const char *text)
{
    const char *kept = "";
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        if (strncmp(at, "item: ", 6) != 0)
            kept = test_format("%s%.*s\n", kept, (int)strcspn(at, "\n"), at);
    }
    return kept;
}

/* Type a block's commands. Names of files are in full there, and topics begin with the test's
 * name. */
static void type(const char *first_line)
{
    const char *shown = shown_block(first_line);
    const char *prefix = test_format("%.*s", (int)(strlen(sidecar_topic("item")) - 4),
                                     sidecar_topic("item"));
    const char *said = readme_type(shown, test_directory());
    said = test_replace(said, test_format("%s/", test_directory()), "");
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

static void a_new_peer(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 30);
    type("$ keepstep fill item -c billing.yaml --from-config shop.yaml");
    sidecar_start(&world.billing, NULL);
    expect_equal(&world);
    wait_for_members(&world);
    type("$ keepstep fill item -c billing.yaml --from shipping --again");
    expect_equal(&world);
    end(&world);
}

static void a_wrong_row(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 3);
    sidecar_begin(&world.billing);
    settle(&world);
    wait_for_members(&world);
    (void)sqlite_text(world.shipping.database, "UPDATE items SET name = 'tow' WHERE id = 2");
    type("   $ keepstep verify item --rows -c shop.yaml");
    type("   $ keepstep repair item -c shipping.yaml --from shop --key '{\"id\":2}'");
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
    begin(&world, 3);
    sidecar_begin(&world.billing);
    settle(&world);
    wait_for_members(&world);
    process_kill(world.shipping.process);
    assert_int_equal(PROCESS_RUN("sh", "-c", "rm \"$1\"*", "sh", world.shipping.database).exit_code,
                     0);
    type("$ keepstep copies forget shipping -c shop.yaml");
    world.shipping = make_peer(&world, "shipping");
    sidecar_begin(&world.shipping);
    expect_equal(&world);
    wait_for_members(&world);
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
