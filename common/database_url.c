/* Takes a database's URL apart by one strict grammar, and shows it without its secrets. */
#include "common/database_url.h"

#include <ctype.h>
#include <stdlib.h>

#define STARS    "***"
#define PORT_MAX 65535
#define ADDRESS  "0123456789abcdefABCDEF:.%"

static const struct {
    const char *name;
    enum database_scheme scheme;
    bool has_host;
} database_schemes[] = {
    {"sqlite", DATABASE_FILE, false},
    {"memory", DATABASE_FILE, false},
    {"postgresql", DATABASE_POSTGRESQL, true},
    {"mysql", DATABASE_MYSQL, true},
};
#define SCHEME_COUNT (sizeof database_schemes / sizeof database_schemes[0])

/* Options whose values may be shown: they say where the server is and how to connect. */
static const char *const database_shown_options[] = {
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "option-file",
    "passfile",
    "port",
    "service",
    "socket",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-verify",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
    "require_auth",
};

static struct slice slice_cut(struct slice *rest, size_t length, size_t mark)
{
    struct slice cut = {.data = rest->data, .length = length};
    rest->data += length + mark;
    rest->length -= length + mark;
    return cut;
}

/* Cut off what precedes the first `mark`, or everything where there is none. */
static struct slice slice_cut_at(struct slice *rest, char mark)
{
    const char *at = rest->length == 0 ? NULL : memchr(rest->data, mark, rest->length);
    return at == NULL ? slice_cut(rest, rest->length, 0)
                      : slice_cut(rest, (size_t)(at - rest->data), 1);
}

static bool slice_has(struct slice text, char byte)
{
    return text.length > 0 && memchr(text.data, byte, text.length) != NULL;
}

/* @return whether each byte is in `set`, or, where `names` is true, a letter or digit of any
 * language. */
static bool slice_only(struct slice text, const char *set, bool names)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte == '\0' ||
            (strchr(set, byte) == NULL && !(names && (isalnum(byte) || byte >= 0x80))))
            return false;
    }
    return true;
}

/* @return where the host begins: after the @ that ends USER:PASSWORD. That @ comes before the first
 * slash. libpq takes the first one and MariaDB the last one, because a host has no @. */
static size_t database_url_user(struct slice rest, enum database_scheme scheme)
{
    size_t found = 0;
    for (size_t i = 0; i < rest.length && rest.data[i] != '/'; i++) {
        if (rest.data[i] != '@')
            continue;
        found = i + 1;
        if (scheme == DATABASE_POSTGRESQL)
            break;
    }
    return found;
}

bool database_url_next_host(struct slice *hosts, struct slice *ret_host, struct slice *ret_port)
{
    if (hosts->data == NULL)
        return false;
    struct slice all = *hosts;
    struct slice one = slice_cut_at(hosts, ',');
    if (one.length == all.length)
        hosts->data = NULL;
    if (one.length > 0 && one.data[0] == '[') {
        (void)slice_cut(&one, 1, 0);
        if (!slice_has(one, ']'))
            return false;
        *ret_host = slice_cut_at(&one, ']');
        if (!slice_only(*ret_host, ADDRESS, true) || (one.length > 0 && one.data[0] != ':'))
            return false;
        (void)slice_cut(&one, one.length > 0, 0);
    } else {
        *ret_host = slice_cut_at(&one, ':');
        if (!slice_only(*ret_host, "._~%-", true))
            return false;
    }
    *ret_port = one;
    if (one.length > 5 || !slice_only(one, "0123456789", false))
        return false;
    return one.length == 0 ||
           (strtol(one.data, NULL, 10) > 0 && strtol(one.data, NULL, 10) <= PORT_MAX);
}

bool database_url_next_option(struct slice *options, struct slice *ret_name,
                              struct slice *ret_value)
{
    if (options->length == 0)
        return false;
    struct slice one = slice_cut_at(options, '&');
    if (!slice_has(one, '='))
        return false;
    *ret_name = slice_cut_at(&one, '=');
    *ret_value = one;
    return ret_name->length > 0 && slice_only(*ret_name, "_.-", true);
}

static const char *database_url_wrong_hosts(const struct database_url *url)
{
    struct slice hosts = url->hosts;
    struct slice host;
    struct slice port;
    while (hosts.data != NULL) {
        if (!database_url_next_host(&hosts, &host, &port))
            return "its host is not HOST or HOST:PORT";
    }
    return NULL;
}

static const char *database_url_wrong_options(const struct database_url *url)
{
    struct slice options = url->options;
    struct slice name;
    struct slice value;
    while (options.length > 0) {
        if (!database_url_next_option(&options, &name, &value))
            return "what follows its ? is not OPTION=VALUE";
    }
    return NULL;
}

static const char *database_url_wrong_bytes(struct slice url)
{
    for (size_t i = 0; i < url.length; i++) {
        unsigned char byte = (unsigned char)url.data[i];
        if (byte < 0x20 || byte == 0x7f)
            return "it has a control character";
        if (byte != '%')
            continue;
        if (i + 2 >= url.length || !isxdigit((unsigned char)url.data[i + 1]) ||
            !isxdigit((unsigned char)url.data[i + 2]))
            return "it has a % without two hexadecimal digits";
        if (url.data[i + 1] == '0' && url.data[i + 2] == '0')
            return "it has a %00";
    }
    return NULL;
}

/* @return what is wrong, with nothing of the URL in it; NULL where nothing is wrong. */
static const char *database_url_split(struct slice rest, struct database_url *url)
{
    const char *wrong = database_url_wrong_bytes(rest);
    if (wrong != NULL)
        return wrong;
    if (rest.length < 2 || rest.data[0] != '/' || rest.data[1] != '/')
        return "// is missing after its scheme";
    (void)slice_cut(&rest, 2, 0);
    size_t user = database_url_user(rest, url->scheme);
    if (user > 0) {
        struct slice login = slice_cut(&rest, user - 1, 1);
        bool has_password = slice_has(login, ':');
        url->user = slice_cut_at(&login, ':');
        if (has_password)
            url->password = login;
    }
    if (slice_has(rest, '@'))
        return "an @, or a / before an @, lets it be read in two ways";
    url->options = rest;
    struct slice place = slice_cut_at(&url->options, '?');
    url->database = place;
    url->hosts = slice_cut_at(&url->database, '/');
    wrong = database_url_wrong_hosts(url);
    return wrong != NULL ? wrong : database_url_wrong_options(url);
}

static enum status database_url_refuse_scheme(const char *url, struct error *err)
{
    const char *hint = strncmp(url, "postgres:", strlen("postgres:")) == 0
                           ? "write postgresql: for postgres:"
                       : strncmp(url, "mariadb:", strlen("mariadb:")) == 0
                           ? "write mysql: for mariadb:"
                           : "use sqlite:FILE, postgresql://USER@HOST/DATABASE or "
                             "mysql://USER@HOST/DATABASE";
    return error_set(error_config(err), STATUS_FATAL, "database: its scheme is unknown; %s", hint);
}

enum status database_url_parse(const char *url, struct database_url *ret_url, struct error *err)
{
    *ret_url = (struct database_url){0};
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        size_t length = strlen(database_schemes[i].name);
        if (strncmp(url, database_schemes[i].name, length) != 0 || url[length] != ':')
            continue;
        struct slice rest = slice_of(url);
        ret_url->scheme = database_schemes[i].scheme;
        ret_url->scheme_name = slice_cut(&rest, length, 1);
        if (!database_schemes[i].has_host) {
            ret_url->path = rest;
            /* A server's URL after a file's scheme is a mistake, and may hold a password. */
            const char *host = strstr(rest.data, "//");
            if (host == NULL || strchr(host, '@') == NULL)
                return STATUS_OK;
            return error_set(error_config(err), STATUS_FATAL,
                             "the database's URL cannot be read: %s: is followed by the path of a "
                             "file, not by a server",
                             database_schemes[i].name);
        }
        const char *wrong = database_url_split(rest, ret_url);
        if (wrong == NULL)
            return STATUS_OK;
        return error_set(error_config(err), STATUS_FATAL,
                         "the database's URL cannot be read: %s; write "
                         "%s://USER@HOST:PORT/DATABASE?OPTION=VALUE and, within a part of it, %%40 "
                         "for @, %%3A for :, %%2F for /, %%3F for ?, %%23 for #, %%25 for %%",
                         wrong, database_schemes[i].name);
    }
    return database_url_refuse_scheme(url, err);
}

/* password, sslpassword, oauth_client_secret … */
static bool database_url_is_secret(struct slice name)
{
    static const char *const words[] = {"password", "passwd", "pwd", "secret", "token"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        for (size_t at = 0; at + length <= name.length; at++) {
            size_t same = 0;
            while (same < length && tolower((unsigned char)name.data[at + same]) == words[i][same])
                same++;
            if (same == length)
                return true;
        }
    }
    return false;
}

bool database_url_has_password(const struct database_url *url)
{
    struct slice options = url->options;
    struct slice name;
    struct slice value;
    while (database_url_next_option(&options, &name, &value)) {
        if (value.length > 0 && database_url_is_secret(name))
            return true;
    }
    return url->password.length > 0;
}

static bool database_url_may_show(struct slice name)
{
    for (size_t i = 0; i < sizeof database_shown_options / sizeof database_shown_options[0]; i++) {
        if (slice_is(name, database_shown_options[i]))
            return true;
    }
    return false;
}

/* A user name with an @ or an encoded : in it may hold a password: show none of it. */
static bool database_url_is_whole_login(struct slice user)
{
    for (size_t i = 0; i + 2 < user.length; i++) {
        if (user.data[i] == '%' && user.data[i + 1] == '3' && toupper(user.data[i + 2]) == 'A')
            return true;
    }
    return slice_has(user, '@');
}

static void database_url_show_slice(struct slice text, struct buffer *out)
{
    buffer_append(out, text.data, text.length);
}

static void database_url_show_options(struct slice options, struct buffer *out)
{
    struct slice name;
    struct slice value;
    const char *mark = "?";
    while (database_url_next_option(&options, &name, &value)) {
        bool shown = database_url_may_show(name);
        buffer_append_text(out, mark);
        mark = "&";
        if (shown || database_url_is_secret(name)) {
            database_url_show_slice(name, out);
            buffer_append_text(out, "=");
        }
        if (shown)
            database_url_show_slice(value, out);
        else
            buffer_append_text(out, STARS);
    }
}

void database_url_show(const char *url, struct buffer *out)
{
    struct database_url parts;
    bool read = database_url_parse(url, &parts, NULL) == STATUS_OK;
    if (parts.scheme_name.length > 0) {
        database_url_show_slice(parts.scheme_name, out);
        buffer_append_text(out, ":");
    }
    if (!read) {
        buffer_append_text(out, STARS);
        return;
    }
    database_url_show_slice(parts.path, out);
    if (parts.scheme == DATABASE_FILE)
        return;
    buffer_append_text(out, "//");
    if (parts.user.data != NULL) {
        if (database_url_is_whole_login(parts.user))
            buffer_append_text(out, STARS);
        else
            database_url_show_slice(parts.user, out);
        if (parts.password.data != NULL)
            buffer_append_text(out, parts.password.length == 0 ? ":" : ":" STARS);
        buffer_append_text(out, "@");
    }
    database_url_show_slice(parts.hosts, out);
    if (parts.database.length > 0 || parts.options.length > 0)
        buffer_append_text(out, "/");
    database_url_show_slice(parts.database, out);
    database_url_show_options(parts.options, out);
}
