/* The URL of a MariaDB database in its parts. */
#ifndef COMMON_MARIADB_URL_H
#define COMMON_MARIADB_URL_H

#include "common/status.h"

#define MARIADB_URL_SIZE 2048

/** Parts that the URL does not have are NULL; the others point into `text`, percent-decoded. */
struct mariadb_url {
    const char *user;
    const char *password;
    const char *host;
    unsigned int port; /* 0: the client library's */
    const char *database;
    const char *socket;
    const char *ssl_ca;
    const char *ssl_cert;
    const char *ssl_key;
    const char *option_file;
    bool ssl_asked;  /* some ssl- option is there: nothing goes out without TLS */
    bool ssl_verify; /* the server's certificate and name; true unless switched off */
    size_t length;   /* of what is used of `text` */
    char text[MARIADB_URL_SIZE];
};

/** Read mysql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&…
 * @return OK; FATAL with exit code 78, without the URL in its text. */
enum status mariadb_url_parse(const char *url, struct mariadb_url *ret_url,
                              struct error *err) MUST_CHECK;

#endif
