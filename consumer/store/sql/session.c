/* What all SQL stores do with their sessions: calls, transactions of their own, installation. */
#include "consumer/store/sql/joint.h"

#include "common/uuid.h"

#include <stdlib.h>

#define SNAPSHOT_TIME_S 600
#define OUTBOX_COLUMNS  4 /* those that outbox_columns looks for */

enum status store_sql_send_each(struct store_sql *self, const struct sql_call *call, size_t rows,
                                struct error *err)
{
    struct sql_call one = *call;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < rows; i++) {
        one.parameters = call->parameters + i * call->count;
        status = self->session->send(self, &one, err);
    }
    return status;
}

enum status store_sql_run(struct store_sql *self, struct sql_call call, struct error *err)
{
    enum status status = store_sql_send(self, call, err);
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}

enum status store_sql_query(struct store_sql *self, struct sql_call call, sql_row_read *read,
                            void *context, struct error *err)
{
    enum status status = store_sql_ask(self, call, read, context, err);
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}

static enum status read_number(void *context, struct store_row *row, struct error *err)
{
    (void)err;
    *(int64_t *)context = row->integer(row, 0);
    row->is_last = true;
    return STATUS_OK;
}

enum status store_sql_number(struct store_sql *self, struct sql_call call, int64_t absent,
                             int64_t *ret_number, struct error *err)
{
    *ret_number = absent;
    return store_sql_query(self, call, read_number, ret_number, err);
}

enum status store_sql_transaction(struct store_sql *self, enum sql_transaction kind,
                                  struct error *err)
{
    self->in_transaction = true;
    return self->session->begin(self, kind, err);
}

enum status store_sql_finish(struct store_sql *self, struct error *err)
{
    enum status status = self->session->execute(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_sql_wait(self, err);
    if (status == STATUS_OK)
        self->in_transaction = false;
    return status;
}

static enum status install(struct store_sql *self, bool new_copy, struct error *err)
{
    char uuid[UUID_TEXT_SIZE];
    uuid_v7(uuid);
    struct sql_call set_id = SQL_CALL(META_ADD, parameter_text("copy_id"), parameter_text(uuid));
    if (new_copy)
        set_id.id = STATEMENT_META_SET;
    enum status status = store_sql_transaction(self, SQL_DURABLE, err);
    if (status == STATUS_OK)
        status = self->session->install(self, err);
    if (status == STATUS_OK)
        status = store_sql_place_parked(self, err);
    if (status == STATUS_OK)
        status = store_sql_send(self, set_id, err);
    if (status == STATUS_OK)
        status = store_sql_finish(self, err);
    if (status != STATUS_OK)
        store_sql_rollback(&self->base);
    return status;
}

static enum status check_version(struct store_sql *self, struct error *err)
{
    int64_t installed = 0;
    int64_t columns = 0;
    struct store_meta meta = {0};
    enum status status = store_sql_number(self, SQL_CALL_PLAIN(META_EXISTS), 0, &installed, err);
    if (status == STATUS_OK && installed != 0)
        status = store_sql_meta(&self->base, &meta, err);
    if (status != STATUS_OK)
        return status;
    if (meta.schema_version > STORE_SCHEMA_VERSION)
        return error_set(err, STATUS_FATAL,
                         "the database has schema version %d, this program knows %d: use the newer "
                         "program, whose `keepstep init` made it",
                         meta.schema_version, STORE_SCHEMA_VERSION);
    if (meta.schema_version == 0)
        return error_set(error_config(err), STATUS_FATAL, "the database has no Keepstep tables%s",
                         self->tables.dialect->denied == 0
                             ? ": run `keepstep init`"
                             : ", or this login may not see them: run `keepstep init`, or "
                               "`keepstep doctor`, which says what the login lacks");
    if (meta.schema_version < STORE_SCHEMA_VERSION)
        return error_set(error_config(err), STATUS_FATAL,
                         "the database has schema version %d, this program needs %d: stop all "
                         "agents of this copy, then run `keepstep init`",
                         meta.schema_version, STORE_SCHEMA_VERSION);
    status = store_sql_number(self, SQL_CALL_PLAIN(OUTBOX_COLUMNS), 0, &columns, err);
    self->has_outbox = columns == OUTBOX_COLUMNS;
    return status;
}

enum status store_sql_ready(struct store_sql *self, const struct store_options *options,
                            struct error *err)
{
    self->snapshot_time_s = options->snapshot_time_s > 0 ? options->snapshot_time_s
                                                         : SNAPSHOT_TIME_S;
    self->scan_rows_s = options->scan_rows_s;
    enum status status = options->install ? install(self, options->new_copy, err) : STATUS_OK;
    return status == STATUS_OK ? check_version(self, err) : status;
}

void store_sql_done(struct store_sql *self)
{
    sql_tables_done(&self->tables);
    joint_tables_done(self);
    free(self->ranges);
}
