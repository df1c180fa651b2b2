/* What waits for what: a parked record makes every later record that conflicts with it wait
 * (rule 23). Asked by the applier, by what releases parked records, and by `keepstep parked`. */
#ifndef CONSUMER_STORE_BLOCKED_H
#define CONSUMER_STORE_BLOCKED_H

#include "schemas/change.h"

/** What a record is about, within its partition. Where its entity cannot be read, type and key are
 * empty and its record key stands for it. Borrowed. */
struct block_key {
    struct slice entity_type;
    struct slice entity_key;
    struct slice record_key; /* data NULL and no bytes are the same: no key */
};

struct block_key block_key_of(const struct change *change);

/** The same for a stored record: `entity_type` is empty where its entity could not be read. */
struct block_key block_key_stored(struct slice entity_type, struct slice entity_key,
                                  struct slice record_key);

/** @return whether the entity can be read. */
static inline bool block_key_is_readable(const struct block_key *key)
{
    return key->entity_type.length > 0;
}

/** @return whether the later of two records of a partition has to wait for the earlier one: both
 * are of one entity, or the entity of one cannot be read and their record keys are the same. */
bool block_keys_conflict(const struct block_key *left, const struct block_key *right);

struct block_entry {
    struct block_key key; /* owned: one piece of memory, at `bytes` */
    int64_t first_offset; /* the lowest of the records that were added with it */
    size_t records;       /* how many that were */
    char *bytes;
};

struct block_slot {
    uint64_t digest;
    size_t entry; /* its index + 1; 0: free */
};

/** The keys of the parked records of one partition, each once. Zeroed it is empty. */
struct block_set {
    struct block_entry *entries;
    size_t count;
    size_t size;
    size_t entity_count; /* entities, and record keys where they cannot be read */
    size_t unreadable_count;
    struct block_slot *slots;
    size_t slot_count;
};

void block_set_done(struct block_set *set);

/** Add a record's key; in any order of offsets. @return OK; RETRY (memory). */
enum status block_set_add(struct block_set *set, const struct block_key *key, int64_t offset,
                          struct error *err) MUST_CHECK;

/** Add all that another set has. */
enum status block_set_merge(struct block_set *set, const struct block_set *other,
                            struct error *err) MUST_CHECK;

/** Take out what has the same entity, or the same record key where it cannot be read. */
void block_set_remove(struct block_set *set, const struct block_key *key);

/** Take out what any key of another set would take out. */
void block_set_subtract(struct block_set *set, const struct block_set *gone);

/** @return the lowest first offset of what conflicts with a key; INT64_MAX: nothing does. */
int64_t block_set_first(const struct block_set *set, const struct block_key *key);

/** The same of those alone whose entity cannot be read. */
int64_t block_set_first_unreadable(const struct block_set *set, const struct block_key *key);

static inline bool block_set_has(const struct block_set *set, const struct block_key *key)
{
    return block_set_first(set, key) != INT64_MAX;
}

/** @return how many records of the key's entity were added, or unreadable ones with the same record
 * key. Some may be gone by now. */
size_t block_set_records(const struct block_set *set, const struct block_key *key);

/** @return whether a record of the same entity, or unreadable with the same record key, is there.
 */
bool block_set_has_entity(const struct block_set *set, const struct block_key *key);

#endif
