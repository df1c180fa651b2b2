/* The relay's loop: hold the lease, recover, claim, publish, acknowledge, purge, wait. */
#include "producer/registry.h"
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define RENEW_SHARE      3  /* a lease is renewed after this part of it, */
#define RENEW_AGAIN      20 /* and tried again after this one */
#define PASS_US          (10 * 1000 * 1000)
#define ACKNOWLEDGE_US   (100 * 1000) /* a transaction; what it covers is sent anew after a kill */
#define ACKNOWLEDGE_ROWS 5000
#define LOOK_ANYWAY_US   (1000 * 1000)
#define PURGE_US         (10 * 1000 * 1000)
#define PURGE_ROWS       1000
#define LEASE_WAIT_US    (200 * 1000)
#define BACKOFF_FIRST_US (50 * 1000)
#define BACKOFF_MAX_US   (5 * 1000 * 1000)
#define STOP_LIMIT_US    (5 * 1000 * 1000)
#define BUSY_WAIT_MS     1
#define IDLE_WAIT_US     (200 * 1000)
#define HEADERS_SIZE     ((size_t)4 * 1024 * 1024)
#define READ_TOPICS_MAX  ((size_t)16 * 1024 * 1024)

static enum status relay_add_entry(struct relay *relay, const struct config_entry *entry,
                                   struct error *err)
{
    const struct config *config = relay->options.config;
    struct relay_topic *topic = relay_find_topic(relay, entry->topic);
    if (topic == NULL) {
        topic = &relay->topics[relay->topic_count++];
        *topic = (struct relay_topic){
            .name = entry->topic, .entry = entry, .lane_count = entry->partitions};
        topic->lanes = calloc((size_t)entry->partitions, sizeof *topic->lanes);
        if (topic->lanes == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
        for (int32_t p = 0; p < entry->partitions; p++)
            topic->lanes[p].relay = relay;
    } else if (topic->lane_count != entry->partitions) {
        err->exit_code = EX_CONFIG;
        return error_set(err, STATUS_FATAL, "publish.%s: topic %s has other partitions elsewhere",
                         entry->entity_type, entry->topic);
    }
    topic->applied = topic->applied ||
                     config_find(config->apply, config->apply_count, entry->entity_type,
                                 strlen(entry->entity_type)) != NULL;
    return STATUS_OK;
}

/* A topic whose apply: entry was taken out is never read to its end. */
static enum status relay_list_read_topics(struct relay *relay, struct error *err)
{
    const struct config *config = relay->options.config;
    buffer_append_text(&relay->read_topics, "[");
    for (size_t i = 0; i < config->apply_count; i++) {
        buffer_append_text(&relay->read_topics, i == 0 ? "" : ",");
        buffer_append_json(&relay->read_topics, slice_of(config->apply[i].topic));
    }
    buffer_append_text(&relay->read_topics, "]");
    return relay->read_topics.failed ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
}

enum status relay_new(const struct relay_options *options, struct relay **ret_relay,
                      struct error *err)
{
    const struct config *config = options->config;
    enum status status = STATUS_OK;
    const struct outbox_ops *ops = outbox_find(config->database);
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    relay->options = *options;
    relay->lease_us = options->lease_us == 0 ? RELAY_LEASE_US : options->lease_us;
    arena_init(&relay->arena, RELAY_ARENA_BYTES);
    arena_init(&relay->headers, HEADERS_SIZE);
    buffer_init(&relay->read_topics, READ_TOPICS_MAX);
    relay->topics = calloc(config->publish_count + 1, sizeof *relay->topics);
    relay->captures = calloc(config->publish_count + 1, sizeof *relay->captures);
    if (relay->topics == NULL || relay->captures == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    else if (ops == NULL)
        status = error_set(err, STATUS_FATAL, "database: its scheme has no outbox back end");
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        status = relay_add_entry(relay, &config->publish[i], err);
    if (status == STATUS_OK)
        status = relay_list_read_topics(relay, err);
    if (status == STATUS_OK)
        *ret_relay = relay;
    else
        relay_free(relay);
    return status;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    relay_drop_producer(relay);
    if (relay->outbox != NULL)
        relay->outbox->ops->close(relay->outbox);
    for (size_t i = 0; i < relay->topic_count; i++) {
        free(relay->topics[i].lanes);
        free(relay->topics[i].left_name);
    }
    while (relay->spare != NULL) {
        struct relay_flight *flight = relay->spare;
        relay->spare = flight->next;
        free(flight);
    }
    free(relay->topics);
    free(relay->captures);
    arena_done(&relay->arena);
    arena_done(&relay->headers);
    buffer_done(&relay->read_topics);
    free(relay);
}

/* A relay that was replaced must not take the lease back from its successor, which it could under
 * the same name: both would go on losing it for ever. A dead predecessor takes nothing, so that
 * the one that lost it ends. */
static enum status relay_judge_loss(struct relay *relay, struct error *err)
{
    struct lease now = {0};
    if (relay->epoch_reached == 0)
        return STATUS_OK;
    enum status status = relay->outbox->ops->read_lease(relay->outbox, &now, err);
    if (status != STATUS_OK)
        return status;
    if (now.epoch > relay->epoch_reached && now.until_us > clock_wall_us() &&
        strcmp(now.holder, relay->lease.holder) == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "another relay of service %s runs under the same instance name, %s, and "
                         "took the lease; stop one of them, or give each its own `instance:`",
                         now.origin, now.holder);
    relay->epoch_reached = now.epoch + 1; /* also where the take fails, and was durable after all */
    return STATUS_OK;
}

/* Another relay publishes: this one is ready to take over. */
static enum status relay_stand_by(struct relay *relay, const char *text)
{
    if (!relay->waiting_told)
        log_info("relay", "stands by: %s", text);
    relay->waiting_told = true;
    atomic_store(&relay->options.metrics->standby, true);
    atomic_store(&relay->options.metrics->progress_us, clock_wall_us());
    clock_sleep_us(LEASE_WAIT_US);
    return STATUS_OK;
}

static enum status relay_hold(struct relay *relay, struct error *err)
{
    struct error held = ERROR_INIT;
    enum status status = relay_judge_loss(relay, err);
    if (status != STATUS_OK)
        return status;
    status = relay->outbox->ops->take_lease(relay->outbox, relay->lease_us, &relay->lease, &held);
    if (status == STATUS_ABORT)
        return relay_stand_by(relay, held.text);
    if (status != STATUS_OK) {
        *err = held;
        return status;
    }
    relay->epoch_reached = relay->lease.epoch;
    relay->waiting_told = false;
    relay->recovered = false;
    relay->released = false;
    relay->held_told = false;
    relay->blocking = true;
    relay_renewed(relay, clock_monotonic_us());
    atomic_store(&relay->options.metrics->standby, false);
    atomic_store(&relay->options.metrics->holds_lease, true);
    log_info("relay", "holds the lease: origin %s, incarnation %s, epoch %lld", relay->lease.origin,
             relay->lease.incarnation, (long long)relay->lease.epoch);
    if (relay->lease.not_durable[0] != '\0')
        log_warning("relay",
                    "the database server runs with %s: a loss of power can undo what was committed "
                    "and published, and copies then have what this service has not",
                    relay->lease.not_durable);
    return STATUS_OK;
}

static bool relay_has_room(const struct relay *relay)
{
    return relay->in_flight + RELAY_BATCH_ROWS <= RELAY_FLIGHT_ROWS &&
           relay->in_flight_bytes < RELAY_FLIGHT_BYTES;
}

void relay_renewed(struct relay *relay, int64_t now)
{
    relay->renewed_at_us = now;
    relay->keep_at_us = now + relay->lease_us / RENEW_SHARE;
}

enum status relay_keep(struct relay *relay, struct error *err)
{
    struct error busy = ERROR_INIT;
    int64_t now = clock_monotonic_us();
    if (now < relay->keep_at_us)
        return STATUS_OK;
    enum status status = relay->outbox->ops->acknowledge(relay->outbox, &relay->lease, NULL, 0,
                                                         &busy);
    if (status == STATUS_OK) {
        relay_renewed(relay, now);
        return STATUS_OK;
    }
    now = clock_monotonic_us();
    relay->keep_at_us = now + relay->lease_us / RENEW_AGAIN;
    if (status == STATUS_RETRY && now - relay->renewed_at_us < relay->lease_us &&
        relay->lease.session == relay->outbox->session)
        return STATUS_OK;
    return error_set_native(err, status, busy.native_code, "%s", busy.text);
}

/* Purging, now and then; also keeps the lease while nothing is claimed. */
static enum status relay_housekeeping(struct relay *relay, int64_t now, struct error *err)
{
    struct relay_metrics *metrics = relay->options.metrics;
    const struct outbox_ops *ops = relay->outbox->ops;
    size_t purged = 0;
    enum status status = relay_keep(relay, err);
    if (status == STATUS_OK && relay->in_flight == 0 && now - relay->passed_at_us >= PASS_US) {
        relay->passed_at_us = now;
        status = relay_pass_log(relay, err);
    }
    if (status != STATUS_OK || now - relay->purged_at_us < PURGE_US)
        return status;
    const struct outbox_purge purge = {
        .before_us = clock_wall_us() -
                     relay->options.config->limits.outbox_retention_s * 1000 * 1000,
        .read_topics = buffer_slice(&relay->read_topics),
        .limit = PURGE_ROWS};
    status = ops->purge(relay->outbox, &relay->lease, &purge, &purged, err);
    if (purged > 0)
        failpoint(FAILPOINT_RELAY_AFTER_PURGE);
    atomic_fetch_add(&metrics->purged, (int_fast64_t)purged);
    relay->purged_at_us = purged == PURGE_ROWS ? now - PURGE_US + ACKNOWLEDGE_US : now;
    return status;
}

static enum status relay_work(struct relay *relay, struct error *err)
{
    enum status status = STATUS_OK;
    (void)kafka_producer_poll(relay->producer, 0);
    if (relay->doubtful)
        status = relay_settle(relay, err);
    else if (relay->lease.session != relay->outbox->session)
        status = relay_compare(relay, err);
    if (status != STATUS_OK || !relay->recovered)
        return status;
    if (relay->failed) {
        relay->recovered = false;
        if (relay->refused_id[0] != '\0' && !relay->void_refused)
            return STATUS_OK; /* known which: at once again, with a void in its place */
        return error_set(err, STATUS_RETRY, "the producer failed and is made anew: %s",
                         relay->failed_text);
    }
    int64_t now = clock_monotonic_us();
    bool all = relay->delivered > 0 && relay->delivered == relay->in_flight;
    if (relay->unwritten || relay->delivered >= ACKNOWLEDGE_ROWS ||
        (relay->delivered > 0 && now - relay->unacknowledged_since_us >= ACKNOWLEDGE_US) ||
        (all && relay->draining))
        status = relay_acknowledge(relay, err);
    if (status != STATUS_OK)
        return status;
    if (relay->draining && relay->in_flight == 0) {
        relay->draining = false;
        relay->careful = false;
        relay->refused_id[0] = '\0';
        relay->void_refused = false;
    }
    /* Nothing is served while it waits, so it waits only while nothing is under way. */
    bool pressing = relay->draining || relay->in_flight > 0;
    bool look = relay->more;
    if (!look)
        status = relay->outbox->ops->wait(relay->outbox, pressing ? 0 : IDLE_WAIT_US, &look, err);
    if (status != STATUS_OK)
        return status;
    now = clock_monotonic_us();
    look = look || now - relay->loaded_at_us >= LOOK_ANYWAY_US;
    if (look && (relay->draining || !relay_has_room(relay))) {
        relay->more = true;
        look = false;
    }
    if (look)
        status = relay_claim(relay, err);
    if (status == STATUS_OK)
        status = relay_housekeeping(relay, now, err);
    if (status == STATUS_OK && !look && relay->in_flight > 0)
        (void)kafka_producer_poll(relay->producer, BUSY_WAIT_MS);
    return status;
}

/* A server that is not there yet is waited for like one that goes away later. */
static enum status relay_open(struct relay *relay, struct error *err)
{
    const struct config *config = relay->options.config;
    const struct outbox_options options = {
        .path = config->database_path, .service = config->service, .instance = config->instance};
    return outbox_find(config->database)->open(&options, &relay->outbox, err);
}

static enum status relay_cycle(struct relay *relay, struct error *err)
{
    if (relay->outbox == NULL)
        return relay_open(relay, err);
    if (!atomic_load(&relay->options.metrics->holds_lease))
        return relay_hold(relay, err);
    relay_watch(relay, clock_monotonic_us());
    enum status status = relay_count(relay, err);
    if (status == STATUS_OK && !relay->recovered)
        status = relay_recover(relay, err);
    if (status == STATUS_OK)
        status = relay_work(relay, err);
    if (status == STATUS_OK)
        relay_ask_broker(relay);
    if (status == STATUS_OK) {
        relay->backoff_us = 0;
        relay->last_text[0] = '\0';
        atomic_store(&relay->options.metrics->progress_us, clock_wall_us());
    }
    relay_tell(relay);
    return status;
}

/* Transient trouble: told once, then waited out with growing pauses. What is under way goes on. */
static void relay_back_off(struct relay *relay, const struct error *err, const atomic_bool *stop)
{
    atomic_fetch_add(&relay->options.metrics->failures, 1);
    if (strcmp(relay->last_text, err->text) != 0)
        log_warning("relay", "%s", err->text);
    (void)snprintf(relay->last_text, sizeof relay->last_text, "%s", err->text);
    relay->backoff_us = relay->backoff_us == 0 ? BACKOFF_FIRST_US : relay->backoff_us * 2;
    if (relay->backoff_us > BACKOFF_MAX_US)
        relay->backoff_us = BACKOFF_MAX_US;
    int64_t until = clock_monotonic_us() + relay->backoff_us;
    while (!atomic_load(stop) && clock_monotonic_us() < until) {
        struct error kept = ERROR_INIT;
        if (atomic_load(&relay->options.metrics->holds_lease) &&
            relay_keep(relay, &kept) == STATUS_ABORT)
            return; /* the next cycle finds it too, and says so */
        if (relay->recovered)
            (void)kafka_producer_poll(relay->producer, BACKOFF_FIRST_US / 1000);
        else
            clock_sleep_us(BACKOFF_FIRST_US);
        relay_tell(relay);
    }
}

/* Ends the lease, so that another relay takes over at once. */
static void relay_let_go(struct relay *relay)
{
    struct error err = ERROR_INIT;
    relay_drop_producer(relay);
    if (atomic_load(&relay->options.metrics->holds_lease) &&
        relay->outbox->ops->release_lease(relay->outbox, &relay->lease, &err) != STATUS_OK)
        log_warning("relay", "the lease runs out by itself: %s", err.text);
    atomic_store(&relay->options.metrics->holds_lease, false);
    atomic_store(&relay->options.metrics->standby, false);
}

/* Delivers what is under way; what is left is found again by the next relay. */
static void relay_finish(struct relay *relay)
{
    struct error err = ERROR_INIT;
    int64_t until = clock_monotonic_us() + STOP_LIMIT_US;
    while (relay->recovered && relay->delivered < relay->in_flight && !relay->failed &&
           clock_monotonic_us() < until)
        (void)kafka_producer_poll(relay->producer, BUSY_WAIT_MS);
    if (relay->recovered && relay_acknowledge(relay, &err) != STATUS_OK)
        log_warning("relay", "at the end: %s", err.text);
}

enum status relay_run(struct relay *relay, const atomic_bool *stop, struct error *err)
{
    enum status status = STATUS_OK;
    relay->stop = stop;
    while (!atomic_load(stop)) {
        struct error cycle = ERROR_INIT;
        status = relay_cycle(relay, &cycle);
        if (status == STATUS_OK)
            continue;
        if (status == STATUS_RETRY) {
            relay_back_off(relay, &cycle, stop);
        } else if (status == STATUS_ABORT) {
            log_warning("relay", "%s", cycle.text);
            atomic_store(&relay->options.metrics->holds_lease, false);
            relay_drop_producer(relay);
            relay_tell_nothing(relay);
            clock_sleep_us(LEASE_WAIT_US);
        } else {
            *err = cycle;
            goto out;
        }
        status = STATUS_OK;
    }
    relay_finish(relay);
out:
    relay_let_go(relay);
    return status;
}
