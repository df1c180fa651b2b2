/* Runs `keepstep verify` on the services of a test, and reads what it prints as JSON. */
#ifndef TESTS_SUPPORT_VERIFY_H
#define TESTS_SUPPORT_VERIFY_H

#include "tests/support/sidecar.h"

#define VERIFY_WORDS_MAX 32

/** Run it with the first service's configuration, the others by --with, and some words more; NULL
 * ends both lists. */
struct process_result verify_run(const struct sidecar *const services[], const char *const words[],
                                 int64_t limit_ms);

#define VERIFY(services, ...) verify_run(services, (const char *const[]){__VA_ARGS__, NULL}, 120000)

/** What a run with --json says of a copy: "equal", "different: {"id":1} differs, …", or "not
 * compared: REASON". The test fails if a line cannot be read, or if the copy is not in it. */
const char *verify_copy(const struct process_result *result, const char *entity_type,
                        const char *service);

/** @return how many copies of all types have that state. */
int verify_count(const struct process_result *result, const char *state);

/** @return what was not compared of a type: "{"id":1} parked at billing, …". */
const char *verify_left(const struct process_result *result, const char *entity_type);

/** @return the number of a member of the type's line: "rows". */
int64_t verify_number(const struct process_result *result, const char *entity_type,
                      const char *member);

#endif
