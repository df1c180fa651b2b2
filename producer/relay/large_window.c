/* What is found out about the rows of one window. */
#include "producer/relay/large_window.h"

#include "common/digest.h"

#include <stdlib.h>

/* @return whether other sets are claimed in front of the large one. */
static bool large_goes_by_sets(const struct relay_large *large)
{
    return large->stage == LARGE_MEASURED && !large->begun && !large->merged;
}

static bool large_has(const struct relay_large *large, const struct outbox_row *row)
{
    return row->changeset.length > 0 && !row->shared && row->position <= large->end &&
           digest_64(row->changeset) == large->group;
}

/* Of what nothing tells apart the rows in front of the large set's end go first. Of one that is
 * merged all rows go by their positions. */
static enum passed_place large_place_of(const struct relay_large *large,
                                        const struct outbox_row *row)
{
    if (large->merged)
        return row->position <= large->end ? PLACE_BEFORE : PLACE_BEHIND;
    if (large_has(large, row))
        return PLACE_OWN;
    return !large->begun && row->position < large->end &&
                   (row->shared || row->last_of_group < large->end)
               ? PLACE_BEFORE
               : PLACE_BEHIND;
}

static uint64_t large_entity_of(const struct outbox_row *row)
{
    return digest_64(row->entity_type) * 31 + digest_64(row->entity_key);
}

/* Takes the rows of one window for all that waits of a `changeset` that several transactions may
 * have. It may be cut anywhere. */
static void large_cut_shared(struct large_window *window)
{
    struct outbox_row *rows = window->others.rows;
    for (size_t i = window->others.count; i-- > 0;) {
        size_t later = i + 1;
        if (!rows[i].shared)
            continue;
        while (later < window->others.count &&
               !slice_equal(rows[later].changeset, rows[i].changeset))
            later++;
        bool has_later = later < window->others.count;
        window->cuts = window->cuts || (!has_later && rows[i].last_of_group > rows[i].position);
        rows[i].last_of_group = has_later ? rows[later].last_of_group : rows[i].position;
        rows[i].behind = false;
    }
}

static enum status large_divide(struct relay *relay, const struct outbox_rows *loaded,
                                struct large_window *window, struct error *err)
{
    const struct relay_large *large = &relay->large;
    bool checks = large_goes_by_sets(large);
    size_t size = (loaded->count + 1) * sizeof *loaded->rows;
    window->own.rows = arena_alloc(&relay->sets, size);
    window->others.rows = arena_alloc(&relay->sets, size);
    window->changes = arena_alloc(&relay->sets, (loaded->count + 1) * sizeof *window->changes);
    if (window->own.rows == NULL || window->others.rows == NULL || window->changes == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < loaded->count; i++) {
        struct outbox_row row = loaded->rows[i];
        enum passed_place place = large_place_of(large, &row);
        row.shared = row.shared || (large->merged && row.changeset.length > 0);
        if (place == PLACE_OWN)
            window->own.rows[window->own.count++] = row;
        else if (place == PLACE_BEFORE)
            window->others.rows[window->others.count++] = row;
        if (checks)
            window->changes[window->change_count++] = (struct large_change){
                .entity = large_entity_of(&row), .position = row.position, .place = place};
    }
    large_cut_shared(window);
    return STATUS_OK;
}

bool large_begins(const struct relay *relay)
{
    return relay->large.stage == LARGE_MEASURED && relay->large.after == relay->waits.passed;
}

/* The set of a row that goes first may have one in front of the window: it was committed since, and
 * all of it goes first. What depends on it was written later still, and ends behind the large set.
 * Of a set that waits nothing goes. */
static bool large_is_late(const struct relay_large *large, const struct outbox_rows *rows)
{
    bool is_late = false;
    for (size_t i = 0; !is_late && i < rows->count; i++)
        is_late = rows->rows[i].earlier && !rows->rows[i].paused &&
                  large_place_of(large, &rows->rows[i]) == PLACE_BEFORE;
    return is_late;
}

/* @return whether what was found in front of the window is not so any more. */
static bool large_is_outdated(struct relay *relay, const struct outbox_extent *extent,
                              const struct outbox_rows *rows)
{
    if (relay->waiting.waits_session != relay->outbox->session)
        return true;
    if (extent->claimed == 0 || rows->complete)
        return large_is_late(&relay->large, rows);
    waits_go_back(&relay->waits);
    return true;
}

enum status large_window_load(struct relay *relay, struct large_window *ret_window,
                              bool *ret_loaded, struct error *err)
{
    struct outbox_rows rows = {0};
    struct outbox_extent extent = relay_extent(relay);
    size_t most = (size_t)relay->options.config->limits.changeset_events;
    bool stored = false;
    *ret_window = (struct large_window){0};
    *ret_loaded = false;
    extent.rows = extent.rows < most ? extent.rows : most;
    extent.after = relay->large.after;
    extent.claimed = large_begins(relay) ? relay->waits.count : 0;
    extent.tells_earlier = extent.after != 0 && large_goes_by_sets(&relay->large);
    enum status status = relay_load_rows(relay, &extent, &rows, err);
    if (status == STATUS_OK)
        status = relay_check_rows(relay, &rows, err);
    if (status == STATUS_OK)
        status = relay_mark_waiting(relay, &rows, err);
    ret_window->is_last = !relay->waiting.more;
    relay->waiting.more = true;
    ret_window->late = status == STATUS_OK && large_is_outdated(relay, &extent, &rows);
    if (ret_window->late)
        return STATUS_OK;
    if (status == STATUS_OK && relay->large.stage == LARGE_MEASURED)
        status = relay_store_keys(relay, &rows, &stored, err);
    *ret_loaded = status == STATUS_OK && !stored;
    if (!*ret_loaded)
        return status;
    if (rows.count > 0) {
        ret_window->first = rows.rows[0].position;
        ret_window->last = rows.rows[rows.count - 1].position;
    }
    return large_divide(relay, &rows, ret_window, err);
}

static int large_compare_changes(const void *left, const void *right)
{
    const struct large_change *a = left;
    const struct large_change *b = right;
    if (a->entity != b->entity)
        return a->entity < b->entity ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

bool large_window_is_crossed(const struct relay *relay, struct large_window *window)
{
    struct large_change *changes = window->changes;
    enum passed_place place = PLACE_BEFORE;
    bool crossed = false;
    qsort(changes, window->change_count, sizeof *changes, large_compare_changes);
    for (size_t i = 0; i < window->change_count && !crossed; i++) {
        if (i == 0 || changes[i].entity != changes[i - 1].entity)
            place = passed_find(&relay->passed, changes[i].entity);
        crossed = changes[i].place < place;
        place = changes[i].place;
    }
    return crossed;
}

enum status large_window_pass(struct relay *relay, const struct large_window *window, int64_t to,
                              struct error *err)
{
    bool done = true;
    for (size_t i = 0; done && i < window->change_count; i++) {
        const struct large_change *change = &window->changes[i];
        if (change->position <= to && change->place != PLACE_BEFORE)
            done = passed_note(&relay->passed, change->entity, change->place);
    }
    return done ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
}

bool large_window_leave_waiting(struct relay *relay, struct large_window *window)
{
    struct outbox_rows *others = &window->others;
    size_t kept = 0;
    for (size_t i = 0; i < others->count; i++) {
        if (!others->rows[i].paused)
            others->rows[kept++] = others->rows[i];
        else if (!waits_remember(&relay->waits, &others->rows[i], 1))
            return false;
    }
    others->count = kept;
    return true;
}
