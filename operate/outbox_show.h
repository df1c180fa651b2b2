/* Shows one row of the outbox, and how far its event is. */
#ifndef OPERATE_OUTBOX_SHOW_H
#define OPERATE_OUTBOX_SHOW_H

#include "producer/outbox/outbox.h"

/** Print the row of a position, or of an event's id, with its payload. Of a row that is gone, print
 * that its event was published where the database knows that.
 * @return OK; FATAL with exit code 65 (there is no such row, with what that can mean); RETRY. */
enum status outbox_show(struct outbox *outbox, const char *which, bool json,
                        struct error *err) MUST_CHECK;

/** @return whether a text is the number of a position. */
bool outbox_position(const char *text, int64_t *ret_position);

#endif
