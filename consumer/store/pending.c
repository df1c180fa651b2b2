/* Compares outbox rows with the wanted entities while they are read (rule 18). */
#include "consumer/store/pending.h"

#include <stdlib.h>

#define PENDING_SCRATCH_MAX ((size_t)1024 * 1024) /* of one row's key */

int own_change_compare(const void *a, const void *b)
{
    const struct own_change *left = a;
    const struct own_change *right = b;
    int order = slice_compare(left->entity_type, right->entity_type);
    return order != 0 ? order : slice_compare(left->entity_key, right->entity_key);
}

void store_pending_begin(struct pending_read *pending)
{
    if (pending->entities == NULL)
        pending->entity_count = 0;
    for (size_t i = 0; i < pending->entity_count; i++)
        pending->entities[i].sequence = 0;
}

bool pending_pass_done(const struct pending_pass *pass)
{
    return pass->lists ? pass->has_too_many : pass->open == 0;
}

enum status pending_canonical(const struct entity_schema *schema, struct arena *scratch,
                              struct slice *key, struct error *err)
{
    struct slice canonical = {0};
    struct error refused = ERROR_INIT; /* the relay sets such a row aside, under this key */
    enum status status = canonical_key(schema, *key, scratch, &canonical, &refused);
    if (status == STATUS_OK)
        *key = canonical;
    return status == STATUS_RETRY ? error_set(err, status, "no memory for an own change's key")
                                  : STATUS_OK;
}

static struct own_change *list_find(const struct pending_pass *pass, const struct own_change *own)
{
    return pass->sorted == 0 ? NULL
                             : bsearch(own, pass->pending->entities, pass->sorted, sizeof *own,
                                       own_change_compare);
}

/* Sort the list and leave each entity once, with its last change. */
static void list_sort(struct pending_pass *pass)
{
    struct own_change *entities = pass->pending->entities;
    size_t kept = 0;
    qsort(entities, pass->pending->entity_count, sizeof *entities, own_change_compare);
    for (size_t i = 0; i < pass->pending->entity_count; i++) {
        if (kept == 0 || own_change_compare(&entities[kept - 1], &entities[i]) != 0)
            entities[kept++] = entities[i];
        else if (entities[kept - 1].sequence < entities[i].sequence)
            entities[kept - 1].sequence = entities[i].sequence;
    }
    pass->pending->entity_count = pass->sorted = kept;
}

/* An entity of many rows is kept once, and once more until the next time the list is sorted. */
static enum status list_add(struct pending_pass *pass, const struct own_change *own,
                            struct error *err)
{
    struct pending_read *pending = pass->pending;
    struct own_change *known = list_find(pass, own);
    if (known != NULL) {
        known->sequence = known->sequence < own->sequence ? own->sequence : known->sequence;
        return STATUS_OK;
    }
    struct own_change *added = &pending->entities[pending->entity_count++];
    *added = *own;
    added->entity_key = arena_copy(pending->arena, own->entity_key);
    if (added->entity_key.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a list of own changes");
    if (pending->entity_count == pass->size) {
        list_sort(pass);
        pass->has_too_many = pending->entity_count > pending->limit;
    }
    return STATUS_OK;
}

/* Half of the list is free again after it was sorted, unless it has too many. */
static enum status list_begin(struct pending_pass *pass, struct error *err)
{
    struct pending_read *pending = pass->pending;
    pass->lists = true;
    pass->size = 2 * (pending->limit + 1);
    pending->entities = arena_alloc(pending->arena, pass->size * sizeof *pending->entities);
    return pending->entities == NULL
               ? error_set(err, STATUS_RETRY, "no memory for a list of own changes")
               : STATUS_OK;
}

static void list_end(struct pending_pass *pass)
{
    struct pending_read *pending = pass->pending;
    list_sort(pass);
    if (pending->entity_count > pending->limit)
        pending->entity_count = pending->limit + 1;
}

enum status pending_pass_row(struct pending_pass *pass, struct slice key, uint64_t sequence,
                             struct error *err)
{
    struct pending_read *pending = pass->pending;
    if (!pass->numbered) {
        enum status status = pending_canonical(pass->range->schema, &pass->scratch, &key, err);
        if (status != STATUS_OK)
            return status;
        sequence = OWN_UNNUMBERED;
    }
    struct own_change wanted = {.entity_type = slice_of(pass->range->schema->entity_type),
                                .entity_key = key,
                                .sequence = sequence};
    if (pass->lists) {
        enum status status = list_add(pass, &wanted, err);
        arena_reset(&pass->scratch);
        return status;
    }
    struct own_change *own = bsearch(&wanted, pending->entities, pending->entity_count,
                                     sizeof wanted, own_change_compare);
    if (own != NULL && own->sequence < sequence) {
        own->sequence = sequence;
        pass->open -= sequence == OWN_UNNUMBERED;
    }
    arena_reset(&pass->scratch);
    return STATUS_OK;
}

/* Wanted entities of the range's type of which no waiting change is known. */
static size_t pending_open(const struct pending_read *pending, const struct pending_range *range)
{
    size_t open = 0;
    for (size_t i = 0; i < pending->entity_count; i++)
        open += slice_is(pending->entities[i].entity_type, range->schema->entity_type) &&
                pending->entities[i].sequence != OWN_UNNUMBERED;
    return open;
}

/* Waiting rows of a type belong to all its ranges, so they are read with the first one. */
static bool pending_is_first_of_type(const struct pending_read *pending, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (pending->ranges[i].schema == pending->ranges[index].schema)
            return false;
    }
    return true;
}

enum status store_read_pending(struct store *store, struct pending_read *pending,
                               pending_pass_read *read, struct error *err)
{
    struct pending_pass pass = {.store = store, .pending = pending};
    enum status status = pending->entities == NULL ? list_begin(&pass, err) : STATUS_OK;
    arena_init(&pass.scratch, PENDING_SCRATCH_MAX);
    for (size_t i = 0; i < pending->range_count && status == STATUS_OK; i++) {
        pass.range = &pending->ranges[i];
        pass.numbered = !pending_is_first_of_type(pending, i);
        do {
            pass.open = pass.lists ? 0 : pending_open(pending, pass.range);
            if (!pending_pass_done(&pass))
                status = read(&pass, err);
            pass.numbered = !pass.numbered;
        } while (status == STATUS_OK && pass.numbered);
    }
    arena_done(&pass.scratch);
    if (status == STATUS_OK && pass.lists)
        list_end(&pass);
    return status;
}
