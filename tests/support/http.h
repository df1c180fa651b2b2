/* HTTP as bytes: the tests see the whole answer, and send what no well-behaved client would. */
#ifndef TESTS_SUPPORT_HTTP_H
#define TESTS_SUPPORT_HTTP_H

#include "tests/support/test.h"

struct http_reply {
    int code;            /* 0: nobody listens, or there was no answer */
    const char *headers; /* with the first line; "" where there is no answer */
    const char *body;
};

/** Send bytes to 127.0.0.1 as they are, and read until the server closes, for 30 s at most. */
struct http_reply http_send_raw(int port, const char *bytes);

/** Ask with a Host that is known. @param headers  further ones, each with "\r\n"; "" for none. */
struct http_reply http_send_request(int port, const char *method, const char *path,
                                    const char *headers);

/** @return whether the answer has this header; "Name: value". */
bool http_reply_has(const struct http_reply *reply, const char *header);

/** Connect to 127.0.0.1 and send the beginning of a request. @return the socket. */
int http_connect_slowly(int port, const char *bytes);

#endif
