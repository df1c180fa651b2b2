/* Sidecars that compare by themselves: a difference is seen by every service, until it is mended.
 * labels: early */
#include "common/buffer.h"
#include "common/clock.h"
#include "operate/http_client.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/trio.h"

#include <stdio.h>
#include <sysexits.h>

#define WAIT_MS  60000
#define PAGE_MAX ((size_t)1024 * 1024)

/* What the alert of deploy/prometheus/keepstep.rules.yml asks of the metric. */
static const char *const bad_results[] = {"different", "missing", "extra"};
#define BAD_RESULTS (sizeof bad_results / sizeof *bad_results)

struct watch {
    struct trio *trio;
    int ports[VERIFY_KINDS];
    const char *copy; /* "lite/": its name begins so */
    int64_t wanted[BAD_RESULTS];
    const char *seen;
};

/* @return the value of keepstep_verify_rows of a copy of "order"; -1: there is none. */
static int64_t verify_rows(const char *page, const char *copy, const char *result)
{
    const char *wanted = test_format("\",copy=\"%s", copy);
    const char *type = ",type=\"order\",";
    const char *end = test_format("\",result=\"%s\"} ", result);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t length = strcspn(line, "\n");
        const char *found = memmem(line, length, end, strlen(end));
        if (strncmp(line, "keepstep_verify_rows{", 21) == 0 && found != NULL &&
            memmem(line, length, type, strlen(type)) != NULL &&
            memmem(line, length, wanted, strlen(wanted)) != NULL)
            return strtol(found + strlen(end), NULL, 10);
        if (*line == '\0')
            break;
    }
    return -1;
}

/* @return the page; where it has no answer, that. */
static const char *read_page(int port, const char *path)
{
    struct buffer body;
    buffer_init(&body, PAGE_MAX);
    int code = http_get("127.0.0.1", test_format("%d", port), path, &body);
    const char *page = code == 200 ? test_format("%s", buffer_text(&body))
                                   : test_format("port %d answers with %d: %s", port, code,
                                                 buffer_text(&body));
    buffer_done(&body);
    return page;
}

static bool is_seen_everywhere(void *context)
{
    struct watch *watch = context;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        watch->seen = read_page(watch->ports[i], "/metrics");
        for (size_t j = 0; j < BAD_RESULTS; j++) {
            if (verify_rows(watch->seen, watch->copy, bad_results[j]) != watch->wanted[j])
                return false;
        }
    }
    return true;
}

/* The test fails unless all three pages have these numbers of different, missing and extra rows. */
static void expect_rows(struct watch *watch, const char *copy, const int64_t wanted[BAD_RESULTS])
{
    watch->copy = copy;
    memcpy(watch->wanted, wanted, sizeof watch->wanted);
    if (!test_wait(is_seen_everywhere, watch, WAIT_MS))
        test_fail("%s has not %d, %d, %d in %s; logs: %s%s%s", copy, (int)wanted[0], (int)wanted[1],
                  (int)wanted[2], watch->seen, process_errors(watch->trio->services[0].process),
                  process_errors(watch->trio->services[1].process),
                  process_errors(watch->trio->services[2].process));
}

static void expect_copies(const struct watch *watch, const char *text)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct process_result result = sidecar_run(&watch->trio->services[i], "copies", "order",
                                                   NULL);
        if (strstr(result.output, text) == NULL)
            test_fail("no \"%s\" in %s%s", text, result.output, result.errors);
    }
}

static int count_of(const struct trio *trio, const char *text)
{
    int count = 0;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *at = process_errors(trio->services[i].process);
        while ((at = strstr(at, text)) != NULL) {
            count++;
            at++;
        }
    }
    return count;
}

/* @return the token of the last event that a service has published in one of its partitions. */
static const char *last_token(const struct sidecar *origin)
{
    char topic[128];
    int partition = 0;
    long long sequence = 0;
    const char *incarnation = database_text(origin->url, "SELECT incarnation FROM keepstep_relay");
    const char *rows = database_text(origin->url, "SELECT * FROM keepstep_relay_partition");
    assert_int_equal(sscanf(rows, "%127[^|]|%d|%lld", topic, &partition, &sequence), 3);
    return test_format("%s/%.36s/%s:%d=%lld", origin->name, incarnation, topic, partition,
                       sequence);
}

/* Whoever is asked, on whichever database, by HTTP or by the command. */
static void expect_token_everywhere(const struct watch *watch, const char *token)
{
    static const char *const scopes[] = {"self", "lite", "post", "maria", "quorum", "all"};
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *asked = &watch->trio->services[i];
        for (size_t j = 0; j < sizeof scopes / sizeof *scopes; j++) {
            const char *answer = read_page(
                watch->ports[i],
                test_format("/wait?token=%s&at=%s&timeout_ms=4900", token, scopes[j]));
            if (strstr(answer, "{\"state\":\"fulfilled\",") != answer)
                test_fail("%s at %s of %s: %s", token, scopes[j], asked->name, answer);
        }
        struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "wait", token, "--at",
                                                   asked->name, "-c", asked->config);
        assert_int_equal(result.exit_code, EX_OK);
        result = PROCESS_RUN(KEEPSTEP_BINARY, "wait", token, "--all", "-c", asked->config);
        assert_int_equal(result.exit_code, EX_OK);
    }
}

/* All services compare by themselves, and have a page. */
static void begin_watch(struct watch *watch)
{
    trio_make(watch->trio, "verify: {every_s: 2}\n");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        watch->ports[i] = sidecar_listen(&watch->trio->services[i]);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&watch->trio->services[i]);
}

static void a_difference_is_seen_by_every_sidecar_until_it_is_repaired(void **state)
{
    static const int64_t equal[BAD_RESULTS] = {0, 0, 0};
    static const int64_t planted[BAD_RESULTS] = {1, 1, 1};
    struct trio trio;
    struct watch watch = {.trio = &trio};
    (void)state;
    begin_watch(&watch);
    trio_insert(&trio);
    trio_settle(&trio);
    expect_rows(&watch, "lite/", equal);
    expect_rows(&watch, "maria/", equal);
    expect_copies(&watch, "    equal since 20");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        expect_token_everywhere(&watch, last_token(&trio.services[i]));
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    expect_rows(&watch, "lite/", planted);
    expect_rows(&watch, "maria/", equal);
    expect_copies(&watch, "    DIFFERENT: 3 rows, last equal 20");
    struct process_result result = repair_command_run(&trio.services[DATABASE_SQLITE],
                                                      &trio.services[DATABASE_POSTGRESQL], "order",
                                                      (const char *const[]){NULL});
    assert_int_equal(result.exit_code, EX_OK);
    expect_rows(&watch, "lite/", equal);
    assert_int_equal(count_of(&trio, "order at lite is DIFFERENT from post: 3 rows"), 1);
    assert_int_equal(count_of(&trio, "order at lite is equal to post again"), 1);
    trio_end(&trio);
}

#define KILLS 4

/* No page says that a copy of "order" differs. */
static void expect_no_alarm(const struct watch *watch)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *page = read_page(watch->ports[i], "/metrics");
        for (size_t j = 0; j < BAD_RESULTS; j++) {
            if (verify_rows(page, "lite/", bad_results[j]) > 0 ||
                verify_rows(page, "maria/", bad_results[j]) > 0)
                test_fail("a false alarm: %s", page);
        }
    }
}

/* One after the other, each in the middle of something. */
static void kill_some(const struct watch *watch, bool is_equal)
{
    for (int i = 0; i < KILLS; i++) {
        load_kill(&watch->trio->services[i % VERIFY_KINDS]);
        clock_sleep_us(700000);
        if (is_equal)
            expect_no_alarm(watch);
    }
}

/* Whoever compares, or answers, may be killed: no copy differs because of that, what was planted is
 * found all the same, and what was mended is equal again. */
static void kills_raise_no_alarm_and_hide_no_difference(void **state)
{
    static const int64_t equal[BAD_RESULTS] = {0, 0, 0};
    static const int64_t planted[BAD_RESULTS] = {1, 1, 1};
    struct trio trio;
    struct process *writer;
    struct watch watch = {.trio = &trio};
    (void)state;
    begin_watch(&watch);
    writer = trio_write(&trio, DATABASE_POSTGRESQL);
    kill_some(&watch, true);
    assert_true(load_client_end(writer, WAIT_MS) < 2 * TRIO_STATEMENTS);
    trio_settle(&trio);
    (void)database_text(trio.services[DATABASE_POSTGRESQL].url,
                        "DELETE FROM orders; INSERT INTO orders VALUES (1, 'n', '1.50', 0.1), "
                        "(2, 'n', '1.50', 0.1)");
    trio_settle(&trio);
    expect_rows(&watch, "lite/", equal);
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    kill_some(&watch, false);
    expect_rows(&watch, "lite/", planted);
    expect_rows(&watch, "maria/", equal);
    struct process_result result = repair_command_run(&trio.services[DATABASE_SQLITE],
                                                      &trio.services[DATABASE_POSTGRESQL], "order",
                                                      (const char *const[]){NULL});
    assert_int_equal(result.exit_code, EX_OK);
    kill_some(&watch, false);
    expect_rows(&watch, "lite/", equal);
    trio_end(&trio);
}

#define MEMORY_TYPES   8  /* so many rounds a second, at most */
#define MEMORY_FIRST   10 /* rounds, behind which everything that is made once is there */
#define MEMORY_LAST    30 /* `./run test long` has 210 */
#define MEMORY_MAX_KIB 4096

static int64_t memory_kib(const struct sidecar *sidecar)
{
    return process_memory_kib(sidecar->process, "VmRSS");
}

struct rounds {
    struct kafka *kafka;
    int64_t wanted;
    int64_t seen;
};

static void count_verdict(const struct kafka_record *record, void *context)
{
    struct rounds *rounds = context;
    rounds->seen += record->key.length > 8 && memcmp(record->key.data, "verdict/", 8) == 0;
}

static bool are_rounds_done(void *context)
{
    struct rounds *rounds = context;
    rounds->seen = 0;
    (void)kafka_consume_all(rounds->kafka, sidecar_topic("keepstep"), count_verdict, rounds);
    return rounds->seen >= rounds->wanted;
}

static void expect_rounds(struct kafka *kafka, int64_t wanted)
{
    struct rounds rounds = {.kafka = kafka, .wanted = wanted};
    if (!test_wait(are_rounds_done, &rounds, 10 * WAIT_MS))
        test_fail("%d rounds instead of %d", (int)rounds.seen, (int)wanted);
}

/* @return the entries of that many types. */
static const char *memory_entries(const char *head)
{
    const char *text = head;
    for (int i = 0; i < MEMORY_TYPES; i++) {
        verify_write_schema(test_format("kind%d", i));
        text = test_format("%s  kind%d: {table: kind%ds, partitions: 1}\n", text, i, i);
    }
    return text;
}

static void the_memory_of_a_sidecar_that_compares_does_not_grow_with_the_rounds(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    int last = load_number("TEST_VERIFY_ROUNDS", MEMORY_LAST);
    (void)sidecar_make(kafka, "first", NULL, ""); /* makes the folder of the schemas */
    struct sidecar shop = sidecar_make(kafka, "shop", NULL,
                                       memory_entries("verify: {every_s: 1}\npublish:\n"));
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, memory_entries("apply:\n"));
    for (int i = 0; i < MEMORY_TYPES; i++) {
        kafka_create_topic(kafka, sidecar_topic(test_format("kind%d", i)), 1,
                           "message.timestamp.type=LogAppendTime");
        (void)sqlite_text(shop.database, test_format("CREATE TABLE kind%ds (%s)", i,
                                                     verify_dialects[DATABASE_SQLITE].columns));
    }
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    for (int i = 0; i < MEMORY_TYPES; i++)
        (void)sqlite_text(shop.database,
                          test_format("INSERT INTO kind%ds VALUES (1, 'n', '1.50', 0.1)", i));
    expect_rounds(kafka, MEMORY_FIRST);
    int64_t shop_kib = memory_kib(&shop);
    int64_t billing_kib = memory_kib(&billing);
    expect_rounds(kafka, last);
    print_message("behind %d and %d rounds: who asks %d and %d KiB, who is asked %d and %d KiB\n",
                  MEMORY_FIRST, last, (int)shop_kib, (int)memory_kib(&shop), (int)billing_kib,
                  (int)memory_kib(&billing));
    if (!TEST_SANITIZES_ADDRESSES && !TEST_SANITIZES_THREADS) {
        assert_true(memory_kib(&shop) - shop_kib < MEMORY_MAX_KIB);
        assert_true(memory_kib(&billing) - billing_kib < MEMORY_MAX_KIB);
    }
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_difference_is_seen_by_every_sidecar_until_it_is_repaired, 300),
        TEST_WITH_LIMIT(kills_raise_no_alarm_and_hide_no_difference, 300),
        TEST_WITH_LIMIT(the_memory_of_a_sidecar_that_compares_does_not_grow_with_the_rounds, 700),
    };
    return TEST_RUN(tests);
}
