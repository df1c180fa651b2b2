/* Runs `keepstep fill`. */
#ifndef TESTS_SUPPORT_FILL_H
#define TESTS_SUPPORT_FILL_H

#include "tests/support/sidecar.h"

#define FILL_WORDS_MAX 16

/** Run it at a copy, from a source; some words follow, the first one is a type or a topic. */
#define FILL(copy, source, ...) fill_words(copy, source, (const char *const[]){__VA_ARGS__, NULL})
struct process_result fill_words(const struct sidecar *copy, const struct sidecar *source,
                                 const char *const words[]);

/** The same; the test fails if it fails. */
#define FILL_OK(copy, source, ...) fill_must(copy, source, (const char *const[]){__VA_ARGS__, NULL})
struct process_result fill_must(const struct sidecar *copy, const struct sidecar *source,
                                const char *const words[]);

/** Start it with KEEPSTEP_FAILPOINT, unless `failpoint` is NULL. In small transactions: of ten
 * rows.
 */
struct process *fill_start(const struct sidecar *copy, const struct sidecar *source,
                           const char *entity_type, const char *failpoint);

/** The test fails unless a started fill is stopped at its failpoint, by ":stop". */
void fill_wait_stopped(struct process *fill);

/** The test fails unless a started fill ends well. */
void fill_wait_end(struct process *fill);

/** @return a number of a run with --json: "rows", "cleared", "keys", "left_to_own_changes". */
int64_t fill_number(const struct process_result *result, const char *member);

#endif
