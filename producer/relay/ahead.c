/* Rows loaded ahead: while the relay claims and sends a batch, the loader loads the rows behind it.
 *
 * Why these rows may be numbered next. An entity's rows must be numbered in the order of their
 * positions, which is the order of their commits (rule 12). Positions become visible out of order:
 * the batch went up to position 100, now position 5 is committed, and its entity's next change has
 * 150. Loading "all above 100" would find 150 without 5, and number it first. So one statement, in
 * one snapshot, loads the rows above the batch and looks at the rows up to the batch's last one.
 * There it may see the batch as waiting, because its claim is not committed yet, or not at all; the
 * claim is one transaction, so the last row tells which. If any other row there lacks a number, the
 * rows above are not used. Otherwise, of each row that was loaded, all earlier rows of its entity
 * were committed before it, hence are in the snapshot: they have a number, are in the batch, or
 * stand before it among the loaded rows. What is committed later than the snapshot comes after all
 * of them in its entity, or belongs to an entity of which the snapshot has nothing.
 *
 * Under `transactions: whole` a batch leaves rows behind, of sets that had not ended. Then the load
 * begins behind the last row of the batch that stands before all of these. Above it the snapshot
 * may see rows of the batch as waiting; they are left out by their positions.
 *
 * That holds only while nothing else changes the rows' turn. So nothing is ordered while a row may
 * be set aside (later rows of its entity would wait) or a type is paused, or if the batch is not
 * all that was loaded. What was ordered is void after any change of the relay's state: that covers
 * a claim that failed or is in doubt, a lost lease, a new one, a recovery, and types that move to
 * another topic. It is void after a lost connection too, the relay's or the loader's; and once it
 * is old, as while the broker is away: people may have changed rows by hand meanwhile. */
#include "common/utf8.h"
#include "producer/relay/internal.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define AHEAD_BYTES    ((size_t)8 * 1024 * 1024)
#define ORDER_AGAIN_US (INT64_C(5) * 1000 * 1000) /* after a failure */
#define AGE_MAX_US     (INT64_C(5) * 1000 * 1000)
#define TAKE_SHARE     20 /* a load is waited for one part of this many of the lease */

/* The relay publishes without the loader, only more slowly; so that is logged once. */
static void relay_note_loader(struct relay *relay, const char *text)
{
    struct relay_ahead *ahead = &relay->ahead;
    ahead->order_at_us = clock_monotonic_us() + ORDER_AGAIN_US;
    if (strcmp(ahead->text, text) != 0)
        log_warning("relay", "rows are not loaded ahead, which makes publishing slower: %s", text);
    utf8_format(ahead->text, sizeof ahead->text, "%s", text);
}

static int relay_compare_positions(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left;
    int64_t other = *(const int64_t *)right;
    return (one > other) - (one < other);
}

/* Says behind which row of the batch to load: up to there all rows are in the batch, or have
 * numbers. Notes the rows of the batch behind it. @return false without memory. */
static bool relay_end_order(struct relay_ahead *ahead, const struct relay_choice *choice,
                            struct outbox_extent *extent)
{
    if (ahead->claimed_room < choice->count) {
        int64_t *more = realloc(ahead->claimed, choice->count * sizeof *more);
        if (more == NULL)
            return false;
        ahead->claimed = more;
        ahead->claimed_room = choice->count;
    }
    ahead->claimed_count = 0;
    for (size_t i = 0; i < choice->count; i++) {
        int64_t position = choice->rows[i].position;
        if (choice->first_left != 0 && position > choice->first_left) {
            ahead->claimed[ahead->claimed_count++] = position;
            continue;
        }
        extent->claimed++;
        extent->after = position > extent->after ? position : extent->after;
    }
    qsort(ahead->claimed, ahead->claimed_count, sizeof *ahead->claimed, relay_compare_positions);
    extent->rows += ahead->claimed_count;
    return true;
}

/* Takes out the rows of the batch, which the snapshot may have seen as waiting. */
static void relay_leave_out_claimed(const struct relay_ahead *ahead, struct outbox_rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (ahead->claimed_count == 0 ||
            bsearch(&rows->rows[i].position, ahead->claimed, ahead->claimed_count,
                    sizeof *ahead->claimed, relay_compare_positions) == NULL)
            rows->rows[kept++] = rows->rows[i];
    }
    rows->count = kept;
}

void relay_order_ahead(struct relay *relay, const struct relay_choice *choice)
{
    struct relay_ahead *ahead = &relay->ahead;
    struct error failed = ERROR_INIT;
    bool may_order = ahead->may_order && !relay->waiting.has_set_aside && !relay->paused.any &&
                     clock_monotonic_us() >= ahead->order_at_us && loader_is_free(ahead->loader);
    ahead->wanted = false;
    if (!may_order)
        return;
    struct loader_order order = {
        .ops = relay->outbox->ops,
        .extent = {.rows = RELAY_BATCH_ROWS,
                   .payload_bytes = (size_t)relay->options.config->limits.message_bytes,
                   .total_bytes = AHEAD_BYTES}};
    if (!relay_end_order(ahead, choice, &order.extent))
        return;
    ahead->session = relay->outbox->session;
    ahead->ordered_at_us = clock_monotonic_us();
    if (loader_order(ahead->loader, &order, &failed) == STATUS_OK)
        ahead->wanted = true;
    else
        relay_note_loader(relay, failed.text);
}

bool relay_take_ahead(struct relay *relay, struct outbox_rows *ret_rows)
{
    struct relay_ahead *ahead = &relay->ahead;
    struct loader_part part = {0};
    struct error failed = ERROR_INIT;
    bool wanted = ahead->wanted && clock_monotonic_us() - ahead->ordered_at_us < AGE_MAX_US;
    ahead->wanted = false;
    ahead->may_order = false;
    if (!wanted || relay->waiting.has_set_aside || ahead->session != relay->outbox->session)
        return false;
    switch (loader_take(ahead->loader, relay->lease.duration_us / TAKE_SHARE, &relay->arena, &part,
                        &failed)) {
    case LOADER_BUSY:
        relay_note_loader(relay, "the second connection to the database does not answer");
        return false;
    case LOADER_LOST:
        relay_must_compare(relay);
        relay_note_loader(relay, failed.text);
        return false;
    case LOADER_FAILED:
        relay_note_loader(relay, failed.text);
        return false;
    case LOADER_OTHER:
        return false;
    case LOADER_PART:
        break;
    }
    ahead->text[0] = '\0';
    ahead->may_order = part.full;
    relay->waiting.more = part.full;
    *ret_rows = part.rows;
    relay_leave_out_claimed(ahead, ret_rows);
    if (relay->joint.is_first)
        relay_leave_out_joint(ret_rows);
    return true;
}

void relay_drop_ahead(struct relay *relay)
{
    relay->ahead.wanted = false;
    relay->ahead.may_order = false;
    if (!relay_holds_lease(relay))
        loader_rest(relay->ahead.loader);
}
