/* Any bytes as key and value, split at the first NUL. The flat reader must agree with jansson. */
#include "tests/support/flat_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct entity_schema *fuzz_schema;

static void fuzz_load(void)
{
    char folder[] = "/tmp/fuzz_flat_value.XXXXXX";
    char path[sizeof folder + 32];
    struct error err = ERROR_INIT;
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/flat.schema.json", folder);
    FILE *file = fopen(path, "we");
    if (file == NULL || fputs(FLAT_ORACLE_SCHEMA, file) < 0 || fclose(file) != 0 ||
        entity_schema_new(folder, "flat", &fuzz_schema, &err) != STATUS_OK)
        abort();
    (void)unlink(path);
    (void)rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_schema == NULL)
        fuzz_load();
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
