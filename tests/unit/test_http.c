/* The server over a table of routes: which handler answers, what is refused, and who is kept out.
 */
#include "tests/support/http.h"

#include "operate/command.h"
#include "operate/http.h"

#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define CSP                                                                                        \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "img-src 'self' data:; connect-src 'self'; font-src 'none'; frame-ancestors 'none'; "          \
    "base-uri 'none'; form-action 'none'"

static void give_health(void *context, struct http_request *request)
{
    const struct http_answer answer = {
        .code = HTTP_OK, .content_type = "text/plain", .body = slice_of("ok\n")};
    (void)context;
    http_give(request, &answer);
}

static void give_readiness(void *context, struct http_request *request)
{
    const bool *is_ready = context;
    const struct http_answer answer = {.code = *is_ready ? HTTP_OK : HTTP_UNAVAILABLE,
                                       .body = slice_of("so it is\n")};
    http_give(request, &answer);
}

/* Say what the request was. */
static void give_echo(void *context, struct http_request *request)
{
    char peer[HTTP_PEER_SIZE];
    struct buffer body;
    const char *color = http_parameter(request, "color");
    const char *who = http_header(request, "Keepstep-Who");
    (void)context;
    http_peer(request, peer);
    buffer_init(&body, 1 << 16);
    buffer_append_format(&body, "part=%s color=%s who=%s peer=%s", http_part(request),
                         color == NULL ? "none" : color, who == NULL ? "none" : who, peer);
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

/* An answer that is larger than it may be is none. */
static void give_half(void *context, struct http_request *request)
{
    struct buffer body;
    (void)context;
    buffer_init(&body, 4);
    buffer_append_text(&body, "more than four bytes");
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

static bool is_ready = true;
static const struct http_route routes[] = {
    {"GET", "/healthz", give_health, NULL, false, true, 0},
    {"GET", "/readyz", give_readiness, &is_ready, false, true, 0},
    {"GET", "/thing/*", give_echo, NULL, false, false, 0},
    {"POST", "/thing/*", give_echo, NULL, false, false, 0},
    {"POST", "/thing/*/act", give_echo, NULL, false, false, 0},
    {"GET", "/half", give_half, NULL, false, false, 0},
};
#define ROUTES (sizeof routes / sizeof *routes)

static struct http *server_open(const char *listen)
{
    static const char *const hosts[] = {"shop.example", "other.example"};
    const struct http_options options = {
        .listen = listen, .routes = routes, .route_count = ROUTES, .hosts = hosts, .host_count = 2};
    struct http *http = NULL;
    struct error err = ERROR_INIT;
    if (http_open(&options, &http, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return http;
}

static enum status server_try(const char *listen, struct http **ret_http, struct error *err)
{
    const struct http_options options = {.listen = listen, .routes = routes, .route_count = ROUTES};
    return http_open(&options, ret_http, err);
}

static int port_of(const struct http *http)
{
    return (int)http_port(http);
}

static int ask(const struct http *http, const char *path)
{
    char *url = (char *)(uintptr_t)test_format("http://127.0.0.1:%u%s", http_port(http), path);
    char name[] = "healthcheck";
    char flag[] = "--url";
    char *argv[] = {name, flag, url, NULL};
    return command_healthcheck.run(&command_healthcheck, 3, argv);
}

static void a_listen_address_is_host_and_port(void **state)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    (void)state;
    assert_true(http_parse_listen("[::1]:80", host, port));
    assert_string_equal(host, "::1");
    assert_true(http_parse_listen(":9464", host, port));
    assert_string_equal(host, "127.0.0.1");
    assert_false(http_parse_listen("localhost", host, port));
    assert_false(http_parse_listen("localhost:70000", host, port));
    assert_false(http_parse_listen("localhost:", host, port));
}

static void a_path_and_a_method_find_their_route(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        int route; /* -1: none */
        const char *part;
        const char *allow;
    } cases[] = {
        {"GET", "/healthz", 0, "", "GET, HEAD"},
        {"HEAD", "/healthz", 0, "", "GET, HEAD"},
        {"POST", "/healthz", -1, "", "GET, HEAD"},
        {"GET", "/thing/7", 2, "7", "GET, HEAD, POST"},
        {"POST", "/thing/7", 3, "7", "GET, HEAD, POST"},
        {"POST", "/thing/seven/act", 4, "seven", "POST"},
        {"GET", "/thing/seven/act", -1, "", "POST"},
        {"GET", "/thing/", -1, "", ""},
        {"GET", "/thing", -1, "", ""},
        {"POST", "/thing//act", -1, "", ""},
        {"GET", "/thing/7/", -1, "", ""},
        {"GET", "/thing/7/8", -1, "", ""},
        {"GET", "/healthz/", -1, "", ""},
        {"GET", "/", -1, "", ""},
        {"get", "/healthz", -1, "", "GET, HEAD"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_match match;
        http_match(routes, ROUTES, cases[i].method, cases[i].path, &match);
        int route = match.route == NULL ? -1 : (int)(match.route - routes);
        if (route != cases[i].route || strcmp(match.allow, cases[i].allow) != 0 ||
            match.part_length != strlen(cases[i].part) ||
            memcmp(match.part_length == 0 ? "" : match.part, cases[i].part, match.part_length) != 0)
            test_fail("%s %s: route %d, allow %s, part of %zu", cases[i].method, cases[i].path,
                      route, match.allow, match.part_length);
    }
}

static void only_addresses_and_names_of_this_machine_are_known_hosts(void **state)
{
    static const char *const hosts[] = {"shop.example"};
    static const char *const known[] = {
        "127.0.0.1",    "127.0.0.1:9464",    "[::1]",          "[::1]:9464",       "10.1.2.3:80",
        "localhost",    "LOCALHOST:9464",    "localhost.",     "shop.localhost:1", "shop.example",
        "Shop.Example", "shop.example:9464", "shop.example.:1"};
    static const char *const foreign[] = {"",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "xlocalhost",
                                          "a.shop.example",
                                          "shop.example.evil",
                                          ":9464",
                                          "[::1",
                                          "[evil]:80",
                                          ".localhost",
                                          "127.0.0.1 evil"};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!http_host_is_known(known[i], hosts, 1))
            test_fail("%s is not known", known[i]);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (http_host_is_known(foreign[i], hosts, 1) && strcmp(foreign[i], "[::1") != 0)
            test_fail("%s is known", foreign[i]);
    }
    assert_false(http_host_is_known(NULL, hosts, 1));
    assert_false(http_host_is_known("shop.example", hosts, 0));
}

static void the_pages_answer_and_readiness_follows_progress(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    assert_int_not_equal(http_port(http), 0);
    is_ready = false;
    assert_int_equal(ask(http, "/readyz"), 1);
    is_ready = true;
    assert_int_equal(ask(http, "/readyz"), EX_OK);
    assert_int_equal(ask(http, "/healthz"), EX_OK);
    assert_int_equal(ask(http, "/elsewhere"), 1);
    http_close(http);
}

static void a_handler_gets_part_parameters_headers_and_peer(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    struct http_reply reply = http_send_request(port_of(http), "GET", "/thing/a%20b?color=r%C3%B6t",
                                                "Keepstep-Who: anna\r\n");
    assert_int_equal(reply.code, 200);
    assert_string_equal(reply.body, "part=a b color=r\xC3\xB6t who=anna peer=127.0.0.1");
    reply = http_send_request(port_of(http), "POST", "/thing/9/act", "Content-Length: 0\r\n");
    assert_string_equal(reply.body, "part=9 color=none who=none peer=127.0.0.1");
    http_close(http);
}

static void every_answer_has_the_security_headers(void **state)
{
    static const char *const paths[] = {"/healthz", "/thing/1", "/nothing"};
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_reply reply = http_send_request(port_of(http), "GET", paths[i], "");
        if (!http_reply_has(&reply, CSP) ||
            !http_reply_has(&reply, "X-Content-Type-Options: nosniff") ||
            !http_reply_has(&reply, "Referrer-Policy: no-referrer") ||
            !http_reply_has(&reply, "Cache-Control: no-store"))
            test_fail("%s: %s", paths[i], reply.headers);
    }
    http_close(http);
}

static void head_has_the_headers_without_the_body(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    struct http_reply reply = http_send_request(port_of(http), "HEAD", "/healthz", "");
    assert_int_equal(reply.code, 200);
    assert_true(http_reply_has(&reply, "Content-Length: 3"));
    assert_string_equal(reply.body, "");
    http_close(http);
}

static void another_method_is_refused_with_those_that_are_allowed(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    struct http_reply reply = http_send_request(port_of(http), "DELETE", "/thing/1", "");
    assert_int_equal(reply.code, 405);
    assert_true(http_reply_has(&reply, "Allow: GET, HEAD, POST"));
    assert_non_null(strstr(reply.body, "{\"error\":\""));
    reply = http_send_request(port_of(http), "GET", "/nothing", "");
    assert_int_equal(reply.code, 404);
    assert_non_null(strstr(reply.body, "\"next\":\"see /,"));
    http_close(http);
}

static void a_foreign_host_reaches_only_what_machines_ask_for(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    int port = port_of(http);
    (void)state;
    assert_int_equal(
        http_send_raw(port, "GET /thing/1 HTTP/1.1\r\nHost: evil.example\r\n\r\n").code, 421);
    assert_int_equal(
        http_send_raw(port, "POST /thing/1/act HTTP/1.1\r\nHost: evil.example:80\r\n\r\n").code,
        421);
    assert_int_equal(http_send_raw(port, "GET /thing/1 HTTP/1.0\r\n\r\n").code, 421);
    assert_int_equal(http_send_raw(port, "GET /thing/1 HTTP/1.1\r\nHost: other.example\r\n"
                                         "Connection: close\r\n\r\n")
                         .code,
                     200);
    assert_int_equal(http_send_raw(port, "GET /healthz HTTP/1.1\r\nHost: shop\r\n"
                                         "Connection: close\r\n\r\n")
                         .code,
                     200);
    http_close(http);
}

static void a_large_body_or_head_is_refused(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    int port = port_of(http);
    char *large = calloc(1, 60001);
    (void)state;
    assert_non_null(large);
    memset(large, 'x', 60000);
    struct http_reply reply = http_send_request(port, "POST", "/thing/1",
                                                "Content-Length: 10000000\r\n");
    assert_int_equal(reply.code, 413);
    reply = http_send_raw(port,
                          test_format("POST /thing/1 HTTP/1.1\r\nHost: localhost\r\n"
                                      "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                                      60000, large));
    assert_int_equal(reply.code, 413);
    reply = http_send_request(port, "GET", "/thing/1", test_format("X: %s\r\n", large));
    assert_int_equal(reply.code, 431);
    reply = http_send_raw(port, "POST /thing/2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
                                "Connection: close\r\n\r\nbody");
    assert_int_equal(reply.code, 200);
    free(large);
    http_close(http);
}

/* Of a path's part, as a joint transaction's id is one. */
static void a_name_has_at_most_255_bytes(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    int port = port_of(http);
    char name[258] = "";
    (void)state;
    memset(name, 'x', 255);
    assert_int_equal(http_send_request(port, "GET", test_format("/thing/%s", name), "").code, 200);
    memset(name, 'x', 256);
    struct http_reply reply = http_send_request(port, "GET", test_format("/thing/%s", name), "");
    assert_int_equal(reply.code, 400);
    assert_non_null(strstr(reply.body, "more than 255 bytes"));
    http_close(http);
}

static void half_an_answer_is_none(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    (void)state;
    assert_int_equal(http_send_request(port_of(http), "GET", "/half", "").code, 0);
    assert_int_equal(ask(http, "/healthz"), EX_OK);
    http_close(http);
}

/* They send nothing, or never end their request. A health check is still answered. */
static void slow_clients_do_not_keep_a_health_check_out(void **state)
{
    struct http *http = server_open("127.0.0.1:0");
    int slow[64];
    (void)state;
    for (int i = 0; i < 64; i++)
        slow[i] = http_connect_slowly(port_of(http),
                                      i % 2 == 0 ? "GET /thing/1 HTTP/1.1\r\nX: " : "");
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(http, "/healthz"), EX_OK);
    for (int i = 0; i < 64; i++)
        (void)close(slow[i]);
    assert_int_equal(ask(http, "/healthz"), EX_OK);
    http_close(http);
}

static void an_address_that_is_taken_is_named(void **state)
{
    struct http *second = NULL;
    struct error err = ERROR_INIT;
    (void)state;
    struct http *first = server_open("127.0.0.1:0");
    const char *listen = test_format("127.0.0.1:%u", http_port(first));
    assert_int_equal(server_try(listen, &second, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, listen));
    /* The error prints a line of configuration that works as it stands. */
    unsigned port = 0;
    const char *line = strstr(err.text, "\"listen: 127.0.0.1:");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\"listen: 127.0.0.1:%u\"", &port), 1);
    assert_int_not_equal(port, http_port(first));
    error_clear(&err);
    assert_int_equal(server_try(test_format("127.0.0.1:%u", port), &second, &err), STATUS_OK);
    http_close(second);
    http_close(first);
    error_clear(&err);
    assert_int_equal(server_try("192.0.2.1:9464", &second, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_UNAVAILABLE);
    assert_non_null(strstr(err.text, "cannot listen on 192.0.2.1:9464: Cannot assign"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listen_address_is_host_and_port),
        TEST(a_path_and_a_method_find_their_route),
        TEST(only_addresses_and_names_of_this_machine_are_known_hosts),
        TEST(the_pages_answer_and_readiness_follows_progress),
        TEST(a_handler_gets_part_parameters_headers_and_peer),
        TEST(every_answer_has_the_security_headers),
        TEST(head_has_the_headers_without_the_body),
        TEST(another_method_is_refused_with_those_that_are_allowed),
        TEST(a_foreign_host_reaches_only_what_machines_ask_for),
        TEST(a_large_body_or_head_is_refused),
        TEST(a_name_has_at_most_255_bytes),
        TEST(half_an_answer_is_none),
        TEST(slow_clients_do_not_keep_a_health_check_out),
        TEST(an_address_that_is_taken_is_named),
    };
    return TEST_RUN(tests);
}
