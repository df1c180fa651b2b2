/* The reference model of a store: plain arrays; a transaction works on a copy of all of them. The
 * bytes that they point to are never changed, and live as long as the database. */
#ifndef CONSUMER_STORE_MEMORY_INTERNAL_H
#define CONSUMER_STORE_MEMORY_INTERNAL_H

#include "consumer/store/store.h"

struct list {
    char *items;
    size_t count;
    size_t item_size;
};

struct model_row {
    const struct entity_schema *schema;
    const struct value *values;
};

struct model_sequence {
    char topic[STORE_NAME_SIZE];
    int32_t partition;
    struct sequence_state state;
};

struct model_key {
    struct slice topic; /* empty: not known */
    struct slice source;
    struct slice id;
    uint64_t digest;
    int64_t applied_at_us;
};

struct model {
    struct list positions;  /* struct partition_state without its lists */
    struct list sequences;  /* struct model_sequence */
    struct list keys;       /* struct model_key */
    struct list rows;       /* struct model_row */
    struct list parked;     /* struct parked_record */
    struct list superseded; /* struct superseded_image */
    struct list fills;      /* struct fill_state */
    int64_t last_parked_id;
};

struct store_memory;

/** Shared by all stores that were opened with the same path while one of them is open. */
struct memory_database {
    struct memory_database *next;
    char path[STORE_NAME_SIZE];
    char copy_id[STORE_TOKEN_SIZE];
    size_t users;
    struct model committed;
    struct list places;          /* struct place: what is recorded */
    struct store_memory *writer; /* who has a transaction open */
    struct arena arena;          /* all bytes */
};

struct store_memory {
    struct store base;
    struct memory_database *database;
    struct model working; /* while it is the writer */
    struct model savepoint;
    bool read_only;
    bool in_snapshot;
    struct model snapshot; /* what was committed when it began */
};

static inline struct store_memory *store_memory_of(struct store *store)
{
    return (struct store_memory *)store;
}

/** @return the item at `index`. */
void *list_at(const struct list *list, size_t index);
/** Append a copy of `item`; memory that runs out ends the process: this is a test's model. */
void *list_add(struct list *list, const void *item);
void list_remove(struct list *list, size_t index);
struct list list_copy(const struct list *list);
void list_done(struct list *list);

/** Copy all lists of a model, or free them. */
struct model model_copy(const struct model *model);
void model_done(struct model *model);

/** @return what this store sees: its snapshot, its transaction, or what is committed. */
struct model *store_memory_model(struct store_memory *self);

/** Copy bytes into the database. */
struct slice store_memory_keep(struct store_memory *self, struct slice bytes);
void *store_memory_alloc(struct store_memory *self, size_t size);

struct partition_state *model_position(const struct model *model, const char *topic,
                                       int32_t partition);
/** Fill sequences, blocked entities and counts. */
void model_load(const struct model *model, struct partition_state *state);

enum status store_memory_apply(struct store *store, const struct mapping *mapping,
                               const struct change *const *changes, size_t count,
                               struct error *err);
enum status store_memory_park(struct store *store, struct parked_record *records, size_t count,
                              struct error *err);
enum status store_memory_read_parked(struct store *store, const struct parked_filter *filter,
                                     struct arena *arena, struct parked_records *ret_parked,
                                     struct error *err);
enum status store_memory_edit_parked(struct store *store, const struct parked_record *record,
                                     enum parked_edit edit, struct error *err);
enum status store_memory_keep_image(struct store *store, const struct superseded_image *image,
                                    struct error *err);
enum status store_memory_read_image(struct store *store, const struct superseded_image *wanted,
                                    struct arena *arena, struct superseded_image *ret_image,
                                    struct error *err);
enum status store_memory_drop_image(struct store *store, const struct superseded_image *image,
                                    struct error *err);

enum status store_memory_list_fills(struct store *store, struct fill_state **ret_fills,
                                    size_t *ret_count, struct error *err);
enum status store_memory_fill(struct store *store, enum fill_edit edit,
                              const struct fill_state *fill,
                              const struct fill_partitions *partitions, struct error *err);

enum status store_memory_applied(struct store *store, const char *token,
                                 enum token_verdict *ret_verdict, struct error *err);

enum status store_memory_snapshot(struct store *store, bool begin, struct error *err);
enum status store_memory_keep_snapshot(struct store *store, struct error *err);
enum status store_memory_clear(struct store *store, const struct mapping *mapping,
                               struct store_clearing *clearing, struct error *err);
enum status store_memory_scan(struct store *store, const struct store_scan *scan,
                              struct error *err);

extern const struct store_ops store_memory_ops;

#endif
