/* The desk: tells the other services how far this one is, and hears how far they are. */
#ifndef OPERATE_DESK_DESK_H
#define OPERATE_DESK_DESK_H

#include "operate/members_page.h"
#include "operate/metrics.h"
#include "operate/service.h"

struct fill_wishes;
struct fleet;

struct desk_options {
    const struct service *service;
    const struct metrics_sources *sources; /* of this process; the desk writes only its own part */
    struct fleet *fleet;                   /* that the page shows */
    struct fill_wishes *fill_wishes;       /* of the agent in this process; NULL: there is none */
    atomic_ullong *report_wishes;          /* raised where another service waits for a report */
};

/** @return whether a process with these loops has a desk. A service that applies something speaks
 * by its agent's process alone. */
bool desk_is_wanted(const struct config *config, const struct metrics_sources *sources);

/** Report until *stop, in the caller's thread. Whatever fails is logged once and tried again for
 * ever; nothing else waits for it. */
void desk_run(const struct desk_options *options, const atomic_bool *stop);

#endif
