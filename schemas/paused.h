/* What an operator has paused at a service (rule 49): the rows of the table keepstep_paused. */
#ifndef SCHEMAS_PAUSED_H
#define SCHEMAS_PAUSED_H

#include "schemas/config/config.h"

#define PAUSED_TYPE_SIZE   256
#define PAUSED_BY_SIZE     128
#define PAUSED_REASON_SIZE 256
#define PAUSED_TEXT_SIZE   512
#define PAUSED_TYPES_MAX   ((size_t)10000)
#define PAUSED_SHOWN_MAX   1024 /* types whose pause the metrics show */

/** A paused entity type. */
struct paused_type {
    char entity_type[PAUSED_TYPE_SIZE];
    int64_t at_us;                   /* wall clock */
    char by[PAUSED_BY_SIZE];         /* who paused it */
    char reason[PAUSED_REASON_SIZE]; /* "": none was given */
};

/** All of them. Freed by paused_types_done(); zeroed: none. */
struct paused_types {
    struct paused_type *types;
    size_t count;
};

void paused_types_done(struct paused_types *paused);

/** Append one. @return OK; RETRY (no memory); FATAL (more than PAUSED_TYPES_MAX). */
enum status paused_types_add(struct paused_types *paused, const struct paused_type *type,
                             struct error *err) MUST_CHECK;

/** @return the pause of an entity type; NULL where it is not paused. Borrowed. */
const struct paused_type *paused_find(const struct paused_types *paused, const char *entity_type);

/** Types that share a topic stand still together. @param entries  apply: or publish: of a
 * configuration. @return the pause of the first paused type of a topic; NULL where none is. */
const struct paused_type *paused_find_topic(const struct paused_types *paused,
                                            const struct config_entry *entries, size_t count,
                                            const char *topic);

/** Write "since 2026-11-30T01:02:03Z by anna@host: the reason", without control characters. */
void paused_describe(const struct paused_type *type, char ret_text[static PAUSED_TEXT_SIZE]);

#endif
