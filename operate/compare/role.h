/* How a service takes part when copies of an entity type are compared or repaired. */
#ifndef OPERATE_COMPARE_ROLE_H
#define OPERATE_COMPARE_ROLE_H

#include "operate/compare/copy.h"

struct role {
    const struct config_entry *entry; /* the applied one, if there are two */
    const struct entity_schema *schema;
    bool applies;
    bool publishes;
};

/** @return whether the service has rows of the type that can be compared. */
bool role_find(const struct service *service, const char *entity_type, struct role *ret_role);

/** Make the participant: the copy where the service applies the type, else the publisher.
 * @return as copy_new(). */
enum status role_participant_new(const struct role *role, const struct participant_options *options,
                                 struct participant **ret_participant,
                                 struct error *err) MUST_CHECK;

/** Refuse two configurations of one service or one database: what is compared with itself is always
 * equal. @return OK; FATAL. */
enum status role_check_services(const struct config *one, const struct config *other,
                                struct error *err) MUST_CHECK;

#endif
