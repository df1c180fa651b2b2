/* The loader from inside: what the files of this folder share. */
#ifndef CONSUMER_FILL_INTERNAL_H
#define CONSUMER_FILL_INTERNAL_H

#include "common/worker.h"
#include "consumer/apply/batch.h"
#include "consumer/fill/loader.h"

#define LOADER_ROUNDS_MAX 8    /* of a transaction that own changes overtake */
#define LOADS             2    /* they share the memory of one batch */
#define CLEAR_FIRST       250  /* rows of the first transaction that clears */
#define LOADER_FREE_US    2000 /* with an outbox: between two transactions, for the service */

/** What is to be written next. */
enum loader_next {
    LOADER_NOTHING, /* there is no attempt */
    LOADER_MARK,    /* that clearing begins */
    LOADER_CLEAR,
    LOADER_INSTALL,
    LOADER_LOAD,
    LOADER_FINISHED,
};

/** How far clearing is. It goes through the tables until nothing is left that can be deleted: a row
 * may be held by a row of another table. */
struct clearing {
    size_t index;              /* of the mapping whose table is next */
    struct store_clearing all; /* of that table's rows, whichever they are */
    uint64_t deleted;          /* in this pass */
    uint64_t refused;          /* rows that the database did not let go, in this pass */
    struct error error;        /* the first of these */
};

/** What one transaction writes. */
struct load {
    struct batch batch;
    struct key_claim *keys; /* FILL_KEYS_MAX of them, in the batch's arena */
    size_t key_count;
    struct fill_state fill; /* how far the attempt is behind it */
    int64_t took_us;
};

struct fill_loader {
    struct fill_loader_options options;
    struct store *store; /* NULL: not open */
    struct store_meta meta;
    struct table_order *orders; /* of each mapping's table */

    /* Of the attempt: */
    enum loader_next next;
    struct fill_state fill; /* as it was written last, or will be next */
    struct fill_progress progress;
    struct partition_state *partitions; /* the stamp */
    size_t partition_count;
    struct pending_range *ranges; /* where own changes are looked for, by the stamp's sequences */
    size_t range_count;
    struct clearing clearing;
    int64_t clear_rows; /* of its next transaction, for all attempts */
    struct fill_sums sums;
    bool has_end;

    /* One load is filled while the worker writes the other one. Then the session, the arena and
     * `written` are the worker's; what it reads besides does not change meanwhile. */
    struct load loads[LOADS];
    struct load *filled;
    struct load *written; /* empty; or a transaction is under way, or has failed */
    struct worker *worker;
    bool is_writing; /* nobody has looked yet how it ended */
    enum status write_status;
    struct error write_error;
    struct arena arena; /* of one transaction */
};

/** Open the session that writes, unless it is open. @return OK; RETRY; FATAL. */
enum status loader_open(struct fill_loader *loader, struct error *err) MUST_CHECK;

/** After a transaction that failed: roll back; close the session where it is lost. @return
 * `status`. */
enum status loader_undo(struct fill_loader *loader, enum status status, const struct error *err);

/** Forget what the last attempt has left in memory. */
void loader_forget(struct fill_loader *loader);

/** A slot has found another stage or place than it expects: was this transaction committed before?
 * @param rows_offset  where the fill is then; -1: wherever.
 * @return OK: it was; ABORT, with the slot's error: another attempt has begun; RETRY. */
enum status loader_was_done(struct fill_loader *loader, enum fill_stage stage, int64_t rows_offset,
                            struct error *err) MUST_CHECK;

/** @return whether a mapping's rows belong to the topic. */
bool loader_has(const struct fill_loader *loader, const struct mapping *mapping);

/** @return the mapping of an entity type of the topic; NULL: none. */
const struct mapping *loader_mapping(const struct fill_loader *loader, struct slice entity_type);

/** Make the ranges in which own changes are looked for: above the stamp's own sequences, or without
 * a stamp all. @return OK; RETRY (memory). */
enum status loader_make_ranges(struct fill_loader *loader, struct error *err) MUST_CHECK;

/** Find the own changes under way of some entities, each once; sorts them.
 * @param entities  all of types that are published here. */
enum status loader_read_own(struct fill_loader *loader, struct own_change *entities, size_t count,
                            struct error *err) MUST_CHECK;

/** Clear the tables, for a second. @return OK with whether they are empty; RETRY; ABORT; FATAL. */
enum status loader_clear(struct fill_loader *loader, bool *ret_done, struct error *err) MUST_CHECK;

/** Refuse rows that are no own changes under way. @return OK; RETRY; FATAL with exit code 78. */
enum status loader_refuse_rows(struct fill_loader *loader, struct error *err) MUST_CHECK;

/** Write the load of loader->written, in one transaction. Statuses as fill_loader_step().
 * @thread the worker's, or the caller's where the worker rests. */
enum status loader_write(struct fill_loader *loader, struct error *err) MUST_CHECK;

/* loads.c */

/** @return OK; FATAL (memory, no thread). */
enum status loader_init_loads(struct fill_loader *loader, struct error *err) MUST_CHECK;
void loader_free_loads(struct fill_loader *loader);

/** Wait for the worker and forget what was filled or written, whatever became of it. */
void loader_reset_loads(struct fill_loader *loader);

/** Wait for the worker, so that the session is the caller's. How it ended is kept. */
void loader_settle(struct fill_loader *loader);

/** Let transactions begin small: the service writes in this database too. */
void loader_begin_small(struct fill_loader *loader);

/** Hand over what was filled, when the load before it is written.
 * @return OK, with whether there was anything; else how the load before it ended, which the next
 * call writes once more. */
enum status loader_hand_over(struct fill_loader *loader, bool *ret_any,
                             struct error *err) MUST_CHECK;

#endif
