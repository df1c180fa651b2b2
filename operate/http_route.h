/* Which handler answers a request, and which host names a browser may use. */
#ifndef OPERATE_HTTP_ROUTE_H
#define OPERATE_HTTP_ROUTE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

struct http_request;

/** Answer a request with http_give(). @thread the server's, so it waits for nobody. */
typedef void http_handler(void *context, struct http_request *request);

struct http_route {
    const char *method; /* "GET", which is HEAD too; or "POST" */
    const char *path;   /* a star is one part of it: "/assets/NAME" fits where the star is NAME */
    http_handler *handle;
    void *context;
    bool waits;      /* the answer may come later, from any thread */
    bool any_host;   /* machines ask by whatever name they have; a browser has nothing to do here */
    size_t body_max; /* of a POST, in bytes; 0: no body is wanted */
};

/** What was found for a request. */
struct http_match {
    const struct http_route *route; /* NULL: there is none */
    const char *part;               /* of the path, where the route has a star; not terminated */
    size_t part_length;
    char allow[24]; /* the methods of the path; "": there is no such path */
};

void http_match(const struct http_route *routes, size_t count, const char *method, const char *path,
                struct http_match *ret_match);

#define HTTP_HOST_SIZE 128

/** Split "HOST:PORT" or "[HOST]:PORT"; an empty host is 127.0.0.1.
 * @return false where it is not that. */
bool http_parse_listen(const char *listen, char ret_host[static HTTP_HOST_SIZE],
                       char ret_port[static 8]) MUST_CHECK;

/** A name that a foreign web site has made point to this machine (DNS rebinding) must not reach its
 * pages. So a Host is an IP address, "localhost" or a name below it, or one of `hosts`.
 * @param host  the header, with or without a port; NULL: there is none. */
bool http_host_is_known(const char *host, const char *const *hosts, size_t count);

#endif
