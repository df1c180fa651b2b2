/* Any bytes as the value of a member or policy record. What is read must be written and read again
 * as the same. */
#include "tests/fuzz/written_again.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append(const void *record, struct buffer *out)
{
    member_record_append(record, out);
}

static enum status read_again(struct slice value, struct arena *arena, void *record,
                              struct error *err)
{
    return member_record_read(value, arena, record, err);
}

static const struct written_again kind = {append, read_again};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct member_record record;
    struct member_record again;
    struct member_policy policy;
    struct error err = ERROR_INIT;
    const struct slice value = {(const char *)data, size};
    arena_init(&arena, ARENA_BYTES);
    if (member_record_read(value, &arena, &record, &err) == STATUS_OK)
        written_again_check(&kind, &record, &again, &arena);
    error_clear(&err);
    if (member_policy_read(value, &arena, &policy, &err) == STATUS_OK && policy.count > 0 &&
        policy.members[0] == NULL)
        abort();
    (void)member_key_read(value);
    arena_done(&arena);
    return 0;
}
