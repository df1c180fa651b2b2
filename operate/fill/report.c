/* Writes the lines of `keepstep fill`. */
#include "operate/fill/report.h"

#include "common/clock.h"
#include "operate/member.h"
#include "operate/verify/report.h"

#define STAMP_NAMED 4 /* partitions whose offset people see */

static void append_offsets(struct buffer *out, const int64_t *offsets, int32_t count)
{
    for (int32_t i = 0; i < count && i < STAMP_NAMED; i++) {
        buffer_append_text(out, i == 0 ? "" : " ");
        report_number(out, (uint64_t)offsets[i]);
    }
    buffer_append_text(out, count > STAMP_NAMED ? " …" : "");
}

void fill_report_text(const struct fill_report *report, struct buffer *out)
{
    const struct fill_result *result = report->result;
    const struct fill_progress *progress = &result->progress;
    buffer_append_format(out, "%s at %s, from %s: ", report->options->topic,
                         report->options->copy->config->service,
                         report->options->source->config->service);
    report_number(out, progress->rows);
    buffer_append_format(out, " rows, %lld s\n", (long long)(report->took_us / 1000000));
    buffer_append_format(out, "  %d partition%s, stamp ", (int)result->partition_count,
                         result->partition_count == 1 ? "" : "s");
    append_offsets(out, result->stamp, result->partition_count);
    buffer_append_text(out, ", complete from ");
    append_offsets(out, result->filled_to, result->partition_count);
    buffer_append_text(out, " on\n");
    if (progress->cleared > 0) {
        buffer_append_text(out, "  ");
        report_number(out, progress->cleared);
        buffer_append_text(out, " rows were cleared before\n");
    }
    if (progress->own > 0) {
        buffer_append_text(out, "  ");
        report_number(out, progress->own);
        buffer_append_text(out, " rows were left to changes of this service that are under way\n");
    }
    buffer_append_format(out, "Next      keepstep run -c %s\n",
                         report->options->copy->config->path);
}

static void append_partitions(struct buffer *out, const struct fill_result *result)
{
    member_begin(out, "partitions", "[");
    for (int32_t i = 0; i < result->partition_count; i++) {
        member_begin(out, NULL, "{");
        member_number(out, "partition", i);
        member_number(out, "stamp_offset", result->stamp[i]);
        member_number(out, "filled_to", result->filled_to[i]);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "]");
}

void fill_report_json(const struct fill_report *report, struct buffer *out)
{
    const struct fill_result *result = report->result;
    member_begin(out, NULL, "{");
    member_time(out, "started_at", report->begun_us);
    member_text(out, "topic", slice_of(report->options->topic));
    member_text(out, "service", slice_of(report->options->copy->config->service));
    member_text(out, "source", slice_of(report->options->source->config->service));
    member_number(out, "rows", (int64_t)result->progress.rows);
    member_number(out, "keys", (int64_t)result->progress.keys);
    member_number(out, "left_to_own_changes", (int64_t)result->progress.own);
    member_number(out, "cleared", (int64_t)result->progress.cleared);
    member_number(out, "voids", result->voids);
    member_seconds(out, "took_s", (double)report->took_us / 1e6);
    append_partitions(out, result);
    buffer_append_text(out, "}\n");
}

void fill_asked_text(const char *service, const struct fill_state *fill, struct buffer *out)
{
    if (fill->stage == FILL_CANCELLED)
        buffer_append_format(out, "%s at %s: the fill is cancelled; the copy is as it was\n",
                             fill->topic, service);
    else
        buffer_append_format(out, "%s at %s, from %s: %lld rows\n", fill->topic, service,
                             fill->source, (long long)fill->rows);
}

void fill_asked_json(const char *service, const struct fill_state *fill, struct buffer *out)
{
    bool is_cancelled = fill->stage == FILL_CANCELLED;
    member_begin(out, NULL, "{");
    member_text(out, "topic", slice_of(fill->topic));
    member_text(out, "service", slice_of(service));
    member_text(out, "source", is_cancelled ? (struct slice){0} : slice_of(fill->source));
    member_text(out, "stage", slice_of(fill_stage_name(fill->stage)));
    member_known_number(out, "rows", is_cancelled ? -1 : fill->rows);
    buffer_append_text(out, "}\n");
}
