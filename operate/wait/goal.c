/* From sequences to offsets. */
#include "operate/wait/internal.h"

#include <stdlib.h>
#include <sysexits.h>

#define GOAL_ARENA_MAX (64 * TOKEN_BYTES_MAX)

enum status wait_goal_init(struct wait_goal *goal, const char *token, enum wait_scope scope,
                           const char *at, struct error *err)
{
    *goal = (struct wait_goal){.text = token, .scope = scope, .at = at};
    arena_init(&goal->arena, GOAL_ARENA_MAX);
    enum status status = token_read(slice_of(token), &goal->arena, &goal->token, err);
    if (status != STATUS_OK)
        return status;
    goal->offsets = arena_alloc(&goal->arena, goal->token.count * sizeof *goal->offsets);
    if (goal->offsets == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (size_t i = 0; i < goal->token.count; i++)
        goal->offsets[i] = -1;
    return STATUS_OK;
}

void wait_goal_done(struct wait_goal *goal)
{
    arena_done(&goal->arena);
}

/* What the relay has acknowledged stands in the log, up to that offset. */
static void place_acknowledged(struct wait_goal *goal, const struct relay_partition *partitions,
                               size_t count)
{
    for (size_t i = 0; i < goal->token.count; i++) {
        const struct token_place *place = &goal->token.places[i];
        for (size_t j = 0; goal->offsets[i] < 0 && j < count; j++) {
            if (partitions[j].partition == place->partition &&
                strcmp(partitions[j].topic, place->topic) == 0 &&
                partitions[j].acknowledged_sequence >= place->sequence)
                goal->offsets[i] = partitions[j].acknowledged_offset + 1;
        }
    }
}

enum status wait_goal_is_ours(struct wait_view *view, const struct wait_goal *goal,
                              bool *ret_is_ours, struct error *err)
{
    struct lease lease = {0};
    const struct config *config = view->service->config;
    *ret_is_ours = false;
    if (config->publish_count == 0 || strcmp(goal->token.source, config->service) != 0)
        return STATUS_OK;
    enum status status = wait_view_outbox(view, err);
    if (status == STATUS_OK)
        status = view->outbox->ops->read_lease(view->outbox, &lease, err);
    *ret_is_ours = strcmp(lease.incarnation, goal->token.incarnation) == 0;
    return status;
}

/* Only the incarnation that is under way has acknowledgements. */
static enum status place_at_origin(struct wait_view *view, struct wait_goal *goal,
                                   struct error *err)
{
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    enum status status = view->outbox->ops->load_partitions(view->outbox, &partitions, &count, err);
    if (status == STATUS_OK)
        place_acknowledged(goal, partitions, count);
    free(partitions);
    return status;
}

/* What is applied here stands below the position. */
static enum status place_at_copy(struct wait_view *view, struct wait_goal *goal, struct error *err)
{
    enum status status = wait_view_store(view, err);
    for (size_t i = 0; status == STATUS_OK && i < goal->token.count; i++) {
        const struct token_place *place = &goal->token.places[i];
        struct partition_state state;
        if (goal->offsets[i] >= 0)
            continue;
        status = view->store->ops->read(view->store, place->topic, place->partition, &state, err);
        if (status != STATUS_OK)
            break;
        if (sequences_last(state.sequences, state.sequence_count, goal->token.source,
                           goal->token.incarnation) >= place->sequence)
            goal->offsets[i] = state.next_offset;
        partition_state_done(&state);
    }
    return status;
}

enum status wait_goal_place(struct wait_view *view, struct wait_goal *goal, struct error *err)
{
    const struct config *config = view->service->config;
    bool is_ours = false;
    enum status status = wait_goal_is_ours(view, goal, &is_ours, err);
    if (status != STATUS_OK)
        return status;
    if (is_ours)
        return place_at_origin(view, goal, err);
    if (config->apply_count > 0)
        return place_at_copy(view, goal, err);
    err->exit_code = EX_DATAERR;
    return error_set(
        err, STATUS_FATAL,
        "the token is of %s, incarnation %s, which this service neither is nor applies",
        goal->token.source, goal->token.incarnation);
}
