/* Loads the rows of whole transactions, until a set can be chosen (rules 52 and 54).
 *
 * Rows that have to wait with a paused type are passed: the next load begins behind them (waits.h).
 * That is right as long as nothing else waits in front of there. Positions become visible out of
 * order, so a row may come late, or be released. What stands behind it must not be numbered before
 * it. So the statement that loads what is judged also counts, in its snapshot, what waits in front.
 * If that is not what was passed, the next loads begin further in front, until it is. */
#include "producer/relay/internal.h"

#include "common/log.h"
#include "producer/relay/joint_row.h"

#define PASSES_MAX 16 /* loads at once; then the relay looks after everything else */
#define LATE_SHARE 4  /* of a load: what is not passed yet, because others may come in between */

/* The measuring of a large set has looked at what waits, too, and does not look again. */
void relay_forget_waits(struct relay *relay)
{
    waits_done(&relay->waits);
    relay->waiting.passes = false;
    if (relay->large.stage == LARGE_MEASURED && !relay->large.begun)
        relay_large_again(relay);
}

/* The rest of a set that has numbers must come first. So nothing passes what waits meanwhile. */
static void relay_stop_behind_paused(struct outbox_rows *rows)
{
    int64_t from = INT64_MAX;
    for (size_t i = 0; i < rows->count; i++) {
        const struct outbox_row *row = &rows->rows[i];
        if (row->paused && row->last_of_group < from)
            from = row->last_of_group;
    }
    for (size_t i = 0; i < rows->count; i++) {
        struct outbox_row *row = &rows->rows[i];
        row->paused = row->last_of_group >= from && !joint_row_is(row);
    }
}

enum status relay_mark_waiting(struct relay *relay, struct outbox_rows *rows, struct error *err)
{
    if (relay->large.stage == LARGE_NONE && relay_has_open_set(relay)) {
        relay_stop_behind_paused(rows);
        return STATUS_OK;
    }
    return waits_mark(&relay->waits, rows->rows, rows->count, &relay->sets, err);
}

void relay_note_no_room(struct relay *relay, int64_t behind)
{
    const struct waits *waits = &relay->waits;
    if (relay->paused.no_room_noted)
        return;
    relay->paused.no_room_noted = true;
    if (waits->entities.count >= WAITS_MAX || waits->sets.count >= WAITS_MAX)
        log_warning("relay",
                    "more than %d entities have changes that wait with a paused type: what stands "
                    "behind outbox row %lld may wait too",
                    WAITS_MAX, (long long)behind);
    else
        log_warning("relay",
                    "no memory to note that %zu entities have changes that wait with a paused "
                    "type: what stands behind outbox row %lld may wait too",
                    waits->entities.count + 1, (long long)behind);
}

/* Passes rows of a full load. @return whether it is to be loaded again, behind them. */
static bool relay_pass(struct relay *relay, const struct outbox_rows *rows)
{
    struct waits *waits = &relay->waits;
    bool was_full = waits->full;
    size_t most = rows->count - rows->count / LATE_SHARE;
    size_t passed = waits_pass(waits, rows->rows, rows->count, most);
    if (waits->full && !was_full)
        relay_note_no_room(relay, waits->passed);
    relay->waiting.passes = passed > 0 && passed == most;
    return passed > 0;
}

/* Loads once. @return OK with nothing chosen and `wanted` for another load. */
static enum status relay_load_once(struct relay *relay, struct outbox_extent *extent,
                                   struct relay_choice *ret_choice, struct error *err)
{
    struct waits *waits = &relay->waits;
    struct outbox_rows rows = {0};
    bool checks = !relay->waiting.passes;
    arena_reset(&relay->sets);
    *ret_choice = (struct relay_choice){0};
    if (relay_has_open_set(relay) || relay->waiting.waits_session != relay->outbox->session)
        relay_forget_waits(relay);
    relay->waiting.waits_session = relay->outbox->session;
    extent->after = waits->passed;
    extent->claimed = checks ? waits->count : 0;
    enum status status = relay_load_rows(relay, extent, &rows, err);
    if (status != STATUS_OK)
        return status;
    bool is_other = relay->waiting.waits_session != relay->outbox->session;
    bool is_late = checks && waits->passed != 0 && !rows.complete;
    if (is_other)
        relay_forget_waits(relay);
    else if (is_late)
        waits_go_back(waits);
    relay->waiting.more = relay->waiting.more || is_other || is_late;
    if (is_other || is_late)
        return STATUS_OK;
    status = relay_check_rows(relay, &rows, err);
    if (status == STATUS_OK)
        status = relay_mark_waiting(relay, &rows, err);
    if (status != STATUS_OK)
        return status;
    relay->waiting.passes = false;
    bool passed = relay->waiting.more && !relay_has_open_set(relay) && relay_pass(relay, &rows);
    if (!passed && checks)
        return relay_choose_sets(relay, &rows, extent, ret_choice, err);
    ret_choice->wanted = RELAY_BATCH_ROWS;
    ret_choice->wanted_bytes = RELAY_FLIGHT_BYTES;
    return STATUS_OK;
}

enum status relay_load_sets(struct relay *relay, struct relay_choice *ret_choice, struct error *err)
{
    struct outbox_extent extent = relay_extent(relay);
    enum status status = STATUS_OK;
    for (int i = 0; i < PASSES_MAX; i++) {
        status = relay_load_once(relay, &extent, ret_choice, err);
        if (status != STATUS_OK || ret_choice->wanted == 0)
            return status;
        extent.rows = ret_choice->wanted;
        extent.total_bytes = ret_choice->wanted_bytes;
        status = relay_keep_lease(relay, err);
        if (status == STATUS_OK)
            status = relay_claim_joint(relay, err);
        if (status != STATUS_OK || relay->broker.failed)
            break;
    }
    *ret_choice = (struct relay_choice){0};
    relay->waiting.more = true;
    return status;
}
