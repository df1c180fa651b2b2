/* The try of a joint transaction, what it reserves, and the making of a decision (rules 63, 64, 67,
 * 70). */
#include "common/utf8.h"
#include "consumer/store/sql/joint.h"

#include "consumer/store/sql/prepare.h"

#include <stdio.h>
#include <stdlib.h>

#define RUN_SIZE_MAX   ((size_t)64 * 1024 * 1024)
#define ROW_SIZE_MAX   ((size_t)64 * 1024 * 1024)
#define TRIES_MAX      2
#define FIRST_ENTITIES 16 /* there is room for at first */

static enum status run_init(struct joint_run *run, struct store *store,
                            const struct joint_part *part, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    run->store = self;
    run->part = part;
    arena_init(&run->arena, RUN_SIZE_MAX);
    arena_init(&run->row, ROW_SIZE_MAX);
    if (self->joint_tables == NULL)
        return error_set(err, STATUS_FATAL, "the joint types were not prepared");
    joint_tables_begin(self);
    return self->session->execute(self, "SAVEPOINT keepstep_try", err);
}

static void run_done(struct joint_run *run)
{
    arena_done(&run->row);
    arena_done(&run->arena);
}

static enum status run_execute(const struct joint_run *run, const char *sql, struct error *err)
{
    enum status status = run->store->session->execute(run->store, sql, err);
    return status == STATUS_OK ? store_sql_wait(run->store, err) : status;
}

/* What is refused leaves the transaction as it was. Where there is no savepoint any more, a trigger
 * has ended the whole transaction: the caller says what was refused in another one. */
static enum status run_end_savepoint(const struct joint_run *run, enum status status,
                                     struct error *err)
{
    struct error gone = ERROR_INIT;
    if (status != STATUS_OK && status != STATUS_REJECT)
        return status;
    enum status ended = status == STATUS_OK
                            ? STATUS_OK
                            : run_execute(run, "ROLLBACK TO SAVEPOINT keepstep_try", &gone);
    if (ended == STATUS_OK)
        ended = run_execute(run, "RELEASE SAVEPOINT keepstep_try", &gone);
    if (ended == STATUS_OK)
        return status;
    if (status == STATUS_REJECT && gone.status == STATUS_FATAL)
        return err->status = STATUS_STOP;
    if (status == STATUS_OK && err != NULL)
        *err = gone;
    if (err != NULL)
        err->status = STATUS_RETRY;
    return STATUS_RETRY;
}

static enum status run_end(const struct joint_run *run, enum status status, struct error *err)
{
    status = run_end_savepoint(run, status, err);
    enum status back = joint_guard_look_back(run, err);
    return back == STATUS_OK ? status : back;
}

static enum status run_changes(struct joint_run *run, struct error *err)
{
    struct store *store = &run->store->base;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < run->part->change_count; i++)
        status = joint_change_make(run, &run->part->changes[i], err);
    return status == STATUS_OK ? store->ops->defer(store, false, err) : status;
}

/* An entity key is an object, a value's name an array: `["INDEX","VALUE",…]`. */
bool joint_entity_is_value(const struct joint_entity *entity)
{
    return entity->entity_key.length > 0 && entity->entity_key.data[0] == '[';
}

int joint_entity_compare(const void *a, const void *b)
{
    const struct joint_entity *left = a;
    const struct joint_entity *right = b;
    int order = slice_compare(left->entity_type, right->entity_type);
    return order != 0 ? order : slice_compare(left->entity_key, right->entity_key);
}

/* Of an entity that is written several times one is left: a delete before all others, because it
 * has the most conditions, and what only stays behind all. */
static int operation_rank(char operation)
{
    static const char ranks[] = "nkucd";
    return (int)(strchr(ranks, operation) - ranks);
}

static void run_unite_behind(struct joint_run *run, size_t first)
{
    struct joint_entity *items = run->entities.items;
    size_t count = first;
    if (run->entities.count > first)
        qsort(&items[first], run->entities.count - first, sizeof *items, joint_entity_compare);
    for (size_t i = first; i < run->entities.count; i++) {
        struct joint_entity *last = count == first ? NULL : &items[count - 1];
        if (last == NULL || joint_entity_compare(last, &items[i]) != 0)
            items[count++] = items[i];
        else if (operation_rank(items[i].operation) > operation_rank(last->operation))
            last->operation = items[i].operation;
    }
    run->entities.count = count;
}

void joint_run_unite(struct joint_run *run)
{
    run_unite_behind(run, 0);
}

enum status joint_entities_grow(struct joint_run *run, struct joint_entities *entities,
                                struct error *err)
{
    size_t room = entities->room == 0 ? FIRST_ENTITIES : 2 * entities->room;
    if (entities->count < entities->room)
        return STATUS_OK;
    struct joint_entity *items = arena_alloc(&run->arena, room * sizeof *items);
    if (items == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    if (entities->count > 0)
        memcpy(items, entities->items, entities->count * sizeof *items);
    entities->items = items;
    entities->room = room;
    return STATUS_OK;
}

static enum status run_check_count(size_t count, struct error *err)
{
    return count <= JOINT_ENTITIES_MAX
               ? STATUS_OK
               : error_set(err, STATUS_REJECT, "more than %d entities would change",
                           JOINT_ENTITIES_MAX);
}

/* An entity may be written any number of times. */
enum status joint_entity_add(struct joint_run *run, struct joint_entity entity, struct error *err)
{
    struct joint_entities *all = &run->entities;
    enum status status = joint_entities_grow(run, all, err);
    if (status == STATUS_OK && all->count - run->written == 2 * JOINT_ENTITIES_MAX) {
        run_unite_behind(run, run->written);
        status = run_check_count(all->count - run->written, err);
    }
    if (status != STATUS_OK)
        return status;
    entity.entity_type = arena_copy(&run->arena, entity.entity_type);
    entity.entity_key = arena_copy(&run->arena, entity.entity_key);
    if (entity.entity_type.data == NULL || entity.entity_key.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    all->items[all->count++] = entity;
    return STATUS_OK;
}

enum { WRITTEN_TYPE, WRITTEN_KEY, WRITTEN_EVENT, WRITTEN_PAYLOAD, WRITTEN_CAPTURED };

/* @return NULL where a type's entities cannot be reserved. */
static const struct mapping *run_mapping(const struct joint_run *run, struct slice entity_type)
{
    const struct joint_types *types = run->store->joint_types;
    for (size_t i = 0; i < types->count; i++) {
        if (slice_is(entity_type, types->mappings[i].schema->entity_type))
            return &types->mappings[i];
    }
    return NULL;
}

static char written_operation(struct slice event)
{
    const char *dot = event.length == 0 ? NULL : memrchr(event.data, '.', event.length);
    return dot == NULL || dot + 1 == event.data + event.length ? 'u' : dot[1];
}

#define HEADERS_BYTES 2048 /* at most, beside what is counted of the row */

/* The relay would set it aside, and the changes that were made would reach nobody. */
static enum status run_check_size(struct joint_run *run, struct slice key, struct slice payload,
                                  struct error *err)
{
    const struct joint_types *types = run->store->joint_types;
    int64_t bytes = (int64_t)(payload.length + 3 * key.length + HEADERS_BYTES);
    run->event_bytes += bytes;
    run->event_count++;
    if (types->record_bytes > 0 && bytes > types->record_bytes)
        return error_set(err, STATUS_REJECT, "its event would be larger than limits.message_bytes");
    if (types->set_bytes > 0 &&
        (run->event_bytes > types->set_bytes || run->event_count > types->set_events))
        return error_set(err, STATUS_REJECT,
                         "the changes would be a larger change set than limits.changeset_bytes or "
                         "limits.changeset_events allow");
    return STATUS_OK;
}

/* What the triggers would publish must be an event that the relay takes; or the transaction would
 * be committed, and no peer would ever see this part of it. */
static enum status read_written(void *context, struct store_row *row, struct error *err)
{
    struct joint_run *run = context;
    struct slice type = row->bytes(row, WRITTEN_TYPE);
    struct slice key = row->bytes(row, WRITTEN_KEY);
    const struct mapping *mapping = run_mapping(run, type);
    if (row->integer(row, WRITTEN_CAPTURED) == 0)
        return STATUS_OK; /* the service's own event, of no row */
    if (mapping == NULL)
        return error_set(err, STATUS_REJECT,
                         "%.*s %.*s would change too, and publish.%.*s has no `joint:`, so that "
                         "nothing keeps others from changing it",
                         SLICE_ARGS(type), SLICE_ARGS(key), SLICE_ARGS(type));
    struct slice payload = row->bytes(row, WRITTEN_PAYLOAD);
    enum status status = payload_validate(mapping->schema, payload, key, err);
    if (status == STATUS_OK)
        status = run_check_size(run, key, payload, err);
    if (status != STATUS_OK) {
        error_prefix(err, "%.*s %.*s could not be published", SLICE_ARGS(type), SLICE_ARGS(key));
        return status;
    }
    const struct joint_entity entity = {type, key,
                                        written_operation(row->bytes(row, WRITTEN_EVENT))};
    return joint_entity_add(run, entity, err);
}

enum { TOUCHED_TYPE, TOUCHED_KEY };

/* A trigger may write what is not published of a row: nobody else may write that row either, or two
 * transactions could both be promised and none of them be made. */
static enum status read_touched(void *context, struct store_row *row, struct error *err)
{
    struct joint_run *run = context;
    struct joint_entity entity = {row->bytes(row, TOUCHED_TYPE), row->bytes(row, TOUCHED_KEY), 'u'};
    if (joint_entity_is_value(&entity))
        entity.operation = 'n';
    return joint_entity_add(run, entity, err);
}

/* The triggers note what they keep others from writing. One that was made before the type was joint
 * does not, nor does one that is switched off. What was written is to be among what stands behind
 * it. */
static enum status run_check_noted(struct joint_run *run, struct error *err)
{
    struct joint_entity *noted = &run->entities.items[run->written];
    size_t count = run->entities.count - run->written;
    if (count > 0)
        qsort(noted, count, sizeof *noted, joint_entity_compare);
    for (size_t i = 0; i < run->written; i++) {
        const struct joint_entity *entity = &run->entities.items[i];
        bool is_noted = count > 0 &&
                        bsearch(entity, noted, count, sizeof *noted, joint_entity_compare) != NULL;
        if (entity->operation != 'k' && !is_noted)
            return error_set(err, STATUS_REJECT,
                             "%.*s %.*s: no trigger of its table would keep others from writing "
                             "it: run `keepstep init`",
                             SLICE_ARGS(entity->entity_type), SLICE_ARGS(entity->entity_key));
    }
    return STATUS_OK;
}

/* Read what the changes wrote, and what the triggers noted; each entity is counted once. */
static enum status run_read_try(struct joint_run *run, int64_t end, struct error *err)
{
    struct store_sql *self = run->store;
    enum status status = store_sql_query(self, SQL_CALL(JOINT_WRITTEN, parameter_integer(end)),
                                         read_written, run, err);
    joint_run_unite(run);
    run->written = run->entities.count;
    if (status == STATUS_OK)
        status = store_sql_query(self, SQL_CALL_PLAIN(JOINT_TOUCHED), read_touched, run, err);
    if (status == STATUS_OK)
        status = run_check_noted(run, err);
    run->written = 0;
    joint_run_unite(run);
    return status == STATUS_OK ? run_check_count(run->entities.count, err) : status;
}

static enum status run_begin_try(struct joint_run *run, int64_t *ret_end, struct error *err)
{
    struct store_sql *self = run->store;
    run->entities.count = 0;
    run->event_bytes = run->event_count = 0;
    enum status status = store_sql_send(self, SQL_CALL_PLAIN(JOINT_TOUCHED_CLEAR), err);
    if (status == STATUS_OK)
        status = self->session->execute(self, "SAVEPOINT keepstep_look", err);
    if (status == STATUS_OK)
        status = store_sql_send(self, SQL_CALL_PLAIN(JOINT_LOOK_AWAY), err);
    return status == STATUS_OK
               ? store_sql_number(self, SQL_CALL_PLAIN(JOINT_OUTBOX_END), 0, ret_end, err)
               : status;
}

/* Makes the changes for real, reads what they wrote, and takes them back. */
static enum status run_try_once(struct joint_run *run, struct error *err)
{
    struct store_sql *self = run->store;
    struct joint_named *named = NULL;
    size_t named_count = 0;
    int64_t end = 0;
    enum status status = run_begin_try(run, &end, err);
    if (status == STATUS_OK)
        status = run_changes(run, err);
    if (status == STATUS_OK)
        status = run_read_try(run, end, err);
    if (status == STATUS_OK)
        status = joint_parents_read(run, &named, &named_count, err);
    if (status == STATUS_OK)
        status = self->session->execute(self, "ROLLBACK TO SAVEPOINT keepstep_look", err);
    if (status == STATUS_OK)
        status = run_execute(run, "RELEASE SAVEPOINT keepstep_look", err);
    if (status == STATUS_OK)
        status = joint_parents_keep(run, named, named_count, err);
    if (status == STATUS_OK)
        status = run_check_count(run->entities.count, err);
    if (status == STATUS_OK)
        status = joint_guard_look_back(run, err); /* triggers on what is reserved are guarded */
    return status;
}

/* What only the try shows was not guarded while it was made, so it is made once more. Rows whose
 * keys are new each time, from a sequence or a clock, are nobody else's. */
static enum status run_try(struct joint_run *run, struct error *err)
{
    size_t new = 1;
    size_t new_there = 0;
    enum status status = joint_guard_changes(run, err);
    for (size_t i = 0; status == STATUS_OK && new > 0 && i < TRIES_MAX; i++) {
        status = run_try_once(run, err);
        if (status == STATUS_OK)
            status = joint_guard_entities(run, &new, &new_there, err);
    }
    if (status == STATUS_OK && new_there > 0)
        status = error_set(err, STATUS_REJECT,
                           "its triggers change other rows at each try, or unique values are new "
                           "at each, so that none of them can be promised");
    return status;
}

static enum status run_refuse(const struct joint_entity *entity, const char *reason,
                              struct error *err)
{
    return error_set(err, STATUS_REJECT, "%.*s %.*s: %s", SLICE_ARGS(entity->entity_type),
                     SLICE_ARGS(entity->entity_key), reason);
}

/* A name must cover all by which another row or another service's write could take the promise. */
static enum status run_cover(struct joint_run *run, const struct joint_entity *entity,
                             struct error *err)
{
    struct joint_table *table = NULL;
    char reason[2 * STORE_NAME_SIZE + 128];
    enum status status = joint_table_find(run, entity->entity_type, &table, err);
    /* What names a table from now on tells its version only once somebody has opened it. */
    if (status == STATUS_OK &&
        (entity->operation == 'd' || strchr(table->stops, entity->operation) != NULL))
        status = joint_table_look_again(run, table, err);
    if (status != STATUS_OK || strchr(table->stops, entity->operation) == NULL)
        return joint_judge(status, err);
    utf8_format(reason, sizeof reason, "table %s cannot be promised: it %s", table->table->name,
                table->uncovered);
    return run_refuse(entity, reason, err);
}

struct joint_holder {
    bool found;
    int64_t proposal_offset;
    char proposer[JOINT_NAME_SIZE];
    char id[JOINT_NAME_SIZE];
};

static enum status read_holder(void *context, struct store_row *row, struct error *err)
{
    struct joint_holder *holder = context;
    (void)err;
    holder->found = true;
    row->copy(row, 0, holder->proposer, sizeof holder->proposer);
    row->copy(row, 1, holder->id, sizeof holder->id);
    holder->proposal_offset = row->integer(row, 2);
    row->is_last = true;
    return STATUS_OK;
}

/* Who waits only for what stands before him in the log waits for nobody who waits for him (rule
 * 61).
 */
static enum status run_meet(const struct joint_run *run, const struct joint_entity *entity,
                            struct error *err)
{
    struct joint_holder holder = {.found = false};
    enum status status = store_sql_query(run->store,
                                         SQL_CALL(JOINT_HOLDER, parameter_raw(entity->entity_type),
                                                  parameter_raw(entity->entity_key)),
                                         read_holder, &holder, err);
    if (status != STATUS_OK || !holder.found)
        return status;
    bool earlier = holder.proposal_offset < run->part->proposal_offset;
    return error_set(err, earlier ? STATUS_RETRY : STATUS_REJECT, "%.*s %.*s: reserved by %s of %s",
                     SLICE_ARGS(entity->entity_type), SLICE_ARGS(entity->entity_key), holder.id,
                     holder.proposer);
}

/* A service's own trigger may refuse a reservation; one that is broken refuses it too. */
static enum status run_reserve_one(const struct joint_run *run, const struct joint_entity *entity,
                                   struct error *err)
{
    const struct joint_name *name = &run->part->name;
    const struct slice operation = {&entity->operation, 1};
    enum status status = store_sql_run(
        run->store,
        SQL_CALL(JOINT_RESERVE, parameter_raw(entity->entity_type),
                 parameter_raw(entity->entity_key), parameter_slice(operation),
                 parameter_raw(name->proposer), parameter_raw(name->id)),
        err);
    status = joint_judge(status, err);
    if (status == STATUS_REJECT)
        error_prefix(err, "%.*s %.*s", SLICE_ARGS(entity->entity_type),
                     SLICE_ARGS(entity->entity_key));
    return status;
}

/* Sent without waiting: what comes behind it returns the error. */
static enum status run_release(const struct joint_run *run, struct error *err)
{
    const struct joint_name *name = &run->part->name;
    return store_sql_send(
        run->store, SQL_CALL(JOINT_RELEASE, parameter_raw(name->proposer), parameter_raw(name->id)),
        err);
}

/* What was reserved by an attempt before is looked at as if nothing was. */
static enum status run_reserve(struct joint_run *run, struct error *err)
{
    enum status status = run_release(run, err);
    for (size_t i = 0; status == STATUS_OK && i < run->entities.count; i++)
        status = run_cover(run, &run->entities.items[i], err);
    for (size_t i = 0; status == STATUS_OK && i < run->entities.count; i++)
        status = run_meet(run, &run->entities.items[i], err);
    for (size_t i = 0; status == STATUS_OK && i < run->entities.count; i++)
        status = run_reserve_one(run, &run->entities.items[i], err);
    return status == STATUS_OK ? joint_guard_count(run, err) : status;
}

enum status joint_sql_attempt(struct store *store, const struct joint_part *part, struct error *err)
{
    struct joint_run run = {.keeps_entities = true};
    enum status status = run_init(&run, store, part, err);
    if (status == STATUS_OK) {
        status = joint_guard_durable(&run, err);
        if (status == STATUS_OK)
            status = run_try(&run, err);
        if (status == STATUS_OK)
            status = run_reserve(&run, err);
        status = run_end(&run, status, err);
    }
    run_done(&run);
    return status;
}

/* A decision is made so once, whoever asks for it again. */
static enum status run_settle(struct joint_run *run, struct error *err)
{
    const struct joint_name *name = &run->part->name;
    int64_t settled = 0;
    enum status status = store_sql_number(
        run->store, SQL_CALL(JOINT_SETTLED, parameter_raw(name->proposer), parameter_raw(name->id)),
        0, &settled, err);
    if (status != STATUS_OK || settled != 0)
        return status;
    status = run->part->late ? joint_guard_changes(run, err) : STATUS_OK;
    if (status == STATUS_OK)
        status = joint_guard_read(run, err);
    joint_run_unite(run);
    if (status == STATUS_OK && run->part->committed)
        status = joint_guard_rows(run, err);
    if (status == STATUS_OK)
        status = run_release(run, err);
    if (status == STATUS_OK && run->part->committed)
        status = joint_guard_name(run, err);
    if (status == STATUS_OK && run->part->committed)
        status = run_changes(run, err);
    return status == STATUS_OK ? joint_guard_count(run, err) : status;
}

enum status joint_sql_settle(struct store *store, const struct joint_part *part, struct error *err)
{
    struct joint_run run = {.keeps_entities = false};
    enum status status = run_init(&run, store, part, err);
    if (status == STATUS_OK)
        status = run_end(&run, run_settle(&run, err), err);
    run_done(&run);
    return status;
}
