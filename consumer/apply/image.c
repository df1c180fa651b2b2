/* Keeps one image of each superseded entity (rule 18): the last one, with the columns that it lacks
 * taken from those before it. */
#include "consumer/apply/image.h"
#include "consumer/apply/write.h"
#include "schemas/record/write.h"

#include <string.h>

#define MERGED_HEADER "keepstep_merged"

bool applier_is_merged(const struct record *record)
{
    for (size_t i = 0; i < record->header_count; i++) {
        if (slice_is(record->headers[i].name, MERGED_HEADER))
            return true;
    }
    return false;
}

/** Give a merged change a record of its own, in Keepstep's form whatever form its topic has. */
static enum status image_record(struct applier *applier, struct change *change, struct error *err)
{
    struct buffer value;
    struct buffer type;
    struct header *headers = arena_alloc(&applier->arena, 7 * sizeof *headers);
    size_t count = 0;
    buffer_init(&value, applier->arena.size_max);
    buffer_init(&type, STORE_NAME_SIZE + sizeof ".updated");
    buffer_append(&type, change->entity_type.data, change->entity_type.length);
    buffer_append_text(&type, change->op == CHANGE_CREATE ? ".created" : ".updated");
    record_value_write(change, &value);
    struct slice kept_value = arena_copy(&applier->arena, buffer_slice(&value));
    struct slice kept_type = arena_copy(&applier->arena, buffer_slice(&type));
    bool failed = headers == NULL || value.failed || type.failed || kept_value.data == NULL ||
                  kept_type.data == NULL;
    buffer_done(&value);
    buffer_done(&type);
    if (failed)
        return applier_no_memory(err);
    headers[count++] = (struct header){slice_of("ce_specversion"), slice_of("1.0")};
    if (change->id.length > 0)
        headers[count++] = (struct header){slice_of("ce_id"), change->id};
    if (change->source.length > 0)
        headers[count++] = (struct header){slice_of("ce_source"), change->source};
    headers[count++] = (struct header){slice_of("ce_type"), kept_type};
    headers[count++] = (struct header){slice_of("ce_subject"), change->entity_key};
    headers[count++] = (struct header){slice_of("ce_protocol"), slice_of("1")};
    headers[count++] = (struct header){slice_of(MERGED_HEADER), slice_of("1")};
    change->record.form = NULL;
    change->record.value = kept_value;
    change->record.headers = headers;
    change->record.header_count = count;
    return STATUS_OK;
}

/** The values that a new image of a deleted row is merged with: NULL, or absent where that cannot
 * be. */
static void image_of_nothing(const struct entity_schema *schema, struct value *values)
{
    for (size_t i = 0; i < schema->column_count; i++)
        values[i] = (struct value){.kind = schema->columns[i].nullable ? VALUE_NULL : VALUE_ABSENT};
}

enum status applier_merge_images(struct applier *applier, const struct change *kept,
                                 const struct change *newer, const struct change **ret_image,
                                 struct error *err)
{
    const struct entity_schema *schema = newer->schema;
    *ret_image = newer;
    if (kept == NULL || kept->schema != schema || !applier_is_sparse(newer))
        return STATUS_OK;
    if (kept->op == CHANGE_DELETE && newer->op == CHANGE_UPDATE) {
        *ret_image = kept; /* no copy can apply an update of a deleted row */
        return STATUS_OK;
    }
    struct change *merged = arena_alloc(&applier->arena, sizeof *merged);
    struct value *values = arena_alloc(&applier->arena, schema->column_count * sizeof *values);
    if (merged == NULL || values == NULL)
        return applier_no_memory(err);
    if (kept->op == CHANGE_DELETE)
        image_of_nothing(schema, values);
    else
        memcpy(values, kept->values, schema->column_count * sizeof *values);
    for (size_t i = 0; i < schema->column_count; i++) {
        if (newer->values[i].kind != VALUE_ABSENT)
            values[i] = newer->values[i];
    }
    *merged = *newer;
    merged->values = values;
    if (kept->op == CHANGE_CREATE || kept->op == CHANGE_READ)
        merged->op = CHANGE_CREATE;
    *ret_image = merged;
    return image_record(applier, merged, err);
}

enum status applier_read_image(struct applier *applier, const struct change *of,
                               const struct change **ret_kept, struct error *err)
{
    struct superseded_image wanted = {.entity_type = of->entity_type, .entity_key = of->entity_key};
    struct superseded_image kept = {0};
    struct change *decoded = NULL;
    *ret_kept = NULL;
    enum status status = applier->ops->read_image(applier->store, &wanted, &applier->arena, &kept,
                                                  err);
    if (status != STATUS_OK || kept.record.topic == NULL)
        return status;
    status = applier_decode(applier, &kept.record, &decoded, err);
    if (status == STATUS_REJECT || status == STATUS_STOP ||
        (status == STATUS_OK && decoded->schema == NULL)) {
        error_clear(err);
        return error_set(err, STATUS_STOP, "the kept image of %.*s %.*s cannot be read",
                         SLICE_ARGS(of->entity_type), SLICE_ARGS(of->entity_key));
    }
    if (status != STATUS_OK)
        return status;
    decoded->partition_index = of->partition_index;
    *ret_kept = decoded;
    return STATUS_OK;
}

static enum status image_keep_merged(struct applier *applier, struct owned *owned,
                                     const struct change *change, struct error *err)
{
    const struct change *kept = NULL;
    const struct change *image = change;
    enum status status = STATUS_OK;
    if (owned->images.are_possible && applier_is_sparse(change))
        status = applier_read_image(applier, change, &kept, err);
    if (status == STATUS_OK)
        status = applier_merge_images(applier, kept, change, &image, err);
    if (status != STATUS_OK || (image == kept && kept != NULL))
        return status;
    owned->images.are_possible = true;
    struct superseded_image keep = {.entity_type = change->entity_type,
                                    .entity_key = change->entity_key,
                                    .record = image->record};
    return applier->ops->keep_image(applier->store, &keep, err);
}

enum status applier_keep_image(struct applier *applier, struct owned *owned,
                               const struct change *change, struct error *err)
{
    struct arena transaction = applier->arena;
    arena_init(&applier->arena, transaction.size_max);
    enum status status = image_keep_merged(applier, owned, change, err);
    arena_done(&applier->arena);
    applier->arena = transaction;
    return status;
}

enum status applier_image_before(struct applier *applier, const struct batch *batch, size_t index,
                                 const struct change **ret_image, struct error *err)
{
    const struct change *of = &batch->events[index].change;
    enum status status = applier_read_image(applier, of, ret_image, err);
    for (size_t i = 0; i < index && status == STATUS_OK; i++) {
        const struct batch_event *event = &batch->events[i];
        if (!slice_equal(event->change.entity_type, of->entity_type) ||
            !slice_equal(event->change.entity_key, of->entity_key))
            continue;
        if (event->outcome == EVENT_SUPERSEDED)
            status = applier_merge_images(applier, *ret_image, &event->change, ret_image, err);
        else if (event->outcome == EVENT_APPLY ||
                 (event->outcome == EVENT_PARKED && applier_is_own(applier, &event->change)))
            *ret_image = NULL; /* applier_drop_image() drops it with that event */
    }
    return status;
}

enum status applier_drop_image(struct applier *applier, const struct owned *owned,
                               const struct change *change, struct error *err)
{
    struct superseded_image image = {.entity_type = change->entity_type,
                                     .entity_key = change->entity_key};
    if (!owned->images.are_possible)
        return STATUS_OK;
    return applier->ops->drop_image(applier->store, &image, err);
}
