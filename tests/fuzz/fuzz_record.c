/* Any bytes as the key and value of a record, split at the first NUL. */
#include "schemas/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct entity_schema *fuzz_schema;

static void fuzz_load(void)
{
    static const char row[] =
        "{\"x-keepstep-key\":[\"id\"],\"properties\":{\"id\":{\"type\":\"integer\"},"
        "\"n\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\"},"
        "\"b\":{\"type\":\"string\",\"x-keepstep-type\":\"bytes\"},"
        "\"t\":{\"type\":\"string\",\"x-keepstep-type\":\"date-time\"},"
        "\"j\":{\"type\":\"string\",\"x-keepstep-type\":\"json\"},"
        "\"o\":{\"type\":\"string\",\"x-keepstep-type\":\"time\"},"
        "\"w\":{\"type\":\"number\"}}}";
    char folder[] = "/tmp/fuzz_record.XXXXXX";
    char path[sizeof folder + 32];
    struct error err = ERROR_INIT;
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/order.schema.json", folder);
    FILE *file = fopen(path, "we");
    if (file == NULL || fputs(row, file) < 0 || fclose(file) != 0 ||
        entity_schema_new(folder, "order", &fuzz_schema, &err) != STATUS_OK)
        abort();
    (void)unlink(path);
    (void)rmdir(folder);
}

static const struct entity_schema *fuzz_find(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return fuzz_schema;
}

/* Read the same bytes in each format that a topic may have. */
static void fuzz_read(struct slice key, struct slice value)
{
    static const struct record_form forms[] = {
        {.format = FORMAT_KEEPSTEP},
        {.format = FORMAT_DEBEZIUM},
        {.format = FORMAT_DEBEZIUM, .binary = BINARY_HEX},
        {.format = FORMAT_CLOUDEVENTS},
        {.format = FORMAT_JSON},
    };
    struct header type = {slice_of("ce_type"), slice_of("order.updated")};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct record_form form = forms[i];
        form.schema = fuzz_schema;
        struct record record = {.form = form.format == FORMAT_KEEPSTEP ? NULL : &form,
                                .topic = "order",
                                .key = key,
                                .value = value,
                                .headers = &type,
                                .header_count = 1};
        struct error err = ERROR_INIT;
        struct change change;
        struct arena arena;
        arena_init(&arena, (size_t)1024 * 1024);
        const struct decoder decoder = {{fuzz_find, NULL}, &arena, NULL};
        (void)!record_decode(&record, &decoder, &change, &err);
        arena_done(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_schema == NULL)
        fuzz_load();
    const char *text = (const char *)data;
    const char *cut = size == 0 ? NULL : memchr(text, 0, size);
    size_t key_length = cut == NULL ? size : (size_t)(cut - text);
    struct slice value = {0};
    if (cut != NULL)
        value = (struct slice){cut + 1, size - key_length - 1};
    fuzz_read((struct slice){text, key_length}, value);
    struct error err = ERROR_INIT;
    struct arena arena;
    struct header *headers = NULL;
    size_t count = 0;
    arena_init(&arena, (size_t)1024 * 1024);
    (void)!headers_unpack((struct slice){text, size}, &arena, &headers, &count, &err);
    arena_done(&arena);
    return 0;
}
