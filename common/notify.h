/* Tells the service manager (systemd) the state of the process. */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include "common/status.h"

/** @return whether a service manager listens: $NOTIFY_SOCKET is set. */
bool notify_is_wanted(void);

/** Send lines of sd_notify(3): "READY=1", "STATUS=…". Never waits. A no-op without $NOTIFY_SOCKET.
 * @return false where sending failed; errno says why. */
bool notify_send(const char *lines);

#endif
