/* Parts of an answer: entries are appended until the next one would not fit. */
#include "schemas/talk_parts.h"

#include "schemas/talk_internal.h"

#include <inttypes.h>

#define PARTS_END_BYTES 2 /* the closing brackets */

void talk_parts_begin(struct talk_parts *parts)
{
    parts->count = 0;
    parts->entries = 0;
    parts->is_open = false;
    buffer_init(&parts->out, TALK_MESSAGE_BYTES_MAX);
}

void talk_parts_done(struct talk_parts *parts)
{
    buffer_done(&parts->out);
}

enum status talk_parts_end(struct talk_parts *parts, struct error *err)
{
    if (!parts->is_open)
        return STATUS_OK;
    parts->is_open = false;
    buffer_append_text(&parts->out, "]}");
    if (parts->out.failed)
        return error_set(err, STATUS_RETRY, "no memory for an answer");
    return parts->write(parts->context, slice_of(parts->id), buffer_slice(&parts->out), err);
}

static void talk_parts_open_next(struct talk_parts *parts)
{
    struct buffer *out = &parts->out;
    buffer_reset(out);
    parts->is_open = true;
    parts->count++;
    buffer_append_format(out,
                         "{\"v\":%d,\"part\":%" PRId64 ",\"answer\":\"%s\",\"id\":", TALK_VERSION,
                         parts->count, talk_ask_name(parts->ask));
    buffer_append_json(out, slice_of(parts->id));
    buffer_append_format(out, ",\"number\":%" PRId64, parts->number);
    fields_append_text(out, "from", parts->from);
    buffer_append_text(out, parts->ask == TALK_STAMP ? ",\"open\":[" : ",\"rows\":[");
}

/* Text that is no UTF-8 would make the whole message unreadable. Its other bytes stay. */
static void talk_parts_text(struct buffer *out, struct slice text)
{
    json_t *json = json_stringn(text.data, text.length);
    if (json != NULL) {
        json_decref(json);
        buffer_append_json(out, text);
        return;
    }
    size_t begin = out->length;
    buffer_append_json(out, text);
    for (size_t i = begin; i < out->length; i++) {
        if ((unsigned char)out->data[i] >= 0x80)
            out->data[i] = '?';
    }
}

/* Appends an entry, where it fits. @return whether it did. */
static bool talk_parts_fits(struct talk_parts *parts, const struct buffer *entry)
{
    struct buffer *out = &parts->out;
    if (!parts->is_open)
        talk_parts_open_next(parts);
    bool is_first = out->data != NULL && out->data[out->length - 1] == '[';
    if (out->length + entry->length + PARTS_END_BYTES + 1 > TALK_MESSAGE_BYTES_MAX)
        return false;
    buffer_append_text(out, is_first ? "" : ",");
    buffer_append(out, entry->data, entry->length);
    return true;
}

static enum status talk_parts_add(struct talk_parts *parts, const struct buffer *entry,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    if (entry->failed)
        return error_set(err, STATUS_RETRY, "no memory for an answer, or a key that is too large");
    if (parts->entries == TALK_LISTED_MAX)
        return error_set(err, STATUS_RETRY, "the answer would have more than %zu rows",
                         TALK_LISTED_MAX);
    if (!talk_parts_fits(parts, entry)) {
        status = talk_parts_end(parts, err);
        if (status == STATUS_OK && !talk_parts_fits(parts, entry))
            status = error_set(err, STATUS_RETRY, "a key is too large for a message");
    }
    parts->entries++;
    return status;
}

/* An entry leaves room for what every part begins with. */
#define PARTS_HEAD_BYTES 4096

enum status talk_parts_row(struct talk_parts *parts, const struct talk_row *row, struct error *err)
{
    struct buffer entry;
    buffer_init(&entry, TALK_MESSAGE_BYTES_MAX - PARTS_HEAD_BYTES);
    buffer_append_text(&entry, "[");
    talk_parts_text(&entry, row->key);
    buffer_append_format(&entry, ",\"%016" PRIx64 "\"", row->digest);
    size_t without = entry.length;
    if (row->json.data != NULL) {
        buffer_append_text(&entry, ",");
        talk_parts_text(&entry, row->json);
        buffer_append_text(&entry, row->is_unfit ? ",true]" : "]");
    } else {
        buffer_append_text(&entry, "]");
    }
    if (entry.failed && !entry.no_memory && row->json.data != NULL) {
        entry.failed = false;
        entry.length = without;
        buffer_append_text(&entry, "]");
    }
    enum status status = talk_parts_add(parts, &entry, err);
    buffer_done(&entry);
    return status;
}

enum status talk_parts_open(struct talk_parts *parts, const struct talk_open *open,
                            struct error *err)
{
    struct buffer entry;
    buffer_init(&entry, TALK_MESSAGE_BYTES_MAX - PARTS_HEAD_BYTES);
    buffer_append_text(&entry, "[");
    talk_parts_text(&entry, open->key);
    buffer_append_format(&entry, ",\"%s\"]", talk_open_name(open->reason));
    enum status status = talk_parts_add(parts, &entry, err);
    buffer_done(&entry);
    return status;
}
