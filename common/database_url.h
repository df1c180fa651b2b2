/* The URL of a database: taken apart strictly, and the only place that decides what is printed. */
#ifndef COMMON_DATABASE_URL_H
#define COMMON_DATABASE_URL_H

#include "common/buffer.h"

enum database_scheme { DATABASE_FILE, DATABASE_POSTGRESQL, DATABASE_MYSQL };

/** Parts as they were written, percent-encoded, borrowed from the URL; `data` NULL: not there. */
struct database_url {
    enum database_scheme scheme;
    struct slice scheme_name;
    struct slice path; /* DATABASE_FILE alone: what stands behind its scheme */
    struct slice user;
    struct slice password;
    struct slice hosts; /* as in HOST:PORT,HOST:PORT */
    struct slice database;
    struct slice options; /* as in NAME=VALUE&NAME=VALUE */
};

/** Read SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&…, or sqlite:FILE. A URL that can be
 * read in two ways is refused: a part of a password could be taken for a host or a database.
 * @return OK; FATAL with exit code 78, with nothing of the URL in its text. */
enum status database_url_parse(const char *url, struct database_url *ret_url,
                               struct error *err) MUST_CHECK;

/** Take the first HOST:PORT or [ADDRESS]:PORT off a list; an absent port is empty.
 * @return false at the end of the list or where it is no host. */
bool database_url_next_host(struct slice *hosts, struct slice *ret_host, struct slice *ret_port);

/** Take the first NAME=VALUE of a list off its front. @return false at its end or where it is none.
 */
bool database_url_next_option(struct slice *options, struct slice *ret_name,
                              struct slice *ret_value);

/** @return whether it holds a password, also as an option. */
bool database_url_has_password(const struct database_url *url);

/** Append the URL for people to read: what is known not to be secret, and stars for the rest. Of a
 * URL that cannot be read only the scheme is shown. */
void database_url_show(const char *url, struct buffer *out);

#endif
