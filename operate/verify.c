/* `keepstep verify`: are the copies equal? */
#include "common/clock.h"
#include "operate/compare/copy.h"
#include "operate/compare/log_mentions.h"
#include "operate/compare/report.h"
#include "operate/compare/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define VERIFY_OUTPUT_MAX   ((size_t)256 * 1024 * 1024)
#define VERIFY_PROGRESS_US  500000
#define VERIFY_EVERY_MAX_S  (365 * 86400)
#define VERIFY_SERVICES_MAX COMPARE_PARTICIPANTS_MAX

enum verify_flag { VERIFY_WITH, VERIFY_FROM, VERIFY_ROWS, VERIFY_EVERY };

static const struct command_flag verify_flags[] = {
    [VERIFY_WITH] = {"with", "FILE", "another service's configuration; may be given several times"},
    [VERIFY_FROM] = {"from", "SERVICE",
                     "whom the others are compared with; default: the only publisher, else the "
                     "first by name"},
    [VERIFY_ROWS] = {"rows", NULL, "show the rows that differ"},
    [VERIFY_EVERY] = {"every", "SECONDS", "go on, and compare again that often"},
};

struct verify {
    const struct command_line *line;
    struct service services[VERIFY_SERVICES_MAX]; /* the first is that of --config */
    size_t service_count;
    const char *from; /* NULL: not given */
    int64_t shown_us; /* when the progress was shown last */
    bool shows;
};

/* One type's comparison under way. */
struct verify_type {
    struct verify *verify;
    const char *entity_type;
    struct participant_options options[VERIFY_SERVICES_MAX];
    struct participant *participants[VERIFY_SERVICES_MAX]; /* the reference first */
    struct role roles[VERIFY_SERVICES_MAX];                /* parallel to the participants */
    size_t count;
    struct mention_log *log;
};

/* Which service is the reference; its number. */
static size_t verify_reference(const struct verify *verify, const char *entity_type)
{
    size_t first = verify->service_count;
    size_t publisher = verify->service_count;
    size_t publishers = 0;
    for (size_t i = 0; i < verify->service_count; i++) {
        struct role role;
        const char *name = verify->services[i].config->service;
        if (!role_find(&verify->services[i], entity_type, &role))
            continue;
        if (verify->from != NULL && strcmp(verify->from, name) == 0)
            return i;
        if (first == verify->service_count ||
            strcmp(name, verify->services[first].config->service) < 0)
            first = i;
        publishers += role.publishes;
        publisher = role.publishes ? i : publisher;
    }
    return publishers == 1 ? publisher : first;
}

static enum status verify_add(struct verify_type *type, size_t index, struct error *err)
{
    struct role *role = &type->roles[type->count];
    struct participant_options *options = &type->options[type->count];
    const struct service *asker = &type->verify->services[0];
    if (!role_find(&type->verify->services[index], type->entity_type, role))
        return STATUS_OK;
    *options = (struct participant_options){
        .service = &type->verify->services[index],
        .entity_type = type->entity_type,
        .open_entities_max = asker->config->limits.open_entities};
    enum status status = role_participant_new(role, options, &type->participants[type->count], err);
    type->count += status == STATUS_OK;
    return status;
}

static enum status verify_begin(struct verify *verify, const char *entity_type,
                                struct verify_type *ret_type, struct error *err)
{
    *ret_type = (struct verify_type){.verify = verify, .entity_type = entity_type};
    size_t reference = verify_reference(verify, entity_type);
    enum status status = STATUS_OK;
    if (reference < verify->service_count)
        status = verify_add(ret_type, reference, err);
    for (size_t i = 0; status == STATUS_OK && i < verify->service_count; i++) {
        if (i != reference)
            status = verify_add(ret_type, i, err);
    }
    if (status == STATUS_OK && ret_type->count < 2)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: %s of these services has rows of it: name another one by --with",
                         entity_type, ret_type->count == 0 ? "none" : "only one");
    if (status == STATUS_OK)
        status = log_mentions_new(verify->services[0].config, ret_type->roles[0].entry,
                                  ret_type->roles[0].schema, &ret_type->log, err);
    return status;
}

static void verify_end(struct verify_type *type)
{
    for (size_t i = 0; i < type->count; i++)
        type->participants[i]->ops->free(type->participants[i]);
    log_mentions_free(type->log);
}

static void verify_wait(int round)
{
    static const int64_t wait_us[COMPARE_ROUNDS_MAX] = {100000, 500000, 1500000};
    clock_sleep_us(wait_us[round]);
}

static void verify_progress(void *context, const struct participant *participant, uint64_t rows)
{
    struct verify_type *type = context;
    int64_t now_us = clock_monotonic_us();
    struct buffer text;
    if (now_us - type->verify->shown_us < VERIFY_PROGRESS_US)
        return;
    type->verify->shown_us = now_us;
    buffer_init(&text, VERIFY_OUTPUT_MAX);
    report_number(&text, rows);
    fprintf(stderr, "\r\033[K%s at %s: %s rows", type->entity_type, participant->name,
            buffer_text(&text));
    (void)fflush(stderr);
    buffer_done(&text);
}

static enum status verify_compare(struct verify_type *type, int *code, struct error *err)
{
    const struct config_limits *limits = &type->verify->services[0].config->limits;
    const struct command_line *line = type->verify->line;
    const struct compare_options options = {.participants = type->participants,
                                            .count = type->count,
                                            .log = type->log,
                                            .open_entities_max = limits->open_entities,
                                            .behind_records_max = limits->behind_records,
                                            .with_rows = line->flags[VERIFY_ROWS] != NULL,
                                            .stop = &command_stop,
                                            .wait = verify_wait,
                                            .progress = type->verify->shows ? verify_progress
                                                                            : NULL,
                                            .context = type};
    const char *paths[VERIFY_SERVICES_MAX];
    bool applies[VERIFY_SERVICES_MAX];
    struct comparison comparison;
    struct buffer out;
    struct report report = {.paths = paths,
                            .applies = applies,
                            .entity_type = type->entity_type,
                            .participants = (const struct participant *const *)type->participants,
                            .reference_publishes = type->roles[0].publishes,
                            .comparison = &comparison,
                            .with_rows = options.with_rows,
                            .at_us = clock_wall_us()};
    for (size_t i = 0; i < type->count; i++) {
        paths[i] = type->options[i].service->config->path;
        applies[i] = type->roles[i].applies;
    }
    int64_t begun_us = clock_monotonic_us();
    enum status status = compare_copies(&options, &comparison, err);
    report.seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    if (type->verify->shows)
        fprintf(stderr, "\r\033[K");
    buffer_init(&out, VERIFY_OUTPUT_MAX);
    if (status == STATUS_OK && !atomic_load(&command_stop)) {
        (line->json ? report_json : report_text)(&report, &out);
        fputs(buffer_text(&out), stdout);
        (void)fflush(stdout);
        int found = comparison_exit_code(&comparison);
        *code = *code == EX_DATAERR || found == EX_OK ? *code : found;
    }
    if (out.failed && status == STATUS_OK)
        status = error_set(err, STATUS_FATAL, "no memory for the output");
    buffer_done(&out);
    comparison_done(&comparison);
    return status;
}

static enum status verify_type(struct verify *verify, const char *entity_type, int *code,
                               struct error *err)
{
    struct verify_type type;
    enum status status = verify_begin(verify, entity_type, &type, err);
    if (status == STATUS_OK)
        status = verify_compare(&type, code, err);
    verify_end(&type);
    return status;
}

/* @return the entries of a service, published and applied, as one list. */
static const struct config_entry *verify_entry(const struct config *config, size_t index)
{
    return index < config->publish_count ? &config->publish[index]
                                         : &config->apply[index - config->publish_count];
}

static size_t verify_entry_count(const struct config *config)
{
    return config->publish_count + config->apply_count;
}

/* @return whether an entry is the first one of its type, and two services or more have rows of it.
 */
static bool verify_is_shared(const struct verify *verify, size_t service, size_t index)
{
    const char *entity_type = verify_entry(verify->services[service].config, index)->entity_type;
    size_t count = 0;
    for (size_t s = 0; s < verify->service_count; s++) {
        const struct config *config = verify->services[s].config;
        struct role role;
        count += role_find(&verify->services[s], entity_type, &role);
        for (size_t i = 0; s <= service && i < verify_entry_count(config); i++) {
            if ((s < service || i < index) &&
                strcmp(verify_entry(config, i)->entity_type, entity_type) == 0)
                return false;
        }
    }
    return count >= 2;
}

static enum status verify_all(struct verify *verify, int *code, struct error *err)
{
    enum status status = STATUS_OK;
    size_t compared = 0;
    for (size_t s = 0; s < verify->service_count; s++) {
        const struct config *config = verify->services[s].config;
        for (size_t i = 0; status == STATUS_OK && i < verify_entry_count(config); i++) {
            if (atomic_load(&command_stop))
                return STATUS_OK;
            if (!verify_is_shared(verify, s, i))
                continue;
            compared++;
            status = verify_type(verify, verify_entry(config, i)->entity_type, code, err);
        }
    }
    if (status == STATUS_OK && compared == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "no two of these services have rows of one entity type: name others by "
                         "--with");
    return status;
}

/* A comparison that is stopped says nothing: `code` stays. */
static enum status verify_once(struct verify *verify, int *code, struct error *err)
{
    const struct command_line *line = verify->line;
    enum status status = STATUS_OK;
    int found = EX_OK;
    if (line->argument_count == 0)
        status = verify_all(verify, &found, err);
    for (int i = 0; status == STATUS_OK && !atomic_load(&command_stop) && i < line->argument_count;
         i++)
        status = verify_type(verify, line->arguments[i], &found, err);
    if (!atomic_load(&command_stop))
        *code = found;
    return status;
}

static enum status verify_check_service(const struct verify *verify, size_t index,
                                        struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < index; i++)
        status = role_check_services(verify->services[i].config, verify->services[index].config,
                                     err);
    return status;
}

static enum status verify_open(struct verify *verify, struct error *err)
{
    const struct command_line *line = verify->line;
    enum status status = service_open(line, &verify->services[0], err);
    verify->service_count = 1;
    for (size_t i = 0; status == STATUS_OK && i < line->repeated_count; i++) {
        struct service *service = &verify->services[verify->service_count++];
        status = service_open_file(line->repeated[i], service, err);
        if (status == STATUS_OK)
            status = verify_check_service(verify, verify->service_count - 1, err);
    }
    if (status != STATUS_OK)
        return status;
    verify->from = line->flags[VERIFY_FROM];
    bool is_known = verify->from == NULL;
    for (size_t i = 0; i < verify->service_count; i++)
        is_known = is_known || strcmp(verify->services[i].config->service, verify->from) == 0;
    if (!is_known)
        return error_set(error_config(err), STATUS_FATAL,
                         "--from %s: none of these services has that name", verify->from);
    return STATUS_OK;
}

/* @return the seconds of --every; 0: not given, -1: not a number. */
static long verify_every(const struct command_line *line)
{
    const char *text = line->flags[VERIFY_EVERY];
    char *end = NULL;
    if (text == NULL)
        return 0;
    errno = 0;
    long seconds = strtol(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' || seconds < 1 || seconds > VERIFY_EVERY_MAX_S
               ? -1
               : seconds;
}

static void verify_sleep(long seconds)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)seconds * 1000000;
    for (;;) {
        int64_t left_us = until_us - clock_monotonic_us();
        if (left_us <= 0 || atomic_load(&command_stop))
            return;
        clock_sleep_us(left_us < 1000000 ? left_us : 1000000);
    }
}

/* Compares again and again. An error, such as a broker that is away, is told and waited for. */
static int verify_repeat(struct verify *verify, long every_s)
{
    int code = EX_TEMPFAIL; /* nothing was compared yet */
    command_catch_signals();
    for (;;) {
        struct error err = ERROR_INIT;
        if (verify_once(verify, &code, &err) != STATUS_OK && !atomic_load(&command_stop)) {
            code = command_fail(&err);
            if (err.status != STATUS_RETRY)
                return code;
        }
        if (!atomic_load(&command_stop))
            verify_sleep(every_s);
        if (atomic_load(&command_stop))
            return code;
    }
}

static int verify_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct error err = ERROR_INIT;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    long every_s = verify_every(&line);
    if (line.repeated_count == 0 || every_s < 0) {
        fprintf(stderr, "keepstep verify: %s; see keepstep verify --help\n",
                every_s < 0 ? "--every wants a number of seconds from 1 on"
                            : "--with FILE names the configuration of another service");
        return EX_USAGE;
    }
    struct verify verify = {.line = &line, .shows = isatty(STDERR_FILENO) == 1};
    enum status status = verify_open(&verify, &err);
    if (status == STATUS_OK && every_s > 0)
        code = verify_repeat(&verify, every_s);
    else if (status == STATUS_OK)
        status = verify_once(&verify, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    for (size_t i = 0; i < verify.service_count; i++)
        service_close(&verify.services[i]);
    return code;
}

const struct command command_verify = {
    .name = "verify",
    .arguments = "[TYPE...]",
    .summary = "Compare copies of entity types, row by row, while services and agents run.",
    .examples = "  keepstep verify -c shop.yaml --with billing.yaml --with shipping.yaml\n"
                "  keepstep verify order --rows -c shop.yaml --with billing.yaml\n"
                "  keepstep verify --every 3600 --json -c shop.yaml --with billing.yaml\n",
    COMMAND_FLAGS(verify_flags),
    .repeated_flag = "with",
    .run = verify_run,
};
