/* How the SQL stores read own changes that were not read back (rule 18). They see all that other
 * sessions have committed, also since the transaction began. */
#include "consumer/store/pending.h"
#include "consumer/store/sql/session.h"

/* The reading of one pass; in parts if the client library keeps whole results in memory. */
struct reading {
    struct pending_pass *pass;
    bool in_parts;
    int64_t behind; /* sequence, or position in the outbox, of the last row that was read */
    size_t rows;    /* of this part */
};

static enum status read_pending(void *context, struct store_row *row, struct error *err)
{
    struct reading *reading = context;
    struct pending_pass *pass = reading->pass;
    if (reading->in_parts || pass->numbered)
        reading->behind = row->integer(row, 1);
    reading->rows++;
    enum status status = pending_pass_row(pass, row->bytes(row, 0), (uint64_t)reading->behind, err);
    row->is_last = pending_pass_done(pass);
    return status;
}

static enum status part_send(struct store_sql *self, struct reading *reading, struct error *err)
{
    const struct pending_range *range = reading->pass->range;
    struct parameter type = parameter_text(range->schema->entity_type);
    struct parameter behind = parameter_integer(reading->behind);
    struct parameter limit = parameter_integer((int64_t)self->session->part_rows);
    struct sql_call waiting = SQL_CALL(PENDING_WAITING, type, behind, limit);
    struct sql_call numbered = SQL_CALL(PENDING_NUMBERED, type, parameter_integer(range->partition),
                                        behind, limit);
    if (!reading->in_parts) {
        waiting.count = 1;
        numbered.count = 3;
    }
    return store_sql_ask(self, reading->pass->numbered ? numbered : waiting, read_pending, reading,
                         err);
}

enum status store_sql_pending_rows(struct pending_pass *pass, struct error *err)
{
    struct store_sql *self = store_sql_of(pass->store);
    struct reading reading = {.pass = pass,
                              .in_parts = self->session->part_rows > 0,
                              .behind = pass->numbered ? (int64_t)pass->range->above : INT64_MIN};
    enum status status;
    do {
        reading.rows = 0;
        status = part_send(self, &reading, err);
        if (status == STATUS_OK && reading.in_parts)
            status = store_sql_wait(self, err);
    } while (status == STATUS_OK && reading.in_parts && reading.rows == self->session->part_rows &&
             !pending_pass_done(pass));
    return status;
}

enum status store_sql_read_pending(struct store *store, struct pending_read *pending,
                                   struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    store_pending_begin(pending);
    if (!self->has_outbox)
        return STATUS_OK;
    enum status status = store_read_pending(store, pending, store_sql_pending_rows, err);
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}
