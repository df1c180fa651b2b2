/* What `init` asks of joint transactions before it makes anything. */
#ifndef PRODUCER_INIT_JOINT_H
#define PRODUCER_INIT_JOINT_H

#include "producer/init/origin.h"

#include <stdio.h>

/** See that no promise is broken by the configuration: a type that is joint no more while its
 * entities are reserved, or none is joint while transactions are not settled. Where the database
 * can promise nothing it is not made ready; one that is goes on, and `out` gets a note.
 * @param printing  what goes to `out` is SQL.
 * @return OK; RETRY; FATAL with exit code 78. */
enum status init_check_joint(struct origin *origin, const struct config *config, bool printing,
                             FILE *out, struct error *err) MUST_CHECK;

#endif
