/* Entity types that are paused at a service stand still there, on every database and through kills,
 * while everything else goes on; resumed, all copies become equal (rule 49). */
#include "common/buffer.h"
#include "common/clock.h"
#include "operate/http_client.h"
#include "tests/support/load.h"
#include "tests/support/trio.h"

#include <signal.h>
#include <stdio.h>

#define WAIT_MS   30000
#define SETTLE_US 1500000 /* three times what an agent or a relay needs to see a pause */
#define PAGE_MAX  ((size_t)1024 * 1024)
#define FILL_ROWS 4000

static const char *type_of(size_t kind)
{
    return verify_dialects[kind % VERIFY_KINDS].entity_type;
}

static void command(const struct sidecar *service, const char *verb, const char *type,
                    const char *said)
{
    struct process_result result = sidecar_run(service, verb, type, NULL);
    if (result.exit_code != 0 || strstr(result.output, said) == NULL)
        test_fail("%s: %s %s has %d, %s%s", service->name, verb, type, result.exit_code,
                  result.output, result.errors);
}

static void expect_log(const struct sidecar *service, const char *expression)
{
    if (!process_wait_for(service->process, expression, WAIT_MS))
        test_fail("%s: no \"%s\" in %s", service->name, expression,
                  process_errors(service->process));
}

struct told {
    const struct sidecar *service;
    const char *text;
    int times;
};

static bool is_told_so_often(void *context)
{
    const struct told *told = context;
    int times = 0;
    const char *at = process_errors(told->service->process);
    for (; (at = strstr(at, told->text)) != NULL; at++)
        times++;
    return times >= told->times;
}

/* Of what a process says again. */
static void expect_log_times(const struct sidecar *service, const char *text, int times)
{
    struct told told = {service, text, times};
    if (!test_wait(is_told_so_often, &told, WAIT_MS))
        test_fail("%s: not %d times \"%s\" in %s", service->name, times, text,
                  process_errors(service->process));
}

static void insert(const struct sidecar *service, const char *type, int id)
{
    (void)database_text(service->url,
                        test_format("INSERT INTO %ss VALUES (%d, 'n', '1.50', 0.1)", type, id));
}

static const char *ids(const struct sidecar *service, const char *type)
{
    return database_text(service->url, test_format("SELECT id FROM %ss ORDER BY id", type));
}

static void expect_ids(const struct sidecar *service, const char *type, const char *wanted)
{
    const char *sql = test_format("SELECT id FROM %ss ORDER BY id", type);
    if (!database_wait_for(service->url, sql, wanted, WAIT_MS))
        test_fail("%s has %ss %s: %s", service->name, type, ids(service, type),
                  process_errors(service->process));
}

static const char *page(int port, const char *path)
{
    struct buffer body;
    buffer_init(&body, PAGE_MAX);
    (void)http_get("127.0.0.1", test_format("%d", port), path, &body);
    const char *text = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return text;
}

struct asked {
    const struct sidecar *service;
    int port;
    const char *path; /* of its page, or a command without a page */
    const char *said;
    const char *seen;
};

static bool is_said(void *context)
{
    struct asked *asked = context;
    asked->seen = asked->path[0] == '/'
                      ? page(asked->port, asked->path)
                      : sidecar_run(asked->service, asked->path, NULL, NULL).output;
    return strstr(asked->seen, asked->said) != NULL;
}

static void expect_said(const struct sidecar *service, int port, const char *path, const char *said)
{
    struct asked asked = {.service = service, .port = port, .path = path, .said = said};
    if (!test_wait(is_said, &asked, WAIT_MS))
        test_fail("%s: no \"%s\" in %s: %s", service->name, said, path, asked.seen);
}

/* Each service pauses the type of the next one, which it applies. */
static void pause_applied(struct trio *trio, const int ports[])
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *type = type_of(i + 1);
        command(&trio->services[i], "pause", type, "is paused: nothing of it is applied");
        expect_log(&trio->services[i], test_format("\\.%s is paused since .* by ", type));
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        insert(&trio->services[i], type_of(i), 4);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *service = &trio->services[i];
        const char *type = type_of(i + 1);
        expect_ids(service, type_of(i + 2), "1\n2\n3\n4\n");
        assert_string_equal(ids(service, type), "1\n2\n3\n");
        expect_said(service, ports[i], "/metrics",
                    test_format("keepstep_paused{service=\"%s\",type=\"%s\",topic=\"%s\"} 1\n",
                                service->name, type, sidecar_topic(type)));
        expect_said(service, ports[i], "/metrics",
                    test_format("keepstep_paused{service=\"%s\",type=\"%s\",topic=\"%s\"} 0\n",
                                service->name, type_of(i), sidecar_topic(type_of(i))));
        expect_said(service, ports[i], "status", test_format("  PAUSED     %s, since 20", type));
        expect_said(service, ports[i], "copies", "    PAUSED since 20");
        expect_said(service, ports[i], "/api/fleet", "\"paused_since\":\"20");
        assert_string_equal(page(ports[i], "/readyz"), "ready\n");
    }
}

/* @return the sum of a metric over the partitions of a topic. */
static double sum_of(const char *text, const char *name, const struct asked *asked)
{
    const char *start = test_format("\n%s{service=\"%s\",topic=\"%s\"", name, asked->service->name,
                                    sidecar_topic(asked->said));
    double sum = 0;
    for (const char *at = strstr(text, start); at != NULL; at = strstr(at + 1, start))
        sum += strtod(strchr(at, ' '), NULL);
    return sum;
}

static bool is_behind(void *context)
{
    const struct asked *asked = context;
    const char *text = page(asked->port, "/metrics");
    return sum_of(text, "keepstep_consumer_lag_records", asked) == 1 &&
           sum_of(text, "keepstep_consumer_lag_seconds", asked) > 0;
}

static void what_is_paused_stands_still_through_kills_and_catches_up(void **state)
{
    struct trio trio;
    int ports[VERIFY_KINDS];
    (void)state;
    trio_make(&trio, "");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        ports[i] = sidecar_listen(&trio.services[i]);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&trio.services[i]);
    trio_insert(&trio);
    trio_settle(&trio);
    pause_applied(&trio, ports);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct asked asked = {
            .service = &trio.services[i], .port = ports[i], .said = type_of(i + 1)};
        if (!test_wait(is_behind, &asked, WAIT_MS))
            test_fail("the lag of what is paused is not told: %s", page(ports[i], "/metrics"));
        load_kill(&trio.services[i]);
        expect_log(&trio.services[i], test_format("\\.%s is paused since .* by ", type_of(i + 1)));
        insert(&trio.services[i], "stock", 100 + (int)i);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        expect_ids(&trio.services[i], "stock", "100\n101\n102\n");
        assert_string_equal(ids(&trio.services[i], type_of(i + 1)), "1\n2\n3\n");
        command(&trio.services[i], "pause", type_of(i + 1), "was paused before, since 20");
        command(&trio.services[i], "resume", type_of(i + 1), "is resumed: it is applied again");
        command(&trio.services[i], "resume", type_of(i + 1), "was not paused");
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        expect_ids(&trio.services[i], type_of(i + 1), "1\n2\n3\n4\n");
    trio_settle(&trio);
    trio_end(&trio);
}

/* "stock" is published and applied by all. */
static void what_a_relay_may_not_publish_waits_in_the_outbox(void **state)
{
    struct trio trio;
    (void)state;
    trio_begin(&trio);
    trio_insert(&trio);
    trio_settle(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *service = &trio.services[i];
        command(service, "pause", type_of(i), "is paused: its rows wait in the outbox");
        expect_log(service,
                   test_format("component=relay message=\"%s is paused since .* by ", type_of(i)));
        insert(service, type_of(i), 4);
        insert(service, "stock", 100 + (int)i);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        load_kill(&trio.services[i]);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        expect_ids(&trio.services[i], "stock", "100\n101\n102\n");
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *service = &trio.services[i];
        expect_log(service,
                   test_format("component=relay message=\"%s is paused since .* by ", type_of(i)));
        insert(service, type_of(i), 5);
        insert(service, "stock", 200 + (int)i);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++) /* then each has published its own */
        expect_ids(&trio.services[i], "stock", "100\n101\n102\n200\n201\n202\n");
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        assert_string_equal(ids(&trio.services[i], type_of(i + 1)), "1\n2\n3\n");
        assert_string_equal(database_text(trio.services[i].url,
                                          "SELECT count(*) FROM outbox WHERE sequence IS NULL"),
                            "2\n");
        expect_said(&trio.services[i], 0, "status", "outbox     2 waiting, 0 under way");
        expect_said(&trio.services[i], 0, "status",
                    test_format("  PAUSED     %s, since 20", type_of(i)));
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++) /* all that is paused, without naming it */
        command(
            &trio.services[i], "resume", NULL,
            test_format("%s is resumed: its rows of the outbox are published again", type_of(i)));
    trio_settle(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        expect_ids(&trio.services[i], type_of(i + 1), "1\n2\n3\n4\n5\n");
    trio_end(&trio);
}

static bool counts_settle(void *context)
{
    const char *before = sqlite_text(context, "SELECT count(*) FROM items");
    clock_sleep_us(SETTLE_US);
    return strcmp(before, sqlite_text(context, "SELECT count(*) FROM items")) == 0;
}

static void a_fill_stands_still_too_and_begins_anew_when_it_is_resumed(void **state)
{
    static const char publish[] = "publish:\n  item: {table: items, partitions: 1}\n";
    static const char apply[] = "limits: {batch_events: 10}\n"
                                "apply:\n  item: {table: items, partitions: 1, fill: always}\n";
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, publish);
    struct sidecar copy = sidecar_make(kafka, "copy", SIDECAR_ITEM_DDL, apply);
    sidecar_begin(&shop);
    sqlite_format(shop.database,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                  "INSERT INTO items SELECT i, 'n', i FROM n",
                  FILL_ROWS);
    sidecar_init(&copy, NULL);
    sidecar_start(&copy, "fill_after_rows:3:stop");
    assert_true(process_wait_stopped(copy.process, WAIT_MS));
    command(&copy, "pause", "item", "item is paused");
    process_signal(copy.process, SIGCONT);
    expect_log(&copy, "item is paused since");
    assert_true(test_wait(counts_settle, (void *)(uintptr_t)copy.database, WAIT_MS));
    assert_true(sqlite_number(copy.database, "SELECT count(*) FROM items") < FILL_ROWS);
    assert_string_equal(sqlite_text(copy.database, "SELECT stage FROM keepstep_fill"), "loading\n");
    (void)sqlite_text(shop.database, "UPDATE items SET name = 'later' WHERE id = 1");
    load_kill(&copy);
    expect_log(&copy, "item is paused since");
    command(&copy, "resume", "item", "item is resumed");
    sidecar_assert_equal(&shop, &copy, "items", WAIT_MS);
    sidecar_expect(&copy, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_stop(&copy);
    sidecar_stop(&shop);
}

static void types_that_share_a_topic_are_paused_together(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    const char *entries = test_format("publish:\n"
                                      "  item: {table: items, partitions: 1, topic: %s}\n"
                                      "  extra: {table: extras, partitions: 1, topic: %s}\n",
                                      sidecar_topic("all"), sidecar_topic("all"));
    struct sidecar shop = sidecar_make(
        kafka, "shop", SIDECAR_ITEM_DDL "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ");", entries);
    sidecar_init(&shop, NULL);
    command(&shop, "pause", "item", "extra is paused (it shares the topic): its rows wait");
    command(&shop, "resume", "extra", "item is resumed (it shares the topic): its rows");
    struct process_result result = sidecar_run(&shop, "pause", "order", NULL);
    assert_int_equal(result.exit_code, 64);
    assert_non_null(strstr(result.errors, "shop neither publishes nor applies order"));
    result = sidecar_run(&shop, "pause", "item", "--reason=the table is rebuilt");
    assert_int_equal(result.exit_code, 0);
    result = sidecar_run(&shop, "pause", "item", "--json");
    assert_non_null(strstr(result.output, "\"entity_type\":\"item\",\"topic\":\""));
    assert_non_null(strstr(result.output, "\"reason\":\"the table is rebuilt\"}"));
    assert_int_equal(sidecar_run(&shop, "resume", NULL, NULL).exit_code, 0);
    result = sidecar_run(&shop, "pause", "item", "--reason=red \033[31m");
    assert_int_equal(result.exit_code, 0);
    expect_said(&shop, 0, "status", ": red ?[31m\n");
    result = sidecar_run(&shop, "pause", "--json", NULL);
    assert_non_null(strstr(result.output, "\"reason\":\"red \\u001b[31m\"}"));
    result = sidecar_run(&shop, "pause", "item", "--reason=\xFF");
    assert_int_equal(result.exit_code, 64);
    assert_non_null(strstr(result.errors, "--reason: is not UTF-8"));
}

/* No agent reads the topic of whole transactions at the service that publishes them. */
static void a_type_that_is_published_whole_is_paused_alone(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    const char *entries = test_format("transactions: whole\n"
                                      "publish:\n"
                                      "  item: {table: items, topic: %s}\n"
                                      "  extra: {table: extras, topic: %s}\n",
                                      sidecar_topic("all"), sidecar_topic("all"));
    struct sidecar shop = sidecar_make(
        kafka, "shop", SIDECAR_ITEM_DDL "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ");", entries);
    sidecar_init(&shop, NULL);
    struct process_result alone = sidecar_run(&shop, "pause", "item", NULL);
    if (strstr(alone.output, "item is paused: its rows wait") == NULL ||
        strstr(alone.errors, "a peer with a foreign key parks it") == NULL)
        test_fail("%s%s", alone.output, alone.errors);
    assert_string_equal(database_text(shop.url, "SELECT entity_type FROM keepstep_paused"),
                        "item\n");
    command(&shop, "resume", "extra", "extra was not paused");
    struct process_result all = sidecar_run(&shop, "pause", NULL,
                                            NULL); /* as earlier versions did */
    assert_non_null(strstr(all.output, "extra is paused: its rows wait"));
    assert_string_equal(all.errors, "");
    struct process_result left = sidecar_run(&shop, "resume", "item", NULL);
    assert_int_equal(left.exit_code, 0);
    if (strstr(left.errors, "extra, of the same topic, stays paused, since ") == NULL ||
        strstr(left.errors, "`keepstep resume extra -c ") == NULL)
        test_fail("%s", left.errors);
    assert_string_equal(sidecar_run(&shop, "resume", "extra", NULL).errors, "");
    assert_string_equal(database_text(shop.url, "SELECT count(*) FROM keepstep_paused"), "0\n");
    command(&shop, "pause", NULL, "extra is paused: its rows wait");
    command(&shop, "resume", NULL, "item is resumed: its rows");
    assert_string_equal(database_text(shop.url, "SELECT count(*) FROM keepstep_paused"), "0\n");
}

/* @return what a command says that is to fail so. */
static const char *refused(const struct sidecar *service, int code, const char *command_line)
{
    struct process_result result = PROCESS_RUN(
        "bash", "-c", test_format("%s %s -c %s", KEEPSTEP_BINARY, command_line, service->config));
    if (result.exit_code != code)
        test_fail("%s: %s has %d, %s%s", service->name, command_line, result.exit_code,
                  result.output, result.errors);
    return test_format("%s%s", result.output, result.errors);
}

static void expect_in(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        test_fail("no \"%s\" in %s", wanted, text);
}

/* What people ask of a copy that stands still: nothing of it is tried, nothing is called different,
 * and each answer says that it is paused. */
static void see_paused(const struct sidecar *shop, const struct sidecar *copy)
{
    const char *token = test_format(
        "shop/%.36s/%s:0=3", sqlite_text(shop->database, "SELECT incarnation FROM keepstep_relay"),
        sidecar_topic("item"));
    const char *said = refused(copy, 75, "parked retry --all");
    expect_in(said, "item is paused since 20");
    expect_in(said, "it is tried after `keepstep resume");
    expect_in(refused(copy, 75, test_format("wait %s --at copy --timeout 1", token)),
              ": item is paused here since 20");
    expect_in(refused(shop, 75, test_format("wait %s --at copy --timeout 1", token)),
              "; item is paused at copy since 20");
    expect_in(refused(shop, 75, test_format("wait %s --quorum --timeout 1", token)),
              "; item is paused at copy since 20");
    expect_in(refused(shop, 75, "verify item"), "copy");
    assert_null(strstr(sidecar_run(shop, "verify", "item", NULL).output, "DIFFERENT"));
    assert_string_equal(ids(copy, "item"), "1\n");
}

static void a_paused_copy_is_called_so_and_obeys_whoever_takes_over(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    struct sidecar copy = sidecar_make(kafka, "copy", SIDECAR_ITEM_DDL,
                                       "apply:\n  item: {table: items, partitions: 1}\n");
    sidecar_begin(&shop);
    sidecar_begin(&copy);
    (void)sqlite_text(copy.database,
                      "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.amount > 99 BEGIN "
                      "SELECT RAISE(ABORT, 'too much'); END");
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'n', 1), (2, 'n', 100)");
    sidecar_expect(&copy, "SELECT count(*) FROM keepstep_parked", "1\n");
    expect_ids(&copy, "item", "1\n");
    command(&copy, "pause", "item", "item is paused");
    expect_log(&copy, "item is paused since");
    expect_said(&shop, 0, "copies", "    PAUSED since 20");
    (void)sqlite_text(copy.database, "DROP TRIGGER refuse");
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (3, 'n', 3)");
    sidecar_expect_published(&shop);
    see_paused(&shop, &copy);
    const char *const argv[] = {KEEPSTEP_BINARY, "run", "-c", copy.config, "-s",
                                "instance=2",    NULL};
    struct sidecar other = copy;
    other.process = process_start("copy-2", argv, NULL);
    assert_true(process_wait_for(other.process, "group ", WAIT_MS));
    process_kill(copy.process);
    expect_log(&other, "item is paused since");
    clock_sleep_us(SETTLE_US);
    assert_string_equal(ids(&copy, "item"), "1\n");
    command(&copy, "resume", "item", "item is resumed");
    expect_ids(&other, "item", "1\n2\n3\n");
    sidecar_expect(&copy, "SELECT count(*) FROM keepstep_parked WHERE state <> 3", "0\n");
    command(&copy, "pause", "item", "item is paused");
    expect_log_times(&other, "item is paused since", 2);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (4, 'n', 4)");
    sidecar_expect_published(&shop);
    kafka_trim(kafka, sidecar_topic("item"), 0, sidecar_records(kafka, "item"));
    expect_log(&other, "is paused at 3 and its log begins at 4 by now: events are gone");
    sidecar_stop(&other);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(types_that_share_a_topic_are_paused_together, 60),
        TEST_WITH_LIMIT(a_type_that_is_published_whole_is_paused_alone, 60),
        TEST_WITH_LIMIT(a_paused_copy_is_called_so_and_obeys_whoever_takes_over, 180),
        TEST_WITH_LIMIT(what_is_paused_stands_still_through_kills_and_catches_up, 240),
        TEST_WITH_LIMIT(what_a_relay_may_not_publish_waits_in_the_outbox, 240),
        TEST_WITH_LIMIT(a_fill_stands_still_too_and_begins_anew_when_it_is_resumed, 120),
    };
    return TEST_RUN(tests);
}
