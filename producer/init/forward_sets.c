/* Keeps the records of a set until its last one comes. */
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
    struct kept_note *notes;
    size_t count;
    size_t size;
};

static void sets_remove(struct forward_sets *sets, size_t index)
{
    free(sets->sets[index].notes);
    sets->sets[index] = sets->sets[--sets->count];
}

void forward_sets_done(struct forward_sets *sets)
{
    while (sets->count > 0)
        sets_remove(sets, 0);
    free(sets->sets);
    *sets = (struct forward_sets){0};
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
                                             .end = record->change->changeset_end};
    (void)copy_text(record->change->incarnation, more[sets->count].incarnation,
                    INCARNATION_SIZE_MAX);
    return &more[sets->count++];
}

static bool set_keep(struct forward_set *set, const struct origin_note *note)
{
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
    return true;
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
        set->count = 0;
        set->end = change->changeset_end;
    }
    if (is_open && change->incarnation.length >= INCARNATION_SIZE_MAX)
        return STATUS_OK; /* no relay wrote it */
    if (is_open) {
        set = set == NULL ? sets_open(sets, record) : set;
        return set != NULL && set_keep(set, &record->note)
                   ? STATUS_OK
                   : error_set(err, STATUS_RETRY, "no memory");
    }
    if (set != NULL && set->end == change->sequence)
        status = set_take_all(set, take, context, err);
    if (set != NULL)
        sets_remove(sets, (size_t)(set - sets->sets));
    return status == STATUS_OK ? take(context, &record->note, err) : status;
}
