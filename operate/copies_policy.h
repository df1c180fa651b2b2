/* `keepstep copies policy`: fixes which members of an entity type count (rule 46). */
#ifndef OPERATE_COPIES_POLICY_H
#define OPERATE_COPIES_POLICY_H

#include "operate/control.h"

struct policy_request {
    const char *entity_type;
    const char *members; /* "shop,billing": those who count from now on; NULL: not given */
    bool clear;          /* whoever has joined counts again */
    bool dry_run;
    bool json;
};

/** Print what the policy of a type is and what the wanted one changes, and write that.
 * @return OK; RETRY; FATAL with exit code 64 (the type or a member is nobody's). */
enum status copies_policy(struct control *control, const struct config *config,
                          const struct policy_request *request, struct error *err) MUST_CHECK;

#endif
