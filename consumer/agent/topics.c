/* Finds topics that did not exist when the agent began, and partitions that nobody reads. */
#include "consumer/agent/internal.h"

#include <stdlib.h>
#include <string.h>

#define TOPICS_FIRST_US 50000
#define TOPICS_MAX_US   5000000
#define OWNERS_FIRST_US 1000000
#define OWNERS_MAX_US   30000000

enum status agent_add_topics(struct agent *agent, struct error *err)
{
    agent->topics = calloc(agent->mapping_count + 1, sizeof *agent->topics);
    agent->wants_fill = calloc(agent->mapping_count + 1, sizeof *agent->wants_fill);
    agent->owns_first = calloc(agent->mapping_count + 1, sizeof *agent->owns_first);
    if (agent->topics == NULL || agent->wants_fill == NULL || agent->owns_first == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the agent");
    for (size_t i = 0; i < agent->mapping_count; i++) {
        const char *topic = agent->mappings[i].entry->topic;
        bool known = false;
        for (size_t j = 0; j < agent->topic_count; j++)
            known = known || strcmp(agent->topics[j], topic) == 0;
        if (!known)
            agent->topics[agent->topic_count++] = topic;
    }
    return STATUS_OK;
}

/** As agent_is_due(), but the first wait is `first_us`, and each further one twice as long. */
static bool agent_is_due_seldom(struct agent_timer *timer, int64_t first_us, int64_t max_us)
{
    bool is_begun = timer->next_us != 0;
    int64_t wait_us = !is_begun ? first_us : 2 * timer->wait_us;
    if (wait_us > max_us)
        wait_us = max_us;
    if (!agent_is_due(timer, wait_us))
        return false;
    timer->wait_us = wait_us;
    return is_begun;
}

static enum status agent_find_topics(struct agent *agent, bool *ret_found, struct error *err)
{
    size_t missing = feed_missing_topics(agent->feed);
    atomic_store(&agent->metrics->topics_missing, missing);
    if (missing == 0)
        agent->missing_topics = (struct agent_timer){0};
    else if (agent_is_due_seldom(&agent->missing_topics, TOPICS_FIRST_US, TOPICS_MAX_US))
        return feed_find_topics(agent->feed, ret_found, err);
    return STATUS_OK;
}

static enum status agent_find_unowned(struct agent *agent, bool *ret_found, struct error *err)
{
    if (agent->state != AGENT_APPLYING)
        agent->missing_owners = (struct agent_timer){0};
    else if (agent_is_due_seldom(&agent->missing_owners, OWNERS_FIRST_US, OWNERS_MAX_US))
        return feed_find_unowned(agent->feed, ret_found, err);
    return STATUS_OK;
}

enum status agent_find_partitions(struct agent *agent, struct error *err)
{
    bool found = false;
    enum status status = agent_find_topics(agent, &found, err);
    if (status == STATUS_OK && !found)
        status = agent_find_unowned(agent, &found, err);
    if (status == STATUS_RETRY)
        error_clear(err); /* the next round asks again */
    else if (status != STATUS_OK)
        return status;
    if (!found)
        return STATUS_OK;
    agent_drop(agent);
    agent_set_state(agent, AGENT_ASSIGNING);
    return feed_rejoin(agent->feed, err);
}
