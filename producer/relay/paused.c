/* What an operator has paused: rows of such a type wait, and the others go on (rule 49). */
#include "producer/relay/internal.h"

#include "common/clock.h"
#include "common/log.h"

#define PAUSED_AGAIN_US (INT64_C(500) * 1000)

/** Log that a type is paused or resumed, and tell the metrics. No other function does that. */
static void relay_set_paused(struct relay *relay, size_t index, const struct paused_type *paused)
{
    const struct config_entry *entry = &relay->options.config->publish[index];
    char text[PAUSED_TEXT_SIZE];
    if (index < PAUSED_SHOWN_MAX)
        atomic_store(&relay->options.metrics->paused_at_us[index],
                     paused == NULL ? 0 : paused->at_us);
    if (paused == NULL) {
        log_info("relay", "%s is resumed: what waits of it is published", entry->entity_type);
        return;
    }
    paused_describe(paused, text);
    log_info("relay",
             "%s is paused %s; its rows wait in the outbox, until `keepstep resume` lets it go on",
             entry->entity_type, text);
}

enum status relay_check_paused(struct relay *relay, struct error *err)
{
    struct relay_paused *known = &relay->paused;
    const struct config *config = relay->options.config;
    struct paused_types now = {0};
    if (clock_monotonic_us() < known->again_us)
        return STATUS_OK;
    enum status status = relay->outbox->ops->list_paused(relay->outbox, &now, err);
    if (status != STATUS_OK)
        return status;
    known->any = false;
    bool changed = now.count != known->types.count;
    for (size_t i = 0; !changed && i < now.count; i++)
        changed = paused_find(&known->types, now.types[i].entity_type) == NULL;
    for (size_t i = 0; i < config->publish_count; i++) {
        const char *type = config->publish[i].entity_type;
        const struct paused_type *paused = paused_find(&now, type);
        known->any = known->any || paused != NULL;
        if ((paused != NULL) != (paused_find(&known->types, type) != NULL))
            relay_set_paused(relay, i, paused);
    }
    if (changed) {
        known->no_room_noted = false;
        relay_drop_ahead(relay);
        relay_forget_waits(relay);
        if (!relay->large.begun) /* else no pause stops it */
            relay_large_again(relay);
    }
    paused_types_done(&known->types);
    known->types = now;
    known->again_us = clock_monotonic_us() + PAUSED_AGAIN_US;
    return STATUS_OK;
}
