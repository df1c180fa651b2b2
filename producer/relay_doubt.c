/* A claim whose outcome is not known: the outbox is asked again, and the producer goes on. */
#include "producer/relay_internal.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

/* @return the partition's state in the outbox; all zero where it has none. */
static struct relay_partition relay_state_of(const struct relay_partition *states, size_t count,
                                             const struct relay_partition *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (states[i].partition == wanted->partition && strcmp(states[i].topic, wanted->topic) == 0)
            return states[i];
    }
    return (struct relay_partition){.partition = wanted->partition};
}

/* Takes the numbers back, or finds that all of them are durable. */
static enum status relay_compare(struct relay *relay, bool *ret_durable, struct error *err)
{
    const struct relay_batch *batch = &relay->batch;
    struct relay_partition *states = NULL;
    size_t count = 0;
    size_t equal = 0;
    enum status status = relay->outbox->ops->load_partitions(relay->outbox, &states, &count, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < batch->partition_count; i++) {
        struct relay_partition state = relay_state_of(states, count, &batch->partitions[i]);
        equal += state.last_sequence == batch->partitions[i].last_sequence &&
                 strcmp(state.last_id, batch->partitions[i].last_id) == 0;
    }
    *ret_durable = equal == batch->partition_count;
    if (equal != 0 && !*ret_durable)
        status = error_set(err, STATUS_FATAL,
                           "the outbox has a part of a claim: it was changed by hand");
    for (size_t i = 0; status == STATUS_OK && equal == 0 && i < batch->partition_count; i++) {
        const struct relay_partition *moved = &batch->partitions[i];
        struct relay_partition state = relay_state_of(states, count, moved);
        struct relay_partition *own =
            &relay_find_topic(relay, moved->topic)->lanes[moved->partition].state;
        own->last_sequence = state.last_sequence;
        memcpy(own->last_id, state.last_id, sizeof own->last_id);
    }
    free(states);
    return status;
}

/* Whoever holds the lease row's old epoch can no longer claim, so that what is read next stays true
 * even where the connection was lost and its COMMIT is still on the way. */
static enum status relay_raise_epoch(struct relay *relay, bool *ret_alone, struct error *err)
{
    const struct outbox_ops *ops = relay->outbox->ops;
    struct lease lease = {0};
    /* Fenced, so that a lease that another relay has is lost and not waited for. */
    enum status status = ops->acknowledge(relay->outbox, &relay->lease, NULL, 0, err);
    if (status != STATUS_OK)
        return status;
    relay->epoch_reached = relay->lease.epoch + 1;
    status = ops->take_lease(relay->outbox, relay->lease_us, &lease, err);
    if (status != STATUS_OK)
        return status;
    relay->epoch_reached = lease.epoch;
    *ret_alone = lease.epoch == relay->lease.epoch + 1;
    relay->lease = lease;
    relay_renewed(relay, clock_monotonic_us());
    return STATUS_OK;
}

enum status relay_settle(struct relay *relay, struct error *err)
{
    bool alone = false;
    bool durable = false;
    enum status status = relay_raise_epoch(relay, &alone, err);
    if (status == STATUS_OK && !alone) {
        relay_drop_producer(relay); /* another relay was here: from the log again */
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = relay_compare(relay, &durable, err);
    if (status != STATUS_OK)
        return status;
    log_info("relay", "the claim of %zu rows is %s", relay->batch.count,
             durable ? "durable: they are sent" : "not durable: they are claimed again");
    relay->doubtful = false;
    relay->more = true;
    return durable ? relay_send_batch(relay, err) : STATUS_OK;
}
