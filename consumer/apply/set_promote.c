/* Lets go on what stood behind parked records that are gone. A set goes on when no record of
 * another one is before it, in any of its entities (rule 57). */
#include "consumer/apply/parked.h"
#include "consumer/apply/set.h"

#include <stdio.h>

#define LOOK_BYTES ((size_t)256 << 20) /* of one record without its value */
#define LOOKS_MAX  100                 /* so many entities are always looked for one by one */
#define LOOKS_COST 64 /* a look costs as much as to read so many records in order */

/** Looks for what is parked of single entities. */
struct look {
    struct applier *applier;
    struct owned *owned;
    struct arena arena; /* what was found last */
};

static void look_begin(struct look *look, struct applier *applier, struct owned *owned)
{
    *look = (struct look){.applier = applier, .owned = owned};
    arena_init(&look->arena, LOOK_BYTES);
}

static void look_done(struct look *look)
{
    arena_done(&look->arena);
}

/** Find the first parked record of an entity.
 * @param ret_first  valid until the next call; NULL: there is none. */
static enum status look_for_first(struct look *look, const struct block_key *key,
                                  const struct parked_record **ret_first, struct error *err)
{
    const bool is_readable = block_key_is_readable(key);
    const struct parked_record row = {
        .entity_type = key->entity_type,
        .entity_key = is_readable ? key->entity_key : key->record_key,
    };
    struct parked_records read = {0};
    char type[STORE_NAME_SIZE];
    const struct queue queue = {look->owned, &row};
    struct parked_filter filter = queue_filter(&queue, 0, type);
    filter.without_value = true;
    filter.limit = 1;
    arena_reset(&look->arena);
    enum status status = look->applier->ops->read_parked(look->applier->store, &filter,
                                                         &look->arena, &read, err);
    *ret_first = read.count == 0 ? NULL : read.records;
    return status;
}

/** What the partition remembers of an entity is at most its first offset: that one may be gone.
 * @return OK with whether no other record of an entity is before its set, which begins at `begin`.
 */
static enum status look_whether_first(struct look *look, const struct parked_record *row,
                                      int64_t begin, bool *ret_first, struct error *err)
{
    const struct block_set *blocked = &look->owned->state.blocked;
    struct block_key key = block_key_stored(row->entity_type, row->entity_key, row->record.key);
    const struct parked_record *oldest = NULL;
    *ret_first = block_set_first_unreadable(blocked, &key) >= begin;
    if (!*ret_first || block_set_first(blocked, &key) >= begin)
        return STATUS_OK;
    enum status status = look_for_first(look, &key, &oldest, err);
    *ret_first = status == STATUS_OK && (oldest == NULL || oldest->record.offset >= begin);
    return status;
}

/** @return OK with whether a set is the oldest of every one of its entities. */
static enum status set_is_first(struct applier *applier, struct owned *owned,
                                const struct parked_record *head, bool *ret_first,
                                struct error *err)
{
    const struct parked_record *row = NULL;
    struct set_rows rows;
    struct look look;
    set_rows_begin(&rows, head);
    look_begin(&look, applier, owned);
    *ret_first = true;
    enum status status = set_rows_next(applier, &rows, &row, err);
    while (status == STATUS_OK && row != NULL && *ret_first) {
        status = look_whether_first(&look, row, head->record.offset, ret_first, err);
        if (status == STATUS_OK)
            status = set_rows_next(applier, &rows, &row, err);
    }
    set_rows_done(&rows);
    look_done(&look);
    return status;
}

static enum status promote_record(struct applier *applier, const struct parked_record *record,
                                  bool *ret_promoted, struct error *err)
{
    struct parked_record head = *record;
    head.state = PARKED_WAITING;
    head.next_attempt_us = 0;
    *ret_promoted = true;
    return applier->ops->edit_parked(applier->store, &head, PARKED_ATTEMPT, err);
}

static enum status promote_set(struct applier *applier, struct owned *owned,
                               const struct parked_record *next, bool *ret_promoted,
                               struct error *err)
{
    const struct parked_record *head = NULL;
    struct set_rows rows;
    bool is_ready = false;
    set_rows_begin(&rows, next);
    enum status status = set_rows_next(applier, &rows, &head, err);
    if (status == STATUS_OK && head != NULL && head->state == PARKED_BEHIND)
        status = set_is_first(applier, owned, head, &is_ready, err);
    if (status == STATUS_OK && is_ready)
        status = promote_record(applier, head, ret_promoted, err);
    set_rows_done(&rows);
    return status;
}

enum status applier_promote(struct applier *applier, struct owned *owned,
                            const struct parked_record *next, bool *ret_promoted, struct error *err)
{
    *ret_promoted = false;
    if (next->changeset_end != 0)
        return promote_set(applier, owned, next, ret_promoted, err);
    if (next->state != PARKED_BEHIND || applier_is_behind_unreadable(owned, next))
        return STATUS_OK;
    return promote_record(applier, next, ret_promoted, err);
}

/** Note which set a record is of. @return OK with whether it is the first one of that. */
static enum status behind_meet(struct block_set *met, const struct parked_record *record,
                               bool *ret_first, struct error *err)
{
    char end[32];
    const struct record_sequence place = store_record_sequence(&record->record);
    (void)snprintf(end, sizeof end, "%llu", (unsigned long long)record->changeset_end);
    const struct block_key name = {
        .entity_type = place.incarnation, .entity_key = slice_of(end), .record_key = place.source};
    size_t count = met->count;
    enum status status = block_set_add(met, &name, 0, err);
    *ret_first = met->count > count;
    return status;
}

/** @return whether the set that is gone had all that is parked of an entity, so that nobody need
 * look.
 */
static bool behind_is_all(const struct owned *owned, const struct set_behind *behind,
                          const struct block_key *key)
{
    return owned->state.blocked.unreadable_count == 0 &&
           block_set_records(&owned->state.blocked, key) <=
               block_set_records(&behind->entities, key);
}

/** @return whether it costs less to bring all that is parked of the partition into its order. */
static bool behind_is_large(const struct owned *owned, const struct set_behind *behind)
{
    int64_t looks = 0;
    for (size_t i = 0; i < behind->entities.count; i++)
        looks += !behind_is_all(owned, behind, &behind->entities.entries[i].key);
    return looks > LOOKS_MAX && looks * LOOKS_COST > owned->state.parked_count;
}

/* A set that stands behind another one shares all entities with it, mostly: it is judged once. */
enum status applier_promote_behind(struct applier *applier, struct owned *owned,
                                   struct set_behind *behind, struct error *err)
{
    struct block_set met = {0};
    struct look look;
    enum status status = STATUS_OK;
    behind->is_unordered = behind_is_large(owned, behind);
    look_begin(&look, applier, owned);
    for (size_t i = 0; i < behind->entities.count && status == STATUS_OK; i++) {
        const struct block_key *key = &behind->entities.entries[i].key;
        const struct parked_record *next = NULL;
        bool promoted = false;
        bool is_new = true;
        bool is_all = behind_is_all(owned, behind, key);
        if (!is_all && behind->is_unordered)
            continue;
        if (!is_all)
            status = look_for_first(&look, key, &next, err);
        if (status == STATUS_OK && next == NULL)
            status = block_set_add(&behind->gone, key, 0, err);
        else if (status == STATUS_OK && next->changeset_end != 0)
            status = behind_meet(&met, next, &is_new, err);
        if (status == STATUS_OK && next != NULL && is_new)
            status = applier_promote(applier, owned, next, &promoted, err);
        behind->promoted += promoted;
    }
    look_done(&look);
    block_set_done(&met);
    return status;
}

void set_behind_done(struct set_behind *behind)
{
    block_set_done(&behind->entities);
    block_set_done(&behind->gone);
    behind->promoted = 0;
    behind->is_unordered = false;
}
