/* The agent's step that fills copies with the rows of others. */
#ifndef CONSUMER_AGENT_LOADING_H
#define CONSUMER_AGENT_LOADING_H

#include "consumer/agent/internal.h"

/** Go on with the fill of a topic whose partition 0 this agent owns: at most one transaction.
 * Topics are filled one after the other; one that waits lets the others go on. Whatever fails is
 * told and tried again, or waits for somebody who asks anew. Statuses as agent_follow_fills(). */
enum status agent_load(struct agent *agent, struct error *err) MUST_CHECK;

/** @return whether rows come, so that the next round must not wait. */
bool agent_is_loading(const struct agent *agent);

/** Leave it to whoever owns the partition next. */
void agent_drop_loading(struct agent *agent);

#endif
