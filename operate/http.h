/* The page for machines: /metrics, /healthz, /readyz and /wait on the configured address. */
#ifndef OPERATE_HTTP_H
#define OPERATE_HTTP_H

#include "common/buffer.h"
#include "common/status.h"

struct http;

/** Append the whole metrics text. @thread the server's own, so it only reads atomics. */
typedef void http_metrics(void *context, struct buffer *text);

/** @return whether there is progress; says why not in `reason`. @thread as http_metrics. */
typedef bool http_ready(void *context, struct buffer *reason);

struct http_request;

/** Answer a request of /wait with http_give(), at once or later. @thread as http_metrics. */
typedef void http_wait(void *context, struct http_request *request);

/** What the pages are made of. */
struct http_pages {
    http_metrics *metrics;
    http_ready *ready;
    void *context;   /* of both; outlives the server */
    http_wait *wait; /* NULL: there is no such page */
    void *wait_context;
};

#define HTTP_HOST_SIZE 128

/** Split "HOST:PORT" or "[HOST]:PORT"; an empty host is 127.0.0.1.
 * @return false where it is not that. */
bool http_parse_listen(const char *listen, char ret_host[static HTTP_HOST_SIZE],
                       char ret_port[static 8]) MUST_CHECK;

/** Serve on `listen` until http_close(), in a thread of its own. Port 0 takes any free port.
 * @return OK; FATAL naming the address. */
enum status http_open(const char *listen, const struct http_pages *pages, struct http **ret_http,
                      struct error *err) MUST_CHECK;

/** NULL is a no-op. Every request of /wait must have its answer. */
void http_close(struct http *http);

/** @return a parameter of the URL, decoded; NULL where there is none. @thread http_wait's, inside
 * it. */
const char *http_parameter(const struct http_request *request, const char *name);

/** Answer a request with JSON, once; it is gone then. Where `body` has failed the connection is
 * closed without an answer. @param body  copied. @thread any. */
void http_give(struct http_request *request, unsigned code, const struct buffer *body);

/** @return the port that is really listened on. */
unsigned http_port(const struct http *http);

#endif
