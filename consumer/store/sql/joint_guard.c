/* Keeps a service's own writers and the reservations of joint transactions apart, where both write
 * at the same time (rule 66): whoever writes an entity holds the bucket of its name shared, whoever
 * reserves it holds it alone, from before the try until both are committed. */
#include "consumer/store/sql/joint.h"

#include "common/failpoint.h"
#include "consumer/store/sql/prepare.h"

#include <stdlib.h>

#define GUARD_TEXT_SIZE 512
#define STALE_MAX       256 /* counted in one transaction */

static bool run_has_guard(const struct joint_run *run)
{
    return run->store->session->has_guard;
}

static enum status read_not_durable(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    row->copy(row, 0, context, GUARD_TEXT_SIZE);
    return STATUS_OK;
}

enum status joint_guard_durable(const struct joint_run *run, struct error *err)
{
    char settings[GUARD_TEXT_SIZE] = "";
    if (!run_has_guard(run))
        return STATUS_OK;
    enum status status = store_sql_query(run->store, SQL_CALL_PLAIN(JOINT_NOT_DURABLE),
                                         read_not_durable, settings, err);
    if (status != STATUS_OK || settings[0] == '\0')
        return status;
    return error_set(err, STATUS_REJECT,
                     "the database can lose what it has committed, so that nothing can be promised "
                     "in it: %s",
                     settings);
}

static enum status read_bucket(void *context, struct store_row *row, struct error *err)
{
    (void)row;
    (void)err;
    ++*(size_t *)context;
    return STATUS_OK;
}

/* A table is kept before its bucket, so that TRUNCATE, which holds the table and looks at the
 * names, comes before both or behind them. */
static enum status guard_send(struct joint_run *run, const struct joint_entity *entity,
                              size_t *buckets, struct error *err)
{
    struct joint_table *table = NULL;
    enum status status = joint_judge(joint_table_find(run, entity->entity_type, &table, err), err);
    if (status == STATUS_OK)
        status = store_sql_ask(run->store,
                               SQL_CALL(JOINT_GUARD, parameter_raw(entity->entity_type),
                                        parameter_raw(entity->entity_key)),
                               read_bucket, buckets, err);
    else if (status == STATUS_REJECT)
        error_prefix(err, "%.*s %.*s", SLICE_ARGS(entity->entity_type),
                     SLICE_ARGS(entity->entity_key));
    return status;
}

static bool run_is_guarded(const struct joint_run *run, const struct joint_entity *entity,
                           size_t count)
{
    return count > 0 && bsearch(entity, run->guarded.items, count, sizeof *run->guarded.items,
                                joint_entity_compare) != NULL;
}

enum status joint_guard_entities(struct joint_run *run, size_t *ret_new, size_t *ret_new_there,
                                 struct error *err)
{
    const size_t before = run->guarded.count;
    size_t buckets = 0;
    enum status status = STATUS_OK;
    *ret_new = *ret_new_there = 0;
    for (size_t i = 0; run_has_guard(run) && status == STATUS_OK && i < run->entities.count; i++) {
        const struct joint_entity *entity = &run->entities.items[i];
        if (run_is_guarded(run, entity, before))
            continue;
        status = joint_entities_grow(run, &run->guarded, err);
        if (status != STATUS_OK)
            break; /* what was asked still counts its buckets */
        run->guarded.items[run->guarded.count++] = *entity;
        *ret_new_there += entity->operation != 'c';
        status = guard_send(run, entity, &buckets, err);
    }
    *ret_new = run->guarded.count - before;
    enum status sent = store_sql_wait(run->store, status == STATUS_OK ? err : NULL);
    status = status == STATUS_OK ? sent : status;
    if (status == STATUS_OK && buckets != *ret_new)
        status = error_set(err, STATUS_REJECT,
                           "keepstep_guard lacks rows: drop it, then run `keepstep init`");
    if (run->guarded.count > before)
        qsort(run->guarded.items, run->guarded.count, sizeof *run->guarded.items,
              joint_entity_compare);
    return status;
}

enum status joint_guard_changes(struct joint_run *run, struct error *err)
{
    size_t ignored = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; run_has_guard(run) && status == STATUS_OK && i < run->part->change_count;
         i++) {
        struct joint_entity entity = {0};
        status = joint_change_entity(run, &run->part->changes[i], &entity, err);
        if (status == STATUS_OK)
            status = joint_entity_add(run, entity, err);
    }
    return status == STATUS_OK ? joint_guard_entities(run, &ignored, &ignored, err) : status;
}

static enum status read_reserved(void *context, struct store_row *row, struct error *err)
{
    const struct joint_entity entity = {row->bytes(row, 0), row->bytes(row, 1), 'u'};
    return joint_entity_add(context, entity, err);
}

enum status joint_guard_read(struct joint_run *run, struct error *err)
{
    const struct joint_name *name = &run->part->name;
    return run_has_guard(run)
               ? store_sql_query(run->store,
                                 SQL_CALL(JOINT_RESERVED_OF, parameter_raw(name->proposer),
                                          parameter_raw(name->id)),
                                 read_reserved, run, err)
               : STATUS_OK;
}

bool joint_failed_alone(struct store_sql *store, const struct error *why)
{
    struct error ignored = ERROR_INIT;
    int64_t open = 0;
    return why->status == STATUS_RETRY && !why->connection_lost && store->base.ops->refuses_alone &&
           store_sql_number(store, SQL_CALL_PLAIN(JOINT_IS_OPEN), 0, &open, &ignored) ==
               STATUS_OK &&
           open != 0;
}

/* Take one bucket where nobody holds it. @param ret_bucket  -1: somebody does. */
static enum status guard_free(struct store_sql *store, struct sql_call call, int64_t *ret_bucket,
                              struct error *err)
{
    struct error held = ERROR_INIT;
    enum status status = store_sql_number(store, call, -1, ret_bucket, &held);
    if (status == STATUS_RETRY && joint_failed_alone(store, &held))
        return STATUS_OK;
    if (status != STATUS_OK && err != NULL)
        *err = held;
    return status;
}

static enum status guard_count_bucket(struct store_sql *store, int64_t bucket, struct error *err)
{
    return store_sql_send(store, SQL_CALL(JOINT_GUARD_COUNT, parameter_integer(bucket)), err);
}

static enum status guard_count_one(const struct joint_run *run, const struct joint_entity *entity,
                                   struct error *err)
{
    int64_t bucket = -1;
    enum status status = guard_free(run->store,
                                    SQL_CALL(JOINT_GUARD_FREE, parameter_raw(entity->entity_type),
                                             parameter_raw(entity->entity_key)),
                                    &bucket, err);
    if (status == STATUS_OK && bucket >= 0)
        return guard_count_bucket(run->store, bucket, err);
    if (status == STATUS_OK && run->keeps_entities)
        return error_set(err, STATUS_RETRY, "the bucket of %.*s %.*s is not to be had",
                         SLICE_ARGS(entity->entity_type), SLICE_ARGS(entity->entity_key));
    return status;
}

/* What is released may be counted still: that costs others a look. What is promised is counted, or
 * nobody would look. */
enum status joint_guard_count(const struct joint_run *run, struct error *err)
{
    enum status status = STATUS_OK;
    if (failpoint_rule_is_off(FAILPOINT_NO_GUARD))
        return STATUS_OK;
    for (size_t i = 0; run_has_guard(run) && status == STATUS_OK && i < run->entities.count; i++)
        status = guard_count_one(run, &run->entities.items[i], err);
    return status == STATUS_OK ? store_sql_wait(run->store, err) : status;
}

enum status joint_guard_name(const struct joint_run *run, struct error *err)
{
    struct buffer name;
    if (!run_has_guard(run))
        return STATUS_OK;
    buffer_init(&name, JOINT_BYTES_MAX);
    joint_name_append(run->part->name, &name);
    enum status status = name.failed ? error_set(err, STATUS_RETRY, "no memory")
                                     : store_sql_run(run->store,
                                                     SQL_CALL(JOINT_NAME_CHANGES,
                                                              parameter_raw(buffer_slice(&name))),
                                                     err);
    buffer_done(&name);
    return status;
}

/** Buckets that are counted wrongly. */
struct stale_buckets {
    int64_t buckets[STALE_MAX];
    size_t count;
};

static enum status read_stale(void *context, struct store_row *row, struct error *err)
{
    struct stale_buckets *stale = context;
    (void)err;
    stale->buckets[stale->count++] = row->integer(row, 0);
    row->is_last = stale->count == STALE_MAX;
    return STATUS_OK;
}

/* One that a writer holds is counted the next time. */
enum status joint_guard_recount(struct store_sql *store, struct error *err)
{
    struct stale_buckets stale = {.count = 0};
    if (!store->session->has_guard)
        return STATUS_OK;
    enum status status = store_sql_query(store, SQL_CALL_PLAIN(JOINT_GUARD_STALE), read_stale,
                                         &stale, err);
    for (size_t i = 0; status == STATUS_OK && i < stale.count; i++) {
        int64_t bucket = -1;
        status = guard_free(store, SQL_CALL(JOINT_GUARD_KEEP, parameter_integer(stale.buckets[i])),
                            &bucket, err);
        if (status == STATUS_OK && bucket >= 0)
            status = guard_count_bucket(store, bucket, err);
    }
    return status == STATUS_OK ? store_sql_wait(store, err) : status;
}

/* The entities are in the order of their types. Writers that hold a row of theirs are refused by
 * its name, which is why that stays until the rows are had: whoever waits is the next one. */
enum status joint_guard_rows(struct joint_run *run, struct error *err)
{
    struct slice *keys = arena_alloc(&run->arena, (run->entities.count + 1) * sizeof *keys);
    enum status status = keys == NULL ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
    for (size_t i = 0; run_has_guard(run) && status == STATUS_OK && i < run->entities.count;) {
        struct joint_table *table = NULL;
        struct slice type = run->entities.items[i].entity_type;
        size_t count = 0;
        for (; i < run->entities.count && slice_equal(run->entities.items[i].entity_type, type);
             i++) {
            if (!joint_entity_is_value(&run->entities.items[i]))
                keys[count++] = run->entities.items[i].entity_key;
        }
        status = joint_judge(joint_table_find(run, type, &table, err), err);
        if (status == STATUS_OK && count > 0)
            status = joint_judge(sql_table_lock(table->table, keys, count, err), err);
    }
    return status;
}

/* A session that still looks away would write past the reservations of others, and its events would
 * count as those of a try: it is not used any more. */
enum status joint_guard_look_back(const struct joint_run *run, struct error *err)
{
    struct error failed = ERROR_INIT;
    bool has_ended = run->keeps_entities && !run->store->tables.dialect->silence_stays;
    if (!run_has_guard(run) || has_ended || (err != NULL && err->connection_lost) ||
        store_sql_run(run->store, SQL_CALL_PLAIN(JOINT_LOOK_BACK), &failed) == STATUS_OK ||
        !run->store->tables.dialect->silence_stays)
        return STATUS_OK;
    (void)error_set(err, STATUS_RETRY, "the session that made a try is given up: %s", failed.text);
    if (err != NULL)
        err->connection_lost = true;
    return STATUS_RETRY;
}
