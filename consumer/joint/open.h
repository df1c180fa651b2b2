/* The transactions that a service has read and not settled, in the order of their proposals. */
#ifndef CONSUMER_JOINT_OPEN_H
#define CONSUMER_JOINT_OPEN_H

#include "consumer/joint/joint.h"
#include "consumer/store/store.h"
#include "schemas/joint_decide.h"

#define JOINT_ARENA_BYTES ((size_t)4 * 1024 * 1024) /* for the changes of one transaction */

/** One of them. Its row in the database says the same. */
struct joint_open {
    struct joint_tally *tally; /* owned by the log */
    char *changes;             /* as the proposal has them; "": nothing is asked here */
    struct slice *wants;       /* entities that it changes here: type, a space and the key */
    size_t want_count;
    int32_t timeout_ms;
    enum joint_state state;
    char reason[JOINT_REASON_SIZE];
    bool withdrawn;
    bool late;
    bool lost_vote; /* the log has a vote of this service that the database does not know */
    int64_t
        since_us; /* monotonic: read, or loaded, by this process; the timeout counts from then */
    int64_t read_at_us; /* wall clock */
    int64_t decided_at_us;
    int64_t next_us; /* monotonic: it is tried or settled again then */
    int64_t backoff_us;
    bool is_told; /* that it has been waiting for long */
    /* Its row lacks what was read, or is not there at all (ahead.c). */
    bool row_is_behind;
    bool is_unnoted;
    /* Monotonic: until then its last state waits for what is reserved where a trigger of the
     * service's writes it; 0: it has met nothing. */
    int64_t row_until_us;
};

struct joint_opens {
    struct joint_open **items;
    size_t count;
    size_t size;
};

/** @return the type's mapping; NULL: it is none that others may ask to change. */
const struct mapping *joint_types_find(const struct joint_types *types, struct slice entity_type);

/** Add one, in the order of the proposals. @param changes  the array of all changes; may be empty.
 * @return OK; RETRY (no memory); FATAL (the stored changes cannot be read). */
enum status joint_opens_add(struct joint_opens *opens, const struct joint_open *open,
                            struct slice changes, struct error *err) MUST_CHECK;

/** Find which entities of a service a transaction changes, in canonical form where the type is
 * known. Statuses as above. */
enum status joint_open_find_wants(struct joint_open *open, const char *service,
                                  const struct joint_types *types, struct error *err) MUST_CHECK;

struct joint_open *joint_opens_find(const struct joint_opens *opens,
                                    const struct joint_tally *tally);
void joint_opens_remove(struct joint_opens *opens, const struct joint_open *open);
void joint_opens_done(struct joint_opens *opens);

/** @return whether this service has a part in it. */
static inline bool joint_open_has_part(const struct joint_open *open)
{
    return open->want_count > 0;
}

/** @return whether later ones wait for it. One that is refused or aborted, or that must not vote,
 * changes nothing here; what an aborted one still reserves their try meets. */
bool joint_open_holds(const struct joint_open *open);

/** @return how many are undecided. */
size_t joint_opens_undecided(const struct joint_opens *opens);

#endif
