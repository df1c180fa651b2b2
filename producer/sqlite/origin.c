/* What `init` makes in SQLite: outbox, relay state, triggers, and a new history. */
#include "producer/sqlite/origin_internal.h"
#include "producer/sqlite/capture.h"
#include "producer_sqlite_sql.h"

#include <stdlib.h>

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    {.kind = "index", .name = "outbox_waiting", .sql = SQL_CREATE_OUTBOX_WAITING},
    {.kind = "index", .name = "outbox_claimed", .sql = SQL_CREATE_OUTBOX_CLAIMED},
    {.kind = "index", .name = "outbox_set_aside", .sql = SQL_CREATE_OUTBOX_SET_ASIDE},
    {.kind = "table", .name = "keepstep_relay", .sql = SQL_CREATE_RELAY},
    {.kind = "table", .name = "keepstep_relay_partition", .sql = SQL_CREATE_RELAY_PARTITION},
    {.kind = "table", .name = "keepstep_relay_type", .sql = SQL_CREATE_RELAY_TYPE},
    {.kind = "table", .name = "keepstep_relay_read", .sql = SQL_CREATE_RELAY_READ},
    {.kind = "table", .name = "keepstep_relay_moved", .sql = SQL_CREATE_RELAY_MOVED},
    {.kind = "table", .name = "keepstep_relay_wait", .sql = SQL_CREATE_RELAY_WAIT},
    {.kind = "table", .name = "keepstep_applying", .sql = SQL_CREATE_APPLYING},
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
};

static enum status origin_sqlite_open(const struct config *config, enum origin_mode mode,
                                      struct origin **ret_origin, struct error *err)
{
    struct origin_sqlite *origin = calloc(1, sizeof *origin);
    int flags = mode == ORIGIN_READ || mode == ORIGIN_WATCH ? SQLITE_OPEN_READONLY
                : mode == ORIGIN_INSTALL ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                         : SQLITE_OPEN_READWRITE;
    if (origin == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    origin->base.ops = &origin_sqlite_ops;
    origin->config = config;
    origin->watching = mode == ORIGIN_WATCH;
    *ret_origin = &origin->base;
    enum status status = sqlite_session_open(config->database_path, flags, &origin->db, err);
    if (status == STATUS_OK && mode == ORIGIN_INSTALL)
        status = sqlite_session_execute(origin->db, "PRAGMA journal_mode = WAL", err);
    return status;
}

static void origin_sqlite_rollback(struct origin *origin)
{
    if (origin_sqlite_of(origin)->db != NULL)
        sqlite_session_rollback(origin_sqlite_of(origin)->db);
}

static void origin_sqlite_close(struct origin *base)
{
    struct origin_sqlite *origin = origin_sqlite_of(base);
    if (origin == NULL)
        return;
    origin_sqlite_rollback(base);
    (void)sqlite3_finalize(origin->note_in_log);
    (void)sqlite3_close_v2(origin->db);
    free(origin);
}

static enum status origin_sqlite_begin(struct origin *origin, struct error *err)
{
    return sqlite_session_execute(origin_sqlite_of(origin)->db, "BEGIN IMMEDIATE", err);
}

static enum status origin_sqlite_commit(struct origin *origin, struct error *err)
{
    return sqlite_session_execute(origin_sqlite_of(origin)->db, "COMMIT", err);
}

static struct slice origin_sqlite_trimmed(const char *sql)
{
    struct slice text = slice_of(sql);
    while (text.length > 0 &&
           (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == ' '))
        text.length--;
    return text;
}

/* The catalogue keeps a statement from the name on, so neither IF NOT EXISTS nor a DROP before. */
static bool origin_sqlite_is_same(struct slice found, struct slice sql)
{
    for (int words = 2; words > 0 && found.length > 0; found.data++, found.length--)
        words -= found.data[0] == ' ';
    return found.length > 0 && sql.length >= found.length &&
           memcmp(sql.data + sql.length - found.length, found.data, found.length) == 0;
}

static enum status origin_sqlite_compare(struct origin *origin, const struct origin_object *object,
                                         enum origin_found *ret_found, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_FIND_OBJECT, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(object->name));
    *ret_found = ORIGIN_ABSENT;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct slice sql = origin_sqlite_trimmed(object->sql);
        bool same = origin_sqlite_is_same(sqlite_session_text(statement, 0), sql);
        bool here = object->table == NULL ||
                    sqlite3_stricmp(object->table,
                                    (const char *)sqlite3_column_text(statement, 1)) == 0;
        *ret_found = !here ? ORIGIN_LOST : same ? ORIGIN_SAME : ORIGIN_OTHER;
    } else if (code != SQLITE_DONE) {
        status = sqlite_session_error(db, "catalogue", err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

/* The catalogue keeps the text as it was run, so that is the text without an end of line. */
static enum status origin_sqlite_create(struct origin *origin, const struct origin_object *object,
                                        bool replace, struct error *err)
{
    struct slice text = origin_sqlite_trimmed(object->sql);
    char *sql = sqlite3_mprintf("%.*s", SLICE_ARGS(text));
    (void)replace; /* a trigger's statements drop it first */
    if (sql == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sqlite_session_execute(origin_sqlite_of(origin)->db, sql, err);
    sqlite3_free(sql);
    return status;
}

static enum status origin_sqlite_check(struct origin *origin, const struct config_entry *entry,
                                       const struct entity_schema *schema, struct error *err)
{
    const struct origin_sqlite *self = origin_sqlite_of(origin);
    const struct check check = {
        .config = self->config, .entry = entry, .schema = schema, .watching = self->watching};
    return capture_sqlite_check(self->db, &check, err);
}

static enum status origin_sqlite_capture(struct origin *origin, const struct config_entry *entry,
                                         const struct entity_schema *schema,
                                         struct origin_objects *ret_objects, struct error *err)
{
    struct capture capture;
    (void)origin;
    capture_init(&capture, &capture_sqlite_dialect, entry, schema);
    return capture_write(&capture, ret_objects, err);
}

/* Who may open the file may do everything. */
static void origin_sqlite_grants(const struct config *config, struct buffer *out)
{
    (void)config;
    (void)out;
}

enum status origin_sqlite_run(sqlite3 *db, const char *sql, struct slice first, struct slice second,
                              int *ret_changes, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    if (first.data != NULL)
        sqlite_session_bind(statement, 1, first);
    if (second.data != NULL)
        sqlite_session_bind(statement, 2, second);
    status = sqlite_session_run(db, statement, ret_changes, err);
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status origin_sqlite_identify(struct origin *origin, const char *service,
                                          const char *incarnation, struct error *err)
{
    return origin_sqlite_run(origin_sqlite_of(origin)->db, SQL_INSERT_RELAY, slice_of(service),
                             slice_of(incarnation), NULL, err);
}

static enum status origin_sqlite_restart(struct origin *origin, const char *service,
                                         const char *incarnation, int64_t *ret_dropped,
                                         struct error *err)
{
    static const char *const forget[] = {
        SQL_FORWARD_FORGET,       SQL_FORWARD_WAIT,       SQL_RESTART_DROP_ACKNOWLEDGED,
        SQL_RESTART_UNCLAIM,      SQL_RESTART_PARTITIONS, SQL_RESTART_EXISTING,
        SQL_RESTART_EXISTING_KEY, SQL_RESTART_CAPTURED};
    sqlite3 *db = origin_sqlite_of(origin)->db;
    int dropped = 0;
    enum status status = sqlite_session_execute(db, SQL_CREATE_NOTES, err);
    if (status == STATUS_OK)
        status = origin_sqlite_run(db, SQL_FORWARD_DROP, (struct slice){0}, (struct slice){0},
                                   &dropped, err);
    if (status == STATUS_OK)
        status = origin_sqlite_run(db, SQL_RESTART_RELAY, slice_of(service), slice_of(incarnation),
                                   NULL, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof forget / sizeof *forget; i++)
        status = sqlite_session_execute(db, forget[i], err);
    *ret_dropped = dropped;
    return status;
}

static enum status origin_sqlite_lease(struct origin *origin, bool *ret_initialised,
                                       struct origin_lease *ret_lease, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    *ret_initialised = false;
    *ret_lease = (struct origin_lease){0};
    enum status status = sqlite_session_prepare(db, SQL_HAS_RELAY, &statement, err);
    if (status == STATUS_OK)
        *ret_initialised = sqlite3_step(statement) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    if (status != STATUS_OK || !*ret_initialised)
        return status;
    statement = NULL;
    status = sqlite_session_prepare(db, SQL_READ_HOLDER, &statement, err);
    int code = status == STATUS_OK ? sqlite3_step(statement) : SQLITE_DONE;
    if (code == SQLITE_ROW) {
        struct slice holder = sqlite_session_text(statement, 0);
        (void)sqlite3_snprintf(sizeof ret_lease->holder, ret_lease->holder, "%.*s",
                               SLICE_ARGS(holder));
        ret_lease->until_us = sqlite3_column_int64(statement, 1);
    } else if (code != SQLITE_DONE) {
        status = sqlite_session_error(db, "lease", err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status origin_sqlite_note_in_log(struct origin *base, struct slice id,
                                             struct error *err)
{
    struct origin_sqlite *origin = origin_sqlite_of(base);
    enum status status = STATUS_OK;
    if (origin->note_in_log == NULL) {
        status = sqlite_session_execute(origin->db, SQL_CREATE_NOTES, err);
        if (status == STATUS_OK)
            status = sqlite_session_prepare(origin->db, SQL_NOTE_IN_LOG, &origin->note_in_log, err);
    }
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(origin->note_in_log, 1, id);
    return sqlite_session_run(origin->db, origin->note_in_log, NULL, err);
}

static enum status origin_sqlite_note_log_end(struct origin *origin, const char *topic,
                                              int32_t partition, int64_t end, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_execute(db, SQL_CREATE_NOTES, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(db, SQL_NOTE_LOG_END, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(topic));
    (void)sqlite3_bind_int(statement, 2, partition);
    (void)sqlite3_bind_int64(statement, 3, end);
    status = sqlite_session_run(db, statement, NULL, err);
    (void)sqlite3_finalize(statement);
    return status;
}

const struct origin_ops origin_sqlite_ops = {
    .scheme = "sqlite",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .client_stop = "-- Where another program than sqlite3 runs this, without the lines that\n"
                   "-- begin with a dot, it is to stop at the first error.\n"
                   ".bail on\n.timeout 10000\n",
    .client_end = "COMMIT;\n",
    .side_effect = "total_changes() of a session that writes a published table counts the rows of "
                   "the outbox too; changes() and last_insert_rowid() do not tell of them",
    .guard = SQL_GUARD,
    .open = origin_sqlite_open,
    .close = origin_sqlite_close,
    .begin = origin_sqlite_begin,
    .commit = origin_sqlite_commit,
    .rollback = origin_sqlite_rollback,
    .compare = origin_sqlite_compare,
    .create = origin_sqlite_create,
    .check = origin_sqlite_check,
    .capture = origin_sqlite_capture,
    .dialect = &capture_sqlite_dialect,
    .grants = origin_sqlite_grants,
    .identify = origin_sqlite_identify,
    .restart = origin_sqlite_restart,
    .lease = origin_sqlite_lease,
    .note_in_log = origin_sqlite_note_in_log,
    .note_log_end = origin_sqlite_note_log_end,
    .captured = origin_sqlite_captured,
    .write_captured = origin_sqlite_write_captured,
    .republish = origin_sqlite_republish,
    .progress = origin_sqlite_progress,
    .chunk = origin_sqlite_chunk,
    .write = origin_sqlite_write,
};
