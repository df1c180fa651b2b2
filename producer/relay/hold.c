/* When a relay publishes nothing: a new incarnation waits for what the log had before (rule 13),
 * and a service that applies what it publishes waits until its copy has all rows (rule 41). */
#include "producer/relay/internal.h"

#include "common/clock.h"
#include "common/log.h"

#define READ_AGAIN_US (1000 * 1000) /* while it publishes a fill may begin */

enum status relay_list_topics(struct relay *relay, struct error *err)
{
    const struct config *config = relay->options.config;
    struct buffer *read = &relay->waiting.read_topics;
    struct buffer *both = &relay->waiting.both_topics;
    outbox_append_applied(config, false, read);
    outbox_append_applied(config, true, both);
    return read->failed || both->failed ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
}

static bool relay_is_read(const struct relay *relay, const char *topic)
{
    const struct config *config = relay->options.config;
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, topic) == 0)
            return true;
    }
    return false;
}

static enum status relay_check_caught_up(struct relay *relay, struct error *err)
{
    char topic[OUTBOX_NAME_SIZE];
    enum status status = relay->outbox->ops->held_back(
        relay->outbox, buffer_slice(&relay->waiting.read_topics), topic, err);
    if (status != STATUS_OK)
        return status;
    bool behind = topic[0] != '\0';
    if (behind && !relay_is_read(relay, topic)) {
        return error_set(
            error_config(err), STATUS_FATAL,
            "the new incarnation publishes only after the service's own agent has read "
            "what topic %s had before, but apply: does not name it any more: put its "
            "entry back, or publish all present rows again with `keepstep init "
            "--new-incarnation --existing-rows`",
            topic);
    }
    if (behind && !relay->waiting.catch_up_logged)
        log_info("relay", "a new incarnation: waits until the service's own agent has read what "
                          "the log had before it");
    relay->waiting.catch_up_logged = behind;
    relay->waiting.caught_up = !behind;
    return STATUS_OK;
}

/* @return the index of the topic's first entry in the configuration, from 1 on; 0 for none. */
static size_t relay_entry_of(const struct relay *relay, const char *topic)
{
    const struct config *config = relay->options.config;
    for (size_t i = 0; topic[0] != '\0' && i < config->publish_count; i++) {
        if (strcmp(config->publish[i].topic, topic) == 0)
            return i + 1;
    }
    return 0;
}

static enum status relay_check_read(struct relay *relay, struct error *err)
{
    char topic[OUTBOX_NAME_SIZE] = "";
    struct relay_waiting *waiting = &relay->waiting;
    int64_t now = clock_monotonic_us();
    if (waiting->is_read && now < waiting->read_again_us)
        return STATUS_OK;
    enum status status = relay->outbox->ops->unread(
        relay->outbox, buffer_slice(&waiting->both_topics), topic, err);
    if (status != STATUS_OK)
        return status;
    size_t held = relay_entry_of(relay, topic);
    if (held != 0 && (size_t)atomic_load(&relay->options.metrics->held_entry) != held)
        log_info("relay",
                 "publishes nothing until this service's own copy of topic %s has all rows: its "
                 "agent does not read every partition yet, or it is being filled",
                 topic);
    else if (held == 0 && atomic_load(&relay->options.metrics->held_entry) != 0)
        log_info("relay", "the service's own copies have all rows: it publishes");
    atomic_store(&relay->options.metrics->held_entry, held);
    waiting->is_read = held == 0;
    waiting->read_again_us = now + READ_AGAIN_US;
    return STATUS_OK;
}

enum status relay_check_hold(struct relay *relay, bool *ret_held, struct error *err)
{
    struct relay_waiting *waiting = &relay->waiting;
    enum status status = waiting->caught_up ? STATUS_OK : relay_check_caught_up(relay, err);
    if (status == STATUS_OK && waiting->both_topics.length > sizeof "[]" - 1)
        status = relay_check_read(relay, err);
    else if (status == STATUS_OK)
        waiting->is_read = true;
    if (status != STATUS_OK)
        return status;
    *ret_held = !waiting->caught_up || !waiting->is_read;
    if (*ret_held) {
        waiting->more = false;
        waiting->found_at_us = 0;
        relay_drop_ahead(relay);
    }
    return STATUS_OK;
}
