/* One connection for each request. */
#include "tests/support/http.h"

#include "common/buffer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REPLY_MAX     ((size_t)64 * 1024 * 1024)
#define REPLY_SECONDS 30

/* @return a connected socket; -1. */
static int http_dial(int port)
{
    const struct timeval limit = {.tv_sec = REPLY_SECONDS};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer >= 0);
    (void)setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(peer, (struct sockaddr *)&address, sizeof address) == 0)
        return peer;
    (void)close(peer);
    return -1;
}

int http_connect_slowly(int port, const char *bytes)
{
    int peer = http_dial(port);
    assert_true(peer >= 0);
    assert_int_equal(send(peer, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
    return peer;
}

struct http_reply http_send_raw(int port, const char *bytes)
{
    char chunk[16 * 1024];
    struct buffer answer;
    struct http_reply reply = {.headers = "", .body = ""};
    int peer = http_dial(port);
    if (peer < 0)
        return reply;
    ssize_t got = send(peer, bytes, strlen(bytes), MSG_NOSIGNAL);
    buffer_init(&answer, REPLY_MAX);
    while (got > 0 && (got = recv(peer, chunk, sizeof chunk, 0)) > 0)
        buffer_append(&answer, chunk, (size_t)got);
    (void)close(peer);
    const char *text = test_format("%s", buffer_text(&answer));
    const char *end = strstr(text, "\r\n\r\n");
    if (end != NULL && strncmp(text, "HTTP/1.", 7) == 0) {
        reply.code = atoi(text + strlen("HTTP/1.1 "));
        reply.headers = test_format("%.*s\r\n", (int)(end - text), text);
        reply.body = end + 4;
    }
    buffer_done(&answer);
    return reply;
}

struct http_reply http_send_request(int port, const char *method, const char *path,
                                    const char *headers)
{
    return http_send_raw(port, test_format("%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
                                           "Connection: close\r\n\r\n",
                                           method, path, port, headers));
}

bool http_reply_has(const struct http_reply *reply, const char *header)
{
    return strstr(reply->headers, test_format("\r\n%s\r\n", header)) != NULL;
}
