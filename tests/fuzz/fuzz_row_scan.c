/* Any bytes as the values of a scanned row: the key, then each column's, split at the NULs. The
 * reader must agree with jansson wherever that can read the row. */
#include "tests/fuzz/flat_input.h"
#include "tests/support/scan_oracle.h"

#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>

#define IMAGE_SIZE_MAX ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct entity_schema *fuzz_schema;

/* Takes what stands before the next NUL. */
static struct slice fuzz_take(struct slice *rest)
{
    struct slice taken = *rest;
    const char *cut = rest->length == 0 ? NULL : memchr(rest->data, 0, rest->length);
    if (cut != NULL)
        taken.length = (size_t)(cut - rest->data);
    size_t used = taken.length + (cut != NULL);
    *rest = (struct slice){rest->data + used, rest->length - used};
    return taken;
}

static void fuzz_image(struct slice *rest, struct buffer *image)
{
    for (size_t i = 0; i < fuzz_schema->column_count; i++) {
        struct slice value = fuzz_take(rest);
        buffer_append_text(image, i == 0 ? "{" : ",");
        buffer_append_json(image, slice_of(fuzz_schema->columns[i].name));
        buffer_append_text(image, ":");
        if (value.length == 0)
            value = slice_of("null");
        buffer_append(image, value.data, value.length);
    }
    buffer_append_text(image, "}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_schema == NULL)
        fuzz_schema = flat_input_schema();
    struct slice rest = {(const char *)data, size};
    struct slice key = fuzz_take(&rest);
    struct buffer image;
    struct arena arena;
    size_t unfit = 0;
    buffer_init(&image, IMAGE_SIZE_MAX);
    arena_init(&arena, (size_t)4 * IMAGE_SIZE_MAX);
    fuzz_image(&rest, &image);
    const char *difference = NULL;
    if (!image.failed)
        difference = scan_oracle_compare(fuzz_schema, (struct row_texts){key, buffer_slice(&image)},
                                         &arena, &unfit);
    if (difference != NULL) {
        (void)fprintf(stderr, "%s\n", difference);
        abort();
    }
    arena_done(&arena);
    buffer_done(&image);
    return 0;
}
