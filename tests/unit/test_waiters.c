/* GET /wait over real HTTP, with looks that the test makes up. */
#include "operate/http_client.h"
#include "operate/wait/waiters.h"
#include "tests/support/test.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define TOKEN "shop/0193583c-0000-7000-8000-000000000001/order:0=7"

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_RETRY, ANSWER_WRONG, ANSWER_NEVER, ANSWER_HANGS };

/* What the looks see: at the own service, and elsewhere. */
static atomic_int here = ANSWER_NO;
static atomic_int elsewhere = ANSWER_NO;

static enum status look(struct wait_view *view, struct wait_goal *goal,
                        struct wait_state *ret_state, struct error *err)
{
    atomic_int *answer = goal->scope == WAIT_HERE ? &here : &elsewhere;
    (void)view;
    if (strcmp(goal->text, TOKEN) != 0)
        return error_set(err, STATUS_FATAL, "another token");
    while (atomic_load(answer) == ANSWER_HANGS)
        clock_sleep_us(1000);
    *ret_state = (struct wait_state){.fulfilled = atomic_load(answer) == ANSWER_YES,
                                     .control_offset = goal->scope == WAIT_HERE ? -1 : 12,
                                     .reason = ""};
    if (atomic_load(answer) == ANSWER_NO)
        (void)snprintf(ret_state->reason, sizeof ret_state->reason, "somebody lacks it");
    if (atomic_load(answer) == ANSWER_RETRY)
        return error_set(err, STATUS_RETRY, "secret host");
    if (atomic_load(answer) == ANSWER_WRONG) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL, "nobody is called so");
    }
    return atomic_load(answer) == ANSWER_NEVER ? error_set(err, STATUS_FATAL, "secret login")
                                               : STATUS_OK;
}

static void give_health(void *context, struct http_request *request)
{
    const struct http_answer answer = {.code = HTTP_OK, .body = slice_of("ok\n")};
    (void)context;
    http_give(request, &answer);
}

struct server {
    char name[8];
    char control_topic[16];
    struct config config;
    struct service service;
    struct waiters *waiters;
    struct http_route routes[2];
    struct http *http;
    atomic_bool stop;
    pthread_t thread;
};

static void *run(void *context)
{
    struct server *server = context;
    waiters_run(server->waiters, &server->stop);
    return NULL;
}

static void server_open(struct server *server)
{
    struct error err = ERROR_INIT;
    *server = (struct server){.name = "shop", .control_topic = "keepstep"};
    server->config.service = server->name;
    server->config.control_topic = server->control_topic;
    server->service.config = &server->config;
    atomic_store(&here, ANSWER_NO);
    atomic_store(&elsewhere, ANSWER_NO);
    assert_int_equal(waiters_new(&server->service, look, &server->waiters, &err), STATUS_OK);
    server->routes[0] = (struct http_route){"GET", "/wait", waiters_page, server->waiters, true,
                                            true,  0};
    server->routes[1] = (struct http_route){"GET", "/healthz", give_health, NULL, false, true, 0};
    const struct http_options options = {
        .listen = "127.0.0.1:0", .routes = server->routes, .route_count = 2};
    assert_int_equal(http_open(&options, &server->http, &err), STATUS_OK);
}

static void server_stop(struct server *server)
{
    atomic_store(&server->stop, true);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
}

static void server_close(struct server *server)
{
    http_close(server->http);
    waiters_free(server->waiters);
}

/* @return the body. */
static const char *ask(const struct server *server, const char *path, int *ret_code)
{
    struct buffer body;
    buffer_init(&body, 1 << 16);
    *ret_code = http_get("127.0.0.1", test_format("%u", http_port(server->http)), path, &body);
    const char *text = test_format("%s", buffer_text(&body));
    buffer_done(&body);
    return text;
}

static void expect(const struct server *server, const char *parameters, int code, const char *text)
{
    int got = 0;
    const char *body = ask(server, test_format("/wait?%s", parameters), &got);
    if (got != code || strstr(body, text) == NULL)
        test_fail("%s: %d %s", parameters, got, body);
}

struct question {
    const struct server *server;
    const char *parameters;
    const char *text;
};

static bool is_answered_so(void *context)
{
    const struct question *question = context;
    int code = 0;
    const char *body = ask(question->server, test_format("/wait?%s", question->parameters), &code);
    return code == 200 && strstr(body, question->text) != NULL;
}

/* A look may come too late for the first time that is given. */
static void expect_soon(const struct server *server, const char *parameters, const char *text)
{
    struct question question = {server, parameters, text};
    if (!test_wait(is_answered_so, &question, 20000))
        test_fail("%s: no %s", parameters, text);
}

static bool is_running(void *context)
{
    int code = 0;
    const char *body = ask(context, "/wait?token=" TOKEN "&at=self&timeout_ms=1", &code);
    return strstr(body, "starts or stops") == NULL;
}

static void server_run(struct server *server)
{
    server_open(server);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    assert_true(test_wait(is_running, server, 10000));
}

/* @return a socket whose request is sent. */
static int begin(const struct server *server, const char *parameters)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)http_port(server->http)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *request = test_format("GET /wait?%s HTTP/1.1\r\nHost: x\r\n\r\n", parameters);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    assert_true(send(peer, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    return peer;
}

/* The answer, until the server closes. */
static void expect_end(int peer, const char *status, const char *text)
{
    char answer[4096] = "";
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < sizeof answer - 1) {
        got = recv(peer, answer + length, sizeof answer - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(peer);
    if (strncmp(answer, status, strlen(status)) != 0 || strstr(answer, text) == NULL)
        test_fail("%s", answer);
}

static void it_is_fulfilled_or_unknown_when_the_time_is_over(void **state)
{
    struct server server;
    (void)state;
    server_run(&server);
    int64_t begun_us = clock_monotonic_us();
    expect_soon(&server, "token=" TOKEN "&at=quorum&timeout_ms=300",
                "{\"state\":\"unknown\",\"reason\":\"somebody lacks it\",\"control_offset\":12}\n");
    assert_true(clock_monotonic_us() - begun_us >= 300000);
    int peer = begin(&server, "token=" TOKEN "&at=all&timeout_ms=60000");
    clock_sleep_us(200000);
    atomic_store(&elsewhere, ANSWER_YES);
    expect_end(peer, "HTTP/1.1 200 ",
               "{\"state\":\"fulfilled\",\"reason\":null,\"control_offset\":12}\n");
    expect(&server, "at=billing&token=shop%2F0193583c-0000-7000-8000-000000000001%2Forder:0%3D7",
           200, "\"fulfilled\"");
    atomic_store(&here, ANSWER_YES);
    atomic_store(&elsewhere, ANSWER_NO);
    expect(&server, "token=" TOKEN "&at=self", 200, "\"control_offset\":null}");
    expect(&server, "token=" TOKEN "&at=shop", 200, "\"control_offset\":null}");
    server_stop(&server);
    server_close(&server);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "token=" TOKEN,
                                        "at=quorum",
                                        "token=" TOKEN "&at=",
                                        "token=" TOKEN "&at",
                                        "token=shop&at=quorum",
                                        "token=" TOKEN "&at=quorum&timeout_ms=0",
                                        "token=" TOKEN "&at=quorum&timeout_ms=60001",
                                        "token=" TOKEN "&at=quorum&timeout_ms=-1",
                                        "token=" TOKEN "&at=quorum&timeout_ms=5s",
                                        "token=" TOKEN "&at=quorum&timeout_ms="};
    struct server server;
    (void)state;
    server_run(&server);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(&server, wrong[i], 400, "{\"error\":\"");
    atomic_store(&elsewhere, ANSWER_WRONG);
    expect(&server, "token=" TOKEN "&at=bill", 400, "nobody is called so");
    atomic_store(&elsewhere, ANSWER_NEVER);
    expect(&server, "token=" TOKEN "&at=bill", 503, "nothing can be asked here");
    atomic_store(&elsewhere, ANSWER_RETRY);
    expect_soon(&server, "token=" TOKEN "&at=bill&timeout_ms=200",
                "\"reason\":\"the database or the");
    server.control_topic[0] = '\0';
    expect(&server, "token=" TOKEN "&at=all", 503, "only at=self");
    server_stop(&server);
    server_close(&server);
}

static void more_than_sixteen_are_refused_and_the_other_pages_answer(void **state)
{
    struct server server;
    int peers[WAITERS_MAX];
    int code = 0;
    (void)state;
    server_run(&server);
    for (int i = 0; i < WAITERS_MAX; i++)
        peers[i] = begin(&server, i % 2 == 0 ? "token=" TOKEN "&at=all&timeout_ms=60000"
                                             : "token=" TOKEN "&at=self&timeout_ms=60000");
    /* However many connect, none that waits is closed. */
    for (int i = 0; i < 40; i++) {
        (void)ask(&server, "/healthz", &code);
        assert_int_equal(code, 200);
    }
    expect(&server, "token=" TOKEN "&at=self&timeout_ms=1", 503, "too many wait");
    (void)ask(&server, "/healthz", &code);
    assert_int_equal(code, 200);
    atomic_store(&here, ANSWER_YES);
    atomic_store(&elsewhere, ANSWER_YES);
    for (int i = 0; i < WAITERS_MAX; i++)
        expect_end(peers[i], "HTTP/1.1 200 ", "\"fulfilled\"");
    expect(&server, "token=" TOKEN "&at=self", 200, "\"fulfilled\"");
    server_stop(&server);
    server_close(&server);
}

static void a_look_that_hangs_keeps_nobody_beyond_his_time(void **state)
{
    struct server server;
    (void)state;
    server_run(&server);
    atomic_store(&elsewhere, ANSWER_HANGS);
    atomic_store(&here, ANSWER_YES);
    expect(&server, "token=" TOKEN "&at=all&timeout_ms=300", 200,
           "\"nothing was seen in this time\"");
    expect(&server, "token=" TOKEN "&at=quorum&timeout_ms=300", 200, "\"unknown\"");
    expect(&server, "token=" TOKEN "&at=self", 200, "\"fulfilled\"");
    atomic_store(&elsewhere, ANSWER_YES);
    expect(&server, "token=" TOKEN "&at=quorum", 200, "\"fulfilled\"");
    server_stop(&server);
    server_close(&server);
}

static void at_the_end_all_are_answered_at_once(void **state)
{
    struct server server;
    int peers[3];
    (void)state;
    server_open(&server);
    expect(&server, "token=" TOKEN "&at=self", 503, "starts or stops");
    server_close(&server);
    server_run(&server);
    for (int i = 0; i < 3; i++)
        peers[i] = begin(&server, "token=" TOKEN "&at=all&timeout_ms=60000");
    int64_t begun_us = clock_monotonic_us();
    server_stop(&server);
    assert_true(clock_monotonic_us() - begun_us < 10000000);
    for (int i = 0; i < 3; i++)
        expect_end(peers[i], "HTTP/1.1 503 ", "stops\"");
    expect(&server, "token=" TOKEN "&at=self", 503, "starts or stops");
    server_close(&server);
}

/* Who goes away is noticed at the end of his time at the latest. */
static void who_goes_away_leaves_his_place(void **state)
{
    struct server server;
    (void)state;
    server_run(&server);
    for (int i = 0; i < WAITERS_MAX; i++)
        (void)close(begin(&server, "token=" TOKEN "&at=all&timeout_ms=500"));
    expect_soon(&server, "token=" TOKEN "&at=all&timeout_ms=100", "\"unknown\"");
    server_stop(&server);
    server_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_fulfilled_or_unknown_when_the_time_is_over),
        TEST(what_cannot_be_asked_is_refused),
        TEST(more_than_sixteen_are_refused_and_the_other_pages_answer),
        TEST(a_look_that_hangs_keeps_nobody_beyond_his_time),
        TEST(at_the_end_all_are_answered_at_once),
        TEST(who_goes_away_leaves_his_place),
    };
    return TEST_RUN(tests);
}
