/* Which change sets are claimed under `transactions: whole`, and which are set aside: always all
 * rows of one (rules 52, 54 and 58). sets.c has put them together. */
#include "producer/relay/internal.h"
#include "producer/relay/joint_row.h"

#include "common/log.h"

#include <stdio.h>

#define WINDOW_SETS 4 /* a load has at most so many times the rows of the largest set */
#define WINDOW_STEP 4 /* and so many times the rows of the load before it */

/* The judging of one load. */
struct judging {
    struct relay *relay;
    struct outbox_row *rows; /* in the order of their sets; what is kept moves to the front */
    struct change_sets sets;
    struct set_limits limits;
    int64_t
        *behind;  /* of each entity: position of a row of it that is set aside; 0: there is none */
    bool *waits;  /* of each entity: a row of it waits, because a type is paused */
    bool *guilty; /* room for a mark of each group */
    struct relay_choice *choice;
    size_t bytes;  /* of the payloads of what is kept */
    bool moved;    /* a set was kept or set aside */
    bool has_wait; /* a set waits, because a type is paused */
    bool ended;    /* what follows is for the next load */
    struct error *err;
};

/* What is to become of a set. */
enum set_outcome { SET_PUBLISHED, SET_REFUSED, SET_BEHIND, SET_PAUSED };

bool relay_is_whole(const struct relay *relay)
{
    return relay->options.config->transactions == TRANSACTIONS_WHOLE;
}

static struct set_limits relay_set_limits(const struct relay *relay)
{
    const struct config_limits *limits = &relay->options.config->limits;
    return (struct set_limits){(size_t)limits->changeset_events, (size_t)limits->changeset_bytes};
}

static size_t set_end(const struct change_set *set)
{
    return set->first + set->count;
}

/* Sets all rows of a set aside. Where it was merged and has rows that were refused, the reason is
 * for the groups of these, and the other groups wait behind them. */
static enum status judging_set_aside(struct judging *judging, const struct change_set *set,
                                     bool all, const char *reason)
{
    char behind[ERROR_TEXT_SIZE];
    struct relay *relay = judging->relay;
    struct outbox_row *rows = arena_alloc(&relay->arena, set->count * sizeof *rows);
    size_t own = 0;
    size_t others = 0;
    judging->moved = true;
    if (rows == NULL)
        return error_set(judging->err, STATUS_RETRY, "no memory");
    memset(judging->guilty, 0, judging->sets.group_count * sizeof *judging->guilty);
    for (size_t i = set->first; i < set_end(set); i++) {
        bool *guilty = &judging->guilty[judging->sets.groups[i]];
        *guilty = *guilty || all || judging->rows[i].set_aside.data != NULL;
        judging->behind[judging->sets.entities[i]] = judging->rows[i].position;
    }
    for (size_t i = set->first; i < set_end(set); i++) {
        if (judging->guilty[judging->sets.groups[i]])
            rows[own++] = judging->rows[i];
    }
    for (size_t i = set->first; i < set_end(set); i++) {
        if (!judging->guilty[judging->sets.groups[i]])
            rows[own + others++] = judging->rows[i];
    }
    const struct outbox_set first = {rows, own, reason};
    const struct outbox_set second = {rows + own, others, behind};
    (void)snprintf(behind, sizeof behind, OUTBOX_BEHIND "outbox row %lld",
                   (long long)rows[0].position);
    enum status status = relay_set_aside(relay, &first, judging->err);
    if (status == STATUS_OK && others > 0)
        status = relay_set_aside(relay, &second, judging->err);
    if (status == STATUS_OK)
        atomic_fetch_add(&relay->options.metrics->sets_set_aside, 1);
    return status;
}

/* @param ret_reason  a buffer of ERROR_TEXT_SIZE. */
static enum set_outcome judging_find(const struct judging *judging, const struct change_set *set,
                                     char *ret_reason)
{
    enum set_outcome outcome = SET_PUBLISHED;
    for (size_t i = set->first; i < set_end(set); i++) {
        if (judging->rows[i].paused || judging->waits[judging->sets.entities[i]])
            return SET_PAUSED;
    }
    for (size_t i = set->first; i < set_end(set); i++) {
        const struct outbox_row *row = &judging->rows[i];
        size_t entity = judging->sets.entities[i];
        if (row->set_aside.data != NULL) {
            if (set->count == 1)
                (void)snprintf(ret_reason, ERROR_TEXT_SIZE, "%s", row->set_aside.data);
            else
                (void)snprintf(ret_reason, ERROR_TEXT_SIZE, "outbox row %lld (%.*s %.*s): %s",
                               (long long)row->position, SLICE_ARGS(row->entity_type),
                               SLICE_ARGS(row->entity_key), row->set_aside.data);
            return SET_REFUSED;
        }
        if (outcome != SET_BEHIND && judging->behind[entity] != 0)
            (void)snprintf(ret_reason, ERROR_TEXT_SIZE, OUTBOX_BEHIND "outbox row %lld",
                           (long long)judging->behind[entity]);
        else if (outcome != SET_BEHIND && row->blocked)
            (void)snprintf(ret_reason, ERROR_TEXT_SIZE,
                           OUTBOX_BEHIND "an earlier change of %.*s %.*s that is set aside",
                           SLICE_ARGS(row->entity_type), SLICE_ARGS(row->entity_key));
        if (judging->behind[entity] != 0 || row->blocked)
            outcome = SET_BEHIND;
    }
    return outcome;
}

static void judging_keep(struct judging *judging, const struct change_set *set)
{
    struct relay_choice *choice = judging->choice;
    judging->ended = judging->bytes > RELAY_FLIGHT_BYTES;
    if (judging->ended)
        return;
    judging->moved = true;
    for (size_t i = set->first; i < set_end(set); i++)
        judging->bytes += judging->rows[i].payload.length;
    if (choice->count != set->first)
        memmove(&judging->rows[choice->count], &judging->rows[set->first],
                set->count * sizeof *judging->rows);
    choice->sets[choice->set_count] = *set;
    choice->sets[choice->set_count++].first = choice->count;
    choice->count += set->count;
    if ((int64_t)set->count > atomic_load(&judging->relay->options.metrics->sets_largest))
        atomic_store(&judging->relay->options.metrics->sets_largest, (int_fast64_t)set->count);
}

/* Keeps a set for the claim, sets it aside, or lets it wait. */
static enum status judging_take(struct judging *judging, const struct change_set *set)
{
    char reason[ERROR_TEXT_SIZE] = "";
    enum set_outcome outcome = judging_find(judging, set, reason);
    switch (outcome) {
    case SET_PUBLISHED:
        judging_keep(judging, set);
        return STATUS_OK;
    case SET_PAUSED:
        judging->has_wait = true;
        for (size_t i = set->first; i < set_end(set); i++)
            judging->waits[judging->sets.entities[i]] = true;
        return STATUS_OK;
    case SET_REFUSED:
    case SET_BEHIND:
        break;
    }
    return judging_set_aside(judging, set, outcome == SET_BEHIND, reason);
}

static bool judging_fits(const struct judging *judging, const struct change_set *set)
{
    return sets_fit(judging->rows, set->first, set_end(set), &judging->limits) == set->count;
}

/* Sets a transaction aside that is too large, or that lies among too many changes of others. */
static enum status judging_refuse_large(struct judging *judging, const struct change_set *set)
{
    char reason[ERROR_TEXT_SIZE];
    long long position = (long long)judging->rows[set->first].position;
    if (judging_fits(judging, set))
        (void)snprintf(reason, sizeof reason,
                       "a transaction that lies among more than %zu changes of others: retry it "
                       "with `keepstep outbox retry %lld`",
                       WINDOW_SETS * judging->limits.events, position);
    else
        (void)snprintf(reason, sizeof reason,
                       "a transaction of more than %zu changes or %zu bytes: raise "
                       "limits.changeset_events or limits.changeset_bytes and retry it, or "
                       "publish its changes one by one with `keepstep outbox cut %lld`",
                       judging->limits.events, judging->limits.bytes, position);
    return judging_set_aside(judging, set, true, reason);
}

/* Cuts rows that are not known to be one transaction into sets that are not too large. */
static enum status judging_cut(struct judging *judging, const struct change_set *set)
{
    enum status status = STATUS_OK;
    size_t end = set_end(set);
    log_warning("relay",
                "%zu changes that could not be told apart by transaction are published in parts of "
                "at most %zu changes and %zu bytes: copies may show a transaction in two parts "
                "(outbox rows %lld to %lld)",
                set->count, judging->limits.events, judging->limits.bytes,
                (long long)judging->rows[set->first].position,
                (long long)judging->rows[end - 1].position);
    atomic_fetch_add(&judging->relay->options.metrics->sets_split, 1);
    for (size_t at = set->first; status == STATUS_OK && !judging->ended && at < end;) {
        struct change_set part = *set;
        part.first = at;
        part.count = sets_fit(judging->rows, at, end, &judging->limits);
        at += part.count;
        status = judging_take(judging, &part);
    }
    return status;
}

static enum status judging_judge(struct judging *judging, const struct change_set *set)
{
    if (set->groups > 1)
        atomic_fetch_add(&judging->relay->options.metrics->sets_merged, 1);
    if (judging_fits(judging, set))
        return judging_take(judging, set);
    return set->groups > 1 || set->shared ? judging_cut(judging, set)
                                          : judging_refuse_large(judging, set);
}

/* The load has no complete set, although it is as large as may be. Of all groups the one with the
 * most rows is in the way: it is cut, or what was loaded of it is set aside, and the rest waits. */
static enum status judging_clear_way(struct judging *judging)
{
    const struct change_set *rest = &judging->sets.rest;
    size_t *counts = arena_alloc(&judging->relay->arena,
                                 judging->sets.group_count * sizeof *counts);
    if (counts == NULL)
        return error_set(judging->err, STATUS_RETRY, "no memory");
    size_t group = sets_largest_group(&judging->sets, rest, counts);
    size_t moved = 0;
    if (judging->sets.shared[group])
        return judging_cut(judging, rest);
    for (size_t i = rest->first; i < set_end(rest); i++) {
        if (judging->sets.groups[i] != group)
            continue;
        judging->rows[rest->first + moved] = judging->rows[i];
        judging->sets.groups[rest->first + moved] = group;
        judging->sets.entities[rest->first + moved++] = judging->sets.entities[i];
    }
    const struct change_set set = {.first = rest->first, .count = moved, .groups = 1};
    return judging_refuse_large(judging, &set);
}

/* @return how many rows the next load must have to reach the end of a set; 0: more do not help.
 * Positions are whole numbers, so no more rows than positions lie before that end. */
static size_t judging_reach(const struct judging *judging, const struct outbox_extent *extent)
{
    const struct change_sets *sets = &judging->sets;
    size_t most = sets->first_shared ? judging->limits.events
                                     : WINDOW_SETS * judging->limits.events;
    size_t wanted = most;
    if (judging->has_wait) /* all that a longer load could complete ends behind what is paused */
        return 0;
    if (sets->rest.count > 0)
        wanted = (size_t)(sets->first_end - judging->rows[sets->rest.first].position) + 1;
    wanted = wanted < WINDOW_STEP * extent->rows ? wanted : WINDOW_STEP * extent->rows;
    wanted = wanted < most ? wanted : most;
    return wanted > extent->rows ? wanted : 0;
}

/* Nothing of this load can be claimed, and more rows wait behind it. */
static enum status judging_go_on(struct judging *judging, const struct outbox_extent *extent)
{
    struct relay_choice *choice = judging->choice;
    choice->wanted = judging_reach(judging, extent);
    if (choice->wanted > 0)
        return STATUS_OK;
    if (judging->has_wait || judging->sets.rest.count == 0) {
        judging->relay->waiting.more = false; /* nothing changes before the type is resumed */
        return STATUS_OK;
    }
    return judging_clear_way(judging);
}

enum status relay_check_rows(struct relay *relay, struct outbox_rows *loaded, struct error *err)
{
    for (size_t i = 0; i < loaded->count; i++) {
        struct error reason = ERROR_INIT;
        struct outbox_row *row = &loaded->rows[i];
        enum status verdict = record_check(&relay->maker, row, &relay->arena, &reason);
        if (verdict == STATUS_REJECT) {
            row->set_aside = arena_copy(&relay->arena, slice_of(reason.text));
            verdict = row->set_aside.data == NULL ? STATUS_RETRY : STATUS_OK;
        }
        if (verdict != STATUS_OK && i == 0)
            return error_set(err, verdict, "%s", reason.text);
        if (verdict != STATUS_OK) {
            loaded->count = i;
            relay->waiting.more = true;
        }
    }
    return STATUS_OK;
}

/* While rows are set aside the outbox must compare keys to find what waits behind them. So keys
 * that were not canonical are stored first, and the next load finds them so. */
static enum status relay_store_keys(struct relay *relay, const struct outbox_rows *loaded,
                                    bool *ret_stored, struct error *err)
{
    size_t changed = 0;
    *ret_stored = false;
    if (!relay->waiting.has_set_aside)
        return STATUS_OK;
    struct outbox_row *rows = arena_alloc(&relay->arena, (loaded->count + 1) * sizeof *rows);
    if (rows == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < loaded->count; i++) {
        if (loaded->rows[i].rekeyed)
            rows[changed++] = loaded->rows[i];
    }
    *ret_stored = changed > 0;
    return changed == 0 ? STATUS_OK
                        : relay->outbox->ops->write_keys(relay->outbox, &relay->lease.row, rows,
                                                         changed, err);
}

static bool judging_init(struct judging *judging)
{
    struct arena *arena = &judging->relay->arena;
    const struct change_sets *sets = &judging->sets;
    size_t rows = sets->rest.first + sets->rest.count + 1;
    judging->behind = arena_alloc(arena, rows * sizeof *judging->behind);
    judging->waits = arena_alloc(arena, rows * sizeof *judging->waits);
    judging->guilty = arena_alloc(arena, rows * sizeof *judging->guilty);
    judging->choice->sets = arena_alloc(arena, rows * sizeof *judging->choice->sets);
    return judging->behind != NULL && judging->waits != NULL && judging->guilty != NULL &&
           judging->choice->sets != NULL;
}

enum status relay_choose_sets(struct relay *relay, struct outbox_rows *loaded,
                              const struct outbox_extent *extent, struct relay_choice *ret_choice,
                              struct error *err)
{
    struct judging judging = {.relay = relay,
                              .rows = loaded->rows,
                              .limits = relay_set_limits(relay),
                              .choice = ret_choice,
                              .err = err};
    bool stored = false;
    *ret_choice = (struct relay_choice){.rows = loaded->rows};
    enum status status = relay_store_keys(relay, loaded, &stored, err);
    if (status != STATUS_OK || stored) {
        relay->waiting.more = true;
        return status;
    }
    status = sets_arrange(loaded->rows, loaded->count, &relay->arena, &judging.sets, err);
    if (status == STATUS_OK && !judging_init(&judging))
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; status == STATUS_OK && !judging.ended && i < judging.sets.count; i++)
        status = judging_judge(&judging, &judging.sets.sets[i]);
    bool all = ret_choice->count == judging.sets.rest.first;
    relay->ahead.may_order = all && judging.moved && relay->waiting.more;
    if (judging.sets.rest.count > 0)
        ret_choice->first_left = judging.rows[judging.sets.rest.first].position;
    if (status == STATUS_OK && !judging.moved && relay->waiting.more)
        status = judging_go_on(&judging, extent);
    relay->waiting.more = relay->waiting.more || judging.ended;
    return status;
}

enum status relay_find_open_sets(struct relay *relay, struct error *err)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (lane = relay_next_lane(relay, &at)) != NULL) {
        const struct relay_partition *state = &lane->state;
        struct outbox_row row = {0};
        lane->open_end = 0;
        if (!relay_is_whole(relay) || state->last_sequence == 0)
            continue;
        arena_reset(&relay->arena);
        status = relay->outbox->ops->find(relay->outbox, slice_of(state->last_id), &relay->arena,
                                          &row, err);
        if (status == STATUS_OK && row.changeset_end > state->last_sequence)
            lane->open_end = row.changeset_end;
    }
    return status;
}

/* What was lost waits again, and in the order of sets it is first: all that was before it has its
 * numbers. Only a transaction that came to light later could be before it. */
enum status relay_check_open_sets(struct relay *relay, const struct relay_choice *choice,
                                  struct error *err)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        size_t rows = 0;
        for (size_t s = 0; lane->open_end != 0 && s < choice->set_count && rows == 0; s++) {
            const struct change_set *set = &choice->sets[s];
            for (size_t i = set->first; i < set_end(set); i++)
                rows += relay_lane_of(relay, &choice->rows[i]) == lane;
        }
        if (rows > 0 && lane->state.last_sequence + rows != lane->open_end)
            return error_set(
                error_config(err), STATUS_FATAL,
                "%s [%d]: the log has a part of a transaction whose numbers end at %llu, but the "
                "database lost them, and what waits now is not its rest (%zu changes behind number "
                "%llu): begin a new history with `keepstep init --new-incarnation`",
                lane->state.topic, (int)lane->state.partition, (unsigned long long)lane->open_end,
                rows, (unsigned long long)lane->state.last_sequence);
    }
    return STATUS_OK;
}

/* Counts a set that lies in several partitions; each of its parts is a set there. */
static void relay_note_spread(struct relay *relay)
{
    atomic_fetch_add(&relay->options.metrics->sets_split, 1);
    if (!relay->spread_logged)
        log_warning("relay", "a transaction has changes in several partitions: copies show its "
                             "parts one after the other; this is counted, and not logged again");
    relay->spread_logged = true;
}

/* @return the lane where the row is in a set; NULL for a record of joint transactions: in its topic
 * each is alone. */
static struct relay_lane *relay_lane_of_set(struct relay *relay, const struct outbox_row *row)
{
    return joint_row_is(row) ? NULL : relay_lane_of(relay, row);
}

void relay_end_sets(struct relay *relay, const struct relay_choice *choice)
{
    for (size_t s = 0; s < choice->set_count; s++) {
        const struct change_set *set = &choice->sets[s];
        struct relay_lane *lane;
        size_t lanes = 0;
        for (size_t i = set->first; i < set_end(set); i++) {
            lane = relay_lane_of_set(relay, &choice->rows[i]);
            if (lane == NULL)
                continue;
            lanes += lane->set_rows++ == 0;
            lane->set_end = choice->rows[i].sequence;
        }
        for (size_t i = set->first; i < set_end(set); i++) {
            lane = relay_lane_of_set(relay, &choice->rows[i]);
            bool in_set = lane != NULL && (lane->set_rows > 1 || lane->open_end != 0);
            choice->rows[i].changeset_end = in_set ? lane->set_end : 0;
        }
        for (size_t i = set->first; i < set_end(set); i++) {
            lane = relay_lane_of(relay, &choice->rows[i]);
            lane->set_rows = 0;
            lane->open_end = 0;
        }
        if (lanes > 1)
            relay_note_spread(relay);
    }
}
