/* From a row of the outbox to its record: the checks before it is numbered (rule 9), and the
 * record. Nothing here is kept, so two threads may do it at once, each with a maker of its own. */
#ifndef PRODUCER_RELAY_RECORD_MAKER_H
#define PRODUCER_RELAY_RECORD_MAKER_H

#include "producer/outbox/outbox.h"
#include "producer/relay/kafka_producer.h"

/** What rows are checked against, and what their headers say. All of it is the caller's. */
struct record_maker {
    const struct config *config;
    const struct entity_schema *const *schemas; /* parallel to config->publish */
    const int64_t *bytes_max;  /* parallel to it: of a record of its topic; 0: not known */
    const struct lease *lease; /* origin and incarnation */
    struct arena *headers;     /* of one record */
};

/** @return the publish entry of a row's entity type; NULL: there is none. */
const struct config_entry *record_entry(const struct record_maker *maker,
                                        const struct outbox_row *row);

/** Make a row's key canonical, in `arena`. @return OK; REJECT; RETRY (no memory). */
enum status record_make_canonical(const struct record_maker *maker, struct outbox_row *row,
                                  struct arena *arena, struct error *err) MUST_CHECK;

/** Check one row, and fill its canonical key, topic and partition.
 * @return OK; REJECT (it cannot be published); RETRY. */
enum status record_check(const struct record_maker *maker, struct outbox_row *row,
                         struct arena *arena, struct error *err) MUST_CHECK;

/** Make a numbered row's record, all but its partition. Its headers live in maker->headers until
 * the next one. @return OK; RETRY; FATAL. */
enum status record_build(const struct record_maker *maker, const struct outbox_row *row,
                         enum change_kind kind, struct kafka_message *ret_message,
                         struct error *err) MUST_CHECK;

#endif
