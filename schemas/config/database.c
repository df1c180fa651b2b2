/* Refuses a password in a database's URL where others could read it. */
#include "schemas/config/internal.h"

#include "common/database_url.h"

#include <string.h>

#define URL_SIZE_MAX ((size_t)1024 * 1024)

enum status config_database_check(const char *url, const char *place, struct error *err)
{
    struct database_url parts;
    enum status status = url == NULL ? STATUS_OK : database_url_parse(url, &parts, err);
    if (url == NULL || status != STATUS_OK || place == NULL || !database_url_has_password(&parts))
        return status;
    return error_set(error_config(err), STATUS_FATAL,
                     "the database's URL holds a password, and %s must not hold one: put the "
                     "URL into a file of its own that database_file names, or into the "
                     "environment as KEEPSTEP_DATABASE, or leave the password to the client's own "
                     "file (~/.pgpass, or my.cnf by ?option-file=)",
                     place);
}

char *config_database_shown(const char *url)
{
    struct buffer shown;
    buffer_init(&shown, URL_SIZE_MAX);
    database_url_show(url, &shown);
    char *copy = shown.failed ? NULL : strdup(buffer_text(&shown));
    buffer_done(&shown);
    return copy;
}
