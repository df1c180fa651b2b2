/* What `init` makes in PostgreSQL: outbox, relay state, triggers, and a new history. */
#include "producer/postgresql/capture.h"
#include "common/clock.h"
#include "common/postgresql_name.h"
#include "producer/postgresql/origin_internal.h"
#include "producer_postgresql_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

#define TURN_WAIT_MAX_US (INT64_C(300) * 1000 * 1000)
#define TURN_PAUSE_US    (INT64_C(100) * 1000)

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    {.kind = "index", .name = "outbox_id", .sql = SQL_CREATE_OUTBOX_ID},
    ORIGIN_FREE_ID,
    ORIGIN_ADD_CHANGESET,
    ORIGIN_ADD_JOINT,
    {.kind = "index", .name = "outbox_waiting", .sql = SQL_CREATE_OUTBOX_WAITING},
    {.kind = "index", .name = "outbox_claimed", .sql = SQL_CREATE_OUTBOX_CLAIMED},
    {.kind = "index", .name = "outbox_set_aside", .sql = SQL_CREATE_OUTBOX_SET_ASIDE},
    {.kind = "function", .name = "keepstep_outbox_wake", .table = "outbox", .sql = SQL_CREATE_WAKE},
    {.kind = "trigger",
     .name = "keepstep_outbox_wake",
     .table = "outbox",
     .sql = SQL_CREATE_WAKE_TRIGGER},
    ORIGIN_CHANGESET_INDEX,
    {.kind = "default",
     .name = "outbox.changeset",
     .sql = SQL_SET_CHANGESET,
     .of_sets = true,
     .drop = SQL_UNSET_CHANGESET},
    ORIGIN_RELAY_TABLES,
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
    {.kind = "function", .name = "keepstep_ticket", .table = "outbox", .sql = SQL_CREATE_TICKET},
    {.kind = "function", .name = "keepstep_token", .table = "outbox", .sql = SQL_CREATE_TOKEN},
};

static const struct origin_object JOINT_OBJECTS[] = {
    ORIGIN_JOINT_INDEX,
    ORIGIN_JOINT_TABLES,
    {.kind = "index", .name = "keepstep_reserved_bucket", .sql = SQL_CREATE_RESERVED_BUCKET},
    {.kind = "table", .name = "keepstep_guard", .sql = SQL_CREATE_GUARD},
    ORIGIN_JOINT("function", "keepstep_joint_check", SQL_CREATE_JOINT_CHECK),
    ORIGIN_JOINT("trigger", "keepstep_joint_check", SQL_CREATE_JOINT_CHECK_TRIGGER),
    ORIGIN_JOINT("function", "keepstep_joint_propose", SQL_CREATE_JOINT_PROPOSE),
    ORIGIN_JOINT("trigger", "keepstep_joint_propose", SQL_CREATE_JOINT_PROPOSE_TRIGGER),
    ORIGIN_JOINT("function", "keepstep_joint_kept", SQL_CREATE_JOINT_KEPT),
    ORIGIN_JOINT("trigger", "keepstep_joint_kept", SQL_CREATE_JOINT_KEPT_TRIGGER),
    ORIGIN_JOINT("trigger", "keepstep_joint_stays", SQL_CREATE_JOINT_STAYS_TRIGGER),
    ORIGIN_JOINT("function", "keepstep_joint_silence", SQL_CREATE_JOINT_SILENCE),
};

static const char *const STATEMENTS[ORIGIN_STATEMENT_COUNT] = {
    [STATEMENT_LIFT_LIMIT] = SQL_LIFT_LIMIT,
    [STATEMENT_LIMIT_WAIT] = SQL_LIMIT_WAIT,
    [STATEMENT_LOCK_OUTBOX] = SQL_LOCK_OUTBOX,
    [STATEMENT_HOLD_PROGRESS] = SQL_HOLD_PROGRESS,
    [STATEMENT_REFUSE_HIDDEN_ROWS] = SQL_REFUSE_HIDDEN_ROWS,
    [STATEMENT_HAS_RIGHT] = SQL_HAS_RIGHT,
    [STATEMENT_JOINT_UNFIT] = SQL_JOINT_UNFIT,
    ORIGIN_STATEMENTS(ORIGIN_STATEMENT_TEXT) ORIGIN_SERVER_STATEMENTS(ORIGIN_STATEMENT_TEXT)};

/* Where the outbox is, or will be. */
static enum status origin_postgresql_find_schema(struct origin_postgresql *self, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgresql_session_query(self->session.connection, SQL_OUTBOX_SCHEMA,
                                                  NO_SLICES, &result, err);
    if (status == STATUS_OK && PQgetisnull(result, 0, 0) != 0)
        status = error_set(err, STATUS_FATAL,
                           "the role's search_path names no schema that is there: set one");
    if (status == STATUS_OK) {
        self->schema = strdup(PQgetvalue(result, 0, 0));
        if (self->schema == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
    }
    PQclear(result);
    return status;
}

/* Two `init` at once take turns. The other one's index waits for every statement that runs, so the
 * turn is asked for again and again instead of waited for in a statement. */
static enum status origin_postgresql_take_turn(PGconn *connection, struct error *err)
{
    int64_t until = clock_monotonic_us() + TURN_WAIT_MAX_US;
    for (;;) {
        PGresult *result = NULL;
        enum status status = postgresql_session_query(connection, SQL_TRY_INDEX_TURN, NO_SLICES,
                                                      &result, err);
        bool taken = status == STATUS_OK && PQgetvalue(result, 0, 0)[0] == 't';
        PQclear(result);
        if (status != STATUS_OK || taken)
            return status;
        if (clock_monotonic_us() > until)
            return error_set(err, STATUS_RETRY,
                             "another `keepstep init` still makes an index of the outbox");
        clock_sleep_us(TURN_PAUSE_US);
    }
}

/* An index that an outbox of an earlier version, or of another use, lacks. */
struct late_index {
    const char *find;  /* a row where it is lacking: whether one was left unfinished */
    const char *drop;  /* that one */
    const char *build; /* while the service writes on */
};

/* @return whether it is lacking, and in *ret_unfinished whether one was left unfinished. */
static enum status late_index_find(PGconn *connection, const struct late_index *index,
                                   bool *ret_lacking, bool *ret_unfinished, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgresql_session_query(connection, index->find, NO_SLICES, &result, err);
    *ret_lacking = status == STATUS_OK && PQntuples(result) > 0;
    *ret_unfinished = *ret_lacking && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return status;
}

/* Makes the index where it is lacking, and makes it again where it was left unfinished. */
static enum status late_index_make(PGconn *connection, const struct late_index *index,
                                   struct error *err)
{
    bool lacking = false;
    bool unfinished = false;
    enum status status = late_index_find(connection, index, &lacking, &unfinished, err);
    if (status != STATUS_OK || !lacking)
        return status;
    status = postgresql_session_execute(connection, SQL_WAIT_FOR_WRITERS, err);
    if (status == STATUS_OK && unfinished)
        status = postgresql_session_execute(connection, index->drop, err);
    return status == STATUS_OK ? postgresql_session_execute(connection, index->build, err) : status;
}

/* An index that is made in a transaction keeps the service's writers out while it is made. An
 * outbox that is there may have many rows, so it gets its index before the transaction. */
static enum status origin_postgresql_index(struct origin_postgresql *self,
                                           const struct late_index *index, struct error *err)
{
    PGconn *connection = self->session.connection;
    bool lacking = false;
    bool unfinished = false;
    enum status status = late_index_find(connection, index, &lacking, &unfinished, err);
    if (status != STATUS_OK || !lacking)
        return status;
    status = origin_postgresql_take_turn(connection, err);
    if (status == STATUS_OK)
        status = late_index_make(connection, index, err);
    return status == STATUS_OK ? postgresql_session_execute(connection, SQL_END_INDEX_TURN, err)
                               : status;
}

static enum status origin_postgresql_index_outbox(struct origin_postgresql *self, struct error *err)
{
    static const struct late_index ids = {SQL_FIND_ID_INDEX, SQL_DROP_ID_INDEX, SQL_BUILD_ID_INDEX};
    static const struct late_index changesets = {
        SQL_FIND_CHANGESET_INDEX, SQL_DROP_UNFINISHED_CHANGESET, SQL_BUILD_CHANGESET_INDEX};
    static const struct late_index joints = {SQL_FIND_JOINT_INDEX, SQL_DROP_UNFINISHED_JOINT,
                                             SQL_BUILD_JOINT_INDEX};
    enum status status = origin_postgresql_index(self, &ids, err);
    if (status == STATUS_OK && self->shared.config->transactions == TRANSACTIONS_WHOLE)
        status = origin_postgresql_index(self, &changesets, err);
    if (status == STATUS_OK && config_is_joint(self->shared.config))
        status = origin_postgresql_index(self, &joints, err);
    return status;
}

static enum status origin_postgresql_open(const struct config *config, enum origin_mode mode,
                                          struct origin **ret_origin, struct error *err)
{
    struct origin_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &origin_postgresql_ops;
    self->shared.session = &self->session.base;
    self->shared.publish = origin_postgresql_publish;
    self->shared.key_database = &origin_postgresql_keys;
    self->session.base.ops = &sql_postgresql_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.application = mode == ORIGIN_WRITE   ? "keepstep publish"
                                             : mode == ORIGIN_WATCH ? "keepstep watch"
                                                                    : "keepstep init";
    if (mode == ORIGIN_WATCH) /* the relay has a lease to keep meanwhile */
        self->session.base.options.setup = "SET lock_timeout = '200ms'";
    *ret_origin = &self->shared.base;
    enum status status = origin_sql_open(&self->shared, config, mode, err);
    if (status == STATUS_OK)
        status = origin_postgresql_find_schema(self, err);
    if (status == STATUS_OK && mode == ORIGIN_INSTALL)
        status = origin_postgresql_index_outbox(self, err);
    return status;
}

static void origin_postgresql_close(struct origin *origin)
{
    if (origin != NULL)
        free(origin_postgresql_of(origin)->schema);
    origin_sql_close(origin);
}

static enum status origin_postgresql_begin(struct origin *origin, struct error *err)
{
    return postgresql_session_execute(origin_postgresql_of(origin)->session.connection,
                                      SQL_BEGIN_INSTALL, err);
}

/* The comment that the object's statement ends in: '…'. */
static struct slice origin_postgresql_comment(const char *sql)
{
    const char *end = strrchr(sql, '\'');
    const char *start = end;
    while (start != NULL && start > sql && start[-1] != '\'')
        start--;
    return end == NULL ? (struct slice){0} : (struct slice){start, (size_t)(end - start)};
}

static enum status origin_postgresql_compare(struct origin *origin,
                                             const struct origin_object *object,
                                             enum origin_found *ret_found, struct error *err)
{
    bool function = strcmp(object->kind, "function") == 0;
    bool trigger = strcmp(object->kind, "trigger") == 0;
    if (strcmp(object->kind, "column") == 0 || strcmp(object->kind, "default") == 0)
        return origin_sql_compare_column(origin, object, ret_found, err);
    const struct slice parameters[] = {slice_of(object->name),
                                       slice_of(trigger ? object->table : object->sql),
                                       slice_of(function ? object->table : "")};
    PGresult *result = NULL;
    enum status status = postgresql_session_query(origin_postgresql_of(origin)->session.connection,
                                                  function  ? SQL_FIND_FUNCTION
                                                  : trigger ? SQL_FIND_TRIGGER
                                                            : SQL_FIND_RELATION,
                                                  (struct slice_list){parameters, function  ? 3
                                                                                  : trigger ? 2
                                                                                            : 1},
                                                  &result, err);
    if (status != STATUS_OK)
        return status;
    *ret_found = ORIGIN_ABSENT;
    if (PQntuples(result) > 0) {
        struct slice found = postgresql_session_text(result, 0, 0);
        bool same = function || trigger
                        ? slice_equal(found, origin_postgresql_comment(object->sql))
                        : found.length >= 8 && memcmp(found.data, "Keepstep", 8) == 0;
        bool off = (trigger || (function && same)) && PQgetvalue(result, 0, 1)[0] == 't';
        *ret_found = off ? ORIGIN_LOST : same ? ORIGIN_SAME : ORIGIN_OTHER;
    }
    PQclear(result);
    return status;
}

/* CREATE OR REPLACE does both. */
static enum status origin_postgresql_create(struct origin *origin,
                                            const struct origin_object *object, bool replace,
                                            struct error *err)
{
    (void)replace;
    enum status status = postgresql_session_execute(
        origin_postgresql_of(origin)->session.connection, object->sql, err);
    if (status != STATUS_REJECT)
        return status;
    if (err != NULL)
        err->status = STATUS_FATAL; /* there is no event that could be at fault */
    return STATUS_FATAL;
}

static enum status origin_postgresql_check(struct origin *origin, const struct config_entry *entry,
                                           const struct entity_schema *schema, struct error *err)
{
    const struct origin_postgresql *self = origin_postgresql_of(origin);
    const struct check check = {.config = self->shared.config,
                                .entry = entry,
                                .schema = schema,
                                .watching = self->shared.watching};
    return capture_postgresql_check(self->session.connection, &check, err);
}

static enum status origin_postgresql_capture(struct origin *base, const struct config_entry *entry,
                                             const struct entity_schema *schema,
                                             struct origin_objects *ret_objects, struct error *err)
{
    struct origin_postgresql *origin = origin_postgresql_of(base);
    PGresult *found = NULL;
    PGresult *partitions = NULL;
    PGresult *uniques = NULL;
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, entry->table);
    struct slice table = buffer_slice(&name);
    enum status status = postgresql_session_query(origin->session.connection, SQL_DESCRIBE_TABLE,
                                                  (struct slice_list){&table, 1}, &found, err);
    if (status == STATUS_OK && PQntuples(found) == 0)
        status = error_set(err, STATUS_FATAL, "publish.%s: table %s is gone", entry->entity_type,
                           entry->table);
    if (status == STATUS_OK)
        status = postgresql_session_query(origin->session.connection, SQL_LIST_PARTITIONS,
                                          (struct slice_list){&table, 1}, &partitions, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(origin->session.connection, SQL_UNIQUE_NAMES_POSTGRESQL,
                                          (struct slice_list){&table, 1}, &uniques, err);
    if (status == STATUS_OK) {
        struct capture_postgresql capture = {.name = buffer_text(&name),
                                             .outbox = origin->schema,
                                             .table = found,
                                             .partitions = partitions,
                                             .uniques = uniques};
        capture_init(&capture.base, &capture_postgresql_dialect, entry, schema);
        status = capture_write(&capture.base, ret_objects, err);
    }
    PQclear(found);
    PQclear(partitions);
    PQclear(uniques);
    buffer_done(&name);
    return status;
}

static void grants_append(struct buffer *out, const struct origin_table *table, const char *text)
{
    struct capture_postgresql capture = {0};
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, table->entry->table);
    capture_init(&capture.base, &capture_postgresql_dialect, table->entry, table->schema);
    capture.name = buffer_text(&name);
    capture_write_rows(out, &capture.base, text, &(struct capture_rows){0});
    buffer_append_text(out, ";\n");
    out->failed = out->failed || name.failed;
    buffer_done(&name);
}

/* Only what the statements of the outbox need; a service's own role needs INSERT for rows that it
 * writes itself, the triggers need nothing. */
static void origin_postgresql_grants(const struct origin_table *tables, size_t count,
                                     struct buffer *out)
{
    static const struct origin_grants grants = ORIGIN_GRANTS(grants_append);
    origin_sql_grants(tables, count, &grants, out);
}

const struct origin_ops origin_postgresql_ops = {
    .scheme = "postgresql",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
    .joint_objects = JOINT_OBJECTS,
    .joint_object_count = sizeof JOINT_OBJECTS / sizeof *JOINT_OBJECTS,
    .seal = SQL_JOINT_SEAL,
    .client_stop = "\\set ON_ERROR_STOP on\n",
    .client_begin = "BEGIN;\n\n",
    .client_commit = "COMMIT;\n\n",
    .side_effect = "lastval() of a session that writes a published table returns the outbox's "
                   "position: take the row's own number by INSERT ... RETURNING, or by currval() "
                   "of its sequence",
    .guard = SQL_GUARD,
    .open = origin_postgresql_open,
    .close = origin_postgresql_close,
    .begin = origin_postgresql_begin,
    .compare = origin_postgresql_compare,
    .create = origin_postgresql_create,
    .wants = origin_sql_wants,
    .check = origin_postgresql_check,
    .capture = origin_postgresql_capture,
    .dialect = &capture_postgresql_dialect,
    .grants = origin_postgresql_grants,
    .chunk = origin_sql_chunk,
    ORIGIN_SQL_SLOTS,
};
