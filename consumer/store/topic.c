/* Picks one topic's positions out of the list of all. */
#include "consumer/store/topic.h"

#include <stdlib.h>
#include <string.h>

static int compare_partitions(const void *left, const void *right)
{
    int32_t a = ((const struct partition_state *)left)->partition;
    int32_t b = ((const struct partition_state *)right)->partition;
    return (a > b) - (a < b);
}

enum status store_list_topic(struct store *store, const char *topic,
                             struct partition_state **ret_states, size_t *ret_count,
                             struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    size_t left = 0;
    enum status status = store->ops->list(store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(states[i].topic, topic) == 0)
            states[left++] = states[i];
    }
    if (left > 1)
        qsort(states, left, sizeof *states, compare_partitions);
    if (status != STATUS_OK) {
        free(states);
        states = NULL;
    }
    *ret_states = states;
    *ret_count = left;
    return status;
}

struct fence partition_fence(const struct partition_state *state)
{
    return (struct fence){.topic = state->topic,
                          .partition = state->partition,
                          .epoch = state->epoch,
                          .by_epoch_alone = true,
                          .anchor_offset = -1};
}
