/* Load on services in end-to-end tests: plain SQL clients that write, and the quiet after them. */
#ifndef TESTS_SUPPORT_LOAD_H
#define TESTS_SUPPORT_LOAD_H

#include "tests/support/sidecar.h"

#include "common/buffer.h"

/** Skip the test where a program is not to be had. */
void load_need(const char *program);

/** @return a number from 0 to `limit` - 1, the same ones in each run. */
int load_random(unsigned *seed, int limit);

/** Let the database's own client (psql, mariadb, sqlite3) run a script; like a service it goes on
 * behind a statement that fails. `name` is its own. */
struct process *load_client(const char *name, const char *url, const struct buffer *script);

/** Wait for the end of a client. @return how many of its statements failed. */
int load_client_end(struct process *client, int64_t limit_ms);

/** @return KEEPSTEP_… of the environment as a number, without it `otherwise`. */
int load_number(const char *variable, int otherwise);

/** Write the schema of an entity type as `keepstep schema table` gives it for a table. */
void load_write_schema(const char *entity_type, const char *url, const char *table);

/** Kill and start again what propagates for a service. */
void load_kill(struct sidecar *sidecar);

/** Wait until all that the publishers have written is in the log of the entity type and all of the
 * log is applied by the appliers; nothing may be parked or set aside. Nobody writes meanwhile.
 * Both lists end with NULL. */
void load_settle(struct kafka *kafka, const char *entity_type,
                 const struct sidecar *const publishers[], const struct sidecar *const appliers[],
                 int64_t limit_ms);

/** The test fails, naming the first row that differs, where two texts of rows are not equal. */
void load_assert_rows(const char *what, const char *expected, const char *rows);

#endif
