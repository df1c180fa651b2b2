/* Writes a run of changes: judges the values, silences the table's triggers, cuts the run. */
#include "consumer/store/sql/apply.h"
#include "consumer/store/sql/prepare.h"

#include "common/digest.h"
#include "consumer/store/sql/limits.h"

#include <stdlib.h>

static enum status write_silently(struct mapped_table *table, const struct change *const *changes,
                                  size_t count, struct error *err)
{
    const struct sql_dialect *dialect = table->dialect;
    struct error ended = ERROR_INIT;
    enum status status = dialect->silence(table, true, err);
    if (status == STATUS_OK)
        status = dialect->write(table, changes, count, err);
    bool ends = status == STATUS_OK || (status == STATUS_REJECT && dialect->silence_stays);
    if (!ends || dialect->silence(table, false, &ended) == STATUS_OK)
        return status;
    if (err != NULL)
        *err = ended;
    return ended.status;
}

enum status store_sql_apply(struct store *store, const struct mapping *mapping,
                            const struct change *const *changes, size_t count, struct error *err)
{
    struct mapped_table *table = sql_table_find(&store_sql_of(store)->tables,
                                                mapping->schema->entity_type);
    enum status status = STATUS_OK;
    if (table == NULL)
        return error_set(err, STATUS_FATAL, "\"%s\" was not prepared",
                         mapping->schema->entity_type);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = sql_judge(table, changes[i], err);
    if (status != STATUS_OK)
        return status;
    return mapping->published_here ? write_silently(table, changes, count, err)
                                   : table->dialect->write(table, changes, count, err);
}

/* The entities of a segment, as a hash table of the digests of their keys. */
struct entity_set {
    uint64_t *digests;
    size_t *owners; /* index of the last change of an entity plus one; 0: none */
    size_t size;    /* a power of two */
};

/* @return whether the segment from `start` on has this entity already. Two entities with the same
 * digest count as one, which only ends a segment early. */
static bool entity_set_add(struct entity_set *set, struct slice key, size_t index, size_t start)
{
    uint64_t digest = digest_64(key);
    size_t at = (size_t)digest & (set->size - 1);
    while (set->owners[at] != 0 && set->digests[at] != digest)
        at = (at + 1) & (set->size - 1);
    bool found = set->owners[at] > start;
    set->owners[at] = index + 1;
    set->digests[at] = digest;
    return found;
}

enum status sql_segments_write(const struct sql_segments *segments,
                               const struct change *const *changes, size_t count, struct error *err)
{
    struct entity_set set = {.size = 64};
    enum status status = STATUS_OK;
    size_t start = 0;
    while (set.size < 2 * count)
        set.size *= 2;
    set.digests = calloc(set.size, sizeof *set.digests);
    set.owners = calloc(set.size, sizeof *set.owners);
    if (set.digests == NULL || set.owners == NULL)
        status = error_set(err, STATUS_RETRY, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool again = entity_set_add(&set, changes[i]->entity_key, i, start);
        if (again || (!segments->joins(segments->context, start, i) && i > start)) {
            status = segments->write(segments->context, start, i, err);
            start = i;
            (void)segments->joins(segments->context, start, i);
        }
    }
    if (status == STATUS_OK && count > 0)
        status = segments->write(segments->context, start, count, err);
    free(set.digests);
    free(set.owners);
    return status;
}
