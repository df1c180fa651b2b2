/* The MariaDB store's session: opening, installing, transactions. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/mariadb_scan.h"
#include "consumer_mariadb_sql.h"

#include <inttypes.h>
#include <stdio.h>

#include <stdlib.h>

#define DELIMITER       "DELIMITER "
#define SETTING_SIZE    128
#define FEW_PARAMETERS  16 /* of a query whose rows are few */
#define PACKET_SIZE_MIN ((int64_t)64 * 1024)
#define TIMESTAMP_64    110500 /* first version */
#define BOUND_TIME      "SET SESSION max_statement_time = 60, net_write_timeout = 60"
#define BESIDE_OUTBOX   "SET SESSION innodb_lock_wait_timeout = 1" /* the agent yields first */

/* A script as the client `mariadb` reads it. */
struct script {
    char *rest;
    const char *delimiter;
};

/* Takes the next statement. A line DELIMITER says what ends those behind it. @return "": none. */
static char *script_take(struct script *script)
{
    char *one = script->rest + strspn(script->rest, " \n");
    if (strncmp(one, DELIMITER, strlen(DELIMITER)) == 0) {
        script->delimiter = one + strlen(DELIMITER);
        one += strcspn(one, "\n");
        if (*one != '\0')
            *one++ = '\0';
    }
    char *end = strstr(one, script->delimiter);
    script->rest = end == NULL ? one + strlen(one) : end + strlen(script->delimiter);
    if (end != NULL)
        *end = '\0';
    return one;
}

/* The session takes one statement at a time. */
static enum status session_install(struct store_sql *sql, struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    char *text = strdup(SQL_INSTALL);
    struct script script = {text, ";"};
    enum status status = STATUS_OK;
    if (text == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    while (status == STATUS_OK && *script.rest != '\0') {
        const char *one = script_take(&script);
        if (one[strspn(one, " \n")] != '\0')
            status = mariadb_session_execute(self->session, one, err);
    }
    free(text);
    return status;
}

static enum status read_server(struct store_mariadb *self, struct error *err)
{
    int64_t packet = 0;
    enum status status = store_sql_number(&self->sql, SQL_CALL_PLAIN(CATALOGUE_SERVER), 0, &packet,
                                          err);
    self->packet_size = (size_t)(packet < PACKET_SIZE_MIN ? PACKET_SIZE_MIN : packet);
    self->timestamps_64 = mysql_get_server_version(self->session) >= TIMESTAMP_64;
    if (status == STATUS_OK && self->sql.has_outbox)
        status = mariadb_session_execute(self->session, BESIDE_OUTBOX, err);
    return status;
}

static enum status session_execute(struct store_sql *sql, const char *text, struct error *err)
{
    return mariadb_session_execute(((struct store_mariadb *)sql)->session, text, err);
}

static enum status session_change(struct store_sql *sql, const char *text, int64_t *ret_rows,
                                  struct error *err)
{
    enum status status = session_execute(sql, text, err);
    *ret_rows = status == STATUS_OK
                    ? (int64_t)mysql_affected_rows(((struct store_mariadb *)sql)->session)
                    : 0;
    return status;
}

static void session_rollback(struct store_sql *sql)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    struct error ignored = ERROR_INIT;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        mariadb_statement_end(self->statements[i].prepared);
    mariadb_session_rollback(self->session);
    if (self->applying &&
        store_sql_send(sql, SQL_CALL(APPLYING, parameter_text(NULL)), &ignored) == STATUS_OK)
        self->applying = false;
}

/* Every call has already run. Outside a transaction a SELECT has begun one, which ends here. */
static enum status session_wait(struct store_sql *sql, struct error *err)
{
    (void)err;
    if (!sql->in_transaction)
        session_rollback(sql);
    return STATUS_OK;
}

/* With autocommit=0 the first statement begins a transaction, whose COMMIT waits for the disk. */
static enum status session_begin(struct store_sql *sql, enum sql_transaction kind,
                                 struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    enum status status = STATUS_OK;
    if (self->applying) { /* an earlier attempt to clear it has failed */
        status = store_sql_send(sql, SQL_CALL(APPLYING, parameter_text(NULL)), err);
        self->applying = status != STATUS_OK;
    }
    if (status == STATUS_OK && self->has_time) {
        status = mariadb_session_execute(self->session, BOUND_TIME, err);
        self->has_time = status != STATUS_OK;
    }
    if (status == STATUS_OK && kind == SQL_SNAPSHOT)
        status = session_execute(sql, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    if (status == STATUS_OK && kind == SQL_SNAPSHOT)
        status = session_execute(sql, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    return status;
}

/* One statement reads the whole table. What it may not take any more is checked beside it. */
static enum status session_query(struct store_sql *sql, struct row_query *query, struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    char limit[SETTING_SIZE];
    if (!sql->in_snapshot && query->runs == 1 && query->parameter_count > 0 &&
        query->parameter_count <= FEW_PARAMETERS)
        return store_mariadb_query(self, query, err);
    (void)snprintf(limit, sizeof limit,
                   "SET SESSION max_statement_time = %" PRId64 ", net_write_timeout = %" PRId64,
                   sql->snapshot_time_s, sql->snapshot_time_s);
    enum status status = mariadb_session_execute(self->session, limit, err);
    if (status == STATUS_OK)
        status = mariadb_scan_run(self->session, query, err);
    if (status == STATUS_OK && sql->in_snapshot)
        status = mariadb_snapshot_has(self->session, query->table, self->snapshot_time_s, err);
    enum status bound = mariadb_session_execute(self->session, BOUND_TIME,
                                                status == STATUS_OK ? err : NULL);
    return status == STATUS_OK ? bound : status;
}

static const struct sql_session_ops mariadb_session = {
    .send = store_mariadb_send,
    .send_rows = store_mariadb_send_rows,
    .execute = session_execute,
    .change = session_change,
    .wait = session_wait,
    .install = session_install,
    .begin = session_begin,
    .commit = store_mariadb_commit,
    .rollback = session_rollback,
    .query = session_query,
    .replaces_savepoints = true,
    .has_guard = true,
};

enum status store_mariadb_open(const struct store_options *options, struct store **ret_store,
                               struct error *err)
{
    struct store_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    self->sql = (struct store_sql){.base.ops = &store_mariadb_ops,
                                   .session = &mariadb_session,
                                   .tables.dialect = &store_mariadb_dialect,
                                   .read_only = options->read_only};
    self->installs = options->install;
    self->packet_size = PACKET_SIZE_MIN; /* until the server has said */
    struct server_session_options session = {.url = options->path,
                                             .application = "keepstep agent",
                                             .read_only = options->read_only && !options->install};
    enum status status = mariadb_session_open(&session, &self->session, err);
    if (status == STATUS_OK)
        status = store_sql_ready(&self->sql, options, err);
    if (status == STATUS_OK)
        status = read_server(self, err);
    if (status != STATUS_OK) {
        store_mariadb_close(&self->sql.base);
        return status;
    }
    *ret_store = &self->sql.base;
    return STATUS_OK;
}

void store_mariadb_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_mariadb *self = store_mariadb_of(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        mariadb_statement_free(self->statements[i].prepared);
    mariadb_statement_free(self->key_read);
    store_mariadb_query_done(self);
    free(self->values);
    store_sql_done(&self->sql);
    store_mariadb_arrays_free(self);
    mariadb_session_close(self->session); /* the server rolls back what is open */
    free(self);
}
