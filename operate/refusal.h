/* Tells an event that one copy refuses from one that all refuse: by what the other copies of its
 * type report (rule 45). */
#ifndef OPERATE_REFUSAL_H
#define OPERATE_REFUSAL_H

#include "common/buffer.h"
#include "operate/quorum.h"
#include "schemas/change.h"

/** How many of the other copies have done what with one record of the log. */
struct refusal {
    size_t applied; /* or skipped it */
    size_t parked;  /* they refuse it too, or it waits there behind one that they refuse */
    size_t behind;  /* they have not read it yet */
    size_t unknown; /* more is parked there than they report */
};

/** @param own  the number of the copy that asks; it is not counted. */
struct refusal refusal_find(const struct quorum *quorum, size_t own, int32_t partition,
                            int64_t offset);

/** The same, for a record that is parked at the copy of a service. */
struct refusal refusal_of_copy(const struct quorum *quorum, const char *service, const char *copy,
                               const struct record *record);

/** Append one sentence: "billing alone refuses it: 2 other copies have applied it". Nothing where
 * there is no other copy. */
void refusal_append_text(const char *service, const struct refusal *refusal, struct buffer *out);

/** Append the member "other_copies". @param refusal  NULL: it is not known. */
void refusal_append_json(const struct refusal *refusal, struct buffer *out);

#endif
