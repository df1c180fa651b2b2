/* After a lost connection the relay finds out whether its last claim is durable, and whether the
 * database still has all that the relay remembers. Only if the database lost some of it, the relay
 * recovers; otherwise the same producer goes on. */
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define LAND_US      (INT64_C(5) * 1000 * 1000)
#define LAND_POLL_MS 50

/* @return the partition's state in the outbox; all zero if it has none. */
static struct relay_partition relay_state_of(const struct relay_partition *states, size_t count,
                                             const struct relay_partition *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (states[i].partition == wanted->partition && strcmp(states[i].topic, wanted->topic) == 0)
            return states[i];
    }
    return (struct relay_partition){.partition = wanted->partition};
}

static bool relay_is_in_batch(const struct relay_batch *batch, const struct relay_lane *lane)
{
    for (size_t i = 0; batch != NULL && i < batch->claim.partition_count; i++) {
        if (batch->lanes[i] == lane)
            return true;
    }
    return false;
}

static bool relay_has_numbers(const struct relay_partition *there,
                              const struct relay_partition *own)
{
    return there->last_sequence == own->last_sequence && strcmp(there->last_id, own->last_id) == 0;
}

/* The database has lost claims that this relay remembers, and may have sent. What is in flight gets
 * time to arrive, so that the recovery finds it in the log. */
static void relay_start_over(struct relay *relay, const struct relay_partition *state,
                             const struct relay_partition *there)
{
    int64_t until = clock_monotonic_us() + LAND_US;
    log_warning(
        "relay",
        "%s [%d]: the database has numbered up to %llu, this relay up to %llu: the database "
        "lost commits, or is another one; the log is read again",
        state->topic, (int)state->partition, (unsigned long long)there->last_sequence,
        (unsigned long long)state->last_sequence);
    while (relay_awaits_delivery(relay) && !atomic_load(relay->stop) &&
           clock_monotonic_us() < until)
        (void)kafka_producer_poll(relay->broker.producer, LAND_POLL_MS);
    relay_drop_producer(relay);
    relay_set_state(relay, RELAY_RECOVERING);
}

/* Compares what the database has numbered with what this relay remembers. Where they differ, the
 * relay recovers. An acknowledgement that the database has lost is written again.
 * @param except  a batch whose partitions are not compared; NULL: none. */
static void relay_compare_lanes(struct relay *relay, const struct relay_partition *states,
                                size_t count, const struct relay_batch *except)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        const struct relay_partition *state = &lane->state;
        struct relay_partition there = relay_state_of(states, count, state);
        lane->unwritten = lane->unwritten ||
                          there.acknowledged_sequence < state->acknowledged_sequence;
        relay->flights.unwritten = relay->flights.unwritten || lane->unwritten;
        if (relay_is_in_batch(except, lane) || relay_has_numbers(&there, state))
            continue;
        relay_start_over(relay, state, &there);
        return;
    }
}

void relay_must_compare(struct relay *relay)
{
    relay->lease.row.session = relay->outbox->session - 1;
}

enum status relay_compare(struct relay *relay, struct error *err)
{
    struct relay_partition *states = NULL;
    size_t count = 0;
    unsigned session = relay->outbox->session;
    if (relay->lease.row.session == session)
        return STATUS_OK;
    enum status status = relay->outbox->ops->load_partitions(relay->outbox, &states, &count, err);
    if (status != STATUS_OK)
        return status;
    relay_compare_lanes(relay, states, count, NULL);
    relay->lease.row.session = session;
    free(states);
    return STATUS_OK;
}

/* @return whether the batch's numbers are durable, all of them. If none is, they are taken back; if
 * only some are, the relay recovers. */
static bool relay_judge_batch(struct relay *relay, const struct relay_partition *states,
                              size_t count)
{
    const struct outbox_claim *claim = &relay->batch.claim;
    size_t made = 0;
    size_t absent = 0;
    for (size_t i = 0; i < claim->partition_count; i++) {
        struct relay_partition there = relay_state_of(states, count, &claim->partitions[i]);
        made += relay_has_numbers(&there, &claim->partitions[i]);
        absent += strcmp(there.last_id, relay->batch.lanes[i]->previous_id) == 0;
    }
    if (made == claim->partition_count)
        return true;
    for (size_t i = 0; i < claim->partition_count; i++) {
        struct relay_partition there = relay_state_of(states, count, &claim->partitions[i]);
        struct relay_partition *own = &relay->batch.lanes[i]->state;
        if (absent < claim->partition_count) {
            relay_start_over(relay, own, &there);
            return false;
        }
        own->last_sequence = there.last_sequence;
        memcpy(own->last_id, there.last_id, sizeof own->last_id);
    }
    return false;
}

/* Raises the lease's epoch, which ends every claim under the old one. A COMMIT of the lost
 * connection may still be on its way; it fails now, so what is read next stays true.
 * @param ret_alone  whether no other relay had the lease meanwhile. */
static enum status relay_raise_epoch(struct relay *relay, bool *ret_alone, struct error *err)
{
    const struct outbox_ops *ops = relay->outbox->ops;
    struct lease lease = {0};
    relay->lease.row.session = relay->outbox->session; /* the comparison follows */
    /* This one is fenced: it says ABORT if another relay has the lease. take_lease() would wait. */
    enum status status = ops->acknowledge(relay->outbox, &relay->lease.row, NULL, 0, err);
    if (status != STATUS_OK)
        return status;
    relay->lease.epoch_reached = relay->lease.row.epoch + 1;
    status = ops->take_lease(relay->outbox, relay->lease.duration_us, &lease, err);
    if (status != STATUS_OK)
        return status;
    relay->lease.epoch_reached = lease.epoch;
    *ret_alone = lease.epoch == relay->lease.row.epoch + 1;
    relay->lease.row = lease;
    relay_renewed(relay, clock_monotonic_us());
    return STATUS_OK;
}

enum status relay_resolve_set_aside(struct relay *relay, struct error *err)
{
    bool alone = false;
    if (!relay->waiting.set_aside_in_doubt)
        return STATUS_OK;
    enum status status = relay_raise_epoch(relay, &alone, err);
    relay_must_compare(relay);
    if (status != STATUS_OK)
        return status;
    relay->waiting.set_aside_in_doubt = false;
    if (!alone) {
        relay_drop_producer(relay);
        relay_set_state(relay, RELAY_RECOVERING);
    }
    return STATUS_OK;
}

enum status relay_resolve_claim(struct relay *relay, struct error *err)
{
    bool alone = false;
    bool durable = false;
    struct relay_partition *states = NULL;
    size_t count = 0;
    enum status status = relay_raise_epoch(relay, &alone, err);
    if (status == STATUS_OK && !alone) {
        relay_drop_producer(relay);
        relay_set_state(relay, RELAY_RECOVERING); /* another relay had the lease */
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = relay->outbox->ops->load_partitions(relay->outbox, &states, &count, err);
    if (status == STATUS_OK && relay->lease.row.session != relay->outbox->session)
        status = error_set(err, STATUS_RETRY, OUTBOX_NEW_SESSION);
    if (status == STATUS_OK)
        relay_compare_lanes(relay, states, count, &relay->batch);
    if (status == STATUS_OK && relay_is_recovered(relay))
        durable = relay_judge_batch(relay, states, count);
    free(states);
    if (status == STATUS_OK && relay_is_recovered(relay) && !durable && relay_is_whole(relay))
        status = relay_find_open_sets(relay, err); /* the claim may have been a set's first part */
    if (status != STATUS_OK || !relay_is_recovered(relay))
        return status;
    log_info("relay", "the claim of %zu rows is %s", relay->batch.claim.row_count,
             durable ? "durable: they are sent" : "not durable: they are claimed again");
    relay_set_state(relay, RELAY_PUBLISHING);
    relay->waiting.more = true;
    return durable ? relay_send_batch(relay, err) : STATUS_OK;
}
