/* Queries of few rows, by the keys of a table: each is prepared once. */
#include "consumer/store/mariadb/internal.h"

#include "common/mariadb_scan.h"

#include <stdlib.h>

static void query_drop(struct kept_query *kept)
{
    mariadb_statement_free(kept->statement);
    free(kept->sql);
    free(kept->table);
    *kept = (struct kept_query){0};
}

/* @return the place of a query: its own, or the one that was taken first. */
static struct kept_query *query_place(struct store_mariadb *self, const char *sql)
{
    for (size_t i = 0; i < KEPT_QUERIES; i++) {
        if (self->kept[i].sql != NULL && strcmp(self->kept[i].sql, sql) == 0)
            return &self->kept[i];
    }
    struct kept_query *kept = &self->kept[self->kept_count++ % KEPT_QUERIES];
    query_drop(kept);
    return kept;
}

/* The statement borrows the table's name, which its errors say. */
static enum status query_prepare(struct store_mariadb *self, const struct row_query *query,
                                 struct kept_query *kept, struct error *err)
{
    if (kept->statement != NULL)
        return STATUS_OK;
    kept->sql = strdup(query->sql);
    kept->table = strdup(query->table);
    if (kept->sql == NULL || kept->table == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a query");
    return mariadb_statement_new(self->session, kept->table, kept->sql, &kept->statement, err);
}

/* One that fails is prepared anew the next time: its table may be another one. */
enum status store_mariadb_query(struct store_mariadb *self, struct row_query *query,
                                struct error *err)
{
    struct kept_query *kept = query_place(self, query->sql);
    enum status status = query_prepare(self, query, kept, err);
    if (status == STATUS_OK)
        status = mariadb_scan_once(kept->statement, query, err);
    if (status != STATUS_OK)
        query_drop(kept);
    return status;
}

void store_mariadb_query_done(struct store_mariadb *self)
{
    for (size_t i = 0; i < KEPT_QUERIES; i++)
        query_drop(&self->kept[i]);
}
