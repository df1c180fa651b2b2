/* How the SQL stores delete all rows of a copy: in ranges, none of which reads what the one before
 * it has deleted. */
#include "consumer/store/sql/table.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_A_BLOCK 20 /* or more: of those, a call deletes the first ones */
#define NUMBER_SIZE  32
#define BLOCKS_US    (INT64_C(10) * 1000 * 1000)

static enum status read_blocks(void *context, struct slice first, struct slice second,
                               struct error *err)
{
    char number[NUMBER_SIZE];
    (void)second, (void)err;
    (void)snprintf(number, sizeof number, "%.*s", SLICE_ARGS(first));
    *(int64_t *)context = strtoll(number, NULL, 10);
    return STATUS_OK;
}

/* What is written behind the last block meanwhile is left. */
static enum status clearing_begin(const struct sql_text *text, struct store_sql *self,
                                  struct buffer *sql, int64_t *ret_end, struct error *err)
{
    struct row_query query = {.table = mapping_table(text->mapping),
                              .runs = 1,
                              .until_us = clock_monotonic_us() + BLOCKS_US,
                              .visit = read_blocks,
                              .context = ret_end};
    sql_text_append(sql, text, text->dialect->table_blocks);
    query.sql = buffer_text(sql);
    return sql->failed ? error_set(err, STATUS_RETRY, "no memory for a statement")
                       : self->session->query(self, &query, err);
}

enum status store_sql_clear(struct store *store, const struct mapping *mapping,
                            struct store_clearing *clearing, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    const struct sql_dialect *dialect = self->tables.dialect;
    int64_t blocks = clearing->rows / ROWS_A_BLOCK + 1;
    struct sql_text text = {.dialect = dialect, .mapping = mapping};
    struct buffer sql;
    enum status status = STATUS_OK;
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    if (dialect->table_blocks != NULL && clearing->end == 0)
        status = clearing_begin(&text, self, &sql, &clearing->end, err);
    buffer_reset(&sql);
    text.from = clearing->next;
    text.to = clearing->next + blocks;
    text.limit = clearing->rows;
    sql_text_append(&sql, &text, dialect->table_clear);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_RETRY, "no memory for a statement");
    if (status == STATUS_OK)
        status = self->session->change(self, buffer_text(&sql), &clearing->deleted, err);
    if (status == STATUS_OK) {
        bool is_empty = clearing->deleted < clearing->rows;
        clearing->next += is_empty ? blocks : 0;
        clearing->is_over = is_empty &&
                            (dialect->table_blocks == NULL || clearing->next >= clearing->end);
    }
    buffer_done(&sql);
    return status;
}
