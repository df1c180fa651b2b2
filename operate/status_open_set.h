/* What `keepstep status` says of a change set whose end is not in the log yet. */
#ifndef OPERATE_STATUS_OPEN_SET_H
#define OPERATE_STATUS_OPEN_SET_H

#include "common/buffer.h"
#include "consumer/store/store.h"
#include "schemas/config/config.h"

/** Append how much of the next change set is in the log, and since when, where its end is not there
 * yet: a part of a line, and the member "open_set". The log is read from the copy's position on.
 * @param end  of the log; -1: not known. */
void status_open_set_append(const struct config *config, const struct partition_state *state,
                            int64_t end, struct buffer *text, struct buffer *json);

#endif
