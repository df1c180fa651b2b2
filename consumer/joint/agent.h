/* The loop of joint transactions: reads the one partition of their topic, notes proposals, votes,
 * withdraws and settles (rules 60 to 62, 68 to 71). It has a thread, a session and a consumer of
 * its own, so that votes do not wait behind data. */
#ifndef CONSUMER_JOINT_AGENT_H
#define CONSUMER_JOINT_AGENT_H

#include "consumer/joint/joint.h"
#include "schemas/config/config.h"

#include <stdatomic.h>

/** Numbers that the loop writes and any other thread may read. */
struct joint_metrics {
    atomic_bool ready; /* it has read to the log's end as of its assignment, and goes on */
    atomic_llong queued;
    atomic_llong reserved;
    atomic_llong settling; /* decided, and not made so here yet */
    atomic_llong held;
    atomic_llong undecided_us; /* wall clock: when the oldest undecided one was read; 0: none is */
    atomic_llong decided_us; /* wall clock: when the oldest settling one was decided; 0: none is */
    atomic_llong committed;
    atomic_llong aborted;
    atomic_llong votes_yes;
    atomic_llong votes_no;
    atomic_llong withdrawals;
    atomic_llong late;
};

struct bell;

/** What the pointers point to is borrowed, and outlives the loop. */
struct joint_options {
    const struct config *config; /* its `apply:` has the joint topic: operate/joint_config.h */
    struct joint_types types;
    struct joint_metrics *metrics;
    struct bell *outbox; /* rung when rows for the log were committed; NULL */
};

/** Work until *stop is true. @return OK; FATAL, where a restart does not help with exit code 78. */
enum status joint_agent_run(const struct joint_options *options, const atomic_bool *stop,
                            struct error *err) MUST_CHECK;

#endif
