/* Finds the back ends of a service's database by the scheme of its URL. */
#include "producer/registry.h"

#include <string.h>

static bool registry_is(const char *url, const char *scheme)
{
    size_t length = strlen(scheme);
    return strncmp(url, scheme, length) == 0 && url[length] == ':';
}

const struct outbox_ops *outbox_find(const char *url)
{
    static const struct outbox_ops *const back_ends[] = {&outbox_sqlite_ops, &outbox_postgresql_ops,
                                                         &outbox_mariadb_ops};

    for (size_t i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++) {
        if (registry_is(url, back_ends[i]->scheme))
            return back_ends[i];
    }
    return NULL;
}

const struct origin_ops *origin_find(const char *url)
{
    static const struct origin_ops *const back_ends[] = {&origin_sqlite_ops, &origin_postgresql_ops,
                                                         &origin_mariadb_ops};

    for (size_t i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++) {
        if (registry_is(url, back_ends[i]->scheme))
            return back_ends[i];
    }
    return NULL;
}

const struct source_ops *source_find(const char *url)
{
    static const struct source_ops *const back_ends[] = {&source_sqlite_ops, &source_postgresql_ops,
                                                         &source_mariadb_ops};

    for (size_t i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++) {
        if (registry_is(url, back_ends[i]->scheme))
            return back_ends[i];
    }
    return NULL;
}
