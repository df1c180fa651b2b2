/* Which copies, also those of other services and of sidecars that do not run, Kafka's retention
 * will overtake: by the positions in the control topic and by the logs. */
#ifndef OPERATE_RETENTION_WATCH_H
#define OPERATE_RETENTION_WATCH_H

#include "common/topic_retention.h"
#include "operate/members.h"

struct retention_topic;

/** One thread uses it. {0} knows nothing. */
struct retention_watch {
    struct retention_topic *topics;
    size_t count;
    size_t next;       /* the topic that is looked at next; `count`: all were */
    int64_t listed_us; /* monotonic, when the topics were listed; 0: never */
};

/** If it is time, look at the topics of all types, at so many of them at most: the next call goes
 * on behind them. What cannot be looked at is not known. */
void retention_watch_look(struct retention_watch *watch, const struct members *members,
                          struct control_topic *topic, size_t limit);

void retention_watch_done(struct retention_watch *watch);

/** What the pages of a sidecar are made of. */
struct members_seen {
    const struct members *members;
    struct control_topic *topic; /* to ask where logs end */
    const struct retention_watch *watch;
};

/** The partition of a copy whose next record is deleted first. */
struct retention_left {
    double left_s; /* about; 0: it may be gone now; NaN: not known, or not in sight */
    int32_t partition;
};

/** @return that of a member of a type. */
struct retention_left retention_watch_left(const struct retention_watch *watch,
                                           const struct quorum *quorum, size_t member);

#endif
