/* What `init` makes in MariaDB: outbox, relay state, triggers, and a new history. */
#include "producer/mariadb/origin_internal.h"
#include "producer_mariadb_sql.h"
#include "schemas_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define COMMENT_MAX     64
#define CAREFUL_TRIGGER "keepstep_outbox_changeset_careful"

static const char ROW_BODY[] = " FOR EACH ROW\n";

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    ORIGIN_FREE_ID,
    ORIGIN_ADD_CHANGESET,
    ORIGIN_ADD_JOINT,
    ORIGIN_CHANGESET_INDEX,
    {.kind = "trigger",
     .name = "keepstep_outbox_changeset",
     .table = "outbox",
     .sql = SQL_SET_CHANGESET,
     .of_sets = true,
     .drop = SQL_UNSET_CHANGESET},
    {.kind = "trigger",
     .name = CAREFUL_TRIGGER,
     .table = "outbox",
     .sql = SQL_SET_CHANGESET_CAREFUL,
     .of_sets = true,
     .drop = SQL_UNSET_CHANGESET_CAREFUL,
     .note = "the server has tables without transactions, or sequences: so that a write to one of "
             "them does not look like the end of a transaction, each statement of the service that "
             "writes a published table in a transaction takes 0.2 ms longer"},
    ORIGIN_RELAY_TABLES,
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "function", .name = "keepstep_catalogue", .sql = SQL_CREATE_CATALOGUE},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
    {.kind = "function", .name = "keepstep_ticket", .sql = SQL_CREATE_TICKET},
    {.kind = "function", .name = "keepstep_token", .sql = SQL_CREATE_TOKEN},
};

static const struct origin_object JOINT_OBJECTS[] = {
    ORIGIN_JOINT_INDEX,
    {.kind = "table", .name = "keepstep_joint", .sql = SQL_CREATE_JOINT},
    {.kind = "table", .name = "keepstep_reserved", .sql = SQL_CREATE_RESERVED},
    {.kind = "table", .name = "keepstep_touched", .sql = SQL_CREATE_TOUCHED},
    {.kind = "table", .name = "keepstep_guard", .sql = SQL_CREATE_GUARD},
    {.kind = "function", .name = "keepstep_look_away", .sql = SQL_CREATE_LOOK_AWAY},
    {.kind = "function", .name = "keepstep_uncovered", .sql = SQL_CREATE_UNCOVERED},
    {.kind = "function", .name = "keepstep_foreign_keys", .sql = SQL_CREATE_FOREIGN_KEYS},
    {.kind = "function", .name = "keepstep_unique_names", .sql = SQL_CREATE_UNIQUE_NAMES},
    ORIGIN_JOINT("trigger", "keepstep_joint_check", SQL_CREATE_JOINT_CHECK),
    ORIGIN_JOINT("trigger", "keepstep_joint_propose", SQL_CREATE_JOINT_PROPOSE),
    ORIGIN_JOINT("trigger", "keepstep_joint_kept", SQL_CREATE_JOINT_KEPT),
    ORIGIN_JOINT("trigger", "keepstep_joint_stays", SQL_CREATE_JOINT_STAYS),
    {.kind = "trigger",
     .name = "keepstep_outbox_try",
     .table = "outbox",
     .sql = SQL_CREATE_OUTBOX_TRY},
};

static const char *const STATEMENTS[ORIGIN_STATEMENT_COUNT] = {
    [STATEMENT_HOLD_PROGRESS] = SQL_HOLD_PROGRESS,
    [STATEMENT_READ_PLACE] = SQL_READ_PLACE,
    [STATEMENT_WRITE_PLACE] = SQL_WRITE_PLACE,
    [STATEMENT_FIND_TABLE] = SQL_FIND_TABLE,
    [STATEMENT_FIND_FUNCTION] = SQL_FIND_FUNCTION,
    [STATEMENT_FIND_TRIGGER] = SQL_FIND_TRIGGER,
    [STATEMENT_WATCH_TRIGGER] = SQL_WATCH_TRIGGER,
    [STATEMENT_FIND_INDEX] = SQL_FIND_INDEX,
    [STATEMENT_MOVES] = SQL_MOVES,
    [STATEMENT_WATCH_MOVES] = SQL_WATCH_MOVES,
    [STATEMENT_LOCK_GAPS] = SQL_LOCK_GAPS,
    [STATEMENT_SHOW_DATABASE] = SQL_SHOW_DATABASE,
    [STATEMENT_SHOW_RIGHTS] = SQL_SHOW_RIGHTS,
    ORIGIN_STATEMENTS(ORIGIN_STATEMENT_TEXT) ORIGIN_SERVER_STATEMENTS(ORIGIN_STATEMENT_TEXT)};

/* A transaction that idles would be ended by the session's own limits, so that there is one only
 * between begin and commit. A trigger waits a second for its table: behind it the service waits. */
static enum status origin_mariadb_open(const struct config *config, enum origin_mode mode,
                                       struct origin **ret_origin, struct error *err)
{
    struct origin_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &origin_mariadb_ops;
    self->shared.session = &self->session.base;
    self->shared.publish = origin_mariadb_publish;
    self->shared.key_database = &origin_mariadb_keys;
    self->session.base.ops = &sql_mariadb_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.application = mode == ORIGIN_WATCH ? "keepstep watch"
                                                                  : "keepstep init";
    self->session.base.options.setup = "SET SESSION autocommit = 1, lock_wait_timeout = 1, "
                                       "group_concat_max_len = 16777216";
    *ret_origin = &self->shared.base;
    return origin_sql_open(&self->shared, config, mode, err);
}

static enum status origin_mariadb_once(struct origin *origin, const char *sql, struct error *err)
{
    return mariadb_session_execute(origin_mariadb_of(origin)->session.handle, sql, err);
}

/* An error for want of rights does not say that a trigger is missing. */
static enum status origin_mariadb_watched(const struct origin_mariadb *origin, enum status status,
                                          struct error *err)
{
    if (status == STATUS_OK || !origin->shared.watching || err == NULL ||
        (err->native_code != ER_SP_DOES_NOT_EXIST &&
         err->native_code != ER_PROCACCESS_DENIED_ERROR))
        return status;
    bool lacks_right = mariadb_session_lacks_right((unsigned int)err->native_code);
    error_prefix(err, lacks_right ? "the triggers cannot be read"
                                  : "the triggers cannot be read: run `keepstep init`, and let an "
                                    "administrator run what its --print-roles prints");
    return status;
}

/* A table or a function is known by its comment. */
static enum status origin_mariadb_compare_comment(struct origin_mariadb *origin,
                                                  const struct origin_object *object,
                                                  unsigned statement, enum origin_found *ret_found,
                                                  struct error *err)
{
    struct sql_session *session = &origin->session.base;
    const struct sql_parameter name = sql_string(object->name);
    enum status status = sql_first(session, statement, &name, 1, err);
    *ret_found = ORIGIN_ABSENT;
    if (session->has_row) {
        char found[COMMENT_MAX + 1];
        char comment[COMMENT_MAX + 3];
        sql_column_copy(session, 0, found, sizeof found);
        (void)snprintf(comment, sizeof comment, "'%s'", found);
        *ret_found = strstr(object->sql, comment) != NULL ? ORIGIN_SAME : ORIGIN_OTHER;
        session->ops->finish(session);
    }
    return status;
}

/* A trigger is known by its text. Its name is taken in the whole database, so that one of another
 * table stands in the way. */
static enum status origin_mariadb_compare_trigger(struct origin_mariadb *origin,
                                                  const struct origin_object *object,
                                                  enum origin_found *ret_found, struct error *err)
{
    struct sql_session *session = &origin->session.base;
    struct slice body = slice_of("");
    const char *head = strstr(object->sql, ROW_BODY);
    if (head != NULL)
        body = slice_of(head + sizeof ROW_BODY - 1);
    while (body.length > 0 && body.data[body.length - 1] == '\n')
        body.length--;
    const struct sql_parameter values[] = {sql_text(body), sql_string(object->name),
                                           sql_string(object->table)};
    enum status status = sql_first(
        session, origin->shared.watching ? STATEMENT_WATCH_TRIGGER : STATEMENT_FIND_TRIGGER, values,
        sizeof values / sizeof *values, err);
    *ret_found = ORIGIN_ABSENT;
    if (session->has_row) {
        char table[ORIGIN_NAME_SIZE];
        sql_column_copy(session, 0, table, sizeof table);
        bool same = sql_column_bool(session, 1) && sql_column_bool(session, 2);
        bool here = sql_column_bool(session, 3) ? strcasecmp(table, object->table) == 0
                                                : strcmp(table, object->table) == 0;
        *ret_found = !here ? ORIGIN_LOST : same ? ORIGIN_SAME : ORIGIN_OTHER;
        session->ops->finish(session);
    }
    return origin_mariadb_watched(origin, status, err);
}

static enum status origin_mariadb_compare_index(struct origin_mariadb *origin,
                                                const struct origin_object *object,
                                                enum origin_found *ret_found, struct error *err)
{
    struct sql_session *session = &origin->session.base;
    const struct sql_parameter name = sql_string(object->name);
    enum status status = sql_first(session, STATEMENT_FIND_INDEX, &name, 1, err);
    *ret_found = session->has_row ? ORIGIN_SAME : ORIGIN_ABSENT;
    session->ops->finish(session);
    return status;
}

/* Of the two triggers that tell transactions apart one is wanted. */
static enum status origin_mariadb_wants(struct origin *base, const struct origin_object *object,
                                        bool *ret_wanted, struct error *err)
{
    struct origin_mariadb *origin = origin_mariadb_of(base);
    bool moves = false;
    enum status status = origin_sql_wants(base, object, ret_wanted, err);
    if (!object->of_sets || !*ret_wanted || strcmp(object->kind, "trigger") != 0)
        return status;
    status = sql_is_true(&origin->session.base,
                         origin->shared.watching ? STATEMENT_WATCH_MOVES : STATEMENT_MOVES, &moves,
                         err);
    *ret_wanted = moves == (strcmp(object->name, CAREFUL_TRIGGER) == 0);
    return origin_mariadb_watched(origin, status, err);
}

static enum status origin_mariadb_compare(struct origin *base, const struct origin_object *object,
                                          enum origin_found *ret_found, struct error *err)
{
    struct origin_mariadb *origin = origin_mariadb_of(base);
    if (strcmp(object->kind, "trigger") == 0)
        return origin_mariadb_compare_trigger(origin, object, ret_found, err);
    if (strcmp(object->kind, "column") == 0)
        return origin_sql_compare_column(base, object, ret_found, err);
    if (strcmp(object->kind, "index") == 0)
        return origin_mariadb_compare_index(origin, object, ret_found, err);
    unsigned statement = strcmp(object->kind, "table") == 0 ? STATEMENT_FIND_TABLE
                                                            : STATEMENT_FIND_FUNCTION;
    return origin_mariadb_compare_comment(origin, object, statement, ret_found, err);
}

/* OR REPLACE replaces a trigger of the same table only; a tool that swaps tables leaves it on the
 * old one, under another name. */
static enum status origin_mariadb_take_name(struct origin *origin,
                                            const struct origin_object *object, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, COMMENT_MAX * 4);
    buffer_append_format(&sql, "DROP TRIGGER `%s`", object->name);
    enum status status = origin_mariadb_once(origin, buffer_text(&sql), err);
    buffer_done(&sql);
    return status == STATUS_OK ? origin_mariadb_once(origin, object->sql, err) : status;
}

/* A trigger that would give all transactions of a session one identity is not made. */
static enum status origin_mariadb_check_logged(struct origin *origin,
                                               const struct origin_object *object,
                                               struct error *err)
{
    if (!object->of_sets || strcmp(object->kind, "trigger") != 0)
        return STATUS_OK;
    enum status status = origin_mariadb_once(origin, SQL_CHECK_LOGGED, err);
    if (status == STATUS_OK || status == STATUS_RETRY || err == NULL)
        return status;
    err->status = STATUS_FATAL; /* there is no event that could be at fault */
    error_mark_config(err);
    return STATUS_FATAL;
}

/* Each statement of this kind commits, so that a transaction begins anew behind it; that of a
 * trigger does both, create and replace. */
static enum status origin_mariadb_create(struct origin *origin, const struct origin_object *object,
                                         bool replace, struct error *err)
{
    enum status status = origin_mariadb_check_logged(origin, object, err);
    if (status == STATUS_OK)
        status = origin_mariadb_once(origin, object->sql, err);
    if (status != STATUS_OK && replace && err != NULL &&
        err->native_code == ER_TRG_DOES_NOT_EXIST) {
        error_clear(err);
        status = origin_mariadb_take_name(origin, object, err);
    }
    if (status == STATUS_FATAL && err != NULL &&
        err->native_code == ER_BINLOG_CREATE_ROUTINE_NEED_SUPER) {
        error_mark_config(err);
        error_prefix(err, "with a binary log the server lets only SUPER create triggers, unless "
                          "log_bin_trust_function_creators is on");
    }
    return status == STATUS_OK ? origin_sql_begin(origin, err) : status;
}

static enum status origin_mariadb_read(struct origin *base, const struct config_entry *entry,
                                       const struct entity_schema *schema,
                                       struct capture_mariadb *ret_table, struct error *err)
{
    const struct origin_mariadb *origin = origin_mariadb_of(base);
    const struct check check = {
        .entry = entry, .schema = schema, .watching = origin->shared.watching};
    enum status status = capture_mariadb_check(origin->session.handle, &check, ret_table, err);
    return origin_mariadb_watched(origin, status, err);
}

static enum status origin_mariadb_check(struct origin *origin, const struct config_entry *entry,
                                        const struct entity_schema *schema, struct error *err)
{
    struct capture_mariadb capture;
    return origin_mariadb_read(origin, entry, schema, &capture, err);
}

static enum status origin_mariadb_capture(struct origin *origin, const struct config_entry *entry,
                                          const struct entity_schema *schema,
                                          struct origin_objects *ret_objects, struct error *err)
{
    struct capture_mariadb capture;
    const struct origin_mariadb *self = origin_mariadb_of(origin);
    enum status status = origin_mariadb_read(origin, entry, schema, &capture, err);
    if (status == STATUS_OK && entry->is_joint)
        status = origin_mariadb_watched(self,
                                        capture_mariadb_read_uniques(self->session.handle, &capture,
                                                                     self->shared.watching,
                                                                     ret_objects->arena, err),
                                        err);
    if (status == STATUS_OK)
        status = capture_write(&capture.base, ret_objects, err);
    return status;
}

static void grants_append(struct buffer *out, const struct origin_table *table, const char *text)
{
    struct capture capture;
    capture_init(&capture, &capture_mariadb_dialect, table->entry, table->schema);
    capture_write_rows(out, &capture, text, &(struct capture_rows){0});
    buffer_append_text(out, ";\n");
}

static void origin_mariadb_grants(const struct origin_table *tables, size_t count,
                                  struct buffer *out)
{
    static const struct origin_grants grants = ORIGIN_GRANTS(grants_append);
    origin_sql_grants(tables, count, &grants, out);
}

const struct origin_ops origin_mariadb_ops = {
    .scheme = "mysql",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .joint_objects = JOINT_OBJECTS,
    .joint_object_count = sizeof JOINT_OBJECTS / sizeof *JOINT_OBJECTS,
    .guard = SQL_GUARD,
    .delimiter = "//",
    .open = origin_mariadb_open,
    .close = origin_sql_close,
    .begin = origin_sql_begin,
    .compare = origin_mariadb_compare,
    .create = origin_mariadb_create,
    .wants = origin_mariadb_wants,
    .check = origin_mariadb_check,
    .capture = origin_mariadb_capture,
    .dialect = &capture_mariadb_dialect,
    .grants = origin_mariadb_grants,
    .chunk = origin_mariadb_chunk,
    ORIGIN_SQL_SLOTS,
};
