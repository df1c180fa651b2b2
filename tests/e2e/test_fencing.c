/* Two agents or two relays on one database, copies of databases, and processes that were stopped
 * and go on. labels: early */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/witness.h"

#include <signal.h>
#include <unistd.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

/* Make a second sidecar on the same database, with another instance name. */
static struct sidecar make_second(const struct sidecar *first)
{
    struct sidecar second = *first;
    second.name = test_format("%s-second", first->name);
    second.config = test_path("%s.yaml", second.name);
    test_write_file(second.config,
                    test_format("%sinstance: \"2\"\n", test_read_file(first->config)));
    return second;
}

static void write_items(const struct sidecar *shop, int first_id, int count)
{
    for (int i = 0; i < count; i++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id<=%d;",
                            first_id + i, first_id + i);
}

/* A copy whose first agent becomes a zombie. */
struct fenced_copy {
    struct sidecar first;
    struct sidecar second;
};

static struct fenced_copy make_fenced(struct kafka *kafka, enum database_kind kind,
                                      const char *name)
{
    struct fenced_copy copy = {
        .first = sidecar_make_on(kafka, name, database_make(kind, name), APPLY_ITEMS)};
    sidecar_init(&copy.first, NULL);
    witness_begin(&copy.first);
    copy.second = make_second(&copy.first);
    sidecar_start(&copy.first, "agent_before_begin:20:stop");
    return copy;
}

static void wake_zombie(const struct fenced_copy *copy, int64_t seen)
{
    (void)witness_next_us(&copy->second, seen + 50, 30000);
    process_signal(copy->first.process, SIGCONT);
    if (!process_wait_for(copy->first.process, "apply: .*another agent owns the partition", 30000))
        test_fail("%s lost nothing: %s", copy->first.name, process_errors(copy->first.process));
}

/* The first agents are stopped with records in hand. The second ones apply those. Then the first
 * ones go on to their BEGIN, while the second ones apply newer records. */
static void a_zombie_agent_changes_no_row_after_its_takeover(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    load_need("sqlite3");

    sidecar_begin(&shop);
    witness_begin(&shop);
    struct fenced_copy copies[] = {make_fenced(kafka, DATABASE_SQLITE, "lite"),
                                   make_fenced(kafka, DATABASE_POSTGRESQL, "post"),
                                   make_fenced(kafka, DATABASE_MARIADB, "maria")};
    const size_t count = sizeof copies / sizeof copies[0];
    struct process *load = witness_load(&shop, "before", 0, WITNESS_ENDLESS);
    for (size_t i = 0; i < count; i++)
        assert_true(process_wait_stopped(copies[i].first.process, 30000));
    assert_true(process_running(load));
    /* The second agents get the partitions when the first ones' sessions of 10 s end. */
    for (size_t i = 0; i < count; i++)
        sidecar_start(&copies[i].second, NULL);
    witness_load_stop(load, "before");
    for (size_t i = 0; i < count; i++)
        witness_assert_copy(kafka, &shop, &copies[i].second);

    int64_t seen[sizeof copies / sizeof copies[0]];
    for (size_t i = 0; i < count; i++)
        seen[i] = witness_count(&copies[i].second);
    load = witness_load(&shop, "after", WITNESS_ENDLESS, WITNESS_ENDLESS);
    for (size_t i = 0; i < count; i++)
        wake_zombie(&copies[i], seen[i]);
    assert_true(process_running(load));
    witness_load_stop(load, "after");
    for (size_t i = 0; i < count; i++)
        witness_assert_copy(kafka, &shop, &copies[i].second);
    assert_int_equal(witness_assert_log(kafka, &shop), 0);
    for (size_t i = 0; i < count; i++) {
        sidecar_stop(&copies[i].second);
        sidecar_stop(&copies[i].first);
    }
    sidecar_stop(&shop);
}

struct twins {
    const struct sidecar *shop;
    struct process *all[2];
    struct process *ended;
};

/* Changes come meanwhile, so that who has lost its partitions hears of it from the database. */
static bool one_has_ended(void *context)
{
    struct twins *twins = context;
    (void)sqlite_text(twins->shop->database, "UPDATE items SET amount=amount+1");
    for (size_t i = 0; i < 2 && twins->ended == NULL; i++)
        twins->ended = process_running(twins->all[i]) ? NULL : twins->all[i];
    return twins->ended != NULL;
}

/* Whether it hears first from the group or from the database that it has lost its partitions: if it
 * joined again, the second one would be put out. */
static void of_the_same_instance_twice_the_first_ends_with_exit_code_78(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct twins twins = {.shop = &shop, .all = {billing.process}};
    sidecar_start(&billing, NULL);
    twins.all[1] = billing.process;
    assert_true(test_wait(one_has_ended, &twins, 30000));
    assert_int_equal(process_wait(twins.ended, 1000), 78);
    /* After an outage its own earlier session may be the cause, so it joins anew once. */
    if (twins.ended != twins.all[0] &&
        strstr(process_errors(twins.all[0]), "after an outage of the brokers") == NULL)
        test_fail("the newcomer has ended: %s", process_errors(twins.ended));
    billing.process = twins.all[twins.ended == twins.all[0]];
    write_items(&shop, 11, 2);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void expect_assigned(struct sidecar *agent)
{
    if (!process_wait_for(agent->process, "goes on at", 60000))
        test_fail("%s got no partition: %s", agent->name, process_errors(agent->process));
}

static int assignments(const struct sidecar *agent)
{
    int count = 0;
    const char *at = process_errors(agent->process);
    for (; (at = strstr(at, "goes on at")) != NULL; at++)
        count++;
    return count;
}

struct assigned_again {
    const struct sidecar *agent;
    int before;
};

static bool is_assigned_again(void *context)
{
    const struct assigned_again *again = context;
    return assignments(again->agent) > again->before;
}

static void two_agents_of_one_group_share_the_partitions_through_rebalances(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    load_need("sqlite3");

    sidecar_begin(&shop);
    sidecar_init(&billing, NULL);
    witness_begin(&shop);
    witness_begin(&billing);
    struct sidecar second = make_second(&billing);
    sidecar_start(&billing, NULL);
    expect_assigned(&billing);
    struct process *load = witness_load(&shop, "joined", 0, WITNESS_ENDLESS);
    sidecar_start(&second, NULL);
    expect_assigned(&second);
    assert_true(process_running(load));
    struct assigned_again again = {&billing, assignments(&billing)};
    process_kill(second.process); /* its partition moves when its session ends */
    assert_true(test_wait(is_assigned_again, &again, 60000));
    witness_load_stop(load, "joined");
    witness_assert_copy(kafka, &shop, &billing);

    load = witness_load(&shop, "again", WITNESS_ENDLESS, WITNESS_ENDLESS);
    sidecar_start(&second, NULL);
    expect_assigned(&second);
    process_kill(billing.process);
    sidecar_start(&billing, NULL);
    expect_assigned(&billing);
    assert_true(process_running(load));
    witness_load_stop(load, "again");
    witness_assert_copy(kafka, &shop, &billing);
    assert_int_equal(witness_assert_log(kafka, &shop), 0);
    sidecar_stop(&second);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void expect_replaced(struct process *relay)
{
    int code = process_wait(relay, 30000);
    if (code != 78 || strstr(process_errors(relay), "the same instance name, 2, and took") == NULL)
        test_fail("a relay that lost the lease ends with %d: %s", code, process_errors(relay));
}

static void expect_said(const struct sidecar *sidecar, const char *command, const char *flag,
                        const char *words)
{
    struct process_result result = sidecar_run(sidecar, command, flag, NULL);
    if (result.exit_code != 0 || strstr(result.output, words) == NULL)
        test_fail("%s ended with %d, without %s: %s%s", command, result.exit_code, words,
                  result.output, result.errors);
}

static void of_two_relays_on_one_outbox_one_publishes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    assert_true(process_wait_for(shop.process, "holds the lease", 10000));
    struct sidecar second = make_second(&shop);
    const char *silent = test_read_file(second.config);
    (void)sidecar_listen(&second);
    sidecar_start(&second, NULL);
    sidecar_start(&billing, NULL);
    write_items(&shop, 1, 20);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_true(process_wait_for(second.process, "stands by", 10000));
    expect_said(&second, "status", NULL, "running as standby; instance 1 has the lease");
    expect_said(&second, "status", "--json", "\"standby\":true,\"lease_holder\":\"1\"");
    assert_int_equal(sidecar_run(&second, "healthcheck", NULL, NULL).exit_code, 0);
    test_write_file(second.config, silent); /* for the sidecars beside it */
    sidecar_expect_published(&shop);        /* what was not acknowledged would be sent twice */
    struct sidecar *victim = &shop;
    process_kill(victim->process);
    write_items(&shop, 101, 20); /* the second takes over when the lease of 10 s ends */
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    int64_t records = sidecar_records(kafka, "item");
    assert_int_equal(records, sqlite_number(shop.database, "SELECT count(*) FROM outbox"));

    /* Under one name, the relay that loses the lease ends. A zombie that wakes up ends too, and its
     * successor keeps the lease. */
    struct process *twin = second.process;
    sidecar_start(&second, "relay_before_claim:1:stop");
    expect_replaced(twin);
    struct process *zombie = second.process;
    write_items(&shop, 201, 20);
    assert_true(process_wait_stopped(zombie, 30000));
    sidecar_start(&second, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    process_signal(zombie, SIGCONT);
    expect_replaced(zombie);
    write_items(&shop, 301, 5);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_null(strstr(process_errors(second.process), "took the lease"));
    sidecar_stop(&second);
    sidecar_stop(&billing);
}

static void a_restored_service_database_is_noticed_before_it_publishes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    const char *backup = test_path("backup.db");
    (void)sqlite_format(shop.database, "VACUUM INTO '%s'", backup);
    write_items(&shop, 11, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&shop);

    assert_int_equal(
        PROCESS_RUN("sh", "-c",
                    test_format("rm -f '%s'*; cp '%s' '%s'", shop.database, backup, shop.database))
            .exit_code,
        0);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(500,'after the restore',0)");
    sidecar_start(&shop, NULL);
    assert_int_equal(process_wait(shop.process, 30000), 78);
    assert_non_null(strstr(process_errors(shop.process), "new-incarnation"));
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items WHERE id=500"), 0);
    sidecar_stop(&billing);
}

/* Make a clone of a running copy, on its own database. `more` is YAML. */
static struct sidecar make_clone(const struct sidecar *copy, const char *more)
{
    struct sidecar clone = *copy;
    clone.name = "clone";
    clone.database = test_path("clone.db");
    clone.url = test_format("sqlite:%s", clone.database);
    clone.config = test_path("clone.yaml");
    (void)sqlite_format(copy->database, "VACUUM INTO '%s'", clone.database);
    char *config = test_load_file(copy->config);
    char *path = strstr(config, "billing.db");
    assert_non_null(path);
    memcpy(path, "./clone.db", strlen("billing.db"));
    test_write_file(clone.config, test_format("%s%s", config, more));
    free(config);
    return clone;
}

static void expect_refused_as_a_clone(const struct sidecar *copy)
{
    int code = process_wait(copy->process, 30000);
    if (code != 78 || strstr(process_errors(copy->process), "init --new-copy") == NULL)
        test_fail("%s ends with %d: %s", copy->name, code, process_errors(copy->process));
}

/* The two cannot be told apart until one raises the epoch. From then on the other is refused. */
static void
of_a_copy_and_its_clone_under_the_same_name_one_ends_until_it_is_a_new_copy(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 3);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct sidecar clone = make_clone(&billing, "");
    write_items(&shop, 11, 3);
    sidecar_start(&clone, NULL);
    assert_int_equal(process_wait(billing.process, 30000), 78);
    write_items(&shop, 21, 3);
    sidecar_assert_equal(&shop, &clone, "items", 20000);
    sidecar_start(&billing, NULL);
    expect_refused_as_a_clone(&billing);

    sidecar_init(&billing, "--new-copy");
    sidecar_start(&billing, NULL);
    sidecar_start(&clone, NULL);
    write_items(&shop, 31, 3);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_assert_equal(&shop, &clone, "items", 30000);
    sidecar_stop(&clone);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

/* Otherwise each would get some of the partitions and miss the others. */
static void a_clone_under_another_name_ends_with_exit_code_78(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 5);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct sidecar clone = make_clone(&billing, "instance: \"2\"\n");
    sidecar_start(&clone, NULL);
    expect_assigned(&clone);
    write_items(&shop, 11, 5);
    expect_refused_as_a_clone(&clone);
    expect_refused_as_a_clone(&billing);

    sidecar_init(&clone, "--new-copy");
    sidecar_init(&billing, "--restored");
    sidecar_start(&clone, NULL);
    sidecar_start(&billing, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_assert_equal(&shop, &clone, "items", 30000);
    sidecar_stop(&clone);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_zombie_agent_changes_no_row_after_its_takeover, 200),
        TEST_WITH_LIMIT(of_the_same_instance_twice_the_first_ends_with_exit_code_78, 120),
        TEST_WITH_LIMIT(two_agents_of_one_group_share_the_partitions_through_rebalances, 240),
        TEST_WITH_LIMIT(of_two_relays_on_one_outbox_one_publishes, 180),
        TEST_WITH_LIMIT(a_restored_service_database_is_noticed_before_it_publishes, 120),
        TEST_WITH_LIMIT(of_a_copy_and_its_clone_under_the_same_name_one_ends_until_it_is_a_new_copy,
                        150),
        TEST_WITH_LIMIT(a_clone_under_another_name_ends_with_exit_code_78, 150),
    };
    return TEST_RUN(tests);
}
