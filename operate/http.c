/* The only door to libmicrohttpd: one thread, which never waits. A request whose answer comes later
 * is laid aside until somebody gives it. */
#include "operate/http.h"

#include "operate/member.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define HTTP_BODY_MAX        ((size_t)4 * 1024) /* where no body is wanted */
#define HTTP_ERROR_MAX       ((size_t)8 * 1024)
#define HTTP_BODY_READ_MAX   ((size_t)1024 * 1024) /* of one that is too large: it has an answer */
#define HTTP_PART_SIZE       256
#define HTTP_CONNECTIONS_MAX 64U
#define HTTP_CONNECTION_SIZE ((size_t)32 * 1024) /* the head of a request must fit */
#define HTTP_TIMEOUT_SECONDS 10U
#define HTTP_PORTS_TRIED     100U
#define HTTP_CONNECTIONS_FEW 24U /* at more, the oldest that waits for nothing is closed */

struct http {
    struct MHD_Daemon *daemon;
    int peers[HTTP_CONNECTIONS_MAX]; /* sockets, the oldest first; the server's thread alone */
    size_t peer_count;
    struct http_options options;
    char host[HTTP_HOST_SIZE]; /* of options.listen */
};

/* It lasts until its answer is sent. */
struct http_request {
    struct MHD_Connection *connection;
    const struct http_route *route; /* NULL: it is refused */
    char part[HTTP_PART_SIZE];
    size_t body_size;
    struct buffer body; /* where the route wants one */
    bool is_too_large;
    bool is_laid_aside;
    bool is_given;
    struct MHD_Response *response; /* NULL: there was no memory for one */
    unsigned code;
};

/* Whatever a browser is given can load nothing from elsewhere, and can be framed by nobody. */
static const struct {
    const char *name;
    const char *value;
} http_headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; font-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
     "form-action 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
};

const char *http_parameter(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *http_part(const struct http_request *request)
{
    return request->part;
}

struct slice http_body(const struct http_request *request)
{
    return buffer_slice(&request->body);
}

void http_peer(const struct http_request *request, char ret_peer[static HTTP_PEER_SIZE])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    socklen_t length = address != NULL && address->sa_family == AF_INET6
                           ? sizeof(struct sockaddr_in6)
                           : sizeof(struct sockaddr_in);
    if (address == NULL ||
        getnameinfo(address, length, ret_peer, HTTP_PEER_SIZE, NULL, 0, NI_NUMERICHOST) != 0)
        (void)snprintf(ret_peer, HTTP_PEER_SIZE, "?");
}

static bool http_add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool http_add_headers(struct MHD_Response *response, const struct http_answer *answer,
                             bool is_laid_aside)
{
    bool added = true;
    for (size_t i = 0; i < sizeof http_headers / sizeof *http_headers; i++)
        added = added && http_add_header(response, http_headers[i].name, http_headers[i].value);
    const bool asks_token = answer->code == HTTP_UNAUTHORIZED;
    /* Behind an answer that came later the connection is closed, because http_notice() does not
     * count it any more. */
    return added && http_add_header(response, "Content-Type", answer->content_type) &&
           http_add_header(response, "ETag", answer->etag) &&
           http_add_header(response, "Allow", answer->allow) &&
           http_add_header(response, "WWW-Authenticate", asks_token ? "Bearer" : NULL) &&
           http_add_header(response, "Cache-Control",
                           answer->etag == NULL ? "no-store" : "no-cache") &&
           http_add_header(response, "Connection", is_laid_aside ? "close" : NULL);
}

void http_give(struct http_request *request, const struct http_answer *answer)
{
    request->is_given = true;
    request->code = answer->code;
    request->response = MHD_create_response_from_buffer(
        answer->body.length, (void *)(uintptr_t)answer->body.data,
        answer->is_constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
    if (request->response != NULL &&
        !http_add_headers(request->response, answer, request->is_laid_aside)) {
        MHD_destroy_response(request->response);
        request->response = NULL;
    }
    if (request->is_laid_aside)
        MHD_resume_connection(request->connection);
}

static void http_drop(struct http_request *request)
{
    request->is_given = true;
    if (request->is_laid_aside)
        MHD_resume_connection(request->connection);
}

void http_give_json(struct http_request *request, enum http_code code, const struct buffer *body)
{
    const struct http_answer answer = {
        .code = code, .content_type = "application/json", .body = {body->data, body->length}};
    if (body->failed)
        http_drop(request);
    else
        http_give(request, &answer);
}

static void http_refuse_with(struct http_request *request, struct http_answer answer,
                             const char *error, const char *next)
{
    struct buffer body;
    buffer_init(&body, HTTP_ERROR_MAX);
    member_begin(&body, NULL, "{");
    member_text(&body, "error", slice_of(error));
    member_text(&body, "next", slice_of(next));
    buffer_append_text(&body, "}\n");
    answer.content_type = "application/json";
    answer.body = buffer_slice(&body);
    if (body.failed)
        http_drop(request);
    else
        http_give(request, &answer);
    buffer_done(&body);
}

void http_refuse(struct http_request *request, enum http_code code, const char *error,
                 const char *next)
{
    http_refuse_with(request, (struct http_answer){.code = code}, error, next);
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

static void http_complete(void *context, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode code)
{
    struct http_request *own = *request;
    (void)context;
    (void)connection;
    (void)code;
    if (own != NULL && own->response != NULL)
        MHD_destroy_response(own->response);
    if (own != NULL)
        buffer_done(&own->body);
    free(own);
    *request = NULL;
}

static size_t http_body_max(const struct http_route *route)
{
    return route->body_max > 0 ? route->body_max : HTTP_BODY_MAX;
}

static bool http_body_is_large(const struct http_request *request, const struct http_route *route)
{
    const char *length = http_header(request, "Content-Length");
    return length != NULL && strtoull(length, NULL, 10) > http_body_max(route);
}

static void http_refuse_body(struct http_request *request, const struct http_route *route)
{
    bool wants_one = route->body_max > 0;
    http_refuse(request, HTTP_TOO_LARGE,
                wants_one ? "the body is too large" : "no page wants a body",
                wants_one ? "send a smaller one: docs/openapi.yaml" : "send none");
}

/* @return whether a route is to answer; otherwise the request has its answer. */
static bool http_route(const struct http *http, struct http_request *request, const char *url,
                       const char *method)
{
    const struct http_options *options = &http->options;
    const char *const own[] = {http->host};
    const char *host = http_header(request, "Host");
    struct http_match match;
    http_match(options->routes, options->route_count, method, url, &match);
    if (match.allow[0] == '\0') {
        http_refuse(request, HTTP_NOT_FOUND, "there is no such page",
                    "see /, /metrics, /healthz, /readyz, /wait, and docs/openapi.yaml");
    } else if (match.part_length >= sizeof request->part) {
        http_refuse(request, HTTP_BAD_REQUEST, "the id in the path has more than 255 bytes",
                    "write one of 1 to 255 bytes");
    } else if (match.route == NULL) {
        http_refuse_with(request,
                         (struct http_answer){.code = HTTP_NOT_ALLOWED, .allow = match.allow},
                         "this page has no such method", match.allow);
    } else if (!match.route->any_host && !http_host_is_known(host, own, 1) &&
               !http_host_is_known(host, options->hosts, options->host_count)) {
        http_refuse(request, HTTP_MISDIRECTED, "this sidecar is not known by that host name",
                    "use its IP address, or add the name to listen_hosts: in its configuration");
    } else if (http_body_is_large(request, match.route)) {
        http_refuse_body(request, match.route);
    } else {
        request->route = match.route;
        buffer_init(&request->body, match.route->body_max + 1);
        if (match.part != NULL)
            memcpy(request->part, match.part, match.part_length);
    }
    return request->route != NULL;
}

static enum MHD_Result http_send(const struct http_request *request)
{
    if (!request->is_given || request->response == NULL)
        return MHD_NO;
    return MHD_queue_response(request->connection, request->code, request->response);
}

/* Let the route answer. Where it may do so later, the connection is suspended before, because the
 * answer may come at once from another thread. */
static enum MHD_Result http_ask(struct http *http, struct http_request *request)
{
    const struct http_route *route = request->route;
    if (!route->waits) {
        route->handle(route->context, request);
        return http_send(request);
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return MHD_NO;
    http_forget(http, info->connect_fd);
    request->is_laid_aside = true;
    MHD_suspend_connection(request->connection);
    route->handle(route->context, request);
    return MHD_YES;
}

/* The server takes an answer before a body or behind it. So what is too large is read and thrown
 * away, up to a limit. */
static enum MHD_Result http_read(struct http_request *request, const char *upload, size_t *size)
{
    const struct http_route *route = request->route;
    request->body_size += *size;
    request->is_too_large = request->body_size > http_body_max(route);
    if (request->body_size > http_body_max(route) + HTTP_BODY_READ_MAX)
        return MHD_NO;
    if (route->body_max > 0 && !request->is_too_large)
        buffer_append(&request->body, upload, *size);
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result http_handle(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **request)
{
    struct http *http = context;
    struct http_request *own = *request;
    (void)version;
    if (own == NULL) {
        own = calloc(1, sizeof *own);
        if (own == NULL)
            return MHD_NO;
        own->connection = connection;
        *request = own;
        if (!http_route(http, own, url, method))
            return http_send(own);
        if (strcmp(own->route->method, "POST") == 0)
            return MHD_YES;
    }
    if (own->is_given)
        return http_send(own);
    if (*upload_size != 0)
        return http_read(own, upload, upload_size);
    if (!own->is_too_large)
        return http_ask(http, own);
    http_refuse_body(own, own->route);
    return http_send(own);
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

unsigned http_free_port(unsigned first)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct addrinfo address = {.ai_family = AF_INET,
                                     .ai_addr = (struct sockaddr *)&loopback,
                                     .ai_addrlen = sizeof loopback};
    for (unsigned port = first; port <= first + HTTP_PORTS_TRIED && port <= UINT16_MAX; port++) {
        if (http_try_port(&address, port) == 0)
            return port;
    }
    return 0;
}

/* People see this when they start a second sidecar on a host: print the line that mends it. */
static enum status http_explain(const char *listen, const char *port,
                                const struct addrinfo *address, struct error *err)
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
        HTTP_TIMEOUT_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_SIZE,
        MHD_OPTION_NOTIFY_CONNECTION, http_notice, http, MHD_OPTION_NOTIFY_COMPLETED, http_complete,
        http, MHD_OPTION_END);
    return http->daemon != NULL ? STATUS_OK : http_explain(listen, port, address, err);
}

enum status http_open(const struct http_options *options, struct http **ret_http, struct error *err)
{
    char host[HTTP_HOST_SIZE];
    char port[8];
    struct addrinfo *address = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    if (!http_parse_listen(options->listen, host, port) ||
        getaddrinfo(host, port, &hints, &address) != 0) {
        return error_set(error_config(err), STATUS_FATAL,
                         "listen: \"%s\" is not HOST:PORT; use 127.0.0.1:9464", options->listen);
    }
    struct http *http = calloc(1, sizeof *http);
    enum status status = http == NULL ? error_set(err, STATUS_FATAL, "out of memory") : STATUS_OK;
    if (status == STATUS_OK) {
        http->options = *options;
        memcpy(http->host, host, sizeof http->host);
        status = http_start(http, options->listen, port, address, err);
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
