/* What `init` makes in SQLite: outbox, relay state, triggers, and a new history. */
#include "producer/sqlite/origin_internal.h"
#include "producer/sqlite/capture.h"
#include "producer_sqlite_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

/* Columns that earlier versions did not have. */
static const struct {
    const char *name;
    const char *sql;
} ADDED[] = {{"outbox.changeset_end", SQL_ADD_CHANGESET}, {"outbox.joint", SQL_ADD_JOINT}};

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    {.kind = "column", .name = "outbox.id"}, /* clients differ in it, so nothing is printed */
    {.kind = "column", .name = "outbox.changeset_end"}, /* nor here: it cannot be run again */
    {.kind = "column", .name = "outbox.joint"},
    {.kind = "index", .name = "outbox_id", .sql = SQL_CREATE_OUTBOX_ID},
    {.kind = "index", .name = "outbox_waiting", .sql = SQL_CREATE_OUTBOX_WAITING},
    {.kind = "index", .name = "outbox_claimed", .sql = SQL_CREATE_OUTBOX_CLAIMED},
    {.kind = "index", .name = "outbox_set_aside", .sql = SQL_CREATE_OUTBOX_SET_ASIDE},
    ORIGIN_CHANGESET_INDEX,
    {.kind = "table",
     .name = "keepstep_transaction",
     .sql = SQL_CREATE_TRANSACTION,
     .of_sets = true,
     .drop = SQL_DROP_TRANSACTION,
     .note = "a change set ends only where the service says so: it is to run UPDATE "
             "keepstep_transaction SET id = id + 1 first in each of its transactions; what it "
             "commits without that becomes one set with what was committed before"},
    {.kind = "trigger",
     .name = "keepstep_outbox_changeset",
     .table = "outbox",
     .sql = SQL_SET_CHANGESET,
     .of_sets = true,
     .drop = SQL_UNSET_CHANGESET},
    ORIGIN_RELAY_TABLES,
    {.kind = "table", .name = "keepstep_applying", .sql = SQL_CREATE_APPLYING},
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
};

static const struct origin_object JOINT_OBJECTS[] = {
    ORIGIN_JOINT_INDEX,
    ORIGIN_JOINT_TABLES,
    ORIGIN_JOINT("trigger", "keepstep_joint_check", SQL_CREATE_JOINT_CHECK),
    ORIGIN_JOINT("trigger", "keepstep_joint_propose", SQL_CREATE_JOINT_PROPOSE),
    ORIGIN_JOINT("trigger", "keepstep_joint_kept", SQL_CREATE_JOINT_KEPT),
    ORIGIN_JOINT("trigger", "keepstep_joint_stays", SQL_CREATE_JOINT_STAYS),
    ORIGIN_JOINT("trigger", "keepstep_joint_used", SQL_CREATE_JOINT_USED),
};

static const char *const STATEMENTS[ORIGIN_STATEMENT_COUNT] = {
    ORIGIN_STATEMENTS(ORIGIN_STATEMENT_TEXT)};

static enum status origin_sqlite_open(const struct config *config, enum origin_mode mode,
                                      struct origin **ret_origin, struct error *err)
{
    struct origin_sqlite *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &origin_sqlite_ops;
    self->shared.session = &self->session.base;
    self->shared.publish = origin_sqlite_publish;
    self->shared.key_database = &origin_sqlite_keys;
    self->session.base.ops = &sql_sqlite_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.setup = mode == ORIGIN_INSTALL ? "PRAGMA journal_mode = WAL" : NULL;
    *ret_origin = &self->shared.base;
    return origin_sql_open(&self->shared, config, mode, err);
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

/** The outbox that is there. */
struct outbox_form {
    bool is_ours; /* whichever version made it */
    bool id_is_needed;
    bool id_is_unique; /* without the index outbox_id */
};

static enum status origin_sqlite_find_outbox(sqlite3 *db, struct outbox_form *ret_form,
                                             struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_FIND_OUTBOX, &statement, err);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_form = (struct outbox_form){.is_ours = sqlite3_column_int(statement, 0) != 0,
                                         .id_is_needed = sqlite3_column_int(statement, 1) != 0,
                                         .id_is_unique = sqlite3_column_int(statement, 2) != 0};
    else
        status = sqlite_session_error(db, "catalogue", err);
    (void)sqlite3_finalize(statement);
    return status;
}

/* @return what adds the column; NULL where the object is no such column. */
static const char *origin_sqlite_added(const struct origin_object *object)
{
    for (size_t i = 0; i < sizeof ADDED / sizeof *ADDED; i++) {
        if (strcmp(object->name, ADDED[i].name) == 0)
            return ADDED[i].sql;
    }
    return NULL;
}

/* What the outbox of an earlier version has instead of this object. */
static enum status origin_sqlite_compare_former(sqlite3 *db, const struct origin_object *object,
                                                enum origin_found *ret_found, struct error *err)
{
    struct outbox_form form = {0};
    enum status status = origin_sqlite_find_outbox(db, &form, err);
    if (strcmp(object->name, "outbox.id") == 0)
        *ret_found = form.id_is_needed ? ORIGIN_OTHER : ORIGIN_SAME;
    else if ((strcmp(object->name, "outbox") == 0 && *ret_found == ORIGIN_OTHER && form.is_ours) ||
             (strcmp(object->name, "outbox_id") == 0 && form.id_is_unique))
        *ret_found = ORIGIN_SAME;
    return status;
}

static enum status origin_sqlite_compare(struct origin *origin, const struct origin_object *object,
                                         enum origin_found *ret_found, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->session.db;
    sqlite3_stmt *statement = NULL;
    if (origin_sqlite_added(object) != NULL)
        return origin_sql_compare_column(origin, object, ret_found, err);
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
    return status == STATUS_OK ? origin_sqlite_compare_former(db, object, ret_found, err) : status;
}

/* A changed text counts once all sessions, this one too, have read the catalogue again. */
static enum status origin_sqlite_free_id(sqlite3 *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_execute(db, "PRAGMA writable_schema = ON", err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(db, SQL_FREE_OUTBOX_ID, &statement, err);
    if (status == STATUS_OK) {
        sqlite_session_bind(statement, 1, origin_sqlite_trimmed(SQL_CREATE_OUTBOX));
        if (sqlite3_step(statement) != SQLITE_DONE)
            status = sqlite_session_error(db, "catalogue", err);
    }
    (void)sqlite3_finalize(statement);
    if (status == STATUS_OK) /* DDL raises the catalogue's version */
        status = sqlite_session_execute(db,
                                        "CREATE TABLE keepstep_catalogue_change (column_1);"
                                        "DROP TABLE keepstep_catalogue_change",
                                        err);
    enum status closed = sqlite_session_execute(db, "PRAGMA writable_schema = RESET", err);
    return status == STATUS_OK ? closed : status;
}

/* The catalogue keeps the text as it was run, so that is the text without an end of line. */
static enum status origin_sqlite_create(struct origin *origin, const struct origin_object *object,
                                        bool replace, struct error *err)
{
    (void)replace; /* a trigger's statements drop it first */
    sqlite3 *db = origin_sqlite_of(origin)->session.db;
    if (origin_sqlite_added(object) != NULL)
        return sqlite_session_execute(db, origin_sqlite_added(object), err);
    if (object->sql == NULL)
        return origin_sqlite_free_id(db, err);
    struct slice text = origin_sqlite_trimmed(object->sql);
    char *sql = sqlite3_mprintf("%.*s", SLICE_ARGS(text));
    if (sql == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sqlite_session_execute(db, sql, err);
    sqlite3_free(sql);
    return status;
}

static enum status origin_sqlite_check(struct origin *origin, const struct config_entry *entry,
                                       const struct entity_schema *schema, struct error *err)
{
    const struct origin_sqlite *self = origin_sqlite_of(origin);
    const struct check check = {.config = self->shared.config,
                                .entry = entry,
                                .schema = schema,
                                .watching = self->shared.watching};
    return capture_sqlite_check(self->session.db, &check, err);
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
static void origin_sqlite_grants(const struct origin_table *tables, size_t count,
                                 struct buffer *out)
{
    (void)tables;
    (void)count;
    (void)out;
}

const struct origin_ops origin_sqlite_ops = {
    .scheme = "sqlite",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .joint_objects = JOINT_OBJECTS,
    .joint_object_count = sizeof JOINT_OBJECTS / sizeof *JOINT_OBJECTS,
    .client_stop = "-- Where another program than sqlite3 runs this, without the lines that\n"
                   "-- begin with a dot, it is to stop at the first error.\n"
                   ".bail on\n.timeout 10000\n",
    .client_end = "COMMIT;\n",
    .side_effect = "total_changes() of a session that writes a published table counts the rows of "
                   "the outbox too; changes() and last_insert_rowid() do not tell of them",
    .guard = SQL_GUARD,
    .open = origin_sqlite_open,
    .close = origin_sql_close,
    .begin = origin_sql_begin,
    .compare = origin_sqlite_compare,
    .create = origin_sqlite_create,
    .wants = origin_sql_wants,
    .check = origin_sqlite_check,
    .capture = origin_sqlite_capture,
    .dialect = &capture_sqlite_dialect,
    .grants = origin_sqlite_grants,
    .chunk = origin_sql_chunk,
    ORIGIN_SQL_SLOTS,
};
