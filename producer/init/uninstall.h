/* The end of what `keepstep init` has begun: it takes Keepstep's objects out of a database. */
#ifndef PRODUCER_INIT_UNINSTALL_H
#define PRODUCER_INIT_UNINSTALL_H

#include "producer/init/origin.h"

#include <stdio.h>

struct uninstall {
    struct origin *origin;
    struct arena arena;
    struct origin_objects made; /* in the order in which they go */
    struct origin_lease lease;  /* of the relay */
    bool discards;              /* the caller: rows of the outbox that are not published go too */
};

/** Open a service's database and list what is there of Keepstep's. Nothing is changed.
 * uninstall_done() is legal after either. @return OK; RETRY; FATAL. */
enum status uninstall_init(struct uninstall *uninstall, const struct config *config,
                           struct error *err) MUST_CHECK;
void uninstall_done(struct uninstall *uninstall);

/** @return whether a table is there. */
bool uninstall_has(const struct uninstall *uninstall, const char *table);

/** Print the statements, for whoever runs them. */
void uninstall_print(const struct uninstall *uninstall, FILE *out);

/** Take all of it away, and say so of each: in one transaction, but for MariaDB, where what is left
 * after an error goes when it is run again. Waits a while for tables that are in use.
 * @return OK; RETRY (a table is in use); ABORT (a relay holds the lease, or
 * rows of the outbox are not published, or a joint transaction is not settled); FATAL (no right).
 */
enum status uninstall_run(struct uninstall *uninstall, FILE *out, struct error *err) MUST_CHECK;

#endif
