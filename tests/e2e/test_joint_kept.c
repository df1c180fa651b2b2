/* What a vote of yes keeps besides the rows that it names: unique values, and the rows that those
 * name by foreign keys. A participant that is away lets everybody see it. */
#include "tests/support/joint_world.h"

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};

#define WAIT_MS 60000

/* The row N of the shop and of the bank, with a name; and a change at web, which does not run. */
#define NAMES(n, name)                                                                             \
    "[{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":" n "},\"op\":\"c\",\"set\":{"       \
    "\"name\":\"" name "\",\"amount\":0}},"                                                        \
    "{\"service\":\"bank\",\"type\":\"extra\",\"key\":{\"id\":" n "},\"op\":\"c\",\"set\":{"       \
    "\"name\":\"" name "\",\"amount\":0}},"                                                        \
    "{\"service\":\"web\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"u\",\"add\":{\"amount\":"  \
    "1}}]"

/* Names are unique, and each new item belongs to the item 2. */
static void prepare(struct joint_world *world)
{
    (void)database_text(world->all[JOINT_SHOP].url,
                        "ALTER TABLE items ADD UNIQUE (name), ADD part_of bigint DEFAULT 2 "
                        "REFERENCES items; UPDATE items SET part_of = NULL");
    (void)database_text(world->all[JOINT_BANK].url,
                        "ALTER TABLE extras MODIFY name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE "
                        "utf8mb4_bin NOT NULL, ADD UNIQUE (name)");
    for (size_t i = JOINT_SHOP; i <= JOINT_BANK; i++) {
        struct sidecar *sidecar = &world->all[i];
        struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                                 sidecar->admin != NULL ? sidecar->admin
                                                                        : sidecar->config);
        if (init.exit_code != 0)
            test_fail("%s", init.errors);
        sidecar_grant(sidecar);
    }
}

static void expect_refused(const struct joint_world *world, size_t service, const char *sql)
{
    const char *error = joint_world_write(world, service, sql);
    if (error == NULL || strstr(error, "is reserved by a joint transaction, first of shop") == NULL)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
}

static void a_promise_keeps_unique_values_and_what_is_named(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    prepare(&world);
    joint_world_start(&world, JOINT_SHOP, NULL);
    joint_world_start(&world, JOINT_BANK, NULL);
    joint_world_propose_text(&world, "first", JOINT_SHOP, WAIT_MS, NAMES("3", "new"));
    joint_world_expect(&world, JOINT_SHOP, "first", "reserved");
    joint_world_expect(&world, JOINT_BANK, "first", "reserved");
    expect_refused(&world, JOINT_SHOP, "INSERT INTO items VALUES (4, 'new', 0)");
    expect_refused(&world, JOINT_SHOP, "UPDATE items SET name = 'new' WHERE id = 1");
    expect_refused(&world, JOINT_SHOP, "DELETE FROM items WHERE id = 2");
    expect_refused(&world, JOINT_BANK, "INSERT INTO extras VALUES (4, 'new', 0)");
    expect_refused(&world, JOINT_BANK, "UPDATE extras SET name = 'new' WHERE id = 1");
    assert_null(joint_world_write(&world, JOINT_BANK, "INSERT INTO extras VALUES (4, 'other', 0)"));
    joint_world_propose_text(&world, "second", JOINT_SHOP, WAIT_MS, NAMES("5", "new"));
    joint_world_start(&world, JOINT_WEB, NULL);
    joint_world_expect_everywhere(&world, "first", "committed");
    joint_world_expect_everywhere(&world, "second", "aborted");
    assert_int_equal(
        joint_world_number(&world, JOINT_SHOP, "SELECT id FROM items WHERE name = 'new'"), 3);
    assert_int_equal(
        joint_world_number(&world, JOINT_BANK, "SELECT id FROM extras WHERE name = 'new'"), 3);
    joint_world_expect_amounts(&world, (const int[]){100, 100, 101});
    assert_null(joint_world_write(&world, JOINT_SHOP, "UPDATE items SET name = '2' WHERE id = 2"));
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_promise_keeps_unique_values_and_what_is_named, 400),
    };
    return TEST_RUN(tests);
}
