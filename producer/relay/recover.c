/* The recovery (rule 10): a new producer, the log is read, and claimed rows that it lacks are sent
 * again. */
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ONE_BY_ONE_POLL_MS 100
#define REACH_MS           500
#define REACH_US           (10 * 1000 * 1000)

static void relay_log_retention(struct relay_topic *topic)
{
    if (topic->retention_logged ||
        (topic->settings.retention_ms <= 0 && topic->settings.retention_bytes <= 0))
        return;
    topic->retention_logged = true;
    log_warning("relay",
                "topic %s does not keep its records for ever (retention.ms=%" PRId64
                ", retention.bytes=%" PRId64 "): a copy that begins later, or is away for longer, "
                "misses changes and stops; set both to -1, or keep more than any copy may miss",
                topic->name, topic->settings.retention_ms, topic->settings.retention_bytes);
}

static void relay_note_sizes(struct relay *relay)
{
    const struct config *config = relay->options.config;
    for (size_t i = 0; i < config->publish_count; i++)
        relay->record_bytes_max[i] =
            relay_find_topic(relay, config->publish[i].topic)->settings.message_bytes_max;
}

static enum status relay_ensure_topics(struct relay *relay, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < relay->topic_count; i++) {
        if (relay->topics[i].entry == NULL)
            continue;
        status = relay_keep_lease(relay, err);
        if (status != STATUS_OK)
            break;
        status = kafka_producer_topic(relay->broker.producer, relay->topics[i].entry,
                                      &relay->topics[i].settings, err);
        if (status == STATUS_OK)
            relay_log_retention(&relay->topics[i]);
    }
    relay_note_sizes(relay);
    return status;
}

/* librdkafka's calls cannot be ended before their time. So a broker is waited for in pieces, and a
 * stop is followed soon. */
static enum status relay_reach_broker(struct relay *relay, struct error *err)
{
    int64_t until = clock_monotonic_us() + REACH_US;
    enum status status = STATUS_OK;
    if (relay->topic_count == 0)
        return STATUS_OK;
    do {
        error_clear(err);
        status = relay_keep_lease(relay, err);
        if (status != STATUS_OK)
            return status;
        status = kafka_producer_reach(relay->broker.producer, relay->topics[0].name, REACH_MS, err);
    } while (status == STATUS_RETRY && !atomic_load(relay->stop) && clock_monotonic_us() < until);
    return status;
}

/* Makes the producer. A topic may take smaller batches than it would send: then it is made again.
 */
static enum status relay_new_producer(struct relay *relay, struct error *err)
{
    for (;;) {
        enum status status = kafka_producer_new(relay->options.config, relay->broker.batch_bytes,
                                                relay_delivered, &relay->broker.producer, err);
        if (status == STATUS_OK) {
            kafka_producer_raise(relay->broker.producer, relay->wakeup);
            status = relay_reach_broker(relay, err);
        }
        if (status == STATUS_OK)
            status = relay_ensure_topics(relay, err);
        if (status != STATUS_OK)
            return status;
        int64_t smallest = kafka_producer_batch_bytes(relay->broker.producer);
        bool fits = true;
        for (size_t i = 0; i < relay->topic_count; i++) {
            int64_t size = relay->topics[i].settings.message_bytes_max;
            fits = fits && (size == 0 || size >= smallest);
            smallest = size > 0 && size < smallest ? size : smallest;
        }
        if (fits)
            return STATUS_OK;
        relay->broker.batch_bytes = smallest;
        kafka_producer_free(relay->broker.producer);
        relay->broker.producer = NULL;
    }
}

/* Waits until everything in flight is delivered, or the producer has failed. */
static enum status relay_await_deliveries(struct relay *relay, struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && relay_awaits_delivery(relay) && !atomic_load(relay->stop)) {
        (void)kafka_producer_poll(relay->broker.producer, ONE_BY_ONE_POLL_MS);
        status = relay_keep_lease(relay, err);
    }
    return status;
}

static enum status relay_resend_lane(struct relay *relay, struct relay_lane *lane,
                                     struct error *err)
{
    struct outbox_rows rows = {0};
    if (lane->state.last_sequence <= lane->state.acknowledged_sequence)
        return STATUS_OK;
    arena_reset(&relay->arena);
    enum status status = relay->outbox->ops->load_claimed(relay->outbox, &lane->state,
                                                          &relay->arena, &rows, err);
    if (status == STATUS_OK &&
        rows.count != lane->state.last_sequence - lane->state.acknowledged_sequence)
        status = error_set(err, STATUS_FATAL, "%s [%d]: claimed outbox rows are gone",
                           lane->state.topic, (int)lane->state.partition);
    if (status == STATUS_OK)
        log_info("relay", "%s [%d]: sending %zu claimed rows again", lane->state.topic,
                 (int)lane->state.partition, rows.count);
    for (size_t i = 0; status == STATUS_OK && i < rows.count && !relay->broker.failed; i++) {
        status = relay_send(relay, lane, &rows.rows[i], err);
        if (status == STATUS_OK)
            status = relay->refusal.one_by_one ? relay_await_deliveries(relay, err)
                                               : relay_keep_lease(relay, err);
        if (atomic_load(relay->stop))
            break;
    }
    return status;
}

static void relay_note_answer(struct relay *relay, enum status status, const struct error *err)
{
    relay_note_broker(relay, status == STATUS_OK || !kafka_producer_is_silence(err));
}

enum status relay_recover(struct relay *relay, struct error *err)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    if (relay->broker.producer != NULL)
        atomic_fetch_add(&relay->options.metrics->rebuilt, 1);
    relay_drop_producer(relay);
    arena_done(&relay->arena);
    arena_init(&relay->arena, RELAY_RECOVER_BYTES);
    relay->lease.row.session = relay->outbox->session; /* nothing that is remembered is used */
    enum status status = relay_keep_lease(relay, err);
    if (status == STATUS_OK) {
        status = relay_new_producer(relay, err);
        relay_note_answer(relay, status, err);
    }
    if (status == STATUS_OK)
        status = relay_load_lanes(relay, err);
    if (status == STATUS_OK) {
        status = relay_read_log(relay, err);
        relay_note_answer(relay, status, err);
    }
    if (status == STATUS_OK)
        status = relay_find_open_sets(relay, err);
    if (status == STATUS_OK)
        status = relay_acknowledge(relay, err);
    if (status == STATUS_OK)
        status = relay_move_types(relay, err);
    while (status == STATUS_OK && (lane = relay_next_lane(relay, &at)) != NULL)
        status = relay_resend_lane(relay, lane, err);
    arena_done(&relay->arena);
    arena_init(&relay->arena, loader_arena_bytes(relay->options.config));
    relay->waiting.more = true;
    if (status == STATUS_OK)
        relay_set_state(relay, RELAY_DRAINING);
    else
        relay_drop_producer(relay);
    return status;
}
