/* From the flags to a configured service. */
#include "operate/service.h"

#include "common/log.h"
#include "consumer/store/registry.h"
#include "producer/registry.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static enum status service_configure_log(const struct config *config, struct error *err)
{
    enum log_level level;
    if (!log_level_parse(config->log_level, &level)) {
        return error_set(error_config(err), STATUS_FATAL,
                         "log level \"%s\" is unknown; use debug, info, warning "
                         "or error",
                         config->log_level);
    }
    enum log_format format = LOG_FORMAT_AUTO;
    if (strcmp(config->log_format, "json") == 0)
        format = LOG_FORMAT_JSON;
    else if (strcmp(config->log_format, "logfmt") == 0)
        format = LOG_FORMAT_LOGFMT;
    log_configure(level, format);
    return STATUS_OK;
}

static enum status service_load_schemas(const struct config *config,
                                        const struct config_entry *entries, size_t count,
                                        struct entity_schema ***ret_schemas, struct error *err)
{
    struct entity_schema **schemas = calloc(count + 1, sizeof *schemas);
    if (schemas == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    *ret_schemas = schemas;
    for (size_t i = 0; i < count; i++) {
        enum status status = entity_schema_new(config->schemas, entries[i].entity_type, &schemas[i],
                                               err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* A misspelt name under `columns:` would rename nothing, and nobody would notice. */
static enum status service_check_columns(const struct config *config, const char *part,
                                         const struct config_entry *entry,
                                         const struct entity_schema *schema, struct error *err)
{
    const char **names = calloc(schema->column_count + 1, sizeof *names);
    enum status status = names == NULL ? error_set(err, STATUS_FATAL, "out of memory") : STATUS_OK;
    for (size_t i = 0; names != NULL && i < schema->column_count; i++)
        names[i] = schema->columns[i].name;
    for (size_t i = 0; status == STATUS_OK && i < entry->column_count; i++) {
        const char *name = entry->columns[i].name;
        if (entity_schema_find(schema, slice_of(name)) >= 0)
            continue;
        const char *nearest = config_nearest(name, names, schema->column_count);
        status = error_set(error_config(err), STATUS_FATAL,
                           "%s: %s.%s.columns: the schema of %s has no column \"%s\"%s%s%s",
                           config->path, part, entry->entity_type, entry->entity_type, name,
                           nearest == NULL ? "" : "; did you mean \"",
                           nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
    }
    free(names);
    return status;
}

static enum status service_make_mappings(struct service *service, struct error *err)
{
    const struct config *config = service->config;
    service->mappings = calloc(config->apply_count + 1, sizeof *service->mappings);
    if (service->mappings == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    for (size_t i = 0; i < config->apply_count; i++) {
        const char *type = config->apply[i].entity_type;
        service->mappings[i] = (struct mapping){
            .schema = service->applied[i],
            .entry = &config->apply[i],
            .form = {.format = config->apply[i].format,
                     .binary = config->apply[i].binary,
                     .schema = service->applied[i]},
            .published_here = config_find(config->publish, config->publish_count, type,
                                          strlen(type)) != NULL,
        };
    }
    return STATUS_OK;
}

/* All but the configuration. */
static enum status service_load(struct service *service, struct error *err)
{
    const struct config *config = service->config;
    enum status status = service_load_schemas(config, config->publish, config->publish_count,
                                              &service->published, err);
    if (status == STATUS_OK)
        status = service_load_schemas(config, config->apply, config->apply_count, &service->applied,
                                      err);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++)
        status = service_check_columns(config, "publish", &config->publish[i],
                                       service->published[i], err);
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count; i++)
        status = service_check_columns(config, "apply", &config->apply[i], service->applied[i],
                                       err);
    return status == STATUS_OK ? service_make_mappings(service, err) : status;
}

enum status service_open(const struct command_line *line, struct service *ret_service,
                         struct error *err)
{
    *ret_service = (struct service){0};
    enum status status = config_load(line->config_path, line->overrides, line->override_count,
                                     &ret_service->config, err);
    if (status != STATUS_OK)
        return status;
    command_advise_flags(line); /* config_load() has refused secrets among its overrides */
    status = service_configure_log(ret_service->config, err);
    if (status == STATUS_OK)
        status = service_load(ret_service, err);
    if (status == STATUS_OK && ret_service->config->unknown_variables != NULL)
        log_warning("config", "%s", ret_service->config->unknown_variables);
    return status;
}

enum status service_open_file(const char *path, struct service *ret_service, struct error *err)
{
    *ret_service = (struct service){0};
    enum status status = config_load_file(path, &ret_service->config, err);
    return status == STATUS_OK ? service_load(ret_service, err) : status;
}

void service_close(struct service *service)
{
    const struct config *config = service->config;
    for (size_t i = 0; service->published != NULL && i < config->publish_count; i++)
        entity_schema_free(service->published[i]);
    for (size_t i = 0; service->applied != NULL && i < config->apply_count; i++)
        entity_schema_free(service->applied[i]);
    free(service->published);
    free(service->applied);
    free(service->mappings);
    config_free(service->config);
    *service = (struct service){0};
}

enum status service_refuse_scheme(struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL, "database: no such command for its scheme");
}

int service_command(const struct command *command, int argc, char **argv, service_run *run)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    struct error err = ERROR_INIT;
    struct service service;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = run(&service, &line, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    service_close(&service);
    return code;
}

enum status service_open_store(const struct service *service, bool read_only,
                               struct store **ret_store, struct error *err)
{
    const struct config *config = service->config;
    const struct store_ops *ops = store_find(config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    const struct store_options options = {.path = config->database_path,
                                          .service = config->service,
                                          .read_only = read_only,
                                          .snapshot_time_s = config->limits.scan_time_s,
                                          .scan_rows_s = config->limits.scan_rows_s};
    return ops->open(&options, ret_store, err);
}

enum status service_open_outbox(const struct service *service, bool read_only,
                                struct outbox **ret_outbox, struct error *err)
{
    const struct config *config = service->config;
    const struct outbox_ops *ops = outbox_find(config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    const struct outbox_options options = {.path = config->database_path,
                                           .service = config->service,
                                           .instance = config->instance,
                                           .read_only = read_only,
                                           .for_operator = true};
    return ops->open(&options, ret_outbox, err);
}
