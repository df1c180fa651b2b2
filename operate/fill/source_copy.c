/* A copy as the source of a fill: positions, sequences, rows and single keys of one snapshot. */
#include "operate/fill/internal.h"

#include <inttypes.h>
#include <stdlib.h>

_Static_assert(FILL_DIGESTS == SEQUENCE_WINDOW, "a copy hands its digests on as they are");

struct fill_copy {
    struct fill_reader base;
    struct store *store;            /* NULL: no snapshot is open */
    struct partition_state *states; /* of all partitions of the topic */
    int32_t count;
};

static struct fill_copy *copy_of(const struct fill_source *self)
{
    return (struct fill_copy *)self->reader;
}

/* How many partitions the copy knows. */
static enum status copy_count(struct fill_source *self, struct error *err)
{
    struct fill_copy *copy = copy_of(self);
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = copy->store->ops->list(copy->store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(states[i].topic, self->options->topic) == 0)
            copy->count = states[i].partition_count;
    }
    free(states);
    if (status == STATUS_OK && copy->count == 0)
        status = fill_refuse(self, err, "it has not read %s yet", self->options->topic);
    if (status != STATUS_OK)
        return status;
    copy->states = calloc((size_t)copy->count, sizeof *copy->states);
    return copy->states == NULL ? error_set(err, STATUS_RETRY, "no memory for the partitions")
                                : STATUS_OK;
}

/* @return NULL, or why the partition is not what the log says up to its position (rule 40). */
static const char *copy_fault(const struct partition_state *state)
{
    if (!state->exists)
        return "it has not read it yet";
    if (state->partial)
        return "it began in the middle of the log";
    if (state->stopped[0] != '\0')
        return "it stands still there (`keepstep status`)";
    if (state->next_offset < state->filled_to)
        return "it is not complete yet";
    if (state->parked_count > 0 || state->blocked.count > 0)
        return "events are parked there (`keepstep parked list`)";
    return NULL;
}

static enum status copy_judge(const struct fill_source *self, struct error *err)
{
    const struct fill_copy *copy = copy_of(self);
    struct fill_state fill = {0};
    enum status status = store_fill_read(copy->store, self->options->topic, &fill, err);
    if (status == STATUS_OK && fill_holds_topic(fill.stage))
        status = fill_refuse(self, err, "it is being filled itself");
    for (int32_t i = 0; status == STATUS_OK && i < copy->count; i++) {
        const struct partition_state *state = &copy->states[i];
        const char *fault = copy_fault(state);
        if (fault != NULL)
            status = fill_refuse(self, err, "%s [%" PRId32 "]: %s", self->options->topic, i, fault);
        else if (strcmp(state->cluster_id, copy->states[0].cluster_id) != 0)
            status = fill_refuse(self, err, "its partitions are of two clusters");
    }
    return status;
}

/* Read after the rows' snapshot has begun, so nothing that this one has is missed. */
static enum status copy_judge_published(struct fill_source *self, struct error *err)
{
    struct source *source = NULL;
    enum status status = fill_open_publisher(self, &source, err);
    for (size_t i = 0; status == STATUS_OK && i < self->options->type_count; i++) {
        const struct role *role = &self->roles[i].role;
        const struct source_type type = {role->entry, role->schema};
        struct source_stamp stamp = {0};
        if (!role->publishes)
            continue;
        status = source->ops->stamp(source, &type, &self->arena, &stamp, err);
        if (status == STATUS_OK)
            status = fill_judge_published(self, &stamp, role->schema->entity_type, false, err);
    }
    if (source != NULL)
        source->ops->close(source);
    return status;
}

static enum status copy_fill_positions(struct fill_source *self, struct error *err)
{
    const struct fill_copy *copy = copy_of(self);
    struct fill_position *positions = arena_alloc(&self->arena,
                                                  (size_t)copy->count * sizeof *positions);
    if (positions == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions of a fill");
    for (int32_t i = 0; i < copy->count; i++)
        positions[i] = (struct fill_position){.next_offset = copy->states[i].next_offset,
                                              .anchor_offset = copy->states[i].anchor_offset,
                                              .anchor_id = copy->states[i].anchor_id};
    self->begin.positions = positions;
    self->begin.partition_count = copy->count;
    self->begin.cluster_id = copy->states[0].cluster_id;
    return STATUS_OK;
}

static enum status copy_fill_sequences(struct fill_source *self, struct error *err)
{
    const struct fill_copy *copy = copy_of(self);
    size_t count = 0;
    for (int32_t i = 0; i < copy->count; i++)
        count += copy->states[i].sequence_count;
    struct fill_sequence *sequences = arena_alloc(&self->arena, (count + 1) * sizeof *sequences);
    if (sequences == NULL || count > FILL_SEQUENCES_MAX)
        return error_set(err, STATUS_RETRY, "no memory for %zu sequences of a fill", count);
    self->begin.sequences = sequences;
    self->begin.sequence_count = count;
    for (int32_t i = 0; i < copy->count; i++) {
        for (size_t j = 0; j < copy->states[i].sequence_count; j++) {
            const struct sequence_state *from = &copy->states[i].sequences[j];
            *sequences++ = (struct fill_sequence){.partition = i,
                                                  .source = from->source,
                                                  .incarnation = from->incarnation,
                                                  .base = from->base,
                                                  .last = from->last,
                                                  .last_id = from->last_id,
                                                  .digests = from->digests};
        }
    }
    return STATUS_OK;
}

static void copy_end(struct fill_source *self)
{
    struct fill_copy *copy = copy_of(self);
    struct error ignored = ERROR_INIT;
    if (copy->store == NULL)
        return;
    (void)copy->store->ops->snapshot(copy->store, false, &ignored);
    copy->store->ops->close(copy->store);
    copy->store = NULL;
}

static void copy_forget(struct fill_source *self)
{
    struct fill_copy *copy = copy_of(self);
    copy_end(self);
    for (int32_t i = 0; copy->states != NULL && i < copy->count; i++)
        partition_state_done(&copy->states[i]);
    free(copy->states);
    copy->states = NULL;
    copy->count = 0;
}

static enum status copy_begin(struct fill_source *self, struct error *err)
{
    struct fill_copy *copy = copy_of(self);
    copy_forget(self);
    enum status status = service_open_store(&self->service, true, &copy->store, err);
    if (status == STATUS_OK)
        status = copy->store->ops->snapshot(copy->store, true, err);
    if (status == STATUS_OK)
        status = copy_count(self, err);
    for (int32_t i = 0; status == STATUS_OK && i < copy->count; i++)
        status = copy->store->ops->read(copy->store, self->options->topic, i, &copy->states[i],
                                        err);
    if (status == STATUS_OK)
        status = copy_judge(self, err);
    if (status == STATUS_OK && self->publishes)
        status = copy_judge_published(self, err);
    if (status == STATUS_OK)
        status = copy_fill_positions(self, err);
    return status == STATUS_OK ? copy_fill_sequences(self, err) : status;
}

static enum status copy_rows(struct fill_source *self, bool none, struct error *err)
{
    struct store *store = copy_of(self)->store;
    const struct slice no_keys[1] = {0};
    const struct store_scan scan = {.mapping = &self->service.mappings[self->role->index],
                                    .keys = none ? no_keys : NULL,
                                    .visit = fill_source_row,
                                    .context = self};
    return store->ops->scan(store, &scan, err);
}

static enum status copy_key(void *context, const struct key_claim *claim, struct error *err)
{
    const struct fill_key key = {claim->source, claim->id, claim->digest};
    return fill_source_key(context, &key, err);
}

static enum status copy_keys(struct fill_source *self, struct error *err)
{
    struct store *store = copy_of(self)->store;
    const struct store_scan scan = {
        .topic = self->options->topic, .visit_key = copy_key, .context = self};
    return store->ops->scan(store, &scan, err);
}

static void copy_free(struct fill_source *self)
{
    copy_forget(self);
    free(self->reader);
}

enum status fill_copy_new(struct fill_source *self, struct error *err)
{
    static const struct fill_reader_ops ops = {.begin = copy_begin,
                                               .rows = copy_rows,
                                               .keys = copy_keys,
                                               .end = copy_end,
                                               .free = copy_free};
    struct fill_copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the source of a fill");
    copy->base.ops = &ops;
    self->reader = &copy->base;
    return STATUS_OK;
}
