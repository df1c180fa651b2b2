/* Lets the services take part in a comparison that report to the control topic: their desks are
 * asked for their rows. */
#ifndef OPERATE_VERIFY_DESKS_H
#define OPERATE_VERIFY_DESKS_H

#include "operate/compare/asker.h"
#include "operate/members.h"
#include "operate/verify/verify.h"

struct verify_desks {
    const struct service *service; /* the asker's. It takes part by its own database */
    const struct members *members; /* as the control topic has them now */
    struct asker *asker;
    const char *of; /* services, separated by commas: these alone. NULL: all */
};

/** Look whether each service that `of` names reports, or is the asker's: otherwise a comparison
 * would pass over it, and say that all are equal. @return OK; FATAL. */
enum status verify_desks_check(const struct verify_desks *desks, struct error *err) MUST_CHECK;

/** Add all services that have rows of the type in the asker's topic and do not take part yet. Of
 * each copy the instance is asked that was heard last. A copy that is silent while another one of
 * its service reports is not asked: `init --new-copy` left its id behind. All but `members`
 * outlives `verify`.
 * @return OK; RETRY (memory); FATAL (too many; the asker has no entry of the type). */
enum status verify_add_desks(struct verify *verify, const struct verify_desks *desks,
                             struct error *err) MUST_CHECK;

/** Make the participant of one service, by its name. It is freed before the asker is closed.
 * @param desks  `of` does not count. @return OK; RETRY (memory); FATAL (no such service reports, or
 * it has no rows of the type; the asker has no entry of it). */
enum status verify_desk_new(const struct verify_desks *desks, const char *entity_type,
                            const char *service, struct participant **ret_participant,
                            struct error *err) MUST_CHECK;

/** @return whether a copy is live that was heard at `heard_us`, while the last word of any copy of
 * its service came at `latest_us`. */
bool verify_desks_is_live(int64_t heard_us, int64_t latest_us);

/** Walk through the services of a list with commas. @return false at its end, or if it is NULL. */
bool verify_desks_next(const char **of, struct slice *ret_service);

/** Note which of the services that `of` names take part: one bit for each, from the lowest on. */
void verify_desks_note(const struct verify *verify, const char *of, uint64_t *took_part);

/** Look whether all of them took part. @param what  "order", for people. @return OK; FATAL. */
enum status verify_desks_check_part(const char *of, uint64_t took_part, const char *what,
                                    struct error *err) MUST_CHECK;

#endif
