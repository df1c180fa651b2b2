/* The hints that agents leave with the group: how far a copy is, and which copy it is (rule 8). */
#include "consumer/agent/internal.h"

#include "common/failpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_HINTS_TIMEOUT_MS 1000

enum status agent_send_hints(struct agent *agent, struct error *err)
{
    size_t count = 0;
    struct feed_hint *hints = calloc(agent->partition_count + 1, sizeof *hints);
    if (hints == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the group's offsets");
    for (size_t i = 0; i < agent->partition_count; i++) {
        const struct partition_state *state = applier_partition(agent->applier, i);
        if (state == NULL || state->next_offset == agent->partitions[i].hinted_offset)
            continue;
        struct feed_hint *hint = &hints[count++];
        hint->position = (struct feed_position){partition_state_tp(state), state->next_offset};
        (void)snprintf(hint->metadata, sizeof hint->metadata, "%s %lld %s",
                       applier_copy_id(agent->applier), (long long)state->epoch, state->token);
        agent->partitions[i].hinted_offset = state->next_offset;
    }
    if (count > 0) {
        failpoint(FAILPOINT_AGENT_BEFORE_HINT);
        feed_commit_hints(agent->feed, hints, count);
        failpoint(FAILPOINT_AGENT_AFTER_HINT);
    }
    free(hints);
    return STATUS_OK;
}

enum status agent_read_hint(struct agent *agent, struct topic_partition tp, int timeout_ms,
                            struct agent_hint *ret_hint, struct error *err)
{
    struct feed_hint hint;
    *ret_hint = (struct agent_hint){.epoch = 0};
    enum status status = feed_read_hint(agent->feed, tp, timeout_ms, &hint, err);
    if (status == STATUS_OK && (hint.position.offset == FEED_OFFSET_NONE ||
                                sscanf(hint.metadata, "%36s %" SCNd64 " %36s", ret_hint->copy_id,
                                       &ret_hint->epoch, ret_hint->token) != 3))
        ret_hint->copy_id[0] = '\0';
    return status;
}

enum status agent_check_hint(const struct agent *agent, const struct agent_hint *hint,
                             const struct partition_state *state, struct error *err)
{
    if (hint->copy_id[0] == '\0')
        return STATUS_OK;
    if (strcmp(hint->copy_id, applier_copy_id(agent->applier)) != 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s/%d: this consumer group belongs to another copy; if this database "
                         "is a clone, run `keepstep init --new-copy`",
                         state->topic, state->partition);
    if (hint->epoch > state->epoch ||
        (hint->epoch == state->epoch && strcmp(hint->token, state->token) != 0))
        return error_set(error_config(err), STATUS_FATAL,
                         "%s/%d: this copy was further than its database says; if it was "
                         "restored run `keepstep init --restored`, if it is a clone run "
                         "`keepstep init --new-copy`",
                         state->topic, state->partition);
    return STATUS_OK;
}

/** Find the next partition of all topics that this agent does not own. @return false: none. */
static bool agent_next_other(struct agent *agent, struct topic_partition *ret_tp)
{
    size_t all = 0;
    for (size_t i = 0; i < agent->topic_count; i++)
        all += (size_t)feed_partition_count(agent->feed, agent->topics[i]);
    for (size_t tried = 0; tried < all; tried++) {
        size_t left = agent->other_hint_index++ % all;
        size_t topic = 0;
        while (left >= (size_t)feed_partition_count(agent->feed, agent->topics[topic]))
            left -= (size_t)feed_partition_count(agent->feed, agent->topics[topic++]);
        *ret_tp = (struct topic_partition){agent->topics[topic], (int32_t)left};
        if (applier_find(agent->applier, *ret_tp) == SIZE_MAX)
            return true;
    }
    return false;
}

enum status agent_check_other_hints(struct agent *agent, struct error *err)
{
    struct partition_state state = {0};
    struct agent_hint hint;
    struct error ignored = ERROR_INIT;
    struct topic_partition tp;
    if (agent->state != AGENT_APPLYING || !agent_is_due(&agent->other_hints, OTHER_HINTS_US))
        return STATUS_OK;
    if (!agent_next_other(agent, &tp) ||
        agent_read_hint(agent, tp, OTHER_HINTS_TIMEOUT_MS, &hint, &ignored) != STATUS_OK)
        return STATUS_OK;
    enum status status = applier_read(agent->applier, tp, &state, err);
    if (status == STATUS_OK)
        status = agent_check_hint(agent, &hint, &state, err);
    partition_state_done(&state);
    return status;
}
