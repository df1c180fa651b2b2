/* Writes the lines of `keepstep verify`. */
#include "operate/verify/report.h"

#include "common/clock.h"
#include "operate/member.h"

#include <inttypes.h>
#include <stdio.h>

#define REPORT_DIFFERENCES_MAX 20 /* named for people, of each copy */
#define REPORT_KEYS_MAX        5  /* named for people, of those that were left out for one reason */
#define REPORT_LEFT_MAX        10000 /* named in JSON */

void report_number(struct buffer *out, uint64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buffer_append_text(out, ",");
        buffer_append(out, &digits[i], 1);
    }
}

static const char *report_name(const struct report *report, size_t index)
{
    return report->verify->members[index].label;
}

static double report_seconds(const struct report *report)
{
    return (double)(report->result->ended_us - report->result->started_us) / 1e6;
}

/* The counts of a copy, "1 differs, 2 are missing". */
static void report_counts(const struct copy_result *copy, struct buffer *out)
{
    static const char *const words[DIFFERENCE_KINDS][2] = {
        [DIFFERENCE_VALUE] = {"differs", "differ"},
        [DIFFERENCE_MISSING] = {"is missing", "are missing"},
        [DIFFERENCE_EXTRA] = {"too many", "too many"}};
    const char *separator = copy->is_partial ? " at least " : " ";
    for (size_t kind = 0; kind < DIFFERENCE_KINDS; kind++) {
        if (copy->counts[kind] == 0)
            continue;
        buffer_append_text(out, separator);
        report_number(out, copy->counts[kind]);
        buffer_append_format(out, " %s", words[kind][copy->counts[kind] != 1]);
        separator = ", ";
    }
}

static void report_row(const char *name, struct slice row, struct buffer *out)
{
    if (row.data != NULL)
        buffer_append_format(out, "      %-10s %.*s\n", name, SLICE_ARGS(row));
}

static void report_difference(const struct report *report, size_t index,
                              const struct difference *difference, struct buffer *out)
{
    const char *copy = report_name(report, index);
    buffer_append_format(out, "    %.*s   ", SLICE_ARGS(difference->key));
    if (difference->kind == DIFFERENCE_VALUE)
        buffer_append_text(out, "differs\n");
    else if (difference->kind == DIFFERENCE_MISSING)
        buffer_append_format(out, "missing at %s\n", copy);
    else
        buffer_append_format(out, "only at %s\n", copy);
    if (!report->with_rows)
        return;
    report_row(report_name(report, 0), difference->reference_row, out);
    report_row(copy, difference->copy_row, out);
}

static void report_copy(const struct report *report, size_t index, struct buffer *out)
{
    const struct copy_result *copy = &report->result->comparison.copies[index];
    buffer_append_format(out, "  %-10s ", report_name(report, index));
    if (copy->state == COPY_NOT_COMPARED) {
        buffer_append_format(out, "not compared: %s\n", copy->reason);
        return;
    }
    if (copy->state == COPY_EQUAL) {
        buffer_append_text(out, "equal\n");
        return;
    }
    buffer_append_text(out, "DIFFERENT:");
    report_counts(copy, out);
    if (copy->reason[0] != '\0')
        buffer_append_format(out, "; not compared to the end: %s", copy->reason);
    buffer_append_text(out, "\n");
    size_t named = copy->difference_count < REPORT_DIFFERENCES_MAX ? copy->difference_count
                                                                   : REPORT_DIFFERENCES_MAX;
    for (size_t i = 0; i < named; i++)
        report_difference(report, index, &copy->differences[i], out);
    if (named < copy->difference_count)
        buffer_append_text(out, "    … --json names more of them\n");
}

static bool report_is_left(const struct left_entity *entity, enum left_reason reason, size_t where)
{
    return entity->pending != 0 && entity->reason == reason && entity->where == where;
}

/* One reason at one participant: how many entities, and the first of them. */
static void report_left_for(const struct report *report, enum left_reason reason, size_t where,
                            struct buffer *out)
{
    static const char *const words[] = {[LEFT_CHANGED] = "changing, or not applied yet, at",
                                        [LEFT_OWN] = "waiting in the outbox of",
                                        [LEFT_IMAGE] = "changed by itself and others at",
                                        [LEFT_PARKED] = "parked at"};
    const struct left_out *left_out = &report->result->comparison.left_out;
    size_t count = 0;
    for (size_t i = 0; i < left_out->count; i++)
        count += report_is_left(&left_out->entities[i], reason, where);
    if (count == 0)
        return;
    buffer_append_text(out, "  left out   ");
    report_number(out, count);
    buffer_append_format(out, " %s %s:", words[reason], report_name(report, where));
    size_t named = 0;
    for (size_t i = 0; i < left_out->count && named < REPORT_KEYS_MAX; i++) {
        const struct left_entity *entity = &left_out->entities[i];
        if (!report_is_left(entity, reason, where))
            continue;
        buffer_append_format(out, " %.*s", SLICE_ARGS(entity->key));
        named++;
    }
    buffer_append_text(out, named < count ? " …\n" : "\n");
}

/* Verify does not know who is right, so the words say whose rows change. A copy is repaired where
 * its database is, so without its configuration the command is for somebody else. */
static void report_next(const struct report *report, struct buffer *out)
{
    const struct verify_member *members = report->verify->members;
    const char *source = members[0].participant->name;
    const char *from = members[0].path == NULL ? source : members[0].path;
    const char *label = "Next";
    for (size_t i = 1; i < report->result->comparison.count; i++) {
        if (report->result->comparison.copies[i].state != COPY_DIFFERENT || !members[i].applies)
            continue;
        if (members[i].path != NULL)
            buffer_append_format(out, "%-9s keepstep repair %s -c %s --from %s\n", label,
                                 report->verify->entity_type, members[i].path, from);
        else
            buffer_append_format(out, "%-9s at %s: keepstep repair %s --from %s\n", label,
                                 report_name(report, i), report->verify->entity_type, source);
        label = "";
    }
}

void report_text(const struct report *report, struct buffer *out)
{
    const struct comparison *comparison = &report->result->comparison;
    double seconds = report_seconds(report);
    buffer_append_format(out, "%-9s ", report->verify->entity_type);
    report_number(out, comparison->rows);
    buffer_append_format(out, " rows at %s%s, %.*f s\n", report_name(report, 0),
                         report->verify->members[0].publishes ? " (publishes it)" : "",
                         seconds < 10 ? 1 : 0, seconds);
    for (size_t i = 1; i < comparison->count; i++)
        report_copy(report, i, out);
    if (comparison->compared_by_key > 0) {
        buffer_append_text(out, "  left out   ");
        report_number(out, comparison->compared_by_key);
        buffer_append_text(out, " changed meanwhile, then compared by key\n");
    }
    for (size_t where = 0; where < comparison->count; where++) {
        for (int reason = LEFT_CHANGED; reason <= LEFT_PARKED; reason++)
            report_left_for(report, (enum left_reason)reason, where, out);
    }
    report_next(report, out);
}

static void report_json_participant(const struct report *report, size_t index, struct buffer *out)
{
    const struct participant *participant = report->verify->members[index].participant;
    member_text(out, "service", slice_of(participant->name));
    member_text(out, "copy_id",
                participant->copy[0] == '\0' ? (struct slice){0} : slice_of(participant->copy));
}

static void report_json_copy(const struct report *report, size_t index, struct buffer *out)
{
    static const char *const states[] = {[COPY_EQUAL] = "equal",
                                         [COPY_DIFFERENT] = "different",
                                         [COPY_NOT_COMPARED] = "not compared"};
    static const char *const kinds[DIFFERENCE_KINDS] = {[DIFFERENCE_VALUE] = "differs",
                                                        [DIFFERENCE_MISSING] = "missing",
                                                        [DIFFERENCE_EXTRA] = "extra"};
    const struct copy_result *copy = &report->result->comparison.copies[index];
    member_begin(out, NULL, "{");
    report_json_participant(report, index, out);
    member_word(out, "verdict", states[copy->state]);
    member_text(out, "reason",
                copy->reason[0] == '\0' ? (struct slice){0} : slice_of(copy->reason));
    member_number(out, "differs", (int64_t)copy->counts[DIFFERENCE_VALUE]);
    member_number(out, "missing", (int64_t)copy->counts[DIFFERENCE_MISSING]);
    member_number(out, "extra", (int64_t)copy->counts[DIFFERENCE_EXTRA]);
    member_bool(out, "counted_all", !copy->is_partial);
    member_begin(out, "differences", "[");
    for (size_t i = 0; i < copy->difference_count; i++) {
        const struct difference *difference = &copy->differences[i];
        member_begin(out, NULL, "{");
        member_text(out, "entity_key", difference->key);
        member_text(out, "difference", slice_of(kinds[difference->kind]));
        if (report->with_rows) {
            member_json(out, "reference_row", difference->reference_row, "null");
            member_json(out, "row", difference->copy_row, "null");
        }
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]}");
}

static void report_json_left(const struct report *report, struct buffer *out)
{
    static const char *const reasons[] = {[LEFT_CHANGED] = "changing",
                                          [LEFT_OWN] = "waiting",
                                          [LEFT_IMAGE] = "superseded",
                                          [LEFT_PARKED] = "parked"};
    const struct left_out *left_out = &report->result->comparison.left_out;
    int64_t count = 0;
    member_number(out, "compared_by_key", (int64_t)report->result->comparison.compared_by_key);
    member_begin(out, "left_out_entities", "[");
    for (size_t i = 0; i < left_out->count; i++) {
        const struct left_entity *entity = &left_out->entities[i];
        if (entity->pending == 0 || ++count > REPORT_LEFT_MAX)
            continue;
        member_begin(out, NULL, "{");
        member_text(out, "entity_key", entity->key);
        member_text(out, "reason", slice_of(reasons[entity->reason]));
        report_json_participant(report, entity->where, out);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
    member_number(out, "left_out", count);
}

void report_json(const struct report *report, struct buffer *out)
{
    member_begin(out, NULL, "{");
    member_time(out, "started_at", report->result->started_us);
    member_text(out, "entity_type", slice_of(report->verify->entity_type));
    member_text(out, "topic", slice_of(report->verify->members[0].participant->topic));
    member_text(out, "reference", slice_of(report->verify->members[0].participant->name));
    member_bool(out, "reference_publishes", report->verify->members[0].publishes);
    member_number(out, "rows", (int64_t)report->result->comparison.rows);
    member_seconds(out, "took_s", report_seconds(report));
    member_begin(out, "copies", "[");
    for (size_t i = 1; i < report->result->comparison.count; i++)
        report_json_copy(report, i, out);
    buffer_append_text(out, "]");
    report_json_left(report, out);
    buffer_append_text(out, "}\n");
}
