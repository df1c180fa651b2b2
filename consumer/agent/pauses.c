/* Topics that an operator has paused: their partitions stay this agent's, and nothing of them is
 * written (rule 49). */
#include "consumer/agent/internal.h"

#include "common/log.h"

#include <string.h>

static const struct paused_type *
agent_pause_of(const struct agent *agent, const struct paused_types *pauses, const char *topic)
{
    return paused_find_topic(pauses, agent->config->apply, agent->config->apply_count, topic);
}

bool agent_is_paused(const struct agent *agent, const char *topic)
{
    return agent_pause_of(agent, &agent->pauses, topic) != NULL;
}

/** Log that a topic is paused or resumed, and tell the metrics. No other function does that. */
static void agent_set_paused(struct agent *agent, const char *topic,
                             const struct paused_type *paused)
{
    char text[PAUSED_TEXT_SIZE];
    for (size_t i = 0; i < agent->config->apply_count; i++) {
        if (i < PAUSED_SHOWN_MAX && strcmp(agent->config->apply[i].topic, topic) == 0)
            atomic_store(&agent->metrics->paused_at_us[i], paused == NULL ? 0 : paused->at_us);
    }
    if (paused == NULL) {
        log_info("agent", "%s is resumed: it goes on at its positions", topic);
        return;
    }
    paused_describe(paused, text);
    log_info("agent", "%s is paused %s; `keepstep resume` lets it go on", topic, text);
}

enum status agent_read_pauses(struct agent *agent, bool *ret_changed, struct error *err)
{
    struct paused_types pauses = {0};
    *ret_changed = false;
    enum status status = applier_list_paused(agent->applier, &pauses, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < agent->topic_count; i++) {
        const char *topic = agent->topics[i];
        const struct paused_type *paused = agent_pause_of(agent, &pauses, topic);
        if ((paused != NULL) == agent_is_paused(agent, topic))
            continue;
        agent_set_paused(agent, topic, paused);
        *ret_changed = true;
    }
    paused_types_done(&agent->pauses);
    agent->pauses = pauses;
    return STATUS_OK;
}

enum status agent_hold_paused(struct agent *agent, size_t index, struct error *err)
{
    agent_forget_read(agent, index);
    agent->partitions[index].paused = true;
    return feed_pause(agent->feed, agent->partitions[index].tp, true, err);
}

/** Log once where a paused partition's log begins behind its position by now. */
static void agent_look_at_retention(struct agent *agent)
{
    for (size_t i = 0; i < agent->partition_count; i++) {
        struct agent_partition *partition = &agent->partitions[i];
        const struct partition_state *state = applier_partition(agent->applier, i);
        int64_t begin = atomic_load(&partition->metrics->log_begin);
        if (state == NULL || !partition->type_is_paused || partition->is_overtaken ||
            begin <= state->next_offset)
            continue;
        partition->is_overtaken = true;
        log_error("agent",
                  "%s/%d is paused at %lld and its log begins at %lld by now: events are gone, so "
                  "it will stand still when it is resumed; `keepstep fill %s --again` gives it the "
                  "rows of another copy",
                  state->topic, state->partition, (long long)state->next_offset, (long long)begin,
                  state->topic);
    }
}

enum status agent_follow_pauses(struct agent *agent, struct error *err)
{
    bool changed = false;
    if (agent->state != AGENT_APPLYING)
        return STATUS_OK;
    enum status status = agent_read_pauses(agent, &changed, err);
    if (status == STATUS_OK && changed) {
        agent_drop(agent);
        feed_assign_again(agent->feed);
    } else if (status == STATUS_OK) {
        agent_look_at_retention(agent);
    }
    return status;
}
