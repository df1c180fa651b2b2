/* Queries of few rows, by the keys of a table: each is prepared once and goes into the pipeline
 * like any other statement. A cursor would cost five ways to the server. */
#include "consumer/store/postgresql/internal.h"

#include "common/postgresql_scan.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE      40
#define TEXTS_SIZE_MAX ((size_t)8 * 1024 * 1024)

static void query_name(const struct kept_query *kept, char name[static NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "keepstep_query_%u", kept->number);
}

/* @return the place of a query: its own, or the one that was taken first. */
static struct kept_query *query_place(struct store_postgresql *self, const char *sql)
{
    for (size_t i = 0; i < KEPT_QUERIES; i++) {
        if (self->kept[i].sql != NULL && strcmp(self->kept[i].sql, sql) == 0)
            return &self->kept[i];
    }
    return &self->kept[self->kept_count % KEPT_QUERIES];
}

static enum status query_close(struct store_postgresql *self, struct kept_query *kept,
                               struct error *err)
{
    char sql[NAME_SIZE + sizeof "DEALLOCATE "];
    char name[NAME_SIZE];
    enum status status = STATUS_OK;
    query_name(kept, name);
    (void)snprintf(sql, sizeof sql, "DEALLOCATE %s", name);
    if (kept->is_prepared)
        status = store_postgresql_send_sql(self, sql, err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err); /* it borrows the text */
    if (status == STATUS_OK) {
        free(kept->sql);
        *kept = (struct kept_query){0};
    }
    return status;
}

/* Prepare it, unless it is. The next sync reads the answer. */
static enum status query_prepare(struct store_postgresql *self, const struct row_query *query,
                                 struct kept_query **ret_kept, struct error *err)
{
    char name[NAME_SIZE];
    struct kept_query *kept = *ret_kept = query_place(self, query->sql);
    bool is_same = kept->sql != NULL && strcmp(kept->sql, query->sql) == 0;
    enum status status = STATUS_OK;
    if (is_same && kept->is_prepared)
        return STATUS_OK;
    if (!is_same && kept->sql != NULL)
        status = query_close(self, kept, err);
    if (status == STATUS_OK && !is_same) {
        kept->sql = strdup(query->sql);
        kept->number = ++self->kept_count;
        if (kept->sql == NULL)
            status = error_set(err, STATUS_RETRY, "no memory for a query");
    }
    query_name(kept, name);
    if (status == STATUS_OK)
        status = store_postgresql_queue_add(self, query->table, err);
    if (status == STATUS_OK)
        status = store_postgresql_queue_sent(
            self, PQsendPrepare(self->connection, name, query->sql, 0, NULL), query->table, err);
    if (status != STATUS_OK)
        return status;
    self->queue[self->queued - 1].prepared = &kept->is_prepared;
    kept->is_prepared = true;
    return STATUS_OK;
}

static enum status query_visit(void *context, struct store_row *row, struct error *err)
{
    const struct row_query *query = context;
    return query->visit(query->context, row->bytes(row, 0), row->bytes(row, 1), err);
}

static enum status query_send(struct store_postgresql *self, const struct row_query *query,
                              const struct slice *parameters, struct error *err)
{
    const char *values[POSTGRESQL_SCAN_PARAMETERS_MAX];
    char name[NAME_SIZE];
    struct kept_query *kept = NULL;
    for (size_t i = 0; i < query->parameter_count; i++)
        values[i] = parameters[i].data;
    enum status status = query_prepare(self, query, &kept, err);
    if (status == STATUS_OK)
        status = store_postgresql_queue_add(self, query->table, err);
    if (status != STATUS_OK)
        return status;
    query_name(kept, name);
    status = store_postgresql_queue_sent(self,
                                         PQsendQueryPrepared(self->connection, name,
                                                             (int)query->parameter_count, values,
                                                             NULL, NULL, 0),
                                         query->table, err);
    if (status != STATUS_OK)
        return status;
    self->queue[self->queued - 1].read = query_visit;
    self->queue[self->queued - 1].context = (void *)(uintptr_t)query;
    return store_postgresql_sync(self, NULL, err);
}

enum status store_postgresql_query(struct store_postgresql *self, const struct row_query *query,
                                   struct error *err)
{
    struct slice parameters[POSTGRESQL_SCAN_PARAMETERS_MAX];
    struct buffer texts;
    buffer_init(&texts, TEXTS_SIZE_MAX);
    enum status status = postgresql_scan_parameters(query, &texts, parameters, err);
    if (status == STATUS_OK)
        status = query_send(self, query, parameters, err);
    buffer_done(&texts);
    return status;
}

void store_postgresql_query_done(struct store_postgresql *self)
{
    for (size_t i = 0; i < KEPT_QUERIES; i++)
        free(self->kept[i].sql);
}
