/* Finds the change sets of a batch: which events belong together, and which sets are open because
 * their last record has not been read (rules 55 and 56). */
#include "consumer/apply/batch.h"
#include "consumer/apply/sequence.h"

#include <stdlib.h>

#define NO_EVENT SIZE_MAX

/** The sequences of one source's incarnation in a partition, as far as the batch was looked at. */
struct set_track {
    size_t partition_index;
    struct slice source;
    struct slice incarnation;
    bool is_known;               /* some of its sequences were applied, or are passed */
    bool is_partial;             /* where none is known: the copy may begin with any */
    struct sequence_state state; /* where some is known: as it will be */
    size_t first;                /* the first event of its open set; NO_EVENT: none is open */
    size_t latest;               /* the last one so far */
    uint64_t end;                /* the set's last sequence */
    bool is_void;
};

/** A partition, as far as the batch was looked at. */
struct set_partition {
    size_t open_count;   /* of its sets */
    int64_t stop_offset; /* where the first of them begins */
    size_t whole;        /* the events of it before this one stand in no open set */
};

struct set_linker {
    struct batch *batch;
    struct applied_finder finder;
    struct set_partition *partitions; /* by index */
    struct set_track *tracks;
    size_t track_count;
    size_t track_size;
    size_t track_last; /* that was found last: mostly the next one too */
};

static bool linker_is_of(const struct set_track *track, const struct change *change)
{
    return track->partition_index == change->partition_index &&
           slice_equal(track->incarnation, change->incarnation) &&
           slice_equal(track->source, change->source);
}

/** @return the track of an event's source and incarnation; NULL: no memory. */
static struct set_track *linker_track(struct set_linker *linker, const struct change *change)
{
    for (size_t i = 0; i < linker->track_count; i++) {
        size_t index = (linker->track_last + i) % linker->track_count;
        if (!linker_is_of(&linker->tracks[index], change))
            continue;
        linker->track_last = index;
        return &linker->tracks[index];
    }
    if (linker->track_count == linker->track_size) {
        size_t size = linker->track_size == 0 ? 8 : 2 * linker->track_size;
        struct set_track *grown = realloc(linker->tracks, size * sizeof *grown);
        if (grown == NULL)
            return NULL;
        linker->tracks = grown;
        linker->track_size = size;
    }
    linker->track_last = linker->track_count++;
    struct set_track *track = &linker->tracks[linker->track_last];
    *track = (struct set_track){.partition_index = change->partition_index,
                                .source = change->source,
                                .incarnation = change->incarnation,
                                .first = NO_EVENT};
    const struct sequence_state *known = linker->finder.find(linker->finder.context, change,
                                                             &track->is_partial);
    track->is_known = known != NULL;
    if (known != NULL)
        track->state = *known;
    return track;
}

static void linker_set_fate(struct batch *batch, size_t first, enum set_fate fate)
{
    for (size_t i = first; i != SET_LAST; i = batch->events[i].set_next)
        batch->events[i].fate = fate;
}

static void linker_end_set(struct set_linker *linker, struct set_track *track, enum set_fate fate)
{
    linker_set_fate(linker->batch, track->first, fate);
    linker->partitions[track->partition_index].open_count--;
    track->first = NO_EVENT;
}

/** No set of the partition is waited for any more: it stops at this event. */
static void linker_give_up(struct set_linker *linker, size_t partition_index)
{
    linker->partitions[partition_index].open_count = 0;
    for (size_t i = 0; i < linker->track_count; i++) {
        if (linker->tracks[i].partition_index == partition_index)
            linker->tracks[i].first = NO_EVENT;
    }
}

/** A source that has begun another incarnation does not end the sets of the one before. A late
 * record of an earlier one ends nothing: the UUID of an incarnation holds the time of its begin. */
static void linker_abandon(struct set_linker *linker, const struct change *change, bool is_first)
{
    for (size_t i = 0; i < linker->track_count; i++) {
        struct set_track *track = &linker->tracks[i];
        if (track->first == NO_EVENT || track->partition_index != change->partition_index ||
            !slice_equal(track->source, change->source) ||
            slice_equal(track->incarnation, change->incarnation))
            continue;
        if (!is_first && slice_compare(track->incarnation, change->incarnation) > 0)
            continue;
        const struct change *latest = &linker->batch->events[track->latest].change;
        sequence_pass_set(&track->state, latest); /* what comes late of it is passed */
        linker_end_set(linker, track, SET_ABANDONED);
    }
}

static void linker_begin_set(struct set_linker *linker, struct set_track *track, size_t index)
{
    const struct batch_event *event = &linker->batch->events[index];
    struct set_partition *partition = &linker->partitions[track->partition_index];
    if (partition->open_count++ == 0)
        partition->stop_offset = event->change.record.offset;
    track->first = index;
    track->latest = index;
    track->end = event->change.changeset_end;
    track->is_void = false;
}

/** Take the next event of a source into its set. */
static void linker_take(struct set_linker *linker, struct set_track *track, size_t index)
{
    struct batch_event *event = &linker->batch->events[index];
    const struct change *change = &event->change;
    bool is_open = track->first != NO_EVENT;
    uint64_t end = change->changeset_end == 0 ? change->sequence : change->changeset_end;
    if (end < change->sequence || (is_open && end != track->end)) {
        event->fate = SET_BROKEN;
        linker_give_up(linker, change->partition_index);
        return;
    }
    if (!is_open && end == change->sequence)
        return;
    if (!is_open) {
        linker_begin_set(linker, track, index);
    } else {
        linker->batch->events[track->latest].set_next = index;
        event->set = track->first;
        track->latest = index;
    }
    track->is_void = track->is_void || change->kind == KIND_VOID;
    if (end == change->sequence)
        linker_end_set(linker, track, track->is_void ? SET_VOID : SET_WHOLE);
}

/** @return whether an event that is new to its source's range stops its partition. A set that is
 * void writes nothing, so it needs no type. */
static bool linker_stops(const struct set_linker *linker, const struct set_track *track,
                         const struct batch_event *event)
{
    bool is_void = track != NULL && track->first != NO_EVENT && track->is_void;
    return event->decoded == STATUS_OK && !is_void &&
           linker->finder.stops(linker->finder.context, &event->change);
}

/** Take an event that is new to its source's range. */
static void linker_advance(struct set_linker *linker, struct set_track *track, size_t index)
{
    const struct change *change = &linker->batch->events[index].change;
    bool is_first = !track->is_known;
    bool is_begun = is_first && change->sequence > 1 && change->changeset_end != 0;
    linker_abandon(linker, change, is_first && change->sequence == 1);
    track->is_known = true;
    if (is_first)
        sequence_start(&track->state, change);
    else
        sequence_advance(&track->state, change);
    if (is_begun) /* whether it begins its set cannot be told */
        sequence_pass_set(&track->state, change);
    else if (linker_stops(linker, track, &linker->batch->events[index]))
        linker_give_up(linker, change->partition_index);
    else
        linker_take(linker, track, index);
}

/** @return OK; FATAL (no memory). */
static enum status linker_link(struct set_linker *linker, size_t index, struct error *err)
{
    struct batch_event *event = &linker->batch->events[index];
    const struct change *change = &event->change;
    if (event->decoded == STATUS_STOP ||
        (change->sequence == 0 && linker_stops(linker, NULL, event))) {
        linker_give_up(linker, change->partition_index);
        return STATUS_OK;
    }
    if (change->sequence == 0)
        return STATUS_OK;
    struct set_track *track = linker_track(linker, change);
    if (track == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the change sets of a batch");
    switch (sequence_judge(track->is_known ? &track->state : NULL, change, track->is_partial)) {
    case SEQUENCE_FIRST:
    case SEQUENCE_NEXT:
        linker_advance(linker, track, index);
        break;
    case SEQUENCE_GAP:
    case SEQUENCE_FORK:
        linker_abandon(linker, change, false);
        linker_give_up(linker, change->partition_index);
        break;
    case SEQUENCE_DUPLICATE: /* maybe a late one */
    case SEQUENCE_UNVERIFIED_DUPLICATE:
    case SEQUENCE_PASSED:
        break;
    }
    return STATUS_OK;
}

static size_t linker_partition_count(const struct batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i].change.partition_index >= count)
            count = batch->events[i].change.partition_index + 1;
    }
    return count;
}

/* Where an event leaves a set open, its partition stops in front of the first one that is open. */
static enum status linker_run(struct set_linker *linker, struct error *err)
{
    struct batch *batch = linker->batch;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct batch_event *event = &batch->events[i];
        struct set_partition *partition = &linker->partitions[event->change.partition_index];
        bool was_open = partition->open_count > 0;
        batch_event_alone(event, i);
        status = linker_link(linker, i, err);
        if (was_open || partition->open_count > 0)
            event->stop_offset = partition->stop_offset;
        if (partition->open_count == 0)
            partition->whole = i + 1;
    }
    batch->whole = 0;
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct batch_event *event = &batch->events[i];
        event->is_open = i >= linker->partitions[event->change.partition_index].whole;
        batch->whole += !event->is_open;
    }
    return status;
}

enum status batch_link_sets(struct batch *batch, struct applied_finder finder, struct error *err)
{
    struct set_linker linker = {.batch = batch, .finder = finder};
    enum status status = STATUS_OK;
    if (batch->is_linked)
        return STATUS_OK;
    if (batch->has_sets) {
        linker.partitions = calloc(linker_partition_count(batch) + 1, sizeof *linker.partitions);
        status = linker.partitions == NULL
                     ? error_set(err, STATUS_FATAL, "no memory for the change sets of a batch")
                     : linker_run(&linker, err);
    } else {
        for (size_t i = 0; i < batch->count; i++)
            batch_event_alone(&batch->events[i], i);
        batch->whole = batch->count;
    }
    free(linker.partitions);
    free(linker.tracks);
    batch->is_linked = status == STATUS_OK;
    return status;
}

size_t batch_whole(const struct batch *batch)
{
    return batch->whole;
}
