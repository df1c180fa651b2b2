/* What `init` makes in MariaDB: outbox, relay state, triggers, and a new history. */
#include "producer/mariadb/origin_internal.h"
#include "producer_mariadb_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#define COMMENT_MAX 64

static const char ROW_BODY[] = " FOR EACH ROW\n";

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    {.kind = "table", .name = "keepstep_relay", .sql = SQL_CREATE_RELAY},
    {.kind = "table", .name = "keepstep_relay_partition", .sql = SQL_CREATE_RELAY_PARTITION},
    {.kind = "table", .name = "keepstep_relay_type", .sql = SQL_CREATE_RELAY_TYPE},
    {.kind = "table", .name = "keepstep_relay_read", .sql = SQL_CREATE_RELAY_READ},
    {.kind = "table", .name = "keepstep_relay_moved", .sql = SQL_CREATE_RELAY_MOVED},
    {.kind = "table", .name = "keepstep_relay_wait", .sql = SQL_CREATE_RELAY_WAIT},
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "function", .name = "keepstep_catalogue", .sql = SQL_CREATE_CATALOGUE},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
};

void origin_mariadb_rollback(struct origin *origin)
{
    mariadb_session_rollback(origin_mariadb_of(origin)->session);
}

static void origin_mariadb_close(struct origin *base)
{
    struct origin_mariadb *origin = origin_mariadb_of(base);
    if (origin == NULL)
        return;
    mariadb_statement_free(origin->note_in_log);
    origin_mariadb_rollback(base);
    mariadb_session_close(origin->session);
    free(origin);
}

/* A transaction that idles would be ended by the session's own limits, so that there is one only
 * between begin and commit. A trigger waits a second for its table: behind it the service waits. */
static enum status origin_mariadb_open(const struct config *config, enum origin_mode mode,
                                       struct origin **ret_origin, struct error *err)
{
    struct origin_mariadb *origin = calloc(1, sizeof *origin);
    const struct server_session_options options = {
        .url = config->database_path,
        .application = mode == ORIGIN_WATCH ? "keepstep watch" : "keepstep init",
        .read_only = mode == ORIGIN_READ || mode == ORIGIN_WATCH,
        .lasting = mode == ORIGIN_INSTALL};
    if (origin == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    origin->base.ops = &origin_mariadb_ops;
    origin->watching = mode == ORIGIN_WATCH;
    *ret_origin = &origin->base;
    enum status status = mariadb_session_open(&options, &origin->session, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(origin->session,
                                         "SET SESSION autocommit = 1, lock_wait_timeout = 1, "
                                         "group_concat_max_len = 16777216",
                                         err);
    return status;
}

enum status origin_mariadb_begin(struct origin *origin, struct error *err)
{
    return mariadb_session_execute(origin_mariadb_of(origin)->session, "START TRANSACTION", err);
}

enum status origin_mariadb_commit(struct origin *origin, struct error *err)
{
    return mariadb_session_execute(origin_mariadb_of(origin)->session, "COMMIT", err);
}

static enum status origin_mariadb_once(struct origin *origin, const char *sql, struct error *err)
{
    return mariadb_session_execute(origin_mariadb_of(origin)->session, sql, err);
}

/* Runs a query and stops at its first row. @return the caller ends the statement. */
static enum status origin_mariadb_find(struct origin *origin, const char *sql,
                                       const struct mariadb_parameter *values, size_t count,
                                       struct mariadb_statement **ret_statement, bool *ret_row,
                                       struct error *err)
{
    enum status status = mariadb_statement_new(origin_mariadb_of(origin)->session, "outbox", sql,
                                               ret_statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(*ret_statement, values, count, ret_row, err);
    return status;
}

/* Whoever may not look has not seen that something is missing. */
static enum status origin_mariadb_watched(const struct origin_mariadb *origin, enum status status,
                                          struct error *err)
{
    if (status == STATUS_OK || !origin->watching || err == NULL ||
        (err->native_code != ER_SP_DOES_NOT_EXIST &&
         err->native_code != ER_PROCACCESS_DENIED_ERROR))
        return status;
    error_prefix(err, "the triggers cannot be looked at: run `keepstep init`, and let an "
                      "administrator run what its --print-sql prints");
    return status;
}

/* A table or a function is known by its comment. */
static enum status origin_mariadb_compare_comment(struct origin *origin,
                                                  const struct origin_object *object,
                                                  const char *sql, enum origin_found *ret_found,
                                                  struct error *err)
{
    struct mariadb_statement *statement = NULL;
    const struct mariadb_parameter name = mariadb_string(object->name);
    bool row = false;
    enum status status = origin_mariadb_find(origin, sql, &name, 1, &statement, &row, err);
    *ret_found = ORIGIN_ABSENT;
    if (status == STATUS_OK && row) {
        char found[COMMENT_MAX + 1];
        char comment[COMMENT_MAX + 3];
        mariadb_statement_copy(statement, 0, found, sizeof found);
        (void)snprintf(comment, sizeof comment, "'%s'", found);
        *ret_found = strstr(object->sql, comment) != NULL ? ORIGIN_SAME : ORIGIN_OTHER;
    }
    mariadb_statement_free(statement);
    return status;
}

/* A trigger is known by its text. Its name is taken in the whole database, so that one of another
 * table stands in the way. */
static enum status origin_mariadb_compare_trigger(struct origin *base,
                                                  const struct origin_object *object,
                                                  enum origin_found *ret_found, struct error *err)
{
    const struct origin_mariadb *origin = origin_mariadb_of(base);
    struct mariadb_statement *statement = NULL;
    const char *body = strstr(object->sql, ROW_BODY);
    struct mariadb_parameter values[3] = {
        mariadb_string(body == NULL ? "" : body + sizeof ROW_BODY - 1)};
    size_t count = 1;
    bool row = false;
    if (origin->watching)
        values[count++] = mariadb_string(object->table);
    values[count++] = mariadb_string(object->name);
    enum status status = origin_mariadb_find(
        base, origin->watching ? SQL_WATCH_TRIGGER : SQL_LOOK_TRIGGER, values, count, &statement,
        &row, err);
    *ret_found = ORIGIN_ABSENT;
    if (status == STATUS_OK && row) {
        char table[ORIGIN_NAME_SIZE];
        mariadb_statement_copy(statement, 0, table, sizeof table);
        bool same = mariadb_statement_integer(statement, 1) != 0 &&
                    mariadb_statement_integer(statement, 2) != 0;
        bool here = mariadb_statement_integer(statement, 3) != 0
                        ? strcasecmp(table, object->table) == 0
                        : strcmp(table, object->table) == 0;
        *ret_found = !here ? ORIGIN_LOST : same ? ORIGIN_SAME : ORIGIN_OTHER;
    }
    mariadb_statement_free(statement);
    return origin_mariadb_watched(origin, status, err);
}

static enum status origin_mariadb_compare(struct origin *origin, const struct origin_object *object,
                                          enum origin_found *ret_found, struct error *err)
{
    if (strcmp(object->kind, "trigger") == 0)
        return origin_mariadb_compare_trigger(origin, object, ret_found, err);
    bool table = strcmp(object->kind, "table") == 0;
    return origin_mariadb_compare_comment(
        origin, object, table ? SQL_LOOK_TABLE : SQL_LOOK_FUNCTION, ret_found, err);
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

/* Each statement of this kind commits, so that a transaction begins anew behind it; that of a
 * trigger does both, create and replace. */
static enum status origin_mariadb_create(struct origin *origin, const struct origin_object *object,
                                         bool replace, struct error *err)
{
    enum status status = origin_mariadb_once(origin, object->sql, err);
    if (status != STATUS_OK && replace && err != NULL &&
        err->native_code == ER_TRG_DOES_NOT_EXIST) {
        error_clear(err);
        status = origin_mariadb_take_name(origin, object, err);
    }
    if (status == STATUS_FATAL && err != NULL &&
        err->native_code == ER_BINLOG_CREATE_ROUTINE_NEED_SUPER) {
        err->exit_code = EX_CONFIG;
        error_prefix(err, "with a binary log the server lets only SUPER create triggers, unless "
                          "log_bin_trust_function_creators is on");
    }
    return status == STATUS_OK ? origin_mariadb_begin(origin, err) : status;
}

static enum status origin_mariadb_read(struct origin *base, const struct config_entry *entry,
                                       const struct entity_schema *schema,
                                       struct capture_mariadb *ret_table, struct error *err)
{
    const struct origin_mariadb *origin = origin_mariadb_of(base);
    const struct check check = {.entry = entry, .schema = schema, .watching = origin->watching};
    enum status status = capture_mariadb_check(origin->session, &check, ret_table, err);
    return origin_mariadb_watched(origin, status, err);
}

static enum status origin_mariadb_check(struct origin *origin, const struct config_entry *entry,
                                        const struct entity_schema *schema, struct error *err)
{
    struct capture_mariadb table;
    return origin_mariadb_read(origin, entry, schema, &table, err);
}

static enum status origin_mariadb_capture(struct origin *origin, const struct config_entry *entry,
                                          const struct entity_schema *schema,
                                          struct origin_objects *ret_objects, struct error *err)
{
    struct capture_mariadb table;
    enum status status = origin_mariadb_read(origin, entry, schema, &table, err);
    if (status == STATUS_OK)
        status = capture_write(&table.base, ret_objects, err);
    return status;
}

static void origin_mariadb_grants(const struct config *config, struct buffer *out)
{
    (void)config;
    buffer_append_text(out, SQL_GRANTS);
}

static enum status origin_mariadb_identify(struct origin *origin, const char *service,
                                           const char *incarnation, struct error *err)
{
    const struct mariadb_parameter values[] = {mariadb_string(service),
                                               mariadb_string(incarnation)};
    return mariadb_statement_once(origin_mariadb_of(origin)->session, SQL_INSERT_RELAY, values, 2,
                                  err);
}

/* Temporary tables are made before the transaction; they end with the session. */
static enum status origin_mariadb_create_notes(struct origin *origin, struct error *err)
{
    enum status status = origin_mariadb_once(origin, SQL_CREATE_IN_LOG, err);
    return status == STATUS_OK ? origin_mariadb_once(origin, SQL_CREATE_LOG_END, err) : status;
}

static enum status origin_mariadb_restart(struct origin *origin, const char *service,
                                          const char *incarnation, int64_t *ret_dropped,
                                          struct error *err)
{
    static const char *const forget[] = {
        SQL_FORWARD_FORGET,  SQL_FORWARD_WAIT,       SQL_RESTART_DROP_ACKNOWLEDGED,
        SQL_RESTART_UNCLAIM, SQL_RESTART_PARTITIONS, SQL_RESTART_MOVED,
        SQL_RESTART_READ,    SQL_RESTART_EXISTING,   SQL_RESTART_EXISTING_KEY,
        SQL_RESTART_CAPTURED};
    const struct mariadb_parameter values[] = {mariadb_string(service),
                                               mariadb_string(incarnation)};
    MYSQL *session = origin_mariadb_of(origin)->session;
    uint64_t dropped = 0;
    enum status status = origin_mariadb_create_notes(origin, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(session, SQL_FORWARD_DROP, err);
    if (status == STATUS_OK)
        dropped = mysql_affected_rows(session);
    if (status == STATUS_OK)
        status = mariadb_statement_once(session, SQL_RESTART_RELAY, values, 2, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof forget / sizeof *forget; i++)
        status = origin_mariadb_once(origin, forget[i], err);
    *ret_dropped = (int64_t)dropped;
    return status;
}

static enum status origin_mariadb_lease(struct origin *origin, bool *ret_initialised,
                                        struct origin_lease *ret_lease, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct error absent = ERROR_INIT;
    bool row = false;
    *ret_lease = (struct origin_lease){0};
    *ret_initialised = false;
    enum status status = origin_mariadb_find(origin, SQL_READ_HOLDER, NULL, 0, &statement, &row,
                                             &absent);
    if (status == STATUS_OK && row) {
        mariadb_statement_copy(statement, 0, ret_lease->holder, sizeof ret_lease->holder);
        ret_lease->until_us = mariadb_statement_integer(statement, 1);
    }
    mariadb_statement_free(statement);
    if (absent.native_code == ER_NO_SUCH_TABLE)
        return STATUS_OK;
    *ret_initialised = status == STATUS_OK;
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = absent;
    return status;
}

static enum status origin_mariadb_note_in_log(struct origin *base, struct slice id,
                                              struct error *err)
{
    struct origin_mariadb *origin = origin_mariadb_of(base);
    struct mariadb_parameter value = mariadb_text(id);
    enum status status = STATUS_OK;
    if (origin->note_in_log == NULL) {
        status = origin_mariadb_create_notes(base, err);
        if (status == STATUS_OK)
            status = mariadb_statement_new(origin->session, "outbox", SQL_NOTE_IN_LOG,
                                           &origin->note_in_log, err);
    }
    if (status != STATUS_OK)
        return status;
    return mariadb_statement_run(origin->note_in_log, &value, 1, NULL, err);
}

static enum status origin_mariadb_note_log_end(struct origin *origin, const char *topic,
                                               int32_t partition, int64_t end, struct error *err)
{
    const struct mariadb_parameter values[] = {mariadb_string(topic), mariadb_integer(partition),
                                               mariadb_integer(end)};
    enum status status = origin_mariadb_create_notes(origin, err);
    if (status == STATUS_OK)
        status = mariadb_statement_once(origin_mariadb_of(origin)->session, SQL_NOTE_LOG_END,
                                        values, 3, err);
    return status;
}

const struct origin_ops origin_mariadb_ops = {
    .scheme = "mysql",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .guard = SQL_GUARD,
    .delimiter = "//",
    .open = origin_mariadb_open,
    .close = origin_mariadb_close,
    .begin = origin_mariadb_begin,
    .commit = origin_mariadb_commit,
    .rollback = origin_mariadb_rollback,
    .compare = origin_mariadb_compare,
    .create = origin_mariadb_create,
    .check = origin_mariadb_check,
    .capture = origin_mariadb_capture,
    .dialect = &capture_mariadb_dialect,
    .grants = origin_mariadb_grants,
    .identify = origin_mariadb_identify,
    .restart = origin_mariadb_restart,
    .lease = origin_mariadb_lease,
    .note_in_log = origin_mariadb_note_in_log,
    .note_log_end = origin_mariadb_note_log_end,
    .captured = origin_mariadb_captured,
    .write_captured = origin_mariadb_write_captured,
    .republish = origin_mariadb_republish,
    .progress = origin_mariadb_progress,
    .chunk = origin_mariadb_chunk,
    .write = origin_mariadb_write,
};
