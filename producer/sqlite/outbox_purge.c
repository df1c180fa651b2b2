/* Purging the SQLite outbox: old rows that nobody needs go, in small bites and without a search. */
#include "producer/sqlite/outbox_internal.h"
#include "common/clock.h"

#include <stdlib.h>

#define YOUNG_MAX     16 /* rows that are too young end a look */
#define LOOK_ROWS_MAX 10000

/* Collects up to `limit` positions of rows that may go. Rows that wait for something else are
 * passed over, and the next look begins behind them; from the start again once it has met young
 * ones. */
static enum status outbox_sqlite_look(struct outbox_sqlite *self, sqlite3_stmt *statement,
                                      size_t limit, int64_t *positions, size_t *ret_count,
                                      struct error *err)
{
    size_t young = 0;
    size_t looked = 0;
    size_t count = 0;
    int64_t position = self->purged_to;
    int code = SQLITE_ROW;
    while (young < YOUNG_MAX && looked < LOOK_ROWS_MAX && count < limit) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW)
            break;
        looked++;
        position = sqlite3_column_int64(statement, 0);
        bool old = sqlite3_column_int(statement, 1) != 0;
        if (old && sqlite3_column_int(statement, 2) != 0)
            positions[count++] = position;
        young += sqlite3_column_int(statement, 3) != 0;
    }
    *ret_count = count;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_session_error(self->db, "outbox", err);
    self->purged_to = young > 0 || code == SQLITE_DONE ? 0 : position;
    return STATUS_OK;
}

static enum status outbox_sqlite_delete(struct outbox_sqlite *self, const int64_t *positions,
                                        size_t count, struct error *err)
{
    sqlite3_stmt *const statements[] = {self->statements[PURGE_ROW], self->statements[PURGE_MOVED]};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < 2 * count; i++) {
        (void)sqlite3_bind_int64(statements[i % 2], 1, positions[i / 2]);
        status = sqlite_session_run(self->db, statements[i % 2], NULL, err);
    }
    return status;
}

enum status outbox_sqlite_purge(struct outbox *outbox, const struct lease *lease,
                                const struct outbox_purge *purge, size_t *ret_purged,
                                struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = NULL;
    bool applies = false;
    size_t count = 0;
    char before[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];
    clock_format_utc(purge->before_us, before);
    clock_format_utc(clock_wall_us(), now);
    *ret_purged = 0;
    int64_t *positions = calloc(purge->limit, sizeof *positions);
    if (positions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = outbox_sqlite_asks(self, SQL_HAS_POSITION_TABLE, &applies, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(self->db, applies ? SQL_PURGE_LOOK_APPLIED : SQL_PURGE_LOOK,
                                        &statement, err);
    if (status != STATUS_OK)
        goto out;
    (void)sqlite3_bind_int64(statement, 1, self->purged_to);
    sqlite_session_bind(statement, 2, slice_of(before));
    sqlite_session_bind(statement, 3, slice_of(now));
    if (applies)
        sqlite_session_bind(statement, 4, purge->read_topics);
    status = outbox_sqlite_look(self, statement, purge->limit, positions, &count, err);
    (void)sqlite3_reset(statement);
    if (status != STATUS_OK || count == 0)
        goto out;
    /* What may go may go for ever, so that only the deleting needs the lease. */
    status = outbox_sqlite_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_sqlite_delete(self, positions, count, err);
    status = outbox_sqlite_end(self, status, err);
    if (status == STATUS_OK)
        *ret_purged = count;
out:
    (void)sqlite3_finalize(statement);
    free(positions);
    return status;
}
