/* Keeps in the control topic what a full comparison of an entity type has found. */
#ifndef OPERATE_VERIFY_VERDICT_H
#define OPERATE_VERIFY_VERDICT_H

#include "operate/members.h"
#include "operate/verify/verify.h"

/** What a record of verdicts is made of. */
struct verdict_input {
    const struct verify *verify;
    const struct verify_result *result;  /* that was not stopped */
    const struct quorum *quorum;         /* of the type: who is known now */
    const struct verdict_record *before; /* NULL: there is none */
    int64_t control_offset;
};

/** Make the record. A copy that was not compared keeps its verdict, with the reason beside it. So
 * does a different one that this comparison cannot find equal, because it is the reference, or the
 * reference is different itself, or something of it is parked; and one that did not take part, as
 * long as the control topic knows it. Pure; what `input` points
 * to outlives the record.
 * @return OK; RETRY (memory). */
enum status verdict_make(const struct verdict_input *input, struct arena *arena,
                         struct verdict_record *ret_record, struct error *err) MUST_CHECK;

/** Write the record of a comparison on top of the one that `members` know. Where somebody else has
 * written one since they were read, it is written again, on top of that one.
 * @param members  of the topic; they are read up to its end.
 * @return OK; ABORT (the topic was made anew); RETRY; REJECT (it is too large). */
enum status verdict_write(struct control_topic *topic, struct members *members,
                          const struct verify *verify, const struct verify_result *result,
                          struct error *err) MUST_CHECK;

/** What a repair has done at a copy, or through the log at a publisher. */
struct verdict_repair {
    struct members_type type;
    const char *service;
    const char *copy; /* its id, or MEMBER_NONE */
    int64_t rows;
};

/** Add to what the record knows of the copy the rows that were repaired there. @return as
 * verdict_write(). */
enum status verdict_write_repair(struct control_topic *topic, struct members *members,
                                 const struct verdict_repair *repair, struct error *err) MUST_CHECK;

#endif
