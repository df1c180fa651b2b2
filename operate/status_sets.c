/* Lines of `keepstep status` on change sets. */
#include "operate/status_sets.h"

#include "operate/member.h"

#include <inttypes.h>

#define ROWS_MAX  1000 /* of those that are set aside */
#define ARENA_MAX ((size_t)16 * 1024 * 1024)
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
    return STATUS_OK;
}
