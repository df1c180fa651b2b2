/* A set of block keys, found by digests of their entity and of their record key. */
#include "consumer/store/blocked.h"

#include "common/digest.h"

#include <stdlib.h>

#define SLOTS_FIRST 64

struct block_key block_key_stored(struct slice entity_type, struct slice entity_key,
                                  struct slice record_key)
{
    if (entity_type.length == 0)
        return (struct block_key){.record_key = record_key};
    return (struct block_key){
        .entity_type = entity_type, .entity_key = entity_key, .record_key = record_key};
}

struct block_key block_key_of(const struct change *change)
{
    bool readable = change->entity_type.length > 0 && change->entity_key.length > 0;
    return block_key_stored(readable ? change->entity_type : (struct slice){0}, change->entity_key,
                            change->record.key);
}

static bool same_entity(const struct block_key *left, const struct block_key *right)
{
    if (block_key_is_readable(left) != block_key_is_readable(right))
        return false;
    if (!block_key_is_readable(left))
        return slice_equal(left->record_key, right->record_key);
    return slice_equal(left->entity_type, right->entity_type) &&
           slice_equal(left->entity_key, right->entity_key);
}

bool block_keys_conflict(const struct block_key *left, const struct block_key *right)
{
    if (block_key_is_readable(left) && block_key_is_readable(right))
        return same_entity(left, right);
    return slice_equal(left->record_key, right->record_key);
}

static uint64_t entity_digest(const struct block_key *key)
{
    return digest_64(key->entity_type) ^ (31 * digest_64(key->entity_key) + 1);
}

static uint64_t record_digest(const struct block_key *key)
{
    return 131 * (key->record_key.length == 0 ? 0 : digest_64(key->record_key)) + 7;
}

static uint64_t own_digest(const struct block_key *key)
{
    return block_key_is_readable(key) ? entity_digest(key) : record_digest(key);
}

void block_set_done(struct block_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->entries[i].bytes);
    free(set->entries);
    free(set->slots);
    *set = (struct block_set){0};
}

static void put(struct block_set *set, uint64_t digest, size_t entry)
{
    size_t at = (size_t)digest % set->slot_count;
    while (set->slots[at].entry != 0)
        at = (at + 1) % set->slot_count;
    set->slots[at] = (struct block_slot){.digest = digest, .entry = entry};
}

/* An unreadable one is found by its record key alone. */
static void put_entry(struct block_set *set, size_t index)
{
    const struct block_key *key = &set->entries[index].key;
    if (block_key_is_readable(key))
        put(set, entity_digest(key), index + 1);
    put(set, record_digest(key), index + 1);
}

static void put_all(struct block_set *set)
{
    if (set->slot_count > 0)
        memset(set->slots, 0, set->slot_count * sizeof *set->slots);
    for (size_t i = 0; i < set->count; i++)
        put_entry(set, i);
}

/* Room for one more entry, at most half of the slots taken. */
static bool grow(struct block_set *set)
{
    if (set->count == set->size) {
        size_t size = set->size == 0 ? 16 : 2 * set->size;
        struct block_entry *entries = realloc(set->entries, size * sizeof *entries);
        if (entries == NULL)
            return false;
        set->entries = entries;
        set->size = size;
    }
    if (4 * (set->count + 1) <= set->slot_count)
        return true;
    size_t slot_count = set->slot_count == 0 ? SLOTS_FIRST : 2 * set->slot_count;
    struct block_slot *slots = realloc(set->slots, slot_count * sizeof *slots);
    if (slots == NULL)
        return false;
    set->slots = slots;
    set->slot_count = slot_count;
    put_all(set);
    return true;
}

typedef bool match(const struct block_key *known, const struct block_key *key);

/* @return the matching entry under a digest that has the lowest first offset; NULL: none matches.
 */
static struct block_entry *entry_under(const struct block_set *set, uint64_t digest, match *matches,
                                       const struct block_key *key)
{
    struct block_entry *first = NULL;
    if (set->slot_count == 0)
        return NULL;
    for (size_t at = (size_t)digest % set->slot_count; set->slots[at].entry != 0;
         at = (at + 1) % set->slot_count) {
        struct block_entry *entry = &set->entries[set->slots[at].entry - 1];
        if (set->slots[at].digest == digest &&
            (first == NULL || entry->first_offset < first->first_offset) &&
            matches(&entry->key, key))
            first = entry;
    }
    return first;
}

static int64_t first_under(const struct block_set *set, uint64_t digest, match *matches,
                           const struct block_key *key)
{
    const struct block_entry *entry = entry_under(set, digest, matches, key);
    return entry == NULL ? INT64_MAX : entry->first_offset;
}

static bool same_record_key_unreadable(const struct block_key *known, const struct block_key *key)
{
    return !block_key_is_readable(known) && block_keys_conflict(known, key);
}

static bool same_key(const struct block_key *known, const struct block_key *key)
{
    return same_entity(known, key) && slice_equal(known->record_key, key->record_key);
}

int64_t block_set_first_unreadable(const struct block_set *set, const struct block_key *key)
{
    return first_under(set, record_digest(key), same_record_key_unreadable, key);
}

int64_t block_set_first(const struct block_set *set, const struct block_key *key)
{
    if (set->count == 0)
        return INT64_MAX;
    if (!block_key_is_readable(key))
        return first_under(set, record_digest(key), block_keys_conflict, key);
    int64_t own = first_under(set, entity_digest(key), block_keys_conflict, key);
    int64_t raw = set->unreadable_count == 0 ? INT64_MAX : block_set_first_unreadable(set, key);
    return own < raw ? own : raw;
}

bool block_set_has_entity(const struct block_set *set, const struct block_key *key)
{
    return entry_under(set, own_digest(key), same_entity, key) != NULL;
}

static char *copy(char *at, struct slice *slice)
{
    if (slice->length > 0)
        memcpy(at, slice->data, slice->length);
    slice->data = at;
    return at + slice->length;
}

size_t block_set_records(const struct block_set *set, const struct block_key *key)
{
    const uint64_t digest = own_digest(key);
    size_t records = 0;
    if (set->slot_count == 0)
        return 0;
    for (size_t at = (size_t)digest % set->slot_count; set->slots[at].entry != 0;
         at = (at + 1) % set->slot_count) {
        const struct block_entry *entry = &set->entries[set->slots[at].entry - 1];
        if (set->slots[at].digest == digest && same_entity(&entry->key, key))
            records += entry->records;
    }
    return records;
}

/* Add `records` of one key, the first of them at `offset`. */
static enum status add_records(struct block_set *set, const struct block_key *key, int64_t offset,
                               size_t records, struct error *err)
{
    struct block_entry *known = entry_under(set, own_digest(key), same_key, key);
    if (known != NULL) {
        known->first_offset = offset < known->first_offset ? offset : known->first_offset;
        known->records += records;
        return STATUS_OK;
    }
    struct block_entry entry = {.key = *key, .first_offset = offset, .records = records};
    entry.bytes = malloc(key->entity_type.length + key->entity_key.length + key->record_key.length +
                         1);
    if (entry.bytes == NULL || !grow(set)) {
        free(entry.bytes);
        return error_set(err, STATUS_RETRY, "no memory for what is parked");
    }
    char *at = copy(entry.bytes, &entry.key.entity_type);
    at = copy(at, &entry.key.entity_key);
    (void)copy(at, &entry.key.record_key);
    set->entity_count += block_set_has_entity(set, key) ? 0 : 1;
    set->unreadable_count += block_key_is_readable(key) ? 0 : 1;
    set->entries[set->count++] = entry;
    put_entry(set, set->count - 1);
    return STATUS_OK;
}

enum status block_set_add(struct block_set *set, const struct block_key *key, int64_t offset,
                          struct error *err)
{
    return add_records(set, key, offset, 1, err);
}

enum status block_set_merge(struct block_set *set, const struct block_set *other, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < other->count && status == STATUS_OK; i++) {
        const struct block_entry *entry = &other->entries[i];
        status = add_records(set, &entry->key, entry->first_offset, entry->records, err);
    }
    return status;
}

typedef bool is_gone(const void *gone, const struct block_key *key);

/* @param entities  how many of the set's are gone. */
static void take_out(struct block_set *set, size_t entities, is_gone *goes, const void *gone)
{
    size_t kept = 0;
    if (entities == 0)
        return;
    for (size_t i = 0; i < set->count; i++) {
        const struct block_entry entry = set->entries[i];
        if (goes(gone, &entry.key)) {
            set->unreadable_count -= block_key_is_readable(&entry.key) ? 0 : 1;
            free(entry.bytes);
        } else {
            set->entries[kept++] = entry;
        }
    }
    set->count = kept;
    set->entity_count -= entities;
    put_all(set);
}

static bool is_entity(const void *gone, const struct block_key *key)
{
    return same_entity(gone, key);
}

void block_set_remove(struct block_set *set, const struct block_key *key)
{
    take_out(set, block_set_has_entity(set, key) ? 1 : 0, is_entity, key);
}

static bool is_in_set(const void *gone, const struct block_key *key)
{
    return block_set_has_entity(gone, key);
}

/* Keys of one entity may differ in their record keys; each entity counts once. */
void block_set_subtract(struct block_set *set, const struct block_set *gone)
{
    size_t entities = 0;
    for (size_t i = 0; i < gone->count; i++) {
        const struct block_key *key = &gone->entries[i].key;
        bool is_first = entry_under(gone, own_digest(key), same_entity, key) == &gone->entries[i];
        entities += is_first && block_set_has_entity(set, key);
    }
    take_out(set, entities, is_in_set, gone);
}
