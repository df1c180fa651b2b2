/* Which change sets are claimed under `transactions: whole`, and which are set aside: always all
 * rows of one (rules 52, 54 and 58). sets.c has put them together. */
#include "common/utf8.h"
#include "producer/relay/internal.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW_STEP 4 /* a load has at most so many times the rows of the one before it */
#define ROW_BYTES   ((size_t)1024) /* of what is found out about a row: less than that */
#define SETS_BYTES  ((size_t)64 * 1024 * 1024)

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
    bool cut;      /* there was no memory for all rows of the load */
    size_t loaded; /* bytes of the payloads of all rows */
    size_t bytes;  /* of the payloads of what is kept */
    bool ended;    /* what follows is for the next load */
    struct error *err;
};

/* What is to become of a set. */
enum set_outcome { SET_PUBLISHED, SET_REFUSED, SET_BEHIND };

/* Why a set is not published. */
struct refusal {
    char reason[ERROR_TEXT_SIZE];
    int64_t behind; /* position of the row that it waits for; 0: it has a reason of its own */
};

bool relay_is_whole(const struct relay *relay)
{
    return relay->options.config->transactions == TRANSACTIONS_WHOLE;
}

static struct set_limits relay_set_limits(const struct relay *relay)
{
    const struct config_limits *limits = &relay->options.config->limits;
    return (struct set_limits){(size_t)limits->changeset_events, (size_t)limits->changeset_bytes};
}

size_t relay_sets_bytes(const struct config *config)
{
    bool whole = config->transactions == TRANSACTIONS_WHOLE;
    return SETS_BYTES + (whole ? (size_t)config->limits.changeset_events * ROW_BYTES : 0);
}

static size_t set_end(const struct change_set *set)
{
    return set->first + set->count;
}

/* They are set aside with it, and what comes later of their entities is found by their keys. */
enum status relay_rekey_rest(struct relay *relay, const struct outbox_row *row, size_t *ret_count,
                             struct error *err)
{
    const struct outbox_ops *ops = relay->outbox->ops;
    struct outbox_row at = *row;
    struct outbox_rows rows = {0};
    struct arena arena;
    enum status status = STATUS_OK;
    *ret_count = 0;
    arena_init(&arena, SETS_BYTES);
    while (status == STATUS_OK && at.position < at.last_of_group) {
        size_t changed = 0;
        arena_reset(&arena);
        status = ops->load_group(relay->outbox, &at, &arena, &rows, err);
        if (status != STATUS_OK || rows.count == 0)
            break;
        at.position = rows.rows[rows.count - 1].position;
        *ret_count += rows.count;
        for (size_t i = 0; i < rows.count; i++) {
            struct error unreadable = ERROR_INIT; /* such a key stays as it is */
            struct outbox_row next = rows.rows[i];
            if (record_make_canonical(&relay->maker, &next, &arena, &unreadable) == STATUS_OK &&
                next.rekeyed)
                rows.rows[changed++] = next;
        }
        if (changed > 0)
            status = ops->write_keys(relay->outbox, &relay->lease.row, rows.rows, changed, err);
        if (status == STATUS_OK)
            status = relay_keep_lease(relay, err);
    }
    arena_done(&arena);
    return status;
}

/* Sets rows aside, which are in the order of their positions. */
static enum status judging_set_rows_aside(struct judging *judging, const struct outbox_set *set,
                                          bool *ret_done)
{
    const struct outbox_row *last = &set->rows[set->count - 1];
    enum status status = STATUS_OK;
    size_t rest = 0;
    if (last->behind && !last->shared)
        status = relay_rekey_rest(judging->relay, last, &rest, judging->err);
    if (status == STATUS_OK)
        status = relay_set_aside(judging->relay, set, ret_done, judging->err);
    if (status == STATUS_OK && *ret_done)
        relay_note_set_aside(judging->relay, rest);
    return status;
}

/* The same where only some groups of the set have rows that were refused: the others wait behind
 * these. */
static enum status judging_divide(struct judging *judging, const struct change_set *set,
                                  const char *reason, bool *ret_done)
{
    char behind[ERROR_TEXT_SIZE];
    struct outbox_row *rows = calloc(set->count, sizeof *rows);
    size_t own = 0;
    size_t others = 0;
    if (rows == NULL)
        return error_set(judging->err, STATUS_RETRY, "no memory");
    memset(judging->guilty, 0, judging->sets.group_count * sizeof *judging->guilty);
    for (size_t i = set->first; i < set_end(set); i++) {
        bool *guilty = &judging->guilty[judging->sets.groups[i]];
        *guilty = *guilty || judging->rows[i].set_aside.data != NULL;
    }
    for (size_t i = set->first; i < set_end(set); i++) {
        if (judging->guilty[judging->sets.groups[i]])
            rows[own++] = judging->rows[i];
    }
    for (size_t i = set->first; i < set_end(set); i++) {
        if (!judging->guilty[judging->sets.groups[i]])
            rows[own + others++] = judging->rows[i];
    }
    const struct outbox_set first = {.rows = rows, .count = own, .reason = reason};
    const struct outbox_set second = {
        .rows = rows + own, .count = others, .reason = behind, .behind = rows[0].position};
    (void)snprintf(behind, sizeof behind, OUTBOX_BEHIND "outbox row %lld",
                   (long long)rows[0].position);
    enum status status = judging_set_rows_aside(judging, &first, ret_done);
    if (status == STATUS_OK && others > 0) {
        bool follows = false; /* else the first ones wait again already */
        status = judging_set_rows_aside(judging, &second, &follows);
    }
    free(rows);
    return status;
}

/* Sets all rows of a set aside. What it would be behind may have been released since the load: then
 * it waits, and what shares an entity with it too, and the next load judges anew. */
static enum status judging_set_aside(struct judging *judging, const struct change_set *set,
                                     const struct refusal *refusal, bool divides)
{
    struct relay *relay = judging->relay;
    bool done = false;
    enum status status = STATUS_OK;
    judging->choice->moved = true;
    for (size_t i = set->first; i < set_end(set); i++)
        judging->behind[judging->sets.entities[i]] = judging->rows[i].position;
    if (divides && set->groups > 1) {
        status = judging_divide(judging, set, refusal->reason, &done);
    } else {
        const struct outbox_set all = {.rows = &judging->rows[set->first],
                                       .count = set->count,
                                       .reason = refusal->reason,
                                       .behind = refusal->behind};
        status = judging_set_rows_aside(judging, &all, &done);
    }
    if (status == STATUS_OK && done)
        atomic_fetch_add(&relay->options.metrics->sets_set_aside, 1);
    relay->waiting.more = relay->waiting.more || !done;
    return status;
}

/* @return whether a row of the set waits with its type, or behind such a set; then what shares an
 * entity with it waits too. */
static bool judging_waits(struct judging *judging, const struct change_set *set)
{
    bool waits = false;
    for (size_t i = set->first; i < set_end(set); i++)
        waits = waits || judging->rows[i].paused || judging->waits[judging->sets.entities[i]];
    for (size_t i = set->first; waits && i < set_end(set); i++)
        judging->waits[judging->sets.entities[i]] = true;
    judging->choice->waits = judging->choice->waits || waits;
    return waits;
}

static enum set_outcome judging_find(const struct judging *judging, const struct change_set *set,
                                     struct refusal *ret_refusal)
{
    int64_t behind = 0;
    for (size_t i = set->first; i < set_end(set); i++) {
        const struct outbox_row *row = &judging->rows[i];
        size_t entity = judging->sets.entities[i];
        if (row->set_aside.data != NULL) {
            if (set->count == 1)
                utf8_format(ret_refusal->reason, ERROR_TEXT_SIZE, "%s", row->set_aside.data);
            else
                utf8_format(ret_refusal->reason, ERROR_TEXT_SIZE, "outbox row %lld (%.*s %.*s): %s",
                            (long long)row->position, SLICE_ARGS(row->entity_type),
                            SLICE_ARGS(row->entity_key), row->set_aside.data);
            return SET_REFUSED;
        }
        if (behind == 0)
            behind = judging->behind[entity] != 0 ? judging->behind[entity] : row->blocked_by;
    }
    if (behind == 0)
        return SET_PUBLISHED;
    ret_refusal->behind = behind;
    utf8_format(ret_refusal->reason, ERROR_TEXT_SIZE, OUTBOX_BEHIND "outbox row %lld",
                (long long)behind);
    return SET_BEHIND;
}

void relay_note_largest(const struct relay *relay, size_t rows)
{
    struct relay_metrics *metrics = relay->options.metrics;
    if ((int_fast64_t)rows > atomic_load(&metrics->sets_largest))
        atomic_store(&metrics->sets_largest, (int_fast64_t)rows);
}

static void judging_keep(struct judging *judging, const struct change_set *set)
{
    struct relay_choice *choice = judging->choice;
    judging->ended = judging->bytes > RELAY_FLIGHT_BYTES;
    if (judging->ended)
        return;
    judging->choice->moved = true;
    for (size_t i = set->first; i < set_end(set); i++)
        judging->bytes += judging->rows[i].payload.length;
    if (choice->count != set->first)
        memmove(&judging->rows[choice->count], &judging->rows[set->first],
                set->count * sizeof *judging->rows);
    choice->sets[choice->set_count] = *set;
    choice->sets[choice->set_count++].first = choice->count;
    choice->count += set->count;
    if (set->groups > 1)
        atomic_fetch_add(&judging->relay->options.metrics->sets_merged, 1);
    relay_note_largest(judging->relay, set->count);
}

/* Keeps a set for the claim, sets it aside, or lets it wait. */
static enum status judging_take(struct judging *judging, const struct change_set *set)
{
    struct refusal refusal = {.reason = ""};
    enum set_outcome outcome = SET_PUBLISHED;
    if (judging_waits(judging, set))
        return STATUS_OK;
    outcome = judging_find(judging, set, &refusal);
    if (outcome != SET_PUBLISHED)
        return judging_set_aside(judging, set, &refusal, outcome == SET_REFUSED);
    judging_keep(judging, set);
    return STATUS_OK;
}

static bool judging_fits(const struct judging *judging, const struct change_set *set)
{
    return sets_fit(judging->rows, set->first, set_end(set), &judging->limits) == set->count;
}

/* Of a transaction that is too large for one claim the next claims publish the parts. */
static enum status judging_divide_large(struct judging *judging, const struct change_set *set)
{
    if (judging_waits(judging, set))
        return STATUS_OK;
    relay_large_begin(judging->relay, &judging->rows[set->first]);
    judging->choice->moved = true;
    judging->ended = true;
    return STATUS_OK;
}

/* Counts a set that was cut, once its first part is published. */
static void judging_note_cut(const struct judging *judging, const struct change_set *set)
{
    log_warning("relay",
                "%zu changes that could not be told apart by transaction are published in parts of "
                "at most %zu changes and %zu bytes: copies may show a transaction in two parts "
                "(outbox rows %lld to %lld)",
                set->count, judging->limits.events, judging->limits.bytes,
                (long long)judging->rows[set->first].position,
                (long long)judging->rows[set_end(set) - 1].position);
    atomic_fetch_add(&judging->relay->options.metrics->sets_split, 1);
}

/* Cuts rows that are not known to be one transaction into sets that are not too large. */
static enum status judging_cut(struct judging *judging, const struct change_set *set)
{
    enum status status = STATUS_OK;
    size_t end = set_end(set);
    size_t kept = judging->choice->count;
    for (size_t at = set->first; status == STATUS_OK && !judging->ended && at < end;) {
        struct change_set part = *set;
        part.first = at;
        part.count = sets_fit(judging->rows, at, end, &judging->limits);
        part.groups = at == set->first ? set->groups : 1; /* a merged one is counted once */
        status = judging_take(judging, &part);
        if (at == set->first && judging->choice->count > kept)
            judging_note_cut(judging, set);
        at += part.count;
    }
    return status;
}

static enum status judging_judge(struct judging *judging, const struct change_set *set)
{
    if (judging_fits(judging, set))
        return judging_take(judging, set);
    return set->groups > 1 || set->shared ? judging_cut(judging, set)
                                          : judging_divide_large(judging, set);
}

/* @return how many rows of a group stand in the rest before the first one that must not be
 * published yet, because an earlier row of its entity belongs to another group; SIZE_MAX without
 * memory. */
static size_t judging_count_free(struct judging *judging, size_t group)
{
    const struct change_sets *sets = &judging->sets;
    const struct change_set *rest = &sets->rest;
    size_t count = 0;
    bool *others = arena_alloc(&judging->relay->sets, sets->entity_count * sizeof *others);
    if (others == NULL)
        return SIZE_MAX;
    for (size_t i = rest->first; i < set_end(rest); i++) {
        bool *other = &others[sets->entities[i]];
        if (sets->groups[i] == group && *other)
            break;
        *other = sets->groups[i] != group;
        count += sets->groups[i] == group;
    }
    return count;
}

/* Moves the first rows of a group to the beginning of the rest. What stood there is not looked at
 * any more in this load. */
static void judging_gather(struct judging *judging, size_t group, size_t count)
{
    const struct change_sets *sets = &judging->sets;
    size_t to = sets->rest.first;
    for (size_t i = to; to < sets->rest.first + count; i++) {
        if (sets->groups[i] != group)
            continue;
        judging->rows[to] = judging->rows[i];
        sets->groups[to] = group;
        sets->entities[to++] = sets->entities[i];
    }
}

const struct outbox_row *relay_find_first_end(const struct outbox_row *rows, size_t count)
{
    const struct outbox_row *first = NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_known = rows[i].changeset.length > 0 && !rows[i].shared && !rows[i].paused;
        if (is_known && (first == NULL || rows[i].last_of_group < first->last_of_group))
            first = &rows[i];
    }
    return first;
}

/* Leaves out of the rest what has to wait with its type. */
static void judging_leave_waiting(struct judging *judging)
{
    const struct change_sets *sets = &judging->sets;
    struct change_set *rest = &judging->sets.rest;
    size_t to = rest->first;
    for (size_t i = rest->first; i < set_end(rest); i++) {
        bool *waits = &judging->waits[sets->entities[i]];
        *waits = *waits || judging->rows[i].paused;
        if (*waits)
            continue;
        judging->rows[to] = judging->rows[i];
        sets->groups[to] = sets->groups[i];
        sets->entities[to++] = sets->entities[i];
    }
    rest->count = to - rest->first;
}

/* The load has no complete set, although it is as large as may be. The transaction that ends first
 * is published in parts. Where none is known, the group with the most rows is in the way: what was
 * loaded of it is cut, and the rest waits. Where not even its first row may go before the others',
 * all are cut. */
static enum status judging_clear_way(struct judging *judging)
{
    const struct change_set *rest = &judging->sets.rest;
    const struct outbox_row *first = relay_find_first_end(&judging->rows[rest->first], rest->count);
    if (first != NULL) {
        relay_large_begin(judging->relay, first);
        judging->choice->moved = true;
        return STATUS_OK;
    }
    judging_leave_waiting(judging);
    if (rest->count == 0)
        return STATUS_OK;
    size_t *counts = arena_alloc(&judging->relay->sets, judging->sets.group_count * sizeof *counts);
    if (counts == NULL)
        return error_set(judging->err, STATUS_RETRY, "no memory");
    size_t group = sets_largest_group(&judging->sets, rest, counts);
    size_t count = judging_count_free(judging, group);
    if (count == SIZE_MAX)
        return error_set(judging->err, STATUS_RETRY, "no memory");
    if (count == 0)
        return judging_cut(judging, rest);
    judging_gather(judging, group, count);
    const struct change_set set = {
        .first = rest->first, .count = count, .groups = 1, .shared = true};
    return judging_cut(judging, &set);
}

/* Says how large the next load must be to reach the end of a set: in rows, or in bytes where it was
 * these that ended the load. Positions are whole numbers, so no more rows than positions lie before
 * that end. @return false: more do not help, or there is no memory for more. */
static bool judging_reach(const struct judging *judging, const struct outbox_extent *extent,
                          struct relay_choice *choice)
{
    const struct change_sets *sets = &judging->sets;
    size_t most = judging->limits.events;
    size_t most_bytes = judging->limits.bytes;
    size_t wanted = most;
    choice->wanted_bytes = extent->total_bytes;
    if (judging->cut || (sets->first_end == 0 && (sets->rest.count > 0 || choice->waits)))
        return false;
    if (judging->loaded >= extent->total_bytes) {
        choice->wanted = extent->rows;
        choice->wanted_bytes = WINDOW_STEP * extent->total_bytes;
        choice->wanted_bytes = choice->wanted_bytes < most_bytes ? choice->wanted_bytes
                                                                 : most_bytes;
        return choice->wanted_bytes > extent->total_bytes;
    }
    /* What nothing tells apart goes on with each row that comes: all that waits is loaded. */
    if (sets->rest.count > 0 && !sets->first_shared)
        wanted = (size_t)(sets->first_end - judging->rows[sets->rest.first].position) + 1;
    if (wanted > most && !sets->first_shared)
        return false;
    wanted = wanted < WINDOW_STEP * extent->rows ? wanted : WINDOW_STEP * extent->rows;
    choice->wanted = wanted < most ? wanted : most;
    return choice->wanted > extent->rows;
}

/* Nothing of this load can be claimed, and more rows wait behind it. */
static enum status judging_go_on(struct judging *judging, const struct outbox_extent *extent)
{
    struct relay_choice *choice = judging->choice;
    if (extent == NULL) {
        choice->wanted = 1; /* a load of the usual size comes first */
        return STATUS_OK;
    }
    if (judging_reach(judging, extent, choice))
        return STATUS_OK;
    choice->wanted = 0;
    if (judging->sets.rest.count > 0) {
        enum status status = judging_clear_way(judging);
        if (status != STATUS_OK || judging->choice->moved)
            return status;
    }
    judging->relay->waiting.more = false; /* nothing changes before the type is resumed */
    return STATUS_OK;
}

/* Leaves the rows from `count` on, which is not 0, to the next load. Sets that have some of them
 * are not loaded to their ends any more. */
static void relay_cut_load(struct relay *relay, struct outbox_rows *loaded, size_t count)
{
    int64_t last = loaded->rows[count - 1].position;
    loaded->count = count;
    loaded->cut = true;
    relay->waiting.more = true;
    for (size_t i = 0; i < count; i++)
        loaded->rows[i].behind = loaded->rows[i].last_of_group > last;
}

enum status relay_check_rows(struct relay *relay, struct outbox_rows *loaded, struct error *err)
{
    for (size_t i = 0; i < loaded->count; i++) {
        struct error reason = ERROR_INIT;
        struct outbox_row *row = &loaded->rows[i];
        enum status verdict = record_check(&relay->maker, row, &relay->sets, &reason);
        if (verdict == STATUS_REJECT) {
            row->set_aside = arena_copy(&relay->sets, slice_of(reason.text));
            verdict = row->set_aside.data == NULL ? STATUS_RETRY : STATUS_OK;
        }
        if (verdict != STATUS_OK && i == 0)
            return error_set(err, verdict, "%s", reason.text);
        if (verdict != STATUS_OK)
            relay_cut_load(relay, loaded, i);
    }
    return STATUS_OK;
}

/* While rows are set aside the outbox must compare keys to find what waits behind them. So keys
 * that were not canonical are stored first, and the next load finds them so. */
enum status relay_store_keys(struct relay *relay, const struct outbox_rows *loaded,
                             bool *ret_stored, struct error *err)
{
    size_t changed = 0;
    *ret_stored = false;
    if (!relay->waiting.has_set_aside)
        return STATUS_OK;
    struct outbox_row *rows = arena_alloc(&relay->sets, (loaded->count + 1) * sizeof *rows);
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
    struct arena *arena = &judging->relay->sets;
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
                              .cut = loaded->cut,
                              .err = err};
    bool stored = false;
    for (size_t i = 0; i < loaded->count; i++)
        judging.loaded += loaded->rows[i].payload.length;
    *ret_choice = (struct relay_choice){.rows = loaded->rows};
    enum status status = relay_store_keys(relay, loaded, &stored, err);
    if (status != STATUS_OK || stored) {
        relay->waiting.more = true;
        return status;
    }
    status = sets_arrange(loaded->rows, loaded->count, &relay->sets, &judging.sets, err);
    if (status == STATUS_OK && !judging_init(&judging))
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; status == STATUS_OK && !judging.ended && i < judging.sets.count; i++)
        status = judging_judge(&judging, &judging.sets.sets[i]);
    bool all = ret_choice->count == judging.sets.rest.first;
    relay->ahead.may_order = all && relay->large.stage == LARGE_NONE && ret_choice->moved &&
                             relay->waiting.more;
    if (judging.sets.rest.count > 0)
        ret_choice->first_left = judging.rows[judging.sets.rest.first].position;
    if (status == STATUS_OK && !ret_choice->moved && relay->waiting.more)
        status = judging_go_on(&judging, extent);
    relay->waiting.more = relay->waiting.more || judging.ended;
    return status;
}
