/* A publisher that does not apply its types, as the source of a fill: its tables, in one snapshot.
 */
#include "operate/fill/internal.h"

#include "operate/offsets.h"

#include <stdlib.h>

#define PUBLISHER_GROUP "keepstep-fill" /* only names the handle */

struct fill_publisher {
    struct fill_reader base;
    struct source *source; /* NULL: no snapshot is open */
};

static struct fill_publisher *publisher_of(const struct fill_source *self)
{
    return (struct fill_publisher *)self->reader;
}

/* A sequence begins with the first event that the new copy will read: what is older is known to be
 * in the rows, but not by its ids (rule 40). */
static void publisher_add(const struct source_stamp *stamp, const struct source_position *position,
                          struct fill_position *positions, struct fill_sequence *ret_sequence)
{
    bool has_anchor = position->next_offset > 0 && position->acknowledged_id[0] != '\0';
    positions[position->partition] = (struct fill_position){
        .next_offset = position->next_offset,
        .anchor_offset = has_anchor ? position->next_offset - 1 : -1,
        .anchor_id = has_anchor ? position->acknowledged_id : ""};
    *ret_sequence = (struct fill_sequence){.partition = position->partition,
                                           .incarnation = stamp->incarnation,
                                           .base = position->acknowledged_sequence + 1,
                                           .last = position->acknowledged_sequence,
                                           .last_id = position->acknowledged_id};
}

static enum status publisher_fill_begin(struct fill_source *self, const struct source_stamp *stamp,
                                        int32_t count, struct error *err)
{
    struct arena *arena = &self->arena;
    struct fill_position *positions = arena_alloc(arena, (size_t)count * sizeof *positions);
    struct fill_sequence *sequences = arena_alloc(arena, (stamp->count + 1) * sizeof *sequences);
    if (positions == NULL || sequences == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions of a fill");
    for (int32_t i = 0; i < count; i++)
        positions[i] = (struct fill_position){.anchor_offset = -1, .anchor_id = ""};
    for (size_t i = 0; i < stamp->count; i++) {
        struct fill_sequence *sequence = &sequences[self->begin.sequence_count];
        publisher_add(stamp, &stamp->positions[i], positions, sequence);
        sequence->source = self->config.service;
        self->begin.sequence_count += sequence->last > 0;
    }
    self->begin.positions = positions;
    self->begin.partition_count = count;
    self->begin.sequences = sequences;
    return STATUS_OK;
}

/* All partitions that are not listed have published nothing. */
static enum status publisher_partitions(struct fill_source *self, const struct source_stamp *stamp,
                                        int32_t *ret_count, struct error *err)
{
    struct offsets *offsets = NULL;
    char *cluster_id = arena_alloc(&self->arena, OFFSETS_CLUSTER_ID_SIZE);
    if (cluster_id == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a cluster's id");
    enum status status = offsets_open(&self->config, PUBLISHER_GROUP, &offsets, err);
    if (status == STATUS_OK)
        status = offsets_topic(offsets, self->options->topic, ret_count, cluster_id, err);
    offsets_close(offsets);
    self->begin.cluster_id = cluster_id;
    if (status == STATUS_OK && *ret_count == 0)
        return fill_refuse(self, err, "topic %s does not exist yet", self->options->topic);
    for (size_t i = 0; status == STATUS_OK && i < stamp->count; i++) {
        if (stamp->positions[i].partition >= *ret_count)
            status = fill_refuse(self, err, "topic %s has fewer partitions than were published to",
                                 self->options->topic);
    }
    return status;
}

static void publisher_end(struct fill_source *self)
{
    struct fill_publisher *publisher = publisher_of(self);
    if (publisher->source != NULL)
        publisher->source->ops->close(publisher->source);
    publisher->source = NULL;
}

static enum status publisher_begin(struct fill_source *self, struct error *err)
{
    struct fill_publisher *publisher = publisher_of(self);
    struct source_stamp *stamp = arena_alloc(&self->arena, sizeof *stamp);
    int32_t count = 0;
    publisher_end(self);
    enum status status = stamp == NULL ? error_set(err, STATUS_RETRY, "no memory for a stamp")
                                       : fill_open_publisher(self, &publisher->source, err);
    for (size_t i = 0; status == STATUS_OK && i < self->options->type_count; i++) {
        const struct role *role = &self->roles[i].role;
        const struct source_type type = {role->entry, role->schema};
        status = publisher->source->ops->stamp(publisher->source, &type, &self->arena, stamp, err);
        if (status == STATUS_OK)
            status = fill_judge_published(self, stamp, role->schema->entity_type, true, err);
    }
    if (status == STATUS_OK)
        status = publisher_partitions(self, stamp, &count, err);
    return status == STATUS_OK ? publisher_fill_begin(self, stamp, count, err) : status;
}

static enum status publisher_rows(struct fill_source *self, bool none, struct error *err)
{
    struct source *source = publisher_of(self)->source;
    const struct slice no_keys[1] = {0};
    const struct source_scan scan = {.entry = self->role->role.entry,
                                     .schema = self->role->role.schema,
                                     .keys = none ? no_keys : NULL,
                                     .visit = fill_source_row,
                                     .context = self};
    return source->ops->scan(source, &scan, err);
}

static void publisher_free(struct fill_source *self)
{
    publisher_end(self);
    free(self->reader);
}

enum status fill_publisher_new(struct fill_source *self, struct error *err)
{
    static const struct fill_reader_ops ops = {.begin = publisher_begin,
                                               .rows = publisher_rows,
                                               .end = publisher_end,
                                               .free = publisher_free};
    struct fill_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the source of a fill");
    publisher->base.ops = &ops;
    self->reader = &publisher->base;
    return STATUS_OK;
}
