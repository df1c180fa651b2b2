/* Any bytes as key and value, split at the first NUL. The flat reader must agree with jansson. */
#include "tests/fuzz/flat_input.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct entity_schema *fuzz_schema;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_schema == NULL)
        fuzz_schema = flat_input_schema();
    const char *text = (const char *)data;
    const char *cut = size == 0 ? NULL : memchr(text, 0, size);
    size_t key_length = cut == NULL ? size : (size_t)(cut - text);
    struct slice key = {text, key_length};
    struct slice value = {0};
    struct arena arena;
    int taken = 0;
    if (cut != NULL)
        value = (struct slice){cut + 1, size - key_length - 1};
    arena_init(&arena, (size_t)1024 * 1024);
    const char *difference = flat_oracle_compare(fuzz_schema, key, value, &arena, &taken);
    if (difference != NULL) {
        (void)fprintf(stderr, "%s\n", difference);
        abort();
    }
    arena_done(&arena);
    return 0;
}
