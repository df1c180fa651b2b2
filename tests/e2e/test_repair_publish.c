/* `keepstep repair --publish` over three real databases: what the log does not know, since rows
 * were changed past the triggers, is published anew, so that all copies become equal, and the log
 * too (rule 44). */
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/session.h"
#include "tests/support/trio.h"
#include "tests/support/verify.h"

#include "common/clock.h"

#include <pthread.h>
#include <signal.h>
#include <sysexits.h>

#define WORDS_MAX 16
#define LIMIT_MS  60000

/* Who publishes what, and whose copy shows what differs. */
static const struct published {
    enum database_kind publisher;
    enum database_kind copy;
    const char *entity_type;
} published[] = {
    {DATABASE_POSTGRESQL, DATABASE_SQLITE, "order"},
    {DATABASE_SQLITE, DATABASE_MARIADB, "visit"},
    {DATABASE_MARIADB, DATABASE_POSTGRESQL, "product"},
};
#define PUBLISHED_COUNT (sizeof published / sizeof *published)

static const char *config_of(const struct sidecar *publisher)
{
    return publisher->admin != NULL ? publisher->admin : publisher->config;
}

static struct process_result publish(const char *config, const char *entity_type,
                                     const char *const words[])
{
    const char *argv[WORDS_MAX] = {KEEPSTEP_BINARY, "repair",   entity_type, "-c",
                                   config,          "--publish"};
    size_t count = 6;
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_true(count + 1 < WORDS_MAX);
        argv[count++] = words[i];
    }
    return process_run(argv, NULL, LIMIT_MS);
}

#define PUBLISH(publisher, entity_type, ...)                                                       \
    publish(config_of(publisher), entity_type, (const char *const[]){__VA_ARGS__, NULL})

static void expect(const struct process_result *result, int code, const char *entities)
{
    if (result->exit_code != code)
        test_fail("exit code %d instead of %d: %s%s", result->exit_code, code, result->output,
                  result->errors);
    if (entities != NULL && strcmp(repair_entities(result), entities) != 0)
        test_fail("\"%s\" instead of \"%s\": %s", repair_entities(result), entities,
                  result->output);
}

static void expect_refused(const struct process_result *result, int code, const char *reason)
{
    expect(result, code, NULL);
    if (strstr(result->errors, reason) == NULL)
        test_fail("no \"%s\" in %s", reason, result->errors);
}

static void expect_equal(const struct trio *trio, const char *entity_type, bool equal)
{
    struct process_result result = VERIFY(trio->all, entity_type, "--json");
    expect(&result, equal ? EX_OK : EX_DATAERR, NULL);
    assert_int_equal(verify_count(&result, equal ? "equal" : "different"), 2);
}

static void write_rows(const struct trio *trio)
{
    trio_insert(trio);
    (void)database_text(trio->services[0].url, "INSERT INTO stocks VALUES (1, 'a', '1.50', 0.1)");
    trio_settle(trio);
}

/* A copy that begins now, from the log alone. */
static void expect_equal_in_a_new_copy(const struct trio *trio)
{
    const char *url = database_make(DATABASE_SQLITE, "late");
    const char *entries = "apply:\n";
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const char *table = test_format("%ss", published[i].entity_type);
        entries = test_format("%s  %s: {table: %s, partitions: 2}\n", entries,
                              published[i].entity_type, table);
        (void)database_text(url, test_format("CREATE TABLE %s (%s)", table,
                                             verify_dialects[DATABASE_SQLITE].columns));
    }
    struct sidecar late = sidecar_make_on(trio->kafka, "late", url, entries);
    sidecar_begin(&late);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const struct sidecar *const publisher[] = {trio->all[published[i].publisher], NULL};
        const struct sidecar *const copy[] = {&late, NULL};
        const struct sidecar *const both[] = {publisher[0], &late, NULL};
        load_settle(trio->kafka, published[i].entity_type, publisher, copy, 60000);
        struct process_result result = VERIFY(both, published[i].entity_type, "--json");
        expect(&result, EX_OK, NULL);
    }
    sidecar_stop(&late);
}

#define WANTED "{\"id\":1} published, {\"id\":2} delete_published, {\"id\":99} published"

static void what_the_triggers_did_not_see_is_published_anew(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_rows(&trio);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const struct published *one = &published[i];
        const struct sidecar *publisher = trio.all[one->publisher];
        const char *copy = trio.all[one->copy]->config;
        trio_plant(&trio, one->publisher, test_format("%ss", one->entity_type));
        expect_equal(&trio, one->entity_type, false);
        struct process_result result = PUBLISH(publisher, one->entity_type, "--with", copy,
                                               "--json", "--dry-run");
        expect(&result, EX_DATAERR, WANTED);
        expect_equal(&trio, one->entity_type, false);
        result = PUBLISH(publisher, one->entity_type, "--with", copy, "--json", "--key", "2");
        expect(&result, EX_OK, "{\"id\":2} delete_published");
        trio_settle(&trio);
        result = PUBLISH(publisher, one->entity_type, "--with", copy, "--json");
        expect(&result, EX_OK, "{\"id\":1} published, {\"id\":99} published");
        trio_settle(&trio);
        expect_equal(&trio, one->entity_type, true);
        result = PUBLISH(publisher, one->entity_type, "--with", copy, "--json");
        expect(&result, EX_OK, "");
        result = PUBLISH(publisher, one->entity_type, "--json", "--key", "99");
        expect(&result, EX_OK, "{\"id\":99} published");
    }
    (void)database_text(trio.services[DATABASE_MARIADB].url, "TRUNCATE TABLE products");
    expect_equal(&trio, "product", false);
    struct process_result result = PUBLISH(trio.all[DATABASE_MARIADB], "product", "--with",
                                           trio.all[DATABASE_SQLITE]->config, "--json");
    expect(&result, EX_OK,
           "{\"id\":1} delete_published, {\"id\":3} delete_published, "
           "{\"id\":99} delete_published");
    trio_settle(&trio);
    expect_equal(&trio, "product", true);
    assert_string_equal(
        database_text(trio.services[DATABASE_SQLITE].url, "SELECT count(*) FROM products"), "0\n");
    expect_equal_in_a_new_copy(&trio);
    trio_end(&trio);
}

static void what_may_not_be_published_is_refused(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    const struct sidecar *orders = trio.all[DATABASE_POSTGRESQL];
    struct process_result result = PUBLISH(orders, "stock", "--with",
                                           trio.all[DATABASE_SQLITE]->config);
    expect_refused(&result, EX_CONFIG, "applies stock too, as others publish it");
    result = PUBLISH(orders, "stock", "--key", "1");
    expect_refused(&result, EX_CONFIG, "applies stock too, as others publish it");
    result = PUBLISH(orders, "visit", "--key", "1");
    expect_refused(&result, EX_CONFIG, "does not publish visit");
    result = PUBLISH(orders, "order", "--with", orders->config);
    expect_refused(&result, EX_CONFIG, "are both of service");
    result = publish(orders->config, "order", (const char *const[]){"--key", "77", NULL});
    expect_refused(&result, EX_CONFIG, "needs the rights of `keepstep init");
    result = PUBLISH(orders, "order", "--json");
    expect_refused(&result, EX_USAGE, "--publish wants --with FILE");
    result = PUBLISH(orders, "order", "--key", "{\"no\":1}");
    expect_refused(&result, EX_USAGE, "--key");
    result = PUBLISH(orders, "order", "--from", orders->config);
    expect_refused(&result, EX_USAGE, "there is no --from");
    trio_end(&trio);
}

struct insert {
    const char *url;
    const char *sql;
    pthread_t thread;
};

static void *insert_beside(void *context)
{
    const struct insert *insert = context;
    (void)database_text(insert->url, insert->sql);
    return NULL;
}

/* The command stands still behind the look at a row that is not there; now it is inserted. */
static void an_insert_behind_the_look_comes_behind_the_delete(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const struct sidecar *publisher = trio.all[published[i].publisher];
        const char *type = published[i].entity_type;
        const char *const argv[] = {KEEPSTEP_BINARY, "repair", type, "-c", config_of(publisher),
                                    "--publish",     "--key",  "5",  NULL};
        const char *const environment[] = {"KEEPSTEP_FAILPOINT=publish_key_before_commit:stop",
                                           NULL};
        struct insert insert = {
            .url = publisher->url,
            .sql = test_format("INSERT INTO %ss VALUES (5, 'new', '1.50', 0.1)", type)};
        struct process *process = process_start(test_format("publish-%s", type), argv, environment);
        assert_true(process_wait_stopped(process, 20000));
        assert_int_equal(pthread_create(&insert.thread, NULL, insert_beside, &insert), 0);
        clock_sleep_us(200000);
        process_signal(process, SIGCONT);
        assert_int_equal(process_wait(process, 30000), EX_OK);
        assert_int_equal(pthread_join(insert.thread, NULL), 0);
        assert_string_equal(
            database_text(publisher->url, "SELECT type FROM outbox ORDER BY position"),
            test_format("%s.deleted\n%s.created\n", type, type));
    }
    trio_settle(&trio);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++)
        expect_equal(&trio, published[i].entity_type, true);
    trio_end(&trio);
}

/* Killed on either side of the commit, and run again. */
static void a_killed_repair_is_just_run_again(void **state)
{
    (void)state;
    static const char *const points[] = {"publish_key_before_commit", "publish_key_after_commit"};
    struct trio trio;
    trio_begin(&trio);
    write_rows(&trio);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const struct sidecar *publisher = trio.all[published[i].publisher];
        const char *type = published[i].entity_type;
        const char *copy = trio.all[published[i].copy]->config;
        trio_plant(&trio, published[i].publisher, test_format("%ss", type));
        for (size_t k = 0; k < 2; k++) {
            const char *const argv[] = {KEEPSTEP_BINARY, "repair", type, "-c", config_of(publisher),
                                        "--publish",     "--with", copy, NULL};
            const char *const environment[] = {test_format("KEEPSTEP_FAILPOINT=%s:2", points[k]),
                                               NULL};
            struct process *process = process_start(test_format("killed-%s-%zu", type, k), argv,
                                                    environment);
            assert_int_equal(process_wait(process, 30000), 128 + SIGKILL);
        }
        trio_settle(&trio);
        struct process_result result = PUBLISH(publisher, type, "--with", copy, "--json");
        expect(&result, EX_OK, NULL);
    }
    trio_settle(&trio);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++)
        expect_equal(&trio, published[i].entity_type, true);
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_may_not_be_published_is_refused, 120),
        TEST_WITH_LIMIT(what_the_triggers_did_not_see_is_published_anew, 300),
        TEST_WITH_LIMIT(an_insert_behind_the_look_comes_behind_the_delete, 180),
        TEST_WITH_LIMIT(a_killed_repair_is_just_run_again, 180),
    };
    return TEST_RUN(tests);
}
