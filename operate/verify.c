/* `keepstep verify`: are the copies equal? */
#include "common/clock.h"
#include "operate/control.h"
#include "operate/verify/desks.h"
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

enum verify_flag { VERIFY_WITH, VERIFY_OF, VERIFY_FROM, VERIFY_ROWS, VERIFY_EVERY };

static const struct command_flag verify_flags[] = {
    [VERIFY_WITH] = {"with", "FILE",
                     "another service's configuration: its database is opened from here; may be "
                     "given several times"},
    [VERIFY_OF] = {"of", "SERVICE,...",
                   "ask the sidecars of these services for their rows; default without --with: of "
                   "all services"},
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
    struct control control; /* who there is, and where the verdicts are kept */
    bool opened;            /* it was tried in this round */
    struct error unopened;  /* why that failed; its status OK: it did not */
    struct asker *asker;    /* NULL: nobody is asked in this round */
    uint64_t took_part;     /* of the services of --of, see verify_desks_note() */
    bool has_reference;     /* that of --from has rows of some type */
    struct buffer without;  /* the types of which it has none */
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
        command_print(&out, json);
    (void)fflush(stdout);
    buffer_done(&out);
    return status;
}

/* Opens the control topic once in a round. */
static enum status verifying_open_control(struct verifying *verifying, struct error *err)
{
    if (!verifying->opened) {
        verifying->unopened = (struct error)ERROR_INIT;
        if (control_open(verifying->services[0].config, &command_stop, &verifying->control,
                         &verifying->unopened) != STATUS_OK)
            control_close(&verifying->control);
    }
    verifying->opened = true;
    if (verifying->unopened.status != STATUS_OK)
        *err = verifying->unopened;
    return verifying->unopened.status;
}

/* Nothing depends on it that the verdict is kept. A service without a control topic keeps none. */
static void verifying_keep(struct verifying *verifying, const struct verify *verify,
                           const struct verify_result *result)
{
    struct error err = ERROR_INIT;
    enum status status = verifying_open_control(verifying, &err);
    if (status == STATUS_OK && verifying->control.topic != NULL)
        status = verdict_write(verifying->control.topic, &verifying->control.members, verify,
                               result, &err);
    if (status != STATUS_OK && status != STATUS_STOP && !atomic_load(&command_stop))
        command_say("keepstep: the verdict on %s is not kept for the others: %s",
                    verify->entity_type, err.text);
}

static bool verifying_asks(const struct verifying *verifying)
{
    return verifying->line->flags[VERIFY_OF] != NULL || verifying->line->repeated_count == 0;
}

static struct verify_desks verifying_desks(const struct verifying *verifying)
{
    return (struct verify_desks){.service = &verifying->services[0],
                                 .members = &verifying->control.members,
                                 .asker = verifying->asker,
                                 .of = verifying->line->flags[VERIFY_OF]};
}

static enum status verifying_open_asker(struct verifying *verifying, struct error *err)
{
    const struct asker_options options = {.config = verifying->services[0].config,
                                          .stop = &command_stop};
    if (!verifying_asks(verifying))
        return STATUS_OK;
    const struct verify_desks desks = verifying_desks(verifying);
    enum status status = verifying_open_control(verifying, err);
    if (status == STATUS_OK)
        status = verify_desks_check(&desks, err);
    return status == STATUS_OK ? asker_open(&options, &verifying->asker, err) : status;
}

static void verifying_end_round(struct verifying *verifying)
{
    asker_close(verifying->asker);
    verifying->asker = NULL;
    if (verifying->opened)
        control_close(&verifying->control);
    verifying->opened = false;
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

/* Adds everybody who has rows of the type. */
static enum status verifying_add(struct verifying *verifying, struct verify *verify,
                                 struct error *err)
{
    const struct verify_desks desks = verifying_desks(verifying);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < verifying->service_count; i++)
        status = verify_add_service(verify, &verifying->services[i], err);
    if (status == STATUS_OK && verifying->asker != NULL)
        status = verify_add_desks(verify, &desks, err);
    verify_desks_note(verify, desks.of, &verifying->took_part);
    return status;
}

/* A name that nobody has would be taken for none. */
static enum status verifying_check_reference(const struct verifying *verifying, const char *what,
                                             struct error *err)
{
    const char *from = verifying->line->flags[VERIFY_FROM];
    return from == NULL || verifying->has_reference
               ? STATUS_OK
               : error_set(error_config(err), STATUS_FATAL,
                           "--from %s: no service of that name has rows of %s", from, what);
}

static bool verifying_has_reference(const struct verifying *verifying, const struct verify *verify)
{
    const char *from = verifying->line->flags[VERIFY_FROM];
    for (size_t i = 0; from != NULL && i < verify->count; i++) {
        if (strcmp(verify->members[i].participant->name, from) == 0)
            return true;
    }
    return from == NULL;
}

static void verifying_note_without(struct verifying *verifying, const char *entity_type)
{
    buffer_append_format(&verifying->without, "%s%s", verifying->without.length == 0 ? "" : ", ",
                         entity_type);
}

/* @param ret_compared  counts it, where two services or more have rows of the type, and that of
 * --from. NULL: it is an error where they have not. */
static enum status verifying_type(struct verifying *verifying, const char *entity_type, int *code,
                                  size_t *ret_compared, struct error *err)
{
    struct verify verify;
    const char *of = verifying->line->flags[VERIFY_OF];
    verify_init(&verify, verifying->services[0].config, entity_type);
    if (ret_compared == NULL) {
        verifying->took_part = 0;
        verifying->has_reference = false;
    }
    enum status status = verifying_add(verifying, &verify, err);
    bool has_reference = verifying_has_reference(verifying, &verify);
    bool is_left = ret_compared != NULL && (verify.count < 2 || !has_reference);
    verifying->has_reference = verifying->has_reference || has_reference;
    if (verify.count >= 2 && is_left)
        verifying_note_without(verifying, entity_type);
    if (status == STATUS_OK && ret_compared == NULL)
        status = verify_desks_check_part(of, verifying->took_part, entity_type, err);
    if (status == STATUS_OK && ret_compared == NULL && verify.count >= 2)
        status = verifying_check_reference(verifying, entity_type, err);
    if (status == STATUS_OK && !is_left)
        status = verifying_compare(verifying, &verify, code, err);
    if (ret_compared != NULL)
        *ret_compared += !is_left;
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

/* @return whether no entry before this one is of its type. */
static bool verifying_is_first(const struct verifying *verifying, size_t service, size_t index)
{
    const char *entity_type =
        verifying_entry(verifying->services[service].config, index)->entity_type;
    for (size_t s = 0; s <= service; s++) {
        const struct config *config = verifying->services[s].config;
        for (size_t i = 0; i < verifying_entry_count(config); i++) {
            if ((s < service || i < index) &&
                strcmp(verifying_entry(config, i)->entity_type, entity_type) == 0)
                return false;
        }
    }
    return true;
}

static enum status verifying_check_all(const struct verifying *verifying, size_t compared,
                                       struct error *err)
{
    const char *from = verifying->line->flags[VERIFY_FROM];
    enum status status = verifying_check_reference(verifying, "any of these types", err);
    if (status == STATUS_OK && compared == 0)
        status = error_set(error_config(err), STATUS_FATAL,
                           "no two of these services have rows of one entity type%s%s: name others "
                           "by --with",
                           from == NULL ? "" : ", one of them ", from == NULL ? "" : from);
    if (status == STATUS_OK)
        status = verify_desks_check_part(verifying->line->flags[VERIFY_OF], verifying->took_part,
                                         "any of these types", err);
    if (status == STATUS_OK && verifying->without.length > 0)
        command_say("keepstep: not compared, because %s has no rows of it: %s", from,
                    buffer_text(&verifying->without));
    return status;
}

/* Of types that only services of --with have, nobody else is asked: their topics are not known. */
static enum status verifying_all(struct verifying *verifying, int *code, struct error *err)
{
    enum status status = STATUS_OK;
    size_t compared = 0;
    verifying->took_part = 0;
    verifying->has_reference = false;
    buffer_reset(&verifying->without);
    size_t services = verifying->asker == NULL ? verifying->service_count : 1;
    for (size_t s = 0; s < services; s++) {
        const struct config *config = verifying->services[s].config;
        for (size_t i = 0; status == STATUS_OK && i < verifying_entry_count(config); i++) {
            if (atomic_load(&command_stop))
                return STATUS_OK;
            if (verifying_is_first(verifying, s, i))
                status = verifying_type(verifying, verifying_entry(config, i)->entity_type, code,
                                        &compared, err);
        }
    }
    return status == STATUS_OK && !atomic_load(&command_stop)
               ? verifying_check_all(verifying, compared, err)
               : status;
}

/* @return whether a type that is named is the first of its name. */
static bool verifying_names_first(const struct command_line *line, int index)
{
    int first = 0;
    while (strcmp(line->arguments[first], line->arguments[index]) != 0)
        first++;
    return first == index;
}

/* A comparison that is stopped says nothing: `code` stays. */
static enum status verifying_once(struct verifying *verifying, int *code, struct error *err)
{
    const struct command_line *line = verifying->line;
    int found = EX_OK;
    enum status status = verifying_open_asker(verifying, err);
    if (status == STATUS_OK && line->argument_count == 0)
        status = verifying_all(verifying, &found, err);
    for (int i = 0; status == STATUS_OK && !atomic_load(&command_stop) && i < line->argument_count;
         i++) {
        if (verifying_names_first(line, i))
            status = verifying_type(verifying, line->arguments[i], &found, NULL, err);
    }
    if (!atomic_load(&command_stop))
        *code = found;
    verifying_end_round(verifying);
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
    bool is_known = from == NULL || verifying_asks(verifying);
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
    if (every_s < 0) {
        fprintf(stderr, "keepstep verify: --every wants a number of seconds from 1 on; see "
                        "keepstep verify --help\n");
        return EX_USAGE;
    }
    const char *of = line.flags[VERIFY_OF];
    if (of != NULL && *of == '\0') {
        fprintf(stderr, "keepstep verify: --of wants names of services; see keepstep verify "
                        "--help\n");
        return EX_USAGE;
    }
    struct verifying verifying = {.line = &line, .shows = isatty(STDERR_FILENO) == 1};
    buffer_init(&verifying.without, VERIFY_OUTPUT_MAX);
    enum status status = verifying_open(&verifying, &err);
    if (status == STATUS_OK && every_s > 0)
        code = verifying_repeat(&verifying, every_s);
    else if (status == STATUS_OK)
        status = verifying_once(&verifying, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    for (size_t i = 0; i < verifying.service_count; i++)
        service_close(&verifying.services[i]);
    buffer_done(&verifying.without);
    return code;
}

const struct command command_verify = {
    .name = "verify",
    .arguments = "[TYPE...]",
    .summary = "Compare copies of entity types, row by row, while services and agents run.",
    .examples = "  keepstep verify -c shop.yaml\n"
                "  keepstep verify order --rows -c shop.yaml --of billing\n"
                "  keepstep verify --every 3600 --json -c shop.yaml\n"
                "  keepstep verify -c shop.yaml --with billing.yaml --with shipping.yaml\n",
    COMMAND_FLAGS(verify_flags),
    .repeated_flag = "with",
    .run = verify_command,
};
