/* What the stores' looks at own changes not read back share (rule 18): rows go by, and only the
 * last change of each entity that was asked for is noted. */
#ifndef CONSUMER_STORE_PENDING_H
#define CONSUMER_STORE_PENDING_H

#include "consumer/store/store.h"

/** One range of a pending read, as its rows go by. */
struct pending_pass {
    struct store *store;
    struct pending_read *pending;
    const struct pending_range *range;
    bool numbered;
    size_t open; /* entities of which nothing that is later can be found */
    struct arena scratch;
};

/** Read the rows of a pass, waiting or numbered, and give each to pending_pass_row(), until
 * pending_pass_done(). */
typedef enum status pending_pass_read(struct pending_pass *pass, struct error *err);

/** Note a row. @param sequence  of a numbered one. @return OK; RETRY (memory). */
enum status pending_pass_row(struct pending_pass *pass, struct slice key, uint64_t sequence,
                             struct error *err) MUST_CHECK;

/** Make a waiting row's key canonical where it is not yet: the relay does it with the claim.
 * @return OK; RETRY (memory). */
enum status pending_canonical(const struct entity_schema *schema, struct arena *scratch,
                              struct slice *key, struct error *err) MUST_CHECK;

/** @return whether no further row can say anything new. */
bool pending_pass_done(const struct pending_pass *pass);

/** The look of a store with an outbox, begun by store_pending_begin(). What waits is read before
 * what has a number, so that a row that is numbered meanwhile is met. */
enum status store_read_pending(struct store *store, struct pending_read *pending,
                               pending_pass_read *read, struct error *err) MUST_CHECK;

/** Nothing is found yet. */
void store_pending_begin(struct pending_read *pending);

/** Order by type and key. */
int own_change_compare(const void *a, const void *b);

#endif
