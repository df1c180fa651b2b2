/* What real sidecars answer over HTTP: as docs/openapi.yaml has it, on each product, and also while
 * the database or the broker is away. labels: early */
#include "tests/support/database.h"
#include "tests/support/http.h"
#include "tests/support/sidecar.h"

#include "common/clock.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN     "a-token-of-thirty-two-characters"
#define BEARER    "Authorization: Bearer " TOKEN "\r\n"
#define WHO       "Keepstep-Who: anna\r\n"
#define COPIES    3
#define ASKED     100
#define LISTING   ((size_t)64 * 1024)
#define OPENAPI   KEEPSTEP_SOURCE_DIR "/docs/openapi.yaml"
#define ROUTES    KEEPSTEP_SOURCE_DIR "/operate/page/page.c"
#define VALIDATOR KEEPSTEP_SOURCE_DIR "/tests/support/openapi/"
#define PUBLISHES "publish:\n  item: {table: items, partitions: 1}\n"
#define BOTH_WAYS                                                                                  \
    "publish:\n  extra: {table: extra, partitions: 1}\napply:\n  item: {table: items, "            \
    "partitions: 1}\n"
#define APPLIES "apply:\n  item: {table: items, partitions: 1}\n"
#define SERVER_DDL                                                                                 \
    "CREATE TABLE items(id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount BIGINT)"

struct copy {
    enum database_kind kind;
    const char *name;
    const char *entries;
    struct sidecar sidecar;
    int port;
    int64_t parked_id;
};

struct world {
    struct kafka *kafka;
    struct sidecar shop; /* only publishes */
    int shop_port;
    struct copy copies[COPIES]; /* one on each product; the last one publishes too */
    char answers[64 * 1024];    /* a line for each answer that was given */
    int answer_count;
};

/* Keep an answer for the validator, and see that its code is the wanted one.
 * @param path  as the document has it; `asked` is what was asked. */
static struct http_reply expect(struct world *world, int port, const char *request,
                                const char *asked, const char *headers, int code)
{
    char method[8];
    char path[64];
    char type[64] = "-";
    assert_int_equal(sscanf(request, "%7s %63s", method, path), 2);
    struct http_reply reply = http_send_request(port, method, asked, headers);
    if (reply.code != code)
        test_fail("%s %s: %d instead of %d\n%s%s", method, asked, reply.code, code, reply.headers,
                  reply.body);
    const char *content_type = strstr(reply.headers, "\r\nContent-Type: ");
    if (content_type != NULL)
        (void)sscanf(content_type, "\r\nContent-Type: %63[^;\r]", type);
    const char *file = test_path("answer-%d", world->answer_count++);
    test_write_file(file, reply.body);
    size_t length = strlen(world->answers);
    (void)snprintf(world->answers + length, sizeof world->answers - length, "%s %s %d %s %s\n",
                   method, path, code, type, file);
    return reply;
}

static struct http_reply get(struct world *world, int port, const char *path, int code)
{
    return expect(world, port, test_format("GET %s", path), path, "", code);
}

struct wanted {
    int port;
    const char *path;
    const char *text;
    struct http_reply reply;
};

static bool is_there(void *context)
{
    struct wanted *wanted = context;
    wanted->reply = http_send_request(wanted->port, "GET", wanted->path, "");
    return strstr(wanted->reply.body, wanted->text) != NULL;
}

/* Wait until an answer has a text. @return the answer's body. */
static const char *wait_for(int port, const char *path, const char *text)
{
    struct wanted wanted = {port, path, text, {0}};
    if (!test_wait(is_there, &wanted, 40000))
        test_fail("%s never has %s:\n%s", path, text, wanted.reply.body);
    return wanted.reply.body;
}

static void add_yaml(const struct sidecar *sidecar, const char *line)
{
    FILE *file = fopen(sidecar->config, "a");
    assert_non_null(file);
    assert_true(fputs(line, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_copy(struct world *world, struct copy *copy, const char *token_file)
{
    copy->sidecar = copy->kind == DATABASE_SQLITE
                        ? sidecar_make(world->kafka, copy->name, SIDECAR_ITEM_DDL, copy->entries)
                        : sidecar_make_on(world->kafka, copy->name,
                                          database_make(copy->kind, copy->name), copy->entries);
    if (copy->kind != DATABASE_SQLITE)
        (void)database_text(copy->sidecar.url, SERVER_DDL);
    if (strcmp(copy->entries, BOTH_WAYS) == 0)
        (void)database_text(copy->sidecar.url, "CREATE TABLE extra(id BIGINT PRIMARY KEY, name "
                                               "VARCHAR(100) NOT NULL, amount BIGINT)");
    copy->port = sidecar_listen(&copy->sidecar);
    add_yaml(&copy->sidecar, test_format("listen_token_file: %s\n", token_file));
    sidecar_begin(&copy->sidecar);
}

static void world_begin(struct world *world)
{
    static const struct copy copies[COPIES] = {
        {.kind = DATABASE_SQLITE, .name = "lite", .entries = APPLIES},
        {.kind = DATABASE_POSTGRESQL, .name = "billing", .entries = APPLIES},
        {.kind = DATABASE_MARIADB, .name = "stock", .entries = BOTH_WAYS}};
    const char *token_file = test_path("token");
    *world = (struct world){.kafka = kafka_start()};
    memcpy(world->copies, copies, sizeof copies);
    test_write_file(token_file, TOKEN "\n");
    assert_int_equal(chmod(token_file, 0600), 0);
    world->shop = sidecar_make(world->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISHES);
    world->shop_port = sidecar_listen(&world->shop);
    sidecar_begin(&world->shop);
    for (size_t i = 0; i < COPIES; i++)
        make_copy(world, &world->copies[i], token_file);
}

static void world_end(struct world *world)
{
    for (size_t i = 0; i < COPIES; i++)
        sidecar_stop(&world->copies[i].sidecar);
    sidecar_stop(&world->shop);
}

/* From now on a copy takes no amount of 100 or more; or does again. */
static void refuse_large(const struct copy *copy, bool refuse)
{
    const char *sql = refuse ? "ALTER TABLE items ADD CONSTRAINT few CHECK (amount < 100)"
                             : "ALTER TABLE items DROP CONSTRAINT few";
    if (copy->kind == DATABASE_SQLITE)
        sql = refuse ? "CREATE TRIGGER few BEFORE INSERT ON items WHEN NEW.amount >= 100 BEGIN "
                       "SELECT RAISE(ABORT, 'too many'); END"
                     : "DROP TRIGGER few";
    (void)database_text(copy->sidecar.url, sql);
}

/* Let each copy park the items 2 and 3, and see what the page says of it. */
static void park_at_all(struct world *world)
{
    for (size_t i = 0; i < COPIES; i++)
        refuse_large(&world->copies[i], true);
    (void)sqlite_text(world->shop.database,
                      "INSERT INTO items VALUES(1,'one',1),(2,'two',500),(3,'three',500)");
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *copy = &world->copies[i];
        (void)wait_for(copy->port, "/api/state",
                       "\"parked\":2,\"parked_held\":2,\"parked_waiting\":0");
        const char *state = get(world, copy->port, "/api/state", 200).body;
        assert_non_null(strstr(state,
                               "{\"question\":\"dropped\",\"verdict\":\"stopped\",\"reason\":"
                               "\"2 records are parked, 2 of them need a person\","
                               "\"next\":\"keepstep parked list"));
        assert_non_null(strstr(state, "\"actions\":true"));
    }
}

/* Read the list of a copy page by page, and one record. */
static void look_at_parked(struct world *world, struct copy *copy)
{
    const char *all = get(world, copy->port, "/api/parked", 200).body;
    assert_non_null(strstr(all, "\"entity_key\":\"{\\\"id\\\":2}\""));
    assert_non_null(strstr(all, "\"entity_key\":\"{\\\"id\\\":3}\""));
    assert_non_null(strstr(all, "\"more_after\":null}"));
    const char *first =
        expect(world, copy->port, "GET /api/parked", "/api/parked?limit=1", "", 200).body;
    long long id = 0;
    assert_int_equal(sscanf(first, "{\"records\":[{\"parked_id\":%lld,", &id), 1);
    assert_non_null(strstr(first, test_format("\"more_after\":%lld}", id)));
    const char *second = expect(world, copy->port, "GET /api/parked",
                                test_format("/api/parked?after=%lld&limit=1", id), "", 200)
                             .body;
    assert_null(strstr(second, test_format("{\"parked_id\":%lld,", id)));
    assert_non_null(strstr(second, "\"more_after\":null}"));
    copy->parked_id = id;
    const char *record = expect(world, copy->port, "GET /api/parked/{id}",
                                test_format("/api/parked/%lld", id), "", 200)
                             .body;
    assert_non_null(strstr(record, "\\\"name\\\":\\\"two\\\""));
    assert_non_null(strstr(record, "\"state\":\"held\""));
    (void)wait_for(copy->port, test_format("/api/parked/%lld", id),
                   "\"other_copies\":{\"applied\":0,\"parked\":2,\"behind\":0,\"unknown\":0}");
    (void)expect(world, copy->port, "GET /api/parked/{id}", "/api/parked/999999", "", 404);
    (void)expect(world, copy->port, "GET /api/parked/{id}", "/api/parked/none", "", 404);
    (void)expect(world, copy->port, "GET /api/parked", "/api/parked?limit=501", "", 400);
    (void)expect(world, copy->port, "GET /api/parked", "/api/parked?after=-1", "", 400);
}

static struct http_reply act(struct world *world, const struct copy *copy, const char *action,
                             const char *headers, int code)
{
    return expect(world, copy->port, test_format("POST /api/parked/{id}/%s", action),
                  test_format("/api/parked/%lld/%s", (long long)copy->parked_id, action), headers,
                  code);
}

/* A retry without a cure parks it again; with one it is applied. The next record is skipped. */
static void heal(struct world *world, struct copy *copy)
{
    bool is_last = copy == &world->copies[COPIES - 1];
    const char *again = act(world, copy, "retry", BEARER WHO, 200).body;
    assert_non_null(strstr(again, "\"outcome\":\"parked_again\",\"reason\":\""));
    refuse_large(copy, false);
    const char *applied = act(world, copy, "retry", BEARER WHO, 200).body;
    assert_non_null(strstr(applied, test_format("{\"parked_id\":%lld,\"outcome\":\"applied\"",
                                                (long long)copy->parked_id)));
    assert_string_equal(database_text(copy->sidecar.url, "SELECT name FROM items WHERE id = 2"),
                        "two\n");
    (void)act(world, copy, "retry", BEARER, 404);
    if (!is_last) /* the next one hears that this one has applied it */
        (void)wait_for(copy[1].port, test_format("/api/parked/%lld", (long long)copy[1].parked_id),
                       test_format("\"other_copies\":{\"applied\":%d,\"parked\":%d,\"behind\":0",
                                   (int)(copy - world->copies) + 1,
                                   COPIES - 2 - (int)(copy - world->copies)));
    copy->parked_id++;
    assert_non_null(strstr(act(world, copy, "skip", BEARER, 200).body, "\"outcome\":\"skipped\""));
    (void)act(world, copy, "skip", BEARER, 409);
    (void)act(world, copy, "retry", BEARER, 409);
    assert_string_equal(database_text(copy->sidecar.url, "SELECT count(*) FROM items"), "2\n");
    (void)wait_for(copy->port, "/api/state", "\"parked\":0,\"parked_held\":0,\"parked_waiting\":0");
    const char *log = process_errors(copy->sidecar.process);
    assert_non_null(strstr(log, "is to be tried again: asked for at the page by \\\"anna\\\" from "
                                "127.0.0.1"));
    assert_non_null(strstr(log, "is skipped: asked for at the page by \\\"\\\" from 127.0.0.1"));
    assert_null(strstr(log, TOKEN));
}

/* More are parked than a report lists. Another service's page knows how many. */
static void expect_all_counted(struct world *world, const struct copy *copy)
{
    refuse_large(copy, true);
    (void)sqlite_text(world->shop.database,
                      "WITH RECURSIVE n(i) AS (VALUES(101) UNION ALL SELECT i + 1 FROM n "
                      "WHERE i < 160) INSERT INTO items SELECT i, 'many', 500 FROM n");
    (void)wait_for(world->shop_port, "/api/fleet", "\"parked\":60,\"parked_is_minimum\":false");
}

/* Nobody changes anything without the token, and who guesses is not listened to for a while. */
static void only_the_token_opens(struct world *world, const struct copy *copy)
{
    struct http_reply reply = act(world, copy, "retry", "", 401);
    assert_true(http_reply_has(&reply, "WWW-Authenticate: Bearer"));
    (void)act(world, copy, "skip", "Authorization: Basic abc\r\n", 401);
    for (int i = 0; i < 10; i++)
        (void)act(world, copy, "skip", "Authorization: Bearer " TOKEN "x\r\n", 403);
    (void)act(world, copy, "skip", BEARER, 429);
    assert_null(strstr(process_errors(copy->sidecar.process), TOKEN));
    assert_non_null(
        strstr(process_errors(copy->sidecar.process), "a wrong token came from 127.0.0.1"));
    reply = expect(world, world->shop_port, "POST /api/parked/{id}/skip", "/api/parked/1/skip",
                   BEARER, 403);
    assert_non_null(strstr(reply.body, "listen_token_file"));
}

/* All other addresses, of a sidecar that only publishes, one that only applies, and one that does
 * both. */
static void ask_for_all_else(struct world *world, int port)
{
    (void)get(world, port, "/", 200);
    (void)expect(world, port, "GET /assets/{name}", "/assets/page.css", "", 200);
    (void)expect(world, port, "GET /assets/{name}", "/assets/nothing.css", "", 404);
    (void)get(world, port, "/metrics", 200);
    (void)get(world, port, "/healthz", 200);
    (void)get(world, port, "/readyz", 200);
    (void)expect(world, port, "GET /wait", "/wait?token=nonsense", "", 400);
    (void)get(world, port, "/api/state", 200);
    (void)get(world, port, "/api/fleet", 200);
    (void)get(world, port, "/api/parked", 200);
    (void)expect(world, port, "GET /joint/{id}", "/joint/order-42", "", 404);
    (void)expect(world, port, "GET /api/history", "/api/history?seconds=900", "", 200);
    (void)expect(world, port, "GET /api/history", "/api/history?seconds=3600", "", 200);
    (void)expect(world, port, "GET /api/history", "/api/history?seconds=86400", "", 200);
    (void)expect(world, port, "GET /api/history", "/api/history?seconds=7", "", 400);
    struct http_reply index = http_send_request(port, "GET", "/", "");
    const char *etag = strstr(index.headers, "\r\nETag: ");
    assert_non_null(etag);
    struct http_reply known = http_send_request(
        port, "GET", "/", test_format("If-None-Match: %.18s\r\n", etag + strlen("\r\nETag: ")));
    assert_int_equal(known.code, 304);
    assert_string_equal(known.body, "");
    assert_int_equal(
        http_send_raw(port, "GET /api/state HTTP/1.1\r\nHost: evil.example\r\n\r\n").code, 421);
}

/* What a page asks for every few seconds comes from memory. */
static void measure(int port)
{
    static const char *const paths[] = {"/api/state", "/api/fleet", "/api/history?seconds=86400"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int64_t begun_us = clock_monotonic_us();
        for (int j = 0; j < ASKED; j++)
            assert_int_equal(http_send_request(port, "GET", paths[i], "").code, 200);
        double each_ms = (double)(clock_monotonic_us() - begun_us) / 1e3 / ASKED;
        printf("# %s: %.2f ms\n", paths[i], each_ms);
        assert_true(each_ms < 50);
    }
}

static void validate(const struct world *world)
{
    const char *answers = test_path("answers");
    test_write_file(answers, world->answers);
    const char *const fetch[] = {VALIDATOR "fetch.sh", NULL};
    struct process_result tools = process_download("the OpenAPI validator", fetch, 400000);
    const char *python = test_format("%.*s", (int)strcspn(tools.output, "\n"), tools.output);
    struct process_result result = PROCESS_RUN(python, VALIDATOR "check.py", OPENAPI, ROUTES,
                                               answers);
    if (result.exit_code != 0)
        test_fail("%s%s", result.output, result.errors);
    printf("# %s", result.output);
}

static void answers_are_as_documented_and_parked_records_heal_over_http(void **state)
{
    static struct world world;
    (void)state;
    world_begin(&world);
    park_at_all(&world);
    for (size_t i = 0; i < COPIES; i++)
        look_at_parked(&world, &world.copies[i]);
    for (size_t i = 0; i < COPIES; i++)
        heal(&world, &world.copies[i]);
    expect_all_counted(&world, &world.copies[0]);
    only_the_token_opens(&world, &world.copies[0]);
    /* Four services and two types are known to each of them. */
    const char *fleet = wait_for(world.shop_port, "/api/fleet", "\"service\":\"stock\"");
    assert_non_null(strstr(fleet, "\"read_at\":\"2"));
    for (size_t i = 0; i < COPIES; i++)
        (void)wait_for(world.copies[i].port, "/api/fleet", "\"entity_type\":\"item\",\"topic\":\"");
    (void)wait_for(
        world.copies[1].port, "/api/history?seconds=900",
        "{\"name\":\"applied_per_s\",\"topic\":null,\"partition\":null,\"values\":[null,0");
    ask_for_all_else(&world, world.shop_port);
    ask_for_all_else(&world, world.copies[1].port);
    ask_for_all_else(&world, world.copies[2].port);
    measure(world.copies[2].port);
    validate(&world);
    world_end(&world);
}

/* @return how long a request took. */
static int64_t time_ms(int port, const char *path, int code)
{
    int64_t begun_us = clock_monotonic_us();
    struct http_reply reply = http_send_request(port, "GET", path, "");
    if (reply.code != code)
        test_fail("%s: %d instead of %d: %s", path, reply.code, code, reply.body);
    return (clock_monotonic_us() - begun_us) / 1000;
}

/* The ninth may be heard before one of the eight: then it waits as long as they do. */
static bool is_refused_as_ninth(void *context)
{
    int waiting[8];
    struct wanted *ninth = context;
    for (int i = 0; i < 8; i++)
        waiting[i] = http_connect_slowly(ninth->port,
                                         "GET /api/parked HTTP/1.1\r\nHost: localhost\r\n\r\n");
    bool is_refused = is_there(ninth);
    for (int i = 0; i < 8; i++)
        (void)close(waiting[i]);
    return is_refused;
}

/* Whoever asks for parked records of a database that does not answer waits, but not for ever, and
 * only a few do. */
static void ask_too_much(int port)
{
    struct wanted ninth = {port, "/api/parked", "too many ask at a time", {0}};
    if (!test_wait(is_refused_as_ninth, &ninth, 60000))
        test_fail("%d: %s", ninth.reply.code, ninth.reply.body);
    assert_int_equal(ninth.reply.code, 503);
}

static void it_answers_while_the_database_or_the_broker_is_away(void **state)
{
    struct copy billing = {.kind = DATABASE_POSTGRESQL, .name = "billing", .entries = APPLIES};
    static struct world world;
    int slow[64];
    (void)state;
    world = (struct world){.kafka = kafka_start()};
    const char *token_file = test_path("token");
    test_write_file(token_file, TOKEN);
    assert_int_equal(chmod(token_file, 0600), 0);
    kafka_create_topic(world.kafka, sidecar_topic("item"), 1,
                       "message.timestamp.type=LogAppendTime");
    make_copy(&world, &billing, token_file);
    (void)wait_for(billing.port, "/api/state", "{\"question\":\"fresh\",\"verdict\":\"ok\"");
    for (int i = 0; i < 64; i++)
        slow[i] = http_connect_slowly(billing.port,
                                      i % 2 == 0 ? "GET /api/state HTTP/1.1\r\n" : "");
    for (int i = 0; i < 5; i++)
        assert_true(time_ms(billing.port, "/healthz", 200) < 5000);
    for (int i = 0; i < 64; i++)
        (void)close(slow[i]);

    database_pause(DATABASE_POSTGRESQL);
    sidecar_produce(world.kafka, "e1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":1}");
    (void)wait_for(billing.port, "/api/state", "{\"question\":\"fresh\",\"verdict\":\"stalled\"");
    assert_true(time_ms(billing.port, "/api/parked", 503) < 30000);
    ask_too_much(billing.port);
    assert_true(time_ms(billing.port, "/api/state", 200) < 5000);
    assert_true(time_ms(billing.port, "/api/fleet", 200) < 5000);
    database_continue(DATABASE_POSTGRESQL);
    (void)wait_for(billing.port, "/api/parked", "{\"records\":[]");
    (void)wait_for(billing.port, "/api/state", "{\"question\":\"fresh\",\"verdict\":\"ok\"");

    kafka_pause(world.kafka);
    const char *stalled = wait_for(billing.port, "/api/state",
                                   "{\"question\":\"fresh\",\"verdict\":\"stalled\"");
    assert_non_null(strstr(stalled, "the broker does not answer for "));
    assert_true(time_ms(billing.port, "/api/parked", 200) < 5000);
    assert_true(time_ms(billing.port, "/api/fleet", 200) < 5000);
    kafka_continue(world.kafka);
    (void)wait_for(billing.port, "/api/state", "{\"question\":\"fresh\",\"verdict\":\"ok\"");
    sidecar_stop(&billing.sidecar);
}

/* @return what a start with this token says. It must not start. */
static const char *refused(const struct sidecar *sidecar, const char *const environment[])
{
    const char *const argv[] = {KEEPSTEP_BINARY, "run", "-c", sidecar->config, NULL};
    struct process_result result = process_run(argv, environment, 20000);
    assert_int_equal(result.exit_code, 78);
    return result.errors;
}

static void a_token_that_others_can_read_or_guess_keeps_the_sidecar_from_starting(void **state)
{
    const char *token_file = test_path("token");
    (void)state;
    struct sidecar lite = sidecar_make_at("127.0.0.1:1", "lite",
                                          test_format("sqlite:%s", test_path("lite.db")), APPLIES);
    (void)sidecar_listen(&lite);
    add_yaml(&lite, test_format("listen_token_file: %s\n", token_file));
    assert_non_null(strstr(refused(&lite, NULL), "listen_token_file: "));
    test_write_file(token_file, TOKEN "\n");
    assert_int_equal(chmod(token_file, 0644), 0);
    assert_non_null(strstr(refused(&lite, NULL), "is open to all users of this machine"));
    test_write_file(token_file, "too-short\n");
    assert_int_equal(chmod(token_file, 0600), 0);
    assert_non_null(strstr(refused(&lite, NULL), "is too short: it needs 16 characters"));
    const char *const variable[] = {"KEEPSTEP_LISTEN_TOKEN=two words that are long", NULL};
    const char *errors = refused(&lite, variable);
    assert_non_null(strstr(errors, "the token in KEEPSTEP_LISTEN_TOKEN holds a blank"));
    assert_null(strstr(errors, "two words"));
    add_yaml(&lite, "listen_token: " TOKEN "\n");
    errors = refused(&lite, NULL);
    assert_non_null(strstr(errors, "listen_token is a secret, and a configuration file must not"));
    assert_null(strstr(errors, TOKEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(answers_are_as_documented_and_parked_records_heal_over_http, 300),
        TEST_WITH_LIMIT(it_answers_while_the_database_or_the_broker_is_away, 300),
        TEST(a_token_that_others_can_read_or_guess_keeps_the_sidecar_from_starting),
    };
    return TEST_RUN(tests);
}
