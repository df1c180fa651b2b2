/* A plan of topics, as people read it and as programs do. */
#ifndef OPERATE_TOPICS_REPORT_H
#define OPERATE_TOPICS_REPORT_H

#include "common/buffer.h"
#include "operate/topics/plan.h"

/** Append a table of what differs, and a last line that sums up.
 * @param all  the settings that are as they should be, too. */
void report_plan_text(const struct plan *plan, bool all, struct buffer *out);

/** Append one object with all settings of all topics. */
void report_plan_json(const struct plan *plan, struct buffer *out);

/** Append what was done to a topic: "created", "changed" or "kept", and what was not. @param before
 * the plan that was followed. */
void report_applied_text(const struct plan_topic *before, struct buffer *out);

#endif
