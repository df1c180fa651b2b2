/* Takes a MariaDB URL apart, because the client library cannot read one. */
#include "common/mariadb_url.h"

#include "common/database_url.h"

#include <stdio.h>
#include <stdlib.h>

static enum status mariadb_url_refuse(struct error *err, const char *reason)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "the database's URL %s: write mysql://USER@HOST:PORT/DATABASE?OPTION=VALUE "
                     "with the options socket, option-file, ssl-ca, ssl-cert, ssl-key and "
                     "ssl-verify",
                     reason);
}

/* Copy a part, percent-decoded. @return NULL where it is missing or empty. */
static const char *mariadb_url_decode(struct mariadb_url *url, struct slice part)
{
    if (part.length == 0)
        return NULL;
    char *copy = url->text + url->length;
    char *to = copy;
    for (size_t i = 0; i < part.length; i++) {
        if (part.data[i] != '%') {
            *to++ = part.data[i];
            continue;
        }
        char digits[] = {part.data[i + 1], part.data[i + 2], '\0'};
        *to++ = (char)strtol(digits, NULL, 16);
        i += 2;
    }
    *to++ = '\0';
    url->length += (size_t)(to - copy);
    return copy;
}

static enum status mariadb_url_option(struct mariadb_url *url, struct slice name,
                                      struct slice value, struct error *err)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"socket", &url->socket},   {"option-file", &url->option_file},
                   {"ssl-ca", &url->ssl_ca},   {"ssl-cert", &url->ssl_cert},
                   {"ssl-key", &url->ssl_key}, {"ssl-verify", NULL}};

    if (value.length == 0)
        return mariadb_url_refuse(err, "has an option without a value");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!slice_is(name, options[i].name))
            continue;
        url->ssl_asked = url->ssl_asked || strncmp(options[i].name, "ssl-", 4) == 0;
        if (options[i].value != NULL) {
            *options[i].value = mariadb_url_decode(url, value);
            return STATUS_OK;
        }
        url->ssl_verify = slice_is(value, "on");
        return url->ssl_verify || slice_is(value, "off")
                   ? STATUS_OK
                   : mariadb_url_refuse(err, "has an ssl-verify that is neither on nor off");
    }
    return mariadb_url_refuse(err, "has an option that is unknown");
}

enum status mariadb_url_parse(const char *url, struct mariadb_url *ret_url, struct error *err)
{
    struct mariadb_url *self = ret_url;
    struct database_url parts;
    struct slice host = {0};
    struct slice port = {0};
    struct slice name;
    struct slice value;
    *self = (struct mariadb_url){.ssl_verify = true};
    enum status status = database_url_parse(url, &parts, err);
    if (status != STATUS_OK)
        return status;
    if (parts.scheme != DATABASE_MYSQL)
        return mariadb_url_refuse(err, "does not begin with mysql://");
    if (strlen(url) >= sizeof self->text) /* each part's NUL takes the place of a mark */
        return mariadb_url_refuse(err, "is too long");
    if (parts.database.length == 0)
        return mariadb_url_refuse(err, "names no database");
    (void)database_url_next_host(&parts.hosts, &host, &port);
    if (parts.hosts.data != NULL)
        return mariadb_url_refuse(err, "names more than one host");
    self->user = mariadb_url_decode(self, parts.user);
    self->password = mariadb_url_decode(self, parts.password);
    self->host = mariadb_url_decode(self, host);
    self->port = port.length == 0 ? 0 : (unsigned int)strtol(port.data, NULL, 10);
    self->database = mariadb_url_decode(self, parts.database);
    while (status == STATUS_OK && database_url_next_option(&parts.options, &name, &value))
        status = mariadb_url_option(self, name, value, err);
    return status;
}
