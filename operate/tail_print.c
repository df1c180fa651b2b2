/* Renders the records that `keepstep tail` reads. */
#include "operate/tail_print.h"

#include "common/base64.h"
#include "common/clock.h"
#include "common/plain.h"
#include "common/utf8.h"
#include "operate/member.h"
#include "schemas/change_text.h"

#include <inttypes.h>

static const char *const kind_names[] = {[KIND_CHANGE] = "change",
                                         [KIND_BARRIER] = "barrier",
                                         [KIND_HEARTBEAT] = "heartbeat",
                                         [KIND_VOID] = "void"};

/* @return "created", "void", "tombstone" …; what cannot be read is "UNREADABLE". */
static const char *tail_word(const struct tail_shown *shown)
{
    const struct change *change = shown->change;
    if (shown->reason != NULL)
        return "UNREADABLE";
    if (change->kind != KIND_CHANGE)
        return kind_names[change->kind];
    return change->record.value.data == NULL ? "tombstone" : change_op_name(change->op);
}

void tail_append_text(const struct tail_shown *shown, struct buffer *out)
{
    const struct change *change = shown->change;
    const struct record *record = &shown->tail->record;
    char time[CLOCK_TEXT_SIZE];
    int64_t time_us = change->time_us != 0 ? change->time_us : record->time_us;
    size_t before = out->length;
    clock_format_utc(time_us, time);
    buffer_append_format(out, "%s  %-9s  ", time_us == 0 ? "-" : time, tail_word(shown));
    plain_append(out, change->entity_key.length > 0 ? change->entity_key : record->key);
    buffer_append_text(out, "  ");
    if (shown->reason != NULL)
        plain_append(out, slice_of(shown->reason));
    else
        change_text_append(record->value, out);
    if (change->source.length > 0) {
        buffer_append_text(out, "  from ");
        plain_append(out, change->source);
    }
    if (change->sequence != 0)
        buffer_append_format(out, " #%" PRIu64, change->sequence);
    buffer_append_format(out, "  %s [%d] at %" PRId64, record->topic, (int)record->partition,
                         record->offset);
    for (size_t i = before; i < out->length; i++) { /* those of the values, too */
        if ((unsigned char)out->data[i] < 0x20)
            out->data[i] = ' ';
    }
    buffer_append_text(out, "\n");
}

static void tail_append_headers(const struct record *record, struct buffer *out)
{
    member_begin(out, "headers", "{");
    for (size_t i = 0; i < record->header_count; i++) {
        const struct header *header = &record->headers[i];
        bool is_text = utf8_is_valid(header->value);
        buffer_append_text(out, i == 0 ? "" : ",");
        struct slice name = utf8_is_valid(header->name) ? header->name : slice_of("?");
        buffer_append_json(out, name);
        if (!is_text) { /* "name" becomes "name_base64" */
            out->length--;
            buffer_append_text(out, "_base64\"");
        }
        buffer_append_text(out, ":");
        if (header->value.data == NULL) {
            buffer_append_text(out, "null");
        } else if (is_text) {
            buffer_append_json(out, header->value);
        } else {
            buffer_append_text(out, "\"");
            base64_append(out, header->value);
            buffer_append_text(out, "\"");
        }
    }
    buffer_append_text(out, "}");
}

static struct slice tail_or_null(struct slice text)
{
    return text.length == 0 ? (struct slice){0} : text;
}

static void tail_append_change(const struct tail_shown *shown, struct buffer *out)
{
    const struct change *change = shown->change;
    member_begin(out, "keepstep", "{");
    member_text(out, "what", slice_of(tail_word(shown)));
    member_bytes(out, "entity_type", tail_or_null(change->entity_type));
    member_bytes(out, "entity_key", tail_or_null(change->entity_key));
    member_bytes(out, "event_id", tail_or_null(change->id));
    member_bytes(out, "source", tail_or_null(change->source));
    member_bytes(out, "incarnation", tail_or_null(change->incarnation));
    if (change->sequence == 0)
        member_text(out, "sequence", (struct slice){0});
    else
        member_number(out, "sequence", (int64_t)change->sequence);
    member_time(out, "created_at", change->time_us);
    member_text(out, "error", shown->reason == NULL ? (struct slice){0} : slice_of(shown->reason));
    buffer_append_text(out, "}");
}

void tail_append_json(const struct tail_shown *shown, struct buffer *out)
{
    const struct record *record = &shown->tail->record;
    member_begin(out, NULL, "{");
    member_text(out, "topic", slice_of(record->topic));
    member_number(out, "partition", record->partition);
    member_number(out, "offset", record->offset);
    member_text(out, "tstype", slice_of(shown->tail->time_type));
    member_number(out, "ts", record->time_us / 1000);
    member_number(out, "broker", shown->tail->broker);
    tail_append_headers(record, out);
    member_bytes(out, "key", record->key);
    member_bytes(out, "payload", record->value);
    tail_append_change(shown, out);
    buffer_append_text(out, "}\n");
}
