/* Any bytes as the value of a record of verdicts. What is read must be written and read again as
 * the same. */
#include "schemas/verdict_record.h"
#include "tests/fuzz/written_again.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append(const void *record, struct buffer *out)
{
    verdict_record_append(record, out);
}

static enum status read_again(struct slice value, struct arena *arena, void *record,
                              struct error *err)
{
    return verdict_record_read(value, arena, record, err);
}

static const struct written_again kind = {append, read_again};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct verdict_record record;
    struct verdict_record again;
    struct error err = ERROR_INIT;
    const struct slice value = {(const char *)data, size};
    arena_init(&arena, ARENA_BYTES);
    if (verdict_record_read(value, &arena, &record, &err) == STATUS_OK) {
        for (size_t i = 0; i < record.count; i++) {
            if (verdict_different_rows(&record.copies[i]) < 0)
                abort();
        }
        written_again_check(&kind, &record, &again, &arena);
    }
    arena_done(&arena);
    return 0;
}
