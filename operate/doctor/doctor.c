/* Runs the checks one by one and keeps what they find. */
#include "operate/doctor/doctor.h"

#include "common/advice.h"
#include "common/clock.h"
#include "common/connections.h"
#include "operate/member.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCTOR_LIMIT_US  (INT64_C(30) * 1000 * 1000)
#define DOCTOR_LOOK_US   (INT64_C(50) * 1000)
#define DOCTOR_LINE_SIZE (ERROR_TEXT_SIZE + ADVICE_FLAGS_SIZE)

enum status doctor_init(struct doctor *doctor, const struct command_line *line, struct error *err)
{
    *doctor = (struct doctor){.line = line,
                              .findings = calloc(DOCTOR_FINDINGS, sizeof *doctor->findings),
                              .until_us = clock_monotonic_us() + DOCTOR_LIMIT_US};
    return doctor->findings == NULL ? error_set(err, STATUS_RETRY, "no memory") : STATUS_OK;
}

void doctor_done(struct doctor *doctor)
{
    if (doctor->origin != NULL)
        doctor->origin->ops->close(doctor->origin);
    offsets_close(doctor->offsets);
    kafka_admin_close(doctor->admin);
    service_close(&doctor->service);
    free(doctor->findings);
}

const char *doctor_verdict_name(enum doctor_verdict verdict)
{
    static const char *const names[] = {[DOCTOR_OK] = "ok",
                                        [DOCTOR_WARN] = "warn",
                                        [DOCTOR_FAIL] = "fail",
                                        [DOCTOR_SKIPPED] = "skipped"};
    return names[verdict];
}

/* The last finding stands for all that have no room, so that a failure is never passed over. */
static void doctor_say_more(struct doctor *doctor, enum doctor_verdict verdict)
{
    struct doctor_finding *last = &doctor->findings[DOCTOR_FINDINGS - 1];
    bool fails = verdict == DOCTOR_FAIL || last->verdict == DOCTOR_FAIL;
    *last = (struct doctor_finding){.check = doctor->check,
                                    .verdict = fails ? DOCTOR_FAIL : DOCTOR_WARN,
                                    .seen = "more was found than is told",
                                    .advice = "mend what is told, then look again"};
}

void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *format, ...)
{
    va_list arguments;
    doctor->is_full = doctor->count == DOCTOR_FINDINGS;
    if (doctor->is_full) {
        doctor_say_more(doctor, verdict);
        return;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count++];
    *finding = (struct doctor_finding){.check = doctor->check, .verdict = verdict};
    va_start(arguments, format);
    (void)vsnprintf(finding->seen, sizeof finding->seen, format, arguments);
    va_end(arguments);
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
    va_list arguments;
    if (doctor->count == 0 || doctor->is_full)
        return;
    struct doctor_finding *finding = &doctor->findings[doctor->count - 1];
    va_start(arguments, format);
    (void)vsnprintf(finding->advice, sizeof finding->advice, format, arguments);
    va_end(arguments);
}

void doctor_advise_tables(struct doctor *doctor, enum status status)
{
    if (status == STATUS_RETRY)
        doctor_advise(doctor, "see the checks of the database and of the rights");
    else
        doctor_advise(doctor, "run `keepstep init`");
}

enum status doctor_open_offsets(struct doctor *doctor, struct error *err)
{
    const char *group = doctor->group[0] == '\0' ? "keepstep-doctor" : doctor->group;
    return doctor->offsets != NULL
               ? STATUS_OK
               : offsets_open(doctor->service.config, group, &doctor->offsets, err);
}

bool doctor_is_first(const struct config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(config->apply[i].topic, config->apply[index].topic) == 0)
            return false;
    }
    return true;
}

bool doctor_is_late(struct doctor *doctor)
{
    if (clock_monotonic_us() < doctor->until_us)
        return false;
    doctor_say(doctor, DOCTOR_SKIPPED, "no time is left: something before it was slow");
    return true;
}

size_t doctor_count(const struct doctor *doctor, enum doctor_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < doctor->count; i++)
        count += doctor->findings[i].verdict == verdict;
    return count;
}

static const char *doctor_lacks(const struct doctor *doctor, unsigned needs)
{
    static const struct {
        enum doctor_need need;
        const char *text;
    } reasons[] = {{DOCTOR_CONFIGURED, "the configuration was not read"},
                   {DOCTOR_PUBLISHES, "the service publishes nothing"},
                   {DOCTOR_APPLIES, "the service applies nothing"},
                   {DOCTOR_BROKER, "no broker answers"},
                   {DOCTOR_SETTINGS, "the broker of keepstep broker has no settings of topics"},
                   {DOCTOR_DATABASE, "the database was not opened"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if ((needs & reasons[i].need) != 0 && (doctor->has & reasons[i].need) == 0)
            return reasons[i].text;
    }
    return NULL;
}

/* Cuts sessions of the database that hold up the end. */
struct doctor_watch {
    pthread_t thread;
    bool is_started;
    atomic_bool is_over;
    int64_t until_us;
};

static void *doctor_watch_run(void *context)
{
    struct doctor_watch *watch = context;
    while (!atomic_load(&watch->is_over) && clock_monotonic_us() < watch->until_us)
        clock_sleep_us(DOCTOR_LOOK_US);
    if (!atomic_load(&watch->is_over))
        connections_cut();
    return NULL;
}

void doctor_run(struct doctor *doctor)
{
    struct doctor_watch watch = {.until_us = doctor->until_us};
    watch.is_started = pthread_create(&watch.thread, NULL, doctor_watch_run, &watch) == 0;
    for (size_t i = 0; i < doctor_check_count; i++) {
        const char *lacks = doctor_lacks(doctor, doctor_checks[i].needs);
        doctor->check = doctor_checks[i].name;
        if (lacks != NULL)
            doctor_say(doctor, DOCTOR_SKIPPED, "%s", lacks);
        else if (!doctor_is_late(doctor))
            doctor_checks[i].run(doctor);
    }
    atomic_store(&watch.is_over, true);
    if (watch.is_started)
        (void)pthread_join(watch.thread, NULL);
}

/* Commands in backquotes get the flags of this service. */
static void doctor_complete(const char *text, char out[static DOCTOR_LINE_SIZE])
{
    advice_complete(text, out, DOCTOR_LINE_SIZE);
}

void doctor_append_text(const struct doctor *doctor, struct buffer *out)
{
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        char text[DOCTOR_LINE_SIZE];
        doctor_complete(finding->seen, text);
        buffer_append_format(out, "%-8s %-17s %s\n", doctor_verdict_name(finding->verdict),
                             finding->check, text);
        doctor_complete(finding->advice, text);
        if (text[0] != '\0')
            buffer_append_format(out, "%-8s %-17s → %s\n", "", "", text);
    }
    buffer_append_format(out, "%zu ok, %zu warn, %zu fail, %zu skipped\n",
                         doctor_count(doctor, DOCTOR_OK), doctor_count(doctor, DOCTOR_WARN),
                         doctor_count(doctor, DOCTOR_FAIL), doctor_count(doctor, DOCTOR_SKIPPED));
}

void doctor_append_json(const struct doctor *doctor, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_bool(out, "healthy", doctor_count(doctor, DOCTOR_FAIL) == 0);
    member_begin(out, "checks", "[");
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        char text[DOCTOR_LINE_SIZE];
        doctor_complete(finding->seen, text);
        member_begin(out, NULL, "{");
        member_text(out, "check", slice_of(finding->check));
        member_text(out, "verdict", slice_of(doctor_verdict_name(finding->verdict)));
        member_text(out, "reason", slice_of(text));
        doctor_complete(finding->advice, text);
        member_text(out, "next", text[0] == '\0' ? (struct slice){0} : slice_of(text));
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}\n");
}
