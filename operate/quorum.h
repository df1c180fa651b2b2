/* Who holds what of an entity type, from the records of the control topic (rules 45 and 46). */
#ifndef OPERATE_QUORUM_H
#define OPERATE_QUORUM_H

#include "schemas/member_record.h"

#define QUORUM_LOG_END INT64_MAX /* a publisher that keeps no copy has all that is in the log */

/** A member record and where it stands in the control topic. */
struct member_entry {
    const struct member_record *record;
    int64_t offset;
};

/** One member of a type: a copy, whichever instances report it, or a publisher. */
struct quorum_member {
    const char *service;
    const char *copy;                     /* MEMBER_NONE: a publisher that keeps no copy */
    const struct member_record *record;   /* the one that its state is of; NULL: never seen */
    const struct member_applied *applied; /* in `record`; NULL: a publisher, or never seen */
    int64_t seen_us;                      /* of its latest record; 0: never seen */
    bool counts;                          /* it is one of N */
};

/** What is known of one partition at one member. */
struct quorum_position {
    int64_t applied; /* -1: not known */
    int64_t durable; /* likewise */
    int64_t parked_from;
    const struct member_parked *parked; /* the first ones; NULL: none, or it is not known which */
    int64_t counted; /* min(durable, parked_from); 0 where the copy is not complete;
                      * QUORUM_LOG_END for a publisher */
};

struct quorum {
    const char *entity_type;
    const char *topic;
    struct quorum_member *members; /* those that count and those that do not, by name */
    size_t member_count;
    size_t counting;                   /* N */
    size_t majority;                   /* N / 2 + 1; 0 where nobody counts */
    int32_t partition_count;           /* of the partitions that anybody has reported */
    struct quorum_position *positions; /* of member m and partition p: [m * partition_count + p] */
};

struct quorum_input {
    const struct member_entry *entries;
    size_t count;
    const char *entity_type;
    const char *topic;
    const struct member_policy *policy; /* NULL: who has joined counts */
};

/** Find the members of a type, and what they hold of each partition. Pure; `input` and what it
 * points to outlive the result.
 * @return OK; RETRY (no memory). quorum_done() is legal after either. */
enum status quorum_make(const struct quorum_input *input, struct quorum *ret_quorum,
                        struct error *err) MUST_CHECK;
void quorum_done(struct quorum *quorum);

/** @return up to where a strict majority of the members holds a partition durably;
 * QUORUM_LOG_END: a majority has all that is in the log; -1: nobody counts. */
int64_t quorum_offset(const struct quorum *quorum, int32_t partition);

/** @return up to where a member holds a partition, as it counts; a partition that nobody has
 * reported is held by publishers alone. */
int64_t quorum_counted(const struct quorum *quorum, size_t member, int32_t partition);

/** @return when an operator paused the type at a member, wall clock; 0: it is not paused there. */
int64_t quorum_paused_at_us(const struct quorum *quorum, const struct quorum_member *member);

static inline const struct quorum_position *quorum_position(const struct quorum *quorum,
                                                            size_t member, int32_t partition)
{
    return &quorum->positions[member * (size_t)quorum->partition_count + (size_t)partition];
}

#endif
