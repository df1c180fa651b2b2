/* Tells whether the triggers that capture a service's tables are those that `init` would make. */
#ifndef PRODUCER_CAPTURE_WATCH_H
#define PRODUCER_CAPTURE_WATCH_H

#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

enum capture_state {
    CAPTURE_UNKNOWN, /* the catalogue could not be read, so nothing is known of the triggers */
    CAPTURE_WHOLE,   /* as `init` would make it */
    CAPTURE_PARTIAL, /* all but the TRUNCATE of a partition that is younger than `init` */
    CAPTURE_BROKEN,  /* changes are not captured, or not as they should be */
};

/** What was found of one entry of `publish:`. */
struct capture_finding {
    enum capture_state state;
    char text[ERROR_TEXT_SIZE]; /* what is wrong; "" where it is whole */
};

/** Called before each table, so that the caller can do its other work. @return false: stop looking.
 */
typedef bool capture_tick(void *context);

/** Look at the catalogue, over a session of its own, and change nothing. An entry without a table
 * is whole.
 * @param schemas       parallel to config->publish.
 * @param tick          NULL: nothing; what it ends is unknown.
 * @param ret_findings  config->publish_count of them; all unknown where the database is not
 * reached.
 * @return how many are broken. */
size_t capture_compare(const struct config *config, const struct entity_schema *const *schemas,
                       capture_tick *tick, void *context, struct capture_finding *ret_findings);

/** @return "unknown", "whole", "partial", "broken". */
const char *capture_state_name(enum capture_state state);

#endif
