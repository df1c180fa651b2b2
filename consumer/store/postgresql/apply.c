/* Writes changes to PostgreSQL: a run in as few statements as its order allows. */
#include "consumer/store/postgresql/internal.h"

#include "consumer/store/sql/apply.h"
#include "consumer/store/sql/limits.h"

#include <stdlib.h>

struct run {
    struct store_postgresql *self;
    struct mapped_table *table;
    const struct change *const *changes;
    struct row_statement **statements; /* of each change */
    enum status status;                /* of preparing the current segment's first */
    struct error *err;
};

/* Send the changes of [start, end) that share `statement`. */
static enum status group_send(struct run *run, size_t start, size_t end,
                              const struct row_statement *statement, struct error *err)
{
    struct store_postgresql *self = run->self;
    char name[POSTGRESQL_ROW_NAME_SIZE];
    enum status status = STATUS_OK;
    size_t rows = 0;
    bool failed = false;

    for (size_t i = start; i < end; i++)
        rows += run->statements[i] == statement;
    for (size_t c = 0; c < statement->count && status == STATUS_OK; c++) {
        struct buffer *array = &self->arrays[c];
        array_begin(array, store_postgresql_form(run->table, statement->columns[c])->wire);
        for (size_t i = start; i < end && status == STATUS_OK; i++) {
            if (run->statements[i] == statement)
                status = store_postgresql_encode_value(run->table, statement->columns[c],
                                                       run->changes[i], array, err);
        }
        array_end(array, rows);
        failed = failed || array->failed;
    }
    if (status == STATUS_OK && failed)
        status = error_set(err, STATUS_RETRY, "%s: no memory for a run", run->table->name);
    store_postgresql_row_name(statement, name, sizeof name);
    if (status == STATUS_OK)
        status = store_postgresql_send_row(self, name, run->table->name, statement->count, err);
    if (status != STATUS_OK || statement->form != ROW_UPDATE)
        return status;
    /* An update that lacks columns needs a row: the count says whether all were found. */
    status = store_postgresql_sync(self, NULL, err);
    const char *found = status == STATUS_OK ? PQcmdTuples(self->queue[self->queued - 1].result)
                                            : "";
    if (status == STATUS_OK && strtoul(found, NULL, 10) != rows)
        status = sql_hold_no_row(run->table, run->changes[start], err);
    return status;
}

/* Deletes come first: the values of unique columns that they free may be taken by other rows. Their
 * order does not matter otherwise, as no entity occurs twice. */
static enum status segment_write(void *context, size_t start, size_t end, struct error *err)
{
    struct run *run = context;
    struct row_statement *removal = &run->table->rows[ROW_DELETE];
    enum status status = run->status;
    for (size_t i = start; i < end && status == STATUS_OK; i++) {
        if (run->statements[i] == removal) {
            status = group_send(run, start, end, removal, err);
            break;
        }
    }
    for (size_t i = start; i < end && status == STATUS_OK; i++) {
        struct row_statement *statement = run->statements[i];
        bool sent = statement == removal;
        for (size_t j = start; j < i && !sent; j++)
            sent = run->statements[j] == statement;
        if (!sent)
            status = group_send(run, start, end, statement, err);
    }
    return status;
}

/* A change without a prepared statement begins a segment, because preparing one may replace a
 * statement that earlier changes of the segment still need. In a table that keeps the order of all
 * changes only upserts or inserts of whole images share a segment: an INSERT writes its rows in
 * order.
 */
static bool segment_joins(void *context, size_t start, size_t index)
{
    struct run *run = context;
    const struct change *change = run->changes[index];
    enum row_form form = sql_row_form(change);
    struct row_statement **statement = &run->statements[index];
    struct row_statement *whole = &run->table->rows[form];
    bool inserts = form == ROW_UPSERT || form == ROW_INSERT;
    if (index == start)
        run->status = sql_row_prepare(run->table, form, change, statement, run->err);
    else
        *statement = sql_row_find(run->table, form, change);
    return *statement != NULL && (!run->table->keeps_order || (inserts && *statement == whole &&
                                                               run->statements[start] == whole));
}

/* Translate an error that contains REWRITTEN_MARK. */
static enum status run_judge(const struct run *run, enum status status, struct error *err)
{
    const struct entity_schema *schema = run->table->mapping->schema;
    const char *mark = status == STATUS_REJECT ? strstr(err->text, REWRITTEN_MARK) : NULL;
    size_t column = mark == NULL ? SIZE_MAX : strtoul(mark + strlen(REWRITTEN_MARK), NULL, 10);
    if (column >= schema->column_count ||
        !column_form_rewrites(store_postgresql_form(run->table, column)))
        return status;
    error_clear(err);
    return sql_hold(run->changes[0], schema->columns[column].name,
                    "jsonb would rewrite this JSON: publish it from a jsonb column, or declare the "
                    "column as json or text",
                    err);
}

enum status store_postgresql_write(struct mapped_table *table, const struct change *const *changes,
                                   size_t count, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(table->store);
    struct run run = {.self = self, .table = table, .changes = changes, .err = err};
    struct sql_segments segments = {
        .joins = segment_joins, .write = segment_write, .context = &run};
    struct error ignored = ERROR_INIT;
    if (store_postgresql_can_copy(table, changes, count))
        return store_postgresql_copy(table, changes, count, err);
    run.statements = calloc(count + 1, sizeof(struct row_statement *));
    if (run.statements == NULL)
        return error_set(err, STATUS_RETRY, "%s: no memory for a run", table->name);
    enum status status = sql_segments_write(&segments, changes, count, err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    else if (store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
        error_clear(&ignored); /* a pipeline in error could not go back to the savepoint */
    status = run_judge(&run, status, err);
    free(run.statements);
    return status;
}
