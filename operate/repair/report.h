/* Says what a repair has done: for people, or as one line of JSON. */
#ifndef OPERATE_REPAIR_REPORT_H
#define OPERATE_REPAIR_REPORT_H

#include "common/buffer.h"
#include "operate/repair/repair.h"

/** Append some lines, one an entity. */
void repair_report_text(const struct repair *repair, struct buffer *out);

/** Append one line of JSON. @param at_us  when the repair began. */
void repair_report_json(const struct repair *repair, int64_t at_us, struct buffer *out);

#endif
