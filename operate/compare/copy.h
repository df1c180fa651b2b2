/* The participants of a comparison whose databases are opened here, each from its service's own
 * configuration. */
#ifndef OPERATE_COMPARE_COPY_H
#define OPERATE_COMPARE_COPY_H

#include "operate/compare/participant.h"
#include "operate/service.h"

#define PARTICIPANT_OPEN_BYTES_MAX ((size_t)256 * 1024 * 1024)

/** What a participant is made of. All outlives it. */
struct participant_options {
    const struct service *service;
    const char *entity_type;
    int64_t open_entities_max; /* that are listed, and one more */
    size_t open_bytes_max;     /* of their keys; 0: 256 MiB */
};

/** Make the copy that the service keeps of an entity type, in its store.
 * @return OK; FATAL (no such entry, no such back end). */
enum status copy_new(const struct participant_options *options,
                     struct participant **ret_participant, struct error *err) MUST_CHECK;

/** Make the publisher of an entity type that does not apply it: its table is the source.
 * @return as copy_new(). */
enum status publisher_new(const struct participant_options *options,
                          struct participant **ret_participant, struct error *err) MUST_CHECK;

#endif
