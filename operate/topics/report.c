/* Writes plans of topics. */
#include "operate/topics/report.h"

#include "operate/member.h"

#include <string.h>

static const char *report_verdict_name(enum plan_verdict verdict)
{
    static const char *const names[] = {
        [PLAN_SAME] = "same", [PLAN_CHANGE] = "change", [PLAN_REFUSED] = "refused"};
    return names[verdict];
}

static const char *report_state_name(enum plan_state state)
{
    static const char *const names[] = {
        [PLAN_MISSING] = "missing", [PLAN_THERE] = "there", [PLAN_UNKNOWN] = "unknown"};
    return names[state];
}

static const char *report_or(const char *text, const char *none)
{
    return *text == '\0' ? none : text;
}

struct report_widths {
    int setting;
    int is;
    int should;
};

static void report_widen(int *width, const char *text)
{
    if ((int)strlen(text) > *width)
        *width = (int)strlen(text);
}

static bool report_shows(const struct plan_topic *topic, const struct plan_line *line, bool all)
{
    return topic->state != PLAN_UNKNOWN && (all || line->verdict != PLAN_SAME);
}

static struct report_widths report_widths(const struct plan *plan, bool all)
{
    struct report_widths widths = {7, 2, 9};
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *topic = &plan->topics[i];
        for (size_t j = 0; j < topic->line_count; j++) {
            const struct plan_line *line = &topic->lines[j];
            if (!report_shows(topic, line, all))
                continue;
            report_widen(&widths.setting, line->name);
            report_widen(&widths.is, line->is);
            report_widen(&widths.should, line->should);
        }
    }
    return widths;
}

static void report_row(const struct report_widths *widths, const char *const cells[static 4],
                       struct buffer *out)
{
    buffer_append_format(out, "  %-*s  %-*s  %-*s  %s\n", widths->setting, cells[0], widths->is,
                         cells[1], widths->should, cells[2], cells[3]);
}

static void report_line(const struct plan_line *line, const struct report_widths *widths,
                        struct buffer *out)
{
    const char *const cells[] = {line->name, report_or(line->is, "-"),
                                 report_or(line->should, "any"), line->reason};
    report_row(widths, cells, out);
    if (line->verdict == PLAN_REFUSED)
        buffer_append_format(out, "    not changed by `apply`: %s\n", line->why);
}

static void report_topic(const struct plan_topic *topic, const struct report_widths *widths,
                         bool all, struct buffer *out)
{
    static const char *const head[] = {"SETTING", "IS", "SHOULD BE", "WHY"};
    bool is_read = topic->read_type != NULL;
    bool has_lines = topic->state == PLAN_THERE || (topic->state == PLAN_MISSING && !is_read);
    if (topic->state == PLAN_THERE && !plan_topic_differs(topic) && !all)
        return;
    buffer_append_format(out, "%s topic %s%s%s%s\n", topic_kind_name(topic->kind), topic->name,
                         is_read ? ", which another service publishes," : "",
                         topic->state == PLAN_MISSING ? " does not exist yet"
                         : topic->state == PLAN_THERE ? ""
                                                      : " is not known: ",
                         topic->problem);
    if (has_lines)
        report_row(widths, head, out);
    for (size_t i = 0; has_lines && i < topic->line_count; i++) {
        if (report_shows(topic, &topic->lines[i], all))
            report_line(&topic->lines[i], widths, out);
    }
    buffer_append_text(out, "\n");
}

/* How many topics are in which state. */
static void report_sum(const struct plan *plan, struct buffer *out)
{
    size_t missing = 0;
    size_t unknown = 0;
    size_t change = 0;
    size_t refused = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *topic = &plan->topics[i];
        missing += topic->state == PLAN_MISSING && topic->read_type == NULL;
        unknown += topic->state == PLAN_UNKNOWN;
        change += topic->state == PLAN_THERE ? plan_count(topic, PLAN_CHANGE) : 0;
        refused += topic->state == PLAN_THERE ? plan_count(topic, PLAN_REFUSED) : 0;
    }
    if (missing + unknown + change + refused == 0)
        buffer_append_format(out, "%zu topics are as they should be\n", plan->count);
    else
        buffer_append_format(out,
                             "%zu topics: %zu to make, %zu settings to change, %zu that `apply` "
                             "does not change, %zu topics not known\n",
                             plan->count, missing, change, refused, unknown);
}

void report_plan_text(const struct plan *plan, bool all, struct buffer *out)
{
    const struct report_widths widths = report_widths(plan, all);
    for (size_t i = 0; i < plan->count; i++)
        report_topic(&plan->topics[i], &widths, all, out);
    report_sum(plan, out);
}

static struct slice report_or_null(const char *text)
{
    return *text == '\0' ? (struct slice){0} : slice_of(text);
}

static void report_line_json(const struct plan_line *line, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_text(out, "setting", slice_of(line->name));
    member_text(out, "is", report_or_null(line->is));
    member_text(out, "should_be", report_or_null(line->should));
    member_text(out, "verdict", slice_of(report_verdict_name(line->verdict)));
    member_text(out, "reason", slice_of(line->reason));
    member_text(out, "refused", report_or_null(line->why));
    buffer_append_text(out, "}");
}

void report_plan_json(const struct plan *plan, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_bool(out, "different", plan_differs(plan));
    member_begin(out, "topics", "[");
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *topic = &plan->topics[i];
        member_begin(out, NULL, "{");
        member_text(out, "topic", slice_of(topic->name));
        member_text(out, "kind", slice_of(topic_kind_name(topic->kind)));
        member_bool(out, "own", topic->read_type == NULL);
        member_text(out, "state", slice_of(report_state_name(topic->state)));
        member_text(out, "reason", report_or_null(topic->problem));
        member_begin(out, "settings", "[");
        for (size_t j = 0; topic->state != PLAN_UNKNOWN && j < topic->line_count; j++)
            report_line_json(&topic->lines[j], out);
        buffer_append_text(out, "]}");
    }
    buffer_append_text(out, "]}\n");
}

void report_applied_text(const struct plan_topic *before, struct buffer *out)
{
    if (before->read_type != NULL && !plan_topic_differs(before))
        return;
    if (before->state == PLAN_MISSING)
        buffer_append_format(out, "created  %s with %d partition%s\n", before->name,
                             (int)before->partitions, before->partitions == 1 ? "" : "s");
    else if (plan_count(before, PLAN_CHANGE) == 0 && before->read_type == NULL)
        buffer_append_format(out, "kept     %s\n", before->name);
    for (size_t i = 0; before->state == PLAN_THERE && i < before->line_count; i++) {
        const struct plan_line *line = &before->lines[i];
        if (line->verdict == PLAN_CHANGE)
            buffer_append_format(out, "changed  %s: %s from %s to %s\n", before->name, line->name,
                                 line->is, line->should);
        else if (line->verdict == PLAN_REFUSED)
            buffer_append_format(out, "refused  %s: %s stays %s, not %s: %s\n", before->name,
                                 line->name, line->is, line->should, line->why);
    }
}
