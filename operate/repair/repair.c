/* The rounds of a repair: compare, repair what differs, compare by key what is not known yet. */
#include "operate/repair/chunk.h"
#include "operate/repair/publish.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define REPAIR_TEXTS_MAX ((size_t)256 * 1024 * 1024)

void repair_set(struct repair *repair, struct repair_entity *entity, enum repair_state state,
                const char *reason)
{
    entity->state = state;
    entity->reason = (struct slice){0};
    if (reason != NULL && *reason != '\0')
        entity->reason = arena_copy(&repair->texts, slice_of(reason));
}

static enum status repair_add(struct repair *repair, struct slice key, enum difference_kind kind,
                              struct error *err)
{
    struct repair_entity *entity = &repair->entities[repair->count];
    *entity = (struct repair_entity){.key = arena_copy(&repair->texts, key), .kind = kind};
    if (entity->key.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the keys");
    repair->count++;
    return STATUS_OK;
}

static int repair_entity_compare(const void *left, const void *right)
{
    return slice_compare(((const struct repair_entity *)left)->key,
                         ((const struct repair_entity *)right)->key);
}

static const char *repair_left_reason(enum left_reason reason)
{
    static const char *const words[] = {
        [LEFT_CHANGED] = "it is changing, or not applied yet",
        [LEFT_OWN] = "a change of it waits in an outbox",
        [LEFT_IMAGE] = "the copy's service has changed it, and has not read that back yet",
        [LEFT_PARKED] = "an event of it is parked"};
    return words[reason];
}

/* Takes over what the first comparison found. */
static enum status repair_begin(struct repair *repair, const struct comparison *found,
                                struct error *err)
{
    const struct copy_result *copy = &found->copies[1];
    const struct left_out *left_out = &found->left_out;
    enum status status = STATUS_OK;
    repair->entities = calloc(copy->difference_count + left_out->count + 1,
                              sizeof *repair->entities);
    if (repair->entities == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the entities");
    memcpy(repair->reason, copy->reason, sizeof repair->reason);
    repair->is_doubled = copy->is_doubled;
    for (size_t kind = 0; kind < DIFFERENCE_KINDS; kind++)
        repair->unnamed += copy->counts[kind];
    repair->unnamed -= copy->difference_count;
    repair->unnamed += copy->is_partial;
    for (size_t i = 0; status == STATUS_OK && i < copy->difference_count; i++)
        status = repair_add(repair, copy->differences[i].key, copy->differences[i].kind, err);
    for (size_t i = 0; status == STATUS_OK && i < left_out->count; i++) {
        const struct left_entity *entity = &left_out->entities[i];
        if (entity->pending == 0)
            continue;
        status = repair_add(repair, entity->key, DIFFERENCE_VALUE, err);
        if (status == STATUS_OK)
            repair_set(repair, &repair->entities[repair->count - 1], REPAIR_PENDING,
                       repair_left_reason(entity->reason));
    }
    if (repair->count > 1)
        qsort(repair->entities, repair->count, sizeof *repair->entities, repair_entity_compare);
    return status;
}

/* Takes over the only entity, which is not compared. */
static enum status repair_begin_key(struct repair *repair, struct error *err)
{
    repair->entities = calloc(1, sizeof *repair->entities);
    if (repair->entities == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the entities");
    return repair_add(repair, repair->options->key, DIFFERENCE_VALUE, err);
}

static struct repair_entity *repair_find(struct repair *repair, struct slice key)
{
    const struct repair_entity wanted = {.key = key};
    return repair->count == 0 ? NULL
                              : bsearch(&wanted, repair->entities, repair->count, sizeof wanted,
                                        repair_entity_compare);
}

/* Notes what a later comparison, of the pending entities alone, has found. */
static void repair_note(struct repair *repair, const struct comparison *found)
{
    const struct copy_result *copy = &found->copies[1];
    repair->is_doubled = repair->is_doubled || copy->is_doubled;
    for (size_t i = 0; i < found->left_out.count; i++) {
        const struct left_entity *left = &found->left_out.entities[i];
        struct repair_entity *entity = repair_find(repair, left->key);
        if (entity == NULL || entity->state != REPAIR_PENDING)
            continue;
        if (copy->reason[0] != '\0')
            repair_set(repair, entity, REPAIR_PENDING, copy->reason);
        else if (left->pending != 0)
            repair_set(repair, entity, REPAIR_PENDING, repair_left_reason(left->reason));
        else
            repair_set(repair, entity, REPAIR_EQUAL, NULL);
    }
    for (size_t i = 0; i < copy->difference_count; i++) {
        struct repair_entity *entity = repair_find(repair, copy->differences[i].key);
        if (entity == NULL)
            continue;
        entity->kind = copy->differences[i].kind;
        repair_set(repair, entity, REPAIR_PENDING, NULL);
    }
}

static void repair_wait(int round)
{
    static const int64_t wait_us[COMPARE_ROUNDS_MAX] = {100000, 500000, 1500000};
    clock_sleep_us(wait_us[round]);
}

static enum status repair_compare(const struct repair *repair, const struct slice *keys,
                                  size_t key_count, struct comparison *ret_found, struct error *err)
{
    const struct repair_options *options = repair->options;
    struct participant *const participants[] = {options->source, options->copy};
    const struct compare_options compare = {.participants = participants,
                                            .count = 2,
                                            .log = options->log,
                                            .open_entities_max = options->limits->open_entities,
                                            .behind_records_max = options->limits->behind_records,
                                            .keys = keys,
                                            .key_count = key_count,
                                            .stop = &command_stop,
                                            .wait = repair_wait,
                                            .progress = options->progress,
                                            .context = options->context};
    return compare_copies(&compare, ret_found, err);
}

/* Compares the pending entities alone. */
static enum status repair_compare_pending(struct repair *repair, struct error *err)
{
    struct comparison found = {0};
    struct slice *keys = calloc(repair->count + 1, sizeof *keys);
    size_t count = 0;
    if (keys == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the keys");
    for (size_t i = 0; i < repair->count; i++) {
        if (repair->entities[i].state == REPAIR_PENDING)
            keys[count++] = repair->entities[i].key;
    }
    enum status status = repair_compare(repair, keys, count, &found, err);
    if (status == STATUS_OK)
        repair_note(repair, &found);
    comparison_done(&found);
    free(keys);
    return status;
}

/* Without a copy to compare, what is pending is tried again. */
static void repair_try_pending(struct repair *repair)
{
    for (size_t i = 0; i < repair->count; i++) {
        if (repair->entities[i].state == REPAIR_PENDING)
            repair_set(repair, &repair->entities[i], REPAIR_PENDING, NULL);
    }
}

bool repair_is_due(const struct repair_entity *entity)
{
    return entity->state == REPAIR_PENDING && entity->reason.data == NULL;
}

/* One pass over the entities that are due, or over those that were refused. With `deletes` only
 * over those that only the copy has, else over the others. */
static enum status repair_pass(struct repair_writer *writer, enum repair_state state, bool deletes,
                               struct error *err)
{
    struct repair *repair = writer->repair;
    struct repair_entity *entities[REPAIR_CHUNK_MAX];
    enum status status = STATUS_OK;
    size_t count = 0;
    for (size_t i = 0; status == STATUS_OK && i <= repair->count; i++) {
        bool is_last = i == repair->count;
        struct repair_entity *entity = &repair->entities[i];
        if (!is_last && entity->state == state &&
            (state != REPAIR_PENDING || repair_is_due(entity)) &&
            (entity->kind == DIFFERENCE_EXTRA) == deletes)
            entities[count++] = entity;
        if (count == 0 || (!is_last && count < REPAIR_CHUNK_MAX))
            continue;
        status = repair_chunk(writer, entities, count, err);
        count = 0;
        if (atomic_load(&command_stop))
            break;
    }
    return status;
}

static size_t repair_count(const struct repair *repair, enum repair_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < repair->count; i++)
        count += repair->entities[i].state == state;
    return count;
}

/* Deletes first, since a row may stand in another one's way; and what was refused again after the
 * others, as long as that helps. */
static enum status repair_write_due(struct repair_writer *writer, struct error *err)
{
    const struct repair *repair = writer->repair;
    enum status status = repair_pass(writer, REPAIR_PENDING, true, err);
    if (status == STATUS_OK)
        status = repair_pass(writer, REPAIR_PENDING, false, err);
    size_t refused = repair_count(repair, REPAIR_REFUSED);
    for (size_t before = refused + 1; status == STATUS_OK && refused > 0 && refused < before;) {
        before = refused;
        status = repair_pass(writer, REPAIR_REFUSED, true, err);
        if (status == STATUS_OK)
            status = repair_pass(writer, REPAIR_REFUSED, false, err);
        refused = repair_count(repair, REPAIR_REFUSED);
    }
    return status;
}

static bool repair_has_due(const struct repair *repair)
{
    for (size_t i = 0; i < repair->count; i++) {
        if (repair_is_due(&repair->entities[i]))
            return true;
    }
    return false;
}

static enum status repair_rounds(struct repair *repair, struct error *err)
{
    struct repair_writer writer;
    enum status status = STATUS_OK;
    repair_writer_init(&writer, repair);
    for (int round = 0;
         status == STATUS_OK && repair_has_due(repair) && !atomic_load(&command_stop); round++) {
        status = repair->options->publisher != NULL ? repair_publish_due(repair, err)
                                                    : repair_write_due(&writer, err);
        if (round + 1 == REPAIR_ROUNDS_MAX || atomic_load(&command_stop) ||
            repair_count(repair, REPAIR_PENDING) == 0)
            break;
        if (round > 0)
            repair_wait(round - 1);
        if (repair->options->copy == NULL)
            repair_try_pending(repair);
        else if (status == STATUS_OK)
            status = repair_compare_pending(repair, err);
    }
    repair_writer_done(&writer);
    return status;
}

enum status repair_run(const struct repair_options *options, struct repair *ret_repair,
                       struct error *err)
{
    struct comparison found = {0};
    *ret_repair = (struct repair){.options = options};
    arena_init(&ret_repair->texts, REPAIR_TEXTS_MAX);
    bool one = options->key.data != NULL;
    enum status status = STATUS_OK;
    if (options->copy == NULL) {
        status = repair_begin_key(ret_repair, err);
    } else {
        status = repair_compare(ret_repair, one ? &options->key : NULL, one, &found, err);
        if (status == STATUS_OK)
            status = repair_begin(ret_repair, &found, err);
        comparison_done(&found);
    }
    return status == STATUS_OK && !options->dry_run ? repair_rounds(ret_repair, err) : status;
}

void repair_done(struct repair *repair)
{
    free(repair->entities);
    arena_done(&repair->texts);
    *repair = (struct repair){0};
}

int64_t repair_rows(const struct repair *repair)
{
    static const enum repair_state done[] = {REPAIR_CHANGED, REPAIR_CREATED, REPAIR_DELETED,
                                             REPAIR_PUBLISHED, REPAIR_PUBLISHED_DELETE};
    size_t count = 0;
    for (size_t i = 0; i < sizeof done / sizeof *done; i++)
        count += repair_count(repair, done[i]);
    return (int64_t)count;
}

int repair_exit_code(const struct repair *repair)
{
    bool differs = repair->unnamed > 0 || repair->reason[0] != '\0';
    if (repair->is_doubled)
        return EX_DATAERR;
    for (size_t i = 0; i < repair->count; i++) {
        const struct repair_entity *entity = &repair->entities[i];
        if (entity->state == REPAIR_REFUSED || (repair->options->dry_run && repair_is_due(entity)))
            return EX_DATAERR;
        differs = differs || entity->state == REPAIR_PENDING;
    }
    return differs ? EX_TEMPFAIL : EX_OK;
}
