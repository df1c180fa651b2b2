/* `keepstep verify`: are the copies equal? */
#include "common/clock.h"
#include "operate/control.h"
#include "operate/verify/report.h"
#include "operate/verify/verdict.h"

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

/* What was typed, and whose databases are opened here. */
struct verifying {
    const struct command_line *line;
    struct service services[VERIFY_SERVICES_MAX]; /* the first is that of --config */
    size_t service_count;
    bool shows;             /* the progress */
    struct control control; /* where the verdicts are kept */
    bool opened;            /* it was tried in this round */
};

struct verify_progress {
    const char *entity_type;
    int64_t shown_us; /* when it was shown last */
};

static void verify_progress(void *context, const struct participant *participant, uint64_t rows)
{
    struct verify_progress *progress = context;
    int64_t now_us = clock_monotonic_us();
    struct buffer text;
    if (now_us - progress->shown_us < VERIFY_PROGRESS_US)
        return;
    progress->shown_us = now_us;
    buffer_init(&text, VERIFY_OUTPUT_MAX);
    report_number(&text, rows);
    fprintf(stderr, "\r\033[K%s at %s: %s rows", progress->entity_type, participant->name,
            buffer_text(&text));
    (void)fflush(stderr);
    buffer_done(&text);
}

static enum status verify_print(const struct report *report, bool json, struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer out;
    buffer_init(&out, VERIFY_OUTPUT_MAX);
    (json ? report_json : report_text)(report, &out);
    if (out.failed)
        status = error_set(err, STATUS_FATAL, "no memory for the output");
    else
        fputs(buffer_text(&out), stdout);
    (void)fflush(stdout);
    buffer_done(&out);
    return status;
}

/* Nothing depends on it that the verdict is kept. A service without a control topic keeps none. */
static void verifying_keep(struct verifying *verifying, const struct verify *verify,
                           const struct verify_result *result)
{
    struct error err = ERROR_INIT;
    enum status status = STATUS_OK;
    if (!verifying->opened)
        status = control_open(verify->config, &command_stop, &verifying->control, &err);
    if (!verifying->opened && status != STATUS_OK)
        control_close(&verifying->control);
    verifying->opened = true;
    if (status == STATUS_OK && verifying->control.topic != NULL)
        status = verdict_write(verifying->control.topic, &verifying->control.members, verify,
                               result, &err);
    if (status != STATUS_OK && status != STATUS_STOP && !atomic_load(&command_stop))
        command_say("keepstep: the verdict on %s is not kept for the others: %s",
                    verify->entity_type, err.text);
}

static enum status verifying_compare(struct verifying *verifying, struct verify *verify, int *code,
                                     struct error *err)
{
    const struct command_line *line = verifying->line;
    struct verify_progress progress = {.entity_type = verify->entity_type};
    const struct verify_options options = {.from = line->flags[VERIFY_FROM],
                                           .stop = &command_stop,
                                           .with_rows = line->flags[VERIFY_ROWS] != NULL,
                                           .progress = verifying->shows ? verify_progress : NULL,
                                           .context = &progress};
    struct verify_result result;
    enum status status = verify_compare(verify, &options, &result, err);
    if (verifying->shows)
        fprintf(stderr, "\r\033[K");
    if (status == STATUS_OK && !result.stopped) {
        const struct report report = {verify, &result, options.with_rows};
        int found = comparison_exit_code(&result.comparison);
        *code = *code == EX_DATAERR || found == EX_OK ? *code : found;
        status = verify_print(&report, line->json, err);
        verifying_keep(verifying, verify, &result);
    }
    verify_result_done(&result);
    return status;
}

static enum status verifying_type(struct verifying *verifying, const char *entity_type, int *code,
                                  struct error *err)
{
    struct verify verify;
    enum status status = STATUS_OK;
    verify_init(&verify, verifying->services[0].config, entity_type);
    for (size_t i = 0; status == STATUS_OK && i < verifying->service_count; i++)
        status = verify_add_service(&verify, &verifying->services[i], err);
    if (status == STATUS_OK)
        status = verifying_compare(verifying, &verify, code, err);
    verify_done(&verify);
    return status;
}

/* @return the entries of a service, published and applied, as one list. */
static const struct config_entry *verifying_entry(const struct config *config, size_t index)
{
    return index < config->publish_count ? &config->publish[index]
                                         : &config->apply[index - config->publish_count];
}

static size_t verifying_entry_count(const struct config *config)
{
    return config->publish_count + config->apply_count;
}

/* @return whether an entry is the first one of its type, and two services or more have rows of it.
 */
static bool verifying_is_shared(const struct verifying *verifying, size_t service, size_t index)
{
    const char *entity_type =
        verifying_entry(verifying->services[service].config, index)->entity_type;
    size_t count = 0;
    for (size_t s = 0; s < verifying->service_count; s++) {
        const struct config *config = verifying->services[s].config;
        struct role role;
        count += role_find(&verifying->services[s], entity_type, &role);
        for (size_t i = 0; s <= service && i < verifying_entry_count(config); i++) {
            if ((s < service || i < index) &&
                strcmp(verifying_entry(config, i)->entity_type, entity_type) == 0)
                return false;
        }
    }
    return count >= 2;
}

static enum status verifying_all(struct verifying *verifying, int *code, struct error *err)
{
    enum status status = STATUS_OK;
    size_t compared = 0;
    for (size_t s = 0; s < verifying->service_count; s++) {
        const struct config *config = verifying->services[s].config;
        for (size_t i = 0; status == STATUS_OK && i < verifying_entry_count(config); i++) {
            if (atomic_load(&command_stop))
                return STATUS_OK;
            if (!verifying_is_shared(verifying, s, i))
                continue;
            compared++;
            status = verifying_type(verifying, verifying_entry(config, i)->entity_type, code, err);
        }
    }
    if (status == STATUS_OK && compared == 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "no two of these services have rows of one entity type: name others by "
                         "--with");
    return status;
}

/* A comparison that is stopped says nothing: `code` stays. */
static enum status verifying_once(struct verifying *verifying, int *code, struct error *err)
{
    const struct command_line *line = verifying->line;
    enum status status = STATUS_OK;
    int found = EX_OK;
    if (line->argument_count == 0)
        status = verifying_all(verifying, &found, err);
    for (int i = 0; status == STATUS_OK && !atomic_load(&command_stop) && i < line->argument_count;
         i++)
        status = verifying_type(verifying, line->arguments[i], &found, err);
    if (!atomic_load(&command_stop))
        *code = found;
    if (verifying->opened)
        control_close(&verifying->control);
    verifying->opened = false;
    return status;
}

static enum status verifying_check_service(const struct verifying *verifying, size_t index,
                                           struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < index; i++)
        status = role_check_services(verifying->services[i].config,
                                     verifying->services[index].config, err);
    return status;
}

static enum status verifying_open(struct verifying *verifying, struct error *err)
{
    const struct command_line *line = verifying->line;
    enum status status = service_open(line, &verifying->services[0], err);
    verifying->service_count = 1;
    for (size_t i = 0; status == STATUS_OK && i < line->repeated_count; i++) {
        struct service *service = &verifying->services[verifying->service_count++];
        status = service_open_file(line->repeated[i], service, err);
        if (status == STATUS_OK)
            status = verifying_check_service(verifying, verifying->service_count - 1, err);
    }
    if (status != STATUS_OK)
        return status;
    const char *from = line->flags[VERIFY_FROM];
    bool is_known = from == NULL;
    for (size_t i = 0; i < verifying->service_count; i++)
        is_known = is_known || strcmp(verifying->services[i].config->service, from) == 0;
    if (!is_known)
        return error_set(error_config(err), STATUS_FATAL,
                         "--from %s: none of these services has that name", from);
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
static int verifying_repeat(struct verifying *verifying, long every_s)
{
    int code = EX_TEMPFAIL; /* nothing was compared yet */
    command_catch_signals();
    for (;;) {
        struct error err = ERROR_INIT;
        if (verifying_once(verifying, &code, &err) != STATUS_OK && !atomic_load(&command_stop)) {
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

static int verify_command(const struct command *command, int argc, char **argv)
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
    struct verifying verifying = {.line = &line, .shows = isatty(STDERR_FILENO) == 1};
    enum status status = verifying_open(&verifying, &err);
    if (status == STATUS_OK && every_s > 0)
        code = verifying_repeat(&verifying, every_s);
    else if (status == STATUS_OK)
        status = verifying_once(&verifying, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    for (size_t i = 0; i < verifying.service_count; i++)
        service_close(&verifying.services[i]);
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
    .run = verify_command,
};
