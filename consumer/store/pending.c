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
    for (size_t i = 0; i < pending->entity_count; i++)
        pending->entities[i].sequence = 0;
}

bool pending_pass_done(const struct pending_pass *pass)
{
    return pass->open == 0;
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
                                .entity_key = key};
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
    enum status status = STATUS_OK;
    arena_init(&pass.scratch, PENDING_SCRATCH_MAX);
    for (size_t i = 0; i < pending->range_count && status == STATUS_OK; i++) {
        pass.range = &pending->ranges[i];
        pass.numbered = !pending_is_first_of_type(pending, i);
        do {
            pass.open = pending_open(pending, pass.range);
            if (!pending_pass_done(&pass))
                status = read(&pass, err);
            pass.numbered = !pass.numbered;
        } while (status == STATUS_OK && pass.numbered);
    }
    arena_done(&pass.scratch);
    return status;
}
