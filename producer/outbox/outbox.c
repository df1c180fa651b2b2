/* What the outboxes of all databases have in common. */
#include "producer/outbox/outbox.h"

#include <inttypes.h>

enum status outbox_chain(const struct relay_partition *partition, struct outbox_row *rows,
                         size_t count, struct error *err)
{
    struct slice previous = slice_of(partition->acknowledged_id);
    uint64_t sequence = partition->acknowledged_sequence;
    for (size_t i = 0; i < count; i++) {
        rows[i].topic = partition->topic;
        rows[i].partition = partition->partition;
        rows[i].previous_id = previous;
        previous = rows[i].id;
        if (rows[i].sequence != ++sequence)
            return error_set(err, STATUS_FATAL,
                             "outbox row of %s [%d] sequence %" PRIu64
                             " is gone: rows were deleted by hand",
                             partition->topic, (int)partition->partition, sequence);
    }
    return STATUS_OK;
}

enum status outbox_refuse_no_relay(struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "the outbox has no relay row; run `keepstep init`");
}
