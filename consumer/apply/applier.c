/* The applier: opens the database, takes partitions, and answers questions about them. */
#include "consumer/apply/internal.h"
#include "consumer/apply/image.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLIER_PRUNE_LIMIT 1000
#define NAMED_MAX           120 /* bytes of an entity type or key in an error's text */

void applier_name_fatal(struct error *err, struct slice entity_type, struct slice entity_key,
                        const struct record *record)
{
    if (err->status == STATUS_FATAL)
        error_prefix(err, "%.*s %.*s from %s/%d offset %lld",
                     (int)(entity_type.length < NAMED_MAX ? entity_type.length : NAMED_MAX),
                     entity_type.data == NULL ? "" : entity_type.data,
                     (int)(entity_key.length < NAMED_MAX ? entity_key.length : NAMED_MAX),
                     entity_key.data == NULL ? "" : entity_key.data, record->topic,
                     record->partition, (long long)record->offset);
}

enum status applier_no_memory(struct error *err)
{
    return error_set(err, STATUS_FATAL, "no memory for a transaction");
}

const struct mapping *applier_mapping(const struct applier *applier, struct slice entity_type)
{
    for (size_t i = 0; i < applier->mapping_count; i++) {
        if (slice_is(entity_type, applier->mappings[i].schema->entity_type))
            return &applier->mappings[i];
    }
    return NULL;
}

const struct table_order *applier_order(const struct applier *applier,
                                        const struct mapping *mapping)
{
    return &applier->orders[mapping - applier->mappings];
}

static const struct entity_schema *applier_find_schema(void *context, struct slice entity_type)
{
    const struct mapping *mapping = applier_mapping(context, entity_type);
    return mapping == NULL ? NULL : mapping->schema;
}

struct schema_finder applier_finder(struct applier *applier)
{
    return (struct schema_finder){applier_find_schema, applier};
}

const struct record_form *applier_form(const struct applier *applier, const char *topic)
{
    for (size_t i = 0; i < applier->mapping_count; i++) {
        const struct mapping *mapping = &applier->mappings[i];
        if (mapping->entry->format != FORMAT_KEEPSTEP && strcmp(mapping->entry->topic, topic) == 0)
            return &mapping->form;
    }
    return NULL;
}

bool applier_is_own(const struct applier *applier, const struct change *change)
{
    return slice_is(change->source, applier->config->service);
}

enum status applier_decode(struct applier *applier, const struct record *record,
                           struct change **ret_change, struct error *err)
{
    *ret_change = arena_alloc(&applier->arena, sizeof **ret_change);
    if (*ret_change == NULL)
        return applier_no_memory(err);
    struct record known = *record;
    known.form = applier_is_merged(record) ? NULL : applier_form(applier, record->topic);
    const struct decoder decoder = {applier_finder(applier), &applier->arena, NULL};
    return record_decode(&known, &decoder, *ret_change, err);
}

enum status applier_open(struct applier *applier, struct error *err)
{
    const struct config *config = applier->config;
    struct store_options store = {.path = config->database_path, .service = config->service};
    enum status status = applier->ops->open(&store, &applier->store, err);
    if (status == STATUS_OK)
        status = applier->ops->meta(applier->store, &applier->meta, err);
    for (size_t i = 0; i < applier->mapping_count && status == STATUS_OK; i++)
        status = store_prepare(applier->store, &applier->mappings[i], false, err);
    if (status == STATUS_OK)
        status = store_order(applier->store, applier->mappings, applier->mapping_count,
                             applier->orders, err);
    return status;
}

enum status applier_new(const struct applier_options *options, struct applier **ret_applier,
                        struct error *err)
{
    const struct config *config = options->config;
    struct applier *applier = calloc(1, sizeof *applier);
    if (applier == NULL)
        return applier_no_memory(err);
    *applier = (struct applier){.ops = options->ops,
                                .config = config,
                                .mappings = options->mappings,
                                .mapping_count = options->mapping_count,
                                .metrics = options->metrics};
    for (size_t i = 0; i < applier->mapping_count; i++)
        applier->publishes = applier->publishes || applier->mappings[i].published_here;
    const struct config_limits *limits = &config->limits;
    size_t bytes = (size_t)(limits->batch_bytes > limits->changeset_bytes
                                ? limits->batch_bytes
                                : limits->changeset_bytes) +
                   (size_t)limits->message_bytes;
    /* A part of a parked set is read and decoded here. */
    arena_init(&applier->arena, 32 * bytes + ((size_t)64 << 20));
    applier->orders = calloc(applier->mapping_count + 1, sizeof *applier->orders);
    applier->types = calloc(applier->mapping_count + 1, sizeof(struct agent_type_metrics *));
    applier->large_tally = calloc(applier->mapping_count + 1, sizeof *applier->large_tally);
    bool has_memory = applier->orders != NULL && applier->types != NULL &&
                      applier->large_tally != NULL;
    for (size_t i = 0; has_memory && i < applier->mapping_count; i++)
        applier->types[i] = agent_metrics_type(applier->metrics,
                                               applier->mappings[i].schema->entity_type,
                                               applier->mappings[i].entry->topic);
    enum status status = has_memory ? applier_open(applier, err) : applier_no_memory(err);
    if (status != STATUS_OK) {
        applier_free(applier);
        return status;
    }
    *ret_applier = applier;
    return STATUS_OK;
}

void applier_free(struct applier *applier)
{
    if (applier == NULL)
        return;
    applier_drop_all(applier);
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    free(applier->orders);
    free(applier->types);
    free(applier->large_tally);
    block_set_done(&applier->large_sparse);
    arena_done(&applier->arena);
    free(applier);
}

const char *applier_copy_id(const struct applier *applier)
{
    return applier->meta.copy_id;
}

enum status applier_read(struct applier *applier, struct topic_partition tp,
                         struct partition_state *ret_state, struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->read(applier->store, tp.topic, tp.partition, ret_state, err);
    return applier_note(applier, status, err);
}

enum status applier_take(struct applier *applier, struct partition_state *state, size_t *ret_index,
                         struct error *err)
{
    size_t count = applier->owned_count;
    if (count == APPLIER_PARTITIONS_MAX)
        return error_set(err, STATUS_FATAL, "more than %d partitions", APPLIER_PARTITIONS_MAX);
    struct owned *grown = realloc(applier->owned, (count + 1) * sizeof *grown);
    if (grown == NULL)
        return applier_no_memory(err);
    applier->owned = grown;
    uuid_v7(state->token);
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK)
        return status;
    status = applier->ops->take(applier->store, state, err);
    if (status != STATUS_OK) {
        applier->ops->rollback(applier->store);
        return applier_note(applier, status, err);
    }
    state->stopped[0] = '\0'; /* a new owner tries again */
    applier->owned[count] = (struct owned){.state = *state,
                                           .stop = {.offset = INT64_MAX},
                                           .retry = {.unordered = state->parked_count > 0},
                                           .images = {.are_possible = true, .offset = -1}};
    applier->owned_count = count + 1;
    *ret_index = count;
    *state = (struct partition_state){0};
    applier_publish_metrics(applier, &applier->owned[count]);
    return STATUS_OK;
}

void applier_drop_all(struct applier *applier)
{
    struct error ignored = ERROR_INIT;
    if (applier->session.undurable_since_us != 0 && !applier->session.reload_needed)
        if (applier_make_durable(applier, true, &ignored) != STATUS_OK)
            log_warning("agent", "the last commits may not have reached the disk: %s",
                        ignored.text);
    if (applier->store != NULL)
        applier->ops->rollback(applier->store);
    applier_forget_owned(applier);
}

const struct partition_state *applier_partition(const struct applier *applier, size_t index)
{
    return index < applier->owned_count ? &applier->owned[index].state : NULL;
}

size_t applier_find(const struct applier *applier, struct topic_partition tp)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        if (topic_partition_equal(partition_state_tp(&applier->owned[i].state), tp))
            return i;
    }
    return SIZE_MAX;
}

bool applier_is_reloaded(const struct applier *applier, size_t index)
{
    return applier->owned[index].reloaded;
}

void applier_set_reloaded(struct applier *applier, size_t index, bool reloaded)
{
    applier->owned[index].reloaded = reloaded;
    if (reloaded)
        applier->owned[index].end_offset = 0; /* events before it are dropped and read again */
}

void applier_set_paused(struct applier *applier, size_t index)
{
    applier->owned[index].is_paused = true;
}

void applier_note_end(struct applier *applier, size_t index, int64_t next_offset)
{
    if (!applier->owned[index].reloaded) /* else it was read before the position moved */
        applier->owned[index].end_offset = next_offset;
}

bool applier_has_ends(const struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        const struct owned *owned = &applier->owned[i];
        bool ahead = owned->stop.offset == INT64_MAX &&
                     owned->end_offset > owned->state.next_offset;
        if (ahead || applier_is_stopping(owned))
            return true;
    }
    return false;
}

/** @return the wall clock `kept_s` seconds ago, in microseconds; 0 where things are kept for ever.
 */
static int64_t applier_old_before(int64_t kept_s)
{
    return kept_s == 0 ? 0 : clock_wall_us() - kept_s * 1000000;
}

enum status applier_prune(struct applier *applier, bool keeps_keys, struct error *err)
{
    const struct config_limits *limits = &applier->config->limits;
    const struct prune prune = {
        .keys_before_us = keeps_keys ? 0 : applier_old_before(limits->idempotency_window_s),
        .skipped_before_us = applier_old_before(limits->parked_skipped_retention_s),
        .limit = APPLIER_PRUNE_LIMIT};
    size_t pruned = 0;
    if (prune.keys_before_us == 0 && prune.skipped_before_us == 0)
        return STATUS_OK;
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->prune(applier->store, &prune, &pruned, err);
    return applier_note(applier, status, err);
}
