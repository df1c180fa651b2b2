/* The participants of a comparison whose rows are asked for: each question goes to the desk of a
 * service over the talk topic, and its answer comes from one snapshot there (rule 48). */
#ifndef OPERATE_COMPARE_REMOTE_H
#define OPERATE_COMPARE_REMOTE_H

#include "operate/compare/asker.h"
#include "operate/compare/participant.h"

/** Whom to ask for which rows. All outlives the participant; the texts are copied. */
struct remote_options {
    struct asker *asker;
    const char *service;
    const char *copy; /* its id; MEMBER_NONE: a publisher */
    const char *desk; /* as talk_desk_append() writes it */
    const char *entity_type;
    const char *topic;
    const struct entity_schema *schema; /* the asker's own, until the desk has said its service's */
    int64_t heard_us; /* wall clock, when its last member record was written; 0: never */
};

/** Make the participant. Nothing is asked yet. It is freed before its asker is closed.
 * @return OK; RETRY (memory). */
enum status remote_new(const struct remote_options *options, struct participant **ret_participant,
                       struct error *err) MUST_CHECK;

#endif
