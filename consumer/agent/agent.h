/* The agent: keeps one service's local copy in step with the log. */
#ifndef CONSUMER_AGENT_AGENT_H
#define CONSUMER_AGENT_AGENT_H

#include "consumer/metrics.h"
#include "consumer/store/store.h"

#include <stdatomic.h>

struct agent;
struct fill_wishes;

/** What the pointers point to is borrowed, and outlives the agent. */
struct agent_options {
    const struct config *config;
    const struct mapping *mappings; /* one an entry of `apply:` */
    size_t mapping_count;
    struct fill_wishes *wishes;    /* where it asks for rows of a topic; NULL: nobody hears it */
    struct agent_metrics *metrics; /* written by the agent and its reader; never NULL */
};

/** @return OK; FATAL (no memory, unknown database scheme). Nothing is opened yet. */
enum status agent_new(const struct agent_options *options, struct agent **ret_agent,
                      struct error *err) MUST_CHECK;
void agent_free(struct agent *agent);

/** Work until *stop is true, then finish the transaction, make it durable and close.
 * @return OK; FATAL, where a restart does not help with exit code 78. */
enum status agent_run(struct agent *agent, const atomic_bool *stop, struct error *err) MUST_CHECK;

#endif
