/* `keepstep healthcheck`: asks the running sidecar whether it makes progress, as containers do. */
#include "operate/command.h"
#include "operate/http.h"
#include "operate/service.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define HEALTHCHECK_SECONDS 5

/* @return a connected socket or -1. */
static int healthcheck_connect(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct timeval limit = {.tv_sec = HEALTHCHECK_SECONDS};
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

static int healthcheck_ask(const char *host, const char *port, const char *path)
{
    char request[512];
    char answer[4096];
    size_t length = 0;
    /* Whoever listens on all addresses is asked by loopback. */
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host = strcmp(host, "::") == 0 ? "::1" : "127.0.0.1";
    int peer = healthcheck_connect(host, port);
    if (peer < 0) {
        fprintf(stderr, "keepstep: nobody answers at %s:%s; is `keepstep run` running?\n", host,
                port);
        return 1;
    }
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", path, host,
                        port);
    bool sent = size > 0 && (size_t)size < sizeof request &&
                send(peer, request, (size_t)size, MSG_NOSIGNAL) == size;
    ssize_t got = sent ? 1 : 0;
    while (got > 0 && length < sizeof answer - 1) {
        got = recv(peer, answer + length, sizeof answer - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(peer);
    answer[length] = '\0';
    const char *body = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || body == NULL) {
        fprintf(stderr, "keepstep: no answer from %s:%s within %d s\n", host, port,
                HEALTHCHECK_SECONDS);
        return 1;
    }
    printf("%s", body + 4);
    return strncmp(answer + 8, " 200", 4) == 0 ? EX_OK : 1;
}

/* "http://HOST:PORT/PATH" in its parts. */
static int healthcheck_ask_url(const char *url)
{
    char listen[HTTP_HOST_SIZE];
    char host[HTTP_HOST_SIZE];
    char port[8];
    const char *rest = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    const char *path = strchr(rest, '/');
    size_t length = path == NULL ? strlen(rest) : (size_t)(path - rest);
    (void)snprintf(listen, sizeof listen, "%.*s", (int)length, rest);
    if (length >= sizeof listen || !http_parse_listen(listen, host, port)) {
        fprintf(stderr, "keepstep healthcheck: %s is not http://HOST:PORT/readyz\n", url);
        return EX_USAGE;
    }
    return healthcheck_ask(host, port, path == NULL ? "/readyz" : path);
}

static int healthcheck_run(const struct command *command, int argc, char **argv)
{
    const char *url = NULL;
    const struct command_flag flags[] = {
        {"url", "URL", "ask there instead of the configured listen address", &url}};
    struct command_line line;
    int code = command_parse(command, flags, 1, argc, argv, &line);
    if (code >= 0)
        return code;
    if (url != NULL)
        return healthcheck_ask_url(url);
    struct error err = ERROR_INIT;
    struct config *config = NULL;
    if (config_load(line.config_path, line.overrides, line.override_count, &config, &err) !=
        STATUS_OK)
        return command_fail(&err);
    if (config->listen[0] == '\0') {
        fprintf(stderr, "keepstep: %s switches HTTP off (listen: \"\")\n", line.config_path);
        code = EX_CONFIG;
    } else {
        code = healthcheck_ask_url(config->listen);
    }
    config_free(config);
    return code;
}

const struct command command_healthcheck = {
    .name = "healthcheck",
    .arguments = "",
    .summary = "Ask the running sidecar whether it makes progress; exit code 0 or 1.",
    .examples = "  keepstep healthcheck -c shop.yaml\n"
                "  keepstep healthcheck --url http://127.0.0.1:9464/readyz\n",
    .run = healthcheck_run,
};
