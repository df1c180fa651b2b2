/* What a fuzz target of records shares: what was read must be written and read again as the same.
 */
#ifndef TESTS_FUZZ_WRITTEN_AGAIN_H
#define TESTS_FUZZ_WRITTEN_AGAIN_H

#include "schemas/member_record.h"

#include <stdlib.h>

/** How a target's kind of record is written and read; `record` is of its own type. */
struct written_again {
    void (*append)(const void *record, struct buffer *out);
    enum status (*read)(struct slice value, struct arena *arena, void *record, struct error *err);
};

/** @param again  room for a record that is read. */
static inline void written_again_check(const struct written_again *kind, const void *record,
                                       void *again, struct arena *arena)
{
    struct error err = ERROR_INIT;
    struct buffer first;
    struct buffer second;
    buffer_init(&first, 8 * MEMBER_RECORD_BYTES_MAX);
    buffer_init(&second, 8 * MEMBER_RECORD_BYTES_MAX);
    kind->append(record, &first);
    if (!first.failed && first.length <= MEMBER_RECORD_BYTES_MAX) {
        if (kind->read(buffer_slice(&first), arena, again, &err) != STATUS_OK)
            abort();
        kind->append(again, &second);
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
            abort();
    }
    buffer_done(&first);
    buffer_done(&second);
}

#endif
