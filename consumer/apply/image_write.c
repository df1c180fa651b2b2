/* Writes kept images whose own change was dropped from the outbox and so is never read back
 * (rule 18). */
#include "consumer/apply/internal.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/image.h"
#include "consumer/apply/pending.h"

#include "common/clock.h"
#include "common/log.h"

#define IMAGES_MAX      100   /* of a partition, in one round */
#define IMAGES_ROUND_US 20000 /* each check reads all that waits of its entity type */

/** Park a kept image that the database refuses, as its record would have been parked. */
static enum status image_park(struct applier *applier, struct owned *owned,
                              const struct superseded_image *image, const struct error *why,
                              struct error *err)
{
    int64_t now = clock_wall_us();
    bool waiting = why->status == STATUS_REJECT && why->reject == REJECT_WAITING;
    struct parked_record record = {.record = image->record,
                                   .entity_type = image->entity_type,
                                   .entity_key = image->entity_key,
                                   .state = waiting ? PARKED_WAITING : PARKED_HELD,
                                   .reason = slice_of(why->text),
                                   .code = why->native_code,
                                   .attempts = 1,
                                   .parked_at_us = now,
                                   .next_attempt_us = now + APPLIER_BACKOFF_US};
    enum status status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK)
        status = applier->ops->park(applier->store, &record, 1, err);
    struct block_key key = block_key_stored(image->entity_type, image->entity_key,
                                            image->record.key);
    if (status == STATUS_OK)
        status = block_set_add(&owned->work.blocked, &key, image->record.offset, err);
    if (status != STATUS_OK)
        return status;
    owned->work.parked_count++;
    owned->work.parked_bytes += store_record_bytes(&image->record);
    owned->retry.unordered = true; /* records after it may be parked already */
    log_warning("agent", "parked %.*s %.*s from %s/%d offset %lld: %s",
                SLICE_ARGS(image->entity_type), SLICE_ARGS(image->entity_key), image->record.topic,
                image->record.partition, (long long)image->record.offset, why->text);
    return STATUS_OK;
}

static enum status image_is_pending(struct applier *applier, const struct owned *owned,
                                    const struct superseded_image *image, bool *ret_pending,
                                    struct error *err)
{
    enum status status = applier_ask_pending_singly(applier, owned, image->entity_type, err);
    return status == STATUS_OK ? applier_is_pending_now(applier, image->entity_type,
                                                        image->entity_key, ret_pending, err)
                               : status;
}

/** Write one image, unless its entity has an own change by now. */
static enum status image_write(struct applier *applier, struct owned *owned, void *subject,
                               struct error *err)
{
    const struct superseded_image *image = subject;
    const struct mapping *mapping = applier_mapping(applier, image->entity_type);
    struct change entity = {.entity_type = image->entity_type, .entity_key = image->entity_key};
    struct change *change = NULL;
    struct error why = ERROR_INIT;
    bool pending = false;
    enum status status = image_is_pending(applier, owned, image, &pending, err);
    if (status != STATUS_OK || pending)
        return status;
    status = applier_decode(applier, &image->record, &change, &why);
    if (status == STATUS_OK)
        status = applier_attempt_write(applier, mapping, change, &pending, &why);
    if (status == STATUS_OK && pending)
        return STATUS_OK;
    if (applier_passes_absent(owned, image->record.offset, &why))
        status = applier->ops->savepoint(applier->store, true, err);
    else if (status == STATUS_REJECT || status == STATUS_STOP)
        status = image_park(applier, owned, image, &why, err);
    else if (status != STATUS_OK)
        *err = why;
    applier_name_fatal(err, image->entity_type, image->entity_key, &image->record);
    return status == STATUS_OK ? applier_drop_image(applier, owned, &entity, err) : status;
}

/** @return OK with whether the image may be written, as seen without a transaction. */
static enum status image_is_due(struct applier *applier, struct owned *owned,
                                const struct superseded_image *image, bool *ret_due,
                                struct error *err)
{
    const struct mapping *mapping = applier_mapping(applier, image->entity_type);
    struct change entity = {.record = image->record,
                            .entity_type = image->entity_type,
                            .entity_key = image->entity_key,
                            .partition_index = (size_t)(owned - applier->owned)};
    bool pending = true;
    *ret_due = false;
    if (mapping == NULL || !mapping->published_here || applier_is_blocked(applier, &entity))
        return STATUS_OK;
    enum status status = image_is_pending(applier, owned, image, &pending, err);
    *ret_due = !pending;
    return status;
}

static enum status image_write_partition(struct applier *applier, struct owned *owned,
                                         int64_t until_us, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < IMAGES_MAX && status == STATUS_OK; i++) {
        if (i > 0 && clock_monotonic_us() >= until_us)
            return STATUS_OK;
        struct superseded_image from = {.record = {.topic = owned->state.topic,
                                                   .partition = owned->state.partition,
                                                   .offset = owned->images.offset}};
        struct superseded_image image = {0};
        bool due = false;
        arena_reset(&applier->arena);
        status = applier->ops->read_image(applier->store, &from, &applier->arena, &image, err);
        if (status == STATUS_OK && image.record.topic == NULL) {
            owned->images.are_possible = owned->images.offset >= 0;
            owned->images.offset = -1;
            return STATUS_OK;
        }
        if (status == STATUS_OK)
            status = image_is_due(applier, owned, &image, &due, err);
        if (status != STATUS_OK)
            return applier_note(applier, status, err);
        owned->images.offset = image.record.offset;
        if (due)
            status = applier_repair(applier, owned, image_write, &image, err);
    }
    return status;
}

enum status applier_write_images(struct applier *applier, struct error *err)
{
    if (!applier->publishes)
        return STATUS_OK;
    int64_t until_us = clock_monotonic_us() + IMAGES_ROUND_US;
    enum status status = applier_ready(applier, err);
    applier_begin_work(applier); /* so that nothing is blocked by the last transaction's work */
    for (size_t i = 0; i < applier->owned_count && status == STATUS_OK; i++) {
        struct owned *owned = &applier->owned[applier->turns.images_index++ % applier->owned_count];
        if (owned->images.are_possible && !owned->reloaded && !owned->is_paused)
            status = image_write_partition(applier, owned, until_us, err);
        if (clock_monotonic_us() >= until_us)
            break;
    }
    return status;
}
