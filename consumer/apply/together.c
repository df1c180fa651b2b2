/* Tries entities together that wait for each other: rows that swap a unique value, or foreign keys
 * in a circle. One transaction of the origin wrote them; as events of one row each, none can be
 * first. */
#include "consumer/apply/parked.h"
#include "consumer/apply/image.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/write.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define TOGETHER_MAX        64  /* entities in one transaction */
#define TOGETHER_HEADS      100 /* read of a partition, to choose from */
#define TOGETHER_BYTES      ((size_t)256 << 20)
#define TOGETHER_PASSES     8 /* each leaves out what failed in the one before */
#define TOGETHER_NEIGHBOURS 8
#define TOGETHER_ROUND_US   100000
#define TOGETHER_PAUSE_US   1000000
#define TOGETHER_PAUSE_MAX  60000000
#define TOGETHER_ATTEMPTS   2 /* by then it was tried alone once since it was parked */

/** The oldest parked record of an entity, which waits. */
struct member {
    struct owned *owned;
    const struct parked_record *record;
    struct change *change;
    const struct mapping *mapping;
    bool is_in_the_way; /* it failed in this pass */
};

struct group {
    struct applier *applier;
    struct member *members;
    size_t count;
    int64_t until_us; /* monotonic: no attempt begins later */
};

static bool group_has(const struct group *group, const struct owned *owned)
{
    for (size_t i = 0; i < group->count; i++) {
        if (group->members[i].owned == owned)
            return true;
    }
    return false;
}

bool applier_may_move(const struct applier *applier, const struct mapping *mapping,
                      const struct change *change)
{
    const struct table_order *order = applier_order(applier, mapping);
    return order->is_whole && !order->is_followed && change->op != CHANGE_DELETE &&
           !applier_is_sparse(change);
}

/** Begin with the fences of all partitions that the group has members of. */
static enum status group_begin(const struct group *group, struct error *err)
{
    struct applier *applier = group->applier;
    size_t count = 0;
    struct fence *fences = arena_alloc(&applier->arena,
                                       (applier->owned_count + 1) * sizeof *fences);
    if (fences == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < applier->owned_count; i++) {
        if (group_has(group, &applier->owned[i]))
            fences[count++] = applier_fence(&applier->owned[i]);
    }
    return applier->ops->begin(applier->store, fences, count, err);
}

/** Delete the members' rows, so that their unique values are free. A row that cannot be deleted
 * stays. */
static enum status group_make_room(const struct group *group, struct error *err)
{
    const struct store_ops *ops = group->applier->ops;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < group->count && status == STATUS_OK; i++) {
        const struct member *member = &group->members[i];
        struct change removal = *member->change;
        const struct change *const changes[] = {&removal};
        struct error why = ERROR_INIT;
        removal.op = CHANGE_DELETE;
        if (!applier_may_move(group->applier, member->mapping, member->change))
            continue;
        status = ops->savepoint(group->applier->store, false, err);
        if (status != STATUS_OK)
            return status;
        status = ops->apply(group->applier->store, member->mapping, changes, 1, &why);
        if (status == STATUS_REJECT)
            status = ops->savepoint(group->applier->store, true, err);
        else if (status != STATUS_OK)
            *err = why;
    }
    return status;
}

/** Write one member after a savepoint. @return OK, also where it fails and is in the way. */
static enum status member_write(struct applier *applier, struct member *member, struct error *err)
{
    struct error why = ERROR_INIT;
    bool superseded = false;
    member->is_in_the_way = false;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status == STATUS_OK)
        status = applier_ask_pending_singly(applier, member->owned, member->record->entity_type,
                                            err);
    if (status == STATUS_OK)
        status = applier_is_pending_now(applier, member->change->entity_type,
                                        member->change->entity_key, &superseded, err);
    if (status != STATUS_OK)
        return status;
    if (!superseded)
        status = applier_attempt_write(applier, member->mapping, member->change, &superseded, &why);
    member->is_in_the_way = superseded || status == STATUS_REJECT || status == STATUS_STOP;
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK) {
        *err = why;
        applier_name_fatal(err, member->record->entity_type, member->record->entity_key,
                           &member->record->record);
    }
    return status;
}

/** Leave out what was in the way. @return whether anything was. */
static bool group_leave_out(struct group *group)
{
    size_t left = 0;
    for (size_t i = 0; i < group->count; i++) {
        if (!group->members[i].is_in_the_way)
            group->members[left++] = group->members[i];
    }
    bool is_smaller = left < group->count;
    group->count = left;
    return is_smaller;
}

/** Delete the parked records, which are applied now, and read each partition again.
 * @param fresh  one for each owned partition. */
static enum status group_record(const struct group *group, struct partition_state *fresh,
                                struct error *err)
{
    struct applier *applier = group->applier;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < group->count && status == STATUS_OK; i++) {
        const struct member *member = &group->members[i];
        status = applier->ops->edit_parked(applier->store, member->record, PARKED_DELETE, err);
        if (status == STATUS_OK)
            status = applier_drop_image(applier, member->owned, member->change, err);
    }
    for (size_t i = 0; i < applier->owned_count && status == STATUS_OK; i++) {
        const struct partition_state *state = &applier->owned[i].state;
        if (group_has(group, &applier->owned[i]))
            status = applier->ops->read(applier->store, state->topic, state->partition, &fresh[i],
                                        err);
    }
    return status;
}

/** After the commit: what was read is the partitions' state now. */
static void group_advance(const struct group *group, struct partition_state *fresh)
{
    struct applier *applier = group->applier;
    const struct parked_record *first = group->members[0].record;
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (!group_has(group, owned))
            continue;
        partition_state_done(&owned->state);
        owned->state = fresh[i];
        owned->retry.unordered = owned->state.parked_count > 0;
        owned->retry.is_cured = owned->state.waiting_count > 0;
        fresh[i] = (struct partition_state){0};
        applier_publish_metrics(applier, owned);
    }
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < group->count; i++)
        applier_tally_applied(applier, group->members[i].change, now_us);
    atomic_fetch_add(&applier->metrics->events_applied, group->count);
    atomic_fetch_add(&applier->metrics->events_healed, group->count);
    log_info("agent",
             "%zu parked entities that waited for each other are applied together, %.*s %.*s from "
             "%s/%d offset %lld the first",
             group->count, SLICE_ARGS(first->entity_type), SLICE_ARGS(first->entity_key),
             first->record.topic, first->record.partition, (long long)first->record.offset);
}

static enum status group_commit(const struct group *group, struct error *err)
{
    struct applier *applier = group->applier;
    struct partition_state *fresh = calloc(applier->owned_count, sizeof *fresh);
    if (fresh == NULL)
        return applier_no_memory(err);
    enum status status = group_record(group, fresh, err);
    if (status == STATUS_OK) {
        failpoint(FAILPOINT_AGENT_PARKED_BEFORE_COMMIT);
        status = applier_commit(applier, false, err);
    }
    if (status == STATUS_OK)
        group_advance(group, fresh);
    for (size_t i = 0; i < applier->owned_count; i++)
        partition_state_done(&fresh[i]);
    free(fresh);
    return status;
}

/** Write all members in one transaction, or none. @return OK with *ret_done. */
static enum status group_write(const struct group *group, bool deferred, bool *ret_done,
                               struct error *err)
{
    struct applier *applier = group->applier;
    struct error why = ERROR_INIT;
    bool is_clear = true;
    applier_begin_work(applier);
    enum status status = group_begin(group, err);
    if (status == STATUS_OK && deferred)
        status = applier->ops->defer(applier->store, true, err);
    if (status == STATUS_OK)
        status = group_make_room(group, err);
    for (size_t i = 0; i < group->count && status == STATUS_OK; i++) {
        status = member_write(applier, &group->members[i], err);
        is_clear = is_clear && !group->members[i].is_in_the_way;
    }
    if (status == STATUS_OK && is_clear && deferred) {
        status = applier->ops->defer(applier->store, false, &why);
        is_clear = status == STATUS_OK;
        if (status == STATUS_REJECT)
            status = STATUS_OK;
        else if (status != STATUS_OK)
            *err = why;
    }
    if (status == STATUS_OK && is_clear)
        status = group_commit(group, err);
    if (status != STATUS_OK)
        return applier_recover(applier, status, err);
    if (!is_clear)
        applier->ops->rollback(applier->store);
    *ret_done = is_clear;
    return STATUS_OK;
}

/** Write the group; leave out the members that are in the way of others, and write it again.
 * @param deferred  let constraints wait for the end, where they can. */
static enum status group_try(struct group group, bool deferred, bool *ret_done, struct error *err)
{
    enum status status = STATUS_OK;
    struct member *members = arena_alloc(&group.applier->arena, group.count * sizeof *members);
    if (members == NULL)
        return applier_no_memory(err);
    memcpy(members, group.members, group.count * sizeof *members);
    group.members = members;
    for (int pass = 0; pass < TOGETHER_PASSES && status == STATUS_OK && group.count > 1; pass++) {
        if (clock_monotonic_us() >= group.until_us)
            break;
        status = group_write(&group, deferred, ret_done, err);
        if (status != STATUS_OK || *ret_done || !group_leave_out(&group))
            break;
    }
    return status;
}

/** Try with deferred constraints. The database does not say which member violates one, so a single
 * member may spoil the whole group. After the whole group, try small groups of members that were
 * parked one after the other, as the events of one transaction are. */
static enum status group_defer(const struct group *group, bool *ret_done, struct error *err)
{
    size_t *turn = &group->applier->turns.together.turn;
    enum status status = group_try(*group, true, ret_done, err);
    for (size_t i = 0; i < group->count - 1 && status == STATUS_OK && !*ret_done; i++) {
        struct group part = *group;
        size_t start = *turn % (group->count - 1);
        part.members += start;
        for (part.count = 2;
             part.count <= TOGETHER_NEIGHBOURS && start + part.count <= group->count &&
             status == STATUS_OK && !*ret_done && clock_monotonic_us() < part.until_us;
             part.count++)
            status = group_try(part, true, ret_done, err);
        if (clock_monotonic_us() >= part.until_us)
            break;
        ++*turn;
    }
    return status;
}

enum status applier_read_orders(struct applier *applier, struct error *err)
{
    struct copies copies = {.mappings = applier->mappings, .count = applier->mapping_count};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < applier->mapping_count && status == STATUS_OK; i++) {
        struct table_order order = {0};
        status = applier->ops->order(applier->store, &applier->mappings[i], &copies, &order, err);
        if (status == STATUS_OK)
            applier->orders[i] = order;
    }
    return applier_note(applier, status, err);
}

/** @return OK with whether a later own record of its entity is parked, which will supersede it
 * (rule 18); true also where that is not known yet. */
static enum status group_is_older(const struct group *group, struct owned *owned,
                                  const struct parked_record *head, bool *ret_older,
                                  struct error *err)
{
    struct applier *applier = group->applier;
    const struct mapping *mapping = applier_mapping(applier, head->entity_type);
    struct queue_scan *scan = NULL;
    *ret_older = false;
    if (mapping == NULL || !mapping->published_here)
        return STATUS_OK;
    enum status status = queue_scan_on(applier, &(struct queue){owned, head}, group->until_us,
                                       &scan, err);
    *ret_older = scan == NULL || scan->last_own > head->record.offset;
    return status;
}

/** Add the waiting heads of a partition, at most TOGETHER_HEADS; the next time goes on from there.
 * Where memory does not suffice, the heads of the earlier partitions are all. */
static enum status group_collect(struct group *group, struct owned *owned, struct arena *arena,
                                 struct error *err)
{
    struct applier *applier = group->applier;
    struct error why = ERROR_INIT;
    struct parked_records read = {0};
    const struct parked_filter filter = {.topic = owned->state.topic,
                                         .partition = owned->state.partition,
                                         .due_us = INT64_MAX,
                                         .from_offset = owned->retry.together_offset,
                                         .limit = TOGETHER_HEADS};
    enum status status = applier->ops->read_parked(applier->store, &filter, arena, &read, &why);
    struct parked_record *heads = read.records;
    if (status == STATUS_RETRY && !why.connection_lost)
        return STATUS_OK;
    if (status != STATUS_OK)
        *err = why;
    else /* go on in the middle of these, so that neighbours meet */
        owned->retry.together_offset = read.count == TOGETHER_HEADS
                                           ? heads[read.count / 2].record.offset
                                           : 0;
    for (size_t i = 0; i < read.count && status == STATUS_OK; i++) {
        bool older = false;
        if (heads[i].attempts < TOGETHER_ATTEMPTS || heads[i].changeset_end != 0)
            continue; /* a set is tried whole, and alone */
        status = group_is_older(group, owned, &heads[i], &older, err);
        if (status == STATUS_OK && !older)
            group->members[group->count++] = (struct member){.owned = owned, .record = &heads[i]};
    }
    return applier_note(applier, status, err);
}

static int member_compare(const void *a, const void *b)
{
    const struct parked_record *left = ((const struct member *)a)->record;
    const struct parked_record *right = ((const struct member *)b)->record;
    return (left->parked_at_us > right->parked_at_us) - (left->parked_at_us < right->parked_at_us);
}

/** Sort by the time of parking. Where there are too many for one transaction, take another part
 * each time. */
static void group_choose(struct group *group)
{
    if (group->count == 0)
        return;
    qsort(group->members, group->count, sizeof *group->members, member_compare);
    if (group->count <= TOGETHER_MAX)
        return;
    size_t first = group->applier->turns.together.part++ * (TOGETHER_MAX / 2) % group->count;
    if (first > group->count - TOGETHER_MAX)
        first = group->count - TOGETHER_MAX;
    group->members += first;
    group->count = TOGETHER_MAX;
}

/** Decode the members. Leave out what cannot be decoded or finds no memory. */
static void group_decode(struct group *group)
{
    struct applier *applier = group->applier;
    size_t left = 0;
    for (size_t i = 0; i < group->count && applier->arena.used < applier->arena.size_max / 2; i++) {
        struct member member = group->members[i];
        struct error ignored = ERROR_INIT;
        if (applier_decode(applier, &member.record->record, &member.change, &ignored) !=
                STATUS_OK ||
            member.change->schema == NULL)
            continue;
        member.mapping = applier_mapping(applier, member.change->entity_type);
        member.change->partition_index = (size_t)(member.owned - applier->owned);
        group->members[left++] = member;
    }
    group->count = left;
}

static enum status applier_together(struct applier *applier, bool *ret_done, struct error *err)
{
    struct arena arena;
    struct group group = {.applier = applier, .until_us = clock_monotonic_us() + TOGETHER_ROUND_US};
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK)
        return status;
    arena_reset(&applier->arena);
    arena_init(&arena, TOGETHER_BYTES);
    struct member *all = calloc(applier->owned_count * TOGETHER_HEADS, sizeof *all);
    group.members = all;
    if (all == NULL)
        status = applier_no_memory(err);
    for (size_t i = 0; i < applier->owned_count && status == STATUS_OK; i++) {
        const struct owned *owned = &applier->owned[i];
        if (owned->state.waiting_count > 0 && !owned->retry.unordered && !owned->is_paused)
            status = group_collect(&group, &applier->owned[i], &arena, err);
    }
    group_choose(&group);
    group_decode(&group);
    if (status == STATUS_OK && group.count > 1)
        status = applier_read_orders(applier, err);
    if (status == STATUS_OK && group.count > 1)
        status = group_try(group, false, ret_done, err);
    if (status == STATUS_OK && !*ret_done && group.count > 1)
        status = group_defer(&group, ret_done, err);
    free(all);
    arena_done(&arena);
    return status;
}

enum status applier_retry_together(struct applier *applier, struct error *err)
{
    struct together *together = &applier->turns.together;
    int64_t now = clock_monotonic_us();
    int64_t waiting = 0;
    bool done = false;
    for (size_t i = 0; i < applier->owned_count; i++)
        waiting += applier->owned[i].is_paused ? 0 : applier->owned[i].state.waiting_count;
    if (waiting > together->waiting) /* more are parked: try soon */
        together->pause_us = 0;
    bool is_time = now - together->tried_us >=
                   (together->pause_us == 0 ? TOGETHER_PAUSE_US : together->pause_us);
    if (waiting < 2 || !is_time) {
        together->waiting = waiting < together->waiting ? waiting : together->waiting;
        return STATUS_OK;
    }
    enum status status = applier_together(applier, &done, err);
    together->tried_us = clock_monotonic_us();
    together->waiting = waiting;
    together->pause_us = done || together->pause_us == 0               ? TOGETHER_PAUSE_US
                         : together->pause_us * 2 < TOGETHER_PAUSE_MAX ? together->pause_us * 2
                                                                       : TOGETHER_PAUSE_MAX;
    return status;
}
