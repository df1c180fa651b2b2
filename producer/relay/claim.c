/* Claims: waiting rows are loaded and checked, numbered in one durable transaction, and then sent
 * (rule 9). A row that cannot be published is set aside before it gets a number. */
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/stages.h"

#include <stdio.h>

#define EXCLUDED_MAX   64
#define LOAD_ANYWAY_US (1000 * 1000)
#define BUSY_US        (20 * 1000) /* since rows were there: more may follow */
#define LOOK_MIN_US    500         /* while it is busy it looks that often, */
#define LOOK_SHARE     8           /* or waits for one part of this many of how long none came, */
#define LOOK_COST      4           /* and so many times as long as a look takes, */
#define LOOK_MAX_US    (10 * 1000) /* up to that */

/* The rows of this load that were set aside: later rows of their entities wait. */
struct excluded {
    struct outbox_row rows[EXCLUDED_MAX];
    struct slice keys[EXCLUDED_MAX]; /* their keys as the service wrote them */
    size_t count;
};

static bool relay_is_excluded(const struct excluded *excluded, const struct outbox_row *row,
                              struct slice written)
{
    for (size_t i = 0; i < excluded->count; i++) {
        const struct outbox_row *other = &excluded->rows[i];
        if (slice_equal(other->entity_type, row->entity_type) &&
            (slice_equal(other->entity_key, row->entity_key) ||
             slice_equal(excluded->keys[i], written)))
            return true;
    }
    return false;
}

static void relay_log_set_aside(const struct outbox_set *set)
{
    const struct outbox_row *row = &set->rows[0];
    if (set->count == 1 && row->last_of_group > row->position)
        log_error("relay",
                  "a transaction (outbox rows %lld to %lld, first %.*s %.*s) is set aside, and "
                  "later ones of its entities wait: %s",
                  (long long)row->position, (long long)row->last_of_group,
                  SLICE_ARGS(row->entity_type), SLICE_ARGS(row->entity_key), set->reason);
    else if (set->count == 1)
        log_error("relay",
                  "outbox row %lld (%.*s %.*s) is set aside, and later rows of its entity wait: %s",
                  (long long)row->position, SLICE_ARGS(row->entity_type),
                  SLICE_ARGS(row->entity_key), set->reason);
    else
        log_error("relay",
                  "a transaction of %zu outbox rows (%lld to %lld, first %.*s %.*s) is set aside, "
                  "and later ones of its entities wait: %s",
                  set->count, (long long)row->position,
                  (long long)set->rows[set->count - 1].position, SLICE_ARGS(row->entity_type),
                  SLICE_ARGS(row->entity_key), set->reason);
}

void relay_note_set_aside(struct relay *relay, size_t rows)
{
    atomic_fetch_add(&relay->options.metrics->set_aside, (int_fast64_t)rows);
    atomic_fetch_add(&relay->options.metrics->set_aside_now, (int_fast64_t)rows);
}

enum status relay_set_aside(struct relay *relay, const struct outbox_set *set, bool *ret_done,
                            struct error *err)
{
    relay->waiting.has_set_aside = true;
    relay_large_again(relay);
    enum status status = relay->outbox->ops->set_aside(relay->outbox, &relay->lease.row, set,
                                                       ret_done, err);
    if (status != STATUS_OK || *ret_done)
        relay_log_set_aside(set);
    if (status == STATUS_OK && *ret_done) {
        relay_note_set_aside(relay, set->count);
    } else if (status != STATUS_OK) {
        relay->waiting.set_aside_in_doubt = true;
    }
    return status;
}

/* Stores the canonical keys of rows that wait. A key that cannot be made canonical stays as it is;
 * its row is checked when its turn comes. */
static enum status relay_write_keys(struct relay *relay, struct outbox_row *rows, size_t count,
                                    struct error *err)
{
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        struct error reason = ERROR_INIT;
        struct outbox_row row = rows[i];
        enum status status = record_make_canonical(&relay->maker, &row, &relay->arena, &reason);
        if (status == STATUS_RETRY)
            break;
        if (status == STATUS_OK && row.rekeyed)
            rows[changed++] = row;
    }
    return relay->outbox->ops->write_keys(relay->outbox, &relay->lease.row, rows, changed, err);
}

/* Moves the rows that may be numbered to the front, in their order. While rows may be set aside,
 * the outbox must compare keys to find later rows of their entities. A key that is not canonical
 * then ends this load: it is stored canonically, and the next load finds it so. */
enum status relay_select(struct relay *relay, struct outbox_rows *loaded, struct error *err)
{
    struct outbox_row *rows = loaded->rows;
    size_t count = loaded->count;
    struct excluded excluded;
    size_t kept = 0;
    size_t bytes = 0;
    enum status status = STATUS_OK;
    bool compares_keys = relay->waiting.has_set_aside;
    excluded.count = 0;
    for (size_t i = 0; i < count && excluded.count < EXCLUDED_MAX; i++) {
        struct error reason = ERROR_INIT;
        struct slice written = rows[i].entity_key;
        enum status verdict = record_check(&relay->maker, &rows[i], &relay->arena, &reason);
        if (compares_keys && verdict != STATUS_RETRY && rows[i].rekeyed) {
            rows[i].entity_key = written;
            status = relay_write_keys(relay, &rows[i], count - i, err);
            if (status != STATUS_OK)
                return status;
            break;
        }
        if (relay_is_excluded(&excluded, &rows[i], written))
            continue;
        if (verdict == STATUS_REJECT) {
            const struct outbox_set set = {.rows = &rows[i], .count = 1, .reason = reason.text};
            bool done = false;
            status = relay_set_aside(relay, &set, &done, err);
            if (status != STATUS_OK)
                return status;
            excluded.rows[excluded.count] = rows[i];
            excluded.keys[excluded.count++] = written;
            continue;
        }
        if (verdict != STATUS_OK && kept == 0)
            return error_set(err, verdict, "%s", reason.text);
        if (verdict != STATUS_OK || bytes > RELAY_FLIGHT_BYTES)
            break;
        bytes += rows[i].payload.length;
        rows[kept++] = rows[i];
    }
    relay->waiting.more = relay->waiting.more || kept < count;
    loaded->count = kept;
    return STATUS_OK;
}

struct relay_lane *relay_lane_of(struct relay *relay, const struct outbox_row *row)
{
    return &relay_find_topic(relay, row->topic)->lanes[row->partition];
}

/* Gives each row its sequence and its predecessor's id. Without memory no row gets one. */
enum status relay_number(struct relay *relay, const struct relay_choice *choice, struct error *err)
{
    struct outbox_row *rows = choice->rows;
    size_t count = choice->count;
    size_t lane_count = relay_count_lanes(relay);
    size_t size = lane_count < count ? lane_count : count;
    struct relay_lane **lanes = arena_alloc(&relay->sets, size * sizeof(struct relay_lane *));
    struct relay_partition *partitions = arena_alloc(&relay->sets, size * sizeof *partitions);
    if (lanes == NULL || partitions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        struct relay_lane *lane = relay_lane_of(relay, &rows[i]);
        if (!lane->in_batch) {
            lane->in_batch = true;
            memcpy(lane->previous_id, lane->state.last_id, sizeof lane->previous_id);
            lane->tail = slice_of(lane->previous_id);
            lanes[moved++] = lane;
        }
        rows[i].sequence = ++lane->state.last_sequence;
        rows[i].previous_id = lane->tail;
        lane->tail = rows[i].id;
    }
    relay_end_sets(relay, choice);
    for (size_t i = 0; i < moved; i++) {
        lanes[i]->in_batch = false;
        (void)snprintf(lanes[i]->state.last_id, sizeof lanes[i]->state.last_id, "%.*s",
                       SLICE_ARGS(lanes[i]->tail));
        partitions[i] = lanes[i]->state;
    }
    relay->batch = (struct relay_batch){
        {.rows = rows, .row_count = count, .partitions = partitions, .partition_count = moved},
        lanes,
        choice->set_count - (choice->goes_on ? 1 : 0)};
    return STATUS_OK;
}

enum status relay_send_batch(struct relay *relay, struct error *err)
{
    const struct outbox_claim *claim = &relay->batch.claim;
    enum status status = STATUS_OK;
    atomic_fetch_add(&relay->options.metrics->sets_published, (int_fast64_t)relay->batch.sets);
    for (size_t i = 0; status == STATUS_OK && i < claim->row_count && !relay->broker.failed; i++)
        status = relay_send(relay, relay_lane_of(relay, &claim->rows[i]), &claim->rows[i], err);
    return status;
}

struct outbox_extent relay_extent(const struct relay *relay)
{
    return (struct outbox_extent){
        .rows = RELAY_BATCH_ROWS,
        .payload_bytes = (size_t)relay->options.config->limits.message_bytes,
        .total_bytes = RELAY_FLIGHT_BYTES};
}

enum status relay_load_rows(struct relay *relay, const struct outbox_extent *extent,
                            struct outbox_rows *ret_rows, struct error *err)
{
    bool was_sent_along = relay->outbox->has_next;
    arena_reset(&relay->arena);
    STAGE_TIME(looked_us);
    enum status status = relay->outbox->ops->load_waiting(relay->outbox, extent, &relay->arena,
                                                          ret_rows, err);
    if (status != STATUS_OK)
        return status;
    STAGE_TIME(loaded_us);
    STAGE_STAMP_EACH(STAGE_LOOKED, ret_rows->count, ret_rows->rows[each].id, looked_us);
    STAGE_STAMP_EACH(STAGE_LOADED, ret_rows->count, ret_rows->rows[each].id, loaded_us);
    relay->waiting.more = loader_is_full(extent, ret_rows);
    if (was_sent_along && relay->waiting.more)
        relay->joint.more = relay->joint.is_first;
    return STATUS_OK;
}

static enum status relay_load(struct relay *relay, struct relay_choice *ret_choice,
                              struct error *err)
{
    struct outbox_rows rows = {0};
    const struct outbox_extent extent = relay_extent(relay);
    enum status status = relay_load_rows(relay, &extent, &rows, err);
    if (status != STATUS_OK)
        return status;
    size_t count = rows.count;
    bool full = relay->waiting.more;
    status = relay_select(relay, &rows, err);
    relay->ahead.may_order = full && rows.count == count;
    *ret_choice = (struct relay_choice){.rows = rows.rows, .count = rows.count};
    return status;
}

/* Chooses what is claimed next, of rows that were loaded ahead or are loaded now. */
static enum status relay_choose(struct relay *relay, struct relay_choice *ret_choice,
                                struct error *err)
{
    struct outbox_rows rows = {0};
    arena_reset(&relay->sets);
    if (relay->large.stage != LARGE_NONE)
        return relay_large_choose(relay, ret_choice, err);
    bool ahead = relay_take_ahead(relay, &rows);
    enum status status = STATUS_OK;
    if (relay->lease.row.session != relay->outbox->session)
        return STATUS_OK; /* the comparison comes first */
    if (ahead && !relay_is_whole(relay)) {
        *ret_choice = (struct relay_choice){.rows = rows.rows, .count = rows.count};
        return STATUS_OK;
    }
    if (ahead)
        status = relay_mark_waiting(relay, &rows, err);
    if (status == STATUS_OK && ahead)
        status = relay_choose_sets(relay, &rows, NULL, ret_choice, err);
    if (status != STATUS_OK || (ahead && ret_choice->wanted == 0))
        return status;
    return relay_is_whole(relay) ? relay_load_sets(relay, ret_choice, err)
                                 : relay_load(relay, ret_choice, err);
}

enum status relay_claim_batch(struct relay *relay, const struct outbox_extent *next,
                              struct error *err)
{
    struct outbox_claim claim = relay->batch.claim;
    claim.next = next;
    STAGE_TIME(numbered_us);
    STAGE_STAMP_EACH(STAGE_NUMBERED, claim.row_count, claim.rows[each].id, numbered_us);
    failpoint(FAILPOINT_RELAY_BEFORE_CLAIM);
    int64_t begun_at_us = clock_monotonic_us();
    enum status status = relay->outbox->ops->claim(relay->outbox, &relay->lease.row, &claim, err);
    if (status == STATUS_RETRY)
        relay_set_state(relay, RELAY_IN_DOUBT);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_RELAY_AFTER_CLAIM);
    STAGE_TIME(claimed_us);
    STAGE_STAMP_EACH(STAGE_CLAIMED, claim.row_count, claim.rows[each].id, claimed_us);
    relay_renewed(relay, begun_at_us);
    status = relay_send_batch(relay, err);
    failpoint(FAILPOINT_RELAY_AFTER_PUBLISH);
    return status;
}

/* Rows that were sent along with the last claim are all that wait, unless there are too many. */
static enum status relay_claim_joint_due(struct relay *relay, struct error *err)
{
    return relay->outbox->has_next && !relay->joint.more ? STATUS_OK
                                                         : relay_claim_joint(relay, err);
}

static enum status relay_claim_data(struct relay *relay, struct error *err)
{
    struct relay_choice choice = {0};
    enum status status = relay_choose(relay, &choice, err);
    struct outbox_extent extent = relay_extent(relay);
    extent.after = relay->waits.passed;
    extent.claimed = relay->waits.count;
    if (status != STATUS_OK || choice.count == 0)
        return status;
    relay_note_unknown_rests(relay, &choice);
    status = relay_number(relay, &choice, err);
    if (status != STATUS_OK)
        return status;
    relay->waiting.found_at_us = relay->waiting.loaded_at_us;
    relay_order_ahead(relay, &choice);
    relay_large_claiming(relay);
    /* Of a backlog the loader loads more. */
    status = relay_claim_batch(relay, relay->waiting.more ? NULL : &extent, err);
    relay->waiting.more = relay->waiting.more || relay->outbox->has_next;
    if (status == STATUS_OK)
        relay_large_claimed(relay);
    return status;
}

enum status relay_claim(struct relay *relay, struct error *err)
{
    bool held = false;
    const int64_t found_at_us = relay->waiting.found_at_us;
    relay->waiting.loaded_at_us = clock_monotonic_us();
    relay->waiting.more = true; /* unless the load says otherwise */
    enum status status = relay_check_paused(relay, err);
    if (status == STATUS_OK)
        status = relay_check_hold(relay, &held, err);
    if (status != STATUS_OK || held)
        return status;
    status = relay_claim_joint_due(relay, err);
    if (status != STATUS_OK || relay->broker.failed || !relay_has_room(relay))
        return status;
    status = relay_claim_data(relay, err);
    if (status != STATUS_OK)
        relay_large_again(relay);
    relay->waiting.look_took_us = relay->waiting.found_at_us != found_at_us
                                      ? 0
                                      : clock_monotonic_us() - relay->waiting.loaded_at_us;
    return status;
}

int64_t relay_look_at_us(const struct relay *relay, int64_t now)
{
    const struct relay_waiting *waiting = &relay->waiting;
    int64_t pause = (now - waiting->found_at_us) / LOOK_SHARE;
    if (!relay_has_room(relay))
        return relay_look_for_joint_at_us(relay);
    if (waiting->more || relay->joint.more)
        return now;
    if (waiting->found_at_us == 0 || now - waiting->found_at_us >= BUSY_US)
        return now - waiting->loaded_at_us >= LOAD_ANYWAY_US ? now : INT64_MAX;
    int64_t cost = LOOK_COST * waiting->look_took_us;
    cost = cost < LOOK_MAX_US ? cost : LOOK_MAX_US;
    pause = pause < cost ? cost : pause;
    return waiting->loaded_at_us + (pause < LOOK_MIN_US ? LOOK_MIN_US : pause);
}
