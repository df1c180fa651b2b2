/* The topics that the agent reads, and the look for those that do not exist yet. */
#include "consumer/agent_internal.h"

#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

#define TOPICS_FIRST_US 50000
#define TOPICS_MAX_US   5000000

enum status agent_add_topics(struct agent *agent, struct error *err)
{
    agent->topics = calloc(agent->mapping_count + 1, sizeof *agent->topics);
    if (agent->topics == NULL)
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

static int64_t agent_topics_next_wait(int64_t wait_us)
{
    if (wait_us == 0)
        return TOPICS_FIRST_US;
    return 2 * wait_us < TOPICS_MAX_US ? 2 * wait_us : TOPICS_MAX_US;
}

enum status agent_look_for_topics(struct agent *agent, struct error *err)
{
    bool found = false;
    size_t missing = feed_missing_topics(agent->feed);
    int64_t now = clock_monotonic_us();
    atomic_store(&agent->metrics->topics_missing, missing);
    if (missing == 0)
        agent->topics_wait_us = 0;
    if (missing == 0 || now < agent->next_topics_us || agent->batch.count > 0)
        return STATUS_OK;
    enum status status = feed_find_topics(agent->feed, &found, err);
    agent->topics_wait_us = agent_topics_next_wait(agent->topics_wait_us);
    agent->next_topics_us = clock_monotonic_us() + agent->topics_wait_us;
    if (status == STATUS_RETRY)
        error_clear(err); /* asked again soon */
    else if (status != STATUS_OK)
        return status;
    if (!found)
        return STATUS_OK;
    agent_drop(agent);
    agent_set_state(agent, AGENT_ASSIGNING);
    return feed_rejoin(agent->feed, err);
}
