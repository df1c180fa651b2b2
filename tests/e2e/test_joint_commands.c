/* What operators type about joint transactions, on each kind of database. */
#include "tests/support/joint_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_SQLITE, DATABASE_POSTGRESQL,
                                                         DATABASE_MARIADB};

static struct joint_world world;

static struct process_result joint(size_t service, const char *verb, const char *id)
{
    const char *config = world.all[service].config;
    if (strcmp(verb, "wait") == 0)
        return PROCESS_RUN(KEEPSTEP_BINARY, "joint", verb, id, "-c", config, "--timeout", "0");
    if (strcmp(verb, "release --diverge") == 0)
        return PROCESS_RUN(KEEPSTEP_BINARY, "joint", "release", id, "-c", config, "--diverge");
    return id == NULL ? PROCESS_RUN(KEEPSTEP_BINARY, "joint", verb, "-c", config)
                      : PROCESS_RUN(KEEPSTEP_BINARY, "joint", verb, id, "-c", config);
}

static void expect_said(size_t service, const char *verb, const char *id, int code,
                        const char *text)
{
    struct process_result result = joint(service, verb, id);
    if (result.exit_code != code || strstr(result.output, text) == NULL)
        test_fail("%s: joint %s: %d, %s%s", world.all[service].name, verb, result.exit_code,
                  result.output, result.errors);
}

/* All three are asked, and another one is away. */
static void propose(size_t service, const char *id)
{
    struct joint_move move = {.proposer = service, .timeout_ms = 60000, .amounts = {1, 1, 1}};
    sidecar_stop(&world.all[(service + 1) % JOINT_SERVICES]);
    joint_world_propose(&world, id, &move);
    joint_world_expect(&world, service, id, "reserved");
}

/* It is committed, and cannot be made here. */
static void hold(size_t service, const char *id)
{
    const char *table = joint_world_tables[service];
    propose(service, id);
    assert_null(joint_world_write(
        &world, service, test_format("ALTER TABLE %s RENAME COLUMN amount TO total", table)));
    joint_world_start(&world, (service + 1) % JOINT_SERVICES, NULL);
    joint_world_expect(&world, service, id, "held");
}

static void mend(size_t service)
{
    const char *table = joint_world_tables[service];
    assert_null(joint_world_write(
        &world, service, test_format("ALTER TABLE %s RENAME COLUMN total TO amount", table)));
}

static void list_show_wait_and_withdraw(size_t service)
{
    const char *id = test_format("withdrawn-%zu", service);
    propose(service, id);
    expect_said(service, "list", NULL, 0, id);
    expect_said(service, "show", id, 0, "reserved");
    expect_said(service, "wait", id, 75, "unknown");
    expect_said(service, "withdraw", id, 0, "");
    joint_world_expect(&world, service, id, "aborted");
    expect_said(service, "wait", id, 1, "an operator has withdrawn it");
    expect_said(service, "withdraw", id, 65, "");
    joint_world_start(&world, (service + 1) % JOINT_SERVICES, NULL);
    joint_world_expect_everywhere(&world, id, "aborted");
}

static void retry_and_release(size_t service)
{
    const char *retried = test_format("retried-%zu", service);
    const char *released = test_format("released-%zu", service);
    hold(service, retried);
    expect_said(service, "retry", retried, 0, ""); /* once mended, it is made within a second */
    mend(service);
    joint_world_expect_everywhere(&world, retried, "committed");
    expect_said(service, "retry", retried, 65, "");
    expect_said(service, "wait", retried, 0, "committed");
    hold(service, released);
    expect_said(service, "release", released, 65, "");
    expect_said(service, "release --diverge", released, 0, "");
    joint_world_expect(&world, service, released, "committed");
    assert_int_equal(joint_world_number(&world, service, "SELECT count(*) FROM keepstep_reserved"),
                     0);
    mend(service);
}

/* The log may be lost, so that nobody will ever decide it. */
static void release_undecided(size_t service)
{
    const char *id = test_format("undecided-%zu", service);
    propose(service, id);
    expect_said(service, "release --diverge", id, 0, "");
    joint_world_expect(&world, service, id, "aborted");
    assert_int_equal(joint_world_number(&world, service, "SELECT count(*) FROM keepstep_reserved"),
                     0);
    joint_world_start(&world, (service + 1) % JOINT_SERVICES, NULL);
}

static void all_commands_work_on_each_database(void **state)
{
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        list_show_wait_and_withdraw(i);
        retry_and_release(i);
        release_undecided(i);
    }
    joint_world_stop_all(&world);
}

/* One limit, that of the database's: what it never took is told before it is asked. */
static void an_id_has_at_most_255_bytes(void **state)
{
    static const char *const verbs[] = {"show", "wait", "withdraw", "retry", "release"};
    char id[257] = "";
    (void)state;
    memset(id, 'x', 256);
    joint_world_begin(&world, kinds, "");
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *error = joint_world_write(
            &world, i,
            test_format("INSERT INTO keepstep_joint (id, changes) VALUES ('%s', '[]')", id));
        assert_non_null(error);
        assert_non_null(strstr(error, "1 to 255 bytes"));
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        struct process_result result = joint(JOINT_SHOP, verbs[i], id);
        assert_int_equal(result.exit_code, 64);
        assert_non_null(strstr(result.errors, "1 to 255 bytes"));
    }
}

/* The database by which a service has written it may have any time. */
static void the_age_in_the_list_is_told_by_one_clock(void **state)
{
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        for (int ahead = -1; ahead <= 1; ahead += 2) {
            char age[8] = "";
            const char *id = test_format("aged-%zu-%d", i, ahead);
            propose(i, id);
            assert_null(joint_world_write(
                &world, i,
                test_format("UPDATE keepstep_joint SET created_at = created_at + %d * 86400000000 "
                            "WHERE id = '%s'",
                            ahead, id)));
            const char *list = joint(i, "list", NULL).output;
            const char *line = strstr(list, id);
            if (line == NULL || sscanf(line, "%*s %*s %*s %7s", age) != 1 ||
                strtod(age, NULL) < 0 || strtod(age, NULL) > 600)
                test_fail("%s", list);
            expect_said(i, "withdraw", id, 0, "");
            joint_world_start(&world, (i + 1) % JOINT_SERVICES, NULL);
            joint_world_expect_everywhere(&world, id, "aborted");
        }
    }
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(all_commands_work_on_each_database, 600),
        TEST_WITH_LIMIT(an_id_has_at_most_255_bytes, 200),
        TEST_WITH_LIMIT(the_age_in_the_list_is_told_by_one_clock, 400),
    };
    return TEST_RUN(tests);
}
