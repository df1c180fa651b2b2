/* Takes a MariaDB URL apart: the client library has no reader of its own. */
#include "common/mariadb_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME   "mysql://"
#define PORT_MAX 65535

static enum status mariadb_url_refuse(struct error *err, const char *reason, const char *name)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "the database's URL %s%s: write " SCHEME
                     "USER@HOST:PORT/DATABASE?OPTION=VALUE with the options socket, option-file, "
                     "ssl-ca, ssl-cert, ssl-key and ssl-verify",
                     reason, name);
}

/* Decode in place. @return false at a % without two hexadecimal digits, or at %00. */
static bool mariadb_url_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
            return false;
        char digits[] = {from[1], from[2], '\0'};
        char byte = (char)strtol(digits, NULL, 16);
        if (byte == '\0')
            return false;
        *to++ = byte;
        from += 2;
    }
    *to = '\0';
    return true;
}

/* Cut `text` at the first `mark`. @return what stands behind it, NULL without one. */
static char *mariadb_url_cut(char *text, char mark)
{
    char *found = strchr(text, mark);
    if (found != NULL)
        *found++ = '\0';
    return found;
}

static enum status mariadb_url_option(struct mariadb_url *url, char *name, struct error *err)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"socket", &url->socket},   {"option-file", &url->option_file},
                   {"ssl-ca", &url->ssl_ca},   {"ssl-cert", &url->ssl_cert},
                   {"ssl-key", &url->ssl_key}, {"ssl-verify", NULL}};
    char *value = mariadb_url_cut(name, '=');

    if (value == NULL || value[0] == '\0')
        return mariadb_url_refuse(err, "has an option without a value: ", name);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(name, options[i].name) != 0)
            continue;
        url->ssl_asked = url->ssl_asked || strncmp(name, "ssl-", 4) == 0;
        if (options[i].value != NULL) {
            *options[i].value = value;
            return STATUS_OK;
        }
        url->ssl_verify = strcmp(value, "on") == 0;
        if (!url->ssl_verify && strcmp(value, "off") != 0)
            return mariadb_url_refuse(err, "says neither on nor off for ", name);
        return STATUS_OK;
    }
    return mariadb_url_refuse(err, "has an unknown option: ", name);
}

/* HOST, HOST:PORT or [ADDRESS]:PORT. */
static enum status mariadb_url_host(struct mariadb_url *url, char *host, struct error *err)
{
    char *port = NULL;
    if (host[0] == '[') {
        host++;
        char *rest = mariadb_url_cut(host, ']');
        if (rest == NULL || (rest[0] != '\0' && rest[0] != ':'))
            return mariadb_url_refuse(err, "has no ] behind its address", "");
        port = rest[0] == ':' ? rest + 1 : NULL;
    } else {
        port = mariadb_url_cut(host, ':');
    }
    if (port != NULL) {
        char *end = NULL;
        long number = isdigit((unsigned char)port[0]) ? strtol(port, &end, 10) : 0;
        if (number < 1 || number > PORT_MAX || *end != '\0')
            return mariadb_url_refuse(err, "has a port that is no port", "");
        url->port = (unsigned int)number;
    }
    url->host = host[0] == '\0' ? NULL : host;
    return STATUS_OK;
}

static enum status mariadb_url_decode_all(struct mariadb_url *url, struct error *err)
{
    const char *const parts[] = {url->user,     url->password, url->host,
                                 url->database, url->socket,   url->ssl_ca,
                                 url->ssl_cert, url->ssl_key,  url->option_file};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i] != NULL && !mariadb_url_decode(url->text + (parts[i] - url->text)))
            return mariadb_url_refuse(err, "has a % without two digits", "");
    }
    return STATUS_OK;
}

enum status mariadb_url_parse(const char *url, struct mariadb_url *ret_url, struct error *err)
{
    struct mariadb_url *self = ret_url;
    *self = (struct mariadb_url){.ssl_verify = true};
    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0)
        return mariadb_url_refuse(err, "does not begin with " SCHEME, "");
    int length = snprintf(self->text, sizeof self->text, "%s", url + strlen(SCHEME));
    if (length < 0 || (size_t)length >= sizeof self->text)
        return mariadb_url_refuse(err, "is too long", "");
    char *options = mariadb_url_cut(self->text, '?');
    char *database = mariadb_url_cut(self->text, '/');
    char *host = strrchr(self->text, '@');
    if (host != NULL) {
        *host++ = '\0';
        self->password = mariadb_url_cut(self->text, ':');
        self->user = self->text[0] == '\0' ? NULL : self->text;
    } else {
        host = self->text;
    }
    self->database = database == NULL || database[0] == '\0' ? NULL : database;
    if (self->database == NULL)
        return mariadb_url_refuse(err, "names no database", "");
    enum status status = mariadb_url_host(self, host, err);
    while (status == STATUS_OK && options != NULL) {
        char *next = mariadb_url_cut(options, '&');
        status = mariadb_url_option(self, options, err);
        options = next;
    }
    return status == STATUS_OK ? mariadb_url_decode_all(self, err) : status;
}
