/* The relay's topics and their lanes: those of the configuration, and former ones for which claimed
 * rows are not acknowledged yet. */
#include "producer/relay/internal.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

struct relay_topic *relay_find_topic(struct relay *relay, const char *name)
{
    for (size_t i = 0; i < relay->topic_count; i++) {
        if (strcmp(relay->topics[i].name, name) == 0)
            return &relay->topics[i];
    }
    return NULL;
}

struct relay_lane *relay_next_lane(const struct relay *relay, struct relay_cursor *cursor)
{
    while (cursor->topic < relay->topic_count &&
           cursor->partition == relay->topics[cursor->topic].lane_count)
        *cursor = (struct relay_cursor){.topic = cursor->topic + 1};
    if (cursor->topic == relay->topic_count)
        return NULL;
    return &relay->topics[cursor->topic].lanes[cursor->partition++];
}

size_t relay_count_lanes(const struct relay *relay)
{
    size_t count = 0;
    for (size_t t = 0; t < relay->topic_count; t++)
        count += (size_t)relay->topics[t].lane_count;
    return count;
}

static void relay_clear_lane(struct relay_lane *lane, const char *topic, int32_t partition)
{
    lane->state = (struct relay_partition){.partition = partition, .acknowledged_offset = -1};
    (void)snprintf(lane->state.topic, sizeof lane->state.topic, "%s", topic);
}

/* The configuration says nothing of a former topic any more, so others may write to it. */
static struct relay_topic *relay_add_former_topic(struct relay *relay, const char *name)
{
    struct relay_topic *more = realloc(relay->topics, (relay->topic_count + 1) * sizeof *more);
    char *former_name = strdup(name);
    if (more != NULL)
        relay->topics = more;
    if (more == NULL || former_name == NULL) {
        free(former_name);
        return NULL;
    }
    more[relay->topic_count] = (struct relay_topic){
        .name = former_name, .former_name = former_name, .applied = true};
    return &more[relay->topic_count++];
}

/* Nothing is in flight while lanes are loaded, so no record points to a lane and they may move. */
static bool relay_add_former_lanes(struct relay *relay, struct relay_topic *topic, int32_t count)
{
    struct relay_lane *more = realloc(topic->lanes, (size_t)count * sizeof *more);
    if (more == NULL)
        return false;
    for (int32_t p = topic->lane_count; p < count; p++) {
        more[p] = (struct relay_lane){.relay = relay};
        relay_clear_lane(&more[p], topic->name, p);
    }
    topic->lanes = more;
    topic->lane_count = count;
    return true;
}

/* A claim belongs to a topic: what was numbered for a topic goes there, whatever the configuration
 * says now. @return OK with *ret_topic NULL if the partition has and had no such rows. */
static enum status relay_find_former(struct relay *relay, const struct relay_partition *state,
                                     struct relay_topic **ret_topic, struct error *err)
{
    struct relay_topic *topic = relay_find_topic(relay, state->topic);
    bool known = topic != NULL && topic->entry == NULL && state->partition < topic->lane_count;
    *ret_topic = known ? topic : NULL;
    if (state->last_sequence == state->acknowledged_sequence)
        return STATUS_OK;
    if (topic != NULL && topic->entry != NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "topic %s [%d] has claimed rows, but publish: gives the topic %d "
                         "partitions: put the number back",
                         state->topic, (int)state->partition, (int)topic->lane_count);
    if (topic == NULL)
        topic = relay_add_former_topic(relay, state->topic);
    if (topic == NULL || (topic->lane_count <= state->partition &&
                          !relay_add_former_lanes(relay, topic, state->partition + 1)))
        return error_set(err, STATUS_RETRY, "no memory");
    log_info("relay",
             "no type has topic %s [%d] any more: %llu rows that were numbered for it are "
             "sent there first",
             state->topic, (int)state->partition,
             (unsigned long long)(state->last_sequence - state->acknowledged_sequence));
    *ret_topic = topic;
    return STATUS_OK;
}

enum status relay_load_lanes(struct relay *relay, struct error *err)
{
    struct relay_partition *states = NULL;
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    size_t count = 0;
    unsigned session = relay->outbox->session;
    enum status status = relay->outbox->ops->load_partitions(relay->outbox, &states, &count, err);
    if (status == STATUS_OK)
        relay->lease.row.session = session; /* all that was remembered is replaced */
    while ((lane = relay_next_lane(relay, &at)) != NULL)
        relay_clear_lane(lane, relay->topics[at.topic].name, at.partition - 1);
    if (status == STATUS_OK)
        status = outbox_check_whole(relay->options.config, states, count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct relay_topic *topic = relay_find_topic(relay, states[i].topic);
        if (topic == NULL || topic->entry == NULL || states[i].partition >= topic->lane_count)
            status = relay_find_former(relay, &states[i], &topic, err);
        if (status == STATUS_OK && topic != NULL)
            topic->lanes[states[i].partition].state = states[i];
    }
    free(states);
    return status;
}

enum status relay_move_types(struct relay *relay, struct error *err)
{
    const struct config *config = relay->options.config;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++) {
        const struct config_entry *entry = &config->publish[i];
        struct outbox_move move = {.entity_type = entry->entity_type, .topic = entry->topic};
        while (status == STATUS_OK && !move.done) {
            status = relay->outbox->ops->move_type(relay->outbox, &relay->lease.row, &move, err);
            if (status == STATUS_OK)
                status = relay_keep_lease(relay, err);
        }
    }
    return status;
}
