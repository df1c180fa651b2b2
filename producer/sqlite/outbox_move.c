/* The SQLite outbox where a type gets another topic: what was numbered for the old one stays. */
#include "producer/sqlite/outbox_internal.h"

#include <stdio.h>

static enum status outbox_sqlite_read_type(struct outbox_sqlite *self, const char *entity_type,
                                           char ret_topic[static OUTBOX_NAME_SIZE],
                                           struct error *err)
{
    sqlite3_stmt *statement = self->statements[READ_TYPE];
    enum status status = STATUS_OK;
    ret_topic[0] = '\0';
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        (void)snprintf(ret_topic, OUTBOX_NAME_SIZE, "%.*s",
                       SLICE_ARGS(sqlite_session_text(statement, 0)));
    else if (code != SQLITE_DONE)
        status = sqlite_session_error(self->db, "outbox", err);
    (void)sqlite3_reset(statement);
    return status;
}

/* Looks how far a step of at most OUTBOX_MOVE_ROWS rows goes. */
static enum status outbox_sqlite_move_look(struct outbox_sqlite *self, int64_t from,
                                           int64_t *ret_to, bool *ret_last, struct error *err)
{
    sqlite3_stmt *statement = self->statements[MOVE_LOOK];
    enum status status = STATUS_OK;
    (void)sqlite3_bind_int64(statement, 1, from);
    (void)sqlite3_bind_int64(statement, 2, OUTBOX_MOVE_ROWS);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *ret_to = sqlite3_column_int64(statement, 0);
        *ret_last = sqlite3_column_int64(statement, 1) < OUTBOX_MOVE_ROWS;
    } else {
        status = sqlite_session_error(self->db, "outbox", err);
    }
    (void)sqlite3_reset(statement);
    return status;
}

enum status outbox_sqlite_move_type(struct outbox *outbox, const struct lease *lease,
                                    const char *entity_type, const char *topic, int64_t *position,
                                    bool *ret_done, struct error *err)
{
    static const enum outbox_statement moves[] = {MOVE_NOTE, MOVE_ROWS};
    struct outbox_sqlite *self = outbox_sqlite_of(outbox);
    char now[OUTBOX_NAME_SIZE];
    int64_t to = *position;
    enum status status = outbox_sqlite_read_type(self, entity_type, now, err);
    *ret_done = now[0] == '\0' || strcmp(now, topic) == 0;
    if (status != STATUS_OK || *ret_done)
        return status;
    status = outbox_sqlite_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_sqlite_move_look(self, *position, &to, ret_done, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof moves / sizeof *moves; i++) {
        sqlite3_stmt *statement = self->statements[moves[i]];
        sqlite_session_bind(statement, 1, slice_of(entity_type));
        (void)sqlite3_bind_int64(statement, 2, *position);
        (void)sqlite3_bind_int64(statement, 3, to);
        status = sqlite_session_run(self->db, statement, NULL, err);
    }
    sqlite3_stmt *statement = self->statements[MOVE_TYPE];
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    sqlite_session_bind(statement, 2, slice_of(topic));
    if (status == STATUS_OK && *ret_done)
        status = sqlite_session_run(self->db, statement, NULL, err);
    status = outbox_sqlite_end(self, status, err);
    if (status == STATUS_OK)
        *position = to;
    return status;
}
