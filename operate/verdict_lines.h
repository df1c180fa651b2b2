/* Says what the control topic knows of the equality of copies: for people and as JSON. */
#ifndef OPERATE_VERDICT_LINES_H
#define OPERATE_VERDICT_LINES_H

#include "operate/members.h"

/** Append what the last verify has found of a copy: "equal since …, verified 12 s ago".
 * @param copy  NULL: nothing is known of it. @param now_us  wall clock. */
void verdict_append_text(const struct verdict_copy *copy, int64_t now_us, struct buffer *out);

/** @return whether the copy could not be compared since; then verdict_append_skipped() says why. */
bool verdict_is_skipped(const struct verdict_copy *copy);
void verdict_append_skipped(const struct verdict_copy *copy, int64_t now_us, struct buffer *out);

/** Append the member "verify": an object, or null where nothing is known. */
void verdict_append_json(const struct verdict_copy *copy, struct buffer *out);

/** Where they are written to. */
struct verdict_lines {
    struct buffer text; /* for people; empty where nothing was verified yet */
    struct buffer json; /* the member "types"; not whole after an error */
    bool differs;       /* a copy is different */
};

void verdict_lines_init(struct verdict_lines *ret_lines);
void verdict_lines_done(struct verdict_lines *lines);

/** Append what is known of the types that a service publishes or applies.
 * @return OK; RETRY (memory). */
enum status verdict_lines_append(struct verdict_lines *lines, const struct members *members,
                                 const struct config *config, struct error *err) MUST_CHECK;

#endif
