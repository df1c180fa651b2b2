/* A sidecar that compares its entity types with all other copies, again and again
 * (`verify.every_s`). */
#ifndef OPERATE_VERIFY_LOOP_H
#define OPERATE_VERIFY_LOOP_H

#include "operate/members.h"
#include "operate/metrics.h"
#include "operate/service.h"

struct verify_loop_options {
    const struct service *service;
    const struct metrics_sources *sources; /* of this process's loops; it only reads them */
};

/** Compare until *stop, in the caller's thread, which is made a nicer one. Of several processes of
 * a service only one compares a type: the one whose relay holds the lease, or without a relay the
 * one whose agent owns the first partition. What another service has compared meanwhile is not
 * compared again. Whatever fails is logged once and tried again; nothing else waits for it. */
void verify_loop_run(const struct verify_loop_options *options, const atomic_bool *stop);

/** When a type is to be compared next: each of its members was to be compared at least so often.
 * @param verdict  on the type; NULL: none. @return microseconds since 1970; 0: now. */
int64_t verify_loop_due_us(const struct verdict_record *verdict, const struct quorum *quorum,
                           int64_t every_us);

#endif
