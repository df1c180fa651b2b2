/* What `keepstep outbox list` prints: a line for each change set, and for each row that is alone.
 */
#ifndef OPERATE_OUTBOX_LIST_H
#define OPERATE_OUTBOX_LIST_H

#include "producer/outbox/outbox.h"

/** Print what is set aside, then what waits, to stdout; at most 1,000 lines of each.
 * @return OK; RETRY; FATAL. */
enum status outbox_list(struct outbox *outbox, bool json, struct error *err) MUST_CHECK;

#endif
