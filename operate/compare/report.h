/* Says what a comparison has found: for people, or as one line of JSON. */
#ifndef OPERATE_COMPARE_REPORT_H
#define OPERATE_COMPARE_REPORT_H

#include "common/buffer.h"
#include "operate/compare/compare.h"

/** One entity type's comparison. */
struct report {
    const char *entity_type;
    const struct participant *const *participants; /* the reference first */
    bool reference_publishes;
    const struct comparison *comparison;
    const char *const *paths; /* of each participant's configuration */
    const bool *applies;      /* parallel: whether it is a copy, which can be repaired */
    bool with_rows;
    int64_t at_us; /* when it began */
    double seconds;
};

/** Append some lines. Of many differences the first ones are named. */
void report_text(const struct report *report, struct buffer *out);

/** Append one line of JSON with all differences that were named. */
void report_json(const struct report *report, struct buffer *out);

/** Append a whole number with commas: 1,204,500. */
void report_number(struct buffer *out, uint64_t number);

#endif
