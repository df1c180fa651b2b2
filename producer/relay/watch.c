/* The relay's check of the triggers that capture changes: once a minute. What changed is logged,
 * and what stays broken is logged again from time to time. */
#include "producer/relay/internal.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define WATCH_US  (INT64_C(60) * 1000 * 1000)
#define REMIND_US (INT64_C(600) * 1000 * 1000)

static void relay_log_capture(const struct relay *relay, size_t index,
                              const struct capture_finding *now, bool again)
{
    const struct config *config = relay->options.config;
    const struct capture_finding *before = &relay->capture.findings[index];
    const char *type = config->publish[index].entity_type;
    bool changed = now->state != before->state || strcmp(now->text, before->text) != 0;
    if (now->state == CAPTURE_BROKEN && (changed || again))
        log_error(
            "relay",
            "entity type %s is NOT CAPTURED as it should be: %s. Changes made meanwhile may be "
            "lost to all copies; run: keepstep init -c %s",
            type, now->text, config->path);
    else if (now->state == CAPTURE_PARTIAL && changed)
        log_warning(
            "relay",
            "entity type %s: %s: a TRUNCATE of that table reaches no copy; run: keepstep init "
            "-c %s",
            type, now->text, config->path);
    else if (now->state == CAPTURE_UNKNOWN && changed)
        log_warning("relay", "entity type %s: it is not known whether it is captured: %s", type,
                    now->text);
    else if (now->state == CAPTURE_WHOLE && before->state > CAPTURE_WHOLE)
        log_info("relay", "entity type %s is captured again", type);
}

struct capture_check {
    struct relay *relay;
    bool ended;
};

/* A check takes dozens of statements a table. With hundreds of tables that is longer than a lease
 * lasts, so keep the lease between them. */
static bool relay_capture_tick(void *context)
{
    struct capture_check *check = context;
    struct relay *relay = check->relay;
    struct error err = ERROR_INIT;
    if (relay_is_recovered(relay))
        (void)kafka_producer_poll(relay->broker.producer, 0);
    check->ended = atomic_load(relay->stop) || relay_keep_lease(relay, &err) == STATUS_ABORT;
    return !check->ended;
}

void relay_check_capture(struct relay *relay, int64_t now_us)
{
    const struct config *config = relay->options.config;
    struct relay_metrics *metrics = relay->options.metrics;
    if (relay->capture.checked_at_us != 0 && now_us - relay->capture.checked_at_us < WATCH_US)
        return;
    struct capture_finding *found = calloc(config->publish_count + 1, sizeof *found);
    if (found == NULL)
        return;
    struct capture_check check = {.relay = relay};
    relay->capture.checked_at_us = now_us;
    size_t broken = capture_compare(config, relay->options.schemas, relay_capture_tick, &check,
                                    found);
    if (check.ended) { /* the next step finds out why */
        free(found);
        return;
    }
    bool again = now_us - relay->capture.logged_at_us >= REMIND_US;
    size_t unknown = 0;
    size_t first = config->publish_count;
    for (size_t i = 0; i < config->publish_count; i++) {
        relay_log_capture(relay, i, &found[i], again);
        unknown += found[i].state == CAPTURE_UNKNOWN;
        if (found[i].state == CAPTURE_BROKEN && first == config->publish_count)
            first = i;
    }
    if (broken > 0 && again)
        relay->capture.logged_at_us = now_us;
    atomic_store(&metrics->capture_first, first);
    atomic_store(&metrics->capture_unknown, (int_fast64_t)unknown);
    atomic_store(&metrics->capture_broken, (int_fast64_t)broken);
    free(relay->capture.findings);
    relay->capture.findings = found;
}
