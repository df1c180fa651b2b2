/* Asks a service for the rows of a topic, when the agent of this process wishes for them: whom to
 * ask is known from the control topic. */
#ifndef OPERATE_FILL_ASKING_H
#define OPERATE_FILL_ASKING_H

#include "consumer/agent/fill_wish.h"
#include "operate/members.h"
#include "operate/service.h"

#define FILL_CANDIDATES_MAX 64

/** A desk that may have the rows. Borrowed from the members. */
struct fill_candidate {
    const struct member_record *record;
    int rank;        /* the lowest is asked first */
    int64_t applied; /* records of the topic, all partitions together */
};

/** Find who may have all rows of a topic, the best first: a complete copy of a service that
 * publishes nothing, the least behind; a publisher that keeps no copy of these types; any other
 * complete copy; and last who has said nothing for a while. Pure.
 * @param source  only this service; "": any. @return how many there are. */
size_t fill_candidates_find(const struct service *service, const struct members *members,
                            const struct fill_wish *wish, int64_t now_us,
                            struct fill_candidate ret_candidates[static FILL_CANDIDATES_MAX]);

/** Take the agent's wish, if there is one, ask somebody, and say whom, or why nobody. It may take
 * some seconds. */
void fill_asking_tend(const struct service *service, const struct members *members,
                      struct fill_wishes *wishes, const atomic_bool *stop);

#endif
