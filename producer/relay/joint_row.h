/* Rows of the outbox that are records of joint transactions: they have no entity schema, and their
 * kind stands in a header. */
#ifndef PRODUCER_RELAY_JOINT_ROW_H
#define PRODUCER_RELAY_JOINT_ROW_H

#include "producer/outbox/outbox.h"

/** @return whether the row is one. */
bool joint_row_is(const struct outbox_row *row);

/** @return what ce_kind says of it; data NULL: its type is no kind's. Borrowed. */
struct slice joint_row_kind(const struct outbox_row *row);

/** Write the row's key in its canonical form. @return OK; REJECT (it is no name); RETRY. */
enum status joint_row_make_canonical(struct outbox_row *row, struct arena *arena,
                                     struct error *err) MUST_CHECK;

/** Check type and payload as every reader will. @return OK; REJECT; RETRY. */
enum status joint_row_check(const struct outbox_row *row, struct error *err) MUST_CHECK;

#endif
