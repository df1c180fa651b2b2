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

/** Add all services that have rows of the type in the asker's topic and do not take part yet. Of a
 * service the instance is asked that was heard last. All but `members` outlives `verify`.
 * @return OK; RETRY (memory); FATAL (too many; the asker has no entry of the type). */
enum status verify_add_desks(struct verify *verify, const struct verify_desks *desks,
                             struct error *err) MUST_CHECK;

/** Make the participant of one service, by its name. It is freed before the asker is closed.
 * @param desks  `of` does not count. @return OK; RETRY (memory); FATAL (no such service reports, or
 * it has no rows of the type; the asker has no entry of it). */
enum status verify_desk_new(const struct verify_desks *desks, const char *entity_type,
                            const char *service, struct participant **ret_participant,
                            struct error *err) MUST_CHECK;

/** @return whether `of` names a service, or is NULL. */
bool verify_desks_name(const char *of, const char *service);

#endif
