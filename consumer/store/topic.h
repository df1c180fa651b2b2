/* The positions of one topic, and fences of all of them, whoever owns the partitions. */
#ifndef CONSUMER_STORE_TOPIC_H
#define CONSUMER_STORE_TOPIC_H

#include "consumer/store/store.h"

/** List the positions of a topic in the order of its partitions; those without a position are left
 * out. As list(): the caller frees the array. */
enum status store_list_topic(struct store *store, const char *topic,
                             struct partition_state **ret_states, size_t *ret_count,
                             struct error *err) MUST_CHECK;

/** @return a fence by epoch alone that moves nothing: behind it no agent's transaction of the
 * partition is under way. It borrows the state. */
struct fence partition_fence(const struct partition_state *state);

#endif
