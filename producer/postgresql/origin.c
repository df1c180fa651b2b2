/* What `init` makes in PostgreSQL: outbox, relay state, triggers, and a new history. */
#include "producer/postgresql/capture.h"
#include "common/postgresql_name.h"
#include "producer/postgresql/array.h"
#include "producer/postgresql/origin_internal.h"
#include "producer_postgresql_sql.h"

#include <stdio.h>
#include <stdlib.h>

static const struct origin_object OBJECTS[] = {
    {.kind = "table", .name = "outbox", .sql = SQL_CREATE_OUTBOX},
    {.kind = "index", .name = "outbox_waiting", .sql = SQL_CREATE_OUTBOX_WAITING},
    {.kind = "index", .name = "outbox_claimed", .sql = SQL_CREATE_OUTBOX_CLAIMED},
    {.kind = "index", .name = "outbox_set_aside", .sql = SQL_CREATE_OUTBOX_SET_ASIDE},
    {.kind = "function", .name = "keepstep_outbox_wake", .table = "outbox", .sql = SQL_CREATE_WAKE},
    {.kind = "trigger",
     .name = "keepstep_outbox_wake",
     .table = "outbox",
     .sql = SQL_CREATE_WAKE_TRIGGER},
    {.kind = "table", .name = "keepstep_relay", .sql = SQL_CREATE_RELAY},
    {.kind = "table", .name = "keepstep_relay_partition", .sql = SQL_CREATE_RELAY_PARTITION},
    {.kind = "table", .name = "keepstep_relay_type", .sql = SQL_CREATE_RELAY_TYPE},
    {.kind = "table", .name = "keepstep_relay_read", .sql = SQL_CREATE_RELAY_READ},
    {.kind = "table", .name = "keepstep_relay_moved", .sql = SQL_CREATE_RELAY_MOVED},
    {.kind = "table", .name = "keepstep_relay_wait", .sql = SQL_CREATE_RELAY_WAIT},
    {.kind = "table", .name = "keepstep_existing", .sql = SQL_CREATE_EXISTING},
    {.kind = "table", .name = "keepstep_existing_key", .sql = SQL_CREATE_EXISTING_KEY},
    {.kind = "table", .name = "keepstep_captured", .sql = SQL_CREATE_CAPTURED},
};

static enum status origin_postgresql_open(const struct config *config, enum origin_mode mode,
                                          struct origin **ret_origin, struct error *err)
{
    const struct server_session_options options = {
        .url = config->database_path,
        .application = mode == ORIGIN_WRITE   ? "keepstep publish"
                       : mode == ORIGIN_WATCH ? "keepstep watch"
                                              : "keepstep init",
        .wait_for_disk = true,
        .read_only = mode == ORIGIN_READ || mode == ORIGIN_WATCH,
        .lasting = mode == ORIGIN_INSTALL};
    PGresult *result = NULL;
    struct origin_postgresql *origin = calloc(1, sizeof *origin);
    if (origin == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    origin->base.ops = &origin_postgresql_ops;
    origin->config = config;
    origin->watching = mode == ORIGIN_WATCH;
    buffer_init(&origin->in_log, POSTGRESQL_ARRAY_SIZE_MAX);
    *ret_origin = &origin->base;
    enum status status = postgresql_session_open(&options, &origin->connection, err);
    if (status == STATUS_OK && origin->watching) /* the relay has a lease to keep meanwhile */
        status = postgresql_session_execute(origin->connection, "SET lock_timeout = '200ms'", err);
    if (status == STATUS_OK)
        status = postgresql_session_query(origin->connection, SQL_OUTBOX_SCHEMA, NO_SLICES, &result,
                                          err);
    if (status == STATUS_OK && PQgetisnull(result, 0, 0) != 0)
        status = error_set(err, STATUS_FATAL,
                           "the role's search_path names no schema that is there: set one");
    if (status == STATUS_OK) {
        origin->schema = strdup(PQgetvalue(result, 0, 0));
        if (origin->schema == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
    }
    PQclear(result);
    return status;
}

static void origin_postgresql_rollback(struct origin *origin)
{
    postgresql_session_rollback(origin_postgresql_of(origin)->connection);
}

static void origin_postgresql_close(struct origin *base)
{
    struct origin_postgresql *origin = origin_postgresql_of(base);
    if (origin == NULL)
        return;
    postgresql_session_close(origin->connection);
    buffer_done(&origin->in_log);
    free(origin->schema);
    free(origin);
}

static enum status origin_postgresql_begin(struct origin *origin, struct error *err)
{
    return postgresql_session_execute(origin_postgresql_of(origin)->connection, SQL_BEGIN_INSTALL,
                                      err);
}

static enum status origin_postgresql_commit(struct origin *origin, struct error *err)
{
    return postgresql_session_execute(origin_postgresql_of(origin)->connection, "COMMIT", err);
}

enum status origin_postgresql_end(PGconn *connection, enum status status, struct error *err)
{
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, "COMMIT", err);
    if (status != STATUS_OK)
        postgresql_session_rollback(connection);
    return status;
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
    const struct slice parameters[] = {slice_of(object->name),
                                       slice_of(trigger ? object->table : object->sql),
                                       slice_of(function ? object->table : "")};
    PGresult *result = NULL;
    enum status status = postgresql_session_query(origin_postgresql_of(origin)->connection,
                                                  function  ? SQL_LOOK_FUNCTION
                                                  : trigger ? SQL_LOOK_TRIGGER
                                                            : SQL_LOOK_RELATION,
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
    enum status status = postgresql_session_execute(origin_postgresql_of(origin)->connection,
                                                    object->sql, err);
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
    const struct check check = {
        .config = self->config, .entry = entry, .schema = schema, .watching = self->watching};
    return capture_postgresql_check(self->connection, &check, err);
}

static enum status origin_postgresql_capture(struct origin *base, const struct config_entry *entry,
                                             const struct entity_schema *schema,
                                             struct origin_objects *ret_objects, struct error *err)
{
    struct origin_postgresql *origin = origin_postgresql_of(base);
    PGresult *found = NULL;
    PGresult *partitions = NULL;
    struct buffer name;
    buffer_init(&name, CAPTURE_SQL_MAX);
    postgresql_name_append_table(&name, entry->table);
    struct slice table = buffer_slice(&name);
    enum status status = postgresql_session_query(origin->connection, SQL_DESCRIBE_TABLE,
                                                  (struct slice_list){&table, 1}, &found, err);
    if (status == STATUS_OK && PQntuples(found) == 0)
        status = error_set(err, STATUS_FATAL, "publish.%s: table %s is gone", entry->entity_type,
                           entry->table);
    if (status == STATUS_OK)
        status = postgresql_session_query(origin->connection, SQL_LIST_PARTITIONS,
                                          (struct slice_list){&table, 1}, &partitions, err);
    if (status == STATUS_OK) {
        struct capture_postgresql capture = {.name = buffer_text(&name),
                                             .outbox = origin->schema,
                                             .table = found,
                                             .partitions = partitions};
        capture_init(&capture.base, &capture_postgresql_dialect, entry, schema);
        status = capture_write(&capture.base, ret_objects, err);
    }
    PQclear(found);
    PQclear(partitions);
    buffer_done(&name);
    return status;
}

/* Only what the statements of the outbox need; a service's own role needs INSERT for rows that it
 * writes itself, the triggers need nothing. */
static void origin_postgresql_grants(const struct config *config, struct buffer *out)
{
    (void)config;
    buffer_append_text(out, SQL_GRANTS);
    buffer_append_text(out, ";\n");
}

static enum status origin_postgresql_identify(struct origin *origin, const char *service,
                                              const char *incarnation, struct error *err)
{
    const struct slice parameters[] = {slice_of(service), slice_of(incarnation)};
    return postgresql_session_query(origin_postgresql_of(origin)->connection, SQL_INSERT_RELAY,
                                    (struct slice_list){parameters, 2}, NULL, err);
}

/* Sends the ids that were noted, in one statement. */
static enum status origin_postgresql_flush(struct origin_postgresql *origin, struct error *err)
{
    enum status status = postgresql_session_execute(origin->connection, SQL_CREATE_NOTES, err);
    if (status != STATUS_OK || origin->in_log_count == 0)
        return status;
    struct slice ids = postgresql_array_end(&origin->in_log);
    status = origin->in_log.failed
                 ? error_set(err, STATUS_RETRY, "no memory")
                 : postgresql_session_query(origin->connection, SQL_NOTE_IN_LOG,
                                            (struct slice_list){&ids, 1}, NULL, err);
    buffer_reset(&origin->in_log);
    origin->in_log_count = 0;
    return status;
}

static enum status origin_postgresql_restart(struct origin *origin, const char *service,
                                             const char *incarnation, int64_t *ret_dropped,
                                             struct error *err)
{
    const struct slice parameters[] = {slice_of(service), slice_of(incarnation)};
    PGconn *connection = origin_postgresql_of(origin)->connection;
    PGresult *result = NULL;
    enum status status = origin_postgresql_flush(origin_postgresql_of(origin), err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, SQL_LIFT_LIMIT, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_FORWARD_DROP, NO_SLICES, &result, err);
    if (status == STATUS_OK)
        *ret_dropped = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_RESTART_RELAY,
                                          (struct slice_list){parameters, 2}, NULL, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, SQL_RESTART, err);
    return status;
}

static enum status origin_postgresql_lease(struct origin *origin, bool *ret_initialised,
                                           struct origin_lease *ret_lease, struct error *err)
{
    PGconn *connection = origin_postgresql_of(origin)->connection;
    PGresult *result = NULL;
    *ret_lease = (struct origin_lease){0};
    enum status status = postgresql_session_query(connection, SQL_HAS_RELAY, NO_SLICES, &result,
                                                  err);
    if (status != STATUS_OK)
        return status;
    *ret_initialised = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    result = NULL;
    if (!*ret_initialised)
        return STATUS_OK;
    status = postgresql_session_query(connection, SQL_READ_HOLDER, NO_SLICES, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0) {
        (void)snprintf(ret_lease->holder, sizeof ret_lease->holder, "%s", PQgetvalue(result, 0, 0));
        ret_lease->until_us = postgresql_session_integer(result, 0, 1);
    }
    PQclear(result);
    return status;
}

static enum status origin_postgresql_note_in_log(struct origin *base, struct slice id,
                                                 struct error *err)
{
    struct origin_postgresql *origin = origin_postgresql_of(base);
    postgresql_array_text(&origin->in_log, id);
    if (++origin->in_log_count < ORIGIN_NOTES_MAX)
        return STATUS_OK;
    return origin_postgresql_flush(origin, err);
}

static enum status origin_postgresql_note_log_end(struct origin *origin, const char *topic,
                                                  int32_t partition, int64_t end, struct error *err)
{
    PGconn *connection = origin_postgresql_of(origin)->connection;
    char numbers[2][32];
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", (int)partition);
    (void)snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)end);
    const struct slice parameters[] = {slice_of(topic), slice_of(numbers[0]), slice_of(numbers[1])};
    enum status status = postgresql_session_execute(connection, SQL_CREATE_NOTES, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_NOTE_LOG_END,
                                          (struct slice_list){parameters, 3}, NULL, err);
    return status;
}

const struct origin_ops origin_postgresql_ops = {
    .scheme = "postgresql",
    .objects = OBJECTS,
    .object_count = sizeof OBJECTS / sizeof *OBJECTS,
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
    .commit = origin_postgresql_commit,
    .rollback = origin_postgresql_rollback,
    .compare = origin_postgresql_compare,
    .create = origin_postgresql_create,
    .check = origin_postgresql_check,
    .capture = origin_postgresql_capture,
    .dialect = &capture_postgresql_dialect,
    .grants = origin_postgresql_grants,
    .identify = origin_postgresql_identify,
    .restart = origin_postgresql_restart,
    .lease = origin_postgresql_lease,
    .note_in_log = origin_postgresql_note_in_log,
    .note_log_end = origin_postgresql_note_log_end,
    .captured = origin_postgresql_captured,
    .write_captured = origin_postgresql_write_captured,
    .republish = origin_postgresql_republish,
    .progress = origin_postgresql_progress,
    .chunk = origin_postgresql_chunk,
    .write = origin_postgresql_write,
};
