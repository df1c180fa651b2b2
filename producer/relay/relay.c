/* The relay: one thread that takes the lease, recovers, and then claims, sends, acknowledges and
 * purges the rows of the outbox, in a loop of steps.
 *
 * The life of a row of the outbox:
 * 1. The service commits it. It waits, and has no number yet.
 * 2. claim.c loads and checks it. A row that cannot be published is set aside with the reason, and
 *    the later rows of its entity wait behind it.
 *    Under `transactions: whole` whole.c does that with all rows of a transaction (sets.c).
 *    Records of joint transactions come first, and by themselves (joint_first.c).
 * 3. claim.c gives it a partition and a sequence, in one durable transaction: the claim. A claimed
 *    row never becomes unclaimed.
 * 4. send.c hands it to Kafka. It is in flight until the broker reports it as delivered.
 * 5. send.c stores how far each partition was delivered without a gap. The row is acknowledged.
 * 6. Once the row is old enough, and the service's own agent has read it back, it is purged.
 *
 * What can go wrong on the way:
 * - At 3: the connection breaks in the COMMIT. doubt.c finds out whether the claim is durable.
 * - At 4: the process dies, or a delivery fails. recover.c reads the log, from the last
 *   acknowledged record on (log.c). Claimed rows that it finds there are acknowledged; the others
 *   are sent again.
 * - At 4: the broker will never take the record. It goes out as a void instead. */
#include "common/utf8.h"
#include "producer/registry.h"
#include "producer/relay/internal.h"
#include "schemas/joint_record.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/wakeup.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RENEW_SHARE      3  /* a lease is renewed after a third of its duration; */
#define RENEW_AGAIN      20 /* if that fails, it is tried again after a twentieth */
#define NOTE_ENDS_US     (10 * 1000 * 1000)
#define ACKNOWLEDGE_US   (100 * 1000) /* one transaction; a kill before it costs sending again */
#define ACKNOWLEDGE_ROWS 5000
#define PURGE_US         (10 * 1000 * 1000)
#define PURGE_FIRST_ROWS 16   /* looks whether any may go; once some did, */
#define PURGE_ROWS       1000 /* as many go at once, again and again until all have gone, */
#define PURGE_SHARE      3    /* with pauses of so many times what the last one took */
#define LEASE_WAIT_US    (200 * 1000)
#define BACKOFF_FIRST_US (50 * 1000)
#define BACKOFF_MAX_US   (5 * 1000 * 1000)
#define STOP_LIMIT_US    (5 * 1000 * 1000)
#define FINISH_POLL_MS   1
#define FINISH_ASK_US    (500 * 1000)
#define FINISH_ASK_MS    500
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
        return error_set(error_config(err), STATUS_FATAL,
                         "publish.%s: another entry gives topic %s another number of partitions",
                         entry->entity_type, entry->topic);
    }
    topic->applied = topic->applied ||
                     config_find(config->apply, config->apply_count, entry->entity_type,
                                 strlen(entry->entity_type)) != NULL;
    return STATUS_OK;
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
    relay->wakeup = -1;
    relay->lease.duration_us = options->lease_us == 0 ? RELAY_LEASE_US : options->lease_us;
    arena_init(&relay->arena, loader_arena_bytes(config));
    arena_init(&relay->sets, relay_sets_bytes(config));
    arena_init(&relay->headers, HEADERS_SIZE);
    buffer_init(&relay->waiting.read_topics, READ_TOPICS_MAX);
    buffer_init(&relay->waiting.both_topics, READ_TOPICS_MAX);
    relay->topics = calloc(config->publish_count + 1, sizeof *relay->topics);
    relay->capture.findings = calloc(config->publish_count + 1, sizeof *relay->capture.findings);
    relay->record_bytes_max = calloc(config->publish_count + 1, sizeof *relay->record_bytes_max);
    if (relay->topics == NULL || relay->capture.findings == NULL || relay->record_bytes_max == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    else if (ops == NULL)
        status = error_set(err, STATUS_FATAL, "database: its scheme has no outbox back end");
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        status = relay_add_entry(relay, &config->publish[i], err);
    if (status == STATUS_OK)
        status = relay_list_topics(relay, err);
    if (options->bell != NULL)
        relay->wakeup = options->bell->descriptor;
    else if (status == STATUS_OK)
        status = wakeup_open(&relay->wakeup, err);
    relay->joint.is_first = config_find(config->publish, config->publish_count, JOINT_ENTITY_TYPE,
                                        strlen(JOINT_ENTITY_TYPE)) != NULL;
    relay->maker = (struct record_maker){.config = config,
                                         .schemas = options->schemas,
                                         .bytes_max = relay->record_bytes_max,
                                         .lease = &relay->lease.row,
                                         .headers = &relay->headers};
    if (status == STATUS_OK)
        status = loader_new(&relay->maker, relay->wakeup, &relay->ahead.loader, err);
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
    loader_free(relay->ahead.loader);
    relay_drop_producer(relay);
    if (relay->outbox != NULL)
        relay->outbox->ops->close(relay->outbox);
    for (size_t i = 0; i < relay->topic_count; i++) {
        free(relay->topics[i].lanes);
        free(relay->topics[i].former_name);
    }
    while (relay->flights.spare != NULL) {
        struct relay_flight *flight = relay->flights.spare;
        relay->flights.spare = flight->next;
        free(flight);
    }
    free(relay->topics);
    free(relay->capture.findings);
    free(relay->record_bytes_max);
    free(relay->ahead.claimed);
    passed_done(&relay->passed);
    arena_done(&relay->arena);
    arena_done(&relay->sets);
    arena_done(&relay->headers);
    buffer_done(&relay->waiting.read_topics);
    buffer_done(&relay->waiting.both_topics);
    paused_types_done(&relay->paused.types);
    waits_done(&relay->waits);
    if (relay->wakeup >= 0 && relay->options.bell == NULL)
        (void)close(relay->wakeup);
    free(relay);
}

static const char *const relay_state_names[] = {
    [RELAY_CONNECTING] = "connecting", [RELAY_WITHOUT_LEASE] = "without a lease",
    [RELAY_STANDBY] = "standby",       [RELAY_RECOVERING] = "recovering",
    [RELAY_DRAINING] = "draining",     [RELAY_PUBLISHING] = "publishing",
    [RELAY_IN_DOUBT] = "in doubt",
};

/* The states and what leads from one to the next:
 *
 *   CONNECTING -> WITHOUT_LEASE                 the outbox was opened
 *   WITHOUT_LEASE -> STANDBY                    another relay holds the lease
 *   WITHOUT_LEASE, STANDBY -> RECOVERING        the lease was taken
 *   RECOVERING -> DRAINING                      the log was read, claimed rows were sent again
 *   DRAINING -> PUBLISHING                      all of them are acknowledged
 *   PUBLISHING -> IN_DOUBT                      a claim failed; whether it is durable is not known
 *   IN_DOUBT -> PUBLISHING                      now it is known
 *   DRAINING, PUBLISHING -> RECOVERING          the producer failed
 *   DRAINING, PUBLISHING, IN_DOUBT -> RECOVERING
 *                                               the database lost what this relay remembers
 *   IN_DOUBT -> RECOVERING                      another relay had the lease meanwhile
 *   any but CONNECTING -> WITHOUT_LEASE         the lease was lost, or the relay ends */
void relay_set_state(struct relay *relay, enum relay_state state)
{
    if (relay->state == state)
        return;
    log_debug("relay", "state: %s, was %s", relay_state_names[state],
              relay_state_names[relay->state]);
    relay->state = state;
    relay_drop_ahead(relay);
    relay_forget_waits(relay);
    atomic_store(&relay->options.metrics->standby, state == RELAY_STANDBY);
    atomic_store(&relay->options.metrics->holds_lease, relay_holds_lease(relay));
    atomic_store(&relay->options.metrics->recovered, relay_is_recovered(relay));
}

/* Opened in the loop, so that a server that is not up yet is waited for like one that goes away. */
static enum status relay_open_outbox(struct relay *relay, struct error *err)
{
    const struct config *config = relay->options.config;
    const struct outbox_options options = {.path = config->database_path,
                                           .service = config->service,
                                           .instance = config->instance,
                                           .whole = relay_is_whole(relay),
                                           .joint = relay->joint.is_first};
    enum status status = outbox_find(config->database)->open(&options, &relay->outbox, err);
    if (status == STATUS_OK)
        relay_set_state(relay, RELAY_WITHOUT_LEASE);
    return status;
}

/* A relay that lost its lease to a successor must not take it back, which it could under the same
 * instance name: both would go on taking it from each other. Only a live process can have taken
 * it, so this one ends. */
static enum status relay_check_successor(struct relay *relay, struct error *err)
{
    struct lease now = {0};
    if (relay->lease.epoch_reached == 0)
        return STATUS_OK;
    enum status status = relay->outbox->ops->read_lease(relay->outbox, &now, err);
    if (status != STATUS_OK)
        return status;
    if (now.epoch > relay->lease.epoch_reached && now.until_us > clock_wall_us() &&
        strcmp(now.holder, relay->lease.row.holder) == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "another relay of service %s runs under the same instance name, %s, and "
                         "took the lease; stop one of them, or give each its own `instance:`",
                         now.origin, now.holder);
    /* The take that follows may fail and be durable all the same. */
    relay->lease.epoch_reached = now.epoch + 1;
    return STATUS_OK;
}

/* Another relay publishes: this one is ready to take over. */
static void relay_stand_by(struct relay *relay, const char *reason)
{
    if (relay->state != RELAY_STANDBY)
        log_info("relay", "stands by: %s", reason);
    relay_set_state(relay, RELAY_STANDBY);
    atomic_store(&relay->options.metrics->progress_us, clock_wall_us());
    clock_sleep_us(LEASE_WAIT_US);
}

/* In another incarnation the numbers begin again. */
static void relay_forget_sent(struct relay *relay)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL)
        lane->sent_sequence = 0;
}

static enum status relay_take_lease(struct relay *relay, struct error *err)
{
    struct lease *lease = &relay->lease.row;
    struct error taken = ERROR_INIT;
    char incarnation[OUTBOX_UUID_SIZE];
    memcpy(incarnation, lease->incarnation, sizeof incarnation);
    enum status status = relay_check_successor(relay, err);
    if (status != STATUS_OK)
        return status;
    status = relay->outbox->ops->take_lease(relay->outbox, relay->lease.duration_us, lease, &taken);
    if (status == STATUS_ABORT) {
        relay_stand_by(relay, taken.text);
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        *err = taken;
        return status;
    }
    if (strcmp(incarnation, lease->incarnation) != 0)
        relay_forget_sent(relay);
    relay->lease.epoch_reached = lease->epoch;
    relay->waiting.caught_up = false;
    relay->waiting.catch_up_logged = false;
    relay->waiting.is_read = false;
    relay->waiting.has_set_aside = true;
    relay->waiting.set_aside_in_doubt = false;
    relay_renewed(relay, clock_monotonic_us());
    relay_set_state(relay, RELAY_RECOVERING);
    log_info("relay", "holds the lease: origin %s, incarnation %s, epoch %lld", lease->origin,
             lease->incarnation, (long long)lease->epoch);
    if (lease->not_durable[0] != '\0')
        log_warning("relay",
                    "the database server runs with %s: a power loss can undo changes that were "
                    "committed and published; copies then have changes that this service lost",
                    lease->not_durable);
    return STATUS_OK;
}

void relay_renewed(struct relay *relay, int64_t now)
{
    relay->lease.renewed_at_us = now;
    relay->lease.renew_at_us = now + relay->lease.duration_us / RENEW_SHARE;
}

enum status relay_keep_lease(struct relay *relay, struct error *err)
{
    struct relay_lease *lease = &relay->lease;
    struct error busy = ERROR_INIT;
    int64_t now = clock_monotonic_us();
    if (now < lease->renew_at_us)
        return STATUS_OK;
    enum status status = relay->outbox->ops->acknowledge(relay->outbox, &lease->row, NULL, 0,
                                                         &busy);
    if (status == STATUS_OK) {
        relay_renewed(relay, now);
        return STATUS_OK;
    }
    now = clock_monotonic_us();
    lease->renew_at_us = now + lease->duration_us / RENEW_AGAIN;
    if (status == STATUS_RETRY && now - lease->renewed_at_us < lease->duration_us &&
        lease->row.session == relay->outbox->session)
        return STATUS_OK;
    return error_set_native(err, status, busy.native_code, "%s", busy.text);
}

static enum status relay_watch_capture(struct relay *relay, struct error *err)
{
    (void)err;
    relay_check_capture(relay, clock_monotonic_us());
    return STATUS_OK;
}

static enum status relay_serve_reports(struct relay *relay, struct error *err)
{
    (void)err;
    wakeup_clear(relay->wakeup);
    if (bell_was_rung(relay->options.bell) && relay->joint.is_first)
        relay->joint.more = true;
    (void)kafka_producer_poll(relay->broker.producer, 0);
    return STATUS_OK;
}

/* Nothing more is sent with a producer that failed: the recovery makes another one. */
static enum status relay_replace_producer(struct relay *relay, struct error *err)
{
    if (!relay->broker.failed)
        return STATUS_OK;
    relay_set_state(relay, RELAY_RECOVERING);
    if (relay->refusal.id[0] != '\0' && !relay->refusal.void_refused)
        return STATUS_OK; /* the record is known: send a void in its place at once */
    return error_set(err, STATUS_RETRY, "the producer failed and is replaced: %s",
                     relay->broker.failed_text);
}

/* @return when the next acknowledgement is due; INT64_MAX while nothing is delivered. */
static int64_t relay_acknowledge_at_us(const struct relay *relay)
{
    const struct relay_flights *flights = &relay->flights;
    bool all = flights->delivered > 0 && flights->delivered == flights->count;
    if (flights->unwritten || flights->delivered >= ACKNOWLEDGE_ROWS ||
        (all && relay->state == RELAY_DRAINING))
        return 0;
    return flights->delivered > 0 ? flights->unacknowledged_since_us + ACKNOWLEDGE_US : INT64_MAX;
}

static enum status relay_acknowledge_due(struct relay *relay, struct error *err)
{
    return clock_monotonic_us() >= relay_acknowledge_at_us(relay) ? relay_acknowledge(relay, err)
                                                                  : STATUS_OK;
}

static enum status relay_end_draining(struct relay *relay, struct error *err)
{
    (void)err;
    if (relay->flights.count > 0)
        return STATUS_OK;
    relay->refusal = (struct relay_refusal){0};
    relay_set_state(relay, RELAY_PUBLISHING);
    return STATUS_OK;
}

/* There is one wait, for the outbox and for reports of deliveries: each ends it. */
static enum status relay_claim_or_wait(struct relay *relay, struct error *err)
{
    bool can_claim = relay->state == RELAY_PUBLISHING &&
                     (relay_has_room(relay) || relay_has_room_for_joint(relay));
    int64_t now = clock_monotonic_us();
    int64_t acknowledge_at = relay_acknowledge_at_us(relay);
    int64_t until = now + IDLE_WAIT_US;
    int64_t look_at = can_claim ? relay_look_at_us(relay, now) : until;
    if (look_at <= now)
        return relay_claim(relay, err);
    until = acknowledge_at < until ? acknowledge_at : until;
    if (look_at == INT64_MAX) {
        const struct outbox_wait wait = {.timeout_us = until > now ? until - now : 0,
                                         .descriptor = relay->wakeup};
        return relay->outbox->ops->wait(relay->outbox, &wait, &relay->waiting.more, err);
    }
    (void)wakeup_wait(relay->wakeup, -1, (look_at < until ? look_at : until) - now);
    return STATUS_OK;
}

static enum status relay_note_log_ends_due(struct relay *relay, struct error *err)
{
    int64_t now = clock_monotonic_us();
    if (relay->flights.count > 0 || now - relay->chores.ends_noted_at_us < NOTE_ENDS_US)
        return STATUS_OK;
    relay->chores.ends_noted_at_us = now;
    return relay_note_log_ends(relay, err);
}

/* Nothing is published while rows are purged, and many partitions have many rows. */
static int64_t relay_purge_pause_us(const struct relay *relay, int64_t took_us)
{
    int64_t pause = PURGE_SHARE * took_us;
    if (!relay->chores.purges || pause > PURGE_US)
        return PURGE_US;
    return pause > ACKNOWLEDGE_US ? pause : ACKNOWLEDGE_US;
}

static enum status relay_purge(struct relay *relay, struct error *err)
{
    size_t purged = 0;
    int64_t now = clock_monotonic_us();
    if (now < relay->chores.purge_at_us)
        return STATUS_OK;
    const struct outbox_purge purge = {
        .before_us = clock_wall_us() -
                     relay->options.config->limits.outbox_retention_s * 1000 * 1000,
        .read_topics = buffer_slice(&relay->waiting.read_topics),
        .limit = relay->chores.purges ? PURGE_ROWS : PURGE_FIRST_ROWS};
    enum status status = relay->outbox->ops->purge(relay->outbox, &relay->lease.row, &purge,
                                                   &purged, err);
    if (purged > 0)
        failpoint(FAILPOINT_RELAY_AFTER_PURGE);
    atomic_fetch_add(&relay->options.metrics->purged, (int_fast64_t)purged);
    relay->chores.purges = purged >= purge.limit;
    int64_t end = clock_monotonic_us();
    relay->chores.purge_at_us = end + relay_purge_pause_us(relay, end - now);
    return status;
}

/** A step of the loop. It is taken while the relay's state is one of first … last. */
struct relay_step {
    const char *name;
    enum relay_state first;
    enum relay_state last;
    enum status (*run)(struct relay *relay, struct error *err);
};

static const struct relay_step relay_steps[] = {
    {"open the outbox", RELAY_CONNECTING, RELAY_CONNECTING, relay_open_outbox},
    {"take the lease", RELAY_WITHOUT_LEASE, RELAY_STANDBY, relay_take_lease},
    {"watch the capture", RELAY_RECOVERING, RELAY_IN_DOUBT, relay_watch_capture},
    {"count what waits", RELAY_RECOVERING, RELAY_IN_DOUBT, relay_count},
    {"recover", RELAY_RECOVERING, RELAY_RECOVERING, relay_recover},
    {"serve delivery reports", RELAY_DRAINING, RELAY_IN_DOUBT, relay_serve_reports},
    {"resolve the claim in doubt", RELAY_IN_DOUBT, RELAY_IN_DOUBT, relay_resolve_claim},
    {"end the doubt about a row that is set aside", RELAY_DRAINING, RELAY_PUBLISHING,
     relay_resolve_set_aside},
    {"compare with the database", RELAY_DRAINING, RELAY_PUBLISHING, relay_compare},
    {"replace a failed producer", RELAY_DRAINING, RELAY_PUBLISHING, relay_replace_producer},
    {"acknowledge", RELAY_DRAINING, RELAY_PUBLISHING, relay_acknowledge_due},
    {"end the draining", RELAY_DRAINING, RELAY_DRAINING, relay_end_draining},
    {"claim or wait", RELAY_DRAINING, RELAY_PUBLISHING, relay_claim_or_wait},
    {"keep the lease", RELAY_DRAINING, RELAY_PUBLISHING, relay_keep_lease},
    {"note the log's ends", RELAY_DRAINING, RELAY_PUBLISHING, relay_note_log_ends_due},
    {"purge", RELAY_DRAINING, RELAY_PUBLISHING, relay_purge},
    {"ask the broker", RELAY_DRAINING, RELAY_PUBLISHING, relay_ask_broker},
};

/* Takes the steps of the relay's state once. A stop ends this between two steps; relay_finish()
 * then acknowledges what was sent. */
static enum status relay_cycle(struct relay *relay, struct error *err)
{
    struct relay_metrics *metrics = relay->options.metrics;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof relay_steps / sizeof *relay_steps; i++) {
        const struct relay_step *step = &relay_steps[i];
        if (status != STATUS_OK || atomic_load(relay->stop))
            break;
        if (relay->state < step->first || relay->state > step->last)
            continue;
        relay->step = step->name;
        status = step->run(relay, err);
    }
    if (status == STATUS_OK || (status == STATUS_RETRY && err->connection_lost))
        relay_note_database(relay, status == STATUS_OK);
    if (!relay_holds_lease(relay))
        return status;
    if (status == STATUS_OK) {
        relay->trouble.backoff_us = 0;
        relay->trouble.text[0] = '\0';
        atomic_store(&metrics->progress_us, clock_wall_us());
    }
    relay_report(relay);
    return status;
}

/* Transient trouble is logged once, then waited out with growing pauses. What is in flight goes
 * on meanwhile. */
static void relay_back_off(struct relay *relay, const struct error *err)
{
    struct relay_trouble *trouble = &relay->trouble;
    atomic_fetch_add(&relay->options.metrics->failures, 1);
    if (strcmp(trouble->text, err->text) != 0)
        log_warning("relay", "%s: %s", relay->step, err->text);
    utf8_format(trouble->text, sizeof trouble->text, "%s", err->text);
    trouble->backoff_us = trouble->backoff_us == 0 ? BACKOFF_FIRST_US : trouble->backoff_us * 2;
    if (trouble->backoff_us > BACKOFF_MAX_US)
        trouble->backoff_us = BACKOFF_MAX_US;
    int64_t until = clock_monotonic_us() + trouble->backoff_us;
    while (!atomic_load(relay->stop) && clock_monotonic_us() < until) {
        struct error lost = ERROR_INIT;
        if (relay_holds_lease(relay) && relay_keep_lease(relay, &lost) == STATUS_ABORT)
            return; /* the next cycle finds it too, and says so */
        if (relay_is_recovered(relay))
            (void)kafka_producer_poll(relay->broker.producer, BACKOFF_FIRST_US / 1000);
        else
            clock_sleep_us(BACKOFF_FIRST_US);
        relay_report(relay);
    }
}

/* Ends the lease, so that another relay takes over at once. */
static void relay_end_lease(struct relay *relay)
{
    struct error err = ERROR_INIT;
    relay_drop_producer(relay);
    if (relay_holds_lease(relay) &&
        relay->outbox->ops->release_lease(relay->outbox, &relay->lease.row, &err) != STATUS_OK)
        log_warning("relay", "the lease was not ended, and runs out by itself: %s", err.text);
    if (relay->outbox != NULL)
        relay_set_state(relay, RELAY_WITHOUT_LEASE);
}

/* Waits until what is in flight is delivered, unless no broker can be reached, and acknowledges it.
 * The next relay finds what is left. */
static void relay_finish(struct relay *relay)
{
    struct error err = ERROR_INIT;
    int64_t now = clock_monotonic_us();
    int64_t ask_at = now + FINISH_ASK_US;
    int64_t until = now + STOP_LIMIT_US;
    if (!relay_is_recovered(relay))
        return;
    for (; relay_awaits_delivery(relay) && now < until; now = clock_monotonic_us()) {
        struct error unreached = ERROR_INIT;
        (void)kafka_producer_poll(relay->broker.producer, FINISH_POLL_MS);
        if (now < ask_at)
            continue;
        ask_at = until;
        if (kafka_producer_reach(relay->broker.producer, relay->topics[0].name, FINISH_ASK_MS,
                                 &unreached) != STATUS_OK)
            break;
    }
    if (relay_acknowledge(relay, &err) != STATUS_OK)
        log_warning("relay", "at the end: %s", err.text);
}

enum status relay_run(struct relay *relay, const atomic_bool *stop, struct error *err)
{
    enum status status = STATUS_OK;
    relay->stop = stop;
    while (!atomic_load(stop)) {
        struct error cycle = ERROR_INIT;
        status = relay_cycle(relay, &cycle);
        if (status == STATUS_RETRY) {
            relay_back_off(relay, &cycle);
        } else if (status == STATUS_ABORT) {
            log_warning("relay", "%s", cycle.text);
            relay_set_state(relay, RELAY_WITHOUT_LEASE);
            relay_drop_producer(relay);
            relay_report_nothing(relay);
            clock_sleep_us(LEASE_WAIT_US);
        } else if (status != STATUS_OK) {
            *err = cycle;
            goto out;
        }
        status = STATUS_OK;
    }
    relay_finish(relay);
out:
    relay_end_lease(relay);
    return status;
}
