/* `keepstep repair`: gives rows of a copy the values that another copy, or the publisher, has; or
 * publishes the publisher's rows anew, for all copies. */
#include "common/clock.h"
#include "operate/compare/log_mentions.h"
#include "operate/compare/role.h"
#include "operate/control.h"
#include "operate/repair/publish.h"
#include "operate/repair/report.h"
#include "operate/verify/desks.h"
#include "operate/verify/verdict.h"
#include "producer/registry.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define REPAIR_OUTPUT_MAX  ((size_t)256 * 1024 * 1024)
#define REPAIR_KEY_MAX     ((size_t)1024 * 1024)
#define REPAIR_PROGRESS_US 500000

enum repair_flag {
    REPAIR_FROM,
    REPAIR_AT,
    REPAIR_KEY,
    REPAIR_DRY_RUN,
    REPAIR_PUBLISH,
    REPAIR_WITH
};

static const struct command_flag repair_flags[] = {
    [REPAIR_FROM] = {"from", "SERVICE|FILE",
                     "whose rows are right: a service, whose sidecar is asked for them, or its "
                     "configuration, whose database is opened from here"},
    [REPAIR_AT] = {"at", "SERVICE", "whose copy is repaired; it must be this service's"},
    [REPAIR_KEY] = {"key", "KEY", "only this entity; default: all that differ"},
    [REPAIR_DRY_RUN] = {"dry-run", NULL, "only say what would be done"},
    [REPAIR_PUBLISH] = {"publish", NULL,
                        "this service's own rows are right, and the log is not: publish them anew"},
    [REPAIR_WITH] = {"with", "FILE",
                     "with --publish: configuration of the service whose copy shows what differs"},
};

struct repairing {
    const struct command_line *line;
    const char *entity_type;
    const char *files[2];       /* configurations; NULL: that of --config */
    size_t count;               /* 1: there is no copy to compare */
    size_t own;                 /* the number of --config's service */
    struct service services[2]; /* the source, the copy */
    struct role roles[2];       /* parallel */
    struct participant_options options[2];
    struct participant *participants[2];
    struct mention_log *log;
    struct control control;            /* where the source is asked: who there is */
    struct asker *asker;               /* NULL: nobody is asked */
    struct repair_publisher publisher; /* `origin` NULL: nothing is published */
    struct arena key;
    int64_t shown_us;
};

static void repair_progress(void *context, const struct participant *participant, uint64_t rows)
{
    struct repairing *repairing = context;
    int64_t now_us = clock_monotonic_us();
    if (now_us - repairing->shown_us < REPAIR_PROGRESS_US)
        return;
    repairing->shown_us = now_us;
    fprintf(stderr, "\r\033[K%s at %s: %llu rows", repairing->entity_type, participant->name,
            (unsigned long long)rows);
    (void)fflush(stderr);
}

/* Whose rows are published anew: all that others know of the type comes from there. */
static enum status repairing_check_publisher(const struct repairing *repairing, struct error *err)
{
    const char *service = repairing->services[0].config->service;
    const char *entity_type = repairing->entity_type;
    if (!repairing->roles[0].publishes)
        return error_set(error_config(err), STATUS_FATAL, "%s does not publish %s", service,
                         entity_type);
    if (repairing->roles[0].applies)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s applies %s too, as others publish it: its rows would count as its own "
                         "later changes and hide theirs, so that the copies end different; repair "
                         "each copy by --from",
                         service, entity_type);
    if (repairing->roles[0].entry->table == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "publish.%s names no table: write its events with `keepstep publish`",
                         entity_type);
    if (repairing->count > 1 && repairing->roles[1].publishes)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s publishes %s too: whose rows are right is not known; repair each copy "
                         "by --from",
                         repairing->services[1].config->service, entity_type);
    return STATUS_OK;
}

/* @return whether the source is a service whose sidecar is asked for its rows. */
static bool repairing_asks(const struct repairing *repairing)
{
    const char *from = repairing->line->flags[REPAIR_FROM];
    return from != NULL && access(from, F_OK) != 0;
}

static enum status repairing_check_copy(const struct repairing *repairing, struct error *err)
{
    const struct service *services = repairing->services;
    const char *entity_type = repairing->entity_type;
    if (!repairing->roles[1].applies)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s does not apply %s: what its own service writes is not repaired from "
                         "elsewhere",
                         services[1].config->service, entity_type);
    if (!repairing_asks(repairing) &&
        (repairing->roles[0].entry == NULL ||
         (!repairing->roles[0].applies && repairing->roles[0].entry->table == NULL)))
        return error_set(error_config(err), STATUS_FATAL, "%s has no rows of %s",
                         services[0].config->service, entity_type);
    return STATUS_OK;
}

/* A copy is repaired behind the fences of its own database, and by its agent's role. */
static enum status repairing_check_place(const struct repairing *repairing, struct error *err)
{
    const char *own = repairing->services[repairing->own].config->service;
    const char *at = repairing->line->flags[REPAIR_AT];
    const char *from = repairing->line->flags[REPAIR_FROM];
    if (at != NULL && strcmp(at, own) != 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "the rows of %s are repaired where its database is: run keepstep repair "
                         "%s --from %s there, with the configuration of %s",
                         at, repairing->entity_type, from == NULL ? own : from, at);
    if (from == NULL && repairing->line->flags[REPAIR_PUBLISH] == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "--from is missing: say whose rows of %s are right",
                         repairing->entity_type);
    if (repairing_asks(repairing) && strcmp(from, own) == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "--from %s: that is the service whose copy is repaired", own);
    return STATUS_OK;
}

static enum status repairing_open_services(struct repairing *repairing, struct error *err)
{
    bool asks = repairing_asks(repairing);
    enum status status = service_open(repairing->line, &repairing->services[repairing->own], err);
    if (status == STATUS_OK)
        status = repairing_check_place(repairing, err);
    for (size_t i = 0; status == STATUS_OK && i < repairing->count; i++) {
        if (i == 0 && asks)
            continue;
        if (i != repairing->own)
            status = service_open_file(repairing->files[i], &repairing->services[i], err);
        if (status == STATUS_OK)
            (void)role_find(&repairing->services[i], repairing->entity_type, &repairing->roles[i]);
    }
    if (status == STATUS_OK && repairing->count > 1 && !asks)
        status = role_check_services(repairing->services[0].config, repairing->services[1].config,
                                     err);
    if (status == STATUS_OK && repairing->line->flags[REPAIR_PUBLISH] != NULL)
        status = repairing_check_publisher(repairing, err);
    if (status == STATUS_OK && repairing->count > 1)
        status = repairing_check_copy(repairing, err);
    return status;
}

static enum status repairing_open_asked(struct repairing *repairing, struct error *err)
{
    const struct service *own = &repairing->services[repairing->own];
    const struct asker_options options = {.config = own->config, .stop = &command_stop};
    struct verify_desks desks = {.service = own, .members = &repairing->control.members};
    enum status status = control_open(own->config, &command_stop, &repairing->control, err);
    if (status == STATUS_OK)
        status = asker_open(&options, &repairing->asker, err);
    desks.asker = repairing->asker;
    return status == STATUS_OK ? verify_desk_new(&desks, repairing->entity_type,
                                                 repairing->line->flags[REPAIR_FROM],
                                                 &repairing->participants[0], err)
                               : status;
}

static enum status repairing_open_publisher(struct repairing *repairing, struct error *err)
{
    const struct config *config = repairing->services[0].config;
    const struct origin_ops *ops = origin_find(config->database);
    repairing->publisher.table = (struct origin_table){.entry = repairing->roles[0].entry,
                                                       .schema = repairing->roles[0].schema};
    return ops == NULL ? service_refuse_scheme(err)
                       : ops->open(config, ORIGIN_WRITE, &repairing->publisher.origin, err);
}

static enum status repairing_open(struct repairing *repairing, struct error *err)
{
    enum status status = repairing_open_services(repairing, err);
    const struct service *own = &repairing->services[repairing->own];
    const struct role *role = &repairing->roles[repairing->own];
    bool asks = repairing_asks(repairing);
    if (status == STATUS_OK && asks)
        status = repairing_open_asked(repairing, err);
    for (size_t i = asks; status == STATUS_OK && i < repairing->count; i++) {
        repairing->options[i] = (struct participant_options){
            .service = &repairing->services[i],
            .entity_type = repairing->entity_type,
            .open_entities_max = own->config->limits.open_entities};
        status = role_participant_new(&repairing->roles[i], &repairing->options[i],
                                      &repairing->participants[i], err);
    }
    if (status == STATUS_OK && repairing->count > 1)
        status = log_mentions_new(own->config, role->entry, role->schema, &repairing->log, err);
    if (status == STATUS_OK && repairing->line->flags[REPAIR_PUBLISH] != NULL)
        status = repairing_open_publisher(repairing, err);
    return status;
}

static void repairing_close(struct repairing *repairing)
{
    for (int i = 0; i < 2; i++) {
        if (repairing->participants[i] != NULL)
            repairing->participants[i]->ops->free(repairing->participants[i]);
    }
    log_mentions_free(repairing->log);
    asker_close(repairing->asker);
    control_close(&repairing->control);
    if (repairing->publisher.origin != NULL)
        repairing->publisher.origin->ops->close(repairing->publisher.origin);
    for (int i = 0; i < 2; i++) {
        if (repairing->services[i].config != NULL)
            service_close(&repairing->services[i]);
    }
    arena_done(&repairing->key);
}

/* The key as it was typed, made canonical. */
static enum status repairing_key(struct repairing *repairing, struct slice *ret_key,
                                 struct error *err)
{
    const char *text = repairing->line->flags[REPAIR_KEY];
    *ret_key = (struct slice){0};
    if (text == NULL)
        return STATUS_OK;
    enum status status = canonical_key(repairing->roles[repairing->own].schema, slice_of(text),
                                       &repairing->key, ret_key, err);
    if (status == STATUS_OK)
        return STATUS_OK;
    error_prefix(err, "--key");
    err->exit_code = EX_USAGE;
    return err->status = STATUS_FATAL;
}

static enum status repairing_print(const struct repairing *repairing, const struct repair *repair,
                                   int64_t begun_us, struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer out;
    buffer_init(&out, REPAIR_OUTPUT_MAX);
    if (repairing->line->json)
        repair_report_json(repair, begun_us, &out);
    else
        repair_report_text(repair, &out);
    if (out.failed)
        status = error_set(err, STATUS_FATAL, "no memory for the output");
    else
        command_print(&out, repairing->line->json);
    buffer_done(&out);
    return status;
}

/* Nothing depends on it that the rows are counted. A service without a control topic counts none.
 */
static void repairing_count(struct repairing *repairing, int64_t rows)
{
    const struct service *own = &repairing->services[repairing->own];
    const struct participant *copy = repairing->participants[1];
    struct control *control = &repairing->control;
    const struct verdict_repair repair = {
        .type = {repairing->entity_type, repairing->roles[repairing->own].entry->topic},
        .service = own->config->service,
        .copy = repairing->publisher.origin != NULL ? MEMBER_NONE : copy->copy,
        .rows = rows};
    struct error err = ERROR_INIT;
    enum status status = STATUS_OK;
    if (control->topic == NULL)
        status = control_open(own->config, &command_stop, control, &err);
    if (status == STATUS_OK)
        status = verdict_write_repair(control->topic, &control->members, &repair, &err);
    if (status != STATUS_OK && status != STATUS_STOP && !atomic_load(&command_stop))
        command_say("keepstep: the repaired rows of %s are not counted: %s", repairing->entity_type,
                    err.text);
}

static enum status repairing_run(struct repairing *repairing, int *code, struct error *err)
{
    const struct service *service = &repairing->services[1];
    const struct command_line *line = repairing->line;
    bool shows = isatty(STDERR_FILENO) == 1;
    bool publishes = repairing->publisher.origin != NULL;
    struct repair_options options = {
        .source = repairing->participants[0],
        .copy = repairing->participants[1],
        .publisher = publishes ? &repairing->publisher : NULL,
        .service = service,
        .mapping = publishes
                       ? NULL
                       : &service->mappings[repairing->roles[1].entry - service->config->apply],
        .log = repairing->log,
        .limits = &repairing->services[repairing->own].config->limits,
        .dry_run = line->flags[REPAIR_DRY_RUN] != NULL,
        .progress = shows ? repair_progress : NULL,
        .context = repairing};
    struct repair repair;
    int64_t begun_us = clock_wall_us();
    enum status status = repairing_key(repairing, &options.key, err);
    if (status != STATUS_OK)
        return status;
    status = repair_run(&options, &repair, err);
    if (shows)
        fprintf(stderr, "\r\033[K");
    struct error print = ERROR_INIT; /* what was done is said, also where it ended early */
    enum status printed = STATUS_OK;
    if (status == STATUS_OK || repair.count > 0)
        printed = repairing_print(repairing, &repair, begun_us, &print);
    if (status == STATUS_OK && printed != STATUS_OK) {
        *err = print;
        status = printed;
    }
    *code = repair_exit_code(&repair);
    int64_t rows = repair_rows(&repair);
    repair_done(&repair);
    if (rows > 0)
        repairing_count(repairing, rows);
    return status;
}

/* @return what is wrong with the flags; NULL: nothing. */
static const char *repair_misuse(const struct command_line *line)
{
    const char *const *flags = line->flags;
    if (line->argument_count != 1)
        return "wants one TYPE";
    if (flags[REPAIR_PUBLISH] == NULL)
        return flags[REPAIR_WITH] != NULL ? "--with is for --publish"
               : flags[REPAIR_FROM] == NULL && flags[REPAIR_AT] == NULL
                   ? "wants --from, or --publish"
                   : NULL;
    if (flags[REPAIR_FROM] != NULL)
        return "--publish takes the rows of this service, so there is no --from";
    return flags[REPAIR_WITH] == NULL &&
                   (flags[REPAIR_KEY] == NULL || flags[REPAIR_DRY_RUN] != NULL)
               ? "--publish wants --with FILE, to see what differs, or --key alone"
               : NULL;
}

static int repair_command(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct error err = ERROR_INIT;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const char *misuse = repair_misuse(&line);
    if (misuse != NULL) {
        fprintf(stderr, "keepstep repair: %s; see keepstep repair --help\n", misuse);
        return EX_USAGE;
    }
    bool publishes = line.flags[REPAIR_PUBLISH] != NULL;
    struct repairing repairing = {.line = &line,
                                  .entity_type = line.arguments[0],
                                  .files = {line.flags[REPAIR_FROM], line.flags[REPAIR_WITH]},
                                  .count = publishes && line.flags[REPAIR_WITH] == NULL ? 1 : 2,
                                  .own = publishes ? 0 : 1};
    arena_init(&repairing.key, REPAIR_KEY_MAX);
    command_catch_signals();
    enum status status = repairing_open(&repairing, &err);
    if (status == STATUS_OK)
        status = repairing_run(&repairing, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    repairing_close(&repairing);
    return code;
}

const struct command command_repair = {
    .name = "repair",
    .arguments = "TYPE",
    .summary = "Repair rows of copies that differ, while services and agents run.",
    .examples = "  keepstep repair order -c shipping.yaml --from shop --dry-run\n"
                "  keepstep repair order -c shipping.yaml --from shop.yaml\n"
                "  keepstep repair order -c shipping.yaml --from shop.yaml --key '{\"id\":42}'\n"
                "  keepstep repair order -c shop.yaml --publish --with billing.yaml --dry-run\n"
                "  keepstep repair order -c shop.yaml --publish --key '{\"id\":42}'\n",
    COMMAND_FLAGS(repair_flags),
    .run = repair_command,
};
