/* Three services on a real Kafka tell each other how far their copies are, and `keepstep copies`
 * shows it. labels: early */
#include "common/buffer.h"
#include "operate/http_client.h"
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/verify.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define WAIT_MS 30000

static const char publishes[] = "publish:\n  item: {table: items, partitions: 1}\n";
static const char applies[] = "apply:\n  item: {table: items}\n";

struct trio {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar shipping;
};

static void trio_begin(struct trio *trio)
{
    *trio = (struct trio){.kafka = kafka_start()};
    trio->shop = sidecar_make(trio->kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    trio->billing = sidecar_make(trio->kafka, "billing", NULL, applies);
    trio->shipping = sidecar_make(trio->kafka, "shipping", NULL, applies);
    sidecar_begin(&trio->shop);
    sidecar_begin(&trio->billing);
    sidecar_begin(&trio->shipping);
}

static void trio_end(struct trio *trio)
{
    sidecar_stop(&trio->shop);
    if (process_running(trio->billing.process))
        sidecar_stop(&trio->billing);
    if (process_running(trio->shipping.process))
        sidecar_stop(&trio->shipping);
}

static void write_items(const struct trio *trio, int from, int to)
{
    (void)sqlite_text(trio->shop.database,
                      test_format("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n "
                                  "WHERE i < %d) INSERT INTO items SELECT i, 'item', i FROM n",
                                  from, to));
}

static const char *copies(const struct sidecar *sidecar, const char *first, const char *second)
{
    struct process_result result = sidecar_run(sidecar, "copies", first, second);
    return result.exit_code == 0 ? result.output
                                 : test_format("exit code %d: %s", result.exit_code, result.errors);
}

struct expected {
    const struct sidecar *sidecar;
    const char *first;
    const char *second;
    const char *text;
    const char *seen;
};

static bool is_said(void *context)
{
    struct expected *expected = context;
    expected->seen = copies(expected->sidecar, expected->first, expected->second);
    return strstr(expected->seen, expected->text) != NULL;
}

/* The test fails unless `copies item` (with --json: copies --json) says a text within the limit. */
static void expect(const struct sidecar *sidecar, const char *flag, const char *text)
{
    struct expected expected = {sidecar, "item", flag, text, NULL};
    if (!test_wait(is_said, &expected, WAIT_MS))
        test_fail("no \"%s\" in: %s; log: %s", text, expected.seen,
                  process_errors(sidecar->process));
}

#define POLICY(sidecar, ...)                                                                       \
    PROCESS_RUN(KEEPSTEP_BINARY, "copies", "policy", "item", "-c", (sidecar)->config, __VA_ARGS__)

static void expect_policy(const struct process_result *result, int exit_code, const char *text)
{
    const char *said = exit_code == EX_OK ? result->output : result->errors;
    if (result->exit_code != exit_code || strstr(said, text) == NULL)
        test_fail("no \"%s\", exit code %d: %s%s", text, result->exit_code, result->output,
                  result->errors);
}

/* Without billing the two others are a quorum, and what only they have is held by one. */
static void a_policy_says_who_counts(const struct trio *trio)
{
    struct process_result result = POLICY(&trio->billing, "--members", "shop,billing", "--dry-run");
    print_message("%s", result.output);
    expect_policy(&result, EX_OK, "who has joined counts\nnow        3 members, 2 make a quorum: ");
    expect_policy(&result, EX_OK, "\nthen       2 members, 2 make a quorum: billing/");
    expect_policy(&result, EX_OK, "Nothing is changed,");
    expect(&trio->shop, "--json", "\"members\":3,");
    result = POLICY(&trio->billing, "--members", "shop,ware/0200");
    expect_policy(&result, EX_OK,
                  "ware/0200 (never seen)\n  p0        a quorum holds 10, then 0\n");
    expect(&trio->shop, NULL, "ware                 never seen; the policy counts it\n");
    expect(&trio->shop, NULL, "does not count");
    result = POLICY(&trio->shop, "--members", "shop,ware");
    expect_policy(&result, EX_USAGE, "ware is nobody's name here");
    result = POLICY(&trio->shop, "--members", "shop,shop");
    expect_policy(&result, EX_USAGE, "is named twice");
    result = POLICY(&trio->shop, "--members", "shop", "--clear");
    expect_policy(&result, EX_USAGE, "wants [TYPE | ");
    result = POLICY(&trio->shop, "--clear", "--json");
    expect_policy(&result, EX_OK, "\"policy\":true,\"members\":2,\"quorum\":2,\"counting\":[");
    expect(&trio->shop, "--json", "\"members\":3,\"quorum\":2,");
}

static void everybody_sees_who_is_where_and_says_who_counts(void **state)
{
    struct trio trio;
    (void)state;
    trio_begin(&trio);
    write_items(&trio, 1, 10);
    expect(&trio.shop, NULL, "3 members of topic ");
    expect(&trio.shop, NULL, ", 2 make a quorum; behind it: p0 0 records\n");
    expect(&trio.billing, NULL, "shop                 publishes\n");
    expect(&trio.shipping, "--json", "\"partition\":0,\"end_offset\":10,\"quorum_offset\":10}");
    expect(&trio.shipping, NULL, "complete   applied 0 behind, durable 0 behind");
    a_policy_says_who_counts(&trio);
    trio_end(&trio);
}

/* The publisher and one copy are a majority of three. Where the publisher and the second copy stand
 * still, what only one has does not move the quorum. */
static void the_quorum_moves_only_with_a_majority(void **state)
{
    struct trio trio;
    (void)state;
    trio_begin(&trio);
    write_items(&trio, 1, 10);
    expect(&trio.shop, "--json", "\"members\":3,\"quorum\":2,");
    expect(&trio.shop, "--json", "\"end_offset\":10,\"quorum_offset\":10}");
    process_kill(trio.billing.process);
    process_kill(trio.shipping.process);
    write_items(&trio, 11, 15);
    expect(&trio.shop, "--json", "\"end_offset\":15,\"quorum_offset\":10}");
    sidecar_start(&trio.billing, NULL);
    expect(&trio.shop, "--json", "\"end_offset\":15,\"quorum_offset\":15}");
    trio_end(&trio);
}

static void a_killed_copy_stays_until_it_is_forgotten_and_comes_back(void **state)
{
    struct trio trio;
    (void)state;
    trio_begin(&trio);
    write_items(&trio, 1, 10);
    expect(&trio.shop, "--json", "\"members\":3,");
    expect(&trio.shop, NULL, "behind it: p0 0 records");
    process_kill(trio.billing.process);
    write_items(&trio, 11, 12);
    expect(&trio.shop, NULL, "complete   applied 2 behind, durable 2 behind");
    expect(&trio.shop, "--json", "\"members\":3,");
    const char *answer = copies(&trio.shop, "forget", "nobody");
    assert_non_null(strstr(answer, "exit code 64"));
    answer = copies(&trio.shop, "forget", "billing");
    assert_non_null(strstr(answer, "billing is forgotten\n"));
    expect(&trio.shop, "--json", "\"members\":2,\"quorum\":2,");
    sidecar_start(&trio.billing, NULL);
    expect(&trio.shop, "--json", "\"members\":3,\"quorum\":2,");
    trio_end(&trio);
}

/* The agent does not notice: the backup is of its own epoch. */
static void a_backup_of_the_same_epoch_takes_the_quorum_back(struct trio *trio)
{
    const char *backup = sidecar_back_up(&trio->billing);
    write_items(trio, 11, 15);
    expect(&trio->shop, "--json", "\"end_offset\":15,\"quorum_offset\":15}");
    process_kill(trio->billing.process);
    sidecar_restore(&trio->billing, backup);
    assert_int_equal(sidecar_run(&trio->billing, "pause", "item", NULL).exit_code, EX_OK);
    sidecar_start(&trio->billing, NULL);
    expect(&trio->shop, "--json", "\"end_offset\":15,\"quorum_offset\":10}");
    assert_int_equal(sidecar_run(&trio->billing, "resume", "item", NULL).exit_code, EX_OK);
    expect(&trio->shop, "--json", "\"end_offset\":15,\"quorum_offset\":15}");
}

/* @return what a metric says of the rows of a copy that were repaired. */
static const char *repaired(const struct sidecar *copy, int rows)
{
    const char *id = sqlite_text(copy->database,
                                 "SELECT value FROM keepstep_meta WHERE key = 'copy_id'");
    return test_format("keepstep_repaired_rows_total{service=\"billing\",type=\"item\","
                       "topic=\"%s\",copy=\"%s/%.36s\"} %d\n",
                       sidecar_topic("item"), copy->name, id, rows);
}

/* It is another copy then. Its old id counts with what it has reported, until it is forgotten. */
static void a_copy_that_is_restored_has_another_id(struct trio *trio)
{
    sidecar_stop(&trio->billing);
    const char *backup = sidecar_back_up(&trio->billing);
    const char *old = sqlite_text(trio->billing.database,
                                  "SELECT value FROM keepstep_meta WHERE key = 'copy_id'");
    sidecar_start(&trio->billing, NULL); /* raises the epoch above the backup's */
    write_items(trio, 16, 17);
    expect(&trio->shop, "--json", "\"end_offset\":17,\"quorum_offset\":17}");
    sidecar_stop(&trio->billing);
    sidecar_restore(&trio->billing, backup);
    sidecar_start(&trio->billing, NULL);
    assert_int_equal(process_wait(trio->billing.process, WAIT_MS), EX_CONFIG);
    assert_non_null(strstr(process_errors(trio->billing.process), "init --restored"));
    sidecar_init(&trio->billing, "--restored");
    write_items(trio, 18, 19);
    sidecar_start(&trio->billing, NULL);
    expect(&trio->shop, "--json", "\"members\":4,\"quorum\":3,");
    expect(&trio->shop, "--json", "\"end_offset\":19,\"quorum_offset\":17}");
    const char *answer = copies(&trio->shop, "forget", test_format("billing/%.36s", old));
    assert_non_null(strstr(answer, " is forgotten\n"));
    expect(&trio->shop, "--json", "\"members\":3,\"quorum\":2,");
    expect(&trio->shop, "--json", "\"end_offset\":19,\"quorum_offset\":19}");
}

/* Of three members shipping stands still at 10: what billing loses, only the publisher has. */
static void a_restored_copy_holds_what_its_backup_has_until_it_has_read_on(void **state)
{
    struct trio trio;
    (void)state;
    trio_begin(&trio);
    write_items(&trio, 1, 10);
    expect(&trio.shop, "--json", "\"members\":3,\"quorum\":2,");
    expect(&trio.shop, "--json", "\"end_offset\":10,\"quorum_offset\":10}");
    expect(&trio.shop, NULL, "shipping             complete   applied 0 behind, durable 0 behind");
    process_kill(trio.shipping.process);
    a_backup_of_the_same_epoch_takes_the_quorum_back(&trio);
    a_copy_that_is_restored_has_another_id(&trio);
    const char *answer = copies(&trio.shop, "forget", "shipping");
    assert_non_null(strstr(answer, "shipping is forgotten\n"));
    expect(&trio.shop, "--json", "\"members\":2,\"quorum\":2,");
    write_items(&trio, 20, 20);
    expect(&trio.shop, "--json", "\"end_offset\":20,\"quorum_offset\":20}");
    trio_end(&trio);
}

/* What others have applied is known once they have reported it. */
static bool parked_says(void *context)
{
    struct expected *expected = context;
    expected->seen = sidecar_run(expected->sidecar, "parked", "list", NULL).output;
    return strstr(expected->seen, expected->text) != NULL;
}

static void a_parked_record_is_shown_and_who_else_refuses_it(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "message.timestamp.type=LogAppendTime");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, applies);
    struct sidecar shipping = sidecar_make(kafka, "shipping", NULL, applies);
    sidecar_begin(&billing);
    sidecar_produce(kafka, "first", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":null}");
    sidecar_produce(kafka, "second", "item.created", 2, "{\"id\":2,\"amount\":null}");
    sidecar_produce(kafka, "third", "item.created", 3, "{\"id\":3,\"name\":\"c\",\"amount\":null}");
    expect(&billing, NULL, "applied 0 behind, durable 0 behind, parked since p0 1");
    expect(&billing, "--json", "\"end_offset\":3,\"quorum_offset\":1}");
    sidecar_begin(&shipping);
    expect(&billing, NULL, "    p0 1: all copies refuse it\n");
    (void)sqlite_text(billing.database,
                      "CREATE TRIGGER no_thirteen BEFORE INSERT ON items WHEN new.amount = 13 "
                      "BEGIN SELECT RAISE(ABORT, 'not thirteen'); END");
    sidecar_produce(kafka, "fourth", "item.created", 4, "{\"id\":4,\"name\":\"d\",\"amount\":13}");
    sidecar_expect(&shipping, "SELECT count(*) FROM items", "3\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");
    struct expected alone = {.sidecar = &billing,
                             .text = "    billing alone refuses it: 1 other copy has applied it\n"};
    if (!test_wait(parked_says, &alone, WAIT_MS))
        test_fail("no \"%s\" in: %s", alone.text, alone.seen);
    print_message("%s", alone.seen);
    assert_non_null(strstr(alone.seen, "    all copies refuse it\n"));
    struct process_result parked = sidecar_run(&billing, "parked", "list", "--json");
    assert_non_null(strstr(parked.output, "\"other_copies\":{\"applied\":1,\"parked\":0,"));
    parked = sidecar_run(&billing, "parked", "show", "2");
    assert_non_null(strstr(parked.output, "\nothers    billing alone refuses it: 1 other copy"));
    sidecar_stop(&billing);
    sidecar_stop(&shipping);
}

static void copies_in_three_databases_report_with_their_roles(void **state)
{
    struct trio trio = {.kafka = kafka_start()};
    (void)state;
    load_need("psql");
    load_need("mariadb");
    trio.shop = sidecar_make(trio.kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    trio.billing = sidecar_make_on(trio.kafka, "billing",
                                   database_make(DATABASE_POSTGRESQL, "billing"), applies);
    trio.shipping = sidecar_make_on(trio.kafka, "shipping",
                                    database_make(DATABASE_MARIADB, "shipping"), applies);
    sidecar_begin(&trio.shop);
    sidecar_begin(&trio.billing);
    sidecar_begin(&trio.shipping);
    write_items(&trio, 1, 10);
    expect(&trio.shop, NULL,
           "  billing              complete   applied 0 behind, durable 0 behind\n"
           "  shipping             complete   applied 0 behind, durable 0 behind\n"
           "  shop                 publishes\n");
    expect(&trio.billing, "--json", "\"end_offset\":10,\"quorum_offset\":10}");
    trio_end(&trio);
}

static void a_topic_that_another_program_made_is_refused_and_nothing_stops(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    kafka_create_topic(kafka, sidecar_topic("keepstep"), 1, NULL);
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    sidecar_begin(&shop);
    if (!process_wait_for(shop.process, "is not compacted", WAIT_MS))
        test_fail("%s", process_errors(shop.process));
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'a', 1)");
    for (int i = 0; sidecar_records(kafka, "item") < 1; i++) {
        if (i == 100)
            test_fail("nothing is published: %s", process_errors(shop.process));
        (void)usleep(100000);
    }
    const char *answer = copies(&shop, NULL, NULL);
    assert_non_null(strstr(answer, "exit code 78"));
    sidecar_stop(&shop);
}

static bool page_has(void *context)
{
    struct expected *expected = context;
    struct buffer body;
    buffer_init(&body, (size_t)1024 * 1024);
    (void)http_get("127.0.0.1", expected->first, "/metrics", &body);
    expected->seen = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return strstr(expected->seen, expected->text) != NULL;
}

static void the_metrics_have_the_members(void **state)
{
    static const char *const wanted[] = {
        "keepstep_members{service=\"shop\",type=\"item\",topic=\"%s\"} 2\n",
        "keepstep_quorum_offset{service=\"shop\",type=\"item\",topic=\"%s\",partition=\"0\"} 10\n",
        ("keepstep_member_durable_offset{service=\"shop\",type=\"item\",topic=\"%s\","
         "partition=\"0\",copy=\"billing/"),
        "keepstep_member_seen_timestamp_seconds{service=\"shop\",copy=\"shop/-\"} ",
    };
    struct trio trio = {.kafka = kafka_start()};
    (void)state;
    trio.shop = sidecar_make(trio.kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    trio.billing = sidecar_make(trio.kafka, "billing", NULL, applies);
    int port = sidecar_listen(&trio.shop);
    sidecar_begin(&trio.shop);
    sidecar_begin(&trio.billing);
    write_items(&trio, 1, 10);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *place = strstr(wanted[i], "%s");
        struct expected expected = {
            .first = test_format("%d", port),
            .text = place == NULL ? wanted[i]
                                  : test_format("%.*s%s%s", (int)(place - wanted[i]), wanted[i],
                                                sidecar_topic("item"), place + 2)};
        if (!test_wait(page_has, &expected, WAIT_MS))
            test_fail("no %s in %s", expected.text, expected.seen);
    }
    sidecar_stop(&trio.shop);
    sidecar_stop(&trio.billing);
}

/* The page of a sidecar, once it has a text. */
static void expect_metric(int port, const char *text)
{
    struct expected expected = {.first = test_format("%d", port), .text = text};
    if (!test_wait(page_has, &expected, WAIT_MS))
        test_fail("no %s in %s", text, expected.seen);
}

static void verify(const struct trio *trio, int exit_code)
{
    const struct sidecar *const all[] = {&trio->shop, &trio->billing, &trio->shipping, NULL};
    struct process_result result = VERIFY(all, "item");
    if (result.exit_code != exit_code || result.errors[0] != '\0')
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

static void what_verify_found_is_shown_by_every_service_until_a_copy_is_forgotten(void **state)
{
    struct trio trio = {.kafka = kafka_start()};
    (void)state;
    trio.shop = sidecar_make(trio.kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    trio.billing = sidecar_make(trio.kafka, "billing", NULL, applies);
    trio.shipping = sidecar_make(trio.kafka, "shipping", NULL, applies);
    int port = sidecar_listen(&trio.billing);
    sidecar_begin(&trio.shop);
    sidecar_begin(&trio.billing);
    sidecar_begin(&trio.shipping);
    write_items(&trio, 1, 10);
    expect(&trio.shop, NULL, "3 members");
    expect(&trio.shop, NULL, "behind it: p0 0 records");
    sidecar_expect(&trio.billing, "SELECT count(*) FROM items", "10\n");
    sidecar_expect(&trio.shipping, "SELECT count(*) FROM items", "10\n");
    verify(&trio, EX_OK);
    expect(&trio.shipping, NULL, "durable 0 behind\n    equal since 20");
    expect(&trio.shipping, NULL, "publishes\n    the others were compared with it, verified ");
    expect(&trio.shop, "--json", "\"verify\":{\"verdict\":\"equal\",\"verified_at\":\"20");
    (void)sqlite_text(trio.shipping.database, "DELETE FROM items WHERE id < 3");
    verify(&trio, EX_DATAERR);
    expect(&trio.billing, NULL, "    DIFFERENT: 2 rows, last equal 20");
    const char *status = sidecar_run(&trio.shop, "status", NULL, NULL).output;
    print_message("%s", status);
    assert_non_null(strstr(status, "  item       billing    equal since 20"));
    assert_non_null(strstr(status, "  item       shipping   DIFFERENT: 2 rows, last equal 20"));
    assert_non_null(strstr(status, "keepstep copies "));
    expect_metric(port, "\",result=\"missing\"} 2\n");
    expect_metric(port, "\",result=\"equal\"} 10\n");
    expect_metric(
        port,
        "\nkeepstep_verify_equal_since_timestamp_seconds{service=\"billing\",type=\"item\",topic=");
    expect_metric(port, "\nkeepstep_verify_seconds{service=\"billing\",type=\"item\",topic=");
    assert_int_equal(REPAIR(&trio.shipping, &trio.shop, "item").exit_code, EX_OK);
    expect_metric(port, repaired(&trio.shipping, 2));
    process_kill(trio.shipping.process);
    const char *answer = copies(&trio.shop, "forget", "shipping");
    assert_non_null(strstr(answer, "shipping is forgotten\n"));
    sidecar_start(&trio.shipping, NULL);
    expect(&trio.shop, "--json", "\"members\":3,");
    expect(&trio.shop, NULL, "never verified");
    trio_end(&trio);
}

/* Ask a sidecar whether shop's event `sequence` has arrived. */
static void expect_wait(int port, int code, const char *parameters, const char *text)
{
    struct buffer body;
    buffer_init(&body, 1 << 16);
    int got = http_get("127.0.0.1", test_format("%d", port), test_format("/wait?%s", parameters),
                       &body);
    if (got != code || strstr(buffer_text(&body), text) == NULL)
        test_fail("no %d \"%s\" at %s: %d %s", code, text, parameters, got, buffer_text(&body));
    buffer_done(&body);
}

static const char *token_of(const struct trio *trio, int sequence)
{
    const char *incarnation = sqlite_text(trio->shop.database,
                                          "SELECT incarnation FROM keepstep_relay");
    return test_format("token=shop/%.*s/%s:0=%d", (int)strcspn(incarnation, "\n"), incarnation,
                       sidecar_topic("item"), sequence);
}

static const char refused[] = "too many wait: ask again later";

/* The clients of which some are refused. */
struct crowd {
    struct process *clients[20];
    int ended;
};

static bool four_are_refused(void *context)
{
    struct crowd *crowd = context;
    crowd->ended = 0;
    for (int i = 0; i < 20; i++)
        crowd->ended += !process_running(crowd->clients[i]) &&
                        strstr(process_output(crowd->clients[i]), refused) != NULL;
    return crowd->ended == 4;
}

/* @return a client that waits for a minute. */
static struct process *wait_at(int port, int number, const char *parameters)
{
    const char *const argv[] = {
        "curl", "-sS",
        test_format("http://127.0.0.1:%d/wait?%s&timeout_ms=60000", port, parameters), NULL};
    return process_start(test_format("waiter-%d", number), argv, NULL);
}

static void a_request_waits_for_a_token_and_never_too_long(void **state)
{
    struct trio trio = {.kafka = kafka_start()};
    struct crowd crowd = {0};
    (void)state;
    load_need("curl");
    trio.shop = sidecar_make(trio.kafka, "shop", SIDECAR_ITEM_DDL, publishes);
    trio.billing = sidecar_make(trio.kafka, "billing", NULL, applies);
    trio.shipping = sidecar_make(trio.kafka, "shipping", NULL, applies);
    int shop = sidecar_listen(&trio.shop);
    int billing = sidecar_listen(&trio.billing);
    sidecar_begin(&trio.shop);
    sidecar_begin(&trio.billing);
    sidecar_begin(&trio.shipping);
    write_items(&trio, 1, 10);
    expect(&trio.shop, NULL, "3 members");
    expect(&trio.shop, NULL,
           "  billing              complete   applied 0 behind, durable 0 behind\n"
           "  shipping             complete   applied 0 behind, durable 0 behind\n");
    expect(&trio.shop, "--json", "\"end_offset\":10,\"quorum_offset\":10}");
    const char *tenth = token_of(&trio, 10);
    static const char *const scopes[] = {"self", "billing", "shipping", "shop", "quorum", "all"};
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        const char *asked = test_format("%s&at=%s&timeout_ms=4900", tenth, scopes[i]);
        expect_wait(shop, 200, asked,
                    "{\"state\":\"fulfilled\",\"reason\":null,\"control_offset\":");
        expect_wait(billing, 200, asked, "{\"state\":\"fulfilled\",");
    }
    expect_wait(shop, 400, "token=shop/1&at=quorum", "{\"error\":\"");
    expect_wait(shop, 400, test_format("%s&at=nobody", tenth), "no copy or publisher is called ");

    process_signal(trio.billing.process, SIGSTOP);
    process_signal(trio.shipping.process, SIGSTOP);
    assert_true(process_wait_stopped(trio.billing.process, WAIT_MS));
    assert_true(process_wait_stopped(trio.shipping.process, WAIT_MS));
    write_items(&trio, 11, 12);
    assert_true(sqlite_wait_for(trio.shop.database,
                                "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                                "12\n", WAIT_MS));
    const char *twelfth = token_of(&trio, 12);
    expect_wait(shop, 200, test_format("%s&at=self", twelfth), "{\"state\":\"fulfilled\",");
    expect(&trio.shop, "--json", "\"end_offset\":12,\"quorum_offset\":10}");
    struct process *first = wait_at(shop, 20, test_format("%s&at=quorum", twelfth));
    expect_wait(shop, 200, test_format("%s&at=quorum&timeout_ms=2000", twelfth),
                "{\"state\":\"unknown\",\"reason\":\"all but 1 of 3 members lacks ");

    process_signal(trio.billing.process, SIGCONT);
    assert_int_equal(process_wait(first, WAIT_MS), 0);
    assert_non_null(strstr(process_output(first), "{\"state\":\"fulfilled\","));

    for (int i = 0; i < 20; i++)
        crowd.clients[i] = wait_at(shop, i, test_format("%s&at=all", twelfth));
    if (!test_wait(four_are_refused, &crowd, WAIT_MS))
        test_fail("%d of 20 are refused", crowd.ended);
    expect_metric(shop, "keepstep_build_info");
    sidecar_stop(&trio.shop); /* within 20 s, while sixteen wait for a minute */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(process_wait(crowd.clients[i], WAIT_MS), 0);
        const char *answer = process_output(crowd.clients[i]);
        if (strstr(answer, refused) == NULL && strstr(answer, "the sidecar stops") == NULL)
            test_fail("%s", answer);
    }
    process_signal(trio.shipping.process, SIGCONT);
    sidecar_stop(&trio.billing);
    sidecar_stop(&trio.shipping);
}

static void verify_works_without_a_control_topic(void **state)
{
    struct kafka *kafka = kafka_start();
    (void)state;
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       test_format("control_topic: \"\"\n%s", publishes));
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          test_format("control_topic: \"\"\n%s", applies));
    const struct sidecar *const all[] = {&shop, &billing, NULL};
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'a', 1)");
    sidecar_expect(&billing, "SELECT count(*) FROM items", "1\n");
    struct process_result result = VERIFY(all, "item");
    if (result.exit_code != EX_OK || result.errors[0] != '\0')
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    assert_non_null(strstr(sidecar_run(&shop, "status", "--json", NULL).output, "\"types\":null"));
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(everybody_sees_who_is_where_and_says_who_counts, 180),
        TEST_WITH_LIMIT(the_quorum_moves_only_with_a_majority, 180),
        TEST_WITH_LIMIT(a_killed_copy_stays_until_it_is_forgotten_and_comes_back, 180),
        TEST_WITH_LIMIT(a_restored_copy_holds_what_its_backup_has_until_it_has_read_on, 180),
        TEST_WITH_LIMIT(a_parked_record_is_shown_and_who_else_refuses_it, 180),
        TEST_WITH_LIMIT(copies_in_three_databases_report_with_their_roles, 300),
        TEST_WITH_LIMIT(a_topic_that_another_program_made_is_refused_and_nothing_stops, 180),
        TEST_WITH_LIMIT(the_metrics_have_the_members, 180),
        TEST_WITH_LIMIT(a_request_waits_for_a_token_and_never_too_long, 180),
        TEST_WITH_LIMIT(verify_works_without_a_control_topic, 180),
        TEST_WITH_LIMIT(what_verify_found_is_shown_by_every_service_until_a_copy_is_forgotten, 180),
    };
    return TEST_RUN(tests);
}
