/* The table of all checks, and the limits by which they judge. */
#include "operate/doctor/doctor.h"

#define MACHINE  DOCTOR_CONFIGURED
#define BROKER   (DOCTOR_CONFIGURED | DOCTOR_BROKER)
#define TOPICS   (BROKER | DOCTOR_SETTINGS)
#define DATABASE (DOCTOR_CONFIGURED | DOCTOR_DATABASE)

const struct doctor_check doctor_checks[] = {
    {"configuration", 0, doctor_check_configuration},
    {"secrets", MACHINE, doctor_check_secrets},
    {"listen", MACHINE, doctor_check_listen},
    {"sidecar", MACHINE, doctor_check_sidecar},
    {"librdkafka", 0, doctor_check_library},
    {"broker", MACHINE, doctor_check_broker},
    {"topics", TOPICS, doctor_check_topics},
    {"topics applied", TOPICS | DOCTOR_APPLIES, doctor_check_sources},
    {"broker's clock", BROKER, doctor_check_broker_clock},
    {"database", MACHINE, doctor_check_database},
    {"durability", DATABASE, doctor_check_durability},
    {"connections", DATABASE, doctor_check_connections},
    {"database's clock", DATABASE, doctor_check_database_clock},
    {"disk", DATABASE, doctor_check_disk},
    {"rights", DATABASE, doctor_check_rights},
    {"capture", DATABASE | DOCTOR_PUBLISHES, doctor_check_capture},
    {"outbox", DATABASE | DOCTOR_PUBLISHES, doctor_check_outbox},
    {"copies", DATABASE | DOCTOR_APPLIES, doctor_check_copies},
    {"positions", DATABASE | BROKER | DOCTOR_APPLIES, doctor_check_positions},
    {"reading", BROKER | DOCTOR_APPLIES, doctor_check_reading},
};
const size_t doctor_check_count = sizeof doctor_checks / sizeof *doctor_checks;

#define SKEW_WARN_US     (INT64_C(1) * 1000 * 1000)
#define SKEW_FAIL_US     (INT64_C(60) * 1000 * 1000)
#define DISK_WARN_BYTES  (INT64_C(1) << 30)
#define DISK_FAIL_BYTES  (INT64_C(100) << 20)
#define DISK_WARN_PART   20 /* a twentieth */
#define AGE_WARN_S       60.0
#define AGE_FAIL_S       3600.0
#define CONNECTIONS_ROOM 10 /* what a sidecar may open beside those that are there */

enum doctor_verdict doctor_judge_skew(int64_t skew_us)
{
    int64_t size_us = skew_us < 0 ? -skew_us : skew_us;
    return size_us > SKEW_FAIL_US ? DOCTOR_FAIL : size_us > SKEW_WARN_US ? DOCTOR_WARN : DOCTOR_OK;
}

enum doctor_verdict doctor_judge_disk(int64_t free_bytes, int64_t all_bytes)
{
    if (free_bytes < DISK_FAIL_BYTES)
        return DOCTOR_FAIL;
    return free_bytes < DISK_WARN_BYTES && free_bytes < all_bytes / DISK_WARN_PART ? DOCTOR_WARN
                                                                                   : DOCTOR_OK;
}

enum doctor_verdict doctor_judge_age(double oldest_s)
{
    return oldest_s > AGE_FAIL_S ? DOCTOR_FAIL : oldest_s > AGE_WARN_S ? DOCTOR_WARN : DOCTOR_OK;
}

enum doctor_verdict doctor_judge_connections(int64_t open, int64_t most)
{
    if (most == 0 || most - open >= CONNECTIONS_ROOM)
        return DOCTOR_OK;
    return most - open <= 1 ? DOCTOR_FAIL : DOCTOR_WARN;
}

#define VERSION(major, minor, patch) ((major) << 24 | (minor) << 16 | (patch) << 8)

/* What is documented of versions of the client library, as far as it concerns idempotent producers
 * and consumers that decide their own offsets. The numbers are those of librdkafka's own issues. */
static const struct {
    int from;
    int before; /* the version that repairs it */
    enum doctor_verdict verdict;
    const char *what;
} library_faults[] = {
    {VERSION(2, 2, 0), VERSION(2, 5, 0), DOCTOR_WARN,
     "issue 4736: after a retry of a large backlog the idempotent producer can end with \"Unable "
     "to "
     "reconstruct MessageSet\"; the relay makes a new one and goes on, again and again. 2.5.0 "
     "repairs it"},
    {VERSION(2, 1, 0), VERSION(2, 1, 1), DOCTOR_OK,
     "issue 4261: records can come twice; the stored position passes them over"},
    {0, VERSION(2, 3, 0), DOCTOR_OK,
     "issue 4438: after a lost connection the idempotent producer can end with an error of "
     "sequence numbers; the relay makes a new one and reads the log first, so nothing is lost"},
    {0, VERSION(2, 4, 0), DOCTOR_OK,
     "issue 4637: records can come twice after a resume; the stored position passes them over"},
};

enum doctor_verdict doctor_judge_library(int version, const char **ret_what)
{
    *ret_what = "nothing that is documented concerns Keepstep";
    for (size_t i = 0; i < sizeof library_faults / sizeof *library_faults; i++) {
        if (version < library_faults[i].from || (version & ~0xff) >= library_faults[i].before)
            continue;
        *ret_what = library_faults[i].what;
        return library_faults[i].verdict;
    }
    return DOCTOR_OK;
}
