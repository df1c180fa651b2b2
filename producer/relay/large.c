/* A change set that is larger than a claim may be: it is measured first, then numbered and sent in
 * parts (rule 58). Its rows are never in memory together.
 *
 * It is measured in windows, by positions, from the beginning of what waits to its last row. Each
 * window's other sets that end before it are claimed, so that they have smaller numbers. Its own
 * rows are checked and counted: nothing of it is numbered before all of it can be. Then its end in
 * each partition is known, and the parts follow. From the first one on nothing else is numbered in
 * these partitions. A relay that takes over finds the end in the last row that has a number, counts
 * what waits, and goes on (set_ends.c).
 *
 * Why what is in front of it may go first, and nothing else must: it is one transaction. What it
 * depends on was committed before its last write, so each snapshot that has it has that too, with
 * the end in front of its own end. What depends on it ends behind it. Only what was set aside
 * breaks that: where it is released meanwhile, it waits in front of what was measured. Then, and
 * where anything else changes that counts, it is measured anew. */
#include "common/utf8.h"
#include "producer/relay/internal.h"

#include "common/digest.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP_BYTES ((size_t)64 * 1024 * 1024) /* of one load of rows without payloads */

/* A row, and the entity that it changes. */
struct large_change {
    uint64_t entity;
    int64_t position;
    enum passed_place place;
};

/* Rows that were loaded together. */
struct large_window {
    struct outbox_rows own;       /* of the large set */
    struct large_change *changes; /* all that was loaded, while it is measured */
    size_t change_count;
    struct outbox_rows others; /* that go before it */
    int64_t first;             /* position of the first row; 0: there is none */
    int64_t last;              /* and of the last one */
    bool is_last;              /* no row waits behind it */
    bool cuts; /* others may be a part of a transaction: nothing tells where it ends */
};

static void large_set_stage(struct relay *relay, enum relay_large_stage stage)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    struct relay_large *large = &relay->large;
    bool ends_known = large->stage == LARGE_PARTS && !large->begun;
    large->stage = stage;
    large->after = relay->waits.passed;
    passed_done(&relay->passed);
    if (stage == LARGE_PARTS)
        return;
    large->rows = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        lane->large_rows = 0;
        if (ends_known && lane->open_group == large->group)
            lane->open_end = lane->open_group = 0; /* it has no number yet */
    }
}

void relay_large_begin(struct relay *relay, const struct outbox_row *row)
{
    relay->large = (struct relay_large){.group = digest_64(row->changeset),
                                        .end = row->last_of_group};
    large_set_stage(relay, LARGE_MEASURED);
    relay_drop_ahead(relay);
    log_debug("relay", "the transaction that ends with outbox row %lld is published in parts",
              (long long)row->last_of_group);
}

void relay_large_resume(struct relay *relay)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    relay->large = (struct relay_large){.end = INT64_MAX, .begun = true};
    large_set_stage(relay, LARGE_NONE);
    while ((lane = relay_next_lane(relay, &at)) != NULL && relay->large.stage == LARGE_NONE) {
        if (lane->state.last_sequence >= lane->open_end || lane->open_group == 0)
            continue;
        relay->large.group = lane->open_group;
        relay_forget_waits(relay); /* no pause stops it any more */
        large_set_stage(relay, LARGE_MEASURED);
        relay_drop_ahead(relay);
    }
}

/* The rows wait as they did, and the next load judges anew. */
static void large_forget(struct relay *relay)
{
    large_set_stage(relay, LARGE_NONE);
    relay->waiting.more = true;
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
    bool checks = large->stage == LARGE_MEASURED && !large->begun && !large->merged;
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

/* @return whether the measuring begins. Up to there all that waits has been passed. */
static bool large_begins(const struct relay *relay)
{
    return relay->large.stage == LARGE_MEASURED && relay->large.after == relay->waits.passed;
}

/* @param ret_loaded  false: keys were stored, or what waits has changed; it is to be done again. */
static enum status large_load(struct relay *relay, struct large_window *ret_window,
                              bool *ret_loaded, struct error *err)
{
    struct outbox_rows rows = {0};
    struct outbox_extent extent = relay_extent(relay);
    size_t most = (size_t)relay->options.config->limits.changeset_events;
    bool stored = false;
    *ret_window = (struct large_window){0};
    extent.rows = extent.rows < most ? extent.rows : most;
    extent.after = relay->large.after;
    extent.claimed = large_begins(relay) ? relay->waits.count : 0;
    enum status status = relay_load_rows(relay, &extent, &rows, err);
    if (status == STATUS_OK && extent.claimed > 0 && !rows.complete) {
        relay_forget_waits(relay);
        large_forget(relay);
        *ret_loaded = false;
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = relay_check_rows(relay, &rows, err);
    if (status == STATUS_OK)
        status = relay_mark_waiting(relay, &rows, err);
    ret_window->is_last = !relay->waiting.more;
    relay->waiting.more = true;
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

/* Sets aside all rows of the set to which a row belongs. */
static enum status large_set_aside(struct relay *relay, const struct outbox_row *row,
                                   const struct outbox_set *why, struct error *err)
{
    struct outbox_row at = {.changeset = row->changeset, .last_of_group = row->last_of_group};
    struct outbox_rows rows = {0};
    struct error unreadable = ERROR_INIT; /* such a key stays as it is */
    struct arena arena;
    size_t count = 0;
    bool done = false;
    arena_init(&arena, GROUP_BYTES);
    enum status status = relay_rekey_rest(relay, &at, &count, err);
    if (status == STATUS_OK)
        status = relay->outbox->ops->load_group(relay->outbox, &at, &arena, &rows, err);
    if (status == STATUS_OK && rows.count > 0) {
        struct outbox_row first = rows.rows[0];
        struct outbox_set set = *why;
        if (record_make_canonical(&relay->maker, &first, &arena, &unreadable) != STATUS_OK)
            first.entity_key = rows.rows[0].entity_key;
        first.last_of_group = row->last_of_group;
        set.rows = &first;
        set.count = 1; /* the outbox finds the others by their `changeset` */
        status = relay_set_aside(relay, &set, &done, err);
    }
    if (done) {
        atomic_fetch_add(&relay->options.metrics->sets_set_aside, 1);
        relay_note_set_aside(relay, count - 1);
    }
    large_forget(relay);
    arena_done(&arena);
    return status;
}

/* A part of the set has its numbers: it can be neither set aside nor left out. */
static enum status large_refuse_rest(const struct outbox_row *row, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "outbox row %lld (%.*s %.*s) cannot be published any more, but other changes "
                     "of its transaction have been: %.*s. Undo what was changed of the row or of "
                     "the configuration, or begin a new history with `keepstep init "
                     "--new-incarnation`",
                     (long long)row->position, SLICE_ARGS(row->entity_type),
                     SLICE_ARGS(row->entity_key), SLICE_ARGS(row->set_aside));
}

static enum status large_refuse(struct relay *relay, const struct outbox_row *row,
                                struct error *err)
{
    char reason[ERROR_TEXT_SIZE];
    struct outbox_set why = {.reason = reason};
    if (row->set_aside.data != NULL) {
        if (relay->large.begun)
            return large_refuse_rest(row, err);
        utf8_format(reason, sizeof reason, "outbox row %lld (%.*s %.*s): %s",
                    (long long)row->position, SLICE_ARGS(row->entity_type),
                    SLICE_ARGS(row->entity_key), row->set_aside.data);
    } else {
        why.behind = row->blocked_by;
        utf8_format(reason, sizeof reason, OUTBOX_BEHIND "outbox row %lld",
                    (long long)row->blocked_by);
    }
    return large_set_aside(relay, row, &why, err);
}

/* Checks and counts own rows up to a position.
 * @param ret_goes_on  false: the set waits, or was set aside. */
static enum status large_count(struct relay *relay, const struct large_window *window, int64_t to,
                               bool *ret_goes_on, struct error *err)
{
    struct relay_large *large = &relay->large;
    *ret_goes_on = false;
    for (size_t i = 0; i < window->own.count && window->own.rows[i].position <= to; i++) {
        const struct outbox_row *row = &window->own.rows[i];
        if (row->paused && !large->begun) { /* the next load finds that all of it waits */
            large_forget(relay);
            relay->waiting.more = waits_remember(&relay->waits, row, 1);
            return STATUS_OK;
        }
        if (row->set_aside.data != NULL || (row->blocked_by != 0 && !large->begun))
            return large_refuse(relay, row, err);
        if (large->end == INT64_MAX)
            large->end = row->last_of_group;
        relay_lane_of(relay, row)->large_rows++;
        large->rows++;
    }
    *ret_goes_on = true;
    return STATUS_OK;
}

/* Now it is known how many rows the set has in each partition. */
static enum status large_end_measuring(struct relay *relay, struct error *err)
{
    struct relay_large *large = &relay->large;
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    size_t lanes = 0;
    large->rows = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        uint64_t last = lane->state.last_sequence;
        bool is_open = last < lane->open_end;
        bool is_own = is_open && lane->open_group == large->group;
        bool is_others = is_open && !is_own && lane->open_group != 0;
        if ((is_own && lane->large_rows < lane->open_end - last) ||
            (is_others && lane->large_rows > 0))
            return relay_refuse_other_rest(lane, lane->large_rows, err);
        if (is_own)
            lane->large_rows = lane->open_end - last;
    }
    for (at = (struct relay_cursor){0}; (lane = relay_next_lane(relay, &at)) != NULL;) {
        uint64_t last = lane->state.last_sequence;
        if (last >= lane->open_end && lane->large_rows > 1) {
            lane->open_end = last + lane->large_rows;
            lane->open_group = large->group;
        }
        lanes += lane->large_rows > 0;
        large->rows += lane->large_rows;
    }
    if (large->rows == 0) {
        relay_large_resume(relay);
        return STATUS_OK;
    }
    if (lanes > 1 && !large->begun)
        relay_note_spread(relay);
    relay_note_largest(relay, large->rows);
    log_info("relay", "a transaction is published in parts: %zu changes, up to outbox row %lld",
             large->rows, (long long)large->end);
    large_set_stage(relay, LARGE_PARTS);
    relay->paused.again_us = 0; /* a pause that came meanwhile counts */
    return STATUS_OK;
}

/* The others of a window that cannot be claimed end behind it. The next window begins at the first
 * of them. One that is as long as a window goes before this set, as a large one.
 * @return up to which position the window is done; 0: another set is measured now. */
static int64_t large_find_reach(struct relay *relay, const struct large_window *window)
{
    const struct outbox_row *rows = window->others.rows;
    int64_t reach = window->last;
    for (size_t i = 0; i < window->others.count; i++)
        reach = rows[i].position <= reach ? rows[i].position - 1 : reach;
    if (window->others.count == 0 || reach >= window->first)
        return reach;
    const struct outbox_row *first = relay_find_first_end(rows, window->others.count);
    if (first == NULL)
        return window->last;
    relay_large_begin(relay, first);
    return 0;
}

static void large_note_cut(struct relay *relay)
{
    if (relay->large.cut_noted)
        return;
    relay->large.cut_noted = true;
    atomic_fetch_add(&relay->options.metrics->sets_split, 1);
    log_warning("relay",
                "changes that could not be told apart by transaction lie among those of a "
                "transaction that is published in parts, up to outbox row %lld: copies may show "
                "a transaction in two parts",
                (long long)relay->large.end);
}

static int large_compare_changes(const void *left, const void *right)
{
    const struct large_change *a = left;
    const struct large_change *b = right;
    if (a->entity != b->entity)
        return a->entity < b->entity ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

/* @return whether an entity has a change whose place is in front of an earlier one's. Such sets are
 * merged (rule 52), and a merged one is cut where it is large. */
static bool large_is_crossed(const struct relay *relay, struct large_window *window)
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

/* Notes what a window leaves behind, up to a position. */
static enum status large_pass(struct relay *relay, const struct large_window *window, int64_t to,
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

/* Counts what is set aside, if any may be.
 * @param ret_fewer  some of what was set aside when the measuring began has been released since.
 * Only the relay sets rows aside, and then it measures anew. */
static enum status large_count_set_aside(struct relay *relay, bool *ret_fewer, struct error *err)
{
    struct relay_large *large = &relay->large;
    struct outbox_counts counts = {0};
    enum status status = STATUS_OK;
    bool begins = large_begins(relay);
    *ret_fewer = false;
    if (large->begun || (begins ? !relay->waiting.has_set_aside : large->set_aside == 0))
        return STATUS_OK;
    status = relay->outbox->ops->count(relay->outbox, &counts, err);
    *ret_fewer = status == STATUS_OK && !begins && counts.set_aside < large->set_aside;
    if (status == STATUS_OK && begins)
        large->set_aside = counts.set_aside;
    return status;
}

/* Loads a window, with all that goes before the large set and ends in front of the window's last
 * row. A row that was released may be such, and behind the measuring. */
static enum status large_load_measured(struct relay *relay, struct large_window *ret_window,
                                       bool *ret_loaded, struct error *err)
{
    bool begins = large_begins(relay);
    bool fewer = false;
    enum status status = STATUS_OK;
    *ret_loaded = false;
    if (begins) {
        relay->large.set_aside = 0;
        status = large_count_set_aside(relay, &fewer, err);
    }
    if (status == STATUS_OK)
        status = large_load(relay, ret_window, ret_loaded, err);
    if (status == STATUS_OK && !begins)
        status = large_count_set_aside(relay, &fewer, err);
    if (status == STATUS_OK && fewer) {
        relay_forget_waits(relay);
        relay_large_again(relay);
        *ret_loaded = false;
    }
    return status;
}

/* Takes out of a window what has to wait. @return false: there is no room to remember it. */
static bool large_leave_waiting(struct relay *relay, struct large_window *window)
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

static enum status large_measure(struct relay *relay, struct relay_choice *choice,
                                 struct error *err)
{
    struct relay_large *large = &relay->large;
    struct large_window window;
    bool goes_on = false;
    enum status status = large_load_measured(relay, &window, &goes_on, err);
    if (status != STATUS_OK || !goes_on)
        return status;
    if (!large->begun && !large_leave_waiting(relay, &window)) {
        large_forget(relay);
        relay->waiting.more = false;
        return STATUS_OK;
    }
    if (large_is_crossed(relay, &window)) {
        large->merged = true;
        relay_large_again(relay);
        return STATUS_OK;
    }
    if (window.others.count > 0) {
        status = relay_choose_sets(relay, &window.others, NULL, choice, err);
        relay->ahead.may_order = false;
        choice->wanted = 0;
        if (status == STATUS_OK && window.cuts && choice->count > 0)
            large_note_cut(relay);
        if (status != STATUS_OK || choice->moved)
            return status;
        if (choice->waits) {
            large_forget(relay);
            relay->waiting.more = false;
            return STATUS_OK;
        }
    }
    int64_t reach = window.first == 0 ? 0 : large_find_reach(relay, &window);
    if (reach == 0 && window.first != 0)
        return STATUS_OK;
    status = large_count(relay, &window, reach, &goes_on, err);
    if (status == STATUS_OK && goes_on)
        status = large_pass(relay, &window, reach, err);
    if (status != STATUS_OK || !goes_on)
        return status;
    bool is_done = window.others.count == 0 && window.is_last;
    large->after = reach;
    return is_done || reach >= large->end ? large_end_measuring(relay, err) : STATUS_OK;
}

/* Rows that were counted do not wait any more. */
static enum status large_refuse_vanished(struct relay *relay, struct error *err)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    enum status status = STATUS_OK;
    if (!relay->large.begun) {
        large_forget(relay);
        return STATUS_OK;
    }
    while (status == STATUS_OK && (lane = relay_next_lane(relay, &at)) != NULL) {
        if (lane->large_rows > 0)
            status = relay_refuse_other_rest(lane, 0, err);
    }
    return status;
}

/* Chooses the rows of the next part. */
static enum status large_take_part(struct relay *relay, struct relay_choice *choice,
                                   struct error *err)
{
    struct relay_large *large = &relay->large;
    struct large_window window;
    bool loaded = false;
    enum status status = large_load(relay, &window, &loaded, err);
    if (status != STATUS_OK || !loaded)
        return status;
    choice->rows = window.own.rows;
    for (size_t i = 0; i < window.own.count; i++) {
        struct outbox_row *row = &window.own.rows[i];
        if (row->set_aside.data != NULL && !large->begun) {
            choice->count = 0;
            large_forget(relay);
            return STATUS_OK;
        }
        if (row->set_aside.data != NULL)
            return large_refuse_rest(row, err);
        struct relay_lane *lane = relay_lane_of(relay, row);
        if (lane->large_rows == 0)
            continue; /* of what the service wrote later, with the same identity */
        lane->large_rows--;
        choice->rows[choice->count++] = *row;
    }
    large->rows -= choice->count;
    large->after = window.last;
    if (choice->count == 0 && window.is_last)
        return large_refuse_vanished(relay, err);
    choice->sets = arena_alloc(&relay->sets, sizeof *choice->sets);
    if (choice->sets == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    choice->sets[0] = (struct change_set){.count = choice->count, .groups = 1};
    choice->set_count = 1;
    choice->goes_on = large->rows > 0;
    return STATUS_OK;
}

enum status relay_large_choose(struct relay *relay, struct relay_choice *ret_choice,
                               struct error *err)
{
    relay->ahead.may_order = false;
    *ret_choice = (struct relay_choice){0};
    return relay->large.stage == LARGE_PARTS ? large_take_part(relay, ret_choice, err)
                                             : large_measure(relay, ret_choice, err);
}

void relay_large_claiming(struct relay *relay)
{
    if (relay->large.stage == LARGE_PARTS)
        relay->large.begun = true;
}

void relay_large_claimed(struct relay *relay)
{
    if (relay->large.stage == LARGE_PARTS && relay->large.rows == 0)
        relay_large_resume(relay);
}

void relay_large_again(struct relay *relay)
{
    if (relay->large.stage != LARGE_NONE)
        large_set_stage(relay, LARGE_MEASURED);
}
