/* Load on services in end-to-end tests: SQL clients that write, and waiting until all of it is
 * applied. */
#ifndef TESTS_SUPPORT_LOAD_H
#define TESTS_SUPPORT_LOAD_H

#include "tests/support/sidecar.h"

#include "common/buffer.h"

/** Skip the test if a program is not installed. */
void load_need(const char *program);

/** @return a number from 0 to `limit` - 1, the same ones in each run. */
int load_random(unsigned *seed, int limit);

/** Run a script in the database's own client (psql, mariadb, sqlite3). Like a service, it goes on
 * after a statement that fails. `name` is the client's. */
struct process *load_client(const char *name, const char *url, const struct buffer *script);

/** Wait for the end of a client. @return how many of its statements failed. */
int load_client_end(struct process *client, int64_t limit_ms);

/** @return the environment variable KEEPSTEP_… as a number, or `otherwise` if it is not set. */
int load_number(const char *variable, int otherwise);

/** Write the schema of an entity type, as `keepstep schema table` prints it for a table. */
void load_write_schema(const char *entity_type, const char *url, const char *table);

/** Kill a sidecar and start it again. */
void load_kill(struct sidecar *sidecar);

/** Wait until the log of the entity type has all that the publishers wrote, and the appliers have
 * applied all of the log. The test fails if something is parked or set aside. Nobody may write
 * meanwhile. Both lists end with NULL. */
void load_settle(struct kafka *kafka, const char *entity_type,
                 const struct sidecar *const publishers[], const struct sidecar *const appliers[],
                 int64_t limit_ms);

/** The test fails if two texts of rows differ. It names the first row that differs. */
void load_assert_rows(const char *what, const char *expected, const char *rows);

#endif
