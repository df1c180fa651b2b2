/* Finds a store by the scheme of its URL. */
#include "consumer/store/registry.h"

#include <string.h>

const struct store_ops *store_find(const char *url)
{
    static const struct store_ops *const all[] = {&store_sqlite_ops, &store_postgresql_ops,
                                                  &store_mariadb_ops, &store_memory_ops};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t length = strlen(all[i]->scheme);
        if (strncmp(url, all[i]->scheme, length) == 0 && url[length] == ':')
            return all[i];
    }
    return NULL;
}
