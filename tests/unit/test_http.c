/* The three pages, with their status codes and content types, as `keepstep healthcheck` requests
 * them. */
#include "tests/support/test.h"

#include "operate/command.h"
#include "operate/http.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static bool is_ready;

static void give_metrics(void *context, struct buffer *text)
{
    buffer_append_text(text, context);
}

static bool give_ready(void *context, struct buffer *reason)
{
    (void)context;
    if (!is_ready)
        buffer_append_text(reason, "agent: waiting");
    return is_ready;
}

static const struct http_pages pages = {.metrics = give_metrics, .ready = give_ready};

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

static void the_pages_answer_and_readiness_follows_progress(void **state)
{
    char text[] = "keepstep_build_info 1\n";
    const struct http_pages with_text = {
        .metrics = give_metrics, .ready = give_ready, .context = text};
    struct http *http = NULL;
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(http_open("127.0.0.1:0", &with_text, &http, &err), STATUS_OK);
    assert_int_not_equal(http_port(http), 0);
    is_ready = false;
    assert_int_equal(ask(http, "/readyz"), 1);
    is_ready = true;
    assert_int_equal(ask(http, "/readyz"), EX_OK);
    assert_int_equal(ask(http, "/healthz"), EX_OK);
    assert_int_equal(ask(http, "/metrics"), EX_OK);
    assert_int_equal(ask(http, "/elsewhere"), 1);
    http_close(http);
}

/* Forty clients send nothing, or never end their request. A health check is still answered. */
static void slow_clients_do_not_keep_a_health_check_out(void **state)
{
    struct http *http = NULL;
    struct error err = ERROR_INIT;
    int slow[40];
    (void)state;
    assert_int_equal(http_open("127.0.0.1:0", &pages, &http, &err), STATUS_OK);
    const struct sockaddr_in place = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)http_port(http)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 40; i++) {
        slow[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(slow[i], (const struct sockaddr *)&place, sizeof place), 0);
        if (i % 2 == 0)
            assert_true(send(slow[i], "GET /healthz HTTP/1.1\r\nX: ", 27, MSG_NOSIGNAL) == 27);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(http, "/healthz"), EX_OK);
    for (int i = 0; i < 40; i++)
        (void)close(slow[i]);
    assert_int_equal(ask(http, "/healthz"), EX_OK);
    http_close(http);
}

static void an_address_that_is_taken_is_named(void **state)
{
    struct http *first = NULL;
    struct http *second = NULL;
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(http_open("127.0.0.1:0", &pages, &first, &err), STATUS_OK);
    const char *listen = test_format("127.0.0.1:%u", http_port(first));
    assert_int_equal(http_open(listen, &pages, &second, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, listen));
    /* The error prints a line of configuration that works as it stands. */
    unsigned port = 0;
    const char *line = strstr(err.text, "\"listen: 127.0.0.1:");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\"listen: 127.0.0.1:%u\"", &port), 1);
    assert_int_not_equal(port, http_port(first));
    error_clear(&err);
    assert_int_equal(http_open(test_format("127.0.0.1:%u", port), &pages, &second, &err),
                     STATUS_OK);
    http_close(second);
    http_close(first);
    error_clear(&err);
    assert_int_equal(http_open("192.0.2.1:9464", &pages, &second, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_UNAVAILABLE);
    assert_non_null(strstr(err.text, "cannot listen on 192.0.2.1:9464: Cannot assign"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listen_address_is_host_and_port),
        TEST(the_pages_answer_and_readiness_follows_progress),
        TEST(slow_clients_do_not_keep_a_health_check_out),
        TEST(an_address_that_is_taken_is_named),
    };
    return TEST_RUN(tests);
}
