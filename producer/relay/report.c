/* What the relay tells its metrics: what waits, what is in flight, and whether the broker answers.
 */
#include "producer/relay/internal.h"
#include "common/clock.h"

#define REPORT_US     (100 * 1000)
#define COUNT_US      (5 * 1000 * 1000)
#define COUNT_SHARE   50 /* counting a long backlog takes one part of this many of the time */
#define ASK_US        (5 * 1000 * 1000)
#define ASK_SILENT_US (2 * 1000 * 1000)
#define ASK_WAIT_MS   1000

static int64_t relay_older(int64_t left_us, int64_t right_us)
{
    if (left_us == 0 || right_us == 0)
        return left_us + right_us;
    return left_us < right_us ? left_us : right_us;
}

enum status relay_count(struct relay *relay, struct error *err)
{
    struct relay_metrics *metrics = relay->options.metrics;
    struct outbox_counts counts = {0};
    int64_t start = clock_monotonic_us();
    if (start < relay->counts.next_at_us)
        return STATUS_OK;
    enum status status = relay->outbox->ops->count(relay->outbox, &counts, err);
    int64_t end = clock_monotonic_us();
    int64_t wait_us = COUNT_SHARE * (end - start);
    relay->counts.next_at_us = end + (wait_us > COUNT_US ? wait_us : COUNT_US);
    if (status != STATUS_OK)
        return status;
    relay_note_database(relay, true); /* also while the broker fails each cycle */
    /* Only the relay sets rows aside. */
    relay->waiting.has_set_aside = counts.set_aside > 0 || relay->waiting.set_aside_in_doubt;
    relay->counts.oldest_us = relay_older(counts.oldest_waiting_us, counts.oldest_claimed_us);
    atomic_store(&metrics->waiting, counts.waiting);
    atomic_store(&metrics->set_aside_now, counts.set_aside);
    if (!relay_is_recovered(relay))
        atomic_store(&metrics->oldest_unacknowledged_us, relay->counts.oldest_us);
    return STATUS_OK;
}

/* Rows in flight are known one by one; rows that wait are known from the last count. */
static void relay_report_oldest(struct relay *relay, int64_t under_way_us)
{
    struct relay_metrics *metrics = relay->options.metrics;
    bool all_taken = relay->waiting.caught_up && relay->waiting.is_read && !relay->waiting.more &&
                     !relay->waiting.has_set_aside && !relay->paused.any;
    if (!relay_is_recovered(relay))
        return;
    if (all_taken) {
        relay->counts.oldest_us = 0;
        atomic_store(&metrics->waiting, 0);
    }
    atomic_store(&metrics->oldest_unacknowledged_us,
                 relay_older(under_way_us, relay->counts.oldest_us));
}

void relay_report(struct relay *relay)
{
    struct relay_metrics *metrics = relay->options.metrics;
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    int64_t now = clock_monotonic_us();
    int64_t oldest_us = 0;
    int64_t stalled_us = 0;
    atomic_store(&metrics->in_flight, (int_fast64_t)relay->flights.count);
    if (now - relay->chores.reported_at_us < REPORT_US)
        return;
    relay->chores.reported_at_us = now;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        if (lane->first != NULL)
            oldest_us = relay_older(oldest_us, lane->first->created_us);
        if (lane->last != NULL && !lane->last->delivered)
            stalled_us = relay_older(stalled_us, lane->progress_at_us);
        else if (relay_is_recovered(relay))
            lane->progress_at_us = 0;
    }
    atomic_store(&metrics->oldest_in_flight_us, oldest_us);
    relay_report_oldest(relay, oldest_us);
    if (relay_is_recovered(relay)) { /* a recovery leaves it as it was */
        atomic_store(&metrics->stalled_since_us, stalled_us);
        atomic_store(&metrics->rests_lost, (int_fast64_t)relay_count_lost_rests(relay));
    }
    atomic_store(&metrics->looked_at_us, now);
}

void relay_report_nothing(struct relay *relay)
{
    struct relay_metrics *metrics = relay->options.metrics;
    atomic_store(&metrics->in_flight, 0);
    atomic_store(&metrics->waiting, 0);
    atomic_store(&metrics->set_aside_now, 0);
    atomic_store(&metrics->oldest_unacknowledged_us, 0);
    atomic_store(&metrics->oldest_in_flight_us, 0);
    atomic_store(&metrics->stalled_since_us, 0);
    atomic_store(&metrics->rests_lost, 0);
    atomic_store(&metrics->looked_at_us, 0);
    atomic_store(&metrics->broker_silent_since_us, 0);
    atomic_store(&metrics->broker_heard_us, 0);
    atomic_store(&metrics->capture_broken, 0);
    atomic_store(&metrics->capture_unknown, 0);
    relay->counts.next_at_us = 0;
    relay->capture.checked_at_us = 0;
}

/* @param silent_since_us  stays what it is while nobody answers. */
static void relay_note_answer(bool answers, int64_t now_us, atomic_int_fast64_t *heard_us,
                              atomic_int_fast64_t *silent_since_us)
{
    if (answers)
        atomic_store(heard_us, now_us);
    if (answers || atomic_load(silent_since_us) == 0)
        atomic_store(silent_since_us, answers ? 0 : now_us);
}

void relay_note_broker(struct relay *relay, bool answers)
{
    struct relay_metrics *metrics = relay->options.metrics;
    relay->broker.heard_at_us = clock_monotonic_us();
    relay_note_answer(answers, relay->broker.heard_at_us, &metrics->broker_heard_us,
                      &metrics->broker_silent_since_us);
}

void relay_note_database(struct relay *relay, bool answers)
{
    struct relay_metrics *metrics = relay->options.metrics;
    relay_note_answer(answers, clock_monotonic_us(), &metrics->database_heard_us,
                      &metrics->database_lost_since_us);
}

enum status relay_ask_broker(struct relay *relay, struct error *err)
{
    (void)err;
    int64_t now = clock_monotonic_us();
    bool silent = atomic_load(&relay->options.metrics->broker_silent_since_us) != 0;
    if (relay->flights.count == 0 && relay->topic_count > 0 &&
        now - relay->broker.heard_at_us >= (silent ? ASK_SILENT_US : ASK_US))
        relay_note_broker(relay, kafka_producer_is_answered(relay->broker.producer,
                                                            relay->topics[0].name, ASK_WAIT_MS));
    return STATUS_OK;
}
