/* Says what a comparison has found: for people, or as one line of JSON. */
#ifndef OPERATE_VERIFY_REPORT_H
#define OPERATE_VERIFY_REPORT_H

#include "common/buffer.h"
#include "operate/verify/verify.h"

/** One entity type's comparison. */
struct report {
    const struct verify *verify;
    const struct verify_result *result;
    bool with_rows;
};

/** Append some lines. Of many differences the first ones are named. */
void report_text(const struct report *report, struct buffer *out);

/** Append one line of JSON with all differences that were named. */
void report_json(const struct report *report, struct buffer *out);

/** Append a whole number with commas: 1,204,500. */
void report_number(struct buffer *out, uint64_t number);

#endif
