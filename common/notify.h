/* Tells the service manager (systemd) how the process is. */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include "common/status.h"

/** @return whether a service manager wants to be told: $NOTIFY_SOCKET is set. */
bool notify_is_wanted(void);

/** Send lines of sd_notify(3): "READY=1", "STATUS=…". Never waits, and without $NOTIFY_SOCKET does
 * nothing. @return whether nothing went wrong; errno says what did. */
bool notify_send(const char *lines);

#endif
