/* Three services that change their databases together, for end-to-end tests of joint transactions:
 * `shop`, `bank` and `web`, each the only writer of its type. */
#ifndef TESTS_SUPPORT_JOINT_WORLD_H
#define TESTS_SUPPORT_JOINT_WORLD_H

#include "tests/support/database.h"
#include "tests/support/sidecar.h"

#define JOINT_SERVICES      3
#define JOINT_WORLD_WAIT_MS 60000

enum { JOINT_SHOP, JOINT_BANK, JOINT_WEB };

struct joint_world {
    struct kafka *kafka;
    const char *yaml; /* for each configuration */
    struct sidecar all[JOINT_SERVICES];
};

/** Each has two rows, 1 and 2, with an amount of 100 that must not be negative. */
extern const char *const joint_world_tables[JOINT_SERVICES];

/** Make them, each on a database of its kind, and prepare them. All may propose changes of all.
 * @param yaml  for each configuration; may be "". */
void joint_world_begin(struct joint_world *world,
                       const enum database_kind kinds[static JOINT_SERVICES], const char *yaml);

/** Start a sidecar, or all, and wait until it runs: before that it cannot be stopped. */
void joint_world_start(struct joint_world *world, size_t service, const char *failpoint);
void joint_world_start_all(struct joint_world *world);
void joint_world_stop_all(struct joint_world *world);

/** Put a copy of its database, at a URL of the same kind, in the place of a service's database, and
 * make it known as restored. Its sidecar must not run. */
void joint_world_restore(struct joint_world *world, size_t service, const char *url);

/** The test fails unless a service's relay has published soon all that it has. */
void joint_world_expect_published(const struct joint_world *world, size_t service);

/** A proposal of a service that adds an amount to the row 1 of each; 0 leaves a service out. */
struct joint_move {
    size_t proposer;
    int timeout_ms;
    int amounts[JOINT_SERVICES];
};

void joint_world_propose(const struct joint_world *world, const char *id,
                         const struct joint_move *move);

/** The same with other changes, the array of a proposal. */
void joint_world_propose_text(const struct joint_world *world, const char *id, size_t proposer,
                              int timeout_ms, const char *changes);

/** The test fails unless a service, or each of them, says so soon. */
void joint_world_expect(const struct joint_world *world, size_t service, const char *id,
                        const char *state);
void joint_world_expect_everywhere(const struct joint_world *world, const char *id,
                                   const char *state);

/** The test fails unless a service soon has read the vote of another one in the log. */
void joint_world_expect_vote(const struct joint_world *world, size_t reader, const char *id,
                             size_t voter);

/** What became of a transaction in all three.
 * @return "committed\n" or "aborted\n"; else where they differ, stand still or hold it. */
const char *joint_world_outcome(const struct joint_world *world, const char *id);

/** @return the number that a service's database answers. */
int joint_world_number(const struct joint_world *world, size_t service, const char *sql);

/** The test fails unless the rows 1 have these amounts and nothing is reserved. */
void joint_world_expect_amounts(const struct joint_world *world,
                                const int amounts[static JOINT_SERVICES]);

/** A write of the service's own. @return NULL, or the database's error. */
const char *joint_world_write(const struct joint_world *world, size_t service, const char *sql);

#endif
