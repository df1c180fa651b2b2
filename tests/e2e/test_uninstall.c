/* `keepstep uninstall` on each database: it says what is lost, takes Keepstep out whole, leaves the
 * service and others alone, and `keepstep init` begins anew. */
#include "tests/support/database.h"
#include "tests/support/load.h"

#include "common/clock.h"

#include <sysexits.h>
#include <unistd.h>

#define WAIT_MS 30000
static const char *const names[] = {
    [DATABASE_SQLITE] = "lite", [DATABASE_POSTGRESQL] = "post", [DATABASE_MARIADB] = "maria"};

/* What a catalogue has of Keepstep's, in the database of a URL. */
static const char *const made[] = {
    [DATABASE_SQLITE] = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'keepstep%' "
                        "OR name LIKE 'outbox%'",
    [DATABASE_POSTGRESQL] =
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND (relname LIKE 'keepstep%' OR relname LIKE 'outbox%')) + (SELECT count(*) FROM pg_proc "
        "WHERE proname LIKE 'keepstep%' AND pronamespace = current_schema()::regnamespace) + "
        "(SELECT count(*) FROM pg_trigger WHERE tgrelid = 'items'::regclass)",
    [DATABASE_MARIADB] =
        "SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND (table_name LIKE 'keepstep%' OR table_name = 'outbox')) + (SELECT count(*) FROM "
        "information_schema.routines WHERE routine_schema = DATABASE()) + (SELECT count(*) FROM "
        "information_schema.triggers WHERE trigger_schema = DATABASE())"};

static struct sidecar make(struct kafka *kafka, enum database_kind kind, const char *name)
{
    const char *url = database_make(kind, name);
    (void)database_text(url, "CREATE TABLE items (" SIDECAR_ITEM_COLUMNS ");"
                             "CREATE TABLE extras (" SIDECAR_ITEM_COLUMNS ")");
    struct sidecar service = sidecar_make_on(
        kafka, name, url,
        test_format("publish:\n  item: {table: items, partitions: 1, topic: %s}\n"
                    "apply:\n  extra: {table: extras, partitions: 1}\n",
                    sidecar_topic(name)));
    sidecar_init(&service, NULL);
    return service;
}

/* As administrator, where the database has one. */
static struct process_result uninstall(const struct sidecar *service, const char *first,
                                       const char *second)
{
    return PROCESS_RUN(KEEPSTEP_BINARY, "uninstall", "-c",
                       service->admin == NULL ? service->config : service->admin, first, second);
}

static void expect(const struct process_result *result, int code, const char *text)
{
    if (result->exit_code != code ||
        (strstr(result->output, text) == NULL && strstr(result->errors, text) == NULL))
        test_fail("%d instead of %d, or no \"%s\" in %s%s", result->exit_code, code, text,
                  result->output, result->errors);
}

static int64_t number(const struct sidecar *service, const char *sql)
{
    return strtol(database_text(service->url, sql), NULL, 10);
}

/* Of its present incarnation. */
static void expect_published(const struct sidecar *service, int count)
{
    if (!database_wait_for(service->url,
                           "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                           test_format("%d\n", count), WAIT_MS))
        test_fail("%s has not published %d: %s", service->name, count,
                  process_errors(service->process));
}

static void count_record(const struct kafka_record *record, void *context)
{
    (void)record;
    ++*(int *)context;
}

static void go_out_and_come_back(struct kafka *kafka, enum database_kind kind)
{
    struct sidecar service = make(kafka, kind, names[kind]);
    struct sidecar other = make(kafka, kind, test_format("%s2", names[kind]));
    int64_t before = number(&other, made[kind]);
    if (kind == DATABASE_POSTGRESQL)
        (void)database_text(service.url, "CREATE SCHEMA elsewhere; CREATE TABLE "
                                         "elsewhere.keepstep_relay (single integer)");
    int records = 0;
    (void)database_text(service.url, "INSERT INTO items VALUES (1, 'one', 1)");
    struct process_result result = uninstall(&service, NULL, NULL);
    expect(&result, EX_OK, "lost     outbox   1 rows wait to be published, 0 are under way");
    expect(&result, EX_OK, "would go trigger ");
    expect(&result, EX_OK, "nothing was changed: `keepstep uninstall --yes");
    result = uninstall(&service, "--yes", NULL);
    expect(&result, EX_DATAERR, "1 rows of the outbox are not published");
    sidecar_start(&service, NULL);
    expect_published(&service, 1);
    result = uninstall(&service, "--yes", NULL);
    expect(&result, EX_TEMPFAIL, "stop all sidecars of the service first");
    sidecar_stop(&service);
    assert_true(number(&service, made[kind]) > 10);
    result = uninstall(&service, "--yes", NULL);
    expect(&result, EX_OK, "dropped  table    keepstep_relay\n");
    expect(&result, EX_OK, "kept     topic    ");
    expect(&result, EX_OK, "keepstep copies forget ");
    assert_int_equal(number(&service, made[kind]), 0);
    assert_int_equal(number(&service, "SELECT count(*) FROM items"), 1);
    assert_int_equal(number(&other, made[kind]), before);
    if (kind == DATABASE_POSTGRESQL)
        assert_int_equal(number(&service, "SELECT count(*) FROM elsewhere.keepstep_relay"), 0);
    (void)database_text(service.url, "INSERT INTO items VALUES (2, 'two', 2)");
    result = uninstall(&service, "--yes", NULL);
    expect(&result, EX_OK, "nothing of Keepstep's is in ");
    sidecar_init(&service, NULL);
    sidecar_start(&service, NULL);
    expect_published(&service, 2); /* both rows, as existing ones */
    (void)database_text(service.url, "INSERT INTO items VALUES (3, 'three', 3)");
    expect_published(&service, 3);
    sidecar_stop(&service);
    (void)kafka_consume_all(kafka, sidecar_topic(service.name), count_record, &records);
    assert_int_equal(records, 4);
}

static void a_service_goes_out_and_comes_back_on_every_database(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        go_out_and_come_back(kafka, (enum database_kind)i);
}

/* As one whose connection broke: some objects are gone. */
static void what_is_left_by_an_interrupted_uninstall_goes_with_the_next(void **state)
{
    static const char *const some[] = {
        [DATABASE_SQLITE] = NULL,
        [DATABASE_POSTGRESQL] = "DROP TABLE outbox, keepstep_position CASCADE",
        [DATABASE_MARIADB] = "DROP TABLE outbox; DROP TABLE keepstep_position"};
    struct kafka *kafka = kafka_start();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sidecar service = make(kafka, (enum database_kind)i, test_format("%s3", names[i]));
        const char *sql = some[i];
        if (i == DATABASE_SQLITE) {
            const char *trigger = database_text(
                service.url, "SELECT name FROM sqlite_schema WHERE type = 'trigger' LIMIT 1");
            sql = test_format("DROP TRIGGER %.*s; DROP TABLE outbox; DROP TABLE keepstep_position",
                              (int)strcspn(trigger, "\n"), trigger);
        }
        (void)database_text(service.url, sql);
        struct process_result result = uninstall(&service, "--yes", NULL);
        expect(&result, EX_OK, "dropped  table    keepstep_meta\n");
        assert_int_equal(number(&service, made[i]), 0);
    }
}

static void the_printed_statements_do_the_same(void **state)
{
    static const char *const client[] = {[DATABASE_SQLITE] = "sqlite3",
                                         [DATABASE_POSTGRESQL] = "psql",
                                         [DATABASE_MARIADB] = "mariadb"};
    struct kafka *kafka = kafka_start();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buffer script;
        load_need(client[i]);
        struct sidecar service = make(kafka, (enum database_kind)i, test_format("%s4", names[i]));
        struct process_result result = uninstall(&service, "--print-sql", NULL);
        expect(&result, EX_OK, "DROP TABLE IF EXISTS ");
        assert_true(number(&service, made[i]) > 10);
        buffer_init(&script, (size_t)1 << 20);
        buffer_append_text(&script, result.output);
        assert_int_equal(load_client_end(load_client("script", service.url, &script), WAIT_MS), 0);
        buffer_done(&script);
        assert_int_equal(number(&service, made[i]), 0);
    }
}

/* Begins to write, says so by a file, and goes on writing for a while. */
static struct process *write_slowly(const struct sidecar *service, enum database_kind kind,
                                    const char *begun)
{
    static const char *const shell[] = {
        [DATABASE_SQLITE] = ".shell ", [DATABASE_POSTGRESQL] = "\\! ", [DATABASE_MARIADB] = "\\! "};
    struct buffer script;
    buffer_init(&script, 4096);
    buffer_append_text(&script, kind == DATABASE_SQLITE ? "BEGIN IMMEDIATE;\n" : "BEGIN;\n");
    buffer_append_text(&script, "INSERT INTO items VALUES (1, 'late', 1);\n");
    buffer_append_format(&script, "%stouch %s\n%ssleep 3\nCOMMIT;\n", shell[kind], begun,
                         shell[kind]);
    struct process *client = load_client("slow", service->url, &script);
    buffer_done(&script);
    for (int64_t waited_ms = 0; access(begun, F_OK) != 0; waited_ms += 20) {
        if (waited_ms > WAIT_MS)
            test_fail("%s has not begun: %s", begun, process_errors(client));
        clock_sleep_us(20000);
    }
    return client;
}

static void rows_that_come_while_it_waits_are_not_lost(void **state)
{
    static const char *const client[] = {[DATABASE_SQLITE] = "sqlite3",
                                         [DATABASE_POSTGRESQL] = "psql",
                                         [DATABASE_MARIADB] = "mariadb"};
    struct kafka *kafka = kafka_start();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum database_kind kind = (enum database_kind)i;
        load_need(client[i]);
        struct sidecar service = make(kafka, kind, test_format("%s5", names[i]));
        int64_t before = number(&service, made[i]);
        struct process *slow = write_slowly(&service, kind, test_path("%s-begun", names[i]));
        struct process_result result = uninstall(&service, "--yes", NULL);
        expect(&result, EX_DATAERR, "are not published");
        assert_int_equal(load_client_end(slow, WAIT_MS), 0);
        assert_int_equal(number(&service, "SELECT count(*) FROM outbox"), 1);
        if (kind != DATABASE_MARIADB) /* which has no triggers now: `init` makes them again */
            assert_int_equal(number(&service, made[i]), before);
        result = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                             service.admin == NULL ? service.config : service.admin);
        assert_int_equal(result.exit_code, EX_OK);
        assert_int_equal(number(&service, made[i]), before);
        result = uninstall(&service, "--yes", "--discard-unpublished");
        expect(&result, EX_OK, "dropped  table    keepstep_meta\n");
        assert_int_equal(number(&service, made[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_service_goes_out_and_comes_back_on_every_database, 240),
        TEST_WITH_LIMIT(what_is_left_by_an_interrupted_uninstall_goes_with_the_next, 120),
        TEST_WITH_LIMIT(rows_that_come_while_it_waits_are_not_lost, 120),
        TEST_WITH_LIMIT(the_printed_statements_do_the_same, 120),
    };
    return TEST_RUN(tests);
}
