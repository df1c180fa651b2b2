/* `keepstep init`: prepare a service's database for both sides. */
#include "consumer/feed/feed.h"
#include "consumer/store/registry.h"
#include "operate/command.h"
#include "operate/roles.h"
#include "operate/service.h"
#include "producer/init/init.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define PRINTED_SIZE_MAX ((size_t)1024 * 1024)

/* A group that the configuration names stays; its committed metadata names the old copy. */
static void init_tell_new_copy(const struct config *config, const char *copy_id, FILE *out)
{
    char group[FEED_GROUP_SIZE];
    feed_group_name(config, copy_id, group);
    fprintf(out, "changed  copy id %s, consumer group %s; positions, sequences and keys stay\n",
            copy_id, group);
    for (size_t i = 0; i < config->kafka_count; i++) {
        if (strcmp(config->kafka[i].name, "group.id") == 0)
            fputs("note     the configuration sets kafka.group.id: choose another one, the old "
                  "group belongs to the old copy\n",
                  out);
    }
}

/* The copies' tables and what the applying side's roles need, after the roles were made. */
static enum status init_print_copy(const struct service *service, FILE *out, struct error *err)
{
    const struct store_ops *ops = store_find(service->config->database);
    struct copies copies = {.mappings = service->mappings, .count = service->config->apply_count};
    struct buffer sql;
    buffer_init(&sql, PRINTED_SIZE_MAX);
    enum status status = ops->copy_sql(&copies, &sql, err);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_FATAL, "the statements grow too large");
    if (status == STATUS_OK)
        fputs(buffer_text(&sql), out);
    if (status == STATUS_OK)
        init_print_end(service->config, out);
    buffer_done(&sql);
    return status;
}

/* What an administrator runs, who makes nothing else: what he made would be his. */
static enum status init_print_roles(const struct service *service, FILE *out, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, PRINTED_SIZE_MAX);
    enum status status = roles_append(service, &sql, err);
    if (status == STATUS_OK && sql.length == 0)
        command_say("keepstep: a file has no roles: who may open it may do everything");
    if (status == STATUS_OK && sql.length > 0) {
        init_print_guard(service->config, out);
        fputs(buffer_text(&sql), out);
        init_print_end(service->config, out);
    }
    buffer_done(&sql);
    return status;
}

/* The local copies' tables follow from the schemas and from what is there: `init` makes them. */
static enum status init_copy(const struct service *service, const struct init_options *options,
                             bool new_copy, struct error *err)
{
    const struct config *config = service->config;
    const struct store_ops *ops = store_find(config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    if (options->print_sql) {
        init_print_guard(config, options->out);
        fprintf(options->out, "%s\n", ops->install_sql);
        return STATUS_OK;
    }
    const struct store_options store_options = {.path = config->database_path,
                                                .service = config->service,
                                                .install = true,
                                                .new_copy = new_copy};
    struct store *store = NULL;
    struct store_meta meta;
    enum status status = ops->open(&store_options, &store, err);
    if (status != STATUS_OK)
        return status;
    status = ops->meta(store, &meta, err);
    for (size_t i = 0; status == STATUS_OK && i < config->apply_count; i++) {
        status = store_prepare(store, &service->mappings[i], true, err);
        if (status == STATUS_OK)
            fprintf(options->out, "ready    local copy %s in table %s\n",
                    config->apply[i].entity_type, mapping_table(&service->mappings[i]));
    }
    if (status == STATUS_OK)
        status = store_order(store, service->mappings, config->apply_count, NULL, err);
    if (status == STATUS_OK)
        fprintf(options->out, "ready    tables of the applying side, copy id %s\n", meta.copy_id);
    if (status == STATUS_OK && new_copy)
        init_tell_new_copy(config, meta.copy_id, options->out);
    ops->close(store);
    return status;
}

/* Another name over the same outbox would be another origin: its events would be taken for a
 * stranger's. Where there is no outbox yet, or it cannot be read, what follows says so. */
static enum status init_check_service(const struct service *service, struct error *err)
{
    struct error ignored = ERROR_INIT;
    struct outbox *outbox = NULL;
    struct lease lease = {0};
    const struct config *config = service->config;
    if (config->publish_count == 0 ||
        service_open_outbox(service, true, &outbox, &ignored) != STATUS_OK)
        return STATUS_OK;
    enum status status = outbox->ops->read_lease(outbox, &lease, &ignored);
    outbox->ops->close(outbox);
    if (status != STATUS_OK || strcmp(lease.origin, config->service) == 0)
        return STATUS_OK;
    return error_set(error_config(err), STATUS_FATAL,
                     "the outbox of this database belongs to service %s, not %s: correct "
                     "`service:`, or `database:`",
                     lease.origin, config->service);
}

enum {
    INIT_PRINT_SQL,
    INIT_PRINT_ROLES,
    INIT_EXISTING_ROWS,
    INIT_NO_EXISTING_ROWS,
    INIT_REPUBLISH,
    INIT_NEW_INCARNATION,
    INIT_NEW_COPY,
    INIT_RESTORED
};

static const struct command_flag init_flags[] = {
    [INIT_PRINT_SQL] = {"print-sql", NULL, "only print the SQL statements, with roles and grants"},
    [INIT_PRINT_ROLES] = {"print-roles", NULL,
                          "only print the SQL of roles and grants, for an administrator"},
    [INIT_EXISTING_ROWS] = {"existing-rows", NULL,
                            "publish existing rows also of types that are applied here"},
    [INIT_NO_EXISTING_ROWS] = {"no-existing-rows", NULL, "do not publish existing rows"},
    [INIT_REPUBLISH] = {"republish", "TYPE",
                        "publish this type's existing rows once more, to all copies"},
    [INIT_NEW_INCARNATION] = {"new-incarnation", NULL,
                              "after a restore or a clone: start a new history"},
    [INIT_NEW_COPY] = {"new-copy", NULL,
                       "this database is a clone: give its copy an id of its own"},
    [INIT_RESTORED] = {"restored", NULL,
                       "this database was restored: its copy goes on from where it was"},
};

static enum status init_do(const struct command_line *line, const struct service *service,
                           const struct init_options *options, struct error *err)
{
    bool new_copy = line->flags[INIT_NEW_COPY] != NULL || line->flags[INIT_RESTORED] != NULL;
    enum status status = STATUS_OK;
    if (line->flags[INIT_PRINT_ROLES] != NULL)
        return init_print_roles(service, stdout, err);
    if (!options->print_sql)
        status = init_check_service(service, err);
    if (status == STATUS_OK)
        status = init_copy(service, options, new_copy, err);
    if (status == STATUS_OK)
        status = init_service(
            service->config, (const struct entity_schema *const *)service->published, options, err);
    if (status == STATUS_OK && options->print_sql)
        status = init_print_copy(service, stdout, err);
    return status;
}

#define INIT_CHANGES                                                                               \
    (1U << INIT_EXISTING_ROWS | 1U << INIT_REPUBLISH | 1U << INIT_NEW_INCARNATION |                \
     1U << INIT_NEW_COPY | 1U << INIT_RESTORED)

/* Whoever gives both would take what is only printed for done. */
static bool init_flags_agree(const struct command_line *line)
{
    static const struct {
        int flag;
        const char *what;
        unsigned others; /* that do not go with it */
    } rules[] = {
        {INIT_PRINT_SQL, "only prints", INIT_CHANGES},
        {INIT_PRINT_ROLES, "only prints roles", INIT_CHANGES | 1U << INIT_PRINT_SQL},
        {INIT_REPUBLISH, "publishes existing rows", 1U << INIT_NO_EXISTING_ROWS},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        for (size_t j = 0; j < sizeof init_flags / sizeof *init_flags; j++) {
            if (line->flags[rules[i].flag] == NULL || line->flags[j] == NULL ||
                (rules[i].others & 1U << j) == 0)
                continue;
            fprintf(stderr,
                    "keepstep init: --%s %s, so --%s does not go with it: give one of them\n",
                    init_flags[rules[i].flag].name, rules[i].what, init_flags[j].name);
            return false;
        }
    }
    return true;
}

static int init_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (!init_flags_agree(&line))
        return EX_USAGE;
    command_needs_owner();
    const struct init_options options = {
        .print_sql = line.flags[INIT_PRINT_SQL] != NULL,
        .existing_rows = line.flags[INIT_EXISTING_ROWS] != NULL,
        .no_existing_rows = line.flags[INIT_NO_EXISTING_ROWS] != NULL,
        .new_incarnation = line.flags[INIT_NEW_INCARNATION] != NULL,
        .republish = line.flags[INIT_REPUBLISH],
        .out = stdout};
    struct error err = ERROR_INIT;
    struct service service;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = init_do(&line, &service, &options, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    service_close(&service);
    return code;
}

const struct command command_init = {
    .name = "init",
    .arguments = "",
    .summary = "Prepare a service's database: outbox, triggers, copy tables, existing rows.",
    .examples = "  keepstep init -c shop.yaml\n  keepstep init -c shop.yaml --print-sql\n"
                "  keepstep init -c shop.yaml --print-roles\n"
                "  keepstep init -c shop.yaml --republish order\n"
                "  keepstep init -c shop.yaml --restored --new-incarnation\n",
    COMMAND_FLAGS(init_flags),
    .without_json = true,
    .run = init_run,
};
