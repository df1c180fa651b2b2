/* Puts the reason of a stopped partition into one of a few classes, for a metric's label. */
#ifndef CONSUMER_STOP_REASON_H
#define CONSUMER_STOP_REASON_H

#include <stddef.h>

/** @param text  the recorded reason, as `keepstep status` shows it.
 * @return "gap", "unknown_column", …; "other" where the text is of none of the classes; NULL for
 * "". A constant. */
const char *stop_reason_name(const char *text);

/** @return the class at an index, some several times; NULL after the last one. */
const char *stop_reason_at(size_t index);

#endif
