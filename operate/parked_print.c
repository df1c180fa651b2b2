/* Prints what is parked, and whether other copies have applied it. */
#include "common/clock.h"
#include "common/utf8.h"
#include "operate/command.h"
#include "operate/control.h"
#include "operate/member.h"
#include "operate/parked_edit.h"
#include "operate/refusal.h"

#include <stdio.h>
#include <stdlib.h>

#define PARKED_OUTPUT_MAX ((size_t)256 * 1024 * 1024)

const char *parked_state_name(enum parked_state state)
{
    static const char *const names[] = {"held", "waiting", "behind", "skipped"};
    return names[state];
}

/* JSON holds only text: U+FFFD stands where bytes are none, as in the value of a foreign record. */
static void append_shown(struct buffer *out, struct slice bytes)
{
    struct buffer text;
    const char *end = bytes.data + bytes.length;
    if (utf8_is_valid(bytes)) {
        buffer_append_json(out, bytes);
        return;
    }
    buffer_init(&text, PARKED_OUTPUT_MAX);
    for (const char *at = bytes.data; at < end;) {
        size_t length = (unsigned char)*at < 0x80 ? 1 : utf8_sequence_length(at, end);
        if (length == 0)
            buffer_append_text(&text, "\xEF\xBF\xBD");
        else
            buffer_append(&text, at, length);
        at += length == 0 ? 1 : length;
    }
    out->failed = out->failed || text.failed;
    buffer_append_json(out, buffer_slice(&text));
    buffer_done(&text);
}

static void append_member_shown(struct buffer *out, const char *name, struct slice bytes)
{
    member_begin(out, name, bytes.data == NULL ? "null" : "");
    if (bytes.data != NULL)
        append_shown(out, bytes);
}

void parked_append_json(const struct parked_record *parked, bool whole,
                        const struct refusal *refusal, struct buffer *out)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format_utc(parked->parked_at_us, time);
    member_begin(out, NULL, "{");
    member_number(out, "parked_id", parked->parked_id);
    member_text(out, "state", slice_of(parked_state_name(parked->state)));
    append_member_shown(out, "entity_type", parked->entity_type);
    append_member_shown(out, "entity_key", parked->entity_key);
    member_text(out, "topic", slice_of(parked->record.topic));
    member_number(out, "partition", parked->record.partition);
    member_number(out, "offset", parked->record.offset);
    member_number(out, "code", parked->code);
    member_number(out, "attempts", parked->attempts);
    member_number(out, "changeset_size", (int64_t)parked->set_size);
    member_text(out, "parked_at", slice_of(time));
    append_member_shown(out, "reason", parked->reason);
    refusal_append_json(refusal, out);
    if (whole) {
        append_member_shown(out, "key", parked->record.key);
        append_member_shown(out, "value", parked->record.value);
        member_begin(out, "headers", "{");
        for (size_t i = 0; i < parked->record.header_count; i++) {
            buffer_append_text(out, i == 0 ? "" : ",");
            append_shown(out, parked->record.headers[i].name);
            buffer_append_text(out, ":");
            append_shown(out, parked->record.headers[i].value);
        }
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "}");
}

static void parked_render_refusal(const struct parked_record *parked,
                                  const struct parked_request *request,
                                  const struct refusal *refusal, struct buffer *out)
{
    struct buffer text;
    bool refused = parked->state == PARKED_HELD || parked->state == PARKED_WAITING;
    if (refusal == NULL || !refused)
        return;
    buffer_init(&text, PARKED_OUTPUT_MAX);
    refusal_append_text(request->config->service, refusal, &text);
    if (text.length > 0)
        buffer_append_format(out, "%s%s\n",
                             strcmp(request->verb, "show") == 0 ? "others    " : "    ",
                             buffer_text(&text));
    buffer_done(&text);
}

static void parked_render_text(const struct parked_record *parked, bool whole, struct buffer *out)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format_utc(parked->parked_at_us, time);
    char size[32] = "";
    if (parked->set_size > 1)
        (void)snprintf(size, sizeof size, "set of %zu; ", parked->set_size);
    buffer_append_format(out, "%-8lld %-8s %-16.*s %-24.*s %-8d %s%.*s\n",
                         (long long)parked->parked_id, parked_state_name(parked->state),
                         SLICE_ARGS(parked->entity_type), SLICE_ARGS(parked->entity_key),
                         parked->attempts, size, SLICE_ARGS(parked->reason));
    if (!whole)
        return;
    buffer_append_format(out, "record    %s [%d] at offset %lld\nparked    %s\ncode      %d\n",
                         parked->record.topic, (int)parked->record.partition,
                         (long long)parked->record.offset, time, parked->code);
    for (size_t i = 0; i < parked->record.header_count; i++)
        buffer_append_format(out, "header    %.*s: %.*s\n",
                             SLICE_ARGS(parked->record.headers[i].name),
                             SLICE_ARGS(parked->record.headers[i].value));
    buffer_append_format(out, "key       %.*s\nvalue     %.*s\n", SLICE_ARGS(parked->record.key),
                         SLICE_ARGS(parked->record.value));
}

/* What else is of the record's transaction. */
static enum status parked_render_set(struct store *store, const struct parked_record *parked,
                                     struct buffer *out, struct error *err)
{
    struct parked_list set;
    if (parked->changeset_end == 0)
        return STATUS_OK;
    parked_list_init(&set);
    enum status status = parked_read_set(store, parked, &set, err);
    for (size_t i = 0; i < set.read.count && status == STATUS_OK; i++) {
        const struct parked_record *record = &set.read.records[i];
        buffer_append_format(out, "set       %lld %s %.*s %.*s: %.*s\n",
                             (long long)record->parked_id, parked_state_name(record->state),
                             SLICE_ARGS(record->entity_type), SLICE_ARGS(record->entity_key),
                             SLICE_ARGS(record->reason));
    }
    parked_list_done(&set);
    return status;
}

/* What the other copies say. Without it the records are printed all the same. */
struct parked_others {
    const struct config *config;
    struct control control;
    struct store_meta meta;
    struct members_type *types; /* NULL: nothing is known */
    size_t count;
    size_t current; /* the type that `quorum` is of; `count`: none yet */
    struct quorum quorum;
};

static void parked_others_read(struct store *store, const struct config *config,
                               struct parked_others *ret_others)
{
    struct error ignored = ERROR_INIT;
    *ret_others = (struct parked_others){.config = config};
    enum status status = control_open(config, &command_stop, &ret_others->control, &ignored);
    if (status == STATUS_OK)
        status = store->ops->meta(store, &ret_others->meta, &ignored);
    if (status == STATUS_OK)
        status = members_types(&ret_others->control.members, &ret_others->types, &ret_others->count,
                               &ignored);
    ret_others->current = ret_others->count;
}

static void parked_others_done(struct parked_others *others)
{
    quorum_done(&others->quorum);
    free(others->types);
    control_close(&others->control);
}

/* A record that cannot be read has no type; it concerns all copies of the topic alike. */
static size_t parked_others_type(const struct parked_others *others,
                                 const struct parked_record *parked)
{
    size_t index = 0;
    while (index < others->count &&
           (strcmp(others->types[index].topic, parked->record.topic) != 0 ||
            (parked->entity_type.length > 0 &&
             !slice_is(parked->entity_type, others->types[index].entity_type))))
        index++;
    return index;
}

/* @return whether the other copies are known; then what they have done with the record. */
static bool parked_others_find(struct parked_others *others, const struct parked_record *parked,
                               struct refusal *ret_refusal)
{
    struct error ignored = ERROR_INIT;
    size_t type = parked_others_type(others, parked);
    if (type == others->count)
        return false;
    if (type != others->current) {
        quorum_done(&others->quorum);
        others->current = others->count;
        if (members_quorum(&others->control.members, &others->types[type], &others->quorum,
                           &ignored) != STATUS_OK)
            return false;
        others->current = type;
    }
    *ret_refusal = refusal_of_copy(&others->quorum, others->config->service, others->meta.copy_id,
                                   &parked->record);
    return true;
}

enum status parked_print(struct store *store, const struct parked_record *records, size_t count,
                         const struct parked_request *request, struct error *err)
{
    bool whole = strcmp(request->verb, "show") == 0;
    enum status status = STATUS_OK;
    struct parked_others others = {0};
    struct buffer out;
    buffer_init(&out, PARKED_OUTPUT_MAX);
    if (count > 0)
        parked_others_read(store, request->config, &others);
    if (!request->json)
        buffer_append_format(&out, "%-8s %-8s %-16s %-24s %-8s %s\n", "ID", "STATE", "TYPE", "KEY",
                             "ATTEMPTS", "REASON");
    for (size_t i = 0; i < count; i++) {
        struct refusal refusal;
        bool known = parked_others_find(&others, &records[i], &refusal);
        if (request->json) {
            parked_append_json(&records[i], whole, known ? &refusal : NULL, &out);
            buffer_append_text(&out, "\n");
            continue;
        }
        parked_render_text(&records[i], whole, &out);
        if (whole && status == STATUS_OK)
            status = parked_render_set(store, &records[i], &out, err);
        parked_render_refusal(&records[i], request, known ? &refusal : NULL, &out);
    }
    if (status == STATUS_OK && out.failed)
        status = error_set(err, STATUS_FATAL, "no memory for the output");
    else if (status == STATUS_OK)
        command_print(&out, request->json);
    parked_others_done(&others);
    buffer_done(&out);
    return status;
}
