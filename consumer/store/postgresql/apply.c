/* The PostgreSQL store's writing of changes: a run in as few statements as its order allows. */
#include "consumer/store/postgresql/internal.h"

#include "consumer/store/sql/apply.h"
#include "consumer/store/sql/limits.h"

#include <stdlib.h>

struct run {
    struct store_postgresql *self;
    struct mapped_table *table;
    const struct change *const *changes;
    struct row_statement **statements; /* of each change */
    enum status status;                /* of preparing them */
    struct error *err;
};

static enum row_form form_of(const struct change *change)
{
    if (change->op == CHANGE_DELETE)
        return ROW_DELETE;
    return change->op == CHANGE_UPDATE && !change_is_complete(change) ? ROW_UPDATE : ROW_UPSERT;
}

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
    /* The number of its rows is the verdict on an update that lacks columns. */
    status = store_postgresql_sync(self, NULL, err);
    const char *found = status == STATUS_OK ? PQcmdTuples(self->queue[self->queued - 1].result)
                                            : "";
    if (status == STATUS_OK && strtoul(found, NULL, 10) != rows)
        status = sql_hold_no_row(run->table, run->changes[start], err);
    return status;
}

/* Entities of [start, end) are all different: deletes first, as they make room for what others have
 * to be unique in. */
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

/* A shape of images that has no statement yet begins a segment: what is prepared may take the place
 * of a statement that the changes before it use. Where every change has its turn only an INSERT
 * takes several: it takes them as they come. */
static bool segment_joins(void *context, size_t start, size_t index)
{
    struct run *run = context;
    const struct change *change = run->changes[index];
    enum row_form form = form_of(change);
    struct row_statement **statement = &run->statements[index];
    struct row_statement *upsert = &run->table->rows[ROW_UPSERT];
    if (index == start)
        run->status = sql_row_prepare(run->table, form, change, statement, run->err);
    else
        *statement = sql_row_find(run->table, form, change);
    return *statement != NULL &&
           (!run->table->keeps_order || (*statement == upsert && run->statements[start] == upsert));
}

/* An error that has REWRITTEN_MARK, in words. */
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
    run.statements = calloc(count + 1, sizeof(struct row_statement *));
    if (run.statements == NULL)
        return error_set(err, STATUS_RETRY, "%s: no memory for a run", table->name);
    enum status status = sql_segments_write(&segments, changes, count, err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    else if (store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
        error_clear(&ignored); /* the way back to the savepoint needs a pipeline without an error */
    status = run_judge(&run, status, err);
    free(run.statements);
    return status;
}
