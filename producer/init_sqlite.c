/* Creates outbox, relay state and triggers in SQLite, and publishes the rows that are there. */
#include "producer/init_sqlite.h"
#include "common/uuid.h"
#include "producer/capture_sqlite.h"
#include "producer/init_forward_sqlite.h"
#include "producer/sqlite_session.h"
#include "producer_sqlite_sql.h"

#include <inttypes.h>
#include <sysexits.h>

#define CHUNK_ROWS   1000
#define SQL_SIZE_MAX ((size_t)4 * 1024 * 1024)

struct init {
    sqlite3 *db;
    const struct config *config;
    const struct init_options *options;
};

struct init_object {
    const char *kind;
    const char *name;
    const char *sql;
};

static const struct init_object INIT_OBJECTS[] = {
    {"table", "outbox", SQL_CREATE_OUTBOX},
    {"index", "outbox_waiting", SQL_CREATE_OUTBOX_WAITING},
    {"index", "outbox_claimed", SQL_CREATE_OUTBOX_CLAIMED},
    {"index", "outbox_set_aside", SQL_CREATE_OUTBOX_SET_ASIDE},
    {"table", "keepstep_relay", SQL_CREATE_RELAY},
    {"table", "keepstep_relay_partition", SQL_CREATE_RELAY_PARTITION},
    {"table", "keepstep_relay_type", SQL_CREATE_RELAY_TYPE},
    {"table", "keepstep_relay_wait", SQL_CREATE_RELAY_WAIT},
    {"table", "keepstep_applying", SQL_CREATE_APPLYING},
    {"table", "keepstep_existing", SQL_CREATE_EXISTING},
    {"table", "keepstep_existing_key", SQL_CREATE_EXISTING_KEY},
};

static size_t init_trimmed(const char *sql)
{
    size_t length = strlen(sql);
    while (length > 0 && (sql[length - 1] == '\n' || sql[length - 1] == ' '))
        length--;
    return length;
}

enum init_found { INIT_ABSENT, INIT_SAME, INIT_OTHER };

static enum status init_look(struct init *init, const struct init_object *object,
                             enum init_found *ret_found, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(
        init->db, "SELECT sql FROM sqlite_schema WHERE name = ?1", &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(object->name));
    *ret_found = INIT_ABSENT;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct slice sql = {.data = object->sql, .length = init_trimmed(object->sql)};
        bool same = slice_equal(sqlite_session_text(statement, 0), sql);
        *ret_found = same ? INIT_SAME : INIT_OTHER;
    } else if (code != SQLITE_DONE) {
        status = sqlite_session_error(init->db, "catalogue", err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status init_object(struct init *init, const struct init_object *object,
                               struct error *err)
{
    FILE *out = init->options->out;
    enum init_found found = INIT_ABSENT;
    bool trigger = strcmp(object->kind, "trigger") == 0;
    enum status status = init_look(init, object, &found, err);
    if (status != STATUS_OK)
        return status;
    if (init->options->print_sql) {
        (void)fprintf(out, "%.*s;\n\n", (int)init_trimmed(object->sql), object->sql);
        return STATUS_OK;
    }
    if (found == INIT_OTHER && strcmp(object->name, "outbox") == 0) {
        if (err != NULL)
            err->exit_code = EX_CONFIG;
        return error_set(err, STATUS_FATAL,
                         "%s has a table named outbox that Keepstep did not make: rename it",
                         init->config->database_path);
    }
    if (found == INIT_OTHER && trigger) {
        char *drop = sqlite3_mprintf("DROP TRIGGER \"%w\"", object->name);
        status = drop == NULL ? error_set(err, STATUS_RETRY, "no memory")
                              : sqlite_session_execute(init->db, drop, err);
        sqlite3_free(drop);
    }
    bool create = found == INIT_ABSENT || (found == INIT_OTHER && trigger);
    if (status == STATUS_OK && create)
        status = sqlite_session_execute(init->db, object->sql, err);
    if (status == STATUS_OK)
        (void)fprintf(out, "%-8s %-7s %s\n",
                      found == INIT_ABSENT ? "created"
                      : create             ? "changed"
                                           : "kept",
                      object->kind, object->name);
    return status;
}

static enum status init_triggers(struct init *init, const struct config_entry *entry,
                                 const struct entity_schema *schema, struct error *err)
{
    struct capture_trigger triggers[CAPTURE_TRIGGER_COUNT];
    enum status status = capture_sqlite_check(init->db, entry, schema, err);
    if (status != STATUS_OK)
        return status;
    status = capture_sqlite_triggers(entry, schema, triggers, err);
    for (size_t i = 0; status == STATUS_OK && i < CAPTURE_TRIGGER_COUNT; i++) {
        struct init_object object = {"trigger", buffer_text(&triggers[i].name),
                                     buffer_text(&triggers[i].sql)};
        status = init_object(init, &object, err);
    }
    capture_sqlite_triggers_done(triggers);
    return status;
}

/* Runs one statement of up to two texts. */
static enum status init_run(struct init *init, const char *sql, const char *first,
                            const char *second, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(init->db, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    if (first != NULL)
        sqlite_session_bind(statement, 1, slice_of(first));
    if (second != NULL)
        sqlite_session_bind(statement, 2, slice_of(second));
    status = sqlite_session_run(init->db, statement, NULL, err);
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status init_identity(struct init *init, struct error *err)
{
    static const char *const restart[] = {SQL_RESTART_DROP_ACKNOWLEDGED, SQL_RESTART_UNCLAIM,
                                          SQL_RESTART_PARTITIONS, SQL_RESTART_EXISTING,
                                          SQL_RESTART_EXISTING_KEY};
    char incarnation[UUID_TEXT_SIZE];
    uuid_v7(incarnation);
    if (init->options->print_sql)
        return STATUS_OK;
    enum status status = init_run(init, SQL_INSERT_RELAY, init->config->service, incarnation, err);
    if (status != STATUS_OK || !init->options->new_incarnation)
        return status;
    status = init_forward_write(init->db, init->options->out, err);
    if (status == STATUS_OK)
        status = init_run(init, SQL_RESTART_RELAY, init->config->service, incarnation, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof restart / sizeof *restart; i++)
        status = init_run(init, restart[i], NULL, NULL, err);
    if (status == STATUS_OK)
        (void)fprintf(init->options->out, "new incarnation %s\n", incarnation);
    return status;
}

static enum status init_schema(struct init *init, const struct entity_schema *const *schemas,
                               struct error *err)
{
    enum status status = sqlite_session_execute(init->db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof INIT_OBJECTS / sizeof *INIT_OBJECTS; i++)
        status = init_object(init, &INIT_OBJECTS[i], err);
    if (status == STATUS_OK)
        status = init_identity(init, err);
    for (size_t i = 0; status == STATUS_OK && i < init->config->publish_count; i++) {
        if (init->config->publish[i].table != NULL)
            status = init_triggers(init, &init->config->publish[i], schemas[i], err);
    }
    if (status == STATUS_OK)
        status = sqlite_session_execute(init->db, "COMMIT", err);
    return status;
}

struct init_progress {
    int64_t rows;
    bool started;
    bool done;
};

static enum status init_progress(struct init *init, const char *entity_type,
                                 struct init_progress *ret_progress, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(
        init->db, "SELECT rows, done FROM keepstep_existing WHERE entity_type = ?1", &statement,
        err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    *ret_progress = (struct init_progress){0};
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_progress = (struct init_progress){.rows = sqlite3_column_int64(statement, 0),
                                               .started = sqlite3_column_int64(statement, 0) > 0,
                                               .done = sqlite3_column_int(statement, 1) != 0};
    (void)sqlite3_finalize(statement);
    return status;
}

/* Writes one row's `r` event, and its key as the place to go on from. */
static enum status init_emit(struct init *init, const struct config_entry *entry, sqlite3_stmt *row,
                             sqlite3_stmt *insert, sqlite3_stmt *place, size_t key_count,
                             struct error *err)
{
    sqlite_session_bind(insert, 1, slice_of(entry->entity_type));
    for (int column = 0; column < 3; column++)
        (void)sqlite3_bind_value(insert, column + 2, sqlite3_column_value(row, column));
    enum status status = sqlite_session_run(init->db, insert, NULL, err);
    for (size_t i = 0; status == STATUS_OK && i < key_count; i++) {
        sqlite_session_bind(place, 1, slice_of(entry->entity_type));
        (void)sqlite3_bind_int64(place, 2, (int64_t)i);
        (void)sqlite3_bind_value(place, 3, sqlite3_column_value(row, (int)i + 3));
        status = sqlite_session_run(init->db, place, NULL, err);
    }
    return status;
}

static enum status init_chunk_rows(struct init *init, const struct config_entry *entry,
                                   const struct entity_schema *schema, bool resumed,
                                   int64_t *ret_rows, struct error *err)
{
    sqlite3_stmt *rows = NULL;
    sqlite3_stmt *insert = NULL;
    sqlite3_stmt *place = NULL;
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    capture_sqlite_existing(&sql, entry, schema, resumed, CHUNK_ROWS);
    enum status status = sqlite_session_prepare(init->db, buffer_text(&sql), &rows, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(
            init->db,
            "INSERT INTO outbox (aggregatetype, type, aggregateid, payload, partition_key) "
            "VALUES (?1, ?1 || '.read', ?2, ?3, ?4)",
            &insert, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(
            init->db, "INSERT OR REPLACE INTO keepstep_existing_key VALUES (?1, ?2, ?3)", &place,
            err);
    int code = SQLITE_DONE;
    *ret_rows = 0;
    while (status == STATUS_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        status = init_emit(init, entry, rows, insert, place, schema->key_count, err);
        ++*ret_rows;
    }
    if (status == STATUS_OK && code != SQLITE_DONE)
        status = sqlite_session_error(init->db, entry->table, err);
    (void)sqlite3_finalize(rows);
    (void)sqlite3_finalize(insert);
    (void)sqlite3_finalize(place);
    buffer_done(&sql);
    return status;
}

/* One chunk: rows, events and progress commit together (rule 27). */
static enum status init_chunk(struct init *init, const struct config_entry *entry,
                              const struct entity_schema *schema,
                              struct init_progress *ret_progress, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int64_t rows = 0;
    enum status status = sqlite_session_execute(init->db, "BEGIN IMMEDIATE", err);
    if (status == STATUS_OK)
        status = init_progress(init, entry->entity_type, ret_progress, err);
    if (status != STATUS_OK || ret_progress->done)
        goto out;
    status = init_chunk_rows(init, entry, schema, ret_progress->started, &rows, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(
            init->db,
            "INSERT INTO keepstep_existing VALUES (?1, ?2, ?3) ON CONFLICT (entity_type) "
            "DO UPDATE SET rows = rows + ?2, done = ?3",
            &statement, err);
    if (status != STATUS_OK)
        goto out;
    sqlite_session_bind(statement, 1, slice_of(entry->entity_type));
    (void)sqlite3_bind_int64(statement, 2, rows);
    (void)sqlite3_bind_int(statement, 3, rows < CHUNK_ROWS);
    status = sqlite_session_run(init->db, statement, NULL, err);
    ret_progress->rows += rows;
    ret_progress->done = rows < CHUNK_ROWS;
out:
    (void)sqlite3_finalize(statement);
    if (status == STATUS_OK)
        status = sqlite_session_execute(init->db, "COMMIT", err);
    if (status != STATUS_OK)
        sqlite_session_rollback(init->db);
    return status;
}

static enum status init_existing(struct init *init, const struct config_entry *entry,
                                 const struct entity_schema *schema, struct error *err)
{
    FILE *out = init->options->out;
    struct init_progress progress = {0};
    enum status status = init_progress(init, entry->entity_type, &progress, err);
    if (status != STATUS_OK)
        return status;
    bool applied = config_find(init->config->apply, init->config->apply_count, entry->entity_type,
                               strlen(entry->entity_type)) != NULL;
    if (!progress.done && applied && init->options->new_incarnation) {
        (void)fprintf(out, "%-8s rows    %s: the log wins, the service's own agent reads it\n",
                      "skipped", entry->entity_type);
        return STATUS_OK;
    }
    if (!progress.done && applied && !init->options->existing_rows) {
        (void)fprintf(out,
                      "%-8s rows    %s: the service applies this type itself; "
                      "--existing-rows publishes them\n",
                      "skipped", entry->entity_type);
        return STATUS_OK;
    }
    bool kept = progress.done;
    while (status == STATUS_OK && !progress.done) {
        status = init_chunk(init, entry, schema, &progress, err);
        if (status == STATUS_OK && !progress.done)
            (void)fprintf(out, "%-8s rows    %s: %" PRId64 " so far\n", "reading",
                          entry->entity_type, progress.rows);
    }
    if (status == STATUS_OK)
        (void)fprintf(out, "%-8s rows    %s: %" PRId64 "\n", kept ? "kept" : "created",
                      entry->entity_type, progress.rows);
    return status;
}

enum status init_sqlite(const struct config *config, const struct entity_schema *const *schemas,
                        const struct init_options *options, struct error *err)
{
    struct init init = {.config = config, .options = options};
    int flags = options->print_sql ? SQLITE_OPEN_READONLY
                                   : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum status status = sqlite_session_open(config->database_path, flags, &init.db, err);
    if (status == STATUS_OK && !options->print_sql)
        status = sqlite_session_execute(init.db, "PRAGMA journal_mode = WAL", err);
    if (status == STATUS_OK && options->new_incarnation && !options->print_sql)
        status = init_forward_read(init.db, config, options, err);
    if (status == STATUS_OK)
        status = init_schema(&init, schemas, err);
    for (size_t i = 0; status == STATUS_OK && i < config->publish_count; i++) {
        const struct config_entry *entry = &config->publish[i];
        if (entry->table != NULL && !options->no_existing_rows && !options->print_sql)
            status = init_existing(&init, entry, schemas[i], err);
    }
    if (init.db != NULL)
        sqlite_session_rollback(init.db);
    (void)sqlite3_close_v2(init.db);
    return status;
}
