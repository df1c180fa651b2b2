/* Stamps of the stages that an event goes through, for a report of where its time goes. Only a
 * build with KEEPSTEP_STAGES has them; in any other the macros are empty. */
#ifndef COMMON_STAGES_H
#define COMMON_STAGES_H

/* clang-format off */
#define STAGE_LIST(X)                                                                              \
    X(LOOKED, "looked")       /* the relay begins to load rows that wait */                        \
    X(LOADED, "loaded")       /* its row is there */                                               \
    X(NUMBERED, "numbered")   /* checked, and has its sequence */                                  \
    X(CLAIMED, "claimed")     /* the claim is durable */                                           \
    X(PRODUCED, "produced")   /* librdkafka has it */                                              \
    X(DELIVERED, "delivered") /* the broker's report has come */                                   \
    X(POLLED, "polled")       /* the agent has it, and decodes it */                               \
    X(BEGUN, "begun")         /* its transaction begins */                                         \
    X(APPLIED, "applied")     /* its transaction is committed */
/* clang-format on */

#define STAGE_MEMBER(constant, name) STAGE_##constant,
enum stage { STAGE_LIST(STAGE_MEMBER) STAGE_COUNT };
#undef STAGE_MEMBER

#ifdef KEEPSTEP_STAGES
#include "common/clock.h"
#include "common/slice.h"

#include <stddef.h>
#include <stdint.h>

/** Note that an event has reached a stage. At the process's end all stamps are written to the file
 * that KEEPSTEP_STAGES_FILE names: event id, stage, microseconds since 1970. Without that variable
 * nothing is noted. @thread any. */
void stage_stamp(enum stage stage, struct slice event_id, int64_t at_us);

#define STAGE_TIME(name)              int64_t name = clock_wall_us()
#define STAGE_STAMP(stage, id, at_us) stage_stamp(stage, id, at_us)
/** Stamp `count` events with one time. `id` is an expression of the index `each`. */
#define STAGE_STAMP_EACH(stage, count, id, at_us)                                                  \
    for (size_t each = 0; each < (count); each++)                                                  \
    stage_stamp(stage, id, at_us)
#else
#define STAGE_TIME(name)                          ((void)0)
#define STAGE_STAMP(stage, id, at_us)             ((void)0)
#define STAGE_STAMP_EACH(stage, count, id, at_us) ((void)0)
#endif

#endif
