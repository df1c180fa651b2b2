/* Hands the entities that are due to the publisher's database, some at a time. */
#include "operate/repair/publish.h"

#define PUBLISH_KEYS_MAX 100

static void publish_note(struct repair *repair, struct repair_entity *entity,
                         const struct origin_key *key)
{
    static const enum repair_state states[] = {
        [ORIGIN_KEY_HELD] = REPAIR_PENDING,
        [ORIGIN_KEY_ROW] = REPAIR_PUBLISHED,
        [ORIGIN_KEY_DELETE] = REPAIR_PUBLISHED_DELETE,
        [ORIGIN_KEY_REFUSED] = REPAIR_REFUSED,
    };
    repair_set(repair, entity, states[key->state],
               key->state == ORIGIN_KEY_HELD
                   ? "the service holds the row, or writes to the table for long"
                   : key->reason);
}

enum status repair_publish_due(struct repair *repair, struct error *err)
{
    const struct repair_publisher *publisher = repair->options->publisher;
    struct origin_key keys[PUBLISH_KEYS_MAX];
    struct repair_entity *entities[PUBLISH_KEYS_MAX];
    enum status status = STATUS_OK;
    size_t count = 0;
    for (size_t i = 0; status == STATUS_OK && i <= repair->count; i++) {
        bool is_last = i == repair->count;
        if (!is_last && repair_is_due(&repair->entities[i])) {
            keys[count] = (struct origin_key){.key = repair->entities[i].key};
            entities[count++] = &repair->entities[i];
        }
        if (count == 0 || (!is_last && count < PUBLISH_KEYS_MAX))
            continue;
        status = publisher->origin->ops->publish_keys(publisher->origin, &publisher->table, keys,
                                                      count, err);
        for (size_t k = 0; k < count; k++)
            publish_note(repair, entities[k], &keys[k]);
        count = 0;
        if (atomic_load(&command_stop))
            break;
    }
    return status;
}
