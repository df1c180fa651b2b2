/* The hint that the loop leaves with its group: which copy reads the joint topic, and how far it
 * is. By it a clone of the database is told from its original (rule 8). */
#include "consumer/joint/internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define HINT_TIMEOUT_MS 10000
#define HINT_US         INT64_C(1000000)

enum status joint_check_hint(struct joint_agent *agent, struct error *err)
{
    char copy_id[STORE_TOKEN_SIZE];
    char token[STORE_TOKEN_SIZE];
    int64_t epoch = 0;
    struct feed_hint hint;
    const struct partition_state *state = &agent->state;
    enum status status = feed_read_hint(agent->feed, partition_state_tp(state), HINT_TIMEOUT_MS,
                                        &hint, err);
    if (status != STATUS_OK || hint.position.offset == FEED_OFFSET_NONE ||
        sscanf(hint.metadata, "%36s %" SCNd64 " %36s", copy_id, &epoch, token) != 3)
        return status;
    if (strcmp(copy_id, agent->meta.copy_id) != 0)
        return error_set(err, STATUS_STOP,
                         "its consumer group belongs to another copy: if this database is a clone, "
                         "run `keepstep init --new-copy`");
    if (epoch > state->epoch || (epoch == state->epoch && strcmp(token, state->token) != 0))
        return error_set(err, STATUS_STOP,
                         "this service was further than its database says: if that was restored "
                         "run `keepstep init --restored --new-incarnation`, if it is a clone, stop "
                         "it");
    return STATUS_OK;
}

void joint_send_hint(struct joint_agent *agent)
{
    const struct partition_state *state = &agent->state;
    int64_t now_us = clock_monotonic_us();
    if (state->next_offset == agent->hinted_offset || now_us < agent->hint_at_us)
        return;
    struct feed_hint hint = {.position = {partition_state_tp(state), state->next_offset}};
    (void)snprintf(hint.metadata, sizeof hint.metadata, "%s %" PRId64 " %s", agent->meta.copy_id,
                   state->epoch, state->token);
    feed_commit_hints(agent->feed, &hint, 1);
    agent->hinted_offset = state->next_offset;
    agent->hint_at_us = now_us + HINT_US;
}
