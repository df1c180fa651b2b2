/* Where each set ends in the numbers of its partition, also where only a part of it has numbers
 * (rule 53). */
#include "producer/relay/internal.h"
#include "producer/relay/joint_row.h"

#include "common/digest.h"
#include "common/log.h"

/* As single changes the rest would not end the set, and all peers would wait for its end. */
static enum status relay_refuse_single(const struct relay_lane *lane, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "%s [%d]: only the first changes of a transaction whose numbers end at %llu "
                     "are published: put `transactions: whole` back, run `keepstep init`, and let "
                     "the relay publish the others (or begin a new history with `keepstep init "
                     "--new-incarnation`)",
                     lane->state.topic, (int)lane->state.partition,
                     (unsigned long long)lane->open_end);
}

enum status relay_find_open_sets(struct relay *relay, struct error *err)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (lane = relay_next_lane(relay, &at)) != NULL) {
        const struct relay_partition *state = &lane->state;
        struct outbox_row row = {0};
        lane->open_end = lane->open_group = 0;
        if (state->last_sequence == 0)
            continue;
        arena_reset(&relay->arena);
        status = relay_keep_lease(relay, err);
        if (status == STATUS_OK)
            status = relay->outbox->ops->find(relay->outbox, slice_of(state->last_id),
                                              &relay->arena, &row, err);
        if (status != STATUS_OK || row.changeset_end <= state->last_sequence)
            continue;
        lane->open_end = row.changeset_end;
        if (!relay_is_whole(relay))
            return relay_refuse_single(lane, err);
        if (row.changeset.length > 0 && !row.shared)
            lane->open_group = digest_64(row.changeset);
    }
    if (status == STATUS_OK)
        relay_large_resume(relay);
    return status;
}

/* @return the lane where the row is in a set; NULL for a record of joint transactions: in its topic
 * each is alone. */
static struct relay_lane *relay_lane_of_set(struct relay *relay, const struct outbox_row *row)
{
    return joint_row_is(row) ? NULL : relay_lane_of(relay, row);
}

bool relay_has_open_set(const struct relay *relay)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        if (lane->state.last_sequence < lane->open_end)
            return true;
    }
    return false;
}

size_t relay_count_lost_rests(const struct relay *relay)
{
    struct relay_cursor at = {0};
    const struct relay_lane *lane;
    size_t count = 0;
    while ((lane = relay_next_lane(relay, &at)) != NULL)
        count += lane->state.last_sequence < lane->open_end && lane->open_group == 0;
    return count;
}

/* @return how many rows the first set has in a lane that has any there. */
static size_t relay_count_first(struct relay *relay, const struct relay_lane *lane,
                                const struct relay_choice *choice)
{
    size_t rows = 0;
    for (size_t s = 0; s < choice->set_count && rows == 0; s++) {
        const struct change_set *set = &choice->sets[s];
        for (size_t i = set->first; i < set->first + set->count; i++)
            rows += relay_lane_of_set(relay, &choice->rows[i]) == lane;
    }
    return rows;
}

void relay_note_unknown_rests(struct relay *relay, const struct relay_choice *choice)
{
    struct relay_cursor at = {0};
    struct relay_lane *lane;
    while ((lane = relay_next_lane(relay, &at)) != NULL) {
        uint64_t lacks = lane->open_end - lane->state.last_sequence;
        if (lane->state.last_sequence >= lane->open_end || lane->open_group != 0 ||
            lane->rest_noted == lane->open_end)
            continue;
        size_t rows = relay_count_first(relay, lane, choice);
        if (rows == 0)
            continue;
        lane->rest_noted = lane->open_end;
        if (rows == lacks)
            continue;
        atomic_fetch_add(&relay->options.metrics->sets_split, 1);
        log_warning("relay",
                    "%s [%d]: the database has lost which changes had the numbers from %llu to "
                    "%llu, which end a set: what waits gets them, and copies may show a "
                    "transaction in two parts",
                    lane->state.topic, (int)lane->state.partition,
                    (unsigned long long)lane->state.last_sequence + 1,
                    (unsigned long long)lane->open_end);
    }
}

void relay_note_spread(struct relay *relay)
{
    atomic_fetch_add(&relay->options.metrics->sets_split, 1);
    if (!relay->spread_logged)
        log_warning("relay", "a transaction has changes in several partitions: copies show its "
                             "parts one after the other; this is counted, and not logged again");
    relay->spread_logged = true;
}

/* Where a row's set ends in its lane, of which all rows of this claim have their numbers. Behind
 * the rest of an earlier set, which nothing told from this one, another set begins. */
static uint64_t relay_find_end(const struct relay *relay, const struct relay_lane *lane,
                               uint64_t sequence)
{
    uint64_t before = lane->set_end - lane->set_rows; /* the last number in front of the set */
    uint64_t end = lane->set_end;
    if (sequence <= lane->open_end)
        return lane->open_end;
    if (relay->large.stage == LARGE_PARTS)
        end += lane->large_rows;
    before = before < lane->open_end ? lane->open_end : before;
    return end - before > 1 ? end : 0;
}

void relay_end_sets(struct relay *relay, const struct relay_choice *choice)
{
    for (size_t s = 0; s < choice->set_count; s++) {
        const struct change_set *set = &choice->sets[s];
        struct relay_lane *lane;
        size_t lanes = 0;
        for (size_t i = set->first; i < set->first + set->count; i++) {
            lane = relay_lane_of_set(relay, &choice->rows[i]);
            if (lane == NULL)
                continue;
            lanes += lane->set_rows++ == 0;
            lane->set_end = choice->rows[i].sequence;
        }
        for (size_t i = set->first; i < set->first + set->count; i++) {
            struct outbox_row *row = &choice->rows[i];
            lane = relay_lane_of_set(relay, row);
            row->changeset_end = lane == NULL ? 0 : relay_find_end(relay, lane, row->sequence);
        }
        for (size_t i = set->first; i < set->first + set->count; i++) {
            lane = relay_lane_of(relay, &choice->rows[i]);
            if (lane->set_rows > 0 && choice->goes_on && lane->set_end > lane->open_end) {
                lane->open_end = lane->set_end + lane->large_rows;
                lane->open_group = relay->large.group;
            }
            lane->set_rows = 0;
        }
        if (lanes > 1 && relay->large.stage != LARGE_PARTS)
            relay_note_spread(relay);
    }
}
