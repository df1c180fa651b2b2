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
    joint->types = (struct joint_types){.mappings = joint->mappings,
                                        .record_bytes = config->limits.message_bytes};
    if (config->transactions == TRANSACTIONS_WHOLE) {
        joint->types.set_bytes = config->limits.changeset_bytes;
        joint->types.set_events = config->limits.changeset_events;
    }
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

static enum status joint_refuse_open(void *context, const struct joint_row *row, struct error *err)
{
    (void)context;
    return error_set(
        error_config(err), STATUS_FATAL,
        "publish: joint transaction %.*s of %.*s is %s here, and no entry has `joint:` "
        "any more: keep it until `keepstep joint list` is empty",
        SLICE_ARGS(row->name.id), SLICE_ARGS(row->name.proposer), joint_state_name(row->state));
}

enum status joint_config_check(const struct service *service, struct error *err)
{
    static const struct joint_types none = {.count = 0};
    struct error ignored = ERROR_INIT;
    struct store *store = NULL;
    enum status status = STATUS_OK;
    if (config_is_joint(service->config) ||
        service_open_store(service, true, &store, &ignored) != STATUS_OK)
        return STATUS_OK;
    if (store->ops->joint != NULL &&
        store->ops->joint->prepare(store, &none, &ignored) == STATUS_OK)
        status = store->ops->joint->load(store, joint_refuse_open, NULL, err);
    store->ops->close(store);
    return status == STATUS_FATAL ? status : STATUS_OK;
}
