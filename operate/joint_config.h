/* A service that takes part in joint transactions publishes one type more than its configuration
 * names, into a topic that it also reads: their records. Relay and loop see it so. */
#ifndef OPERATE_JOINT_CONFIG_H
#define OPERATE_JOINT_CONFIG_H

#include "consumer/joint/joint.h"
#include "operate/service.h"

/** The configuration with that type, the schemas beside it, and the types that others may ask to
 * change. All of it borrows the service. */
struct joint_config {
    struct config config;
    const struct entity_schema **schemas; /* parallel to config.publish; of that type NULL */
    struct mapping *mappings;
    struct joint_types types;
};

/** Where the service takes no part, the configuration is its own and there are no types.
 * @return OK; FATAL (no memory). joint_config_done() is legal after either. */
enum status joint_config_make(const struct service *service, struct joint_config *ret_config,
                              struct error *err) MUST_CHECK;
void joint_config_done(struct joint_config *config);

/** See that a service that takes no part has nothing left that is not settled (rule 72). A database
 * that does not answer, or has no such tables, has nothing.
 * @return OK; FATAL with exit code 78. */
enum status joint_config_check(const struct service *service, struct error *err) MUST_CHECK;

#endif
