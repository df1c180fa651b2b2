/* The loader's sessions, and what its caller pushes. What is written has files of its own. */
#include "consumer/fill/internal.h"
#include "consumer/store/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADER_ARENA_MAX ((size_t)64 << 20)

enum status fill_loader_new(const struct fill_loader_options *options,
                            struct fill_loader **ret_loader, struct error *err)
{
    struct fill_loader *loader = calloc(1, sizeof *loader);
    if (loader == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a fill");
    loader->options = *options;
    loader->clear_rows = CLEAR_FIRST;
    arena_init(&loader->arena, LOADER_ARENA_MAX);
    loader->orders = calloc(options->mapping_count + 1, sizeof *loader->orders);
    enum status status = loader_init_loads(loader, err);
    if (status == STATUS_OK && loader->orders == NULL)
        status = error_set(err, STATUS_FATAL, "no memory for a fill");
    (void)snprintf(loader->fill.topic, sizeof loader->fill.topic, "%s", options->topic);
    if (status == STATUS_OK)
        *ret_loader = loader;
    else
        fill_loader_free(loader);
    return status;
}

static void loader_close(struct fill_loader *loader)
{
    if (loader->store != NULL)
        loader->store->ops->close(loader->store);
    loader->store = NULL;
}

void loader_forget(struct fill_loader *loader)
{
    loader_reset_loads(loader);
    for (size_t i = 0; i < loader->partition_count; i++)
        partition_state_done(&loader->partitions[i]);
    free(loader->partitions);
    free(loader->ranges);
    loader->partitions = NULL;
    loader->partition_count = 0;
    loader->ranges = NULL;
    loader->range_count = 0;
    loader->next = LOADER_NOTHING;
    loader->progress = (struct fill_progress){0};
    loader->clearing = (struct clearing){0};
    loader->sums = (struct fill_sums){0};
    loader->has_end = false;
}

void fill_loader_free(struct fill_loader *loader)
{
    if (loader == NULL)
        return;
    loader_forget(loader);
    loader_free_loads(loader);
    loader_close(loader);
    arena_done(&loader->arena);
    free(loader->orders);
    free(loader);
}

enum status loader_open(struct fill_loader *loader, struct error *err)
{
    const struct fill_loader_options *options = &loader->options;
    const struct store_options store = {.path = options->config->database_path,
                                        .service = options->config->service};
    if (loader->store != NULL)
        return STATUS_OK;
    enum status status = options->ops->open(&store, &loader->store, err);
    if (status == STATUS_OK)
        status = loader->store->ops->meta(loader->store, &loader->meta, err);
    for (size_t i = 0; status == STATUS_OK && i < options->mapping_count; i++)
        status = store_prepare(loader->store, &options->mappings[i], false, err);
    if (status == STATUS_OK)
        status = store_order(loader->store, options->mappings, options->mapping_count,
                             loader->orders, err);
    if (status != STATUS_OK)
        loader_close(loader);
    return status;
}

enum status loader_undo(struct fill_loader *loader, enum status status, const struct error *err)
{
    if (status == STATUS_OK || loader->store == NULL)
        return status;
    loader->store->ops->rollback(loader->store);
    if (err->connection_lost)
        loader_close(loader);
    return status;
}

bool loader_has(const struct fill_loader *loader, const struct mapping *mapping)
{
    return strcmp(mapping->entry->topic, loader->options.topic) == 0;
}

const struct mapping *loader_mapping(const struct fill_loader *loader, struct slice entity_type)
{
    for (size_t i = 0; i < loader->options.mapping_count; i++) {
        const struct mapping *mapping = &loader->options.mappings[i];
        if (loader_has(loader, mapping) && slice_is(entity_type, mapping->schema->entity_type))
            return mapping;
    }
    return NULL;
}

enum status fill_loader_read(struct fill_loader *loader, struct fill_state *ret_fill,
                             struct error *err)
{
    loader_settle(loader);
    enum status status = loader_open(loader, err);
    if (status == STATUS_OK)
        status = store_fill_read(loader->store, loader->options.topic, ret_fill, err);
    return loader_undo(loader, status, err);
}

static void range_add(struct fill_loader *loader, const struct mapping *mapping, int32_t partition,
                      uint64_t above)
{
    loader->ranges[loader->range_count++] = (struct pending_range){
        .schema = mapping->schema, .partition = partition, .above = above};
}

/* An own change that the stamp covers is in the source's rows. Without a stamp all that waits is
 * asked for: the first range of a type has it. */
static void ranges_of(struct fill_loader *loader, const struct mapping *mapping)
{
    const char *own = loader->options.config->service;
    for (size_t i = 0; i < loader->partition_count; i++) {
        const struct partition_state *state = &loader->partitions[i];
        range_add(
            loader, mapping, state->partition,
            sequences_last(state->sequences, state->sequence_count, own, loader->meta.incarnation));
    }
    if (loader->partition_count == 0)
        range_add(loader, mapping, 0, INT64_MAX);
}

enum status loader_make_ranges(struct fill_loader *loader, struct error *err)
{
    size_t most = loader->options.mapping_count * (loader->partition_count + 1);
    free(loader->ranges);
    loader->range_count = 0;
    loader->ranges = calloc(most + 1, sizeof *loader->ranges);
    if (loader->ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions");
    for (size_t i = 0; i < loader->options.mapping_count; i++) {
        const struct mapping *mapping = &loader->options.mappings[i];
        if (loader_has(loader, mapping) && mapping->published_here)
            ranges_of(loader, mapping);
    }
    return STATUS_OK;
}

enum status loader_read_own(struct fill_loader *loader, struct own_change *entities, size_t count,
                            struct error *err)
{
    struct pending_read pending = {.ranges = loader->ranges,
                                   .range_count = loader->range_count,
                                   .entities = entities,
                                   .entity_count = count};
    qsort(entities, count, sizeof *entities, own_change_compare);
    return loader->store->ops->read_pending(loader->store, &pending, err);
}

static enum status begin_check_type(const struct mapping *mapping, const struct fill_begin *begin,
                                    struct error *err)
{
    for (size_t i = 0; i < begin->type_count; i++) {
        if (strcmp(begin->types[i], mapping->schema->entity_type) == 0)
            return STATUS_OK;
    }
    return error_set(err, STATUS_ABORT, "%s sends no rows of %s", begin->source,
                     mapping->schema->entity_type);
}

static enum status begin_check(const struct fill_loader *loader, const struct fill_begin *begin,
                               struct error *err)
{
    enum status status = STATUS_OK;
    if (strcmp(begin->topic, loader->options.topic) != 0 ||
        strcmp(begin->id, loader->fill.id) != 0 || begin->partition_count <= 0)
        return error_set(err, STATUS_ABORT,
                         "the rows are those of another attempt, or of no topic");
    for (size_t i = 0; status == STATUS_OK && i < loader->options.mapping_count; i++) {
        if (loader_has(loader, &loader->options.mappings[i]))
            status = begin_check_type(&loader->options.mappings[i], begin, err);
    }
    return status;
}

static void take_sequence(struct sequence_state *state, const struct fill_sequence *sequence)
{
    state->base = sequence->base;
    state->last = sequence->last;
    (void)snprintf(state->source, sizeof state->source, "%s", sequence->source);
    (void)snprintf(state->incarnation, sizeof state->incarnation, "%s", sequence->incarnation);
    (void)snprintf(state->last_id, sizeof state->last_id, "%s", sequence->last_id);
    if (sequence->digests != NULL)
        memcpy(state->digests, sequence->digests, sizeof state->digests);
}

static enum status take_partition(struct partition_state *state, const struct fill_begin *begin,
                                  int32_t partition, struct error *err)
{
    const struct fill_position *position = &begin->positions[partition];
    size_t count = 0;
    state->partition = partition;
    state->partition_count = begin->partition_count;
    state->next_offset = position->next_offset;
    state->anchor_offset = position->anchor_offset;
    (void)snprintf(state->topic, sizeof state->topic, "%s", begin->topic);
    (void)snprintf(state->anchor_id, sizeof state->anchor_id, "%s", position->anchor_id);
    (void)snprintf(state->cluster_id, sizeof state->cluster_id, "%s", begin->cluster_id);
    for (size_t i = 0; i < begin->sequence_count; i++)
        count += begin->sequences[i].partition == partition;
    state->sequences = calloc(count + 1, sizeof *state->sequences);
    if (state->sequences == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the sequences of a stamp");
    for (size_t i = 0; i < begin->sequence_count; i++) {
        if (begin->sequences[i].partition == partition)
            take_sequence(&state->sequences[state->sequence_count++], &begin->sequences[i]);
    }
    return STATUS_OK;
}

enum status fill_loader_begin(struct fill_loader *loader, const struct fill_begin *begin,
                              struct error *err)
{
    enum status status = begin_check(loader, begin, err);
    if (status != STATUS_OK)
        return status;
    loader_forget(loader);
    loader->partitions = calloc((size_t)begin->partition_count, sizeof *loader->partitions);
    if (loader->partitions == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions");
    loader->partition_count = (size_t)begin->partition_count;
    for (int32_t i = 0; status == STATUS_OK && i < begin->partition_count; i++)
        status = take_partition(&loader->partitions[i], begin, i, err);
    if (status == STATUS_OK)
        status = loader_make_ranges(loader, err);
    if (loader->meta.incarnation[0] != '\0')
        loader_begin_small(loader);
    loader->fill.rows_offset = 1;
    loader->fill.rows = 0;
    loader->fill.digest = 0;
    loader->progress.stage = FILL_CLEARING;
    if (status == STATUS_OK)
        loader->next = LOADER_MARK;
    return status;
}

static void loader_took(struct fill_loader *loader)
{
    loader->fill.rows_offset++;
    loader->fill.rows = (int64_t)loader->sums.rows;
    loader->fill.digest = loader->sums.digest;
}

enum status fill_loader_row(struct fill_loader *loader, const struct fill_row *row,
                            struct error *err)
{
    const struct mapping *mapping = loader_mapping(loader, row->entity_type);
    if (mapping == NULL)
        return error_set(err, STATUS_ABORT, "a row of %.*s came, which nobody wants",
                         SLICE_ARGS(row->entity_type));
    enum status status = batch_add_row(&loader->filled->batch, mapping->schema, row->key,
                                       row->value, err);
    if (status == STATUS_REJECT) {
        error_prefix(err, "%.*s %.*s", SLICE_ARGS(row->entity_type), SLICE_ARGS(row->key));
        return err->status = STATUS_STOP;
    }
    if (status != STATUS_OK)
        return status;
    fill_sums_add_row(&loader->sums, row);
    loader_took(loader);
    return STATUS_OK;
}

enum status fill_loader_key(struct fill_loader *loader, const struct fill_key *key,
                            struct error *err)
{
    struct load *load = loader->filled;
    struct arena *arena = &load->batch.arena;
    if (load->key_count == 0)
        load->keys = arena_alloc(arena, FILL_KEYS_MAX * sizeof *load->keys);
    if (load->keys == NULL)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    struct key_claim *claim = &load->keys[load->key_count];
    *claim = (struct key_claim){.topic = loader->options.topic,
                                .source = arena_copy(arena, key->source),
                                .id = arena_copy(arena, key->id),
                                .digest = key->digest};
    if (claim->source.data == NULL || claim->id.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for idempotency keys");
    load->key_count++;
    fill_sums_add_key(&loader->sums, key);
    loader_took(loader);
    return STATUS_OK;
}

enum status fill_loader_end(struct fill_loader *loader, const struct fill_end *end,
                            struct error *err)
{
    if (!fill_sums_match(&loader->sums, end) ||
        (size_t)end->partition_count != loader->partition_count)
        return error_set(err, STATUS_ABORT, "%llu rows came, and %llu were sent, or others",
                         (unsigned long long)loader->sums.rows, (unsigned long long)end->rows);
    for (size_t i = 0; i < loader->partition_count; i++)
        loader->partitions[i].filled_to = end->filled_to[i];
    loader->has_end = true;
    return STATUS_OK;
}

bool fill_loader_is_busy(const struct fill_loader *loader)
{
    switch (loader->next) {
    case LOADER_NOTHING:
    case LOADER_FINISHED:
        return false;
    case LOADER_LOAD:
        return loader->has_end || batch_is_full(&loader->filled->batch) ||
               loader->filled->key_count == FILL_KEYS_MAX;
    case LOADER_MARK:
    case LOADER_CLEAR:
    case LOADER_INSTALL:
        break;
    }
    return true;
}

bool fill_loader_is_done(const struct fill_loader *loader)
{
    return loader->next == LOADER_FINISHED;
}

struct fill_progress fill_loader_progress(const struct fill_loader *loader)
{
    return loader->progress;
}
