/* The topics of a service, as the outbox's statements take them. */
#include "producer/outbox/outbox.h"

#include "common/buffer.h"

#include <string.h>

void outbox_append_applied(const struct config *config, bool published, struct buffer *out)
{
    bool any = false;
    buffer_append_text(out, "[");
    for (size_t i = 0; i < config->apply_count; i++) {
        const struct config_entry *entry = &config->apply[i];
        if (published && config_find(config->publish, config->publish_count, entry->entity_type,
                                     strlen(entry->entity_type)) == NULL)
            continue;
        buffer_append_text(out, any ? "," : "");
        buffer_append_json(out, slice_of(entry->topic));
        any = true;
    }
    buffer_append_text(out, "]");
}

enum status outbox_check_whole(const struct config *config, const struct relay_partition *states,
                               size_t count, struct error *err)
{
    if (config->transactions != TRANSACTIONS_WHOLE || config->publish_count == 0)
        return STATUS_OK;
    const char *topic = config->publish[0].topic;
    for (size_t i = 0; i < count; i++) {
        bool is_joint = config->joint_topic != NULL &&
                        strcmp(states[i].topic, config->joint_topic) == 0;
        if (states[i].last_sequence == 0 || is_joint || strcmp(states[i].topic, topic) == 0)
            continue;
        return error_set(error_config(err), STATUS_FATAL,
                         "this outbox has numbered changes in topic %s, and `transactions: whole` "
                         "sends them to topic %s: in two topics nobody could tell their order. "
                         "Let all copies read %s to its end, begin a new history with `keepstep "
                         "init --new-incarnation`, then name topic %s in the entries under apply: "
                         "of each peer and fill its copy (`keepstep fill`)",
                         states[i].topic, topic, states[i].topic, topic);
    }
    return STATUS_OK;
}
