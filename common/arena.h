/* Memory that is given back all at once, with a hard maximum. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/slice.h"
#include "common/status.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    struct arena_block *spare;  /* blocks of the last round, used again in this one */
    size_t used;                /* bytes handed out since the last reset */
    size_t size_max;
};

void arena_init(struct arena *arena, size_t size_max);
void arena_done(struct arena *arena);

/** Give all memory back, but keep the blocks of this round for the next one. */
void arena_reset(struct arena *arena);

/** @return zeroed memory, aligned for any type and valid until the next reset; NULL above the
 * maximum or without memory. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;

/** Copy bytes and add a NUL after them.
 * @return a slice whose data is NULL where there is no memory. */
struct slice arena_copy(struct arena *arena, struct slice source) MUST_CHECK;

#endif
