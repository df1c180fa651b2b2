/* Deletes the rows that an attempt of a fill must not find (rule 38). Rows with own changes under
 * way stay (rule 41). */
#include "consumer/fill/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"

#include <stdlib.h>

#define CLEAR_ROWS     2000 /* of one transaction at most */
#define CLEAR_ALL      5    /* of all rows, so many times as many where no service writes */
#define CLEAR_TIME_US  INT64_C(1000000) /* of one scan: its snapshot holds up vacuum and the WAL */
#define CLEAR_QUICK_US INT64_C(200000)  /* a transaction of twice as many is not slow either */

/** One scan of a table. */
struct sweep {
    struct fill_loader *loader;
    const struct mapping *mapping;
    const struct table_order *order;
    struct own_change rows[CLEAR_ROWS]; /* their keys are in the loader's arena */
    size_t count;
    uint64_t deleted;
    int64_t until_us; /* monotonic: then it ends, if it has deleted something */
    bool is_cut;      /* it ended before all rows were seen */
    bool refuses;     /* nothing is deleted: the first row that is no own change is an error */
};

/* How many rows the next transaction deletes: fewer where this one was slow, or not let through.
 * What one row costs, the service's triggers and indexes decide. */
static void clearing_pace(struct fill_loader *loader, enum status status, int64_t begun_us)
{
    int64_t took_us = clock_monotonic_us() - begun_us;
    if (status == STATUS_RETRY || took_us > CLEAR_TIME_US)
        loader->clear_rows = loader->clear_rows > 1 ? loader->clear_rows / 2 : 1;
    else if (status == STATUS_OK && took_us < CLEAR_QUICK_US &&
             loader->clear_rows < CLEAR_ALL * CLEAR_ROWS)
        loader->clear_rows *= 2;
}

/* @return OK with those rows first that have no own change under way, and their number. */
static enum status sweep_judge(struct sweep *sweep, size_t *ret_count, struct error *err)
{
    *ret_count = 0;
    if (sweep->mapping->published_here) {
        enum status status = loader_read_own(sweep->loader, sweep->rows, sweep->count, err);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = 0; i < sweep->count; i++) {
        struct own_change row = sweep->rows[i];
        if (row.sequence != 0)
            continue;
        sweep->rows[i] = sweep->rows[*ret_count];
        sweep->rows[(*ret_count)++] = row;
    }
    return STATUS_OK;
}

static enum status sweep_refuse(const struct sweep *sweep, struct slice key, struct error *err)
{
    const char *table = mapping_table(sweep->mapping);
    return error_set(error_config(err), STATUS_FATAL,
                     "table \"%.80s\" has rows that no fill has loaded and that are no changes of "
                     "this service that wait to be published, such as %.*s: `keepstep fill %s "
                     "--again` deletes them; where they are the service's own, `keepstep init "
                     "--existing-rows` publishes them",
                     table, (int)(key.length < 120 ? key.length : 120), key.data,
                     sweep->mapping->entry->entity_type);
}

static enum status sweep_delete(struct sweep *sweep, const struct own_change *row,
                                struct change *ret_change, struct error *err)
{
    const struct entity_row gone = {.schema = sweep->mapping->schema,
                                    .entity_key = row->entity_key};
    enum status status = change_of_row(&gone, &sweep->loader->arena, ret_change, err);
    if (status != STATUS_REJECT)
        return status;
    err->status = STATUS_FATAL;
    error_mark_config(err);
    error_prefix(err,
                 "table \"%.80s\": the row %.*s cannot be deleted by its key; delete it by hand",
                 mapping_table(sweep->mapping), SLICE_ARGS(row->entity_key));
    return STATUS_FATAL;
}

/* Deletes one after the other what the database did not let go together. */
static enum status sweep_write_singly(struct sweep *sweep, const struct change *const *changes,
                                      size_t count, struct error *err)
{
    struct store *store = sweep->loader->store;
    struct clearing *clearing = &sweep->loader->clearing;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct error why = ERROR_INIT;
        status = store->ops->savepoint(store, false, err);
        if (status != STATUS_OK)
            break;
        enum status written = store->ops->apply(store, sweep->mapping, &changes[i], 1, &why);
        clearing->deleted += written == STATUS_OK;
        if (written == STATUS_REJECT) {
            clearing->refused++;
            if (clearing->error.status == STATUS_OK)
                clearing->error = why;
            status = store->ops->savepoint(store, true, err);
        } else if (written != STATUS_OK) {
            *err = why;
            status = written;
        }
    }
    return status;
}

/* @return OK; REJECT (some of them cannot be deleted). */
static enum status sweep_write(struct sweep *sweep, size_t count, bool singly, struct error *err)
{
    struct fill_loader *loader = sweep->loader;
    struct change *gone = arena_alloc(&loader->arena, count * sizeof *gone);
    const struct change **changes = arena_alloc(&loader->arena, count * sizeof *changes);
    enum status status = STATUS_OK;
    if (gone == NULL || changes == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows to delete");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = sweep_delete(sweep, &sweep->rows[i], &gone[i], err);
        changes[i] = &gone[i];
    }
    if (status == STATUS_OK && singly)
        return sweep_write_singly(sweep, changes, count, err);
    if (status == STATUS_OK)
        status = loader->store->ops->apply(loader->store, sweep->mapping, changes, count, err);
    if (status == STATUS_OK)
        loader->clearing.deleted += count;
    return status;
}

/* An own change that was committed meanwhile keeps its row. @return OK; AGAIN. */
static enum status sweep_recheck(struct sweep *sweep, size_t count, struct error *err)
{
    size_t left = 0;
    size_t all = sweep->count;
    if (sweep->loader->store->ops->excludes_writers)
        return STATUS_OK;
    sweep->count = count;
    enum status status = sweep_judge(sweep, &left, err);
    sweep->count = all;
    return status == STATUS_OK && left < count ? STATUS_AGAIN : status;
}

static enum status sweep_try(struct sweep *sweep, bool singly, struct error *err)
{
    struct store *store = sweep->loader->store;
    size_t count = 0;
    enum status status = store->ops->begin(store, NULL, 0, err);
    if (status == STATUS_OK)
        status = store->ops->fill(store, FILL_NOTE, &sweep->loader->fill, NULL, err);
    if (status == STATUS_OK)
        status = sweep_judge(sweep, &count, err);
    if (status == STATUS_OK && count > 0)
        status = sweep_write(sweep, count, singly, err);
    if (status == STATUS_OK && count > 0)
        status = sweep_recheck(sweep, count, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_FILL_BEFORE_CLEAR);
    status = store->ops->commit(store, false, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_FILL_AFTER_CLEAR);
    return status;
}

static enum status sweep_transaction(struct sweep *sweep, struct error *err)
{
    struct fill_loader *loader = sweep->loader;
    const struct clearing before = loader->clearing;
    int64_t begun_us = clock_monotonic_us();
    bool singly = false;
    int rounds = 0;
    enum status status = sweep_try(sweep, singly, err);
    while ((status == STATUS_AGAIN || (status == STATUS_REJECT && !singly)) &&
           ++rounds < LOADER_ROUNDS_MAX) {
        singly = singly || status == STATUS_REJECT;
        loader->store->ops->rollback(loader->store);
        loader->clearing = before;
        error_clear(err);
        status = sweep_try(sweep, singly, err);
    }
    if (status == STATUS_AGAIN)
        status = error_set(err, STATUS_RETRY, "the service changes the rows all the time");
    clearing_pace(loader, status, begun_us);
    if (status == STATUS_OK) {
        sweep->deleted += loader->clearing.deleted - before.deleted;
        loader->progress.cleared += loader->clearing.deleted - before.deleted;
    }
    return status;
}

/* A delete of these rows would change others, and no event says so. */
static enum status sweep_refuse_followers(const struct sweep *sweep, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "table \"%.80s\" has rows, and rows elsewhere change with them, by a foreign "
                     "key that acts on a delete or an update, or by a trigger: to clear it would "
                     "change them too; empty it by hand, then fill it",
                     mapping_table(sweep->mapping));
}

/* Does what is to be done with the rows that were seen, and forgets them. */
static enum status sweep_flush(struct sweep *sweep, struct error *err)
{
    size_t strangers = 0;
    enum status status = STATUS_OK;
    if (sweep->count == 0)
        return STATUS_OK;
    if (sweep->refuses || sweep->order->is_followed) {
        status = sweep_judge(sweep, &strangers, err);
        if (status == STATUS_OK && strangers > 0)
            status = sweep->refuses ? sweep_refuse(sweep, sweep->rows[0].entity_key, err)
                                    : sweep_refuse_followers(sweep, err);
    } else {
        status = sweep_transaction(sweep, err);
    }
    sweep->count = 0;
    arena_reset(&sweep->loader->arena);
    return status;
}

static enum status sweep_visit(void *context, const struct scanned_row *row, struct error *err)
{
    struct sweep *sweep = context;
    struct slice key = arena_copy(&sweep->loader->arena, row->key);
    if (key.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a table");
    sweep->rows[sweep->count++] = (struct own_change){
        .entity_type = slice_of(sweep->mapping->schema->entity_type), .entity_key = key};
    if (sweep->count < CLEAR_ROWS && (int64_t)sweep->count < sweep->loader->clear_rows)
        return STATUS_OK;
    enum status status = sweep_flush(sweep, err);
    sweep->is_cut = status == STATUS_OK && sweep->deleted > 0 &&
                    clock_monotonic_us() >= sweep->until_us;
    return sweep->is_cut ? STATUS_AGAIN : status;
}

/* The reader's session lasts for one scan: its snapshot is of the moment at which it begins. */
static enum status sweep_table(struct sweep *sweep, struct error *err)
{
    struct fill_loader *loader = sweep->loader;
    const struct config *config = loader->options.config;
    const struct store_options options = {
        .path = config->database_path, .service = config->service, .read_only = true};
    const struct store_scan scan = {
        .mapping = sweep->mapping, .visit = sweep_visit, .context = sweep};
    struct store *reader = NULL;
    arena_reset(&loader->arena);
    enum status status = loader->options.ops->open(&options, &reader, err);
    if (status == STATUS_OK)
        status = reader->ops->snapshot(reader, true, err);
    if (status == STATUS_OK)
        status = reader->ops->scan(reader, &scan, err);
    if (status == STATUS_OK || sweep->is_cut) {
        error_clear(err);
        status = sweep_flush(sweep, err);
    }
    if (reader != NULL)
        reader->ops->close(reader);
    if (status == STATUS_STOP) /* its database cannot be read beside writers */
        status = err->status = STATUS_FATAL;
    return status;
}

static enum status loader_sweep(struct fill_loader *loader, size_t index, bool refuses,
                                bool *ret_cut, struct error *err)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a table");
    sweep->loader = loader;
    sweep->mapping = &loader->options.mappings[index];
    sweep->order = &loader->orders[index];
    sweep->until_us = clock_monotonic_us() + CLEAR_TIME_US;
    sweep->refuses = refuses;
    enum status status = sweep_table(sweep, err);
    *ret_cut = sweep->is_cut;
    free(sweep);
    return status;
}

static enum status clearing_all_transaction(struct fill_loader *loader,
                                            const struct mapping *mapping, struct error *err)
{
    struct store *store = loader->store;
    struct store_clearing all = loader->clearing.all;
    int64_t most = loader->meta.incarnation[0] != '\0' ? CLEAR_ROWS : CLEAR_ALL * CLEAR_ROWS;
    all.rows = loader->clear_rows < most ? loader->clear_rows : most;
    enum status status = store->ops->begin(store, NULL, 0, err);
    if (status == STATUS_OK)
        status = store->ops->fill(store, FILL_NOTE, &loader->fill, NULL, err);
    if (status == STATUS_OK)
        status = store->ops->clear(store, mapping, &all, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_FILL_BEFORE_CLEAR);
    status = store->ops->commit(store, false, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_FILL_AFTER_CLEAR);
    loader->clearing.all = all;
    loader->clearing.deleted += (uint64_t)all.deleted;
    loader->progress.cleared += (uint64_t)all.deleted;
    return STATUS_OK;
}

/* Deletes all rows of a table by ranges, where none may stay: nobody reads them, or names them one
 * by one. Where the database does not let one go, and of what came meanwhile, a sweep does that. */
static enum status clearing_all(struct fill_loader *loader, size_t index, bool *ret_cut,
                                struct error *err)
{
    const struct mapping *mapping = &loader->options.mappings[index];
    struct store_clearing *all = &loader->clearing.all;
    int64_t until_us = clock_monotonic_us() + CLEAR_TIME_US;
    enum status status = STATUS_OK;
    if (mapping->published_here || loader->orders[index].is_followed)
        all->is_over = true;
    while (status == STATUS_OK && !all->is_over && clock_monotonic_us() < until_us) {
        int64_t begun_us = clock_monotonic_us();
        status = clearing_all_transaction(loader, mapping, err);
        clearing_pace(loader, status, begun_us);
    }
    if (status == STATUS_REJECT) {
        loader->store->ops->rollback(loader->store);
        error_clear(err);
        all->is_over = true;
        status = STATUS_OK;
    }
    *ret_cut = !all->is_over;
    return status;
}

static enum status clearing_refuse(const struct fill_loader *loader, struct error *err)
{
    const struct clearing *clearing = &loader->clearing;
    return error_set(
        error_config(err), STATUS_FATAL,
        "%llu rows of %s cannot be deleted, because rows of other tables refer to "
        "them; delete those first; or, where they are copies too, take the foreign key "
        "away, fill both topics, and add it again: %.260s",
        (unsigned long long)clearing->refused, loader->options.topic, clearing->error.text);
}

enum status loader_clear(struct fill_loader *loader, bool *ret_done, struct error *err)
{
    struct clearing *clearing = &loader->clearing;
    bool is_cut = false;
    enum status status = STATUS_OK;
    *ret_done = false;
    for (; status == STATUS_OK && !is_cut && clearing->index < loader->options.mapping_count;) {
        if (loader_has(loader, &loader->options.mappings[clearing->index])) {
            status = clearing_all(loader, clearing->index, &is_cut, err);
            if (status == STATUS_OK && !is_cut)
                status = loader_sweep(loader, clearing->index, false, &is_cut, err);
        }
        if (status == STATUS_OK && !is_cut) {
            clearing->index++;
            clearing->all = (struct store_clearing){0};
        }
    }
    if (status != STATUS_OK || is_cut)
        return status;
    if (clearing->refused > 0 && clearing->deleted == 0)
        return clearing_refuse(loader, err);
    *ret_done = clearing->refused == 0;
    *clearing = (struct clearing){0};
    return STATUS_OK;
}

enum status loader_refuse_rows(struct fill_loader *loader, struct error *err)
{
    bool ignored = false;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < loader->options.mapping_count; i++) {
        if (loader_has(loader, &loader->options.mappings[i]))
            status = loader_sweep(loader, i, true, &ignored, err);
    }
    return status;
}
