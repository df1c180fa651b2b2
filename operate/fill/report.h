/* Says what a fill has done: for people, or as one line of JSON. */
#ifndef OPERATE_FILL_REPORT_H
#define OPERATE_FILL_REPORT_H

#include "common/buffer.h"
#include "operate/fill/local.h"

struct fill_report {
    const struct fill_options *options;
    const struct fill_result *result;
    int64_t begun_us; /* wall clock */
    int64_t took_us;
};

/** Append some lines; the last one says what comes next. */
void fill_report_text(const struct fill_report *report, struct buffer *out);

/** Append one line of JSON. */
void fill_report_json(const struct fill_report *report, struct buffer *out);

/** The same of a fill that the running agent was asked for, or that was taken back.
 * @param service  whose copy it is. */
void fill_asked_text(const char *service, const struct fill_state *fill, struct buffer *out);
void fill_asked_json(const char *service, const struct fill_state *fill, struct buffer *out);

#endif
