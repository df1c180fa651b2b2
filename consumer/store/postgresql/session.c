/* The PostgreSQL store's session: opening, the pipeline of prepared statements, parameters. */
#include "consumer/store/postgresql/internal.h"

#include "common/uuid.h"
#include "consumer_postgresql_sql.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEMA_VERSION   1
#define INIT_HINT        "run `keepstep init`"
#define PARAMETERS_MAX   16
#define SCRATCH_SIZE_MAX ((size_t)256 * 1024 * 1024)
#define ARRAY_SIZE_MAX   ((size_t)512 * 1024 * 1024)
#define OID_TEXT         25

/* Below the server's deadlock_timeout, so that the agent yields and never the service. */
#define LOCK_BESIDE_OUTBOX "SET lock_timeout = '500ms'"

static const struct {
    const char *name;
    const char *sql;
} statements[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = {#name, SQL_##name},
    STORE_POSTGRESQL_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static void queue_clear(struct store_postgresql *self)
{
    for (size_t i = 0; i < self->queued; i++)
        PQclear(self->queue[i].result);
    self->queued = 0;
    self->synced = 0;
}

/* A place in the queue; results that were read before are given up. */
static enum status queue_add(struct store_postgresql *self, const char *what, struct error *err)
{
    enum status status = STATUS_OK;
    if (self->synced == self->queued)
        queue_clear(self);
    if (self->queued == QUEUE_MAX) {
        status = store_postgresql_sync(self, NULL, err);
        queue_clear(self);
    }
    if (status == STATUS_OK)
        self->queue[self->queued++] = (struct queued){.what = what};
    return status;
}

static enum status queue_sent(struct store_postgresql *self, int sent, const char *what,
                              struct error *err)
{
    if (sent == 1)
        return STATUS_OK;
    self->queued--;
    return postgresql_session_error(self->connection, NULL, what, err);
}

bool store_postgresql_is_text(struct slice text)
{
    if (text.length == 0)
        return true;
    const unsigned char *at = (const unsigned char *)text.data;
    const unsigned char *end = at + text.length;
    while (at < end) {
        unsigned char c = *at++;
        unsigned int more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0 || c > 0xf4 || more == 9 || (size_t)(end - at) < more)
            return false;
        if (more > 0 && ((c == 0xe0 && *at < 0xa0) || (c == 0xed && *at > 0x9f) ||
                         (c == 0xf0 && *at < 0x90) || (c == 0xf4 && *at > 0x8f)))
            return false;
        for (; more > 0; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

void store_postgresql_encode(struct buffer *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    bool marked = text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x';
    if (!marked && store_postgresql_is_text(text)) {
        buffer_append(out, text.data, text.length);
        return;
    }
    buffer_append_text(out, "\\x");
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        buffer_append(out, &digits[c >> 4], 1);
        buffer_append(out, &digits[c & 15], 1);
    }
}

enum status store_postgresql_send(struct store_postgresql *self, enum statement_id id,
                                  const struct parameter *parameters, size_t count,
                                  struct error *err)
{
    const char *values[PARAMETERS_MAX] = {NULL};
    int lengths[PARAMETERS_MAX] = {0};
    int binary[PARAMETERS_MAX];
    size_t offsets[PARAMETERS_MAX];
    const char *name = statements[id].name;

    enum status status = queue_add(self, name, err);
    if (status != STATUS_OK)
        return status;
    buffer_reset(&self->scratch);
    for (size_t i = 0; i < count; i++) {
        int64_t integer = (int64_t)htobe64((uint64_t)parameters[i].integer);
        offsets[i] = self->scratch.length;
        binary[i] = 1;
        if (parameters[i].kind == PARAMETER_INTEGER)
            buffer_append(&self->scratch, &integer, sizeof integer);
        else if (parameters[i].kind == PARAMETER_TEXT)
            store_postgresql_encode(&self->scratch, parameters[i].bytes);
        lengths[i] = (int)(self->scratch.length - offsets[i]);
    }
    buffer_append(&self->scratch, "", 1); /* an empty text is no null pointer */
    if (self->scratch.failed) {
        self->queued--;
        return error_set(err, STATUS_RETRY, "%s: no memory for its parameters", name);
    }
    for (size_t i = 0; i < count; i++) {
        struct slice bytes = parameters[i].bytes;
        if (parameters[i].kind == PARAMETER_BYTES) {
            lengths[i] = (int)bytes.length;
            values[i] = bytes.data;
        } else if (parameters[i].kind == PARAMETER_INTEGER || bytes.data != NULL) {
            values[i] = self->scratch.data + offsets[i];
        }
    }
    return queue_sent(
        self, PQsendQueryPrepared(self->connection, name, (int)count, values, lengths, binary, 1),
        name, err);
}

enum status store_postgresql_send_sql(struct store_postgresql *self, const char *sql,
                                      struct error *err)
{
    enum status status = queue_add(self, sql, err);
    if (status != STATUS_OK)
        return status;
    return queue_sent(self, PQsendQueryParams(self->connection, sql, 0, NULL, NULL, NULL, NULL, 1),
                      sql, err);
}

enum status store_postgresql_send_row(struct store_postgresql *self, const char *name,
                                      const char *what, const struct buffer *arrays, size_t count,
                                      struct error *err)
{
    const char *values[ENTITY_COLUMNS_MAX];
    int lengths[ENTITY_COLUMNS_MAX];
    int binary[ENTITY_COLUMNS_MAX];
    enum status status = queue_add(self, what, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        values[i] = arrays[i].data;
        lengths[i] = (int)arrays[i].length;
        binary[i] = 1;
    }
    return queue_sent(
        self, PQsendQueryPrepared(self->connection, name, (int)count, values, lengths, binary, 1),
        what, err);
}

enum status store_postgresql_prepare_sql(struct store_postgresql *self, const char *name,
                                         const char *sql, struct error *err)
{
    enum status status = queue_add(self, sql, err);
    if (status == STATUS_OK)
        status = queue_sent(self, PQsendPrepare(self->connection, name, sql, 0, NULL), sql, err);
    return status == STATUS_OK ? store_postgresql_sync(self, NULL, err) : status;
}

/* The result of one statement; NULL where the connection broke. */
static PGresult *queue_read(struct store_postgresql *self)
{
    PGresult *result = postgresql_session_result(self->connection);
    PGresult *more;
    while (result != NULL && (more = postgresql_session_result(self->connection)) != NULL)
        PQclear(more);
    return result;
}

static void queue_read_sync(struct store_postgresql *self)
{
    ExecStatusType kind = PGRES_EMPTY_QUERY;
    while (kind != PGRES_PIPELINE_SYNC && PQstatus(self->connection) == CONNECTION_OK) {
        PGresult *result = postgresql_session_result(self->connection);
        kind = PQresultStatus(result);
        PQclear(result);
    }
}

enum status store_postgresql_sync(struct store_postgresql *self, size_t *ret_failed,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    if (self->synced == self->queued)
        return STATUS_OK;
    if (PQpipelineSync(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, self->queue[0].what, err);
    for (; self->synced < self->queued; self->synced++) {
        struct queued *queued = &self->queue[self->synced];
        queued->result = PQstatus(self->connection) == CONNECTION_OK ? queue_read(self) : NULL;
        ExecStatusType kind = PQresultStatus(queued->result);
        if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK || status != STATUS_OK)
            continue;
        status = postgresql_session_error(self->connection, queued->result, queued->what, err);
        if (ret_failed != NULL)
            *ret_failed = self->synced;
    }
    queue_read_sync(self);
    return status;
}

enum status store_postgresql_run(struct store_postgresql *self, enum statement_id id,
                                 const struct parameter *parameters, size_t count,
                                 const PGresult **ret_result, struct error *err)
{
    enum status status = store_postgresql_send(self, id, parameters, count, err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && ret_result != NULL)
        *ret_result = self->queue[self->queued - 1].result;
    return status;
}

int64_t store_postgresql_integer(const PGresult *result, int row, int column)
{
    const unsigned char *at = (const unsigned char *)PQgetvalue(result, row, column);
    int length = PQgetlength(result, row, column);
    uint64_t integer = length > 0 && at[0] >= 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < length; i++)
        integer = integer << 8 | at[i];
    return (int64_t)integer;
}

struct slice store_postgresql_bytes(const PGresult *result, int row, int column)
{
    return postgresql_session_text(result, row, column);
}

static int hexadecimal(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Undo store_postgresql_encode() into as many bytes at most. @return how many. */
static size_t text_decode(struct slice text, char *ret_bytes)
{
    bool marked = text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x';
    if (!marked) {
        if (text.length > 0)
            memcpy(ret_bytes, text.data, text.length);
        return text.length;
    }
    for (size_t i = 2; i + 1 < text.length; i += 2)
        ret_bytes[i / 2 - 1] = (char)(hexadecimal(text.data[i]) << 4 |
                                      hexadecimal(text.data[i + 1]));
    return text.length / 2 - 1;
}

bool store_postgresql_keep(const PGresult *result, int row, int column, struct arena *arena,
                           struct slice *ret_bytes)
{
    struct slice bytes = store_postgresql_bytes(result, row, column);
    *ret_bytes = bytes;
    if (bytes.data == NULL)
        return true;
    char *kept = arena_alloc(arena, bytes.length + 1);
    if (kept == NULL)
        return false;
    size_t length = bytes.length;
    if (PQftype(result, column) == OID_TEXT)
        length = text_decode(bytes, kept);
    else if (length > 0)
        memcpy(kept, bytes.data, length);
    *ret_bytes = (struct slice){.data = kept, .length = length};
    return true;
}

void store_postgresql_copy(const PGresult *result, int row, int column, char *ret_text, size_t size)
{
    struct slice text = store_postgresql_bytes(result, row, column);
    struct arena arena;
    arena_init(&arena, SCRATCH_SIZE_MAX);
    if (!store_postgresql_keep(result, row, column, &arena, &text))
        text = (struct slice){0};
    (void)snprintf(ret_text, size, "%.*s", SLICE_ARGS(text));
    arena_done(&arena);
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return store_postgresql_integer(row->result, row->index, column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    return store_postgresql_keep(row->result, row->index, column, arena, ret_bytes);
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    store_postgresql_copy(row->result, row->index, column, ret_text, size);
}

struct store_row store_postgresql_row(const PGresult *result, int index)
{
    return (struct store_row){.integer = row_integer,
                              .keep = row_keep,
                              .copy = row_copy,
                              .result = (void *)(uintptr_t)result,
                              .index = index};
}

static enum status store_postgresql_install(struct store_postgresql *self, bool new_copy,
                                            struct error *err)
{
    char uuid[UUID_TEXT_SIZE];
    PGconn *connection = self->connection;

    uuid_v7(uuid);
    const struct slice copy_id[] = {slice_of("copy_id"), slice_of(uuid)};
    enum status status = postgresql_session_execute(connection, "BEGIN", err);
    if (status == STATUS_OK) /* two at a time would collide in the catalogue */
        status = postgresql_session_execute(connection, SQL_CATALOGUE_LOCK, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, "SET LOCAL synchronous_commit = on", err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, SQL_INSTALL, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, new_copy ? SQL_META_SET : SQL_META_ADD,
                                          copy_id, 2, NULL, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(connection, "COMMIT", err);
    if (status != STATUS_OK)
        postgresql_session_rollback(connection);
    return status;
}

static enum status store_postgresql_number(struct store_postgresql *self, const char *sql,
                                           int64_t *ret_number, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgresql_session_query(self->connection, sql, NULL, 0, &result, err);
    if (status == STATUS_OK)
        *ret_number = PQntuples(result) == 0 ? 0 : postgresql_session_integer(result, 0, 0);
    PQclear(result);
    return status;
}

static enum status store_postgresql_check_version(struct store_postgresql *self, struct error *err)
{
    int64_t installed = 0;
    int64_t version = 0;
    int64_t outbox_columns = 0;
    enum status status = store_postgresql_number(
        self, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('keepstep_meta')", &installed,
        err);
    if (status == STATUS_OK && installed != 0)
        status = store_postgresql_number(
            self, "SELECT value FROM keepstep_meta WHERE key = 'schema_version'", &version, err);
    if (status != STATUS_OK)
        return status;
    if (version > SCHEMA_VERSION)
        return error_set(err, STATUS_FATAL,
                         "the database has schema version %lld, this program knows %d: use the "
                         "newer program, whose `keepstep init` made it",
                         (long long)version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        return error_set(error_config(err), STATUS_FATAL,
                         "the database has no Keepstep tables: " INIT_HINT);
    status = store_postgresql_number(self, SQL_CATALOGUE_OUTBOX, &outbox_columns, err);
    self->has_outbox = outbox_columns == 4;
    return status;
}

/* One round trip for all statements. */
static enum status store_postgresql_prepare_all(struct store_postgresql *self, struct error *err)
{
    enum status status = STATUS_OK;
    size_t count = self->has_outbox ? STATEMENT_COUNT : STATEMENT_OF_OUTBOX;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = queue_add(self, statements[i].name, err);
        if (status == STATUS_OK)
            status = queue_sent(
                self,
                PQsendPrepare(self->connection, statements[i].name, statements[i].sql, 0, NULL),
                statements[i].name, err);
    }
    return status == STATUS_OK ? store_postgresql_sync(self, NULL, err) : status;
}

enum status store_postgresql_open(const struct store_options *options, struct store **ret_store,
                                  struct error *err)
{
    struct server_session_options session = {.url = options->path,
                                             .application = "keepstep agent",
                                             .wait_for_disk = false,
                                             .read_only = options->read_only};
    struct store_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    self->base.ops = &store_postgresql_ops;
    self->read_only = options->read_only;
    buffer_init(&self->scratch, SCRATCH_SIZE_MAX);
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++)
        buffer_init(&self->arrays[i], ARRAY_SIZE_MAX);
    enum status status = postgresql_session_open(&session, &self->connection, err);
    if (status == STATUS_OK && options->install)
        status = store_postgresql_install(self, options->new_copy, err);
    if (status == STATUS_OK)
        status = store_postgresql_check_version(self, err);
    if (status == STATUS_OK && self->has_outbox)
        status = postgresql_session_execute(self->connection, LOCK_BESIDE_OUTBOX, err);
    if (status == STATUS_OK && PQenterPipelineMode(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, "open", err);
    if (status == STATUS_OK)
        status = store_postgresql_prepare_all(self, err);
    if (status != STATUS_OK) {
        store_postgresql_close(&self->base);
        return status;
    }
    *ret_store = &self->base;
    return STATUS_OK;
}

void store_postgresql_rollback(struct store *store)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct error ignored = ERROR_INIT;
    bool pending = self->synced != self->queued;
    if (self->connection != NULL && PQstatus(self->connection) == CONNECTION_OK) {
        if (pending && store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
            error_clear(&ignored);
        if (self->in_transaction &&
            store_postgresql_send_sql(self, "ROLLBACK", &ignored) == STATUS_OK &&
            store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
            error_clear(&ignored);
    }
    queue_clear(self);
    self->in_transaction = false;
}

void store_postgresql_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_postgresql *self = store_postgresql_of(store);
    store_postgresql_rollback(store);
    for (size_t i = 0; i < self->table_count; i++)
        free(self->tables[i]);
    free(self->tables);
    free(self->taken);
    buffer_done(&self->scratch);
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++)
        buffer_done(&self->arrays[i]);
    postgresql_session_close(self->connection);
    free(self);
}
