/* Topics that are being filled: no agent reads one before all of its rows are there (rule 42). */
#include "consumer/agent/internal.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define FILLS_TIMEOUT_MS 10000
#define FILLS_WANTED_US  (INT64_C(30) * 1000 * 1000)

static enum fill_stage agent_stage_in(const struct fill_state *fills, size_t count,
                                      const char *topic)
{
    const struct fill_state *fill = fill_find(fills, count, topic);
    return fill == NULL ? FILL_NONE : fill->stage;
}

bool agent_is_held(const struct agent *agent, const char *topic)
{
    const enum fill_stage stage = agent_stage_in(agent->fills, agent->fill_count, topic);
    for (size_t i = 0; stage == FILL_NONE && i < agent->topic_count; i++) {
        if (agent->wants_fill[i] && strcmp(agent->topics[i], topic) == 0)
            return true;
    }
    return fill_holds_topic(stage);
}

/* @return whether a topic's copy may be filled, and always is. */
static bool agent_may_fill(const struct agent *agent, const char *topic, bool *ret_always)
{
    bool may = agent->wishes != NULL;
    *ret_always = false;
    for (size_t i = 0; i < agent->mapping_count; i++) {
        const struct config_entry *entry = agent->mappings[i].entry;
        if (strcmp(entry->topic, topic) != 0)
            continue;
        may = may && entry->fill != CONFIG_FILL_NEVER && entry->start == CONFIG_START_NONE;
        *ret_always = *ret_always || entry->fill == CONFIG_FILL_ALWAYS;
    }
    return may;
}

/** All positions that are stored. */
struct known_positions {
    struct partition_state *states;
    size_t count;
};

/* Its next_offset is 0 where there is none. */
static struct partition_state agent_known_position(const struct known_positions *known,
                                                   struct topic_partition tp)
{
    for (size_t i = 0; i < known->count; i++) {
        struct partition_state found = known->states[i];
        found.exists = true;
        if (topic_partition_equal(partition_state_tp(&found), tp))
            return found;
    }
    return (struct partition_state){.anchor_offset = -1};
}

/* Looks at all partitions, whoever owns them. A copy of which one partition was read is somebody's:
 * the loader would refuse to clear it, so what else has lost its beginning stands still.
 * @return OK with whether the topic is to be filled. */
static enum status agent_wants_fill(struct agent *agent, size_t index, bool always,
                                    const struct known_positions *known, struct error *err)
{
    const char *topic = agent->topics[index];
    const int32_t count = feed_partition_count(agent->feed, topic);
    enum status status = STATUS_OK;
    bool is_lost = false;
    bool is_read = false;  /* some partition */
    bool is_begun = false; /* or has a position from which it may be */
    for (int32_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct topic_partition tp = {topic, i};
        const struct partition_state state = agent_known_position(known, tp);
        struct log_bounds bounds = {0};
        bool is_unread = agent_is_unread(&state, 1); /* or maybe */
        if (is_unread)
            status = feed_log_bounds(agent->feed, tp, FILLS_TIMEOUT_MS, &bounds, err);
        is_unread = is_unread && agent_is_unread(&state, bounds.first);
        is_lost = is_lost || (is_unread && bounds.first > 0);
        is_begun = is_begun || !is_unread;
        is_read = is_read || partition_is_read(&state);
    }
    if (status == STATUS_STOP) { /* the assignment says so too, and why */
        error_clear(err);
        return STATUS_OK;
    }
    agent->wants_fill[index] = status == STATUS_OK && !is_read &&
                               (is_lost || (always && !is_begun));
    return status;
}

static enum status agent_look_at_topic(struct agent *agent, size_t index,
                                       const struct known_positions *known, struct error *err)
{
    const char *topic = agent->topics[index];
    bool wanted = agent->wants_fill[index];
    bool always = false;
    agent->wants_fill[index] = false;
    if (agent_stage_in(agent->fills, agent->fill_count, topic) != FILL_NONE)
        return STATUS_OK;
    enum status status = STATUS_OK;
    if (agent_may_fill(agent, topic, &always))
        status = agent_wants_fill(agent, index, always, known, err);
    if (wanted || agent->wants_fill[index])
        agent_metrics_set_fill(agent->metrics, topic,
                               agent->wants_fill[index] ? FILL_ASKED : FILL_NONE, 0, false);
    if (agent->wants_fill[index] && !wanted)
        log_info("agent", "%s is to be filled with the rows of another service%s", topic,
                 always ? "" : ": its log has lost its beginning");
    return status;
}

enum status agent_find_wanted_fills(struct agent *agent, const struct feed_event *event,
                                    struct error *err)
{
    struct known_positions known = {0};
    enum status status = applier_list(agent->applier, &known.states, &known.count, err);
    for (size_t i = 0; status == STATUS_OK && i < agent->topic_count; i++) {
        bool is_assigned = false;
        agent->owns_first[i] = false;
        for (size_t j = 0; j < event->assigned_count; j++) {
            const struct topic_partition tp = event->assigned[j].tp;
            bool is_here = strcmp(tp.topic, agent->topics[i]) == 0;
            is_assigned = is_assigned || is_here;
            agent->owns_first[i] = agent->owns_first[i] || (is_here && tp.partition == 0);
        }
        if (is_assigned)
            status = agent_look_at_topic(agent, i, &known, err);
    }
    free(known.states);
    return status;
}

static void agent_tell_stage(const struct fill_state *fill, enum fill_stage before)
{
    if (fill->stage == before || fill_is_given_up(fill))
        return;
    if (fill_holds_topic(fill->stage))
        log_info("agent", "%s waits: it is being filled from %s (%s)", fill->topic, fill->source,
                 fill_stage_name(fill->stage));
    else if (fill->stage == FILL_REPLAYING)
        log_info("agent", "%s: all %lld rows from %s are there; it reads what changed meanwhile",
                 fill->topic, (long long)fill->rows, fill->source);
    else if (fill->stage == FILL_CANCELLED && fill_holds_topic(before))
        log_info("agent", "%s: its fill was cancelled, so it is read as before", fill->topic);
    else if (fill->stage == FILL_DONE && before != FILL_NONE)
        log_info("agent", "%s is filled from %s and complete", fill->topic, fill->source);
}

/** @return whether the topic is held now and was not, or the other way round, or was filled
 * meanwhile. */
static bool agent_is_other(const struct agent *agent, const struct fill_state *fill,
                           enum fill_stage before)
{
    const struct fill_state *known = fill_find(agent->fills, agent->fill_count, fill->topic);
    if (fill_holds_topic(fill->stage) && fill_holds_topic(before))
        return false; /* another attempt */
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
        agent_metrics_set_fill(agent->metrics, fill->topic, (int)fill->stage, fill->rows,
                               fill_is_given_up(fill));
        *ret_changed = *ret_changed || agent_is_other(agent, fill, before);
    }
    free(agent->fills);
    agent->fills = fills;
    agent->fill_count = count;
    return STATUS_OK;
}

/* @return whether another agent is to write down that a topic is filled; it may have no need to. */
static bool agent_waits_for_fill(const struct agent *agent)
{
    for (size_t i = 0; i < agent->topic_count; i++) {
        if (agent->wants_fill[i] && !agent->owns_first[i])
            return true;
    }
    return false;
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
    bool again = agent_waits_for_fill(agent) && agent_is_due(&agent->wanted_fills, FILLS_WANTED_US);
    if (status == STATUS_OK && (changed || again)) {
        agent_drop(agent); /* others may have raised the epochs: that is no other owner */
        feed_assign_again(agent->feed);
    }
    return status;
}
