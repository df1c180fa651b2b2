/* A copy as a participant: its store, read in one snapshot at a time. */
#include "common/utf8.h"
#include "operate/compare/answer.h"
#include "operate/compare/publisher.h"
#include "operate/snapshot_again.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COPY_RECORD_MAX ((size_t)256 * 1024 * 1024)
#define COPY_OPEN_FIRST 64

struct copy {
    struct participant base;
    const struct participant_options *options;
    const struct mapping *mapping;
    struct store *store; /* NULL: there is no snapshot */
    /* Of the stamp: */
    struct store_meta meta;
    char cluster_id[STORE_NAME_SIZE];
    int32_t partition_count;
    int64_t *offsets;
    struct pending_range *ranges; /* where own changes are looked for */
    struct open_entity *open;
    size_t open_count;
    size_t open_size;
    struct arena keys;
    char reason[ERROR_TEXT_SIZE + STORE_NAME_SIZE + 64];
};

static struct copy *copy_of(struct participant *participant)
{
    return (struct copy *)participant;
}

/* More than the limit need not be listed. @return OK; RETRY (memory). */
static enum status copy_add_open(struct copy *copy, struct slice key, enum left_reason reason,
                                 struct error *err)
{
    if (copy->open_count > (uint64_t)copy->options->open_entities_max)
        return STATUS_OK;
    if (copy->open_count == copy->open_size) {
        size_t size = copy->open_size == 0 ? COPY_OPEN_FIRST : copy->open_size * 2;
        struct open_entity *more = realloc(copy->open, size * sizeof *more);
        if (more == NULL)
            return error_set(err, STATUS_RETRY, "no memory for the open entities");
        copy->open = more;
        copy->open_size = size;
    }
    struct slice own = arena_copy(&copy->keys, key);
    if (own.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the open entities");
    copy->open[copy->open_count++] = (struct open_entity){.key = own, .reason = reason};
    return STATUS_OK;
}

/* Rule 33: a record key that is no entity's leaves it unknown what is parked. */
static enum status copy_add_unreadable(struct copy *copy, const struct partition_state *state,
                                       struct slice record_key, struct error *err)
{
    struct error ignored = ERROR_INIT;
    struct slice key = {0};
    enum status status = canonical_key(copy->base.schema, record_key, &copy->keys, &key, &ignored);
    if (status == STATUS_RETRY)
        return error_set(err, status, "no memory for the open entities");
    if (status == STATUS_OK && slice_equal(key, record_key))
        return copy_add_open(copy, key, LEFT_PARKED, err);
    utf8_format(copy->reason, sizeof copy->reason,
                "%s [%" PRId32 "]: an event is parked whose entity cannot be read", state->topic,
                state->partition);
    return STATUS_OK;
}

static enum status copy_add_blocked(struct copy *copy, const struct partition_state *state,
                                    struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < state->blocked.count; i++) {
        const struct block_key *key = &state->blocked.entries[i].key;
        if (!block_key_is_readable(key))
            status = copy_add_unreadable(copy, state, key->record_key, err);
        else if (slice_is(key->entity_type, copy->options->entity_type))
            status = copy_add_open(copy, key->entity_key, LEFT_PARKED, err);
    }
    return status;
}

static enum status copy_add_images(struct copy *copy, int32_t partition, struct error *err)
{
    struct superseded_image image = {.record = {.topic = copy->base.topic}};
    struct superseded_image wanted = {
        .record = {.topic = copy->base.topic, .partition = partition, .offset = -1}};
    enum status status = STATUS_OK;
    struct arena scratch;
    arena_init(&scratch, COPY_RECORD_MAX);
    while (status == STATUS_OK && image.record.topic != NULL) {
        status = copy->store->ops->read_image(copy->store, &wanted, &scratch, &image, err);
        if (status == STATUS_OK && image.record.topic != NULL &&
            slice_is(image.entity_type, copy->options->entity_type))
            status = copy_add_open(copy, image.entity_key, LEFT_IMAGE, err);
        wanted.record.offset = image.record.offset;
        arena_reset(&scratch);
    }
    arena_done(&scratch);
    return status;
}

static enum status copy_add_own(struct copy *copy, struct error *err)
{
    struct pending_read pending = {.ranges = copy->ranges,
                                   .range_count = (size_t)copy->partition_count,
                                   .arena = &copy->keys,
                                   .limit = (size_t)copy->options->open_entities_max};
    enum status status = copy->store->ops->read_pending(copy->store, &pending, err);
    for (size_t i = 0; status == STATUS_OK && i < pending.entity_count; i++) {
        if (i < pending.limit)
            status = copy_add_open(copy, pending.entities[i].entity_key, LEFT_OWN, err);
        else
            copy->open_count = pending.limit + 1;
    }
    return status;
}

/* Own changes above the range that was read back are open. */
static void copy_note_range(struct copy *copy, const struct partition_state *state)
{
    struct pending_range *range = &copy->ranges[state->partition];
    *range = (struct pending_range){.schema = copy->base.schema,
                                    .partition = state->partition,
                                    .above = sequences_last(state->sequences, state->sequence_count,
                                                            copy->base.name,
                                                            copy->meta.incarnation)};
}

static void copy_judge(struct copy *copy, const struct partition_state *state)
{
    const char *topic = copy->base.topic;
    const char *why = !state->exists              ? "it has not read it yet"
                      : state->partial            ? "it began in the middle of the log"
                      : state->stopped[0] != '\0' ? state->stopped
                                                  : NULL;
    if (why != NULL && copy->reason[0] == '\0')
        utf8_format(copy->reason, sizeof copy->reason, "%s [%" PRId32 "]%s: %s", topic,
                    state->partition, state->stopped[0] != '\0' ? " is stopped" : "", why);
    if (strcmp(state->cluster_id, copy->cluster_id) != 0 && copy->reason[0] == '\0')
        utf8_format(copy->reason, sizeof copy->reason,
                    "its partitions are of two clusters: %.64s and %.64s", copy->cluster_id,
                    state->cluster_id);
}

static enum status copy_read_partition(struct copy *copy, int32_t partition, struct error *err)
{
    struct partition_state state = {0};
    enum status status = copy->store->ops->read(copy->store, copy->base.topic, partition, &state,
                                                err);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(state.topic, sizeof state.topic, "%s", copy->base.topic);
    state.partition = partition;
    copy_judge(copy, &state);
    copy->offsets[partition] = state.exists ? state.next_offset : 0;
    copy_note_range(copy, &state);
    status = copy_add_blocked(copy, &state, err);
    if (status == STATUS_OK)
        status = copy_add_images(copy, partition, err);
    partition_state_done(&state);
    return status;
}

/* Finds out how many partitions the copy knows, and of which cluster. */
static enum status copy_read_topic(struct copy *copy, struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = copy->store->ops->list(copy->store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(states[i].topic, copy->base.topic) != 0)
            continue;
        copy->partition_count = states[i].partition_count;
        (void)snprintf(copy->cluster_id, sizeof copy->cluster_id, "%s", states[i].cluster_id);
    }
    free(states);
    if (status == STATUS_OK && copy->reason[0] == '\0')
        status = store_fill_describe(copy->store, copy->base.topic, copy->reason,
                                     sizeof copy->reason, err);
    if (status == STATUS_OK && copy->partition_count == 0 && copy->reason[0] == '\0')
        (void)snprintf(copy->reason, sizeof copy->reason, "it has not read %s yet",
                       copy->base.topic);
    return status;
}

static enum status copy_read_stamp(struct copy *copy, struct error *err)
{
    enum status status = copy->store->ops->meta(copy->store, &copy->meta, err);
    copy->base.copy = copy->meta.copy_id;
    if (status == STATUS_OK)
        status = copy_read_topic(copy, err);
    if (status != STATUS_OK)
        return status;
    copy->offsets = calloc((size_t)copy->partition_count + 1, sizeof *copy->offsets);
    copy->ranges = calloc((size_t)copy->partition_count + 1, sizeof *copy->ranges);
    if (copy->offsets == NULL || copy->ranges == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions of %s", copy->base.topic);
    for (int32_t i = 0; status == STATUS_OK && i < copy->partition_count; i++)
        status = copy_read_partition(copy, i, err);
    if (status == STATUS_OK && copy->mapping->published_here)
        status = copy_add_own(copy, err);
    return status;
}

static void copy_end(struct participant *participant)
{
    struct copy *copy = copy_of(participant);
    if (copy->store != NULL) {
        struct error ignored = ERROR_INIT;
        (void)copy->store->ops->snapshot(copy->store, false, &ignored);
        copy->store->ops->close(copy->store);
        copy->store = NULL;
    }
    free(copy->offsets);
    free(copy->ranges);
    free(copy->open);
    copy->offsets = NULL;
    copy->ranges = NULL;
    copy->open = NULL;
    copy->open_count = copy->open_size = 0;
    copy->partition_count = 0;
    copy->cluster_id[0] = copy->reason[0] = '\0';
    arena_reset(&copy->keys);
}

/* From the first statement that reads the table on, nobody can change it. */
static enum status copy_hold_table(struct copy *copy, struct error *err)
{
    const struct slice none[1] = {0};
    const struct store_scan scan = {.mapping = copy->mapping, .keys = none};
    return copy->store->ops->scan(copy->store, &scan, err);
}

/* Each snapshot has a session of its own (rule 37). */
static enum status copy_begin(struct copy *copy, struct error *err)
{
    enum status status = STATUS_OK;
    copy_end(&copy->base);
    if (copy->mapping->published_here)
        status = publisher_judge(copy->options, copy->reason, sizeof copy->reason, err);
    if (status == STATUS_OK)
        status = service_open_store(copy->options->service, true, &copy->store, err);
    if (status == STATUS_OK)
        status = copy->store->ops->snapshot(copy->store, true, err);
    if (status == STATUS_OK)
        status = copy_read_stamp(copy, err);
    if (status == STATUS_OK && copy->reason[0] == '\0')
        status = copy_hold_table(copy, err);
    return status;
}

static enum status copy_stamp(struct participant *participant, struct stamp *ret_stamp,
                              struct error *err)
{
    struct copy *copy = copy_of(participant);
    enum status status;
    int tries = 0;
    do {
        status = copy_begin(copy, err);
    } while (snapshot_again(&tries, status, err));
    *ret_stamp = (struct stamp){.incomparable = copy->reason[0] == '\0' ? NULL : copy->reason,
                                .cluster_id = copy->cluster_id,
                                .offsets = copy->offsets,
                                .partition_count = copy->partition_count,
                                .open = copy->open,
                                .open_count = copy->open_count};
    return status;
}

static enum status copy_scan(struct copy *copy, struct answer *answer, struct error *err)
{
    const struct question *question = answer->question;
    const struct store_scan scan = {.mapping = copy->mapping,
                                    .keys = question->keys,
                                    .count = question->key_count,
                                    .visit = answer_row,
                                    .context = answer};
    return copy->store->ops->scan(copy->store, &scan, err);
}

static enum status copy_sums(struct participant *participant, const struct question *question,
                             struct row_sums *ret_sums, struct error *err)
{
    struct answer answer;
    answer_begin(&answer, participant->schema, question);
    answer.sums = ret_sums;
    enum status status = copy_scan(copy_of(participant), &answer, err);
    answer_done(&answer);
    return status;
}

static enum status copy_list(struct participant *participant, const struct question *question,
                             answer_visit *visit, void *context, struct error *err)
{
    struct answer answer;
    answer_begin(&answer, participant->schema, question);
    answer.visit = visit;
    answer.context = context;
    enum status status = copy_scan(copy_of(participant), &answer, err);
    answer_done(&answer);
    return status;
}

static enum status copy_keep(struct participant *participant, struct error *err)
{
    struct copy *copy = copy_of(participant);
    return copy->store->ops->keep(copy->store, err);
}

static void copy_free(struct participant *participant)
{
    struct copy *copy = copy_of(participant);
    copy_end(participant);
    arena_done(&copy->keys);
    free(copy);
}

static const struct participant_ops copy_ops = {.stamp = copy_stamp,
                                                .sums = copy_sums,
                                                .list = copy_list,
                                                .keep = copy_keep,
                                                .end = copy_end,
                                                .free = copy_free};

enum status copy_new(const struct participant_options *options,
                     struct participant **ret_participant, struct error *err)
{
    const struct service *service = options->service;
    size_t index = 0;
    while (index < service->config->apply_count &&
           strcmp(service->config->apply[index].entity_type, options->entity_type) != 0)
        index++;
    if (index == service->config->apply_count)
        return error_set(error_config(err), STATUS_FATAL, "%s does not apply %s",
                         service->config->service, options->entity_type);
    struct copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    copy->options = options;
    copy->mapping = &service->mappings[index];
    copy->base = (struct participant){.ops = &copy_ops,
                                      .name = service->config->service,
                                      .copy = "",
                                      .topic = service->config->apply[index].topic,
                                      .schema = service->applied[index]};
    arena_init(&copy->keys,
               options->open_bytes_max == 0 ? PARTICIPANT_OPEN_BYTES_MAX : options->open_bytes_max);
    *ret_participant = &copy->base;
    return STATUS_OK;
}
