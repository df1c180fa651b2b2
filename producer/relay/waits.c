/* Why one pass over the sets, in the order of their ends, finds all that has to wait. A row that
 * stands behind another one of its entity was committed later, so its set ends later. Where a
 * `changeset` stands for several transactions that need not be so; then more passes are made. */
#include "producer/relay/waits.h"

#include "common/digest.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST 1024
#define PASSES_MAX  16 /* what these leave unmarked is judged with its set */

struct wait_mark {
    uint64_t digest; /* 0: free */
    int64_t from;
};

/* A row of a load, in the order of the sets' ends. */
struct waiting_row {
    struct outbox_row *row;
    uint64_t entity;
    uint64_t set; /* 0: it is alone */
};

static uint64_t not_zero(uint64_t digest)
{
    return digest == 0 ? 1 : digest;
}

static uint64_t wait_entity(const struct outbox_row *row)
{
    return not_zero(digest_64(row->entity_type) * 31 + digest_64(row->entity_key));
}

static uint64_t wait_set(const struct outbox_row *row)
{
    return row->changeset.length == 0 ? 0 : not_zero(digest_64(row->changeset));
}

static struct wait_mark *table_find(const struct wait_table *table, uint64_t digest)
{
    size_t at = (size_t)digest & (table->size - 1);
    while (table->marks[at].digest != 0 && table->marks[at].digest != digest)
        at = (at + 1) & (table->size - 1);
    return &table->marks[at];
}

/* @return from which position on; INT64_MAX: it is not there. */
static int64_t table_from(const struct wait_table *table, uint64_t digest)
{
    const struct wait_mark *mark = table->size == 0 ? NULL : table_find(table, digest);
    return mark == NULL || mark->digest == 0 ? INT64_MAX : mark->from;
}

static bool table_grow(struct wait_table *table)
{
    struct wait_table larger = {.size = table->size == 0 ? TABLE_FIRST : 2 * table->size,
                                .count = table->count};
    if (table->count >= WAITS_MAX)
        return false;
    if (2 * table->count < table->size)
        return true;
    larger.marks = calloc(larger.size, sizeof *larger.marks);
    if (larger.marks == NULL)
        return false;
    for (size_t i = 0; i < table->size; i++) {
        if (table->marks[i].digest != 0)
            *table_find(&larger, table->marks[i].digest) = table->marks[i];
    }
    free(table->marks);
    *table = larger;
    return true;
}

/* @return false: there is no room. */
static bool table_add(struct wait_table *table, uint64_t digest, int64_t from)
{
    if (table_from(table, digest) <= from)
        return true;
    if (!table_grow(table))
        return false;
    struct wait_mark *mark = table_find(table, digest);
    table->count += mark->digest == 0;
    *mark = (struct wait_mark){digest, from};
    return true;
}

void waits_done(struct waits *waits)
{
    free(waits->entities.marks);
    free(waits->sets.marks);
    free(waits->stops);
    *waits = (struct waits){0};
}

static int compare_ends(const void *left, const void *right)
{
    const struct outbox_row *a = ((const struct waiting_row *)left)->row;
    const struct outbox_row *b = ((const struct waiting_row *)right)->row;
    if (a->last_of_group != b->last_of_group)
        return a->last_of_group < b->last_of_group ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

/* @return the end of the rows of a set that begin at `first`. */
static size_t set_rows_end(const struct waiting_row *rows, size_t first, size_t count)
{
    size_t end = first + 1;
    while (rows[first].set != 0 && end < count && rows[end].set == rows[first].set)
        end++;
    return end;
}

/* The marks of one load: `waits` does not change. */
struct marking {
    const struct waits *waits;
    struct wait_table entities;
};

static bool marking_waits(const struct marking *marking, const struct waiting_row *row)
{
    int64_t position = row->row->position;
    return row->row->paused || table_from(&marking->waits->sets, row->set) != INT64_MAX ||
           table_from(&marking->waits->entities, row->entity) < position ||
           table_from(&marking->entities, row->entity) < position;
}

/* @return false without memory. */
static bool marking_pass(struct marking *marking, const struct waiting_row *rows, size_t count,
                         bool *ret_changed)
{
    bool ok = true;
    *ret_changed = false;
    for (size_t first = 0, end; ok && first < count; first = end) {
        bool waits = false;
        end = set_rows_end(rows, first, count);
        for (size_t i = first; !waits && i < end; i++)
            waits = marking_waits(marking, &rows[i]);
        for (size_t i = first; ok && waits && i < end; i++) {
            int64_t position = rows[i].row->position;
            *ret_changed = *ret_changed || !rows[i].row->paused ||
                           table_from(&marking->entities, rows[i].entity) > position;
            rows[i].row->paused = true;
            ok = table_add(&marking->entities, rows[i].entity, position);
        }
    }
    return ok;
}

static bool waits_for_any(const struct waits *waits, const struct outbox_row *rows, size_t count)
{
    bool any = waits->entities.count > 0 || waits->sets.count > 0;
    for (size_t i = 0; !any && i < count; i++)
        any = rows[i].paused;
    return any;
}

enum status waits_mark(const struct waits *waits, struct outbox_row *rows, size_t count,
                       struct arena *arena, struct error *err)
{
    struct marking marking = {.waits = waits};
    bool changed = true;
    if (!waits_for_any(waits, rows, count))
        return STATUS_OK;
    struct waiting_row *sorted = arena_alloc(arena, (count + 1) * sizeof *sorted);
    bool ok = sorted != NULL;
    for (size_t i = 0; ok && i < count; i++)
        sorted[i] = (struct waiting_row){&rows[i], wait_entity(&rows[i]), wait_set(&rows[i])};
    if (ok)
        qsort(sorted, count, sizeof *sorted, compare_ends);
    for (int i = 0; ok && changed && i < PASSES_MAX; i++)
        ok = marking_pass(&marking, sorted, count, &changed);
    free(marking.entities.marks);
    return ok ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory for what is paused");
}

bool waits_remember(struct waits *waits, const struct outbox_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct outbox_row *row = &rows[i];
        uint64_t set = wait_set(row);
        if (!table_add(&waits->entities, wait_entity(row), row->position) ||
            (set != 0 && !table_add(&waits->sets, set, row->position)))
            return false;
    }
    return true;
}

/* Of more stops than there is room for each second one stays. Without memory there are none, and
 * the way back goes to the beginning. */
static void waits_add_stop(struct waits *waits)
{
    waits->back = 0;
    if (waits->stops == NULL)
        waits->stops = calloc(WAITS_STOPS, sizeof *waits->stops);
    if (waits->stops == NULL)
        return;
    if (waits->stop_count == WAITS_STOPS) {
        waits->stop_count /= 2;
        for (size_t i = 0; i < waits->stop_count; i++)
            waits->stops[i] = waits->stops[2 * i + 1];
    }
    waits->stops[waits->stop_count++] = (struct wait_stop){waits->passed, waits->count};
}

void waits_go_back(struct waits *waits)
{
    size_t back = waits->back == 0 ? 1 : 2 * waits->back;
    if (waits->full || back >= waits->stop_count) {
        waits_done(waits);
        return;
    }
    waits->back = back;
    waits->stop_count -= back;
    waits->passed = waits->stops[waits->stop_count - 1].passed;
    waits->count = waits->stops[waits->stop_count - 1].count;
}

size_t waits_pass(struct waits *waits, const struct outbox_row *rows, size_t count, size_t most)
{
    size_t passed = 0;
    while (passed < most && rows[passed].paused && !waits->full) {
        waits->full = !waits_remember(waits, &rows[passed], 1);
        passed += !waits->full;
    }
    if (passed > 0 && (passed == count || !rows[passed].paused))
        passed--; /* to remember it once more changes nothing */
    if (passed > 0) {
        waits->passed = rows[passed - 1].position;
        waits->count += passed;
        waits_add_stop(waits);
    }
    return passed;
}
