/* The topics of a service, as the outbox's statements take them. */
#include "producer/outbox/outbox.h"

#include "common/buffer.h"

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
