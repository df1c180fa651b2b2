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

#define WAIT_MS  120000
#define PAGE_MAX ((size_t)1024 * 1024)
#define ROUNDS   30 /* TEST_VERIFY_ROUNDS; `./run test long` has 210 */

/* What the alert of deploy/prometheus/keepstep.rules.yml asks of the metric. */
static const char *const bad_results[] = {"different", "missing", "extra"};
#define BAD_RESULTS (sizeof bad_results / sizeof *bad_results)

/* Rows of one copy of a type, by bad_results. */
struct bad_rows {
    int64_t counts[BAD_RESULTS];
};

struct watch {
    struct trio *trio;
    int ports[VERIFY_KINDS];
    const char *copy; /* "lite/": its name begins so */
    struct bad_rows wanted;
    const char *seen;
};

/* @return the value of keepstep_verify_rows of a copy of a type; -1: there is none. */
static int64_t verify_rows(const char *page, const char *entity_type, const char *copy,
                           const char *result)
{
    const char *wanted = test_format("\",copy=\"%s", copy);
    const char *type = test_format(",type=\"%s\",", entity_type);
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

static struct bad_rows bad_rows_of(const char *page, const char *entity_type, const char *copy)
{
    struct bad_rows rows;
    for (size_t i = 0; i < BAD_RESULTS; i++)
        rows.counts[i] = verify_rows(page, entity_type, copy, bad_results[i]);
    return rows;
}

static bool are_same(const struct bad_rows *left, const struct bad_rows *right)
{
    return memcmp(left, right, sizeof *left) == 0;
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
        struct bad_rows rows = bad_rows_of(watch->seen, "order", watch->copy);
        if (!are_same(&rows, &watch->wanted))
            return false;
    }
    return true;
}

static const char *logs(const struct trio *trio)
{
    const char *text = "";
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        text = test_format("%s%s", text, process_errors(trio->services[i].process));
    return text;
}

/* The test fails unless all three pages have these rows of "order". */
static void expect_rows(struct watch *watch, const char *copy, struct bad_rows wanted)
{
    watch->copy = copy;
    watch->wanted = wanted;
    if (!test_wait(is_seen_everywhere, watch, WAIT_MS))
        test_fail("%s has not %d, %d, %d in %s; logs: %s", copy, (int)wanted.counts[0],
                  (int)wanted.counts[1], (int)wanted.counts[2], watch->seen, logs(watch->trio));
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

/* One service has said it, or several that compared at the same time; none again and again. */
static void expect_said(const struct trio *trio, const char *text)
{
    bool is_said = false;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *log = process_errors(trio->services[i].process);
        const char *at = strstr(log, text);
        is_said = is_said || at != NULL;
        if (at != NULL && strstr(at + 1, text) != NULL)
            test_fail("said twice: %s: %s", text, log);
    }
    if (!is_said)
        test_fail("nobody says: %s", text);
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
    static const struct bad_rows equal = {{0, 0, 0}};
    static const struct bad_rows planted = {{1, 1, 1}};
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
    expect_said(&trio, "order at lite is DIFFERENT from post: 3 rows");
    expect_said(&trio, "order at lite is equal to post again");
    trio_end(&trio);
}

#define KILLS          3 /* while a change is waited for */
#define KILL_EVERY_US  INT64_C(1500000)
#define ROUNDS_OF_ONE  10 /* that TEST_VERIFY_ROUNDS counts, for each planting */
#define PAUSE_US       300000
#define STOCK_IS_AS_IN DATABASE_SQLITE /* of several publishers the first by name */

struct storm {
    struct watch *watch;
    struct plants plants;
    struct plants before; /* what was planted last, which a page may still show */
    struct process *writers[VERIFY_KINDS];
    int kills; /* in all */
    int kills_left;
    int64_t killed_us;
    const char *missing; /* what no page shows yet */
};

static enum database_kind reference_of(const char *entity_type)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (strcmp(verify_dialects[i].entity_type, entity_type) == 0)
            return (enum database_kind)i;
    }
    return STOCK_IS_AS_IN;
}

/* A row that is gone from the reference is one too many at each copy. */
static struct bad_rows expected_rows(const struct plants *plants, const char *entity_type,
                                     enum database_kind copy)
{
    static const size_t at_copy[] = {[PLANT_CHANGE] = 0, [PLANT_DELETE] = 1, [PLANT_INSERT] = 2};
    static const size_t at_reference[] = {
        [PLANT_CHANGE] = 0, [PLANT_DELETE] = 2, [PLANT_INSERT] = 1};
    struct bad_rows rows = {0};
    for (int i = 0; i < plants->count; i++) {
        const struct plant *plant = &plants->now[i];
        if (strcmp(plant->entity_type, entity_type) != 0)
            continue;
        if (plant->where == copy)
            rows.counts[at_copy[plant->kind]]++;
        else if (plant->where == reference_of(entity_type))
            rows.counts[at_reference[plant->kind]]++;
    }
    return rows;
}

/* A page shows what is planted now, or what was before. Anything else is a false alarm.
 * @return whether it shows what is planted now. */
static bool judge_copy(struct storm *storm, const char *page, const char *entity_type,
                       enum database_kind copy)
{
    const char *name = test_format("%s/", verify_dialects[copy].service);
    struct bad_rows rows = bad_rows_of(page, entity_type, name);
    struct bad_rows now = expected_rows(&storm->plants, entity_type, copy);
    struct bad_rows before = expected_rows(&storm->before, entity_type, copy);
    for (size_t i = 0; i < BAD_RESULTS; i++) {
        if (rows.counts[i] > now.counts[i] + before.counts[i])
            test_fail("a false alarm: %s of %s has %d rows %s: %s; logs: %s", name, entity_type,
                      (int)rows.counts[i], bad_results[i], page, logs(storm->watch->trio));
    }
    if (are_same(&rows, &now))
        return true;
    storm->missing = test_format("%s of %s has not %d, %d, %d in %s", name, entity_type,
                                 (int)now.counts[0], (int)now.counts[1], (int)now.counts[2], page);
    return false;
}

static bool judge_page(struct storm *storm, const char *page)
{
    bool shows = true;
    for (int i = 0; i < storm->plants.type_count; i++) {
        for (size_t copy = 0; copy < VERIFY_KINDS; copy++) {
            const char *entity_type = storm->plants.types[i];
            if ((enum database_kind)copy != reference_of(entity_type))
                shows = judge_copy(storm, page, entity_type, (enum database_kind)copy) && shows;
        }
    }
    return shows;
}

/* Somebody always writes, and now and then somebody is killed in the middle of something. */
static void storm_go_on(struct storm *storm)
{
    struct trio *trio = storm->watch->trio;
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (storm->writers[i] != NULL && process_running(storm->writers[i]))
            continue;
        if (storm->writers[i] != NULL)
            assert_true(load_client_end(storm->writers[i], WAIT_MS) < 2 * TRIO_STATEMENTS);
        storm->writers[i] = trio_write(trio, i);
    }
    if (storm->kills_left == 0 || clock_monotonic_us() - storm->killed_us < KILL_EVERY_US)
        return;
    load_kill(&trio->services[load_random(&storm->plants.seed, VERIFY_KINDS)]);
    storm->killed_us = clock_monotonic_us();
    storm->kills_left--;
    storm->kills++;
}

static bool is_storm_seen(void *context)
{
    struct storm *storm = context;
    bool shows = true;
    storm_go_on(storm);
    clock_sleep_us(PAUSE_US);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        shows = judge_page(storm, read_page(storm->watch->ports[i], "/metrics")) && shows;
    return shows && storm->kills_left == 0;
}

static void storm_expect(struct storm *storm)
{
    storm->kills_left = KILLS;
    if (!test_wait(is_storm_seen, storm, WAIT_MS))
        test_fail("%s; logs: %s", storm->missing, logs(storm->watch->trio));
}

/* Whoever compares, or answers, may be killed: no copy differs because of that, what was planted is
 * found all the same, and what was mended is equal again. */
static void kills_raise_no_alarm_and_hide_no_difference(void **state)
{
    struct trio trio;
    struct watch watch = {.trio = &trio};
    struct storm storm = {.watch = &watch};
    (void)state;
    begin_watch(&watch);
    storm.plants = trio_prepare_plants(&trio);
    storm_expect(&storm);
    for (int i = 0; i < load_number("TEST_VERIFY_ROUNDS", ROUNDS) / ROUNDS_OF_ONE; i++) {
        plants_make(&storm.plants);
        storm_expect(&storm);
        storm.before = storm.plants;
        plants_undo(&storm.plants);
        storm_expect(&storm);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(storm.writers[i], WAIT_MS) < 2 * TRIO_STATEMENTS);
    print_message("note: sidecars that compare by themselves: %d kills; all of %d rows changed by "
                  "hand were found, and equal again behind it; 0 false alarms\n",
                  storm.kills, storm.plants.planted);
    trio_end(&trio);
}

#define MEMORY_TYPES   8  /* so many rounds a second, at most */
#define MEMORY_FIRST   10 /* rounds, behind which everything that is made once is there */
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
    int last = load_number("TEST_VERIFY_ROUNDS", ROUNDS);
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
        TEST_WITH_LIMIT(a_difference_is_seen_by_every_sidecar_until_it_is_repaired, 600),
        TEST_WITH_LIMIT(kills_raise_no_alarm_and_hide_no_difference, 3000),
        TEST_WITH_LIMIT(the_memory_of_a_sidecar_that_compares_does_not_grow_with_the_rounds, 700),
    };
    return TEST_RUN(tests);
}
