/* The SQLite outbox's other half: reading rows, waiting for them, and what an operator does. */
#include "producer/sqlite/outbox_internal.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define PAUSE_MIN_US  1000
#define PAUSE_MAX_US  (50 * 1000)
#define PAUSE_DIVISOR 8

static struct slice outbox_sqlite_slice(sqlite3_stmt *statement, int column, struct arena *arena,
                                        bool *complete)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (struct slice){0};
    struct slice copy = arena_copy(arena, sqlite_session_text(statement, column));
    *complete = *complete && copy.data != NULL;
    return copy;
}

/* @return false where the arena is full. */
static bool outbox_sqlite_row(sqlite3_stmt *statement, struct arena *arena,
                              struct outbox_row *ret_row)
{
    bool complete = true;
    *ret_row = (struct outbox_row){
        .position = sqlite3_column_int64(statement, 0),
        .id = outbox_sqlite_slice(statement, 1, arena, &complete),
        .entity_type = outbox_sqlite_slice(statement, 2, arena, &complete),
        .entity_key = outbox_sqlite_slice(statement, 3, arena, &complete),
        .type = outbox_sqlite_slice(statement, 4, arena, &complete),
        .payload = outbox_sqlite_slice(statement, 5, arena, &complete),
        .created_at = outbox_sqlite_slice(statement, 6, arena, &complete),
        .traceparent = outbox_sqlite_slice(statement, 7, arena, &complete),
        .partition_key = outbox_sqlite_slice(statement, 8, arena, &complete),
        .partition = sqlite3_column_int(statement, 9),
        .sequence = (uint64_t)sqlite3_column_int64(statement, 10),
        .set_aside = outbox_sqlite_slice(statement, 11, arena, &complete),
    };
    if (ret_row->payload.data == NULL)
        ret_row->left_out_bytes = sqlite3_column_int64(statement, 12);
    return complete;
}

/* Collects the statement's rows into the arena, as far as their payloads reach `bytes_max`; 0: all
 * of them. Where the arena is full the rows so far are returned; with none at all, or where all are
 * asked for, that is an error. */
static enum status outbox_sqlite_rows(struct outbox_sqlite *self, sqlite3_stmt *statement,
                                      size_t bytes_max, struct arena *arena,
                                      struct outbox_row **ret_rows, size_t *ret_count,
                                      struct error *err)
{
    enum status status = STATUS_OK;
    struct outbox_row *rows = NULL;
    size_t count = 0;
    size_t size = 0;
    size_t bytes = 0;
    bool full = false;
    bool enough = false;
    int code = sqlite3_step(statement);
    for (; code == SQLITE_ROW && !full && !enough;
         code = full || enough ? code : sqlite3_step(statement)) {
        if (count == size) {
            size_t larger = size == 0 ? 64 : size * 2;
            struct outbox_row *more = arena_alloc(arena, larger * sizeof *more);
            full = more == NULL;
            if (full)
                break;
            if (count > 0)
                memcpy(more, rows, count * sizeof *rows);
            rows = more;
            size = larger;
        }
        full = !outbox_sqlite_row(statement, arena, &rows[count]);
        if (!full)
            bytes += rows[count++].payload.length;
        enough = bytes_max != 0 && bytes >= bytes_max;
    }
    if (full && (bytes_max == 0 || count == 0))
        status = error_set(err, STATUS_FATAL, "outbox rows do not fit into %zu bytes",
                           arena->size_max);
    else if (!full && !enough && code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "outbox", err);
    (void)sqlite3_reset(statement);
    *ret_rows = rows;
    *ret_count = count;
    return status;
}

enum status outbox_sqlite_load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                       struct arena *arena, struct outbox_row **ret_rows,
                                       size_t *ret_count, struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[LOAD_WAITING];
    (void)sqlite3_bind_int64(statement, 1, (int64_t)extent->rows);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)extent->payload_bytes);
    return outbox_sqlite_rows(self, statement, extent->total_bytes, arena, ret_rows, ret_count,
                              err);
}

enum status outbox_sqlite_load_claimed(struct outbox *outbox,
                                       const struct relay_partition *partition, struct arena *arena,
                                       struct outbox_row **ret_rows, size_t *ret_count,
                                       struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[LOAD_CLAIMED];
    sqlite_session_bind(statement, 1, slice_of(partition->topic));
    (void)sqlite3_bind_int(statement, 2, partition->partition);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)partition->acknowledged_sequence);
    enum status status = outbox_sqlite_rows(self, statement, 0, arena, ret_rows, ret_count, err);
    (void)sqlite3_clear_bindings(statement);
    return status == STATUS_OK ? outbox_chain(partition, *ret_rows, *ret_count, err) : status;
}

enum status outbox_sqlite_find(struct outbox *outbox, struct slice id, struct arena *arena,
                               struct outbox_row *ret_row, struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[FIND_ROW];
    enum status status = STATUS_OK;
    *ret_row = (struct outbox_row){0};
    sqlite_session_bind(statement, 1, id);
    int code = sqlite3_step(statement);
    bool complete = code != SQLITE_ROW || outbox_sqlite_row(statement, arena, ret_row);
    if (code == SQLITE_ROW && complete)
        ret_row->topic = outbox_sqlite_slice(statement, 13, arena, &complete).data;
    if (!complete)
        status = error_set(err, STATUS_RETRY, "no memory for an outbox row");
    else if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "outbox", err);
    (void)sqlite3_reset(statement);
    return status;
}

enum status outbox_sqlite_asks(struct outbox_sqlite *self, const char *sql, bool *ret_true,
                               struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(self->db, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    int code = sqlite3_step(statement);
    *ret_true = code == SQLITE_ROW && sqlite3_column_int(statement, 0) != 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "the agent's positions", err);
    (void)sqlite3_finalize(statement);
    return status;
}

enum status outbox_sqlite_held_back(struct outbox *outbox, struct slice read_topics,
                                    char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = NULL;
    bool can_tell = false;
    ret_topic[0] = '\0';
    enum status status = outbox_sqlite_asks(self, SQL_HAS_WAIT_TABLES, &can_tell, err);
    if (status == STATUS_OK && can_tell)
        status = sqlite_session_prepare(self->db, SQL_HELD_BACK, &statement, err);
    if (status != STATUS_OK || !can_tell)
        return status;
    sqlite_session_bind(statement, 1, read_topics);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        (void)snprintf(ret_topic, OUTBOX_NAME_SIZE, "%.*s",
                       SLICE_ARGS(sqlite_session_text(statement, 0)));
    else if (code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "the agent's positions", err);
    (void)sqlite3_finalize(statement);
    return status;
}

/* Long enough to cost nothing, short against how long it has been quiet. */
static int64_t outbox_sqlite_pause_us(const struct outbox_sqlite *self, int64_t now)
{
    int64_t pause = (now - self->changed_at_us) / PAUSE_DIVISOR;
    if (pause < PAUSE_MIN_US)
        return PAUSE_MIN_US;
    return pause > PAUSE_MAX_US ? PAUSE_MAX_US : pause;
}

enum status outbox_sqlite_wait(struct outbox *outbox, int64_t timeout_us, bool *ret_changed,
                               struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[DATA_VERSION];
    int64_t until = clock_monotonic_us() + timeout_us;
    *ret_changed = false;
    for (;;) {
        int64_t version = self->data_version;
        enum status status = STATUS_OK;
        if (sqlite3_step(statement) == SQLITE_ROW)
            version = sqlite3_column_int64(statement, 0);
        else
            status = sqlite_session_error(self->db, "outbox", err);
        (void)sqlite3_reset(statement);
        int64_t now = clock_monotonic_us();
        *ret_changed = version != self->data_version;
        if (*ret_changed)
            self->changed_at_us = now;
        self->data_version = version;
        if (status != STATUS_OK || *ret_changed || now >= until)
            return status;
        int64_t pause = outbox_sqlite_pause_us(self, now);
        clock_sleep_us(pause < until - now ? pause : until - now);
    }
}

enum status outbox_sqlite_list(struct outbox *outbox, enum outbox_filter filter, size_t limit,
                               struct arena *arena, struct outbox_row **ret_rows, size_t *ret_count,
                               struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[LIST_ROWS];
    (void)sqlite3_bind_int64(statement, 1, limit == 0 ? -1 : (int64_t)limit);
    (void)sqlite3_bind_int(statement, 2, (int)filter);
    return outbox_sqlite_rows(self, statement, SIZE_MAX, arena, ret_rows, ret_count, err);
}

enum status outbox_sqlite_count(struct outbox *outbox, struct outbox_counts *ret_counts,
                                struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[COUNT_ROWS];
    enum status status = STATUS_OK;
    *ret_counts = (struct outbox_counts){0};
    if (sqlite3_step(statement) == SQLITE_ROW) {
        ret_counts->waiting = sqlite3_column_int64(statement, 0);
        ret_counts->set_aside = sqlite3_column_int64(statement, 1);
        ret_counts->claimed = sqlite3_column_int64(statement, 2);
        int64_t *const times[] = {&ret_counts->oldest_waiting_us, &ret_counts->oldest_claimed_us};
        for (int i = 0; i < 2; i++) {
            struct slice oldest = sqlite_session_text(statement, 3 + i);
            if (oldest.data != NULL)
                (void)clock_parse_rfc3339(oldest.data, oldest.length, times[i]);
        }
    } else {
        status = sqlite_session_error(self->db, "outbox", err);
    }
    (void)sqlite3_reset(statement);
    return status;
}

enum status outbox_sqlite_release(struct outbox *outbox, int64_t position, bool drop,
                                  struct error *err)
{
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    sqlite3_stmt *statement = self->statements[drop ? DROP_ROW : RETRY_ROW];
    int changes = 0;
    (void)sqlite3_bind_int64(statement, 1, position);
    enum status status = sqlite_session_run(self->db, statement, &changes, err);
    if (status == STATUS_OK && changes == 0)
        status = error_set(err, STATUS_REJECT, "no row at position %" PRId64 " is set aside",
                           position);
    return status;
}
