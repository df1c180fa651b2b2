/* Any bytes as a database's URL. What is shown of it does not depend on its password, and an error
 * says that the configuration is wrong. */
#include "common/database_url.h"
#include "common/mariadb_url.h"

#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>

#define URL_MAX ((size_t)64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each item takes a byte of its list, or is the only one. */
static void check_lists(struct database_url url)
{
    struct slice first;
    struct slice second;
    size_t left = url.hosts.length + url.options.length + 2;
    while (database_url_next_host(&url.hosts, &first, &second)) {
        if (left-- == 0)
            abort();
    }
    while (database_url_next_option(&url.options, &first, &second)) {
        if (left-- == 0)
            abort();
    }
}

static void check_shown(const char *text, const struct database_url *url)
{
    struct buffer other;
    struct buffer shown;
    struct buffer shown_other;
    const char *behind = url->password.data + url->password.length;
    buffer_init(&other, URL_MAX);
    buffer_init(&shown, URL_MAX);
    buffer_init(&shown_other, URL_MAX);
    buffer_append(&other, text, (size_t)(url->password.data - text));
    buffer_append_format(&other, "another%s", behind);
    database_url_show(text, &shown);
    database_url_show(buffer_text(&other), &shown_other);
    if (!other.failed && !shown.failed &&
        !slice_equal(buffer_slice(&shown), buffer_slice(&shown_other)))
        abort();
    buffer_done(&other);
    buffer_done(&shown);
    buffer_done(&shown_other);
}

static bool is_within(const struct mariadb_url *url, const char *part)
{
    return part == NULL || (part >= url->text && part < url->text + url->length);
}

static void check_mariadb(const char *text)
{
    static struct mariadb_url url;
    struct error err = ERROR_INIT;
    if (mariadb_url_parse(text, &url, &err) != STATUS_OK) {
        if (err.exit_code != EX_CONFIG)
            abort();
        return;
    }
    if (url.length > MARIADB_URL_SIZE || !is_within(&url, url.user) ||
        !is_within(&url, url.password) || !is_within(&url, url.host) ||
        !is_within(&url, url.database) || !is_within(&url, url.socket) ||
        !is_within(&url, url.option_file))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct database_url url;
    struct error err = ERROR_INIT;
    struct buffer text;
    buffer_init(&text, URL_MAX);
    buffer_append(&text, (const char *)data, size);
    const char *written = buffer_text(&text);
    if (!text.failed) {
        if (database_url_parse(written, &url, &err) == STATUS_OK) {
            check_lists(url);
            if (url.password.length > 0)
                check_shown(written, &url);
        } else if (err.exit_code != EX_CONFIG) {
            abort();
        }
        check_mariadb(written);
    }
    buffer_done(&text);
    return 0;
}
