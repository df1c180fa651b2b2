/* Lines of `keepstep status` on change sets. */
#include "operate/status_sets.h"

#include "operate/member.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROWS_MAX  1000 /* of those that are set aside */
#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define ROW_BYTES ((size_t)256 * 1024 * 1024) /* of one row, with its payload */
#define UNKNOWN   (-1)

/* @return whether an earlier row belongs to the same set. */
static bool is_counted(const struct outbox_rows *rows, size_t index)
{
    const struct outbox_row *row = &rows->rows[index];
    for (size_t i = 0; i < index && row->changeset.length > 0; i++) {
        if (slice_equal(rows->rows[i].changeset, row->changeset))
            return true;
    }
    return false;
}

/* @param ret_count  of the first rows that are set aside, how many sets they belong to. */
static enum status count_set_aside(struct outbox *outbox, int64_t *ret_count, bool *ret_more,
                                   struct error *err)
{
    const struct outbox_selection selection = {
        .filter = OUTBOX_SET_ASIDE, .limit = ROWS_MAX, .brief = true};
    struct outbox_rows rows = {0};
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    enum status status = outbox->ops->list(outbox, &selection, &arena, &rows, err);
    *ret_count = 0;
    *ret_more = rows.count == ROWS_MAX;
    for (size_t i = 0; status == STATUS_OK && i < rows.count; i++)
        *ret_count += !is_counted(&rows, i);
    arena_done(&arena);
    return status;
}

/* A set of which only the first rows have numbers. */
struct rest {
    int64_t missing; /* rows that have none; 0: it has an end */
    int64_t waiting; /* rows that are known to be of it; there may be more */
};

static enum status find_rest(struct outbox *outbox, const struct relay_partition *partition,
                             struct rest *ret_rest, struct error *err)
{
    struct outbox_row row = {0};
    struct outbox_rows rows = {0};
    struct arena arena;
    *ret_rest = (struct rest){0};
    if (partition->last_sequence == 0)
        return STATUS_OK;
    arena_init(&arena, ROW_BYTES);
    enum status status = outbox->ops->find(outbox, slice_of(partition->last_id), &arena, &row, err);
    if (status == STATUS_OK && row.changeset_end > partition->last_sequence) {
        const struct outbox_row all = {.changeset = row.changeset, .last_of_group = INT64_MAX};
        ret_rest->missing = (int64_t)(row.changeset_end - partition->last_sequence);
        if (row.changeset.length > 0 && !row.shared)
            status = outbox->ops->load_group(outbox, &all, &arena, &rows, err);
        ret_rest->waiting = (int64_t)rows.count;
    }
    arena_done(&arena);
    return status;
}

static void append_rest(const struct relay_partition *partition, const struct rest *rest,
                        struct buffer *text, struct buffer *json)
{
    bool is_lost = rest->waiting == 0;
    buffer_append_format(text,
                         "  %s %s [%d]: %" PRId64
                         " changes of a transaction that is published in part have no number yet%s",
                         is_lost ? "INCOMPLETE" : "unfinished", partition->topic,
                         (int)partition->partition, rest->missing,
                         is_lost ? ", and nothing that waits is known to be one of them: what is "
                                   "published there next gets their numbers, and copies wait for "
                                   "it\n"
                                 : "\n");
    member_begin(json, NULL, "{");
    member_text(json, "topic", slice_of(partition->topic));
    member_number(json, "partition", partition->partition);
    member_number(json, "unnumbered", rest->missing);
    member_bool(json, "lost", is_lost);
    buffer_append_text(json, "}");
}

/* Mostly there are none. */
static enum status append_rests(struct outbox *outbox, struct buffer *text, struct buffer *json,
                                struct error *err)
{
    struct relay_partition *partitions = NULL;
    struct rest rest = {0};
    size_t count = 0;
    enum status status = outbox->ops->load_partitions(outbox, &partitions, &count, err);
    member_begin(json, "unfinished_changesets", "[");
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = find_rest(outbox, &partitions[i], &rest, err);
        if (status == STATUS_OK && rest.missing > 0)
            append_rest(&partitions[i], &rest, text, json);
    }
    buffer_append_text(json, "]");
    free(partitions);
    return status;
}

enum status status_sets_append(struct outbox *outbox, const struct status_sets *sets,
                               struct buffer *text, struct buffer *json, struct error *err)
{
    int64_t set_aside = 0;
    bool more = false;
    bool whole = sets->whole;
    enum status status = STATUS_OK;
    if (whole)
        status = count_set_aside(outbox, &set_aside, &more, err);
    if (status != STATUS_OK)
        return status;
    member_text(json, "transactions", slice_of(whole ? "whole" : "single"));
    member_known_number(json, "largest_changeset", whole ? sets->largest : UNKNOWN);
    member_known_number(json, "changesets_set_aside", whole ? set_aside : UNKNOWN);
    buffer_append_format(text, "  publishes  %s",
                         whole ? "whole transactions" : "each change by itself");
    if (whole && sets->largest > 0)
        buffer_append_format(text, ", the largest had %" PRId64 " changes", sets->largest);
    if (set_aside > 0)
        buffer_append_format(text, "; %" PRId64 "%s %s set aside", set_aside,
                             more ? " or more" : "", set_aside == 1 && !more ? "is" : "are");
    buffer_append_text(text, "\n");
    return whole ? append_rests(outbox, text, json, err) : STATUS_OK;
}
