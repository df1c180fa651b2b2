/* The memory store: the reference model that tests compare back ends with. No outbox, no
 * durability; memory that runs out ends the process. */
#include "common/clock.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "consumer/store/pending.h"
#include "consumer/store/memory/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX ((size_t)1024 * 1024 * 1024)

static struct memory_database *databases; /* tests open stores from one thread */

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

void *list_at(const struct list *list, size_t index)
{
    return list->items + index * list->item_size;
}

void *list_add(struct list *list, const void *item)
{
    list->items = must(realloc(list->items, (list->count + 1) * list->item_size));
    list->count++;
    return memcpy(list_at(list, list->count - 1), item, list->item_size);
}

void list_remove(struct list *list, size_t index)
{
    char *item = list_at(list, index);
    list->count--;
    memmove(item, item + list->item_size, (list->count - index) * list->item_size);
}

struct list list_copy(const struct list *list)
{
    struct list copy = *list;
    copy.items = must(malloc(list->count * list->item_size + 1));
    if (list->count > 0)
        memcpy(copy.items, list->items, list->count * list->item_size);
    return copy;
}

void list_done(struct list *list)
{
    free(list->items);
    list->items = NULL;
    list->count = 0;
}

static struct model model_new(void)
{
    return (struct model){
        .positions.item_size = sizeof(struct partition_state),
        .sequences.item_size = sizeof(struct model_sequence),
        .keys.item_size = sizeof(struct model_key),
        .rows.item_size = sizeof(struct model_row),
        .parked.item_size = sizeof(struct parked_record),
        .superseded.item_size = sizeof(struct superseded_image),
        .fills.item_size = sizeof(struct fill_state),
    };
}

struct model model_copy(const struct model *model)
{
    return (struct model){
        .positions = list_copy(&model->positions),
        .sequences = list_copy(&model->sequences),
        .keys = list_copy(&model->keys),
        .rows = list_copy(&model->rows),
        .parked = list_copy(&model->parked),
        .superseded = list_copy(&model->superseded),
        .fills = list_copy(&model->fills),
        .last_parked_id = model->last_parked_id,
    };
}

void model_done(struct model *model)
{
    list_done(&model->positions);
    list_done(&model->sequences);
    list_done(&model->keys);
    list_done(&model->rows);
    list_done(&model->parked);
    list_done(&model->superseded);
    list_done(&model->fills);
}

struct model *store_memory_model(struct store_memory *self)
{
    if (self->in_snapshot)
        return &self->snapshot;
    return self->database->writer == self ? &self->working : &self->database->committed;
}

void *store_memory_alloc(struct store_memory *self, size_t size)
{
    return must(arena_alloc(&self->database->arena, size));
}

struct slice store_memory_keep(struct store_memory *self, struct slice bytes)
{
    if (bytes.data == NULL)
        return bytes;
    struct slice kept = arena_copy(&self->database->arena, bytes);
    if (kept.data == NULL)
        abort();
    return kept;
}

struct partition_state *model_position(const struct model *model, const char *topic,
                                       int32_t partition)
{
    for (size_t i = 0; i < model->positions.count; i++) {
        struct partition_state *position = list_at(&model->positions, i);
        if (strcmp(position->topic, topic) == 0 && position->partition == partition)
            return position;
    }
    return NULL;
}

static void model_load_blocked(struct partition_state *state, const struct parked_record *parked)
{
    struct error err = ERROR_INIT;
    struct block_key key = block_key_stored(parked->entity_type, parked->entity_key,
                                            parked->record.key);
    if (block_set_add(&state->blocked, &key, parked->record.offset, &err) != STATUS_OK)
        abort();
}

void model_load(const struct model *model, struct partition_state *state)
{
    for (size_t i = 0; i < model->sequences.count; i++) {
        const struct model_sequence *sequence = list_at(&model->sequences, i);
        if (strcmp(sequence->topic, state->topic) != 0 || sequence->partition != state->partition)
            continue;
        state->sequences = must(
            realloc(state->sequences, (state->sequence_count + 1) * sizeof *state->sequences));
        state->sequences[state->sequence_count++] = sequence->state;
    }
    for (size_t i = 0; i < model->parked.count; i++) {
        const struct parked_record *parked = list_at(&model->parked, i);
        if (strcmp(parked->record.topic, state->topic) != 0 ||
            parked->record.partition != state->partition || parked->state == PARKED_SKIPPED)
            continue;
        state->parked_count++;
        state->waiting_count += parked->state == PARKED_WAITING;
        state->held_count += parked->state == PARKED_HELD;
        state->parked_bytes += parked->bytes;
        model_load_blocked(state, parked);
    }
}

static enum status store_memory_open(const struct store_options *options, struct store **ret_store,
                                     struct error *err)
{
    struct memory_database *database = databases;
    (void)err;
    while (database != NULL && strcmp(database->path, options->path) != 0)
        database = database->next;
    if (database == NULL) {
        database = must(calloc(1, sizeof *database));
        (void)snprintf(database->path, sizeof database->path, "%s", options->path);
        uuid_v7(database->copy_id);
        database->committed = model_new();
        database->places.item_size = sizeof(struct place);
        arena_init(&database->arena, BYTES_MAX);
        database->next = databases;
        databases = database;
    } else if (options->install && options->new_copy) {
        uuid_v7(database->copy_id);
    }
    struct store_memory *self = must(calloc(1, sizeof *self));
    self->base.ops = &store_memory_ops;
    self->database = database;
    self->read_only = options->read_only;
    database->users++;
    *ret_store = &self->base;
    return STATUS_OK;
}

static void store_memory_rollback(struct store *store)
{
    struct store_memory *self = store_memory_of(store);
    if (self->in_snapshot)
        model_done(&self->snapshot);
    self->in_snapshot = false;
    if (self->database->writer != self)
        return;
    self->database->writer = NULL;
    model_done(&self->working);
    model_done(&self->savepoint);
}

static void store_memory_close(struct store *store)
{
    if (store == NULL)
        return;
    struct memory_database *database = store_memory_of(store)->database;
    store_memory_rollback(store);
    free(store);
    if (--database->users > 0)
        return;
    struct memory_database **link = &databases;
    while (*link != database)
        link = &(*link)->next;
    *link = database->next;
    model_done(&database->committed);
    list_done(&database->places);
    arena_done(&database->arena);
    free(database);
}

/* No catalogue: every table is there. */
static enum status store_memory_places(struct store *store, struct place *places, size_t count,
                                       bool record, struct error *err)
{
    struct list *recorded = &store_memory_of(store)->database->places;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        struct place *known = NULL;
        places[i].has_table = places[i].has_column = true;
        for (size_t k = 0; k < recorded->count && known == NULL; k++) {
            struct place *place = list_at(recorded, k);
            known = strcmp(place->key, places[i].key) == 0 ? place : NULL;
        }
        if (record && known == NULL)
            (void)list_add(recorded, &places[i]);
        else if (record)
            memcpy(known->name, places[i].name, sizeof known->name);
        else if (known != NULL)
            memcpy(places[i].recorded, known->name, sizeof known->name);
    }
    return STATUS_OK;
}

static enum status store_memory_prepare(struct store *store, const struct mapping *mapping,
                                        struct error *err)
{
    (void)store;
    (void)mapping;
    (void)err;
    return STATUS_OK;
}

/* No catalogue, and always in order. */
static enum status store_memory_order(struct store *store, const struct mapping *mapping,
                                      const struct copies *copies, struct table_order *ret_order,
                                      struct error *err)
{
    (void)store, (void)mapping, (void)copies, (void)err;
    *ret_order = (struct table_order){.is_whole = true};
    return STATUS_OK;
}

static enum status store_memory_meta(struct store *store, struct store_meta *ret_meta,
                                     struct error *err)
{
    (void)err;
    *ret_meta = (struct store_meta){.schema_version = STORE_SCHEMA_VERSION};
    (void)snprintf(ret_meta->copy_id, sizeof ret_meta->copy_id, "%s",
                   store_memory_of(store)->database->copy_id);
    return STATUS_OK;
}

static enum status store_memory_read(struct store *store, const char *topic, int32_t partition,
                                     struct partition_state *ret_state, struct error *err)
{
    const struct model *model = store_memory_model(store_memory_of(store));
    const struct partition_state *position = model_position(model, topic, partition);
    (void)err;
    *ret_state = (struct partition_state){.partition = partition, .anchor_offset = -1};
    (void)snprintf(ret_state->topic, sizeof ret_state->topic, "%s", topic);
    if (position != NULL)
        *ret_state = *position;
    ret_state->exists = position != NULL;
    model_load(model, ret_state);
    return STATUS_OK;
}

static int position_compare(const void *a_item, const void *b_item)
{
    const struct partition_state *a = a_item;
    const struct partition_state *b = b_item;
    int order = strcmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static enum status store_memory_list(struct store *store, struct partition_state **ret_states,
                                     size_t *ret_count, struct error *err)
{
    struct list copy = list_copy(&store_memory_model(store_memory_of(store))->positions);
    (void)err;
    if (copy.count > 0)
        qsort(copy.items, copy.count, copy.item_size, position_compare);
    *ret_states = (struct partition_state *)(void *)copy.items;
    *ret_count = copy.count;
    return STATUS_OK;
}

static enum status store_memory_take(struct store *store, struct partition_state *state,
                                     struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *model = &self->database->committed;
    if (self->database->writer != NULL)
        return error_set(err, STATUS_RETRY, "database is locked");
    struct partition_state *position = model_position(model, state->topic, state->partition);
    bool existed = position != NULL;
    if (!existed) {
        struct partition_state fresh = {
            .partition = state->partition, .next_offset = state->next_offset, .anchor_offset = -1};
        memcpy(fresh.topic, state->topic, sizeof fresh.topic);
        position = list_add(&model->positions, &fresh);
    }
    position->exists = true;
    position->epoch++;
    position->durable_offset = position->next_offset;
    position->stopped[0] = '\0';
    position->partial = position->partial || state->partial;
    memcpy(position->token, state->token, sizeof position->token);
    if (state->cluster_id[0] != '\0')
        memcpy(position->cluster_id, state->cluster_id, sizeof position->cluster_id);
    if (state->partition_count != 0)
        position->partition_count = state->partition_count;
    partition_state_done(state);
    *state = *position;
    state->exists = existed;
    model_load(model, state);
    return STATUS_OK;
}

static enum status store_memory_fence(struct model *model, const struct fence *fence,
                                      struct error *err)
{
    struct partition_state *position = model_position(model, fence->topic, fence->partition);
    if (position == NULL || position->epoch != fence->epoch)
        return error_set_native(err, STATUS_ABORT, 0, "another agent owns the partition");
    if (fence->by_epoch_alone)
        return STATUS_OK;
    if (position->next_offset != fence->old_offset || position->revision != fence->revision)
        return error_set_native(err, STATUS_ABORT, 1, "the position has changed: load it anew");
    position->next_offset = fence->new_offset;
    position->revision += fence->revise ? 1 : 0;
    if (fence->anchor_offset >= 0) {
        position->anchor_offset = fence->anchor_offset;
        (void)snprintf(position->anchor_id, sizeof position->anchor_id, "%s",
                       fence->anchor_id == NULL ? "" : fence->anchor_id);
    }
    utf8_format(position->stopped, sizeof position->stopped, "%s",
                fence->stopped == NULL ? "" : fence->stopped);
    return STATUS_OK;
}

static enum status store_memory_begin(struct store *store, const struct fence *fences, size_t count,
                                      struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    enum status status = STATUS_OK;
    if (self->database->writer != NULL)
        return error_set(err, STATUS_RETRY, "database is locked");
    self->working = model_copy(&self->database->committed);
    self->database->writer = self;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_memory_fence(&self->working, &fences[i], err);
    self->savepoint = model_copy(&self->working);
    return status;
}

static enum status store_memory_savepoint(struct store *store, bool undo, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *from = undo ? &self->savepoint : &self->working;
    struct model *to = undo ? &self->working : &self->savepoint;
    (void)err;
    model_done(to);
    *to = model_copy(from);
    return STATUS_OK;
}

static enum status store_memory_drop_savepoint(struct store *store, struct error *err)
{
    (void)err;
    model_done(&store_memory_of(store)->savepoint);
    return STATUS_OK;
}

static enum status store_memory_take_time(struct store *store, struct error *err)
{
    (void)store, (void)err;
    return STATUS_OK;
}

static enum status store_memory_defer(struct store *store, bool on, struct error *err)
{
    (void)store, (void)on, (void)err; /* no constraints */
    return STATUS_OK;
}

static enum status store_memory_read_pending(struct store *store, struct pending_read *pending,
                                             struct error *err)
{
    (void)store, (void)err;
    store_pending_begin(pending); /* no outbox, no own changes */
    return STATUS_OK;
}

static enum status store_memory_claim_keys(struct store *store, struct key_claim *claims,
                                           size_t count, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    struct model *model = store_memory_model(self);
    (void)err;
    for (size_t i = 0; i < count; i++) {
        claims[i].verdict = KEY_NEW;
        for (size_t k = 0; k < model->keys.count; k++) {
            const struct model_key *key = list_at(&model->keys, k);
            if (slice_equal(key->source, claims[i].source) && slice_equal(key->id, claims[i].id))
                claims[i].verdict = key->digest == claims[i].digest ? KEY_DUPLICATE : KEY_CONFLICT;
        }
        struct model_key key = {
            .topic = store_memory_keep(self, slice_of(key_claim_topic(&claims[i]))),
            .source = store_memory_keep(self, claims[i].source),
            .id = store_memory_keep(self, claims[i].id),
            .digest = claims[i].digest,
            .applied_at_us = clock_wall_us()};
        if (claims[i].verdict == KEY_NEW)
            list_add(&model->keys, &key);
    }
    return STATUS_OK;
}

static enum status store_memory_record_sequence(struct store *store, const char *topic,
                                                int32_t partition,
                                                const struct sequence_state *sequence,
                                                struct error *err)
{
    struct model *model = store_memory_model(store_memory_of(store));
    struct model_sequence written = {.partition = partition, .state = *sequence};
    (void)err;
    (void)snprintf(written.topic, sizeof written.topic, "%s", topic);
    for (size_t k = model->sequences.count; k-- > 0;) {
        const struct model_sequence *old = list_at(&model->sequences, k);
        if (strcmp(old->topic, topic) == 0 && old->partition == partition &&
            strcmp(old->state.source, sequence->source) == 0 &&
            strcmp(old->state.incarnation, sequence->incarnation) == 0)
            list_remove(&model->sequences, k);
    }
    list_add(&model->sequences, &written);
    return STATUS_OK;
}

static enum status store_memory_commit(struct store *store, bool durable, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    if (self->database->writer != self)
        return error_set(err, STATUS_FATAL, "commit without a transaction");
    for (size_t i = 0; durable && i < self->working.positions.count; i++) {
        struct partition_state *position = list_at(&self->working.positions, i);
        position->durable_offset = position->next_offset;
    }
    struct model before = self->database->committed;
    self->database->committed = self->working;
    self->working = before;
    store_memory_rollback(store);
    return STATUS_OK;
}

static enum status store_memory_prune(struct store *store, const struct prune *prune,
                                      size_t *ret_pruned, struct error *err)
{
    struct model *model = store_memory_model(store_memory_of(store));
    size_t skipped = 0;
    (void)err;
    *ret_pruned = 0;
    for (size_t i = model->keys.count; i-- > 0 && *ret_pruned < prune->limit;) {
        const struct model_key *key = list_at(&model->keys, i);
        if (key->applied_at_us >= prune->keys_before_us)
            continue;
        list_remove(&model->keys, i);
        ++*ret_pruned;
    }
    for (size_t i = model->parked.count; i-- > 0 && skipped < prune->limit;) {
        const struct parked_record *parked = list_at(&model->parked, i);
        if (parked->state != PARKED_SKIPPED || parked->parked_at_us >= prune->skipped_before_us ||
            parked->next_attempt_us >= prune->skipped_before_us)
            continue;
        list_remove(&model->parked, i);
        skipped++;
    }
    return STATUS_OK;
}

static enum status store_memory_copy_sql(const struct copies *copies, struct buffer *out,
                                         struct error *err)
{
    (void)copies, (void)out, (void)err;
    return STATUS_OK;
}

/* Only an origin pauses something, and a model has none. */
static enum status store_memory_list_paused(struct store *store, struct paused_types *ret_paused,
                                            struct error *err)
{
    (void)store, (void)err;
    *ret_paused = (struct paused_types){0};
    return STATUS_OK;
}

const struct store_ops store_memory_ops = {
    .scheme = "memory",
    .excludes_writers = true,
    .install_sql = "",
    .copy_sql = store_memory_copy_sql,
    .open = store_memory_open,
    .close = store_memory_close,
    .places = store_memory_places,
    .prepare = store_memory_prepare,
    .order = store_memory_order,
    .meta = store_memory_meta,
    .read = store_memory_read,
    .list = store_memory_list,
    .take = store_memory_take,
    .begin = store_memory_begin,
    .savepoint = store_memory_savepoint,
    .drop_savepoint = store_memory_drop_savepoint,
    .defer = store_memory_defer,
    .take_time = store_memory_take_time,
    .read_pending = store_memory_read_pending,
    .list_fills = store_memory_list_fills,
    .list_paused = store_memory_list_paused,
    .fill = store_memory_fill,
    .applied = store_memory_applied,
    .claim_keys = store_memory_claim_keys,
    .apply = store_memory_apply,
    .record_sequence = store_memory_record_sequence,
    .park = store_memory_park,
    .read_parked = store_memory_read_parked,
    .edit_parked = store_memory_edit_parked,
    .keep_image = store_memory_keep_image,
    .read_image = store_memory_read_image,
    .drop_image = store_memory_drop_image,
    .commit = store_memory_commit,
    .rollback = store_memory_rollback,
    .prune = store_memory_prune,
    .snapshot = store_memory_snapshot,
    .keep = store_memory_keep_snapshot,
    .clear = store_memory_clear,
    .scan = store_memory_scan,
};
