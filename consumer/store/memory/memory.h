/* What tests ask of the memory store beyond the contract. */
#ifndef CONSUMER_STORE_MEMORY_MEMORY_H
#define CONSUMER_STORE_MEMORY_MEMORY_H

#include "common/buffer.h"
#include "consumer/store/store.h"

/** Append the rows of an entity type, columns parted by "|" and each row ended by "\n", NULL as
 * "NULL", sorted by these texts. */
void store_memory_rows(struct store *store, const char *entity_type, struct buffer *out);

#endif
