/* Writes verdicts. */
#include "operate/verdict_lines.h"

#include "common/clock.h"
#include "operate/member.h"

#include <inttypes.h>
#include <stdlib.h>

#define LINES_MINUTE_US (INT64_C(60) * 1000 * 1000)
#define LINES_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* Minutes from two minutes on, and so on: the reader wants to know whether it is long ago. */
static void lines_append_age(int64_t now_us, int64_t at_us, struct buffer *out)
{
    static const struct {
        int64_t from_us;
        int64_t unit_us;
        const char *name;
    } units[] = {{48 * 60 * LINES_MINUTE_US, 24 * 60 * LINES_MINUTE_US, "d"},
                 {120 * LINES_MINUTE_US, 60 * LINES_MINUTE_US, "h"},
                 {2 * LINES_MINUTE_US, LINES_MINUTE_US, "min"},
                 {INT64_MIN, INT64_C(1000) * 1000, "s"}};
    int64_t age_us = at_us < now_us ? now_us - at_us : 0;
    size_t unit = 0;
    while (age_us < units[unit].from_us)
        unit++;
    buffer_append_format(out, "%" PRId64 " %s ago", age_us / units[unit].unit_us, units[unit].name);
}

/* To the second: nobody compares more often. */
static void lines_append_time(int64_t time_us, struct buffer *out)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_utc(time_us, text);
    buffer_append_format(out, "%.19sZ", text);
}

static void lines_append_different(const struct verdict_copy *copy, struct buffer *out)
{
    int64_t rows = verdict_different_rows(copy);
    buffer_append_format(out, "DIFFERENT: %s%" PRId64 " row%s",
                         copy->counted_all ? "" : "at least ", rows, rows == 1 ? "" : "s");
    if (copy->equal_at_us == 0)
        return;
    buffer_append_text(out, ", last equal ");
    lines_append_time(copy->equal_at_us, out);
}

void verdict_append_text(const struct verdict_copy *copy, int64_t now_us, struct buffer *out)
{
    if (copy == NULL || copy->state == VERDICT_NONE) {
        buffer_append_text(out, "never verified");
        return;
    }
    if (copy->state == VERDICT_REFERENCE) {
        buffer_append_text(out, "the others were compared with it");
    } else if (copy->state == VERDICT_EQUAL) {
        buffer_append_text(out, "equal since ");
        lines_append_time(copy->equal_since_us, out);
    } else {
        lines_append_different(copy, out);
    }
    if (copy->left_out > 0)
        buffer_append_format(out, ", %" PRId64 " left out", copy->left_out);
    buffer_append_text(out, ", verified ");
    lines_append_age(now_us, copy->at_us, out);
}

bool verdict_is_skipped(const struct verdict_copy *copy)
{
    return copy != NULL && copy->skipped_at_us != 0;
}

void verdict_append_skipped(const struct verdict_copy *copy, int64_t now_us, struct buffer *out)
{
    buffer_append_text(out, "not compared ");
    lines_append_age(now_us, copy->skipped_at_us, out);
    buffer_append_format(out, ": %s", copy->skipped_reason);
}

void verdict_append_json(const struct verdict_copy *copy, struct buffer *out)
{
    if (copy == NULL) {
        member_text(out, "verify", (struct slice){0});
        return;
    }
    member_begin(out, "verify", "{");
    member_text(out, "verdict",
                copy->state == VERDICT_NONE ? (struct slice){0}
                                            : slice_of(verdict_state_name(copy->state)));
    member_time(out, "verified_at", copy->at_us);
    member_text(out, "asker", copy->asker[0] == '\0' ? (struct slice){0} : slice_of(copy->asker));
    member_text(out, "reference",
                copy->reference[0] == '\0' ? (struct slice){0} : slice_of(copy->reference));
    member_number(out, "rows", copy->rows);
    member_number(out, "differs", copy->differs);
    member_number(out, "missing", copy->missing);
    member_number(out, "extra", copy->extra);
    member_bool(out, "counted_all", copy->counted_all);
    member_number(out, "left_out", copy->left_out);
    member_time(out, "equal_since", copy->equal_since_us);
    member_time(out, "equal_at", copy->equal_at_us);
    member_time(out, "skipped_at", copy->skipped_at_us);
    member_text(out, "skipped_reason",
                copy->skipped_at_us == 0 ? (struct slice){0} : slice_of(copy->skipped_reason));
    buffer_append_text(out, "}");
}

void verdict_lines_init(struct verdict_lines *ret_lines)
{
    *ret_lines = (struct verdict_lines){0};
    buffer_init(&ret_lines->text, LINES_BYTES_MAX);
    buffer_init(&ret_lines->json, LINES_BYTES_MAX);
}

void verdict_lines_done(struct verdict_lines *lines)
{
    buffer_done(&lines->text);
    buffer_done(&lines->json);
}

/* What is written of one type. */
struct lines {
    struct verdict_lines *out;
    const struct members *members;
    const struct members_type *type;
    const struct verdict_record *verdict; /* NULL: nobody has compared the type yet */
    int64_t now_us;
};

static void lines_copy(struct lines *lines, const struct quorum_member *member)
{
    const struct verdict_copy *copy = verdict_find(lines->verdict, member->service, member->copy);
    member_begin(&lines->out->json, NULL, "{");
    member_text(&lines->out->json, "service", slice_of(member->service));
    member_text(&lines->out->json, "copy_id",
                strcmp(member->copy, MEMBER_NONE) == 0 ? (struct slice){0}
                                                       : slice_of(member->copy));
    verdict_append_json(copy, &lines->out->json);
    buffer_append_text(&lines->out->json, "}");
    lines->out->differs = lines->out->differs || (copy != NULL && copy->state == VERDICT_DIFFERENT);
    if (lines->verdict == NULL)
        return;
    buffer_append_format(&lines->out->text, "  %-10s %-10s ", lines->type->entity_type,
                         member->service);
    verdict_append_text(copy, lines->now_us, &lines->out->text);
    if (verdict_is_skipped(copy)) {
        buffer_append_text(&lines->out->text, "\n    ");
        verdict_append_skipped(copy, lines->now_us, &lines->out->text);
    }
    buffer_append_text(&lines->out->text, "\n");
}

static enum status lines_type(struct lines *lines, struct error *err)
{
    struct quorum quorum;
    enum status status = members_quorum(lines->members, lines->type, &quorum, err);
    lines->verdict = members_verdict(lines->members, lines->type);
    member_begin(&lines->out->json, NULL, "{");
    member_text(&lines->out->json, "entity_type", slice_of(lines->type->entity_type));
    member_text(&lines->out->json, "topic", slice_of(lines->type->topic));
    member_begin(&lines->out->json, "copies", "[");
    for (size_t i = 0; status == STATUS_OK && i < quorum.member_count; i++)
        lines_copy(lines, &quorum.members[i]);
    buffer_append_text(&lines->out->json, "]}");
    quorum_done(&quorum);
    return status;
}

static enum status lines_types(struct lines *lines, const struct config *config,
                               const struct members_type *types, size_t count, struct error *err)
{
    enum status status = STATUS_OK;
    member_begin(&lines->out->json, "types", "[");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        lines->type = &types[i];
        if (members_type_is_own(lines->type, config))
            status = lines_type(lines, err);
    }
    buffer_append_text(&lines->out->json, "]");
    return status;
}

enum status verdict_lines_append(struct verdict_lines *lines, const struct members *members,
                                 const struct config *config, struct error *err)
{
    struct members_type *types = NULL;
    size_t count = 0;
    struct lines writing = {.out = lines, .members = members, .now_us = clock_wall_us()};
    enum status status = members_types(members, &types, &count, err);
    if (status == STATUS_OK)
        status = lines_types(&writing, config, types, count, err);
    free(types);
    return status;
}
