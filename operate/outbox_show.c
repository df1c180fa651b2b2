/* One row, and how far its event is, as far as this database knows: the rows of published events
 * are purged, and of each partition only the last event is kept by name. */
#include "operate/outbox_show.h"

#include "common/buffer.h"
#include "operate/command.h"
#include "operate/member.h"
#include "schemas/event_id.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SHOW_ARENA_MAX  ((size_t)64 * 1024 * 1024)
#define SHOW_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

/* What is asked for, and what is known of it. */
struct show {
    struct outbox *outbox;
    int64_t position;      /* 0: it is asked for by `id` */
    struct slice id;       /* data NULL: it is asked for by `position` */
    struct outbox_row row; /* position 0: it is gone, or was never there */
    struct relay_partition *partitions;
    size_t partition_count;
    struct arena arena;
};

bool outbox_position(const char *text, int64_t *ret_position)
{
    char *end = NULL;
    errno = 0;
    *ret_position = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret_position > 0;
}

/* The row at a position is found there; only what finds an id knows the topic too. */
static enum status show_at_position(struct show *show, struct error *err)
{
    const struct outbox_selection selection = {
        .filter = OUTBOX_ALL, .limit = 1, .after = show->position - 1};
    struct outbox_rows rows = {0};
    struct outbox_row named = {0};
    enum status status = show->outbox->ops->list(show->outbox, &selection, &show->arena, &rows,
                                                 err);
    if (status != STATUS_OK || rows.count == 0 || rows.rows[0].position != show->position)
        return status;
    show->row = rows.rows[0];
    if (show->row.id.data != NULL)
        status = show->outbox->ops->find(show->outbox, show->row.id, &show->arena, &named, err);
    if (status == STATUS_OK && named.position == show->position)
        show->row = named;
    return status;
}

static const struct relay_partition *show_partition(const struct show *show)
{
    for (size_t i = 0; show->row.topic != NULL && i < show->partition_count; i++) {
        const struct relay_partition *partition = &show->partitions[i];
        if (partition->partition == show->row.partition &&
            strcmp(partition->topic, show->row.topic) == 0)
            return partition;
    }
    return NULL;
}

static const char *show_state(const struct show *show)
{
    const struct relay_partition *partition = show_partition(show);
    if (show->row.set_aside.data != NULL)
        return "set aside";
    if (show->row.sequence == 0)
        return "waiting";
    return partition != NULL && show->row.sequence <= partition->acknowledged_sequence ? "published"
                                                                                       : "claimed";
}

static void show_json(const struct show *show, struct buffer *out)
{
    const struct outbox_row *row = &show->row;
    member_begin(out, NULL, "{");
    member_number(out, "position", row->position);
    member_word(out, "state", show_state(show));
    member_text(out, "event_id", row->id);
    member_text(out, "event_type", row->type);
    member_text(out, "entity_type", row->entity_type);
    member_text(out, "entity_key", row->entity_key);
    member_text(out, "created_at", row->created_at);
    member_text(out, "reason", row->set_aside);
    if (row->changeset.length > 0)
        member_text(out, "changeset", row->changeset);
    if (row->sequence != 0) {
        if (row->topic != NULL)
            member_text(out, "topic", slice_of(row->topic));
        member_number(out, "partition", row->partition);
        member_number(out, "sequence", (int64_t)row->sequence);
    }
    if (row->changeset_end != 0)
        member_number(out, "changeset_end", (int64_t)row->changeset_end);
    if (row->payload.data != NULL)
        member_text(out, "payload", row->payload);
    buffer_append_text(out, "}\n");
}

static void show_text(const struct show *show, struct buffer *out)
{
    const struct outbox_row *row = &show->row;
    buffer_append_format(out, "%-10lld %-10s %-24.*s %-24.*s %.*s\n", (long long)row->position,
                         show_state(show), SLICE_ARGS(row->type), SLICE_ARGS(row->entity_key),
                         SLICE_ARGS(row->set_aside));
    buffer_append_format(out, "id          %.*s\ncreated at  %.*s\n", SLICE_ARGS(row->id),
                         SLICE_ARGS(row->created_at));
    if (row->sequence != 0)
        buffer_append_format(out, "sequence    %" PRIu64 ", of partition %d%s%s\n", row->sequence,
                             (int)row->partition, row->topic == NULL ? "" : " of ",
                             row->topic == NULL ? "" : row->topic);
    if (row->changeset.length > 0)
        buffer_append_format(out, "change set  %.*s\n", SLICE_ARGS(row->changeset));
    if (row->changeset_end != 0)
        buffer_append_format(out, "set's end   %" PRIu64 "\n", row->changeset_end);
    buffer_append_format(out, "payload     %.*s\n", SLICE_ARGS(row->payload));
}

/* @return the partition whose last published event this is; NULL: it is of none. A derived id has
 * the position in it. */
static const struct relay_partition *show_last_published(const struct show *show)
{
    for (size_t i = 0; i < show->partition_count; i++) {
        const struct slice last = slice_of(show->partitions[i].acknowledged_id);
        if (show->id.data != NULL ? slice_equal(last, show->id)
                                  : event_id_position(last) == show->position)
            return &show->partitions[i];
    }
    return NULL;
}

static void show_published(const struct relay_partition *partition, bool json, struct buffer *out)
{
    if (!json) {
        buffer_append_format(out,
                             "published: %s is sequence %" PRIu64 " of partition %d of %s; its row "
                             "is purged\n",
                             partition->acknowledged_id, partition->acknowledged_sequence,
                             (int)partition->partition, partition->topic);
        return;
    }
    member_begin(out, NULL, "{");
    member_text(out, "position", (struct slice){0});
    member_word(out, "state", "published");
    member_text(out, "event_id", slice_of(partition->acknowledged_id));
    member_text(out, "topic", slice_of(partition->topic));
    member_number(out, "partition", partition->partition);
    member_number(out, "sequence", (int64_t)partition->acknowledged_sequence);
    buffer_append_text(out, "}\n");
}

/* Of a row that is gone nothing more is known here. The log has what was published. */
static enum status show_refuse(const struct show *show, struct error *err)
{
    int64_t position = show->id.data == NULL ? 0 : event_id_position(show->id);
    err->exit_code = EX_DATAERR;
    if (show->id.data == NULL)
        return error_set(
            err, STATUS_FATAL,
            "the outbox has no row at position %" PRId64 ": its event was published "
            "and the row purged, or it was dropped, or its transaction was rolled back "
            "or is not committed yet. This database does not know which: look for it "
            "with `keepstep tail TYPE --until-end`",
            show->position);
    if (position != 0)
        return error_set(
            err, STATUS_FATAL,
            "the outbox has no event %.*s, whose row was at position %" PRId64
            ": it was published and the row purged, or it was dropped, or it is not of "
            "this database. The database does not know which: look for it with "
            "`keepstep tail TYPE --until-end`",
            SLICE_ARGS(show->id), position);
    return error_set(
        err, STATUS_FATAL,
        "the outbox has no event %.60s: it was published and the row purged, or it was "
        "dropped, or it was never there. The database does not know which: look for "
        "it with `keepstep tail TYPE --until-end`",
        show->id.data);
}

static enum status show_read(struct show *show, struct error *err)
{
    struct outbox *outbox = show->outbox;
    enum status status = show->id.data == NULL
                             ? show_at_position(show, err)
                             : outbox->ops->find(outbox, show->id, &show->arena, &show->row, err);
    /* Behind the row: what it says then is true of it. */
    if (status == STATUS_OK)
        status = outbox->ops->load_partitions(outbox, &show->partitions, &show->partition_count,
                                              err);
    return status;
}

enum status outbox_show(struct outbox *outbox, const char *which, bool json, struct error *err)
{
    struct show show = {.outbox = outbox};
    struct buffer out;
    if (!outbox_position(which, &show.position))
        show.id = slice_of(which);
    arena_init(&show.arena, SHOW_ARENA_MAX);
    buffer_init(&out, SHOW_OUTPUT_MAX);
    enum status status = show_read(&show, err);
    const struct relay_partition *published = show_last_published(&show);
    if (status == STATUS_OK && show.row.position != 0)
        (json ? show_json : show_text)(&show, &out);
    else if (status == STATUS_OK && published != NULL)
        show_published(published, json, &out);
    else if (status == STATUS_OK)
        status = show_refuse(&show, err);
    if (status == STATUS_OK)
        command_print(&out, json);
    buffer_done(&out);
    arena_done(&show.arena);
    free(show.partitions);
    return status;
}
