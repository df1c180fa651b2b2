/* What an operator does to joint transactions, behind the fence of their topic. */
#ifndef OPERATE_JOINT_EDIT_H
#define OPERATE_JOINT_EDIT_H

#include "common/arena.h"
#include "consumer/joint/joint.h"
#include "consumer/store/store.h"
#include "schemas/config/config.h"

/** What was asked for. */
struct joint_request {
    const struct config *config;
    struct store *store;
    struct joint_name name; /* of all verbs that take one */
    bool json;
    bool diverges; /* --diverge */
    int64_t wait_us;
};

/** The row of the name, as it is behind the fence. */
struct joint_kept {
    struct joint_row row; /* without its changes */
    struct arena arena;
    bool found;
};

/** Do it, in a transaction that the caller commits. @return OK; FATAL (it cannot be done: err says
 * why); what the store's slots return. */
typedef enum status joint_edit(const struct joint_request *request, struct joint_kept *kept,
                               struct error *err);

joint_edit joint_edit_withdraw; /* write a withdrawal: the log decides whether it came in time */
joint_edit joint_edit_retry;    /* let the sidecar try now what is held */
joint_edit joint_edit_release;  /* end it here, whatever the log says: needs --diverge */
joint_edit joint_edit_adopt;    /* take the database as it is: rule 69 */

/** Do it behind the fence, whose revision rises, so that the sidecar reads anew what it knows. A
 * database that is busy is waited for. @return OK; RETRY; FATAL. */
enum status joint_edit_do(const struct joint_request *request, joint_edit *edit,
                          struct error *err) MUST_CHECK;

/** @return FATAL, with the reason that there is no such transaction here. */
enum status joint_edit_no_row(const struct joint_request *request, struct error *err);

#endif
