/* The publisher of an entity type as a participant, where it does not apply the type itself. */
#ifndef OPERATE_COMPARE_PUBLISHER_H
#define OPERATE_COMPARE_PUBLISHER_H

#include "operate/compare/copy.h"

/** Write why the rows of a service that applies a type, and publishes it too, may be newer than its
 * position says (rule 35); "" where they are not. Its existing rows are published only on request,
 * so rows that were not are differences. @return OK; RETRY; FATAL. */
enum status publisher_judge(const struct participant_options *options, char *ret_reason,
                            size_t size, struct error *err) MUST_CHECK;

#endif
