/* Records of joint transactions are claimed before data, in claims of their own (rule 71): services
 * write what they have reserved only once the votes are in the log, so no vote waits behind data.
 *
 * What waits is asked for by a statement of its own, in front of each load of data. So it is found
 * however many rows of data wait, are set aside or are paused, and also while so much is in flight
 * that no data is claimed. Records of one joint transaction keep their order, because each load has
 * them by their positions. They may overtake data, of their own transaction too: that is in other
 * topics, and nobody reads the order of two topics.
 *
 * A load of data may find such records as well, those that were committed meanwhile, and claims
 * them like others. Those that were loaded ahead are left for the next claim of joint records, as
 * they may have their numbers by now. */
#include "producer/relay/internal.h"
#include "producer/relay/joint_row.h"

#include "common/clock.h"

#define JOINT_ROWS   256
#define JOINT_BYTES  ((size_t)4 * 1024 * 1024)
#define JOINT_FLIGHT 1024        /* rows in flight beyond what data may have there, */
#define LOOK_US      (10 * 1000) /* and how often they are looked for while data has no room */

bool relay_has_room(const struct relay *relay)
{
    return relay->flights.count + RELAY_BATCH_ROWS <= RELAY_FLIGHT_ROWS &&
           relay->flights.bytes < RELAY_FLIGHT_BYTES;
}

bool relay_has_room_for_joint(const struct relay *relay)
{
    return relay->joint.is_first &&
           relay->flights.count + JOINT_ROWS <= RELAY_FLIGHT_ROWS + JOINT_FLIGHT &&
           relay->flights.bytes < RELAY_FLIGHT_BYTES + JOINT_BYTES;
}

int64_t relay_look_for_joint_at_us(const struct relay *relay)
{
    return relay->joint.more ? 0 : relay->waiting.loaded_at_us + LOOK_US;
}

/* Loads what waits, and sets aside what cannot be published. */
static enum status relay_load_joint(struct relay *relay, struct relay_choice *ret_choice,
                                    struct error *err)
{
    struct outbox_rows rows = {0};
    const struct outbox_extent extent = {
        .rows = JOINT_ROWS,
        .payload_bytes = (size_t)relay->options.config->limits.message_bytes,
        .total_bytes = JOINT_BYTES};
    arena_reset(&relay->arena);
    arena_reset(&relay->sets);
    enum status status = relay->outbox->ops->load_joint(relay->outbox, &extent, &relay->arena,
                                                        &rows, err);
    if (status != STATUS_OK)
        return status;
    size_t count = rows.count;
    bool full = loader_is_full(&extent, &rows);
    status = relay_select(relay, &rows, err);
    relay->joint.more = full || rows.count < count;
    *ret_choice = (struct relay_choice){.rows = rows.rows, .count = rows.count};
    return status;
}

enum status relay_claim_joint(struct relay *relay, struct error *err)
{
    struct relay_choice choice = {0};
    if (!relay_has_room_for_joint(relay))
        return STATUS_OK;
    relay->joint.more = true; /* unless the load says otherwise */
    enum status status = relay_load_joint(relay, &choice, err);
    if (status != STATUS_OK || choice.count == 0 ||
        relay->lease.row.session != relay->outbox->session)
        return status; /* the comparison comes first */
    relay->waiting.found_at_us = clock_monotonic_us();
    status = relay_number(relay, &choice, err);
    return status == STATUS_OK ? relay_claim_batch(relay, NULL, err) : status;
}

void relay_leave_out_joint(struct outbox_rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (!joint_row_is(&rows->rows[i]))
            rows->rows[kept++] = rows->rows[i];
    }
    rows->count = kept;
}
