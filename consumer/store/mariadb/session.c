/* The MariaDB store's session: opening, installing, and opening again once it was lost. */
#include "consumer/store/mariadb/internal.h"

#include "common/uuid.h"
#include "consumer_mariadb_sql.h"

#include <stdlib.h>
#include <sysexits.h>

#define SCHEMA_VERSION  1
#define INIT_HINT       "run `keepstep init`"
#define PACKET_SIZE_MIN ((int64_t)64 * 1024)
#define TIMESTAMP_64    110500                                     /* first version */
#define BESIDE_OUTBOX   "SET SESSION innodb_lock_wait_timeout = 1" /* the agent yields first */

/* One statement at a time, parted by semicolons: the session takes no more than one. */
static enum status install_tables(struct store_mariadb *self, struct error *err)
{
    char *sql = strdup(SQL_INSTALL);
    char *rest = NULL;
    enum status status = STATUS_OK;
    if (sql == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (char *one = strtok_r(sql, ";", &rest); one != NULL && status == STATUS_OK;
         one = strtok_r(NULL, ";", &rest)) {
        if (one[strspn(one, " \n")] != '\0')
            status = mariadb_session_execute(self->session, one, err);
    }
    free(sql);
    return status;
}

static enum status install(struct store_mariadb *self, bool new_copy, struct error *err)
{
    char uuid[UUID_TEXT_SIZE];
    uuid_v7(uuid);
    enum status status = install_tables(self, err);
    if (status == STATUS_OK)
        status = store_mariadb_run(self, new_copy ? STATEMENT_META_SET : STATEMENT_META_ADD,
                                   PARAMETERS(mariadb_string("copy_id"), mariadb_string(uuid)),
                                   NULL, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    return status;
}

static enum status check_version(struct store_mariadb *self, struct error *err)
{
    int64_t version = 0;
    int64_t tables = 0;
    enum status status = store_mariadb_number(self, STATEMENT_CATALOGUE_VERSION, NULL, 0, 0,
                                              &tables, err);
    if (status == STATUS_OK && tables > 0)
        status = store_mariadb_number(self, STATEMENT_META_READ,
                                      PARAMETERS(mariadb_string("schema_version")), 0, &version,
                                      err);
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
    return STATUS_OK;
}

static enum status read_server(struct store_mariadb *self, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_SERVER, NULL, 0, &statement,
                                             &row, err);
    if (status != STATUS_OK)
        return status;
    int64_t packet = row ? mariadb_statement_integer(statement, 0) : 0;
    self->has_outbox = row && mariadb_statement_integer(statement, 1) == 4;
    mariadb_statement_end(statement);
    self->packet_size = (size_t)(packet < PACKET_SIZE_MIN ? PACKET_SIZE_MIN : packet);
    self->timestamps_64 = mysql_get_server_version(self->session) >= TIMESTAMP_64;
    return self->has_outbox ? mariadb_session_execute(self->session, BESIDE_OUTBOX, err)
                            : STATUS_OK;
}

enum status store_mariadb_open(const struct store_options *options, struct store **ret_store,
                               struct error *err)
{
    struct store_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    self->base.ops = &store_mariadb_ops;
    self->installs = options->install;
    self->read_only = options->read_only;
    self->packet_size = PACKET_SIZE_MIN; /* until the server has said */
    struct server_session_options session = {.url = options->path,
                                             .application = "keepstep agent",
                                             .read_only = options->read_only && !options->install};
    enum status status = mariadb_session_open(&session, &self->session, err);
    if (status == STATUS_OK && options->install)
        status = install(self, options->new_copy, err);
    if (status == STATUS_OK)
        status = check_version(self, err);
    if (status == STATUS_OK)
        status = read_server(self, err);
    if (status != STATUS_OK) {
        store_mariadb_close(&self->base);
        return status;
    }
    store_mariadb_release(self);
    *ret_store = &self->base;
    return STATUS_OK;
}

void store_mariadb_rollback(struct store *store)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct error ignored = ERROR_INIT;
    self->in_transaction = false;
    self->range_count = 0;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        mariadb_statement_end(self->statements[i]);
    mariadb_session_rollback(self->session);
    if (self->applying &&
        store_mariadb_run(self, STATEMENT_APPLYING, PARAMETERS(mariadb_string(NULL)), NULL,
                          &ignored) == STATUS_OK)
        self->applying = false;
}

void store_mariadb_release(struct store_mariadb *self)
{
    if (!self->in_transaction)
        store_mariadb_rollback(&self->base);
}

void store_mariadb_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_mariadb *self = store_mariadb_of(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        mariadb_statement_free(self->statements[i]);
    mariadb_statement_free(self->key_read);
    mariadb_statement_free(self->key_claim);
    for (size_t i = 0; i < self->table_count; i++)
        store_mariadb_table_free(self->tables[i]);
    free(self->tables);
    free(self->ranges);
    store_mariadb_arrays_free(self);
    mariadb_session_close(self->session); /* the server rolls back what is open */
    free(self);
}
