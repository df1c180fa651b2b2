/* Adds the records of joint transactions to what a service publishes and reads. */
#include "operate/joint_config.h"

#include <stdlib.h>

/* @return a copy of the entries with one more at its end; NULL without memory. */
static struct config_entry *joint_entries(const struct config_entry *entries, size_t count,
                                          const struct config *config)
{
    struct config_entry *more = calloc(count + 1, sizeof *more);
    if (more == NULL)
        return NULL;
    if (count > 0)
        memcpy(more, entries, count * sizeof *more);
    more[count] = (struct config_entry){.entity_type = (char *)(uintptr_t)JOINT_ENTITY_TYPE,
                                        .topic = config->joint_topic,
                                        .partitions = 1,
                                        .start = CONFIG_START_EARLIEST,
                                        .fill = CONFIG_FILL_NEVER};
    return more;
}

static void joint_map(const struct service *service, struct joint_config *joint)
{
    const struct config *config = service->config;
    for (size_t i = 0; i < config->publish_count; i++) {
        joint->schemas[i] = service->published[i];
        if (config->publish[i].is_joint)
            joint->mappings[joint->types.count++] = (struct mapping){
                .schema = service->published[i],
                .entry = &config->publish[i],
                .form = {.schema = service->published[i]},
                .published_here = true};
    }
}

enum status joint_config_make(const struct service *service, struct joint_config *ret_config,
                              struct error *err)
{
    const struct config *config = service->config;
    struct joint_config *joint = ret_config;
    *joint = (struct joint_config){.config = *config};
    joint->config.publish = joint_entries(config->publish, config->publish_count, config);
    joint->config.apply = joint_entries(config->apply, config->apply_count, config);
    joint->schemas = calloc(config->publish_count + 1, sizeof *joint->schemas);
    joint->mappings = calloc(config->publish_count + 1, sizeof *joint->mappings);
    if (joint->config.publish == NULL || joint->config.apply == NULL || joint->schemas == NULL ||
        joint->mappings == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the configuration");
    joint->types.mappings = joint->mappings;
    joint_map(service, joint);
    joint->config.publish_count += config_is_joint(config);
    joint->config.apply_count += config_is_joint(config);
    return STATUS_OK;
}

void joint_config_done(struct joint_config *config)
{
    free(config->config.publish);
    free(config->config.apply);
    free(config->schemas);
    free(config->mappings);
    *config = (struct joint_config){0};
}
