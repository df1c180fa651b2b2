/* Writes a row of keepstep_joint where triggers of the service's may refuse it. */
#ifndef CONSUMER_JOINT_ROW_H
#define CONSUMER_JOINT_ROW_H

#include "consumer/joint/joint.h"

/** What became of a row that was noted, as the slot note() says it. */
struct joint_noted {
    bool known;
    int64_t created_at_us;
};

/** A row that is to be written: noted, or marked. Borrowed. */
struct joint_row_writing {
    const struct joint_row *row;
    struct joint_noted *noted; /* NULL: it is marked */
    bool waits;                /* for what is reserved where a trigger writes it: that passes */
};

/** Write it; where a trigger refuses it, warn and write it without the triggers.
 * @param silently  without them at once, where the database can.
 * @return OK; REJECT (`waits`, and a trigger writes what another transaction reserves: nothing is
 * written, and what the transaction has done stays); RETRY (also: it is refused, and the database
 * writes none without its triggers); ABORT; FATAL (a trigger has ended the transaction). */
enum status joint_row_write(struct store *store, const struct joint_row_writing *writing,
                            bool silently, struct error *err) MUST_CHECK;

#endif
