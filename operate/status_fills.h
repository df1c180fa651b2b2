/* What `keepstep status` says of copies that are being filled, and of a relay that waits for that.
 */
#ifndef OPERATE_STATUS_FILLS_H
#define OPERATE_STATUS_FILLS_H

#include "common/buffer.h"
#include "consumer/store/store.h"
#include "producer/outbox/outbox.h"

/** What the fills mean for what to do next. */
struct status_fills {
    bool is_held; /* a topic is not read because its rows are not all there */
    char again[FILL_SOURCE_SIZE + sizeof "fill "]; /* the command that asks anew for the first fill
                                                    * that was given up; "": none was */
};

/** Append a line for each topic that is being filled, and the member "fills" with all that were.
 * @return as list_fills(). */
enum status status_fills_append(struct store *store, struct buffer *text, struct buffer *json,
                                struct status_fills *ret_fills, struct error *err) MUST_CHECK;

/** Append what the relay waits for, where its service applies what it publishes (rule 41): a line,
 * and the member "waits_for". @return as unread(). */
enum status status_hold_append(struct outbox *outbox, const struct config *config,
                               struct buffer *text, struct buffer *json,
                               struct error *err) MUST_CHECK;

#endif
