/* The service's own writers beside joint transactions. */
#ifndef TESTS_SUPPORT_JOINT_WRITER_H
#define TESTS_SUPPORT_JOINT_WRITER_H

#include "tests/support/session.h"

#include <pthread.h>

#define JOINT_WRITER_LEVELS 3

/** The isolation levels; the first takes a snapshot for each statement. */
extern const char *const joint_writer_levels[JOINT_WRITER_LEVELS];

/** Begin a transaction at a level, in the database of the joint case. */
struct session *joint_writer_begin(const char *level);

/** @param how  "COMMIT" or "ROLLBACK". */
void joint_writer_end(struct session *writer, const char *how);

/** A statement of a writer, in a thread of its own. */
struct joint_writing {
    struct session *writer;
    const char *sql;
    const char *error; /* NULL: it succeeded */
    pthread_t thread;
};

/** Run it in this thread. */
void joint_writing_run(struct joint_writing *writing);

/** Start it, and give it the time to come to what it waits for. */
void joint_writing_begin(struct joint_writing *writing);

/** Wait until it has ended. */
void joint_writing_join(struct joint_writing *writing);

#endif
