/* Any bytes as the value of each part of a fill. What is read must be written and read again as
 * the same. */
#include "schemas/fill_record.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct arena arena;
    struct buffer first;
    struct buffer second;
    struct error err;
};

/* What was written can be longer than anybody reads: escapes grow. */
static bool fuzz_is_long(const struct fuzz *fuzz)
{
    return fuzz->first.failed || fuzz->first.length > FILL_RECORD_BYTES_MAX;
}

static void fuzz_same(struct fuzz *fuzz, enum status status)
{
    if (status != STATUS_OK ||
        !slice_equal(buffer_slice(&fuzz->first), buffer_slice(&fuzz->second)))
        abort();
}

static void fuzz_begin(struct fuzz *fuzz, const struct record *record)
{
    struct fill_begin begin;
    if (fill_begin_read(record, &fuzz->arena, &begin, &fuzz->err) != STATUS_OK)
        return;
    fill_begin_append(&begin, &fuzz->first);
    if (fuzz_is_long(fuzz))
        return;
    const struct record again = {.value = buffer_slice(&fuzz->first)};
    enum status status = fill_begin_read(&again, &fuzz->arena, &begin, &fuzz->err);
    if (status == STATUS_OK)
        fill_begin_append(&begin, &fuzz->second);
    fuzz_same(fuzz, status);
}

static void fuzz_keys(struct fuzz *fuzz, const struct record *record)
{
    struct fill_key *keys;
    size_t count;
    if (fill_keys_read(record, &fuzz->arena, &keys, &count, &fuzz->err) != STATUS_OK)
        return;
    fill_keys_append(keys, count, &fuzz->first);
    if (fuzz_is_long(fuzz))
        return;
    const struct record again = {.value = buffer_slice(&fuzz->first)};
    enum status status = fill_keys_read(&again, &fuzz->arena, &keys, &count, &fuzz->err);
    if (status == STATUS_OK)
        fill_keys_append(keys, count, &fuzz->second);
    fuzz_same(fuzz, status);
}

static void fuzz_end(struct fuzz *fuzz, const struct record *record)
{
    struct fill_end end;
    if (fill_end_read(record, &fuzz->arena, &end, &fuzz->err) != STATUS_OK)
        return;
    fill_end_append(&end, &fuzz->first);
    const struct record again = {.value = buffer_slice(&fuzz->first)};
    enum status status = fill_end_read(&again, &fuzz->arena, &end, &fuzz->err);
    if (status == STATUS_OK)
        fill_end_append(&end, &fuzz->second);
    fuzz_same(fuzz, status);
}

static void fuzz_row(const struct record *record)
{
    struct fill_row row;
    if (fill_row_read(record, &row, NULL) == STATUS_OK && row.json.length >= row.value.length)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(struct fuzz *, const struct record *) = {fuzz_begin, fuzz_keys,
                                                                          fuzz_end};
    static const struct fill_head head = {
        {"01942f6e-0000-7000-8000-00000000002a", 36}, FILL_PART_ROW, 1, {"order", 5}};
    const char *reason;
    struct fill_headers headers;
    if (fill_head_write(&head, &headers, NULL) != STATUS_OK)
        abort();
    const struct record record = {.key = {"{}", 2},
                                  .value = {(const char *)data, size},
                                  .headers = headers.headers,
                                  .header_count = headers.count};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct fuzz fuzz = {.err = ERROR_INIT};
        arena_init(&fuzz.arena, ARENA_BYTES);
        buffer_init(&fuzz.first, 8 * FILL_RECORD_BYTES_MAX);
        buffer_init(&fuzz.second, 8 * FILL_RECORD_BYTES_MAX);
        parts[i](&fuzz, &record);
        if (fill_reason_read(&record, &fuzz.arena, &reason, NULL) == STATUS_OK && reason == NULL)
            abort();
        buffer_done(&fuzz.second);
        buffer_done(&fuzz.first);
        arena_done(&fuzz.arena);
    }
    fuzz_row(&record);
    return 0;
}
