/* Any bytes as the value of a record of verdicts. What is read must be written and read again as
 * the same. */
#include "schemas/verdict_record.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_write_again(const struct verdict_record *record, struct arena *arena)
{
    struct verdict_record again;
    struct error err = ERROR_INIT;
    struct buffer first;
    struct buffer second;
    buffer_init(&first, 8 * MEMBER_RECORD_BYTES_MAX);
    buffer_init(&second, 8 * MEMBER_RECORD_BYTES_MAX);
    verdict_record_append(record, &first);
    if (!first.failed && first.length <= MEMBER_RECORD_BYTES_MAX) {
        if (verdict_record_read(buffer_slice(&first), arena, &again, &err) != STATUS_OK)
            abort();
        verdict_record_append(&again, &second);
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
            abort();
    }
    buffer_done(&first);
    buffer_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct verdict_record record;
    struct error err = ERROR_INIT;
    const struct slice value = {(const char *)data, size};
    arena_init(&arena, ARENA_BYTES);
    if (verdict_record_read(value, &arena, &record, &err) == STATUS_OK) {
        for (size_t i = 0; i < record.count; i++) {
            if (verdict_different_rows(&record.copies[i]) < 0)
                abort();
        }
        fuzz_write_again(&record, &arena);
    }
    arena_done(&arena);
    return 0;
}
