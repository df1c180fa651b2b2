/* Checks of the service's database, whether it publishes or applies. */
#include "common/clock.h"
#include "operate/doctor/doctor.h"
#include "producer/registry.h"

#include <inttypes.h>
#include <string.h>

void doctor_check_database(struct doctor *doctor)
{
    struct error err = ERROR_INIT;
    const struct config *config = doctor->service.config;
    const struct origin_ops *ops = origin_find(config->database);
    int64_t begun_us = clock_monotonic_us();
    enum status status = ops == NULL ? service_refuse_scheme(&err)
                                     : ops->open(config, ORIGIN_WATCH, &doctor->origin, &err);
    if (status == STATUS_OK) {
        int64_t asked_us = clock_wall_us();
        status = ops->look(doctor->origin, &doctor->look, &err);
        int64_t middle_us = asked_us + (clock_wall_us() - asked_us) / 2;
        doctor->clock_skew_us = doctor->look.clock_us - middle_us;
    }
    if (status != STATUS_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "%s: %s", config->database_shown, err.text);
        doctor_advise(doctor, "start it, or correct `database:` and the login's password");
        return;
    }
    doctor->has |= DOCTOR_DATABASE;
    if (doctor->look.read_only[0] != '\0') {
        doctor_say(doctor, DOCTOR_FAIL, "%s takes no writes: %s", config->database_shown,
                   doctor->look.read_only);
        doctor_advise(doctor, "name the primary server under `database:`");
        return;
    }
    doctor_say(doctor, DOCTOR_OK, "%s at %s answers in %" PRId64 " ms", doctor->look.product,
               config->database_shown, (clock_monotonic_us() - begun_us) / 1000);
}

void doctor_check_durability(struct doctor *doctor)
{
    const struct origin_look *look = &doctor->look;
    if (look->not_durable[0] != '\0') {
        doctor_say(doctor, DOCTOR_FAIL, "%s: a loss of power can undo what was published",
                   look->not_durable);
        doctor_advise(doctor, "switch it to the database's default, which waits for the disk");
    } else if (look->clock_us == 0 && strcmp(look->journal, "journal_mode=wal") != 0) {
        doctor_say(doctor, DOCTOR_WARN, "%s: who reads keeps writers out", look->journal);
        doctor_advise(doctor, "run `keepstep init`, which sets journal_mode=wal");
    } else {
        doctor_say(doctor, DOCTOR_OK,
                   "%s; what Keepstep commits waits for the disk where it "
                   "has to",
                   look->journal);
    }
}

void doctor_check_connections(struct doctor *doctor)
{
    const struct origin_look *look = &doctor->look;
    enum doctor_verdict verdict = doctor_judge_connections(look->connections,
                                                           look->connections_max);
    if (look->connections_max == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "a file has no limit of connections");
        return;
    }
    doctor_say(doctor, verdict, "%" PRId64 " of %" PRId64 " connections are open",
               look->connections, look->connections_max);
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "raise max_connections: a sidecar opens up to 10");
}

void doctor_check_database_clock(struct doctor *doctor)
{
    int64_t skew_us = doctor->clock_skew_us;
    enum doctor_verdict verdict = doctor_judge_skew(skew_us);
    if (doctor->look.clock_us == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "a file has no clock of its own");
        return;
    }
    doctor_say(doctor, verdict, "the database's clock is %.1f s %s this machine's",
               (double)(skew_us < 0 ? -skew_us : skew_us) / 1e6, skew_us < 0 ? "behind" : "before");
    if (verdict != DOCTOR_OK)
        doctor_advise(doctor, "let NTP set both clocks: a lease and an event's age go by them");
}
