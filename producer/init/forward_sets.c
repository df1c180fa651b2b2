/* Keeps what the records of a set say until its last one comes. Of a set that is too large only its
 * place is kept. */
#include "producer/init/forward_sets.h"

#include <stdlib.h>
#include <string.h>

#define ID_SIZE_MAX          64
#define TIME_SIZE_MAX        64
#define INCARNATION_SIZE_MAX 64

/* An event of an open set. What does not fit is no event of a relay. */
struct kept_note {
    char id[ID_SIZE_MAX];
    char created_at[TIME_SIZE_MAX];
    bool has_time;
    struct origin_content content;
};

struct forward_set {
    const void *partition;
    char incarnation[INCARNATION_SIZE_MAX];
    uint64_t end;      /* the sequence of its last record */
    bool is_abandoned; /* a newer incarnation has begun: what comes of it up to there is passed */
    bool is_large;     /* its events are not kept */
    int64_t first;     /* offset of its first record */
    struct kept_note *notes;
    size_t count;
    size_t size;
};

/* A whole set that was not kept. */
struct forward_span {
    const void *partition;
    char incarnation[INCARNATION_SIZE_MAX];
    uint64_t end;
    int64_t first; /* offsets */
    int64_t last;
};

static void sets_forget_notes(struct forward_sets *sets, struct forward_set *set)
{
    sets->kept -= set->count;
    free(set->notes);
    set->notes = NULL;
    set->count = set->size = 0;
}

static void sets_remove(struct forward_sets *sets, size_t index)
{
    sets_forget_notes(sets, &sets->sets[index]);
    sets->sets[index] = sets->sets[--sets->count];
}

void forward_sets_done(struct forward_sets *sets)
{
    while (sets->count > 0)
        sets_remove(sets, 0);
    free(sets->sets);
    free(sets->spans);
    *sets = (struct forward_sets){.kept_max = sets->kept_max};
}

static int compare_incarnations(struct slice one, const char *other)
{
    size_t length = strlen(other);
    int order = memcmp(one.data, other, one.length < length ? one.length : length);
    return order != 0 ? order : (one.length > length) - (one.length < length);
}

/* The record of a newer incarnation ends the open sets of earlier ones; UUIDs of version 7 are in
 * the order of their times. @return the set of the record's incarnation; NULL: there is none. */
static struct forward_set *sets_find(struct forward_sets *sets, const struct forward_record *record)
{
    struct forward_set *found = NULL;
    for (size_t i = 0; i < sets->count; i++) {
        struct forward_set *set = &sets->sets[i];
        int order = compare_incarnations(record->change->incarnation, set->incarnation);
        if (set->partition != record->partition || order < 0)
            continue;
        set->is_abandoned = set->is_abandoned || order > 0;
        found = order == 0 ? set : found;
    }
    return found;
}

static bool copy_text(struct slice text, char *target, size_t size)
{
    if (text.length >= size)
        return false;
    if (text.length > 0)
        memcpy(target, text.data, text.length);
    target[text.length] = '\0';
    return true;
}

static struct forward_set *sets_open(struct forward_sets *sets, const struct forward_record *record)
{
    struct forward_set *more = realloc(sets->sets, (sets->count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    sets->sets = more;
    more[sets->count] = (struct forward_set){.partition = record->partition,
                                             .end = record->change->changeset_end,
                                             .first = record->offset};
    (void)copy_text(record->change->incarnation, more[sets->count].incarnation,
                    INCARNATION_SIZE_MAX);
    return &more[sets->count++];
}

static void sets_drop_largest(struct forward_sets *sets)
{
    struct forward_set *largest = &sets->sets[0];
    for (size_t i = 1; i < sets->count; i++)
        largest = sets->sets[i].count > largest->count ? &sets->sets[i] : largest;
    largest->is_large = true;
    sets_forget_notes(sets, largest);
}

static bool sets_keep(struct forward_sets *sets, struct forward_set *set,
                      const struct origin_note *note)
{
    if (set->is_large)
        return true;
    if (set->count == set->size) {
        size_t size = set->size == 0 ? 16 : set->size * 2;
        struct kept_note *more = realloc(set->notes, size * sizeof *more);
        if (more == NULL)
            return false;
        set->notes = more;
        set->size = size;
    }
    struct kept_note *kept = &set->notes[set->count];
    kept->content = note->content;
    kept->has_time = note->created_at.data != NULL;
    if (!copy_text(note->id, kept->id, ID_SIZE_MAX) ||
        !copy_text(note->created_at, kept->created_at, TIME_SIZE_MAX))
        return true;
    set->count++;
    if (++sets->kept > sets->kept_max)
        sets_drop_largest(sets);
    return true;
}

static bool sets_note_span(struct forward_sets *sets, const struct forward_set *set, int64_t last)
{
    struct forward_span *more = realloc(sets->spans, (sets->span_count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    sets->spans = more;
    more[sets->span_count] = (struct forward_span){
        .partition = set->partition, .end = set->end, .first = set->first, .last = last};
    memcpy(more[sets->span_count++].incarnation, set->incarnation, sizeof set->incarnation);
    return true;
}

bool forward_sets_span(const struct forward_sets *sets, const void *partition, int64_t *ret_from,
                       int64_t *ret_until)
{
    bool found = false;
    for (size_t i = 0; i < sets->span_count; i++) {
        const struct forward_span *span = &sets->spans[i];
        if (span->partition != partition)
            continue;
        *ret_from = !found || span->first < *ret_from ? span->first : *ret_from;
        *ret_until = !found || span->last > *ret_until ? span->last : *ret_until;
        found = true;
    }
    return found;
}

bool forward_sets_has(const struct forward_sets *sets, const struct forward_record *record)
{
    const struct change *change = record->change;
    for (size_t i = 0; i < sets->span_count; i++) {
        const struct forward_span *span = &sets->spans[i];
        if (span->partition == record->partition && record->offset >= span->first &&
            record->offset < span->last && change->changeset_end == span->end &&
            change->sequence < span->end && slice_is(change->incarnation, span->incarnation))
            return true;
    }
    return false;
}

static enum status set_take_all(const struct forward_set *set, forward_take *take, void *context,
                                struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < set->count; i++) {
        const struct kept_note *kept = &set->notes[i];
        const struct origin_note note = {.id = slice_of(kept->id),
                                         .created_at = kept->has_time ? slice_of(kept->created_at)
                                                                      : (struct slice){0},
                                         .content = kept->content};
        status = take(context, &note, err);
    }
    return status;
}

enum status forward_sets_add(struct forward_sets *sets, const struct forward_record *record,
                             forward_take *take, void *context, struct error *err)
{
    const struct change *change = record->change;
    enum status status = STATUS_OK;
    if (change->sequence == 0)
        return take(context, &record->note, err);
    struct forward_set *set = sets_find(sets, record);
    bool is_open = change->changeset_end > change->sequence;
    bool is_before = set != NULL && change->sequence < set->end && change->changeset_end < set->end;
    if (set != NULL && set->is_abandoned && change->sequence <= set->end)
        return STATUS_OK;
    if (set != NULL && set->is_abandoned) {
        sets_remove(sets, (size_t)(set - sets->sets));
        set = NULL;
    }
    if (is_before) /* late copies of an earlier set, which was whole, end nothing */
        return take(context, &record->note, err);
    if (is_open && set != NULL && set->end != change->changeset_end) {
        sets_forget_notes(sets, set);
        set->is_large = false;
        set->end = change->changeset_end;
        set->first = record->offset;
    }
    if (is_open && change->incarnation.length >= INCARNATION_SIZE_MAX)
        return STATUS_OK; /* no relay wrote it */
    if (is_open) {
        set = set == NULL ? sets_open(sets, record) : set;
        return set != NULL && sets_keep(sets, set, &record->note)
                   ? STATUS_OK
                   : error_set(err, STATUS_RETRY, "no memory");
    }
    if (set != NULL && set->end == change->sequence)
        status = set_take_all(set, take, context, err);
    if (set != NULL && set->end == change->sequence && set->is_large &&
        !sets_note_span(sets, set, record->offset))
        status = error_set(err, STATUS_RETRY, "no memory");
    if (set != NULL)
        sets_remove(sets, (size_t)(set - sets->sets));
    return status == STATUS_OK ? take(context, &record->note, err) : status;
}
