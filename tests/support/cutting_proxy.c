/* One thread serves the connections one by one, so that each cut is at a known place. */
#include "tests/support/cutting_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_SIZE      ((size_t)256 * 1024)
#define ANSWER_LIMIT_MS 5000 /* for the server's answer that is swallowed */
#define ANSWER_QUIET_MS 300

static pthread_t thread;
static int listener = -1;
static int server_port;
static atomic_int mode;
static atomic_bool stopping;
static const char *cut_word;

static int connect_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (server >= 0 && connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(server);
        return -1;
    }
    return server;
}

static bool send_all(int to, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(to, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Read the server's answer and drop it. When it has answered, its COMMIT is done. */
static void swallow_answer(int server, char *chunk)
{
    struct pollfd wait = {.fd = server, .events = POLLIN};
    int limit_ms = ANSWER_LIMIT_MS;
    while (poll(&wait, 1, limit_ms) == 1 && recv(server, chunk, CHUNK_SIZE, 0) > 0)
        limit_ms = ANSWER_QUIET_MS;
}

/* @return false if the connection ends here. */
static bool pass_client(int client, int server, char *chunk)
{
    ssize_t length = recv(client, chunk, CHUNK_SIZE, 0);
    if (length <= 0)
        return false;
    int cut = atomic_load(&mode);
    bool found = cut != PROXY_PASS &&
                 memmem(chunk, (size_t)length, cut_word, strlen(cut_word)) != NULL;
    if (found && cut == PROXY_CUT_BEFORE)
        return false;
    if (!send_all(server, chunk, (size_t)length))
        return false;
    if (found)
        swallow_answer(server, chunk);
    return !found;
}

static void serve(int client, int server, char *chunk)
{
    struct pollfd both[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    while (!atomic_load(&stopping)) {
        if (poll(both, 2, 100) <= 0)
            continue;
        if (both[1].revents != 0) {
            ssize_t length = recv(server, chunk, CHUNK_SIZE, 0);
            if (length <= 0 || !send_all(client, chunk, (size_t)length))
                return;
        }
        if (both[0].revents != 0 && !pass_client(client, server, chunk))
            return;
    }
}

static void *serve_all(void *context)
{
    char *chunk = context;
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    while (!atomic_load(&stopping)) {
        if (poll(&wait, 1, 100) != 1)
            continue;
        int client = accept(listener, NULL, NULL);
        int server = connect_server();
        if (client >= 0 && server >= 0)
            serve(client, server, chunk);
        if (client >= 0)
            (void)close(client);
        if (server >= 0)
            (void)close(server);
    }
    free(chunk);
    return NULL;
}

const char *cutting_proxy_start(const char *url)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const char *colon = strrchr(url, ':');
    const char *end = colon == NULL ? NULL : strchr(colon, '/');
    char *chunk = malloc(CHUNK_SIZE);
    if (end == NULL || chunk == NULL)
        test_fail("no port in %s", url);
    server_port = (int)strtol(colon + 1, NULL, 10);
    atomic_store(&mode, PROXY_PASS);
    atomic_store(&stopping, false);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&thread, NULL, serve_all, chunk) != 0)
        test_fail("no proxy");
    return test_format("%.*s:%d%s", (int)(colon - url), url, ntohs(address.sin_port), end);
}

void cutting_proxy_cut(enum proxy_cut cut, const char *word)
{
    cut_word = word;
    atomic_store(&mode, cut);
}

void cutting_proxy_stop(void)
{
    atomic_store(&stopping, true);
    (void)pthread_join(thread, NULL);
    (void)close(listener);
}
