/* The parts of a MariaDB database's URL. */
#ifndef COMMON_MARIADB_URL_H
#define COMMON_MARIADB_URL_H

#include "common/status.h"

#define MARIADB_URL_SIZE 2048

/** Parts that the URL lacks are NULL. The others point into `text`, percent-decoded. */
struct mariadb_url {
    const char *user;
    const char *password;
    const char *host;
    unsigned int port; /* 0: the client library's default */
    const char *database;
    const char *socket;
    const char *ssl_ca;
    const char *ssl_cert;
    const char *ssl_key;
    const char *option_file;
    bool ssl_asked;  /* it has an ssl- option: TLS is required */
    bool ssl_verify; /* check the server's certificate and name; the default */
    size_t length;   /* bytes of `text` in use */
    char text[MARIADB_URL_SIZE];
};

/** Read mysql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&…
 * @return OK; FATAL with exit code 78. The text holds nothing of the URL. */
enum status mariadb_url_parse(const char *url, struct mariadb_url *ret_url,
                              struct error *err) MUST_CHECK;

#endif
