/* Reads positions, and makes the member record of them. */
#include "operate/desk/reading.h"

#include "common/clock.h"
#include "schemas/row_digest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define READING_ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define READING_US          (INT64_C(10) * 1000 * 1000) /* at least so often */

void desk_reading_init(struct desk_reading *reading)
{
    *reading = (struct desk_reading){.copy = MEMBER_NONE};
    arena_init(&reading->arena, READING_ARENA_BYTES);
}

static void positions_done(struct desk_positions *positions)
{
    free(positions->states);
    free(positions->parked_from);
    free(positions->parked);
    free(positions->fills);
    *positions = (struct desk_positions){0};
}

static void desk_reading_close(struct desk_reading *reading)
{
    if (reading->store != NULL)
        reading->store->ops->close(reading->store);
    reading->store = NULL;
}

void desk_reading_done(struct desk_reading *reading)
{
    desk_reading_close(reading);
    positions_done(&reading->now);
    positions_done(&reading->before);
    arena_done(&reading->arena);
}

static enum status desk_reading_open(struct desk_reading *reading,
                                     const struct desk_options *options, struct error *err)
{
    struct store_meta meta;
    if (reading->store != NULL)
        return STATUS_OK;
    enum status status = service_open_store(options->service, true, &reading->store, err);
    if (status == STATUS_OK)
        status = reading->store->ops->meta(reading->store, &meta, err);
    if (status == STATUS_OK)
        memcpy(reading->copy, meta.copy_id, sizeof reading->copy);
    return status;
}

/* The first records that are parked: of a partition, or of all of them where `topic` is NULL. */
static enum status desk_reading_parked(struct desk_reading *reading, const char *topic,
                                       int32_t partition, struct member_parked *ret_parked,
                                       struct error *err)
{
    const struct parked_filter filter = {.topic = topic,
                                         .partition = partition,
                                         .blocking = true,
                                         .without_value = true,
                                         .limit = topic == NULL ? 1 : MEMBER_PARKED_LISTED};
    struct parked_records parked = {0};
    arena_reset(&reading->arena);
    *ret_parked = (struct member_parked){.topic = topic, .partition = partition};
    enum status status = reading->store->ops->read_parked(reading->store, &filter, &reading->arena,
                                                          &parked, err);
    for (size_t i = 0; status == STATUS_OK && i < parked.count; i++)
        ret_parked->offsets[ret_parked->count++] = parked.records[i].record.offset;
    return status;
}

static enum status desk_reading_partition(struct desk_reading *reading,
                                          struct desk_positions *positions, size_t index,
                                          struct error *err)
{
    struct member_parked parked;
    enum status status = desk_reading_parked(reading, positions->states[index].topic,
                                             positions->states[index].partition, &parked, err);
    if (status != STATUS_OK || parked.count == 0)
        return status;
    positions->parked_from[index] = parked.offsets[0];
    if (positions->parked_count < MEMBER_PARKED_MAX)
        positions->parked[positions->parked_count++] = parked;
    return STATUS_OK;
}

/* Positions first: what is parked after that lies at the position or behind it. */
static enum status desk_reading_positions(struct desk_reading *reading,
                                          struct desk_positions *positions, struct error *err)
{
    struct member_parked any;
    enum status status = reading->store->ops->list(reading->store, &positions->states,
                                                   &positions->count, err);
    if (status == STATUS_OK)
        status = reading->store->ops->list_fills(reading->store, &positions->fills,
                                                 &positions->fill_count, err);
    if (status == STATUS_OK)
        status = desk_reading_parked(reading, NULL, -1, &any, err);
    if (status != STATUS_OK)
        return status;
    positions->parked_from = calloc(positions->count + 1, sizeof *positions->parked_from);
    positions->parked = calloc(any.count == 0 ? 1 : MEMBER_PARKED_MAX, sizeof *positions->parked);
    if (positions->parked_from == NULL || positions->parked == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the positions");
    for (size_t i = 0; i < positions->count; i++)
        positions->parked_from[i] = -1;
    for (size_t i = 0; status == STATUS_OK && any.count > 0 && i < positions->count; i++)
        status = desk_reading_partition(reading, positions, i, err);
    return status;
}

/* How many are parked where not all are listed. The agent of this process knows that of its
 * partitions. */
static void desk_reading_totals(const struct agent_metrics *agent, struct desk_positions *positions)
{
    for (size_t i = 0; i < positions->parked_count; i++) {
        struct member_parked *parked = &positions->parked[i];
        const struct topic_partition tp = {parked->topic, parked->partition};
        size_t count = parked->count < MEMBER_PARKED_LISTED ? 0
                                                            : atomic_load(&agent->partition_count);
        for (size_t j = 0; j < count; j++) {
            const struct agent_partition_metrics *row = &agent->partitions[j];
            const struct topic_partition other = {row->topic, row->partition};
            if (!atomic_load(&row->owned) || !topic_partition_equal(tp, other))
                continue;
            int64_t total = atomic_load(&row->parked);
            parked->total = total > (int64_t)parked->count ? total : (int64_t)parked->count;
        }
    }
}

enum status desk_reading_take(struct desk_reading *reading, const struct desk_options *options,
                              struct error *err)
{
    const struct agent_metrics *agent = options->sources->agent;
    int64_t now = clock_monotonic_us();
    struct desk_positions positions = {0};
    if (agent == NULL)
        return STATUS_OK;
    unsigned long long commits = atomic_load(&agent->commits);
    bool is_still = reading->taken_us != 0 && commits == reading->commits;
    if (is_still && reading->is_still && now - reading->taken_us < READING_US)
        return STATUS_OK;
    enum status status = desk_reading_open(reading, options, err);
    if (status == STATUS_OK)
        status = desk_reading_positions(reading, &positions, err);
    if (status != STATUS_OK) {
        positions_done(&positions);
        desk_reading_close(reading);
        return status;
    }
    desk_reading_totals(agent, &positions);
    positions_done(&reading->before);
    reading->before = reading->now;
    reading->now = positions;
    reading->is_still = is_still;
    reading->count++;
    reading->commits = commits;
    reading->taken_us = now;
    return STATUS_OK;
}

static size_t positions_find(const struct desk_positions *positions, struct topic_partition tp)
{
    size_t index = 0;
    while (index < positions->count &&
           !topic_partition_equal(partition_state_tp(&positions->states[index]), tp))
        index++;
    return index;
}

bool desk_reading_is_settled(const struct desk_reading *reading, const struct desk_options *options)
{
    return options->sources->agent == NULL || reading->count >= 2;
}

/* A commit can be seen before it is on the disk, and so can a release of what was parked. So only
 * what the reading before, a second ago, had seen too is reported. */
static void desk_reading_settle(const struct desk_reading *reading,
                                struct member_position *position)
{
    const struct desk_positions *before = &reading->before;
    size_t index = positions_find(before,
                                  (struct topic_partition){position->topic, position->partition});
    int64_t durable = index == before->count ? 0 : before->states[index].durable_offset;
    int64_t parked_from = index == before->count ? -1 : before->parked_from[index];
    if (durable < position->durable)
        position->durable = durable;
    if (parked_from >= 0 && (position->parked_from < 0 || parked_from < position->parked_from))
        position->parked_from = parked_from;
}

static bool desk_reading_applies(const struct config *config, const char *topic)
{
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].topic, topic) == 0)
            return true;
    }
    return false;
}

/* A copy that is being filled has another state. How far it is comes into the arena.
 * @return whether it is, or would be if that had not been given up. */
static bool desk_reading_fill(struct desk_reading *reading, struct member_applied *applied)
{
    char text[ERROR_TEXT_SIZE];
    const struct fill_view view = {reading->now.fills, reading->now.fill_count, reading->now.states,
                                   reading->now.count};
    enum fill_place place = fill_describe(&view, applied->topic, text, sizeof text);
    if (place == FILL_NOT_UNDER_WAY)
        return false;
    struct slice kept = arena_copy(&reading->arena, slice_of(text));
    applied->state = place == FILL_GIVEN_UP ? MEMBER_STOPPED : MEMBER_FILLING;
    applied->reason = kept.data == NULL ? "it is being filled" : kept.data;
    return true;
}

static enum member_state desk_reading_state(const struct desk_positions *positions,
                                            const char *topic, const char **ret_reason)
{
    int32_t found = 0;
    int32_t wanted = 1;
    bool partial = false;
    *ret_reason = "";
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition_state *state = &positions->states[i];
        if (strcmp(state->topic, topic) != 0)
            continue;
        found++;
        wanted = state->partition_count;
        partial = partial || state->partial;
        if (state->stopped[0] != '\0')
            *ret_reason = state->stopped;
    }
    return partial                ? MEMBER_PARTIAL
           : found < wanted       ? MEMBER_STARTING
           : **ret_reason != '\0' ? MEMBER_STOPPED
                                  : MEMBER_COMPLETE;
}

/* @return whether a record of this copy says that it was complete. */
static bool desk_reading_joined(const struct members *members, const struct member_record *own,
                                const char *entity_type)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct member_record *record = &members->items[i]->record;
        if (members->items[i]->read.kind != MEMBER_KEY_MEMBER ||
            strcmp(record->service, own->service) != 0 || strcmp(record->copy, own->copy) != 0)
            continue;
        for (size_t j = 0; j < record->applied_count; j++) {
            if (strcmp(record->applied[j].entity_type, entity_type) == 0 &&
                record->applied[j].joined)
                return true;
        }
    }
    return false;
}

/* The longest lag of the partitions that this process owns; -1 where one is not known, or where
 * nobody reads the topic. */
static int64_t desk_reading_lag_ms(const struct desk_reading *reading,
                                   const struct agent_metrics *agent, const char *topic)
{
    const struct fill_state *fill = fill_find(reading->now.fills, reading->now.fill_count, topic);
    double longest_s = 0;
    if (fill != NULL && fill_holds_topic(fill->stage))
        return -1;
    size_t count = atomic_load(&agent->partition_count);
    for (size_t i = 0; i < count; i++) {
        const struct agent_partition_metrics *partition = &agent->partitions[i];
        if (!atomic_load(&partition->owned) || strcmp(partition->topic, topic) != 0)
            continue;
        double lag_s = metrics_lag_s(agent, partition);
        if (isnan(lag_s))
            return -1;
        longest_s = lag_s > longest_s ? lag_s : longest_s;
    }
    return (int64_t)(longest_s * 1000);
}

/* Copies with other columns are told apart by it. */
static const char *desk_reading_columns(struct arena *arena, const struct entity_schema *schema)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, row_columns_digest(schema));
    struct slice columns = arena_copy(arena, slice_of(text));
    return columns.data == NULL ? "" : columns.data;
}

static void desk_reading_add_applied(struct desk_reading *reading,
                                     const struct desk_options *options,
                                     const struct members *members, struct member_record *record)
{
    const struct config *config = options->service->config;
    for (size_t i = 0; i < config->apply_count; i++) {
        const struct config_entry *entry = &config->apply[i];
        struct member_applied *applied = &record->applied[record->applied_count++];
        applied->entity_type = entry->entity_type;
        applied->topic = entry->topic;
        applied->state = desk_reading_state(&reading->now, entry->topic, &applied->reason);
        bool is_filled = desk_reading_fill(reading, applied);
        applied->columns = desk_reading_columns(&reading->arena, options->service->applied[i]);
        applied->paused_at_us = i < PAUSED_SHOWN_MAX
                                    ? atomic_load(&options->sources->agent->paused_at_us[i])
                                    : 0;
        applied->lag_ms = desk_reading_lag_ms(reading, options->sources->agent, entry->topic);
        applied->joined = applied->state == MEMBER_COMPLETE ||
                          (applied->state == MEMBER_STOPPED && !is_filled) ||
                          desk_reading_joined(members, record, entry->entity_type);
    }
    for (size_t i = 0; i < reading->now.count; i++) {
        const struct partition_state *state = &reading->now.states[i];
        if (!desk_reading_applies(config, state->topic))
            continue;
        struct member_position *position = &record->positions[record->position_count++];
        *position = (struct member_position){.topic = state->topic,
                                             .partition = state->partition,
                                             .epoch = state->epoch,
                                             .applied = state->next_offset,
                                             .durable = state->durable_offset,
                                             .parked_from = reading->now.parked_from[i]};
        desk_reading_settle(reading, position);
    }
}

static void desk_reading_add_published(struct arena *arena, const struct desk_options *options,
                                       struct member_record *record)
{
    const struct config *config = options->service->config;
    const struct relay_metrics *relay = options->sources->relay;
    bool is_counted = relay != NULL && atomic_load(&relay->holds_lease);
    record->waiting = is_counted ? (int64_t)atomic_load(&relay->waiting) : -1;
    record->set_aside = is_counted ? (int64_t)atomic_load(&relay->set_aside_now) : -1;
    for (size_t i = 0; i < config->publish_count; i++)
        record->published[record->published_count++] = (struct member_published){
            .entity_type = config->publish[i].entity_type,
            .topic = config->publish[i].topic,
            .columns = desk_reading_columns(arena, options->service->published[i]),
            .has_no_rows = config->publish[i].table == NULL,
            .paused_at_us = is_counted && i < PAUSED_SHOWN_MAX
                                ? atomic_load(&relay->paused_at_us[i])
                                : 0};
}

enum status desk_reading_record(struct desk_reading *reading, const struct desk_options *options,
                                const struct members *members, struct member_record *ret_record,
                                struct error *err)
{
    const struct config *config = options->service->config;
    struct arena *arena = &reading->arena;
    arena_reset(arena);
    *ret_record = (struct member_record){
        .service = config->service,
        .copy = reading->copy,
        .instance = config->instance,
        .version = KEEPSTEP_VERSION,
        .published = arena_alloc(arena,
                                 (config->publish_count + 1) * sizeof(struct member_published)),
        .applied = arena_alloc(arena, (config->apply_count + 1) * sizeof(struct member_applied)),
        .positions = arena_alloc(arena, (reading->now.count + 1) * sizeof(struct member_position)),
    };
    if (ret_record->published == NULL || ret_record->applied == NULL ||
        ret_record->positions == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the member record");
    desk_reading_add_published(arena, options, ret_record);
    ret_record->parked = reading->now.parked;
    ret_record->parked_count = reading->now.parked_count;
    if (options->sources->agent != NULL)
        desk_reading_add_applied(reading, options, members, ret_record);
    return STATUS_OK;
}
