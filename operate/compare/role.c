/* Looks up an entity type among what a service publishes and applies. */
#include "operate/compare/role.h"

#include <string.h>

bool role_find(const struct service *service, const char *entity_type, struct role *ret_role)
{
    const struct config *config = service->config;
    *ret_role = (struct role){0};
    for (size_t i = 0; i < config->publish_count; i++) {
        if (strcmp(config->publish[i].entity_type, entity_type) != 0)
            continue;
        ret_role->entry = &config->publish[i];
        ret_role->schema = service->published[i];
        ret_role->publishes = true;
    }
    for (size_t i = 0; i < config->apply_count; i++) {
        if (strcmp(config->apply[i].entity_type, entity_type) != 0)
            continue;
        ret_role->entry = &config->apply[i];
        ret_role->schema = service->applied[i];
        ret_role->applies = true;
    }
    return ret_role->applies || (ret_role->publishes && ret_role->entry->table != NULL);
}

enum status role_participant_new(const struct role *role, const struct participant_options *options,
                                 struct participant **ret_participant, struct error *err)
{
    return (role->applies ? copy_new : publisher_new)(options, ret_participant, err);
}

enum status role_check_services(const struct config *one, const struct config *other,
                                struct error *err)
{
    if (strcmp(one->service, other->service) == 0)
        return error_set(error_config(err), STATUS_FATAL, "%s and %s are both of service %s",
                         one->path, other->path, other->service);
    if (strcmp(one->database, other->database) == 0)
        return error_set(error_config(err), STATUS_FATAL, "%s and %s name the same database",
                         one->path, other->path);
    return STATUS_OK;
}
