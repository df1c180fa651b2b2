/* Writes a batch in bulk, reduced to one image an entity. If the database rejects that, writes the
 * events one by one in the order of the log; only what fails there is parked (rule 21). */
#include "consumer/apply/write.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/image.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/set.h"

#include "common/clock.h"

#define BULK_ROUNDS 3 /* each leaves out the events that newer own changes supersede */

bool applier_is_sparse(const struct change *change)
{
    return change->op != CHANGE_DELETE && change->schema != NULL && !change_is_complete(change);
}

/** Of each entity leave only its last replacing image and what follows that.
 * @return how many writes are left. */
static size_t applier_reduce(struct write *writes, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && write_compare_entity(&writes[i], &writes[end]) == 0)
            end++;
        size_t first = end - 1;
        while (first > i && applier_is_sparse(writes[first].image))
            first--;
        for (size_t j = first; j < end; j++)
            writes[left++] = writes[j];
        i = end;
    }
    return left;
}

static enum status applier_write_run(struct applier *applier, const struct write *writes,
                                     size_t count, struct error *err)
{
    const struct change **changes = arena_alloc(&applier->arena, count * sizeof *changes);
    if (changes == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < count; i++)
        changes[i] = writes[i].image;
    return applier->ops->apply(applier->store, writes[0].mapping, changes, count, err);
}

/** Copy the writes: first those of tables where the order between entities does not matter, then
 * the others. @return how many the first are. */
static size_t applier_part(const struct applier *applier, const struct write *all, size_t count,
                           struct write *ret_writes)
{
    size_t free_count = 0;
    size_t followed_count = 0;
    for (size_t i = 0; i < count; i++)
        free_count += !applier_order(applier, all[i].mapping)->is_followed;
    for (size_t i = 0; i < count; i++) {
        bool is_followed = applier_order(applier, all[i].mapping)->is_followed;
        ret_writes[is_followed ? free_count + followed_count : i - followed_count] = all[i];
        followed_count += is_followed;
    }
    return free_count;
}

static enum status applier_write_runs(struct applier *applier, const struct write *writes,
                                      size_t count, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK;) {
        size_t end = i + 1;
        while (end < count && writes[end].mapping == writes[i].mapping)
            end++;
        status = applier_write_run(applier, &writes[i], end - i, err);
        i = end;
    }
    return status;
}

enum status applier_write_reduced(struct applier *applier, struct write *all, size_t count,
                                  struct error *err)
{
    struct write *writes = arena_alloc(&applier->arena, count * sizeof *writes);
    if (writes == NULL)
        return applier_no_memory(err);
    size_t free_count = applier_part(applier, all, count, writes);
    writes_sort(writes, free_count, all);
    enum status status = applier_write_runs(applier, writes, applier_reduce(writes, free_count),
                                            err);
    if (status == STATUS_OK)
        status = applier_write_runs(applier, writes + free_count, count - free_count, err);
    return status;
}

/** Park what the database refused. Where own changes come again and again, first check whether one
 * of them is the cause: an update finds no row that it has deleted. */
static enum status applier_write_rejected(struct applier *applier, const struct write *write,
                                          const struct error *reject, struct error *err)
{
    struct batch_event *event = write->event;
    enum status status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK && applier->repeat.overtaken >= OVERTAKEN_MAX)
        status = applier_recheck_write(applier, event, err);
    if (status != STATUS_OK || event->outcome != EVENT_APPLY)
        return status;
    event->rejected = true;
    const struct change *image = event->image;
    if (applier_passes_absent(&applier->owned[event->change.partition_index], image->record.offset,
                              reject)) {
        event->outcome = EVENT_PASSED;
        return STATUS_OK;
    }
    return applier_park_event(applier, event, reject, err);
}

/** Write one event after a savepoint of its own. */
static enum status applier_write_single(struct applier *applier, const struct write *write,
                                        struct error *err)
{
    struct error reject = ERROR_INIT;
    bool blocked = applier_is_blocked(applier, &write->event->change);
    if (blocked && batch_event_is_void(write->event)) {
        write->event->outcome = EVENT_PASSED; /* the parked record is newer than the kept image */
        return STATUS_OK;
    }
    if (blocked)
        return applier_park_behind(applier, write->event, err);
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier_write_run(applier, write, 1, &reject);
    if (status == STATUS_OK)
        return applier->repeat.overtaken < OVERTAKEN_MAX
                   ? STATUS_OK
                   : applier_recheck_write(applier, write->event, err);
    if (status == STATUS_STOP)
        return applier_stop_at(applier, write->event, reject.text);
    if (status != STATUS_REJECT) {
        const struct change *change = &write->event->change;
        *err = reject;
        applier_name_fatal(err, change->entity_type, change->entity_key, &change->record);
        return status;
    }
    return applier_write_rejected(applier, write, &reject, err);
}

struct write applier_write_of(const struct applier *applier, struct batch *batch, size_t index)
{
    struct batch_event *event = &batch->events[index];
    struct write write = {.event = event,
                          .image = event->image,
                          .mapping = applier_mapping(applier, event->image->entity_type),
                          .order = index};
    write_note_key(&write);
    return write;
}

/** List the writes of the batch in the order of the log. @param writes  room for all its events. */
static size_t applier_collect(const struct applier *applier, struct batch *batch,
                              struct write *writes)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i].outcome == EVENT_APPLY)
            writes[count++] = applier_write_of(applier, batch, i);
    }
    return count;
}

/** Write the set of a write whole, in the place of its first one. */
static enum status applier_write_whole(struct applier *applier, struct batch *batch,
                                       struct write *writes, size_t count, struct error *err)
{
    size_t first = batch->events[writes[0].order].set;
    size_t last = first;
    while (batch->events[last].set_next != SET_LAST)
        last = batch->events[last].set_next;
    for (size_t i = 0; i < count && writes[i].order <= last; i++)
        writes[i].is_done = writes[i].is_done || batch->events[writes[i].order].set == first;
    return applier_write_batch_set(applier, batch, first, err);
}

/** One check for newer own changes after all writes, because each check reads all that waits. If
 * there is one, the batch is done again; after OVERTAKEN_MAX repeats each write is checked alone.
 */
static enum status applier_write_singly(struct applier *applier, struct batch *batch,
                                        struct write *writes, size_t count, struct error *err)
{
    enum status status = STATUS_OK;
    bool pending = false;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (writes[i].is_done)
            continue;
        status = set_has(batch, writes[i].order)
                     ? applier_write_whole(applier, batch, &writes[i], count - i, err)
                     : applier_write_single(applier, &writes[i], err);
    }
    if (status == STATUS_OK && applier->repeat.overtaken < OVERTAKEN_MAX)
        status = applier_recheck_pending(applier, batch, &pending, err);
    if (status != STATUS_OK || !pending)
        return status;
    applier->repeat.overtaken++;
    return STATUS_AGAIN;
}

/** Write in bulk. While newer own changes are found after it, write again without what they
 * supersede, BULK_ROUNDS times at most.
 * @return OK with whether the last round found none; otherwise why the database refused. */
static enum status applier_write_bulk(struct applier *applier, struct batch *batch,
                                      struct write *writes, bool *ret_done, struct error *err)
{
    enum status status = STATUS_OK;
    bool pending = true;
    for (int round = 0; round < BULK_ROUNDS && status == STATUS_OK && pending; round++) {
        if (round > 0)
            status = applier->ops->savepoint(applier->store, true, err);
        if (status == STATUS_OK && batch->has_sets)
            status = applier->ops->defer(applier->store, true, err);
        size_t count = applier_collect(applier, batch, writes);
        pending = false;
        if (status == STATUS_OK && count > 0)
            status = applier_write_reduced(applier, writes, count, err);
        if (status == STATUS_OK && count > 0)
            status = applier_recheck_pending(applier, batch, &pending, err);
        if (status == STATUS_OK && batch->has_sets && !pending)
            status = applier->ops->defer(applier->store, false, err);
    }
    *ret_done = status == STATUS_OK && !pending;
    return status;
}

/* Constraints that can be deferred wait for the end of a batch that has sets (rule 57): the sets
 * are written together. Where only one session writes at a time, a batch is written in bulk without
 * a savepoint: SQLite would keep a copy of each page that changes, which takes memory or writes. A
 * batch that is refused is done again in another transaction. */
enum status applier_write(struct applier *applier, struct batch *batch, struct error *err)
{
    struct error bulk = ERROR_INIT;
    enum status status = STATUS_OK;
    bool done = false;
    if (batch->count == 0)
        return STATUS_OK;
    struct write *writes = arena_alloc(&applier->arena, batch->count * sizeof *writes);
    if (writes == NULL)
        return applier_no_memory(err);
    bool drops = applier->ops->excludes_writers && !applier->repeat.singly;
    if (drops)
        status = applier->ops->drop_savepoint(applier->store, &bulk);
    if (status == STATUS_OK && !applier->repeat.singly)
        status = applier_write_bulk(applier, batch, writes, &done, &bulk);
    if (done)
        return STATUS_OK;
    bool is_refused = status == STATUS_REJECT || status == STATUS_STOP;
    /* A fatal error may have ended the transaction: begin another one. */
    if (status == STATUS_FATAL || (drops && is_refused)) {
        applier->repeat.singly = true;
        applier->repeat.names = status == STATUS_FATAL;
        return STATUS_AGAIN;
    }
    if (status != STATUS_OK && !is_refused) {
        *err = bulk;
        return status;
    }
    status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK && batch->has_sets)
        status = applier->ops->defer(applier->store, false, err);
    size_t count = applier_collect(applier, batch, writes);
    return status == STATUS_OK ? applier_write_singly(applier, batch, writes, count, err) : status;
}

/** Stop at the first event that could not be parked. @return as applier_stop_at(). */
static enum status applier_stop_at_parked(struct applier *applier, const struct batch *batch,
                                          const struct parked_record *records, const char *reason)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i].outcome != EVENT_PARKED || records++->parked_id != 0)
            continue;
        return applier_stop_at(applier, &batch->events[i], reason);
    }
    return STATUS_STOP;
}

enum status applier_write_parked(struct applier *applier, const struct batch *batch,
                                 struct error *err)
{
    size_t count = 0;
    int64_t now = clock_wall_us();
    for (size_t i = 0; i < batch->count; i++)
        count += batch->events[i].outcome == EVENT_PARKED;
    if (count == 0)
        return STATUS_OK;
    struct parked_record *records = arena_alloc(&applier->arena, count * sizeof *records);
    if (records == NULL)
        return applier_no_memory(err);
    count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        const struct change *change = &event->change;
        if (event->outcome != EVENT_PARKED)
            continue;
        bool readable = change->entity_type.length > 0 && change->entity_key.length > 0;
        enum parked_state state = event->parked_held ? PARKED_HELD : PARKED_WAITING;
        records[count++] = (struct parked_record){
            .record = batch_event_is_void(event) && event->image != NULL ? event->image->record
                                                                         : change->record,
            .entity_type = readable ? change->entity_type : slice_of(""),
            .entity_key = readable ? change->entity_key : change->record.key,
            .state = event->parked_behind ? PARKED_BEHIND : state,
            .reason = event->parked_reason,
            .code = event->parked_code,
            .attempts = 1,
            .parked_at_us = now,
            .next_attempt_us = now + APPLIER_BACKOFF_US,
            .changeset_end = change->changeset_end};
    }
    enum status status = applier->ops->park(applier->store, records, count, err);
    return status == STATUS_STOP ? applier_stop_at_parked(applier, batch, records, err->text)
                                 : status;
}

/** Keep the images of superseded events. Drop those of entities that an event has written, or of
 * which an own event was parked: that one is written later; if it is skipped, the row has it
 * already. */
static enum status applier_write_superseded(struct applier *applier, const struct batch *batch,
                                            struct error *err)
{
    enum status status = STATUS_OK;
    if (!applier->publishes)
        return STATUS_OK;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        const struct batch_event *event = &batch->events[i];
        const struct change *change = &event->change;
        struct owned *owned = &applier->owned[change->partition_index];
        bool own = applier_is_own(applier, change);
        if (event->outcome == EVENT_SUPERSEDED)
            status = applier_keep_image(applier, owned, change, err);
        else if (event->outcome == EVENT_APPLY || (event->outcome == EVENT_PARKED && own))
            status = applier_drop_image(applier, owned, change, err);
        if (status == STATUS_STOP)
            status = applier_stop_at(applier, event, err->text);
    }
    return status;
}

static enum status applier_write_sequences(struct applier *applier, const struct owned *owned,
                                           struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < owned->work.sequence_count && status == STATUS_OK; i++) {
        const struct sequence_state *sequence = &owned->work.sequences[i];
        bool known = i < owned->state.sequence_count;
        if (!known || owned->state.sequences[i].last != sequence->last)
            status = applier->ops->record_sequence(applier->store, owned->state.topic,
                                                   owned->state.partition, sequence, err);
    }
    return status;
}

enum status applier_write_evidence(struct applier *applier, const struct batch *batch,
                                   struct error *err)
{
    enum status status = applier_write_parked(applier, batch, err);
    if (status == STATUS_OK)
        status = applier_write_superseded(applier, batch, err);
    for (size_t i = 0; i < applier->owned_count && status == STATUS_OK; i++) {
        if (applier->owned[i].work.touched)
            status = applier_write_sequences(applier, &applier->owned[i], err);
    }
    return status;
}
