/* A set of entities, found by the digests of their keys. */
#include "operate/compare/left_out.h"

#include <stdlib.h>

#define SLOTS_FIRST 256

void left_out_init(struct left_out *left_out, size_t bytes_max)
{
    *left_out = (struct left_out){0};
    arena_init(&left_out->keys, bytes_max);
}

void left_out_done(struct left_out *left_out)
{
    free(left_out->entities);
    free(left_out->slots);
    arena_done(&left_out->keys);
    *left_out = (struct left_out){0};
}

/* @return the slot that holds the key, or the free one where it belongs. */
static size_t left_out_slot(const struct left_out *left_out, struct slice key, uint64_t digest)
{
    size_t slot = (size_t)digest & (left_out->slot_count - 1);
    while (left_out->slots[slot] != 0) {
        const struct left_entity *entity = &left_out->entities[left_out->slots[slot] - 1];
        if (entity->key_digest == digest && slice_equal(entity->key, key))
            break;
        slot = (slot + 1) & (left_out->slot_count - 1);
    }
    return slot;
}

struct left_entity *left_out_find(const struct left_out *left_out, struct slice key)
{
    if (left_out->count == 0)
        return NULL;
    size_t index = left_out->slots[left_out_slot(left_out, key, row_key_digest(key))];
    return index == 0 ? NULL : &left_out->entities[index - 1];
}

static bool left_out_grow(struct left_out *left_out)
{
    size_t slot_count = left_out->slot_count == 0 ? SLOTS_FIRST : left_out->slot_count * 2;
    struct left_entity *entities = realloc(left_out->entities, slot_count / 2 * sizeof *entities);
    if (entities == NULL)
        return false;
    left_out->entities = entities;
    left_out->size = slot_count / 2;
    size_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return false;
    free(left_out->slots);
    left_out->slots = slots;
    left_out->slot_count = slot_count;
    for (size_t i = 0; i < left_out->count; i++)
        slots[left_out_slot(left_out, entities[i].key, entities[i].key_digest)] = i + 1;
    return true;
}

static void left_out_note(struct left_entity *entity, const struct closing *closing)
{
    if (entity->closed == 0 || closing->reason > entity->reason) {
        entity->reason = closing->reason;
        entity->where = closing->where;
    }
    entity->closed |= closing->copies;
}

enum status left_out_close(struct left_out *left_out, const struct closing *closing,
                           struct error *err)
{
    struct left_entity *entity = left_out_find(left_out, closing->key);
    if (entity == NULL) {
        struct slice key = arena_copy(&left_out->keys, closing->key);
        if (key.data == NULL ||
            (left_out->count * 2 >= left_out->slot_count && !left_out_grow(left_out)))
            return error_set(err, STATUS_RETRY, "no memory for the entities that are left out");
        uint64_t digest = row_key_digest(key);
        left_out->slots[left_out_slot(left_out, key, digest)] = left_out->count + 1;
        entity = &left_out->entities[left_out->count++];
        *entity = (struct left_entity){.key = key, .key_digest = digest};
    }
    left_out_note(entity, closing);
    return STATUS_OK;
}

void left_out_close_known(struct left_out *left_out, const struct closing *closing)
{
    struct left_entity *entity = left_out_find(left_out, closing->key);
    if (entity != NULL)
        left_out_note(entity, closing);
}

void left_out_open_all(struct left_out *left_out)
{
    for (size_t i = 0; i < left_out->count; i++) {
        struct left_entity *entity = &left_out->entities[i];
        entity->closed = 0;
        entity->is_asked = false;
        entity->is_at_reference = false;
        entity->answered = 0;
        entity->differs = 0;
        entity->doubled = 0;
    }
}
