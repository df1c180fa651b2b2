/* The event id of an outbox row that was given none. It is derived from what the row is, so that a
 * captured change costs the service no id. */
#ifndef SCHEMAS_EVENT_ID_H
#define SCHEMAS_EVENT_ID_H

#include "common/slice.h"

#include <stdint.h>

#define EVENT_ID_SIZE         37 /* 36 characters and a NUL */
#define EVENT_ID_POSITION_MAX (((int64_t)1 << 62) - 1)

/** Write the id that a row at `position` has: a UUID of version 8 (RFC 9562) in lower case. Its
 * first 60 bits are a digest of origin, position and time; its last 62 bits are the position. A
 * position that is used again after a restore, or in a clone, has another time and so another id.
 * @param position    1 to EVENT_ID_POSITION_MAX.
 * @param created_us  the row's created_at, wall clock. */
void event_id_derive(struct slice origin, int64_t position, int64_t created_us,
                     char ret_id[static EVENT_ID_SIZE]);

/** @return the position that an id of the derived form names; 0 for any other id. The row there has
 * this id only if event_id_derive() says so. */
int64_t event_id_position(struct slice id);

#endif
