/* Reading own changes that were not read back (rule 18): rows of the outbox are read one by one,
 * and only the last change of each wanted entity is noted. */
#ifndef CONSUMER_STORE_PENDING_H
#define CONSUMER_STORE_PENDING_H

#include "consumer/store/store.h"

/** The reading of one range: either its waiting rows or its numbered ones. */
struct pending_pass {
    struct store *store;
    struct pending_read *pending;
    const struct pending_range *range;
    bool numbered;
    size_t open; /* wanted entities of which a later change may still be found */

    /* Where those that are found are listed: */
    bool lists;
    bool has_too_many;
    size_t size;   /* entities that there is room for */
    size_t sorted; /* those at the list's head that are sorted, each once */
    struct arena scratch;
};

/** Read the rows of a pass, waiting or numbered, and give each to pending_pass_row(), until
 * pending_pass_done(). */
typedef enum status pending_pass_read(struct pending_pass *pass, struct error *err);

/** Note a row. @param sequence  of a numbered row. @return OK; RETRY (memory). */
enum status pending_pass_row(struct pending_pass *pass, struct slice key, uint64_t sequence,
                             struct error *err) MUST_CHECK;

/** Make a waiting row's key canonical; the relay does so only when it claims the row.
 * @return OK; RETRY (memory). */
enum status pending_canonical(const struct entity_schema *schema, struct arena *scratch,
                              struct slice *key, struct error *err) MUST_CHECK;

/** @return whether the rest of the rows cannot change the result. */
bool pending_pass_done(const struct pending_pass *pass);

/** Read all ranges, after store_pending_begin(). Waiting rows are read before numbered ones: a row
 * that gets its number in between is then read once more, not missed. */
enum status store_read_pending(struct store *store, struct pending_read *pending,
                               pending_pass_read *read, struct error *err) MUST_CHECK;

/** Set every entity to "no own change found", or empty the list. */
void store_pending_begin(struct pending_read *pending);

/** Order by type and key. */
int own_change_compare(const void *a, const void *b);

#endif
