/* Lines of `keepstep status` on what is paused. */
#include "operate/status_paused.h"

#include "operate/member.h"

void paused_append_json(const struct paused_type *paused, const struct config_entry *entry,
                        struct buffer *json)
{
    member_begin(json, NULL, "{");
    member_text(json, "entity_type", slice_of(entry->entity_type));
    member_text(json, "topic", slice_of(entry->topic));
    member_time(json, "paused_since", paused->at_us);
    member_bytes(json, "by", slice_of(paused->by));
    member_bytes(json, "reason",
                 paused->reason[0] == '\0' ? (struct slice){0} : slice_of(paused->reason));
    buffer_append_text(json, "}");
}

static void append_entry(const struct paused_type *paused, const struct config_entry *entry,
                         struct buffer *text, struct buffer *json)
{
    char since[PAUSED_TEXT_SIZE];
    if (paused == NULL)
        return;
    paused_describe(paused, since);
    buffer_append_format(text, "  PAUSED     %s, %s\n", entry->entity_type, since);
    paused_append_json(paused, entry, json);
}

enum status status_paused_applied(struct store *store, const struct config *config,
                                  struct buffer *text, struct buffer *json, struct error *err)
{
    struct paused_types paused = {0};
    enum status status = store->ops->list_paused(store, &paused, err);
    member_begin(json, "paused", "[");
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count; i++)
        append_entry(
            paused_find_topic(&paused, config->apply, config->apply_count, config->apply[i].topic),
            &config->apply[i], text, json);
    buffer_append_text(json, "]");
    paused_types_done(&paused);
    return status;
}

enum status status_paused_published(struct outbox *outbox, const struct config *config,
                                    struct buffer *text, struct buffer *json, struct error *err)
{
    struct paused_types paused = {0};
    enum status status = outbox->ops->list_paused(outbox, &paused, err);
    member_begin(json, "paused", "[");
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        append_entry(paused_find(&paused, config->publish[i].entity_type), &config->publish[i],
                     text, json);
    buffer_append_text(json, "]");
    paused_types_done(&paused);
    return status;
}
