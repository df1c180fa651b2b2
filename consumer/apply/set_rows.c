/* Reads the records of a parked change set without their values, however many they are. */
#include "consumer/apply/set.h"

#define ROWS_PAGE  4000
#define ROWS_BYTES ((size_t)256 << 20) /* needed only where keys and headers are huge */

void set_rows_begin(struct set_rows *rows, const struct parked_record *of)
{
    *rows = (struct set_rows){.of = of};
    arena_init(&rows->arena, ROWS_BYTES);
}

void set_rows_done(struct set_rows *rows)
{
    arena_done(&rows->arena);
}

static enum status rows_read(struct applier *applier, struct set_rows *rows, struct error *err)
{
    const struct parked_filter filter = {.partition = -1,
                                         .set_of = rows->of,
                                         .from_offset = rows->from_offset,
                                         .without_value = true,
                                         .limit = ROWS_PAGE};
    arena_reset(&rows->arena);
    rows->next = 0;
    enum status status = applier->ops->read_parked(applier->store, &filter, &rows->arena,
                                                   &rows->page, err);
    if (status != STATUS_OK)
        rows->page.count = 0;
    rows->is_last_page = rows->page.count < ROWS_PAGE;
    if (rows->page.count > 0)
        rows->from_offset = rows->page.records[rows->page.count - 1].record.offset + 1;
    return status;
}

enum status set_rows_next(struct applier *applier, struct set_rows *rows,
                          const struct parked_record **ret_row, struct error *err)
{
    enum status status = STATUS_OK;
    if (rows->next == rows->page.count && !rows->is_last_page)
        status = rows_read(applier, rows, err);
    *ret_row = rows->next < rows->page.count ? &rows->page.records[rows->next++] : NULL;
    return status;
}
