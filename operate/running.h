/* Whether this service's relay or agent runs on this machine, told by a lock that ends with it. */
#ifndef OPERATE_RUNNING_H
#define OPERATE_RUNNING_H

#include "schemas/config/config.h"

enum running_part { RUNNING_RELAY = 1, RUNNING_AGENT = 2 };

/** Hold the locks of `parts` until the process ends, however it ends. Where the configuration's
 * file cannot be locked, nothing is held and nobody learns that this process runs. */
void running_hold(const struct config *config, unsigned parts);

/** @return whether a process on this machine holds the lock. It never says so of a process that has
 * ended. It does not see a process on another machine, or one whose file was replaced. */
bool running_here(const struct config *config, enum running_part part);

#endif
