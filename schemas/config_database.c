/* Where a database's URL holds a password, so that it is refused where others read it and never
 * shown. */
#include "schemas/config_internal.h"

#include <string.h>

#define STARS        "***"
#define URL_SIZE_MAX ((size_t)1024 * 1024)

/* Where ?OPTION=VALUE begins; a question mark that nothing of the kind follows is none. */
static size_t config_database_options(const char *authority)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    const char *at = authority;
    while ((at = strchr(at, '?')) != NULL) {
        size_t length = strspn(++at, name);
        if (length > 0 && at[length] == '=')
            return (size_t)(at - authority);
    }
    return strlen(authority);
}

/* USER:PASSWORD@ in front of the host; a password may hold an @ or a / that nobody encoded. */
static struct slice config_database_user_password(const char *authority)
{
    size_t end = strcspn(authority, "/");
    size_t options = config_database_options(authority);
    const char *at = NULL;
    for (const char *c = authority; c < authority + (options > end ? options : end); c++)
        at = *c == '@' ? c : at;
    const char *colon = at == NULL ? NULL : memchr(authority, ':', strcspn(authority, "@"));
    if (colon == NULL || authority[0] == '[' || colon[1 + strspn(colon + 1, "0123456789")] == '/')
        return (struct slice){0}; /* none, or HOST:PORT */
    return (struct slice){.data = colon + 1, .length = (size_t)(at - colon - 1)};
}

/* The next one at or behind `from`. libpq takes ?password=… and &sslpassword=… as options. */
static struct slice config_database_password(const char *url, const char *from)
{
    static const char name[] = "password=";
    const char *authority = strstr(url, "://");
    if (authority == NULL || strncmp(url, "sqlite:", strlen("sqlite:")) == 0)
        return (struct slice){0};
    struct slice password = config_database_user_password(authority + strlen("://"));
    if (password.length > 0 && password.data >= from)
        return password;
    const char *at = strchr(url, '?');
    while (at != NULL && (at = strstr(at, name)) != NULL) {
        at += strlen(name);
        password = (struct slice){.data = at, .length = strcspn(at, "&")};
        if (password.length > 0 && at >= from)
            return password;
    }
    return (struct slice){0};
}

enum status config_database_check(const char *url, const char *place, struct error *err)
{
    if (url == NULL || config_database_password(url, url).length == 0)
        return STATUS_OK;
    return error_set(error_config(err), STATUS_FATAL,
                     "the database's URL holds a password, and %s is no place for one: put the "
                     "URL into a file of its own that database_file names, or into the "
                     "environment as KEEPSTEP_DATABASE, or leave the password to the client's own "
                     "file (~/.pgpass, or my.cnf by ?option-file=)",
                     place);
}

char *config_database_shown(const char *url)
{
    const char *from = url;
    struct slice password;
    struct buffer shown;
    buffer_init(&shown, URL_SIZE_MAX);
    while ((password = config_database_password(url, from)).length > 0) {
        buffer_append(&shown, from, (size_t)(password.data - from));
        buffer_append_text(&shown, STARS);
        from = password.data + password.length;
    }
    buffer_append_text(&shown, from);
    char *copy = shown.failed ? NULL : strdup(buffer_text(&shown));
    buffer_done(&shown);
    return copy;
}
