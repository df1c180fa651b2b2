/* Asks the running agent, by the table keepstep_fill, to fill a topic's copy, and looks how far it
 * is. */
#ifndef OPERATE_FILL_REQUEST_H
#define OPERATE_FILL_REQUEST_H

#include "operate/service.h"

/** All outlives the request. */
struct fill_request {
    const struct service *copy;
    const char *topic;
    const char *source; /* the service whose rows are wanted; NULL: whoever suits best */
    bool again;         /* clear what the copy has */
};

/** Write it down: no agent reads the topic from then on.
 * @return OK; RETRY; FATAL with exit code 78 (the copy has rows that are not to be cleared). */
enum status fill_request_make(const struct fill_request *request, struct error *err) MUST_CHECK;

/** Take back what was asked for, while nothing of the copy has been cleared.
 * @return OK; RETRY; FATAL with exit code 78 (there is nothing to take back, or it is too late). */
enum status fill_request_cancel(const struct fill_request *request, struct error *err) MUST_CHECK;

/** Wait until all rows are there; what it waits for is said.
 * @return OK; RETRY (the database; stopped by a signal, and the fill goes on; it was cancelled);
 * REJECT (the agent has given it up). */
enum status fill_request_follow(const struct fill_request *request, struct fill_state *ret_fill,
                                struct error *err) MUST_CHECK;

#endif
