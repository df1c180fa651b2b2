/* What the desk reads of its own service: positions and parked records in the database, numbers of
 * the agent and the relay in memory. */
#ifndef OPERATE_DESK_READING_H
#define OPERATE_DESK_READING_H

#include "operate/desk/desk.h"

/** The positions as one reading of the database has them. */
struct desk_positions {
    struct partition_state *states;
    int64_t *parked_from; /* parallel; -1: none is parked */
    size_t count;
    struct member_parked *parked; /* of those partitions that have any; topics are the states' */
    size_t parked_count;
    struct fill_state *fills;
    size_t fill_count;
};

struct desk_reading {
    struct store *store; /* NULL: open it first */
    char copy[STORE_TOKEN_SIZE];
    struct desk_positions now;
    struct desk_positions before;
    struct arena arena;         /* of the record, and of what is parked */
    int64_t taken_us;           /* monotonic; 0: nothing was read yet */
    unsigned long long commits; /* of the agent, before the last reading */
    size_t count;               /* readings so far */
    bool is_still;              /* the last two saw the same commits */
};

void desk_reading_init(struct desk_reading *reading);
void desk_reading_done(struct desk_reading *reading);

/** Read the database, if the agent has committed something since, or a while is over.
 * @return OK; RETRY; FATAL. After an error the session is closed. */
enum status desk_reading_take(struct desk_reading *reading, const struct desk_options *options,
                              struct error *err) MUST_CHECK;

/** @return whether there is a reading to report: the database was read twice. */
bool desk_reading_is_settled(const struct desk_reading *reading,
                             const struct desk_options *options);

/** Make the record from what was read; its time is 0. It is valid until the next call.
 * @param members  say whether this copy was complete once. */
enum status desk_reading_record(struct desk_reading *reading, const struct desk_options *options,
                                const struct members *members, struct member_record *ret_record,
                                struct error *err) MUST_CHECK;

#endif
