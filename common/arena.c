/* A bump allocator: blocks are chained and freed together. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ARENA_BLOCK_SIZE ((size_t)64 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

static void arena_free(struct arena_block **list)
{
    while (*list != NULL) {
        struct arena_block *block = *list;
        *list = block->next;
        free(block);
    }
}

void arena_done(struct arena *arena)
{
    arena_free(&arena->blocks);
    arena_free(&arena->spare);
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    arena_free(&arena->spare);
    arena->spare = arena->blocks;
    arena->blocks = NULL;
    arena->used = 0;
}

static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
    size_t block_size = size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE;
    struct arena_block **spare = &arena->spare;
    while (*spare != NULL && (*spare)->size < size)
        spare = &(*spare)->next;
    struct arena_block *block = *spare;
    if (block != NULL) {
        *spare = block->next;
    } else {
        block = malloc(sizeof *block + block_size);
        if (block == NULL)
            return NULL;
        block->size = block_size;
    }
    block->next = arena->blocks;
    block->used = 0;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t alignment = alignof(max_align_t);
    if (size > arena->size_max || size > SIZE_MAX / 2)
        return NULL;
    size = (size + alignment - 1) / alignment * alignment;
    if (size > arena->size_max - arena->used)
        return NULL;
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size)
        block = arena_grow(arena, size);
    if (block == NULL)
        return NULL;
    void *memory = block->data + block->used;
    block->used += size;
    arena->used += size;
    memset(memory, 0, size);
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice source)
{
    char *copy = arena_alloc(arena, source.length + 1);
    if (copy == NULL)
        return (struct slice){0};
    if (source.length > 0)
        memcpy(copy, source.data, source.length);
    return (struct slice){.data = copy, .length = source.length};
}
