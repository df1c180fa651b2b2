/* Takes a database's URL apart by a strict grammar, and alone decides which parts are printed. */
#ifndef COMMON_DATABASE_URL_H
#define COMMON_DATABASE_URL_H

#include "common/buffer.h"

enum database_scheme { DATABASE_FILE, DATABASE_POSTGRESQL, DATABASE_MYSQL };

/** The parts as they were written, percent-encoded and borrowed from the URL. `data` is NULL where
 * a part is missing. */
struct database_url {
    enum database_scheme scheme;
    struct slice scheme_name;
    struct slice path; /* of DATABASE_FILE: everything after the scheme */
    struct slice user;
    struct slice password;
    struct slice hosts; /* HOST:PORT,HOST:PORT */
    struct slice database;
    struct slice options; /* NAME=VALUE&NAME=VALUE */
};

/** Read SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&…, or sqlite:FILE. A URL that can be
 * read in two ways is refused, because a part of its password could be taken for a host or a
 * database.
 * @return OK; FATAL with exit code 78. The text holds nothing of the URL. */
enum status database_url_parse(const char *url, struct database_url *ret_url,
                               struct error *err) MUST_CHECK;

/** Take the first HOST:PORT or [ADDRESS]:PORT off a list. A missing port is empty.
 * @return false at the end of the list, or where the first item is not a host. */
bool database_url_next_host(struct slice *hosts, struct slice *ret_host, struct slice *ret_port);

/** Take the first NAME=VALUE off a list.
 * @return false at the end of the list, or where the first item is not NAME=VALUE. */
bool database_url_next_option(struct slice *options, struct slice *ret_name,
                              struct slice *ret_value);

/** @return whether the URL holds a password, in an option too. */
bool database_url_has_password(const struct database_url *url);

/** Append the URL for people to read. Stars replace each part that is not known to be free of
 * secrets. Of a URL that cannot be read only the scheme is shown. */
void database_url_show(const char *url, struct buffer *out);

#endif
