/* Any bytes as a record of the topic of joint transactions: the first one says which kind, the
 * first line is the key, the rest is the value. What is read must be written and read again as the
 * same, and must be decided. */
#include "schemas/joint_decide.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define HEADERS     7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_proposal(const struct joint_proposal *proposal, struct arena *arena)
{
    struct joint_proposal again;
    struct error err = ERROR_INIT;
    struct buffer first;
    struct buffer second;
    buffer_init(&first, 8 * JOINT_BYTES_MAX);
    buffer_init(&second, 8 * JOINT_BYTES_MAX);
    joint_proposal_append(proposal, &first);
    if (!first.failed && first.length <= JOINT_BYTES_MAX) {
        if (joint_proposal_read(buffer_slice(&first), arena, &again, &err) != STATUS_OK)
            abort();
        joint_proposal_append(&again, &second);
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second)) ||
            again.participant_count != proposal->participant_count)
            abort();
    }
    buffer_done(&first);
    buffer_done(&second);
}

static void check_decision(const struct joint_record *record)
{
    struct joint_log log = {0};
    struct joint_tally *tally = NULL;
    struct error err = ERROR_INIT;
    enum joint_effect effect;
    if (joint_log_read(&log, record, &effect, &tally, &err) != STATUS_OK)
        abort();
    if (tally != NULL && tally->outcome == JOINT_COMMITTED)
        abort(); /* nobody has voted */
    joint_log_done(&log);
}

static struct header header_of(const char *name, struct slice value)
{
    return (struct header){slice_of(name), value};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"proposal", "vote", "withdrawal", "void"};
    struct arena arena;
    struct joint_record read;
    struct error err = ERROR_INIT;
    if (size == 0)
        return 0;
    struct slice all = {(const char *)data + 1, size - 1};
    const char *line = all.length == 0 ? NULL : memchr(all.data, '\n', all.length);
    size_t key = line == NULL ? all.length : (size_t)(line - all.data);
    const char *kind = kinds[data[0] % 4];
    const struct header headers[HEADERS] = {
        header_of("ce_id", slice_of("e1")),
        header_of("ce_source", slice_of("shop")),
        header_of("ce_type", slice_of("keepstep.joint.proposal")),
        header_of("ce_sequence", slice_of("00000000000000000001")),
        header_of("ce_incarnation", slice_of("i1")),
        header_of("ce_protocol", slice_of("1")),
        header_of("ce_kind", slice_of(kind)),
    };
    const struct record record = {
        .key = {all.data, key},
        .value = {line == NULL ? NULL : line + 1, line == NULL ? 0 : all.length - key - 1},
        .headers = headers,
        .header_count = HEADERS};
    arena_init(&arena, ARENA_BYTES);
    if (joint_record_read(&record, &arena, &read, &err) != STATUS_OK)
        abort();
    if (read.kind == JOINT_PROPOSAL && !read.is_malformed)
        check_proposal(&read.proposal, &arena);
    check_decision(&read);
    arena_done(&arena);
    return 0;
}
