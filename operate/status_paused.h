/* What `keepstep status` says of entity types that an operator has paused. */
#ifndef OPERATE_STATUS_PAUSED_H
#define OPERATE_STATUS_PAUSED_H

#include "common/buffer.h"
#include "consumer/store/store.h"
#include "producer/outbox/outbox.h"

/** Append a line for each applied type that is paused, and the member "paused". A type that shares
 * its topic with a paused one is paused with it. @return as list_paused(). */
enum status status_paused_applied(struct store *store, const struct config *config,
                                  struct buffer *text, struct buffer *json,
                                  struct error *err) MUST_CHECK;

/** The same of the published types. */
enum status status_paused_published(struct outbox *outbox, const struct config *config,
                                    struct buffer *text, struct buffer *json,
                                    struct error *err) MUST_CHECK;

/** Append a paused type as an object: entity_type, topic, since, by, reason. */
void paused_append_json(const struct paused_type *paused, const struct config_entry *entry,
                        struct buffer *json);

#endif
