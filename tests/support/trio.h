/* Three services, one on each kind of database. Each publishes an entity type that the two others
 * apply, and all of them publish and apply "stock". */
#ifndef TESTS_SUPPORT_TRIO_H
#define TESTS_SUPPORT_TRIO_H

#include "tests/support/plants.h"

#define TRIO_STATEMENTS 300 /* of a client, for each of its two types */
#define TRIO_KEYS       40  /* that the clients write */

struct trio {
    struct kafka *kafka;
    struct sidecar services[VERIFY_KINDS];
    const struct sidecar *all[VERIFY_KINDS + 1];
};

/** Make them. Skips the test without the databases' clients. @param yaml  for each configuration.
 */
void trio_make(struct trio *trio, const char *yaml);

/** The same, and start their sidecars. */
void trio_begin(struct trio *trio);
void trio_end(struct trio *trio);

/** Insert the rows 1 to 3 of the type that each service alone publishes. */
void trio_insert(const struct trio *trio);

/** Start a client that writes at a service. */
struct process *trio_write(const struct trio *trio, size_t kind);

/** Wait until all that was written is applied everywhere. Nobody may write meanwhile. */
void trio_settle(const struct trio *trio);

/** Insert rows of each type that nobody writes, and wait until all services have them.
 * @return them, for plants_make(). */
struct plants trio_prepare_plants(const struct trio *trio);

/** Change the row 1 of a table, delete the row 2 and add a row 99, without its triggers. */
void trio_plant(const struct trio *trio, enum database_kind kind, const char *table);

#endif
