/* Services ask for joint transactions over HTTP, and learn there what became of them, on each kind
 * of database. */
#include "tests/support/http.h"
#include "tests/support/joint_world.h"

#include "common/clock.h"
#include "schemas/joint_record.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN  "a-token-of-thirty-two-characters"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define CHANGES                                                                                    \
    "{\"timeout_ms\":60000,\"changes\":["                                                          \
    "{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"u\",\"add\":"             \
    "{\"amount\":-30}},{\"service\":\"bank\",\"type\":\"extra\",\"key\":{\"id\":1},\"op\":\"u\","  \
    "\"add\":{\"amount\":20}},{\"service\":\"web\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":"   \
    "\"u\",\"add\":{\"amount\":10}}]}"

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};

static struct http_reply post(int port, const char *path, const char *headers, const char *body)
{
    return http_send_raw(port, test_format("POST %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
                                           "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                                           path, port, headers, strlen(body), body));
}

static void expect_reply(struct http_reply reply, int code, const char *text)
{
    if (reply.code != code || strstr(reply.body, text) == NULL)
        test_fail("%d: %s, not %d with %s", reply.code, reply.body, code, text);
}

/* Each look waits some seconds by itself. */
static void expect_state(int port, const char *path, const char *state)
{
    const char *wanted = test_format("\"state\":\"%s\"", state);
    int64_t until = clock_monotonic_us() + JOINT_WORLD_WAIT_MS * INT64_C(1000);
    struct http_reply reply;
    do {
        reply = http_send_request(port, "GET", path, "");
        assert_int_equal(reply.code, 200);
        if (strstr(reply.body, wanted) != NULL)
            return;
        clock_sleep_us(20000);
    } while (clock_monotonic_us() < until);
    test_fail("%s is not %s: %s", path, state, reply.body);
}

static void begin(struct joint_world *world, int ports[static JOINT_SERVICES])
{
    assert_int_equal(setenv("KEEPSTEP_LISTEN_TOKEN", TOKEN, 1), 0);
    joint_world_begin(world, kinds, "");
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        ports[i] = sidecar_listen(&world->all[i]);
    joint_world_start_all(world);
}

static void any_service_asks_and_learns_what_became_of_it(void **state)
{
    struct joint_world world;
    int ports[JOINT_SERVICES];
    (void)state;
    begin(&world, ports);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *path = test_format("/joint/over-http-%zu", i);
        expect_reply(post(ports[i], path, BEARER "Keepstep-Who: anna\r\n", CHANGES), 202,
                     test_format("\"joint_id\":\"over-http-%zu\",\"proposer\":\"%s\",\"state\":\"",
                                 i, world.all[i].name));
        expect_state(ports[i], test_format("%s?timeout_ms=5000", path), "committed");
        /* The others know it under its proposer's name. */
        for (size_t other = 0; other < JOINT_SERVICES; other++) {
            expect_state(ports[other],
                         test_format("%s?timeout_ms=5000&proposer=%s", path, world.all[i].name),
                         "committed");
            expect_reply(http_send_request(ports[other], "GET", path, ""), other == i ? 200 : 404,
                         other == i ? "committed" : "knows no joint");
        }
        expect_reply(post(ports[i], path, BEARER, CHANGES), 409, "this id was used before");
        assert_non_null(strstr(process_errors(world.all[i].process), "asked for by \\\"anna\\\""));
    }
    joint_world_expect_amounts(&world, (const int[]){10, 160, 130});
    /* The shop has not so much any more. */
    expect_reply(post(ports[JOINT_WEB], "/joint/too-much", BEARER, CHANGES), 202, "too-much");
    expect_state(ports[JOINT_WEB], "/joint/too-much?timeout_ms=5000", "aborted");
    assert_string_equal(joint_world_outcome(&world, "too-much"), "aborted\n");
    joint_world_expect_amounts(&world, (const int[]){10, 160, 130});
    joint_world_stop_all(&world);
}

static void what_makes_no_sense_or_has_no_token_is_refused(void **state)
{
    static const struct {
        const char *path;
        const char *headers;
        const char *body;
        int code;
        const char *text;
    } cases[] = {
        {"/joint/a", "", CHANGES, 401, "a token is needed"},
        {"/joint/a", "Authorization: Bearer wrong\r\n", CHANGES, 403, "not the token"},
        {"/joint/a", BEARER, "", 400, "docs/PROTOCOL.md, section 14"},
        {"/joint/a", BEARER, "{\"changes\":[]}", 400, "an array of 1 to 100 changes"},
        {"/joint/a", BEARER, "{\"changes\":[{\"service\":\"shop\"}]}", 400, "changes[0]"},
        {"/joint/a", BEARER, "{\"timeout_ms\":0,\"changes\":[]}", 400, "timeout_ms"},
        {"/joint/a?timeout_ms=1", BEARER, CHANGES, 400, "waits by GET"},
        {"/joint/a?proposer=shop", BEARER, CHANGES, 400, "in its own name"},
    };
    struct joint_world world;
    int ports[JOINT_SERVICES];
    (void)state;
    begin(&world, ports);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_reply(post(ports[JOINT_BANK], cases[i].path, cases[i].headers, cases[i].body),
                     cases[i].code, cases[i].text);
    char *large = calloc(1, JOINT_BYTES_MAX + 2);
    assert_non_null(large);
    memset(large, ' ', JOINT_BYTES_MAX + 1);
    expect_reply(post(ports[JOINT_BANK], "/joint/a", BEARER, large), 413, "too large");
    free(large);
    expect_reply(http_send_request(ports[JOINT_BANK], "GET", "/joint/a", ""), 404,
                 "knows no joint transaction");
    static const char *const waits[] = {"x", "", "-1", "15001", "9223372036854775807"};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        const char *path = test_format("/joint/a?timeout_ms=%s", waits[i]);
        expect_reply(http_send_request(ports[JOINT_BANK], "GET", path, ""), 400, "from 0 to 15000");
    }
    assert_int_equal(joint_world_number(&world, JOINT_BANK, "SELECT count(*) FROM keepstep_joint"),
                     0);
    joint_world_stop_all(&world);
}

struct waiter {
    int port;
    int code;
    pthread_t thread;
};

static void *wait_for_decision(void *context)
{
    struct waiter *waiter = context;
    waiter->code = http_send_request(waiter->port, "GET",
                                     "/joint/undecided?timeout_ms=15000&proposer=bank", "")
                       .code;
    return NULL;
}

/* They need no token. So they must not keep those out who have one. */
static void who_waits_for_a_decision_leaves_places_to_others(void **state)
{
    enum { COUNT = 8, PLACES = 4 };
    struct joint_world world;
    struct waiter waiters[COUNT];
    int ports[JOINT_SERVICES];
    int answered = 0;
    (void)state;
    begin(&world, ports);
    sidecar_stop(&world.all[JOINT_WEB]);
    expect_reply(post(ports[JOINT_BANK], "/joint/undecided", BEARER, CHANGES), 202, "undecided");
    for (int i = 0; i < COUNT; i++) {
        waiters[i] = (struct waiter){.port = ports[JOINT_BANK]};
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_for_decision, &waiters[i]),
                         0);
    }
    clock_sleep_us(1000000);
    expect_reply(http_send_request(ports[JOINT_BANK], "GET", "/api/parked", ""), 200, "records");
    expect_reply(post(ports[JOINT_BANK], "/joint/another", BEARER, CHANGES), 202, "another");
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
        assert_true(waiters[i].code == 200 || waiters[i].code == 503);
        answered += waiters[i].code == 200;
    }
    assert_in_range(answered, 1, PLACES);
    sidecar_start(&world.all[JOINT_WEB], NULL);
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(any_service_asks_and_learns_what_became_of_it, 240),
        TEST_WITH_LIMIT(what_makes_no_sense_or_has_no_token_is_refused, 200),
        TEST_WITH_LIMIT(who_waits_for_a_decision_leaves_places_to_others, 240),
    };
    return TEST_RUN(tests);
}
