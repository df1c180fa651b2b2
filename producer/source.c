/* Finds the source back end of a database URL. */
#include "producer/source.h"

const struct source_ops *source_find(const char *url)
{
    static const struct source_ops *const back_ends[] = {&source_sqlite_ops, &source_postgresql_ops,
                                                         &source_mariadb_ops};

    for (size_t i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++) {
        size_t length = strlen(back_ends[i]->scheme);
        if (strncmp(url, back_ends[i]->scheme, length) == 0 && url[length] == ':')
            return back_ends[i];
    }
    return NULL;
}
