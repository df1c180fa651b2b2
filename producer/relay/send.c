/* Sends claimed rows, and stores in the outbox what Kafka has confirmed. */
#include "common/utf8.h"
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/stages.h"

#include <stdio.h>
#include <stdlib.h>

#define FULL_POLL_MS 10

static struct relay_flight *relay_flight_new(struct relay *relay)
{
    struct relay_flight *flight = relay->flights.spare;
    if (flight == NULL)
        return calloc(1, sizeof *flight);
    relay->flights.spare = flight->next;
    *flight = (struct relay_flight){0};
    return flight;
}

static void relay_flight_done(struct relay *relay, struct relay_flight *flight)
{
    relay->flights.count--;
    relay->flights.bytes -= flight->bytes;
    flight->next = relay->flights.spare;
    relay->flights.spare = flight;
}

void relay_delivered(void *record, enum delivery delivery, int64_t offset, const char *text)
{
    struct relay_flight *flight = record;
    struct relay *relay = flight->lane->relay;
    if (delivery == DELIVERY_DONE) {
        STAGE_TIME(delivered_us);
        STAGE_STAMP(STAGE_DELIVERED, slice_of(flight->id), delivered_us);
        flight->delivered = true;
        flight->offset = offset;
        flight->lane->delivered++;
        flight->lane->progress_at_us = clock_monotonic_us();
        relay_note_broker(relay, true);
        if (relay->flights.delivered++ == 0)
            relay->flights.unacknowledged_since_us = clock_monotonic_us();
        return;
    }
    if (delivery == DELIVERY_REFUSED && flight->alone) {
        relay->refusal.void_refused = strcmp(relay->refusal.id, flight->id) == 0;
        (void)snprintf(relay->refusal.id, sizeof relay->refusal.id, "%s", flight->id);
    }
    if (!relay->broker.failed || delivery == DELIVERY_REFUSED)
        utf8_format(relay->broker.failed_text, sizeof relay->broker.failed_text, "%s", text);
    relay->broker.failed = true;
    relay->refusal.one_by_one = relay->refusal.one_by_one || delivery == DELIVERY_REFUSED;
}

static enum status relay_send_kind(struct relay *relay, struct relay_flight *flight,
                                   const struct outbox_row *row, enum change_kind kind,
                                   struct error *err)
{
    const struct relay_partition *state = &flight->lane->state;
    struct kafka_message message;
    enum status status = record_build(&relay->maker, row, kind, &message, err);
    if (status != STATUS_OK)
        return status;
    message.tp = (struct topic_partition){state->topic, state->partition};
    message.record = flight;
    do {
        struct error again = ERROR_INIT;
        status = kafka_producer_send(relay->broker.producer, &message, &again);
        if (status == STATUS_RETRY && !relay->broker.failed && !atomic_load(relay->stop)) {
            (void)kafka_producer_poll(relay->broker.producer, FULL_POLL_MS);
            relay_report(relay);
            enum status kept = relay_keep_lease(relay, err);
            if (kept != STATUS_OK)
                return kept;
        } else if (status != STATUS_OK) {
            return error_set_native(err, status, again.native_code, "%s", again.text);
        }
    } while (status == STATUS_RETRY);
    return status;
}

static void relay_note_void(struct relay_lane *lane, const struct outbox_row *row, const char *why)
{
    struct relay_metrics *metrics = lane->relay->options.metrics;
    bool in_set = row->changeset_end != 0;
    atomic_fetch_add(&metrics->voided, 1);
    if (in_set && row->changeset_end != lane->void_end)
        atomic_fetch_add(&metrics->sets_voided, 1);
    lane->void_end = row->changeset_end;
    log_error("relay",
              "event %.*s of %.*s %.*s cannot be sent (%s): it goes out as a void, and %s the "
              "copies; write %s again",
              SLICE_ARGS(row->id), SLICE_ARGS(row->entity_type), SLICE_ARGS(row->entity_key), why,
              in_set ? "no change of its transaction reaches" : "its change does not reach",
              in_set ? "its entities" : "the entity");
}

enum status relay_send(struct relay *relay, struct relay_lane *lane, const struct outbox_row *row,
                       struct error *err)
{
    struct error refused = ERROR_INIT;
    struct relay_flight *flight = relay_flight_new(relay);
    if (flight == NULL) {
        relay->broker.failed = true;
        (void)snprintf(relay->broker.failed_text, sizeof relay->broker.failed_text, "no memory");
        return error_set(err, STATUS_RETRY, "no memory");
    }
    flight->lane = lane;
    flight->sequence = row->sequence;
    flight->alone = relay->refusal.one_by_one;
    flight->bytes = row->payload.length + row->entity_key.length + sizeof *flight;
    flight->created_us = row->created_us;
    if (flight->created_us == 0)
        (void)clock_parse_rfc3339(row->created_at.data, row->created_at.length,
                                  &flight->created_us);
    if (lane->progress_at_us == 0)
        lane->progress_at_us = clock_monotonic_us();
    size_t length = row->id.length < sizeof flight->id ? row->id.length : sizeof flight->id - 1;
    memcpy(flight->id, row->id.data, length);
    if (lane->last == NULL)
        lane->first = flight;
    else
        lane->last->next = flight;
    lane->last = flight;
    relay->flights.count++;
    relay->flights.bytes += flight->bytes;
    bool refuse = slice_is(row->id, relay->refusal.id);
    if (refuse)
        relay_note_void(lane, row, relay->broker.failed_text);
    enum status status = relay_send_kind(relay, flight, row, refuse ? KIND_VOID : KIND_CHANGE,
                                         &refused);
    if (status == STATUS_REJECT && !refuse) {
        relay_note_void(lane, row, refused.text);
        error_clear(&refused);
        status = relay_send_kind(relay, flight, row, KIND_VOID, &refused);
    }
    if (row->sequence > lane->sent_sequence)
        lane->sent_sequence = row->sequence;
    if (status == STATUS_OK) {
        STAGE_TIME(produced_us);
        STAGE_STAMP(STAGE_PRODUCED, row->id, produced_us);
        atomic_fetch_add(&relay->options.metrics->published, 1);
        return STATUS_OK;
    }
    /* The record stays in flight without a report, so that nothing behind it is acknowledged. */
    if (!relay->broker.failed)
        utf8_format(relay->broker.failed_text, sizeof relay->broker.failed_text, "%s",
                    refused.text);
    relay->broker.failed = true;
    status = status == STATUS_REJECT ? STATUS_FATAL : status;
    return error_set_native(err, status, refused.native_code, "%s", refused.text);
}

/* Takes the delivered records off a lane's beginning. @return whether there were any. */
static bool relay_take_delivered(struct relay *relay, struct relay_lane *lane)
{
    bool moved = false;
    while (lane->first != NULL && lane->first->delivered) {
        struct relay_flight *flight = lane->first;
        lane->first = flight->next;
        if (lane->first == NULL)
            lane->last = NULL;
        lane->state.acknowledged_sequence = flight->sequence;
        lane->state.acknowledged_offset = flight->offset;
        memcpy(lane->state.acknowledged_id, flight->id, sizeof lane->state.acknowledged_id);
        lane->delivered--;
        relay->flights.delivered--;
        atomic_fetch_add(&relay->options.metrics->acknowledged, 1);
        relay_flight_done(relay, flight);
        moved = true;
    }
    return moved;
}

enum status relay_acknowledge(struct relay *relay, struct error *err)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    size_t count = 0;
    arena_reset(&relay->headers);
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        lane->unwritten = lane->unwritten || relay_take_delivered(relay, lane);
        count += lane->unwritten ? 1 : 0;
    }
    if (count == 0)
        return STATUS_OK;
    relay->flights.unwritten = true;
    struct relay_partition *moved = arena_alloc(&relay->headers, count * sizeof *moved);
    if (moved == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    count = 0;
    for (at = (struct relay_cursor){0}; (lane = relay_next_lane(relay, &at)) != NULL;) {
        if (lane->unwritten)
            moved[count++] = lane->state;
    }
    failpoint(FAILPOINT_RELAY_BEFORE_ACKNOWLEDGE);
    enum status status = relay->outbox->ops->acknowledge(relay->outbox, &relay->lease.row, moved,
                                                         count, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_RELAY_AFTER_ACKNOWLEDGE);
    relay->flights.unwritten = false;
    relay_renewed(relay, clock_monotonic_us());
    relay->flights.unacknowledged_since_us = relay->lease.renewed_at_us;
    for (at = (struct relay_cursor){0}; (lane = relay_next_lane(relay, &at)) != NULL;)
        lane->unwritten = false;
    return STATUS_OK;
}

void relay_drop_producer(struct relay *relay)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    kafka_producer_free(relay->broker.producer);
    relay->broker.producer = NULL;
    relay->broker.failed = false;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        while (lane->first != NULL) {
            struct relay_flight *flight = lane->first;
            lane->first = flight->next;
            relay_flight_done(relay, flight);
        }
        lane->last = NULL;
        lane->delivered = 0;
        lane->unwritten = false;
    }
    relay->flights.delivered = 0;
    relay->flights.unwritten = false;
}
