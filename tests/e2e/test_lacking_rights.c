/* A command that meets a right it lacks names the object, says what to type next, ends with 78, and
 * does not wait for what waiting does not bring. A sidecar waits, and says the same in its log. */
#include "common/clock.h"
#include "tests/support/database_case.h"
#include "tests/support/roles.h"
#include "tests/support/sidecar.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define WORDS_MAX  5
#define LIMIT_MS   60000
#define PATIENCE_S 25 /* far below the 300 s for which `init` waits for a table */
#define ENTRIES                                                                                    \
    "publish:\n  item: {table: items, partitions: 1}\n"                                            \
    "apply:\n  extra: {table: extras, partitions: 1}\n"
#define ITEM_TABLE                                                                                 \
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount INT)"
#define FOR_OWNERS "this needs the login that owns the service's tables"
#define FOR_ROLES  "keepstep init --print-roles"

static struct process_result run_as(const struct sidecar *sidecar, const char *url,
                                    const char *const words[WORDS_MAX])
{
    const char *argv[WORDS_MAX + 4] = {KEEPSTEP_BINARY, words[0], "-c", sidecar->config};
    const char *const environment[] = {test_format("KEEPSTEP_DATABASE=%s", url), NULL};
    for (size_t i = 1; i < WORDS_MAX; i++)
        argv[i + 3] = words[i];
    return process_run(argv, environment, LIMIT_MS);
}

static void expect_lacking(const struct sidecar *sidecar, const char *url,
                           const char *const words[WORDS_MAX], const char *object,
                           const char *advice)
{
    int64_t begun_us = clock_monotonic_us();
    struct process_result result = run_as(sidecar, url, words);
    int64_t took_s = (clock_monotonic_us() - begun_us) / 1000000;
    if (result.exit_code != EX_CONFIG || strstr(result.errors, object) == NULL ||
        strstr(result.errors, advice) == NULL || took_s > PATIENCE_S)
        test_fail("%s %s as %s: %d after %d s: %s%s", words[0], words[1] == NULL ? "" : words[1],
                  url, result.exit_code, (int)took_s, result.output, result.errors);
}

/* What each command meets first where the login has no rights on Keepstep's tables. */
static const struct {
    const char *words[WORDS_MAX];
    const char *advice;
} commands[] = {
    {{"init"}, FOR_OWNERS},
    {{"uninstall", "--yes"}, FOR_OWNERS},
    {{"status"}, FOR_ROLES},
    {{"outbox", "list"}, FOR_ROLES},
    {{"outbox", "show", "1"}, FOR_ROLES},
    {{"outbox", "retry", "--all"}, FOR_ROLES},
    {{"pause", "extra"}, FOR_ROLES},
    {{"resume", "extra"}, FOR_ROLES},
};

/* The role that only watches reads some of the tables. */
static const struct {
    const char *words[WORDS_MAX];
    const char *object;
} watching[] = {
    {{"parked", "list"}, "keepstep_parked"},
    {{"parked", "show", "1"}, "keepstep_parked"},
    {{"parked", "retry", "--all"}, "keepstep_parked"},
    {{"parked", "skip", "1"}, "keepstep_parked"},
    {{"parked", "export", "--out", "nothing.jsonl"}, "keepstep_parked"},
    {{"pause", "extra"}, "keepstep_paused"},
    {{"fill", "extra"}, "extras"},
};

static struct sidecar make(enum database_kind kind)
{
    struct sidecar shop = sidecar_make_on(kafka_start(), "shop", database_make(kind, "shop"),
                                          ENTRIES);
    (void)database_text(shop.url, ITEM_TABLE);
    return shop;
}

/* A login that may use the database, and has no right on a table. */
static const char *stranger(const struct sidecar *shop)
{
    const char *url = roles_login(shop->url, "shop_stranger", "");
    if (strncmp(url, "mysql:", 6) == 0)
        (void)database_text(shop->url, test_format("GRANT CREATE TEMPORARY TABLES ON `%s`.* TO "
                                                   "shop_stranger@localhost",
                                                   strrchr(shop->url, '/') + 1));
    return url;
}

static void commands_name_what_they_lack_and_what_to_do(enum database_kind kind)
{
    struct sidecar shop = make(kind);
    const char *init[WORDS_MAX] = {"init"};
    const char *nobody = stranger(&shop);
    expect_lacking(&shop, nobody, init, kind == DATABASE_MARIADB ? "keepstep_meta" : "public",
                   FOR_OWNERS);
    sidecar_init(&shop, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        expect_lacking(&shop, nobody, commands[i].words, "denied", commands[i].advice);
    const char *lag = roles_login(shop.url, "shop_lag", "keepstep_lag");
    for (size_t i = 0; i < sizeof watching / sizeof *watching; i++)
        expect_lacking(&shop, lag, watching[i].words, watching[i].object, FOR_ROLES);
}

/* The relay waits, as for a database that is away, because the right may be given meanwhile. */
static void a_sidecar_says_what_it_lacks_and_goes_on_once_it_has_it(enum database_kind kind)
{
    static const char *const right = "UPDATE (holder, epoch, lease_until_us) ON keepstep_relay";
    struct sidecar shop = make(kind);
    sidecar_init(&shop, NULL);
    (void)database_text(shop.url, test_format("REVOKE %s FROM keepstep_relay", right));
    sidecar_start(&shop, NULL);
    if (!process_wait_for(shop.process, "keepstep_relay.*" FOR_ROLES, LIMIT_MS))
        test_fail("%s", process_errors(shop.process));
    assert_true(process_running(shop.process));
    (void)database_text(shop.url, test_format("GRANT %s TO keepstep_relay", right));
    (void)database_text(shop.url, "INSERT INTO items VALUES (1, 'one', 1)");
    if (!database_wait_for(shop.url,
                           "SELECT sum(acknowledged_sequence) FROM "
                           "keepstep_relay_partition",
                           "1\n", LIMIT_MS))
        test_fail("%s", process_errors(shop.process));
    sidecar_stop(&shop);
}

/* init waited for the table, as if the service held it. */
static void init_without_the_right_to_make_triggers_ends_at_once(void **state)
{
    static const char *const init[WORDS_MAX] = {"init"};
    (void)state;
    struct sidecar shop = make(DATABASE_MARIADB);
    const char *login = roles_login(shop.url, "shop_maker", "");
    (void)database_text(shop.url,
                        test_format("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, "
                                    "INDEX, REFERENCES, CREATE ROUTINE, ALTER ROUTINE, EXECUTE ON "
                                    "`%s`.* TO shop_maker@localhost",
                                    strrchr(shop.url, '/') + 1));
    expect_lacking(&shop, login, init, "TRIGGER command denied", FOR_OWNERS);
}

/* root passes all file modes, but not without its capabilities. */
static struct process_result run_bare(const struct sidecar *sidecar, const char *command,
                                      const char *word)
{
    const char *const argv[] = {
        "setpriv", "--bounding-set=-all", KEEPSTEP_BINARY, command, "-c", sidecar->config, word,
        NULL};
    return process_run(geteuid() == 0 ? argv : argv + 2, NULL, LIMIT_MS);
}

static void expect_file(const struct sidecar *sidecar, const char *command, const char *word)
{
    struct process_result result = run_bare(sidecar, command, word);
    if (result.exit_code != EX_CONFIG || strstr(result.errors, sidecar->database) == NULL ||
        strstr(result.errors, "must be able to write the file") == NULL)
        test_fail("%s: %d: %s%s", command, result.exit_code, result.output, result.errors);
}

static void a_file_or_folder_that_may_not_be_written_is_named(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("closed"), 0755), 0);
    const char *url = test_format("sqlite:%s", test_path("closed/shop.db"));
    struct sidecar shop = sidecar_make_on(kafka_start(), "shop", url, ENTRIES);
    assert_int_equal(chmod(test_path("closed"), 0555), 0);
    expect_file(&shop, "init", NULL);
    assert_int_equal(chmod(test_path("closed"), 0755), 0);
    (void)sqlite_text(shop.database, ITEM_TABLE);
    assert_int_equal(chmod(shop.database, 0444), 0);
    expect_file(&shop, "init", NULL);
    assert_int_equal(chmod(shop.database, 0644), 0);
    sidecar_init(&shop, NULL);
    assert_int_equal(chmod(shop.database, 0444), 0);
    expect_file(&shop, "init", NULL);
    expect_file(&shop, "uninstall", "--yes");
    expect_file(&shop, "pause", "extra");
    assert_int_equal(chmod(shop.database, 0), 0);
    expect_file(&shop, "status", NULL);
    assert_int_equal(chmod(shop.database, 0644), 0);
    assert_int_equal(chmod(test_path("closed"), 0), 0);
    expect_file(&shop, "status", NULL);
    assert_int_equal(chmod(test_path("closed"), 0755), 0);
}

DATABASE_TESTS_SERVERS(commands_name_what_they_lack_and_what_to_do)
DATABASE_TESTS_SERVERS(a_sidecar_says_what_it_lacks_and_goes_on_once_it_has_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_file_or_folder_that_may_not_be_written_is_named, 120),
        TEST_WITH_LIMIT(init_without_the_right_to_make_triggers_ends_at_once, 120),
        TEST_WITH_LIMIT(commands_name_what_they_lack_and_what_to_do_in_postgresql, 300),
        TEST_WITH_LIMIT(commands_name_what_they_lack_and_what_to_do_in_mariadb, 300),
        TEST_WITH_LIMIT(a_sidecar_says_what_it_lacks_and_goes_on_once_it_has_it_in_postgresql, 180),
        TEST_WITH_LIMIT(a_sidecar_says_what_it_lacks_and_goes_on_once_it_has_it_in_mariadb, 180),
    };
    return TEST_RUN(tests);
}
