/* Any bytes as records of Debezium's, one after the other: key, value, key, value …, with a NUL
 * between them. The flat reader, which remembers how the last ones began, must agree with jansson.
 */
#include "tests/fuzz/flat_input.h"
#include "tests/support/debezium_oracle.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct entity_schema *fuzz_schema;

/* Take the next part off the data. */
static struct slice fuzz_part(struct slice *data)
{
    struct slice part = *data;
    const char *cut = data->length == 0 ? NULL : memchr(data->data, 0, data->length);
    if (cut == NULL) {
        *data = (struct slice){0};
        return part;
    }
    part.length = (size_t)(cut - part.data);
    *data = (struct slice){cut + 1, data->length - part.length - 1};
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct descriptions *descriptions = NULL;
    struct slice rest = {(const char *)data, size};
    struct error err = ERROR_INIT;
    if (fuzz_schema == NULL)
        fuzz_schema = flat_input_schema();
    const struct record_form form = {.format = FORMAT_DEBEZIUM, .schema = fuzz_schema};
    if (descriptions_new(&descriptions, &err) != STATUS_OK)
        abort();
    while (rest.data != NULL) {
        struct record record = {.form = &form, .topic = "flat", .key = fuzz_part(&rest)};
        record.value = fuzz_part(&rest);
        struct arena arena;
        int taken = 0;
        arena_init(&arena, (size_t)1024 * 1024);
        /* The second time it is known how the record begins. */
        for (int i = 0; i < 2; i++) {
            const char *difference = debezium_oracle_compare(&record, descriptions, &arena, &taken);
            if (difference != NULL) {
                (void)fprintf(stderr, "%s\n", difference);
                abort();
            }
        }
        arena_done(&arena);
    }
    descriptions_free(descriptions);
    return 0;
}
