/* Why this order is right. What depends on another transaction, by writing or by having read before
 * its own last write, has a row behind all of that one's rows; so its last position is the larger
 * one. Only a value that stands for several transactions can still put two rows of an entity in the
 * wrong order: what lies between is then published as if it were one transaction, by positions. */
#include "producer/relay/sets.h"

#include <string.h>

#define NONE         SIZE_MAX
#define DIGEST_FIRST UINT64_C(14695981039346656037)

/* A table from texts to numbers, 0 on. */
struct numbering {
    size_t *slots; /* NONE, or the index of the first row with that text */
    size_t mask;
};

/* What is known of one group. */
struct group {
    size_t count; /* of its loaded rows */
    size_t place; /* in the order of last positions; of one that is not complete: behind all */
    int64_t end;  /* its last position */
    bool complete;
    bool cut; /* some of its rows were not loaded */
    bool shared;
    bool paused; /* it has to wait */
};

/* The work on one load. */
struct arrangement {
    struct outbox_row *rows;
    size_t count;
    struct group *groups;
    size_t group_count;
    size_t *group_of;  /* of each row */
    size_t *entity_of; /* of each row */
    size_t entity_count;
    size_t placed; /* how many complete groups have a place; the place of the others */
    int64_t
        *joins; /* of each place: how many runs of joined ones begin there, less those that end */
    size_t *set_of; /* of each place */
};

static uint64_t text_digest(uint64_t digest, struct slice text)
{
    for (size_t i = 0; i < text.length; i++)
        digest = (digest ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211);
    return digest;
}

static bool numbering_init(struct numbering *numbering, size_t count, struct arena *arena)
{
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    numbering->mask = size - 1;
    numbering->slots = arena_alloc(arena, size * sizeof *numbering->slots);
    for (size_t i = 0; numbering->slots != NULL && i < size; i++)
        numbering->slots[i] = NONE;
    return numbering->slots != NULL;
}

static bool is_same_group(const struct outbox_row *left, const struct outbox_row *right)
{
    return slice_equal(left->changeset, right->changeset);
}

static bool is_same_entity(const struct outbox_row *left, const struct outbox_row *right)
{
    return slice_equal(left->entity_type, right->entity_type) &&
           slice_equal(left->entity_key, right->entity_key);
}

/* @return the first row that is the same as row `index`: itself where there was none. */
static size_t numbering_find(struct numbering *numbering, const struct outbox_row *rows,
                             size_t index, uint64_t digest,
                             bool (*is_same)(const struct outbox_row *, const struct outbox_row *))
{
    size_t slot = (size_t)(digest ^ (digest >> 32)) & numbering->mask;
    while (numbering->slots[slot] != NONE && !is_same(&rows[numbering->slots[slot]], &rows[index]))
        slot = (slot + 1) & numbering->mask;
    if (numbering->slots[slot] == NONE)
        numbering->slots[slot] = index;
    return numbering->slots[slot];
}

static bool arrangement_init(struct arrangement *work, struct arena *arena)
{
    size_t room = work->count + 1;
    work->groups = arena_alloc(arena, room * sizeof *work->groups);
    work->group_of = arena_alloc(arena, room * sizeof *work->group_of);
    work->entity_of = arena_alloc(arena, room * sizeof *work->entity_of);
    work->joins = arena_alloc(arena, room * sizeof *work->joins);
    work->set_of = arena_alloc(arena, room * sizeof *work->set_of);
    return work->groups != NULL && work->group_of != NULL && work->entity_of != NULL &&
           work->joins != NULL && work->set_of != NULL;
}

/* Gives each row the number of its group and of its entity. */
static bool arrangement_number(struct arrangement *work, struct arena *arena)
{
    struct numbering by_group;
    struct numbering by_entity;
    if (!numbering_init(&by_group, work->count, arena) ||
        !numbering_init(&by_entity, work->count, arena))
        return false;
    for (size_t i = 0; i < work->count; i++) {
        const struct outbox_row *row = &work->rows[i];
        bool alone = row->changeset.length == 0;
        uint64_t entity = text_digest(text_digest(DIGEST_FIRST, row->entity_type), row->entity_key);
        size_t first = numbering_find(&by_entity, work->rows, i, entity, is_same_entity);
        work->entity_of[i] = first == i ? work->entity_count++ : work->entity_of[first];
        first = alone ? i
                      : numbering_find(&by_group, work->rows, i,
                                       text_digest(DIGEST_FIRST, row->changeset), is_same_group);
        work->group_of[i] = first == i ? work->group_count++ : work->group_of[first];
        struct group *group = &work->groups[work->group_of[i]];
        group->count++;
        group->end = alone ? row->position : row->last_of_group;
        group->cut = group->cut || row->behind;
        group->shared = group->shared || row->shared;
        group->paused = group->paused || row->paused;
    }
    return true;
}

/* Gives each complete group its place. The others come behind all of them: they end later. */
static void arrangement_place(struct arrangement *work)
{
    for (size_t i = 0; i < work->count; i++) {
        struct group *group = &work->groups[work->group_of[i]];
        group->complete = work->rows[i].position == group->end && !group->cut;
        if (group->complete)
            group->place = work->placed++;
    }
    for (size_t i = 0; i < work->group_count; i++) {
        if (!work->groups[i].complete)
            work->groups[i].place = work->placed;
    }
}

/* Joins the places between two rows of an entity that would be numbered against their positions.
 * Each pair of neighbours is enough: on the way from one row of the entity to another, every place
 * that lies between them is passed by some pair. */
static bool arrangement_join(struct arrangement *work, struct arena *arena)
{
    size_t *last = arena_alloc(arena, (work->entity_count + 1) * sizeof *last);
    if (last == NULL)
        return false;
    for (size_t i = 0; i < work->count; i++) {
        size_t place = work->groups[work->group_of[i]].place;
        size_t before = last[work->entity_of[i]]; /* place of the entity's row before, from 1 on */
        if (before > place + 1) {
            work->joins[place]++;
            work->joins[before - 1]--;
        }
        last[work->entity_of[i]] = place + 1;
    }
    return true;
}

/* Makes one set of each run of joined places, and says which set each place belongs to. */
static void arrangement_make(struct arrangement *work, struct change_sets *sets)
{
    int64_t open = 0;
    sets->count = 0;
    for (size_t place = 0; place <= work->placed; place++) {
        work->set_of[place] = sets->count;
        open += work->joins[place];
        if (open == 0)
            sets->count++;
    }
    sets->count--; /* the last one is the rest */
    for (size_t i = 0; i < work->group_count; i++) {
        const struct group *group = &work->groups[i];
        struct change_set *set = &sets->sets[work->set_of[group->place]];
        set->count += group->count;
        set->groups++;
        set->shared = set->shared || group->shared;
        if (!group->complete && !group->paused &&
            (sets->first_end == 0 || group->end < sets->first_end)) {
            sets->first_end = group->end;
            sets->first_shared = group->shared;
        }
    }
    for (size_t i = 0, first = 0; i <= sets->count; i++) {
        sets->sets[i].first = first;
        first += sets->sets[i].count;
    }
    sets->rest = sets->sets[sets->count];
}

static size_t arrangement_set_of(const struct arrangement *work, size_t index)
{
    return work->set_of[work->groups[work->group_of[index]].place];
}

/* Mostly each transaction's rows stand together. */
static bool arrangement_is_sorted(const struct arrangement *work)
{
    for (size_t i = 1; i < work->count; i++) {
        if (arrangement_set_of(work, i) < arrangement_set_of(work, i - 1))
            return false;
    }
    return true;
}

/* Puts the rows into the order of their sets; they stay in their order within each. */
static bool arrangement_sort(const struct arrangement *work, struct change_sets *sets,
                             struct arena *arena)
{
    size_t room = work->count + 1;
    sets->groups = work->group_of;
    sets->entities = work->entity_of;
    if (arrangement_is_sorted(work))
        return true;
    size_t *next = arena_alloc(arena, (sets->count + 1) * sizeof *next);
    struct outbox_row *rows = arena_alloc(arena, room * sizeof *rows);
    sets->groups = arena_alloc(arena, room * sizeof *sets->groups);
    sets->entities = arena_alloc(arena, room * sizeof *sets->entities);
    if (next == NULL || rows == NULL || sets->groups == NULL || sets->entities == NULL)
        return false;
    for (size_t i = 0; i <= sets->count; i++)
        next[i] = sets->sets[i].first;
    for (size_t i = 0; i < work->count; i++) {
        size_t to = next[arrangement_set_of(work, i)]++;
        rows[to] = work->rows[i];
        sets->groups[to] = work->group_of[i];
        sets->entities[to] = work->entity_of[i];
    }
    memcpy(work->rows, rows, work->count * sizeof *rows);
    return true;
}

static bool arrangement_tell_shared(const struct arrangement *work, struct change_sets *sets,
                                    struct arena *arena)
{
    sets->shared = arena_alloc(arena, work->group_count * sizeof *sets->shared);
    for (size_t i = 0; sets->shared != NULL && i < work->group_count; i++)
        sets->shared[i] = work->groups[i].shared;
    return sets->shared != NULL;
}

enum status sets_arrange(struct outbox_row *rows, size_t count, struct arena *arena,
                         struct change_sets *ret_sets, struct error *err)
{
    struct arrangement work = {.rows = rows, .count = count};
    *ret_sets = (struct change_sets){0};
    if (count == 0)
        return STATUS_OK;
    ret_sets->sets = arena_alloc(arena, (count + 1) * sizeof *ret_sets->sets);
    bool ok = ret_sets->sets != NULL && arrangement_init(&work, arena) &&
              arrangement_number(&work, arena);
    if (ok) {
        arrangement_place(&work);
        ok = arrangement_join(&work, arena);
    }
    if (ok) {
        arrangement_make(&work, ret_sets);
        ret_sets->group_count = work.group_count;
        ret_sets->entity_count = work.entity_count;
        ok = arrangement_sort(&work, ret_sets, arena) &&
             arrangement_tell_shared(&work, ret_sets, arena);
    }
    return ok ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory for the change sets");
}

size_t sets_fit(const struct outbox_row *rows, size_t first, size_t end,
                const struct set_limits *limits)
{
    size_t bytes = 0;
    size_t at = first;
    for (; at < end && at - first < limits->events; at++) {
        bytes += rows[at].payload.length;
        if (bytes > limits->bytes && at > first)
            break;
    }
    return at - first;
}

size_t sets_largest_group(const struct change_sets *sets, const struct change_set *set,
                          size_t *counts)
{
    size_t largest = set->first;
    memset(counts, 0, sets->group_count * sizeof *counts);
    for (size_t i = set->first; i < set->first + set->count; i++) {
        if (++counts[sets->groups[i]] > counts[sets->groups[largest]])
            largest = i;
    }
    return sets->groups[largest];
}
