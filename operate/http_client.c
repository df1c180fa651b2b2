/* One GET over one connection; the sidecar closes it. */
#include "operate/http_client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEADERS_MAX ((size_t)16 * 1024)

/* @return a connected socket or -1. */
static int http_connect(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct timeval limit = {.tv_sec = HTTP_GET_SECONDS};
    struct addrinfo *addresses = NULL;
    int peer = -1;
    if (getaddrinfo(host, port, &hints, &addresses) != 0)
        return -1;
    for (const struct addrinfo *a = addresses; a != NULL && peer < 0; a = a->ai_next) {
        peer = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (peer < 0)
            continue;
        (void)setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(peer, a->ai_addr, a->ai_addrlen) == 0)
            break;
        (void)close(peer);
        peer = -1;
    }
    freeaddrinfo(addresses);
    return peer;
}

/* @return the status of a whole answer, whose body is appended; HTTP_NO_ANSWER. */
static int http_read_answer(const struct buffer *answer, struct buffer *body)
{
    const char *text = buffer_text(answer);
    const char *end = strstr(text, "\r\n\r\n");
    if (answer->failed || strncmp(text, "HTTP/1.", 7) != 0 || end == NULL)
        return HTTP_NO_ANSWER;
    buffer_append_text(body, end + 4);
    return body->failed ? HTTP_NO_ANSWER : (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}

int http_get(const char *host, const char *port, const char *path, struct buffer *body)
{
    char request[512];
    char chunk[4096];
    struct buffer answer;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host = strcmp(host, "::") == 0 ? "::1" : "127.0.0.1";
    int peer = http_connect(host, port);
    if (peer < 0)
        return HTTP_NOBODY;
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", path, host,
                        port);
    bool sent = size > 0 && (size_t)size < sizeof request &&
                send(peer, request, (size_t)size, MSG_NOSIGNAL) == size;
    ssize_t got = sent ? 1 : 0;
    buffer_init(&answer, body->size_max + HEADERS_MAX);
    while (got > 0 && !answer.failed) {
        got = recv(peer, chunk, sizeof chunk, 0);
        if (got > 0)
            buffer_append(&answer, chunk, (size_t)got);
    }
    (void)close(peer);
    int code = http_read_answer(&answer, body);
    buffer_done(&answer);
    return code;
}
