/* Knows when jansson's memory was short, which jansson itself does not tell. */
#include "schemas/json.h"

#include <stdlib.h>

static _Thread_local bool json_memory_short;

static void *json_allocate(size_t size)
{
    void *memory = malloc(size);
    json_memory_short = json_memory_short || memory == NULL;
    return memory;
}

/* Before any thread uses jansson. */
__attribute__((constructor)) static void json_use_allocator(void)
{
    json_set_alloc_funcs(json_allocate, free);
}

enum status json_settle(enum status status, struct error *err)
{
    if (!json_memory_short)
        return status;
    json_memory_short = false;
    if (err != NULL)
        error_clear(err);
    return error_set(err, STATUS_RETRY, "no memory to read JSON");
}
