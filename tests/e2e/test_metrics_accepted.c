/* The HTTP pages of a running sidecar: Prometheus' own tool accepts the metrics, and probes get
 * their answers. */
#include "tests/support/sidecar.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENTRIES      "publish:\n  item: {table: items}\napply:\n  extra: {table: extra}\n"
#define ANSWER_MAX   ((size_t)1024 * 1024)
#define CONTENT_TYPE "Content-Type: text/plain; version=0.0.4"

/* @return the whole answer with its headers, "" if nobody listens. */
static const char *http_get(int port, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(connection >= 0);
    char *answer = calloc(1, ANSWER_MAX);
    assert_non_null(answer);
    size_t length = 0;
    const char *request = test_format("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(connection, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request)) {
        ssize_t got;
        while (length < ANSWER_MAX - 1 &&
               (got = recv(connection, answer + length, ANSWER_MAX - 1 - length, 0)) > 0)
            length += (size_t)got;
    }
    (void)close(connection);
    const char *text = test_format("%s", answer);
    free(answer);
    return text;
}

struct page {
    int port;
    const char *path;
};

static bool page_is_ok(void *context)
{
    const struct page *page = context;
    const char *answer = http_get(page->port, page->path);
    return strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200 ", 5) == 0;
}

static void check_by_promtool(const char *metrics)
{
    const char *file = test_path("metrics.txt");
    test_write_file(file, metrics);
    struct process_result result = PROCESS_RUN("sh", "-c",
                                               test_format("promtool check metrics <'%s'", file));
    if (result.exit_code != 0)
        test_fail("promtool ended with %d: %s%s", result.exit_code, result.output, result.errors);
    assert_string_equal(result.errors, "");
}

static void a_running_sidecar_answers(void **state)
{
    (void)state;
    if (PROCESS_RUN("promtool", "--version").exit_code != 0)
        test_skip("no promtool");
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, ENTRIES);
    int port = sidecar_listen(&shop);
    struct page healthz = {.port = port, .path = "/healthz"};
    struct page readyz = {.port = port, .path = "/readyz"};

    kafka_create_topic(kafka, sidecar_topic("extra"), 6, "message.timestamp.type=LogAppendTime");
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',1),(2,'b',2)");
    sidecar_init(&shop, NULL);
    sidecar_start(&shop, NULL);
    if (!test_wait(page_is_ok, &healthz, 10000) || !test_wait(page_is_ok, &readyz, 30000))
        test_fail("/healthz: %s\n/readyz: %s\nlog: %s", http_get(port, "/healthz"),
                  http_get(port, "/readyz"), process_errors(shop.process));
    assert_true(sqlite_wait_for(shop.database,
                                "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                                "2\n", 30000));
    const char *answer = http_get(port, "/metrics");
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    assert_non_null(strstr(answer, CONTENT_TYPE));
    assert_non_null(strstr(body, "\nkeepstep_"));
    check_by_promtool(body + 4);
    assert_non_null(strstr(http_get(port, "/nothing"), " 404 "));
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_running_sidecar_answers, 120),
    };
    return TEST_RUN(tests);
}
