/* The HTTP server of a sidecar, over a table of routes. */
#ifndef OPERATE_HTTP_H
#define OPERATE_HTTP_H

#include "common/buffer.h"
#include "operate/http_route.h"

struct http;

/** What is served, and where. All of it outlives the server. */
struct http_options {
    const char *listen;
    const struct http_route *routes;
    size_t route_count;
    const char *const *hosts; /* more names that a browser may use for this sidecar */
    size_t host_count;
};

/** Serve until http_close(), in a thread of its own. Port 0 takes any free port.
 * @return OK; FATAL naming the address. */
enum status http_open(const struct http_options *options, struct http **ret_http,
                      struct error *err) MUST_CHECK;

/** NULL is a no-op. Every request must have its answer. */
void http_close(struct http *http);

/** @return the port that is really listened on. */
unsigned http_port(const struct http *http);

/** @return a port of 127.0.0.1, `first` or one soon after it, that nobody listens on now; 0: none.
 */
unsigned http_free_port(unsigned first);

/** @return a parameter of the URL, decoded; NULL where there is none.
 * @thread the server's, inside the handler; likewise the next four. */
const char *http_parameter(const struct http_request *request, const char *name);

/** @return the value of a header; NULL where there is none. */
const char *http_header(const struct http_request *request, const char *name);

/** @return the part of the path that the route has a star for. */
const char *http_part(const struct http_request *request);

/** @return the body of a POST whose route wants one. */
struct slice http_body(const struct http_request *request);

#define HTTP_PEER_SIZE 64

/** Write the address of who asks, without a port; "?" where it is not known. */
void http_peer(const struct http_request *request, char ret_peer[static HTTP_PEER_SIZE]);

enum http_code {
    HTTP_OK = 200,
    HTTP_ACCEPTED = 202,
    HTTP_NOT_MODIFIED = 304,
    HTTP_BAD_REQUEST = 400,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_NOT_FOUND = 404,
    HTTP_NOT_ALLOWED = 405,
    HTTP_CONFLICT = 409,
    HTTP_TOO_LARGE = 413,
    HTTP_MISDIRECTED = 421,
    HTTP_TOO_MANY = 429,
    HTTP_UNAVAILABLE = 503,
};

/** A field that is NULL does not matter. */
struct http_answer {
    enum http_code code;
    const char *content_type;
    struct slice body; /* copied, unless `is_constant` */
    bool is_constant;  /* the body lasts as long as the process */
    const char *etag;  /* then a browser may keep the body, and asks whether it still holds */
    const char *allow;
};

/** Answer a request, once. Where its route waits, it is gone then. @thread any. */
void http_give(struct http_request *request, const struct http_answer *answer);

/** Answer with JSON. Where `body` has failed the connection is closed without an answer: half an
 * answer would be taken for a whole one. */
void http_give_json(struct http_request *request, enum http_code code, const struct buffer *body);

/** Answer with what is wrong, and what to do now. @param next  NULL: nothing. */
void http_refuse(struct http_request *request, enum http_code code, const char *error,
                 const char *next);

#endif
