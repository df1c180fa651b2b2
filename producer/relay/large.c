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
#include "producer/relay/large_window.h"

#include "common/digest.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP_BYTES ((size_t)64 * 1024 * 1024) /* of one load of rows without payloads */

static void large_set_stage(struct relay *relay, enum relay_large_stage stage)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    struct relay_large *large = &relay->large;
    large->stage = stage;
    large->after = relay->waits.passed;
    passed_done(&relay->passed);
    if (stage == LARGE_PARTS)
        return;
    large->rows = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL)
        lane->large_rows = 0;
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

/* @return whether the set's first rows of this lane have their numbers, or may have. */
static bool large_is_open(const struct relay_large *large, const struct relay_lane *lane)
{
    return large->begun && lane->state.last_sequence < lane->open_end &&
           lane->open_group == large->group;
}

/* The rows wait as they did, and the next load judges anew. */
static void large_forget(struct relay *relay)
{
    large_set_stage(relay, LARGE_NONE);
    relay->waiting.more = true;
}

/* The same where nothing can be judged otherwise soon. */
static void large_let_wait(struct relay *relay)
{
    large_forget(relay);
    relay->waiting.more = false;
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

/* Checks and counts own rows up to a position. Once a part has its numbers only the lanes count
 * where it is open. In others it may have begun too, and what came first there may have been lost.
 * @param ret_goes_on  false: the set waits, or was set aside. */
static enum status large_count(struct relay *relay, const struct large_window *window, int64_t to,
                               bool *ret_goes_on, struct error *err)
{
    struct relay_large *large = &relay->large;
    *ret_goes_on = false;
    for (size_t i = 0; i < window->own.count && window->own.rows[i].position <= to; i++) {
        const struct outbox_row *row = &window->own.rows[i];
        if (row->paused && !large->begun) { /* the next load finds that all of it waits */
            bool is_noted = waits_remember(&relay->waits, row, 1);
            if (!is_noted)
                relay_note_no_room(relay, row->position);
            large_forget(relay);
            /* While numbers wait for a rest that nobody knows, what is remembered is forgotten. */
            relay->waiting.more = is_noted && !relay_has_open_set(relay);
            return STATUS_OK;
        }
        if (row->set_aside.data != NULL || (row->blocked_by != 0 && !large->begun))
            return large_refuse(relay, row, err);
        if (large->end == INT64_MAX)
            large->end = row->last_of_group;
        struct relay_lane *lane = relay_lane_of(relay, row);
        if (large->begun && !large_is_open(large, lane))
            continue; /* it is a set of its own there, and has its turn */
        lane->large_rows++;
        large->rows++;
    }
    *ret_goes_on = true;
    return STATUS_OK;
}

/* Fewer rows wait than there are numbers left. Several `changeset` values may have been one set, or
 * rows were deleted: nothing tells which rows are the rest. */
static void large_lose_rest(struct relay *relay, struct relay_lane *lane)
{
    log_error("relay",
              "%s [%d]: of a transaction whose numbers end at %llu only the first changes have "
              "them, and %zu changes wait for %llu numbers: the database has lost what tells the "
              "rest, or outbox rows were deleted. What waits next gets these numbers",
              lane->state.topic, (int)lane->state.partition, (unsigned long long)lane->open_end,
              lane->large_rows, (unsigned long long)(lane->open_end - lane->state.last_sequence));
    if (lane->large_rows > 0 && lane->rest_noted != lane->open_end) {
        lane->rest_noted = lane->open_end; /* they are cut off, whoever gets the numbers */
        atomic_fetch_add(&relay->options.metrics->sets_split, 1);
    }
    lane->open_group = 0;
    relay_large_resume(relay);
}

/* @return a lane where fewer rows wait than there are numbers left; NULL: there is none. */
static struct relay_lane *large_find_lost(struct relay *relay)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        size_t left = (size_t)(lane->open_end - lane->state.last_sequence);
        if (!large_is_open(&relay->large, lane))
            continue;
        if (lane->large_rows < left)
            return lane;
        lane->large_rows = left;
    }
    return NULL;
}

/* Now it is known how many rows the set has in each partition. Where it ends there is noted with
 * its first number: until then its rows there may be another set's, or go. */
static void large_end_measuring(struct relay *relay)
{
    struct relay_large *large = &relay->large;
    struct relay_cursor at = {0};
    struct relay_lane *lane = large_find_lost(relay);
    size_t lanes = 0;
    if (lane != NULL) {
        large_lose_rest(relay, lane);
        return;
    }
    large->rows = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        lanes += lane->large_rows > 0;
        large->rows += lane->large_rows;
    }
    if (large->rows == 0) {
        relay_large_resume(relay);
        return;
    }
    if (lanes > 1 && !large->begun)
        relay_note_spread(relay);
    relay_note_largest(relay, large->rows);
    log_info("relay", "a transaction is published in parts: %zu changes, up to outbox row %lld",
             large->rows, (long long)large->end);
    large_set_stage(relay, LARGE_PARTS);
    relay->paused.again_us = 0; /* a pause that came meanwhile counts */
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

/* Something waits that was not there, or the connection is another one: what was found does not
 * count. */
static void large_look_anew(struct relay *relay)
{
    if (relay->waiting.waits_session != relay->outbox->session)
        relay_forget_waits(relay);
    relay->waiting.waits_session = relay->outbox->session;
    relay_large_again(relay);
}

/* @param ret_loaded  false: it is to be done again. */
static enum status large_load(struct relay *relay, struct large_window *ret_window,
                              bool *ret_loaded, struct error *err)
{
    enum status status = large_window_load(relay, ret_window, ret_loaded, err);
    if (ret_window->late)
        large_look_anew(relay);
    return status;
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

static enum status large_measure(struct relay *relay, struct relay_choice *choice,
                                 struct error *err)
{
    struct relay_large *large = &relay->large;
    struct large_window window;
    bool goes_on = false;
    enum status status = large_load_measured(relay, &window, &goes_on, err);
    if (status != STATUS_OK || !goes_on)
        return status;
    if (!large->begun && !large_window_leave_waiting(relay, &window)) {
        relay_note_no_room(relay, large->after);
        large_let_wait(relay);
        return STATUS_OK;
    }
    if (large_window_is_crossed(relay, &window)) {
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
            large_let_wait(relay);
            return STATUS_OK;
        }
    }
    int64_t reach = window.first == 0 ? 0 : large_find_reach(relay, &window);
    if (reach == 0 && window.first != 0)
        return STATUS_OK;
    status = large_count(relay, &window, reach, &goes_on, err);
    if (status == STATUS_OK && goes_on)
        status = large_window_pass(relay, &window, reach, err);
    if (status != STATUS_OK || !goes_on)
        return status;
    bool is_done = window.others.count == 0 && window.is_last;
    large->after = reach;
    if (is_done || reach >= large->end)
        large_end_measuring(relay);
    return STATUS_OK;
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
    if (choice->count == 0 && window.is_last) { /* what was counted does not wait any more */
        if (large->begun)
            relay_large_again(relay);
        else
            large_forget(relay);
        return STATUS_OK;
    }
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
    if (relay->waiting.waits_session != relay->outbox->session)
        large_look_anew(relay);
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
