/* Writes a change set whole behind one savepoint: in bulk, and where that is refused change by
 * change in the order of the log, which tells the one at fault (rules 21 and 57). */
#include "consumer/apply/judge.h"
#include "consumer/apply/parked.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/set.h"
#include "consumer/apply/write.h"

#include <string.h>

enum set_way {
    SET_IN_BULK,
    SET_SINGLY,
    SET_ANEW, /* singly, after its rows were deleted */
};

static enum status set_write_in_bulk(struct applier *applier, const struct set_writes *set,
                                     struct error *err)
{
    struct write *all = arena_alloc(&applier->arena, set->count * sizeof *all);
    if (all == NULL)
        return applier_no_memory(err);
    memcpy(all, set->writes, set->count * sizeof *all);
    return applier_write_reduced(applier, all, set->count, err);
}

static enum status set_write_one(struct applier *applier, struct write *write, struct error *err)
{
    const struct change *image = write->image;
    struct error why = ERROR_INIT;
    enum status status = applier->ops->apply(applier->store, write->mapping, &image, 1, &why);
    write->is_absent = status != STATUS_OK &&
                       applier_passes_absent(&applier->owned[image->partition_index],
                                             image->record.offset, &why);
    if (status == STATUS_OK || write->is_absent)
        return STATUS_OK;
    *err = why;
    applier_name_fatal(err, image->entity_type, image->entity_key, &image->record);
    return status;
}

static enum status set_write_singly(struct applier *applier, struct set_writes *set,
                                    struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++) {
        status = set_write_one(applier, &set->writes[i], err);
        set->fault = status == STATUS_OK ? SET_FAULT_UNKNOWN : i;
    }
    return status;
}

/** @return whether a write has to wait for an earlier one of its entity. */
static bool set_waits(const struct set_writes *set, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (!set->writes[i].is_done &&
            write_compare_entity(&set->writes[i], &set->writes[index]) == 0)
            return true;
    }
    return false;
}

/** Where nothing can be deferred: what waits for another change of the set comes behind that one.
 * So a child may stand before its parent in the log. */
static enum status set_write_in_turns(struct applier *applier, struct set_writes *set,
                                      struct error *err)
{
    enum status status = STATUS_OK;
    size_t left = set->count;
    size_t before = left + 1;
    for (size_t i = 0; i < set->count; i++)
        set->writes[i].is_done = false;
    while (status == STATUS_OK && left > 0 && left < before) {
        before = left;
        set->fault = SET_FAULT_UNKNOWN;
        for (size_t i = 0; i < set->count && status == STATUS_OK; i++) {
            struct error why = ERROR_INIT;
            struct write *write = &set->writes[i];
            if (write->is_done || (set->fault != SET_FAULT_UNKNOWN && set_waits(set, i)))
                continue;
            status = set_write_one(applier, write, &why);
            write->is_done = status == STATUS_OK;
            left -= write->is_done;
            if (status == STATUS_OK)
                continue;
            bool waits = status == STATUS_REJECT && why.reject == REJECT_WAITING;
            if (set->fault == SET_FAULT_UNKNOWN || !waits) {
                set->fault = i;
                *err = why;
            }
            status = waits ? STATUS_OK : status;
        }
    }
    if (status == STATUS_OK && left == 0)
        error_clear(err);
    return status == STATUS_OK && left > 0 ? STATUS_REJECT : status;
}

/** Delete the rows, so that their unique values are free for each other. */
static enum status set_make_room(struct applier *applier, const struct set_writes *set,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++) {
        const struct write *write = &set->writes[i];
        struct change removal = *write->image;
        const struct change *const changes[] = {&removal};
        removal.op = CHANGE_DELETE;
        if (applier_may_move(applier, write->mapping, write->image))
            status = applier->ops->apply(applier->store, write->mapping, changes, 1, err);
    }
    return status;
}

/** @return as applier_write_set(). */
static enum status set_try(struct applier *applier, struct set_writes *set, enum set_way way,
                           struct error *err)
{
    const struct store_ops *ops = applier->ops;
    struct error why = ERROR_INIT;
    set->fault = SET_FAULT_UNKNOWN;
    enum status status = ops->savepoint(applier->store, false, &why);
    if (status == STATUS_OK)
        status = ops->defer(applier->store, true, &why);
    if (status == STATUS_OK && way == SET_ANEW)
        status = set_make_room(applier, set, &why);
    if (status == STATUS_OK && way == SET_IN_BULK)
        status = set_write_in_bulk(applier, set, &why);
    else if (status == STATUS_OK)
        status = ops->refuses_alone ? set_write_in_turns(applier, set, &why)
                                    : set_write_singly(applier, set, &why);
    if (status == STATUS_OK && !set->goes_on)
        status = ops->defer(applier->store, false, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP) {
        enum status undone = ops->savepoint(applier->store, true, err);
        if (undone == STATUS_OK && !set->is_part) /* what parts before it defer is not checked */
            undone = ops->defer(applier->store, false, err);
        if (undone != STATUS_OK)
            return undone;
    }
    if (status != STATUS_OK)
        *err = why;
    return status;
}

enum status applier_write_set(struct applier *applier, struct set_writes *set, struct error *err)
{
    bool in_bulk = !set->is_singly && set->count > 1;
    enum status status = set_try(applier, set, in_bulk ? SET_IN_BULK : SET_SINGLY, err);
    if (in_bulk && (status == STATUS_REJECT || status == STATUS_STOP)) {
        error_clear(err);
        status = set_try(applier, set, SET_SINGLY, err);
    }
    if (status != STATUS_REJECT || err->reject != REJECT_WAITING || !set->may_move)
        return status;
    struct error why = *err;
    size_t fault = set->fault;
    error_clear(err);
    status = set_try(applier, set, SET_ANEW, err);
    if (status == STATUS_REJECT || status == STATUS_STOP) { /* the first reason says more */
        *err = why;
        set->fault = fault;
        status = STATUS_REJECT;
    }
    return status;
}

/** List the writes of a set of the batch. */
static void set_collect(const struct applier *applier, struct batch *batch, size_t first,
                        struct set_writes *set)
{
    set->count = 0;
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next) {
        if (batch->events[i].outcome == EVENT_APPLY)
            set->writes[set->count++] = applier_write_of(applier, batch, i);
    }
}

/** Where own changes come again and again, look whether one supersedes an event of the set. */
static enum status set_recheck(struct applier *applier, struct batch *batch, size_t first,
                               bool *ret_changed, struct error *err)
{
    enum status status = STATUS_OK;
    *ret_changed = false;
    if (applier->repeat.overtaken < OVERTAKEN_MAX)
        return STATUS_OK;
    for (size_t i = first; i != SET_LAST && status == STATUS_OK; i = batch->events[i].set_next) {
        struct batch_event *event = &batch->events[i];
        if (event->outcome != EVENT_APPLY)
            continue;
        status = applier_recheck_write(applier, event, err);
        *ret_changed = *ret_changed || event->outcome != EVENT_APPLY;
    }
    return status;
}

static void set_note_absent(struct batch *batch, const struct set_writes *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (!set->writes[i].is_absent)
            continue;
        batch->events[set->writes[i].order].outcome = EVENT_PASSED;
        batch->events[set->writes[i].order].rejected = true;
    }
}

/** Park a set that the database refused. */
static enum status set_refused(struct applier *applier, struct batch *batch, size_t first,
                               const struct set_writes *set, struct error *why)
{
    const struct set_fault fault = {
        set->fault == SET_FAULT_UNKNOWN ? SET_FAULT_UNKNOWN : set->writes[set->fault].order, why};
    size_t at = fault.index == SET_FAULT_UNKNOWN ? first : fault.index;
    for (size_t i = 0; i < set->count; i++)
        batch->events[set->writes[i].order].rejected = true;
    if (why->status == STATUS_STOP)
        return applier_stop_at(applier, &batch->events[at], why->text);
    return applier_park_set(applier, batch, first, &fault, why);
}

enum status applier_write_batch_set(struct applier *applier, struct batch *batch, size_t first,
                                    struct error *err)
{
    size_t size = 0;
    bool again = true;
    enum status status = STATUS_OK;
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next)
        size++;
    struct set_writes set = {.writes = arena_alloc(&applier->arena, size * sizeof *set.writes),
                             .is_singly = applier->repeat.names};
    if (set.writes == NULL)
        return applier_no_memory(err);
    if (applier_set_is_blocked(applier, batch, first))
        return applier_park_set(applier, batch, first, NULL, err);
    while (status == STATUS_OK && again) {
        struct error why = ERROR_INIT;
        set_collect(applier, batch, first, &set);
        enum status written = applier_write_set(applier, &set, &why);
        bool refused = written == STATUS_REJECT || written == STATUS_STOP;
        if (written == STATUS_FATAL && !applier->repeat.names) {
            applier->repeat.names = true; /* a fatal error may have ended the transaction */
            return STATUS_AGAIN;
        }
        if (written != STATUS_OK && !refused) {
            *err = why;
            return written;
        }
        status = set_recheck(applier, batch, first, &again, err);
        if (status == STATUS_OK && !again && refused)
            return set_refused(applier, batch, first, &set, &why);
        if (status == STATUS_OK && !again)
            set_note_absent(batch, &set);
    }
    return status;
}
