/* Topics that are being filled: no agent reads one before all of its rows are there (rule 42). */
#include "consumer/agent/internal.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static enum fill_stage agent_stage_in(const struct fill_state *fills, size_t count,
                                      const char *topic)
{
    const struct fill_state *fill = fill_find(fills, count, topic);
    return fill == NULL ? FILL_NONE : fill->stage;
}

bool agent_is_held(const struct agent *agent, const char *topic)
{
    return fill_holds_topic(agent_stage_in(agent->fills, agent->fill_count, topic));
}

static void agent_tell_stage(const struct fill_state *fill, enum fill_stage before)
{
    if (fill->stage == before)
        return;
    if (fill_holds_topic(fill->stage))
        log_info("agent", "%s waits: it is being filled from %s (%s)", fill->topic, fill->source,
                 fill_stage_name(fill->stage));
    else if (fill->stage == FILL_REPLAYING)
        log_info("agent", "%s: all %lld rows from %s are there; it reads what changed meanwhile",
                 fill->topic, (long long)fill->rows, fill->source);
    else if (fill->stage == FILL_DONE && before != FILL_NONE)
        log_info("agent", "%s is filled from %s and complete", fill->topic, fill->source);
}

/** @return whether the topic is held now and was not, or the other way round, or was filled
 * meanwhile. */
static bool agent_is_other(const struct agent *agent, const struct fill_state *fill,
                           enum fill_stage before)
{
    const struct fill_state *known = fill_find(agent->fills, agent->fill_count, fill->topic);
    return known == NULL || strcmp(known->id, fill->id) != 0 ||
           fill_holds_topic(fill->stage) != fill_holds_topic(before);
}

enum status agent_read_fills(struct agent *agent, bool *ret_changed, struct error *err)
{
    struct fill_state *fills = NULL;
    size_t count = 0;
    *ret_changed = false;
    enum status status = applier_list_fills(agent->applier, &fills, &count, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < agent->topic_count; i++) {
        const struct fill_state *fill = fill_find(fills, count, agent->topics[i]);
        enum fill_stage before = agent_stage_in(agent->fills, agent->fill_count, agent->topics[i]);
        if (fill == NULL)
            continue;
        agent_tell_stage(fill, before);
        agent_metrics_set_fill(agent->metrics, fill->topic, (int)fill->stage, fill->rows);
        *ret_changed = *ret_changed || agent_is_other(agent, fill, before);
    }
    free(agent->fills);
    agent->fills = fills;
    agent->fill_count = count;
    return STATUS_OK;
}

enum status agent_follow_fills(struct agent *agent, struct error *err)
{
    bool changed = false;
    if (agent->state != AGENT_APPLYING)
        return STATUS_OK;
    enum status status = agent_read_fills(agent, &changed, err);
    for (size_t i = 0; status == STATUS_OK && i < agent->topic_count; i++) {
        const struct fill_state *fill = fill_find(agent->fills, agent->fill_count,
                                                  agent->topics[i]);
        if (fill != NULL && fill->stage == FILL_REPLAYING)
            status = applier_finish_fill(agent->applier, fill, err);
    }
    if (status == STATUS_OK && changed) {
        agent_drop(agent); /* others may have raised the epochs: that is no other owner */
        feed_assign_again(agent->feed);
    }
    return status;
}
