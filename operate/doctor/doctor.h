/* A check-up of one service: a table of checks, each of which looks and changes nothing. */
#ifndef OPERATE_DOCTOR_DOCTOR_H
#define OPERATE_DOCTOR_DOCTOR_H

#include "common/buffer.h"
#include "consumer/feed/feed.h"
#include "operate/offsets.h"
#include "operate/service.h"
#include "operate/topics/plan.h"
#include "producer/init/origin.h"

#define DOCTOR_TIMEOUT_MS 3000 /* of one question to a broker */
#define DOCTOR_FINDINGS   1024 /* the last one stands for all beyond these */

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIPPED };
#define DOCTOR_VERDICTS 4

struct doctor_finding {
    const char *check; /* its name */
    enum doctor_verdict verdict;
    char seen[ERROR_TEXT_SIZE];
    char advice[ERROR_TEXT_SIZE]; /* what to do next; "": nothing */
};

/** What a check needs. Where it is not there the check is skipped, and says why. */
enum doctor_need {
    DOCTOR_CONFIGURED = 1, /* the configuration and its schemas were read */
    DOCTOR_BROKER = 2,     /* one answers */
    DOCTOR_SETTINGS = 4,   /* and is no mock, which has no settings of topics */
    DOCTOR_DATABASE = 8,   /* it was opened */
    DOCTOR_PUBLISHES = 16,
    DOCTOR_APPLIES = 32,
};

struct doctor {
    const struct command_line *line;
    struct service service;
    unsigned has; /* of enum doctor_need */
    struct kafka_admin *admin;
    struct offsets *offsets;     /* NULL until a check needs it */
    char group[FEED_GROUP_SIZE]; /* of the copy's agents; "": not known */
    struct origin *origin;
    struct origin_look look;
    int64_t clock_skew_us; /* of the database against this machine, with `look.clock_us` */
    const char *check;     /* that is running */
    struct doctor_finding *findings;
    size_t count;
    bool is_full;     /* there are more findings than have room */
    int64_t until_us; /* monotonic clock: later checks are skipped */
};

struct doctor_check {
    const char *name;
    unsigned needs; /* of enum doctor_need */
    void (*run)(struct doctor *doctor);
};

/** In the order in which they run: what a check needs comes before it. */
extern const struct doctor_check doctor_checks[];
extern const size_t doctor_check_count;

/** Open nothing yet. @return OK; RETRY (no memory). doctor_done() is legal after either. */
enum status doctor_init(struct doctor *doctor, const struct command_line *line,
                        struct error *err) MUST_CHECK;
void doctor_done(struct doctor *doctor);

/** Run all checks. It ends within about half a minute, whatever does not answer. */
void doctor_run(struct doctor *doctor);

/** @return how many findings have a verdict. */
size_t doctor_count(const struct doctor *doctor, enum doctor_verdict verdict);

/** Note what the running check has found. */
void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** Say what to do about the last finding. */
void doctor_advise(struct doctor *doctor, const char *format, ...) PRINTF_LIKE(2, 3);

/** The same where a look at Keepstep's tables has failed: `init` cures neither rights nor silence.
 */
void doctor_advise_tables(struct doctor *doctor, enum status status);

/** Open the handle that reads offsets, where it is not open yet. @return OK; FATAL. */
enum status doctor_open_offsets(struct doctor *doctor, struct error *err) MUST_CHECK;

/** @return whether no entry of `apply:` before this one has the same topic. */
bool doctor_is_first(const struct config *config, size_t index);

/** @return whether there is no time left; then it says so. */
bool doctor_is_late(struct doctor *doctor);

/** @return "ok", "warn", "fail", "skipped". */
const char *doctor_verdict_name(enum doctor_verdict verdict);

/** Append all findings, one line each, and what to do below it. */
void doctor_append_text(const struct doctor *doctor, struct buffer *out);
void doctor_append_json(const struct doctor *doctor, struct buffer *out);

/** The limits that the documentation names. @return the verdict. */
enum doctor_verdict doctor_judge_skew(int64_t skew_us);
enum doctor_verdict doctor_judge_disk(int64_t free_bytes, int64_t all_bytes);
enum doctor_verdict doctor_judge_age(double oldest_s);
enum doctor_verdict doctor_judge_connections(int64_t open, int64_t most);
/** @param what  a text that says what is known of this version; static. */
enum doctor_verdict doctor_judge_library(int version, const char **ret_what);

/* The checks. */
void doctor_check_configuration(struct doctor *doctor);
void doctor_check_secrets(struct doctor *doctor);
void doctor_check_listen(struct doctor *doctor);
void doctor_check_library(struct doctor *doctor);
void doctor_check_sidecar(struct doctor *doctor);
void doctor_check_broker(struct doctor *doctor);
void doctor_check_topics(struct doctor *doctor);
void doctor_check_sources(struct doctor *doctor);
void doctor_check_reading(struct doctor *doctor);
void doctor_check_broker_clock(struct doctor *doctor);
void doctor_check_database(struct doctor *doctor);
void doctor_check_durability(struct doctor *doctor);
void doctor_check_connections(struct doctor *doctor);
void doctor_check_database_clock(struct doctor *doctor);
void doctor_check_disk(struct doctor *doctor);
void doctor_check_rights(struct doctor *doctor);
void doctor_check_capture(struct doctor *doctor);
void doctor_check_outbox(struct doctor *doctor);
void doctor_check_copies(struct doctor *doctor);
void doctor_check_positions(struct doctor *doctor);

#endif
