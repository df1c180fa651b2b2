/* Reads lines, takes them apart with SQLite's JSON, checks them and writes them. */
#include "producer/publish_lines.h"
#include "producer/sqlite_session.h"
#include "schemas/change.h"

#include <stdlib.h>

#define LINES_A_TRANSACTION 1000
#define KEY_BYTES           ((size_t)1024 * 1024)

static const char TAKE_APART[] =
    "SELECT ?1 ->> '$.type', ?1 ->> '$.key', '{\"op\":' || coalesce(?1 -> '$.op', "
    "CASE replace(?1 ->> '$.type', rtrim(?1 ->> '$.type', 'abcdefghijklmnopqrstuvwxyz'), '') "
    "WHEN 'created' THEN '\"c\"' WHEN 'updated' THEN '\"u\"' WHEN 'deleted' THEN '\"d\"' "
    "WHEN 'read' THEN '\"r\"' ELSE 'null' END) || ',\"before\":' || "
    "coalesce(?1 -> '$.before', 'null') || ',\"after\":' || coalesce(?1 -> '$.after', 'null') "
    "|| '}', ?1 ->> '$.traceparent', ?1 ->> '$.partition_key'";

static const char INSERT[] =
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent, partition_key) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

struct publish {
    const struct config *config;
    const struct entity_schema *const *schemas;
    sqlite3 *db;
    sqlite3_stmt *parts;
    sqlite3_stmt *insert;
    struct arena arena;
};

static enum status publish_checked(struct publish *publish, struct error *err)
{
    struct slice type = sqlite_session_text(publish->parts, 0);
    struct slice key = sqlite_session_text(publish->parts, 1);
    struct slice payload = sqlite_session_text(publish->parts, 2);
    struct slice entity = type;
    while (entity.length > 0 && entity.data[entity.length - 1] != '.')
        entity.length--;
    if (entity.length < 2 || key.data == NULL)
        return error_set(err, STATUS_REJECT, "\"type\" (order.updated) and \"key\" are needed");
    entity.length--;
    const struct config_entry *entry = config_find(
        publish->config->publish, publish->config->publish_count, entity.data, entity.length);
    if (entry == NULL)
        return error_set(err, STATUS_REJECT, "publish: has no entry for %.*s", SLICE_ARGS(entity));
    const struct entity_schema *schema = publish->schemas[entry - publish->config->publish];
    arena_reset(&publish->arena);
    enum status status = canonical_key(schema, key, &publish->arena, &key, err);
    if (status == STATUS_OK)
        status = payload_validate(schema, payload, key, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(publish->insert, 1, entity);
    sqlite_session_bind(publish->insert, 2, key);
    sqlite_session_bind(publish->insert, 3, type);
    sqlite_session_bind(publish->insert, 4, payload);
    sqlite_session_bind(publish->insert, 5, sqlite_session_text(publish->parts, 3));
    sqlite_session_bind(publish->insert, 6, sqlite_session_text(publish->parts, 4));
    return sqlite_session_run(publish->db, publish->insert, NULL, err);
}

static enum status publish_line(struct publish *publish, struct slice line, struct error *err)
{
    enum status status;
    sqlite_session_bind(publish->parts, 1, line);
    if (sqlite3_step(publish->parts) == SQLITE_ROW)
        status = publish_checked(publish, err);
    else
        status = error_set(err, STATUS_REJECT, "%s", sqlite3_errmsg(publish->db));
    (void)sqlite3_reset(publish->parts);
    return status;
}

static enum status publish_all(struct publish *publish, FILE *in, int64_t *ret_written,
                               struct error *err)
{
    char *line = NULL;
    size_t size = 0;
    int64_t number = 0;
    int64_t pending = 0;
    ssize_t length = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (length = getline(&line, &size, in)) >= 0) {
        number++;
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            length--;
        if (length == 0)
            continue;
        if (pending == 0)
            status = sqlite_session_execute(publish->db, "BEGIN IMMEDIATE", err);
        if (status == STATUS_OK)
            status = publish_line(publish, (struct slice){line, (size_t)length}, err);
        if (status != STATUS_OK)
            error_prefix(err, "line %lld", (long long)number);
        else if (++pending == LINES_A_TRANSACTION)
            status = sqlite_session_execute(publish->db, "COMMIT", err);
        if (status == STATUS_OK && pending == LINES_A_TRANSACTION) {
            *ret_written += pending;
            pending = 0;
        }
    }
    if (status == STATUS_OK && ferror(in) != 0)
        status = error_set(err, STATUS_RETRY, "the input cannot be read");
    if (status == STATUS_OK && pending > 0)
        status = sqlite_session_execute(publish->db, "COMMIT", err);
    if (status == STATUS_OK)
        *ret_written += pending;
    free(line);
    return status;
}

enum status publish_lines(const struct config *config, const struct entity_schema *const *schemas,
                          FILE *in, int64_t *ret_written, struct error *err)
{
    struct publish publish = {.config = config, .schemas = schemas};
    *ret_written = 0;
    arena_init(&publish.arena, KEY_BYTES);
    enum status status = sqlite_session_open(config->database_path, SQLITE_OPEN_READWRITE,
                                             &publish.db, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(publish.db, TAKE_APART, &publish.parts, err);
    if (status == STATUS_OK) {
        status = sqlite_session_prepare(publish.db, INSERT, &publish.insert, err);
        if (status == STATUS_FATAL)
            error_prefix(err, "run `keepstep init` first");
    }
    if (status == STATUS_OK)
        status = publish_all(&publish, in, ret_written, err);
    if (publish.db != NULL)
        sqlite_session_rollback(publish.db);
    (void)sqlite3_finalize(publish.parts);
    (void)sqlite3_finalize(publish.insert);
    (void)sqlite3_close_v2(publish.db);
    arena_done(&publish.arena);
    return status;
}
