/* A table of digests, which grows up to its limit. Digests of 62 bits do not meet by chance. */
#include "producer/relay/passed.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024
#define SLOTS_MAX   ((size_t)8 * 1024 * 1024)
#define PLACES      UINT64_C(3)

/* @return the slot that has the digest, or may get it. */
static uint64_t *passed_slot(const struct passed *passed, uint64_t entity)
{
    size_t slot = (size_t)(entity >> 2) & (passed->size - 1);
    while (passed->slots[slot] != 0 && (passed->slots[slot] & ~PLACES) != (entity & ~PLACES))
        slot = (slot + 1) & (passed->size - 1);
    return &passed->slots[slot];
}

static bool passed_grow(struct passed *passed)
{
    struct passed more = {.size = passed->size == 0 ? SLOTS_FIRST : 2 * passed->size,
                          .count = passed->count};
    more.slots = calloc(more.size, sizeof *more.slots);
    if (more.slots == NULL)
        return false;
    for (size_t i = 0; i < passed->size; i++) {
        if (passed->slots[i] != 0)
            *passed_slot(&more, passed->slots[i]) = passed->slots[i];
    }
    free(passed->slots);
    *passed = more;
    return true;
}

bool passed_note(struct passed *passed, uint64_t entity, enum passed_place place)
{
    size_t most = passed->size / 8 * 7;
    if (passed->count >= most && passed->size < SLOTS_MAX && !passed_grow(passed))
        return false;
    uint64_t *slot = passed_slot(passed, entity);
    if (*slot == 0 && passed->count >= passed->size / 8 * 7)
        return true;
    passed->count += *slot == 0;
    if ((*slot & PLACES) < (uint64_t)place)
        *slot = (entity & ~PLACES) | (uint64_t)place;
    return true;
}

enum passed_place passed_find(const struct passed *passed, uint64_t entity)
{
    return passed->size == 0 ? PLACE_BEFORE
                             : (enum passed_place)(*passed_slot(passed, entity) & PLACES);
}

void passed_done(struct passed *passed)
{
    free(passed->slots);
    *passed = (struct passed){0};
}
