/* Checks of what the service publishes. */
#include "common/clock.h"
#include "operate/doctor/doctor.h"
#include "producer/capture/watch.h"
#include "schemas/joint_record.h"

#include <inttypes.h>
#include <stdlib.h>

static void published_entry(struct doctor *doctor, const struct config_entry *entry,
                            const struct capture_finding *finding)
{
    const char *type = entry->entity_type;
    if (entry->table == NULL) {
        doctor_say(doctor, DOCTOR_OK, "%s: the service writes its events itself", type);
    } else if (finding->state == CAPTURE_WHOLE) {
        doctor_say(doctor, DOCTOR_OK,
                   "%s: table %s has the schema's columns, types and key, and its triggers are "
                   "those of this version",
                   type, entry->table);
    } else {
        doctor_say(doctor, finding->state == CAPTURE_PARTIAL ? DOCTOR_WARN : DOCTOR_FAIL, "%s: %s",
                   type, finding->text);
        doctor_advise(doctor, "run `keepstep init`");
    }
}

/* The triggers are whole all the same: what was promised is kept. */
static void published_joint(struct doctor *doctor)
{
    const struct origin_look *look = &doctor->look;
    if (!config_is_joint(doctor->service.config))
        return;
    if (look->joint_unfit[0] != '\0') {
        doctor_say(doctor, DOCTOR_WARN, "%s", look->joint_unfit);
        doctor_advise(doctor, JOINT_UNFIT_ADVICE);
    }
    if (look->impatient[0] != '\0') {
        doctor_say(doctor, DOCTOR_WARN,
                   "%s: a lock that somebody holds ends the agent's whole transaction, which it "
                   "then makes again",
                   look->impatient);
        doctor_advise(doctor, "switch it off, and start the server again");
    }
}

void doctor_check_capture(struct doctor *doctor)
{
    const struct config *config = doctor->service.config;
    struct capture_finding *findings = calloc(config->publish_count + 1, sizeof *findings);
    if (findings == NULL) {
        doctor_say(doctor, DOCTOR_SKIPPED, "no memory");
        return;
    }
    (void)capture_compare(config, (const struct entity_schema *const *)doctor->service.published,
                          NULL, NULL, findings);
    for (size_t i = 0; i < config->publish_count; i++)
        published_entry(doctor, &config->publish[i], &findings[i]);
    published_joint(doctor);
    free(findings);
}

static double published_age(const struct outbox_counts *counts)
{
    int64_t oldest_us = counts->oldest_waiting_us;
    if (oldest_us == 0 || (counts->oldest_claimed_us != 0 && counts->oldest_claimed_us < oldest_us))
        oldest_us = counts->oldest_claimed_us;
    return oldest_us == 0 ? 0 : (double)(clock_wall_us() - oldest_us) / 1e6;
}

static void published_counts(struct doctor *doctor, const struct outbox_counts *counts)
{
    double age_s = published_age(counts);
    enum doctor_verdict verdict = doctor_judge_age(age_s);
    int64_t waiting = counts->waiting + counts->claimed;
    if (counts->set_aside > 0) {
        doctor_say(doctor, DOCTOR_WARN, "%" PRId64 " row%s set aside, and hold up their entities",
                   counts->set_aside, counts->set_aside == 1 ? " is" : "s are");
        doctor_advise(doctor, "see `keepstep outbox list`; then `keepstep outbox retry` or "
                              "`keepstep outbox drop`");
    }
    if (waiting == 0) {
        doctor_say(doctor, DOCTOR_OK, "nothing waits to be published");
        return;
    }
    doctor_say(doctor, verdict, "%" PRId64 " row%s, the oldest for %.0f s", waiting,
               waiting == 1 ? " waits" : "s wait", age_s);
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "see `keepstep status`: does the relay run, and reach a broker?");
}

void doctor_check_outbox(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    struct outbox_counts counts = {0};
    enum status status = service_open_outbox(&doctor->service, true, &outbox, &err);
    if (status == STATUS_OK)
        status = outbox->ops->count(outbox, &counts, &err);
    if (status == STATUS_OK) {
        published_counts(doctor, &counts);
    } else {
        doctor_say(doctor, DOCTOR_FAIL, "%s", err.text);
        doctor_advise_tables(doctor, status);
    }
    if (outbox != NULL)
        outbox->ops->close(outbox);
}
