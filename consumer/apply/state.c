/* The memory of owned partitions: taken, advanced after a commit, reloaded, made durable. */
#include "consumer/apply/internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLIER_PRUNE_LIMIT 1000
#define NAMED_MAX           120 /* bytes of a type or key in an error, which has more to say */

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

const struct entity_schema *applier_lookup(void *context, struct slice entity_type)
{
    const struct mapping *mapping = applier_mapping(context, entity_type);
    return mapping == NULL ? NULL : mapping->schema;
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
    return record_decode(&known, applier_lookup, applier, &applier->arena, *ret_change, err);
}

/** Open the store, prepare every mapping and read whose copy it is. */
static enum status applier_open(struct applier *applier, struct error *err)
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
    size_t bytes = (size_t)config->limits.batch_bytes + (size_t)config->limits.message_bytes;
    arena_init(&applier->arena, 16 * bytes + ((size_t)64 << 20));
    applier->orders = calloc(applier->mapping_count + 1, sizeof *applier->orders);
    enum status status = applier->orders == NULL ? applier_no_memory(err)
                                                 : applier_open(applier, err);
    if (status != STATUS_OK) {
        applier_free(applier);
        return status;
    }
    *ret_applier = applier;
    return STATUS_OK;
}

static void applier_forget(struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        struct agent_partition_metrics *row = NULL;
        if (applier->metrics != NULL)
            row = agent_metrics_partition(applier->metrics, owned->state.topic,
                                          owned->state.partition);
        if (row != NULL)
            atomic_store(&row->owned, false);
        partition_state_done(&owned->state);
        block_set_done(&owned->blocking);
        applier_forget_scans(owned);
        free(owned->sequences);
    }
    free(applier->owned);
    applier->owned = NULL;
    applier->owned_count = 0;
    applier->undurable_since_us = 0;
    applier->reload_needed = false;
}

void applier_free(struct applier *applier)
{
    if (applier == NULL)
        return;
    applier_drop_all(applier);
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    free(applier->orders);
    arena_done(&applier->arena);
    free(applier);
}

const char *applier_copy_id(const struct applier *applier)
{
    return applier->meta.copy_id;
}

enum status applier_read(struct applier *applier, const char *topic, int32_t partition,
                         struct partition_state *ret_state, struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->read(applier->store, topic, partition, ret_state, err);
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
    state->stopped[0] = '\0'; /* a restart tries again; the reason is written anew if it stands */
    applier->owned[count] = (struct owned){.state = *state,
                                           .stop_offset = INT64_MAX,
                                           .durable_offset = state->next_offset,
                                           .kept = true,
                                           .unordered = state->parked_count > 0,
                                           .kept_offset = -1};
    applier->owned_count = count + 1;
    *ret_index = count;
    *state = (struct partition_state){0};
    applier_publish_metrics(applier, &applier->owned[count]);
    return STATUS_OK;
}

void applier_drop_all(struct applier *applier)
{
    struct error ignored = ERROR_INIT;
    if (applier->undurable_since_us != 0 && !applier->reload_needed)
        if (applier_make_durable(applier, true, &ignored) != STATUS_OK)
            log_warning("agent", "last commits not made durable: %s", ignored.text);
    if (applier->store != NULL)
        applier->ops->rollback(applier->store);
    applier_forget(applier);
}

bool applier_partition(const struct applier *applier, size_t index,
                       struct applier_partition *ret_partition)
{
    if (index >= applier->owned_count)
        return false;
    const struct owned *owned = &applier->owned[index];
    *ret_partition = (struct applier_partition){.topic = owned->state.topic,
                                                .partition = owned->state.partition,
                                                .next_offset = owned->state.next_offset,
                                                .durable_offset = owned->durable_offset,
                                                .epoch = owned->state.epoch,
                                                .token = owned->state.token,
                                                .stopped = owned->state.stopped,
                                                .reloaded = owned->reloaded};
    return true;
}

size_t applier_find(const struct applier *applier, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        const struct partition_state *state = &applier->owned[i].state;
        if (state->partition == partition && strcmp(state->topic, topic) == 0)
            return i;
    }
    return SIZE_MAX;
}

void applier_read_again(struct applier *applier, size_t index)
{
    applier->owned[index].reloaded = true;
}

void applier_seen_reload(struct applier *applier, size_t index)
{
    applier->owned[index].reloaded = false;
}

void applier_note_end(struct applier *applier, size_t index, int64_t next_offset)
{
    if (!applier->owned[index].reloaded) /* else it is the end of what was read before */
        applier->owned[index].end_offset = next_offset;
}

bool applier_has_ends(const struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        const struct owned *owned = &applier->owned[i];
        bool ahead = owned->stop_offset == INT64_MAX &&
                     owned->end_offset > owned->state.next_offset;
        if (ahead || applier_is_stopping(owned))
            return true;
    }
    return false;
}

void applier_begin_work(struct applier *applier)
{
    applier->healed = (struct healed){0};
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        size_t count = owned->state.sequence_count;
        owned->touched = false;
        owned->parked = 0;
        owned->parked_bytes = 0;
        owned->blocked = 0;
        block_set_done(&owned->blocking);
        owned->next_offset = owned->state.next_offset;
        owned->anchor = NULL;
        if (owned->sequence_size < count) {
            free(owned->sequences);
            owned->sequences = calloc(count, sizeof *owned->sequences);
            owned->sequence_size = owned->sequences == NULL ? 0 : count;
        }
        owned->sequence_count = owned->sequence_size < count ? 0 : count;
        if (owned->sequence_count > 0)
            memcpy(owned->sequences, owned->state.sequences, count * sizeof *owned->sequences);
    }
}

enum status applier_advance_blocked(struct owned *owned, struct error *err)
{
    struct error memory = ERROR_INIT;
    owned->state.parked_count += owned->parked;
    owned->state.parked_bytes += owned->parked_bytes;
    if (block_set_merge(&owned->state.blocked, &owned->blocking, &memory) != STATUS_OK)
        return applier_no_memory(err); /* it is committed: not to know of it would lose the order */
    return STATUS_OK;
}

static void applier_advance_partition(struct applier *applier, struct owned *owned)
{
    struct partition_state *state = &owned->state;
    struct sequence_state *old = state->sequences;
    size_t old_count = state->sequence_count;
    state->sequences = owned->sequences;
    state->sequence_count = owned->sequence_count;
    owned->sequences = old;
    owned->sequence_size = old_count;
    state->next_offset = owned->next_offset;
    if (owned->anchor != NULL) {
        state->anchor_offset = owned->anchor->offset;
        memcpy(state->anchor_id, owned->anchor_id, sizeof state->anchor_id);
    }
    if (applier_is_stopping(owned))
        memcpy(state->stopped, owned->stop_reason, sizeof state->stopped);
    applier_publish_metrics(applier, owned);
}

enum status applier_advance(struct applier *applier, const struct batch *batch, struct error *err)
{
    bool cures = false;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        struct owned *owned = &applier->owned[event->change.partition_index];
        cures = cures || event->outcome == EVENT_APPLY;
        if (event->outcome == EVENT_PARKED && !event->parked_held && !event->parked_behind)
            owned->state.waiting_count++;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (owned->touched && status == STATUS_OK)
            status = applier_advance_blocked(owned, err);
        if (owned->touched)
            applier_advance_partition(applier, owned);
        if (applier->undurable_since_us == 0)
            owned->durable_offset = owned->state.next_offset;
        if (cures)
            owned->cure = owned->state.waiting_count > 0 || owned->unordered;
    }
    return status;
}

void applier_publish_metrics(struct applier *applier, const struct owned *owned)
{
    struct agent_partition_metrics *row = NULL;
    if (applier->metrics != NULL)
        row = agent_metrics_partition(applier->metrics, owned->state.topic, owned->state.partition);
    if (row == NULL)
        return;
    atomic_store(&row->owned, true);
    atomic_store(&row->stopped, owned->state.stopped[0] != '\0');
    atomic_store(&row->applied_offset, owned->state.next_offset);
    if (applier->undurable_since_us == 0)
        atomic_store(&row->durable_offset, owned->state.next_offset);
    atomic_store(&row->parked, owned->state.parked_count);
}

static void applier_reload_swap(struct applier *applier, struct owned *owned,
                                struct partition_state *fresh)
{
    bool revised = fresh->revision != owned->state.revision;
    owned->reloaded = owned->reloaded || revised || applier->reload_needed ||
                      fresh->next_offset != owned->state.next_offset;
    partition_state_done(&owned->state);
    owned->state = *fresh;
    if (revised) { /* an operator's command: try again what stood still */
        owned->state.stopped[0] = '\0';
        owned->stop_offset = INT64_MAX;
    } else if (owned->state.stopped[0] !=
               '\0') { /* the database knows it, so no commit clears it */
        owned->stop_offset = owned->state.next_offset;
        memcpy(owned->stop_reason, owned->state.stopped, sizeof owned->stop_reason);
    }
    owned->end_offset = 0;
    owned->retry_at_us = 0;
    owned->unordered = owned->state.parked_count > 0;
    owned->pass = (struct retry_pass){0};
    applier_forget_scans(owned);
    owned->kept = true;
    applier_publish_metrics(applier, owned);
}

/** Take the fence by epoch alone, and read all again behind it: the position may have moved,
 * forward by a commit that went through, back where the database lost what it need not have kept
 * (rule 4).
 */
static enum status applier_reload_owned(struct applier *applier, struct owned *owned,
                                        struct error *err)
{
    struct partition_state fresh = {0};
    const struct store_ops *ops = applier->ops;
    struct fence fence = applier_fence(owned);
    fence.by_epoch_alone = true;
    enum status status = ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = ops->read(applier->store, owned->state.topic, owned->state.partition, &fresh, err);
    if (status == STATUS_OK)
        status = ops->commit(applier->store, true, err);
    if (status != STATUS_OK) {
        ops->rollback(applier->store);
        partition_state_done(&fresh);
        return applier_note(applier, status, err);
    }
    applier_reload_swap(applier, owned, &fresh);
    return STATUS_OK;
}

static enum status applier_reload(struct applier *applier, struct error *err)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        enum status status = applier_reload_owned(applier, &applier->owned[i], err);
        if (status != STATUS_OK)
            return status;
    }
    applier->reload_needed = false;
    applier->undurable_since_us = 0; /* the reload's commits waited */
    for (size_t i = 0; i < applier->owned_count; i++) {
        applier->owned[i].durable_offset = applier->owned[i].state.next_offset;
        applier_publish_metrics(applier, &applier->owned[i]);
    }
    return STATUS_OK;
}

static enum status applier_reconnect(struct applier *applier, struct error *err)
{
    struct store_meta before = applier->meta;
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    applier->store = NULL;
    enum status status = applier_open(applier, err);
    if (status == STATUS_OK && strcmp(before.copy_id, applier->meta.copy_id) != 0)
        status = error_set(err, STATUS_FATAL,
                           "the database was copy %s and is copy %s now: start the agent anew",
                           before.copy_id, applier->meta.copy_id);
    if (status == STATUS_OK) {
        log_info("agent", "the database answers again");
        applier->connection_lost = false;
        return STATUS_OK;
    }
    applier->meta = before;
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    applier->store = NULL;
    return status;
}

enum status applier_note(struct applier *applier, enum status status, const struct error *err)
{
    if (status == STATUS_RETRY && err->connection_lost) {
        applier->connection_lost = true;
        applier->reload_needed = true;
    }
    return status;
}

enum status applier_ready(struct applier *applier, struct error *err)
{
    enum status status = STATUS_OK;
    if (applier->connection_lost)
        status = applier_reconnect(applier, err);
    if (status == STATUS_OK && applier->reload_needed)
        status = applier_reload(applier, err);
    return status;
}

enum status applier_recover(struct applier *applier, enum status status, struct error *err)
{
    applier->ops->rollback(applier->store);
    if (status != STATUS_ABORT || err->native_code != 1)
        return applier_note(applier, status, err);
    struct error reload = ERROR_INIT;
    enum status reloaded = applier_reload(applier, &reload);
    if (reloaded == STATUS_OK)
        return status;
    *err = reload;
    return reloaded;
}

enum status applier_make_durable(struct applier *applier, bool now, struct error *err)
{
    int64_t since = applier->undurable_since_us;
    if (applier->connection_lost || applier->reload_needed)
        return applier_ready(applier, err); /* reloading commits durably */
    if (since == 0 || applier->owned_count == 0 ||
        (!now && clock_monotonic_us() - since < APPLIER_DURABLE_US))
        return STATUS_OK;
    struct fence fence = applier_fence(&applier->owned[0]);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = applier_commit(applier, true, err);
    if (status != STATUS_OK)
        return applier_recover(applier, status, err);
    for (size_t i = 0; i < applier->owned_count; i++) {
        applier->owned[i].durable_offset = applier->owned[i].state.next_offset;
        applier_publish_metrics(applier, &applier->owned[i]);
    }
    return STATUS_OK;
}

static bool applier_is_revised(const struct owned *owned, const struct partition_state *states,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (states[i].partition == owned->state.partition &&
            strcmp(states[i].topic, owned->state.topic) == 0)
            return states[i].epoch != owned->state.epoch ||
                   states[i].revision != owned->state.revision;
    }
    return true;
}

/* All positions by one statement: a partition at a time they held up what came meanwhile. */
enum status applier_refresh(struct applier *applier, struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK || applier->owned_count == 0)
        return status;
    status = applier->ops->list(applier->store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < applier->owned_count; i++) {
        if (applier_is_revised(&applier->owned[i], states, count))
            status = applier_reload_owned(applier, &applier->owned[i], err);
    }
    free(states);
    return applier_note(applier, status, err);
}

/** When what was kept for so long is old; 0 where it stays for ever. */
static int64_t applier_old_before(int64_t kept_s)
{
    return kept_s == 0 ? 0 : clock_wall_us() - kept_s * 1000000;
}

enum status applier_prune(struct applier *applier, struct error *err)
{
    const struct config_limits *limits = &applier->config->limits;
    const struct prune prune = {
        .keys_before_us = applier_old_before(limits->idempotency_window_s),
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
