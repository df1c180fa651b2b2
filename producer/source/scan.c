/* Scans a published table in a snapshot. */
#include "producer/source/sql.h"

#define TABLE_NAME_MAX ((size_t)4096)

static enum status scan_query(void *session, struct row_query *query, struct error *err)
{
    struct source_sql *self = session;
    return self->database->query(self, query, err);
}

static enum status scan_table(struct source_sql *self, const struct source_scan *scan,
                              const char *table, struct error *err)
{
    struct source_table found = {0};
    enum status status = self->database->describe(self, scan, &found, err);
    const struct table_scan rows = {.columns = {.dialect = self->database->columns,
                                                .schema = scan->schema,
                                                .entry = scan->entry,
                                                .is_timestamp = found.is_timestamp},
                                    .table = table,
                                    .keys = scan->keys,
                                    .key_count = scan->key_count,
                                    .until_us = self->until_us,
                                    .rows_s = self->config->limits.scan_rows_s,
                                    .visit = scan->visit,
                                    .context = scan->context,
                                    .run = scan_query,
                                    .session = self};
    if (status == STATUS_OK)
        status = table_scan_run(&rows, err);
    if (status != STATUS_OK && err != NULL && self->database->lacks_right(err))
        error_prefix(err, "the role may not read the published columns of table %s",
                     scan->entry->table);
    return status;
}

enum status source_sql_scan(struct source *source, const struct source_scan *scan,
                            struct error *err)
{
    struct source_sql *self = source_sql_of(source);
    struct buffer table;
    buffer_init(&table, TABLE_NAME_MAX);
    self->database->append_table(&table, scan->entry->table);
    enum status status = source_sql_check(self, err);
    if (status == STATUS_OK && table.failed)
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status == STATUS_OK)
        status = scan_table(self, scan, buffer_text(&table), err);
    buffer_done(&table);
    return source_sql_settle(self, status);
}
