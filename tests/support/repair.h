/* Runs `keepstep repair`, and reads what it prints as JSON. */
#ifndef TESTS_SUPPORT_REPAIR_H
#define TESTS_SUPPORT_REPAIR_H

#include "tests/support/sidecar.h"

#define REPAIR_WORDS_MAX 16

/** Run it at a copy, from a source, with some words more; NULL ends them. */
struct process_result repair_command_run(const struct sidecar *copy, const struct sidecar *source,
                                         const char *entity_type, const char *const words[]);

#define REPAIR(copy, source, ...)                                                                  \
    repair_words(copy, source, (const char *const[]){__VA_ARGS__, NULL})

/** The same with --json; the first word is the entity type. */
struct process_result repair_words(const struct sidecar *copy, const struct sidecar *source,
                                   const char *const words[]);

/** Start it with KEEPSTEP_FAILPOINT, unless `failpoint` is NULL. */
struct process *repair_start(const struct sidecar *copy, const struct sidecar *source,
                             const char *entity_type, const char *failpoint);

/** What a run with --json says: "{"id":1} repaired, {"id":2} refused: REASON"; "": no entity. */
const char *repair_entities(const struct process_result *result);

#endif
