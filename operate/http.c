/* The only door to libmicrohttpd: four pages, one thread. Requests of /wait are laid aside until
 * somebody answers them. */
#include "operate/http.h"

#include <microhttpd.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define HTTP_TEXT_MAX        ((size_t)4 * 1024 * 1024)
#define HTTP_CONNECTIONS_MAX 64U
#define HTTP_TIMEOUT_SECONDS 10U
#define HTTP_PORTS_TRIED     100U
#define HTTP_CONNECTIONS_FEW 24U /* at more, the oldest that waits for nothing is closed */

struct http {
    struct MHD_Daemon *daemon;
    int peers[HTTP_CONNECTIONS_MAX]; /* sockets, the oldest first; the server's thread alone */
    size_t peer_count;
    struct http_pages pages;
};

/* A request of /wait. Its connection is suspended until it has its answer. */
struct http_request {
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* NULL: there was no memory for one */
    unsigned code;
};

bool http_parse_listen(const char *listen, char ret_host[static HTTP_HOST_SIZE],
                       char ret_port[static 8])
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (strtol(colon + 1, NULL, 10) > 65535)
        return false;
    size_t length = (size_t)(colon - listen);
    const char *host = listen;
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length >= HTTP_HOST_SIZE)
        return false;
    if (length == 0)
        (void)snprintf(ret_host, HTTP_HOST_SIZE, "127.0.0.1");
    else
        (void)snprintf(ret_host, HTTP_HOST_SIZE, "%.*s", (int)length, host);
    (void)snprintf(ret_port, 8, "%s", colon + 1);
    return true;
}

const char *http_parameter(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

void http_give(struct http_request *request, unsigned code, const struct buffer *body)
{
    request->code = code;
    if (!body->failed)
        request->response = MHD_create_response_from_buffer(body->length, body->data,
                                                            MHD_RESPMEM_MUST_COPY);
    MHD_resume_connection(request->connection);
}

static void http_forget(struct http *http, int peer)
{
    size_t kept = 0;
    for (size_t i = 0; i < http->peer_count; i++) {
        if (http->peers[i] != peer)
            http->peers[kept++] = http->peers[i];
    }
    http->peer_count = kept;
}

/* Called again, by libmicrohttpd, when http_give() has resumed the connection. It is closed behind
 * the answer, because http_notice() does not count it any more. */
static enum MHD_Result http_lay_aside(struct http *http, struct MHD_Connection *connection,
                                      void **request)
{
    struct http_request *own = *request;
    if (own != NULL) {
        if (own->response == NULL ||
            MHD_add_response_header(own->response, "Content-Type", "application/json") != MHD_YES ||
            MHD_add_response_header(own->response, "Connection", "close") != MHD_YES)
            return MHD_NO;
        return MHD_queue_response(connection, own->code, own->response);
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    own = calloc(1, sizeof *own);
    if (own == NULL || info == NULL) {
        free(own);
        return MHD_NO;
    }
    own->connection = connection;
    *request = own;
    http_forget(http, info->connect_fd);
    MHD_suspend_connection(connection);
    http->pages.wait(http->pages.wait_context, own);
    return MHD_YES;
}

static void http_complete(void *context, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode code)
{
    struct http_request *own = *request;
    (void)context;
    (void)connection;
    (void)code;
    if (own != NULL && own->response != NULL)
        MHD_destroy_response(own->response);
    free(own);
    *request = NULL;
}

static enum MHD_Result http_answer(struct MHD_Connection *connection, unsigned code,
                                   const char *content_type, struct slice body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", content_type);
    if (result == MHD_YES && code == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result http_text(struct MHD_Connection *connection, unsigned code, const char *text)
{
    return http_answer(connection, code, "text/plain; charset=utf-8", slice_of(text));
}

static enum MHD_Result http_handle(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **request)
{
    struct http *http = context;
    (void)version;
    (void)upload;
    (void)upload_size;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return http_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (strcmp(url, "/healthz") == 0)
        return http_text(connection, MHD_HTTP_OK, "ok\n");
    if (strcmp(url, "/wait") == 0 && http->pages.wait != NULL)
        return http_lay_aside(http, connection, request);
    bool is_metrics = strcmp(url, "/metrics") == 0;
    if (!is_metrics && strcmp(url, "/readyz") != 0)
        return http_text(connection, MHD_HTTP_NOT_FOUND,
                         "try /metrics, /healthz, /readyz or /wait\n");

    struct buffer text;
    enum MHD_Result result;
    buffer_init(&text, HTTP_TEXT_MAX);
    if (is_metrics) {
        http->pages.metrics(http->pages.context, &text);
        result = http_answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                             buffer_slice(&text));
    } else {
        bool ready = http->pages.ready(http->pages.context, &text);
        if (text.length == 0)
            buffer_append_text(&text, ready ? "ready" : "no progress");
        buffer_append_text(&text, "\n");
        result = http_answer(connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                             "text/plain; charset=utf-8", buffer_slice(&text));
    }
    if (text.failed && result == MHD_YES)
        result = MHD_NO; /* half a page would be taken for a whole one */
    buffer_done(&text);
    return result;
}

/* A client that connects and stays silent must not keep a health check out. A page is written
 * within milliseconds, so the oldest connection is the idle one: close it. */
static void http_notice(void *context, struct MHD_Connection *connection, void **own,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    (void)own;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    int peer = info->connect_fd;
    http_forget(http, peer);
    if (code != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    if (http->peer_count >= HTTP_CONNECTIONS_FEW) {
        (void)shutdown(http->peers[0], SHUT_RDWR);
        http_forget(http, http->peers[0]);
    }
    http->peers[http->peer_count++] = peer;
}

/* @return 0 or errno of binding the address with another port. */
static int http_try_port(const struct addrinfo *address, unsigned port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } place = {0};
    const int on = 1;
    memcpy(&place, address->ai_addr, address->ai_addrlen);
    if (address->ai_family == AF_INET6)
        place.v6.sin6_port = htons((uint16_t)port);
    else
        place.v4.sin_port = htons((uint16_t)port);
    int probe = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return errno;
    (void)setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int result = bind(probe, &place.any, address->ai_addrlen) == 0 ? 0 : errno;
    (void)close(probe);
    return result;
}

/* People see this when they start a second sidecar on a host: print the line that mends it. */
static enum status http_refuse(const char *listen, const char *port, const struct addrinfo *address,
                               struct error *err)
{
    unsigned asked = (unsigned)strtoul(port, NULL, 10);
    int why = http_try_port(address, asked);
    err->exit_code = EX_UNAVAILABLE;
    for (unsigned next = asked + 1; why == EADDRINUSE && next <= asked + HTTP_PORTS_TRIED; next++) {
        if (next > UINT16_MAX || http_try_port(address, next) != 0)
            continue;
        return error_set(err, STATUS_FATAL,
                         "cannot listen on %s: another program does, perhaps another sidecar; "
                         "write \"listen: %.*s%u\" into this one's configuration, which is free",
                         listen, (int)(strlen(listen) - strlen(port)), listen, next);
    }
    return error_set(err, STATUS_FATAL,
                     "cannot listen on %s: %s; choose an address of this machine and a free port "
                     "with \"listen: HOST:PORT\", or \"listen: ''\" for none",
                     listen, why == 0 ? "the HTTP server does not start" : strerror(why));
}

static enum status http_start(struct http *http, const char *listen, const char *port,
                              const struct addrinfo *address, struct error *err)
{
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_handle, http, MHD_OPTION_SOCK_ADDR, address->ai_addr,
        MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        HTTP_TIMEOUT_SECONDS, MHD_OPTION_NOTIFY_CONNECTION, http_notice, http,
        MHD_OPTION_NOTIFY_COMPLETED, http_complete, http, MHD_OPTION_END);
    return http->daemon != NULL ? STATUS_OK : http_refuse(listen, port, address, err);
}

enum status http_open(const char *listen, const struct http_pages *pages, struct http **ret_http,
                      struct error *err)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    struct addrinfo *address = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    if (!http_parse_listen(listen, host, port) || getaddrinfo(host, port, &hints, &address) != 0) {
        return error_set(error_config(err), STATUS_FATAL,
                         "listen: \"%s\" is not HOST:PORT; use 127.0.0.1:9464", listen);
    }
    struct http *http = calloc(1, sizeof *http);
    enum status status = http == NULL ? error_set(err, STATUS_FATAL, "out of memory") : STATUS_OK;
    if (status == STATUS_OK) {
        http->pages = *pages;
        status = http_start(http, listen, port, address, err);
    }
    freeaddrinfo(address);
    if (status != STATUS_OK) {
        free(http);
        return status;
    }
    *ret_http = http;
    return STATUS_OK;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

unsigned http_port(const struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}
