/* The control topic as a command uses it: all that it says, and a handle to say something. */
#ifndef OPERATE_CONTROL_H
#define OPERATE_CONTROL_H

#include "operate/members.h"

struct control {
    struct control_topic *topic; /* NULL: it is not open */
    struct members members;
    char group[256];
};

/** Open the control topic of a service, and read all of it. It is not made.
 * @param stop  ends each wait. @return OK; RETRY; STOP (the service has none, or no sidecar has
 * made it yet); FATAL. control_close() is legal after any. */
enum status control_open(const struct config *config, const atomic_bool *stop,
                         struct control *ret_control, struct error *err) MUST_CHECK;
void control_close(struct control *control);

#endif
