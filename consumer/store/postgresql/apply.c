/* The PostgreSQL store's writing of changes: a run in as few statements as its order allows. */
#include "consumer/store/postgresql/internal.h"

#include "common/digest.h"

#include <stdlib.h>

/* A run whose entities are parted from here on: two changes of one entity never share a statement,
 * and a later one never overtakes an earlier one. */
struct run {
    struct store_postgresql *self;
    struct mapped_table *table;
    const struct change *const *changes;
    size_t count;
    struct row_statement **statements; /* of each change */
};

static bool shape_of(const struct entity_schema *schema, const struct change *change,
                     enum row_form *ret_form, bool *present)
{
    bool complete = true;
    memset(present, 0, ENTITY_COLUMNS_MAX * sizeof *present);
    for (size_t i = 0; i < schema->column_count; i++) {
        present[i] = change->values[i].kind != VALUE_ABSENT;
        complete = complete && present[i];
    }
    *ret_form = change->op == CHANGE_UPDATE && !complete ? ROW_UPDATE : ROW_UPSERT;
    return complete;
}

static struct row_statement *sparse_find(struct mapped_table *table, enum row_form form,
                                         const bool *present)
{
    for (size_t i = 0; i < SPARSE_SHAPES_MAX; i++) {
        struct row_statement *known = &table->sparse[i];
        if (known->name[0] != '\0' && known->form == form &&
            memcmp(known->present, present, sizeof known->present) == 0)
            return known;
    }
    return NULL;
}

/* In the place of the oldest shape, which nothing may be waiting for. */
static enum status sparse_prepare(struct run *run, enum row_form form, const bool *present,
                                  struct row_statement **ret_statement, struct error *err)
{
    struct mapped_table *table = run->table;
    struct row_statement *statement = &table->sparse[table->sparse_next];
    table->sparse_next = (table->sparse_next + 1) % SPARSE_SHAPES_MAX;
    statement->form = form;
    memcpy(statement->present, present, sizeof statement->present);
    *ret_statement = statement;
    return store_postgresql_row_prepare(run->self, table, statement, err);
}

static enum status key_check(const struct entity_schema *schema, const struct change *change,
                             struct error *err)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        enum value_kind kind = change->values[schema->key_columns[i]].kind;
        if (kind == VALUE_ABSENT || kind == VALUE_NULL)
            return store_postgresql_hold(change, "has no value for the key column",
                                         schema->columns[schema->key_columns[i]].name, err);
    }
    return STATUS_OK;
}

/* Send the changes of [start, end) that share `statement`. */
static enum status group_send(struct run *run, size_t start, size_t end,
                              const struct row_statement *statement, struct error *err)
{
    struct store_postgresql *self = run->self;
    size_t order[ENTITY_COLUMNS_MAX];
    size_t columns = store_postgresql_columns(run->table->mapping->schema, statement->form,
                                              statement->present, order);
    enum status status = STATUS_OK;
    size_t rows = 0;
    bool failed = false;

    for (size_t i = start; i < end; i++)
        rows += run->statements[i] == statement;
    for (size_t c = 0; c < columns && status == STATUS_OK; c++) {
        struct buffer *array = &self->arrays[c];
        array_begin(array, run->table->columns[order[c]].form->wire);
        for (size_t i = start; i < end && status == STATUS_OK; i++) {
            if (run->statements[i] == statement)
                status = store_postgresql_encode_value(run->table, order[c], run->changes[i], array,
                                                       err);
        }
        array_end(array, rows);
        failed = failed || array->failed;
    }
    if (status == STATUS_OK && failed)
        status = error_set(err, STATUS_RETRY, "%s: no memory for a run", run->table->name);
    if (status == STATUS_OK)
        status = store_postgresql_send_row(self, statement->name, run->table->name, self->arrays,
                                           columns, err);
    if (status != STATUS_OK || statement->form != ROW_UPDATE)
        return status;
    /* The number of its rows is the verdict on an update that lacks columns. */
    status = store_postgresql_sync(self, NULL, err);
    const char *found = status == STATUS_OK ? PQcmdTuples(self->queue[self->queued - 1].result)
                                            : "";
    if (status == STATUS_OK && strtoul(found, NULL, 10) != rows)
        status = store_postgresql_hold(run->changes[start],
                                       "lacks columns, and there is no row to keep them from in",
                                       run->table->name, err);
    return status;
}

/* Entities of [start, end) are all different: deletes first, as they make room for what others have
 * to be unique in. */
static enum status segment_send(struct run *run, size_t start, size_t end, struct error *err)
{
    struct row_statement *removal = &run->table->removal;
    enum status status = STATUS_OK;
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

/* @return false where the entity is in the set already. */
static bool set_add(size_t *set, size_t size, size_t index, const struct change *const *changes)
{
    size_t place = (size_t)digest_64(changes[index]->entity_key) & (size - 1);
    while (set[place] != 0) {
        if (slice_equal(changes[set[place] - 1]->entity_key, changes[index]->entity_key))
            return false;
        place = (place + 1) & (size - 1);
    }
    set[place] = index + 1;
    return true;
}

/* Where every change has its turn only an INSERT takes several: it takes them as they come. */
static bool keeps_turn(const struct run *run, size_t start, const struct row_statement *statement)
{
    return !run->table->keeps_order ||
           (statement == run->statements[start] && statement == &run->table->full);
}

/* The segment of [start, *ret_end) whose statements are known and whose entities differ. */
static enum status segment_find(struct run *run, size_t start, size_t *set, size_t size,
                                size_t *ret_end, struct error *err)
{
    const struct entity_schema *schema = run->table->mapping->schema;
    enum status status = STATUS_OK;
    size_t i = start;

    memset(set, 0, size * sizeof *set);
    for (; i < run->count && status == STATUS_OK && set_add(set, size, i, run->changes); i++) {
        bool present[ENTITY_COLUMNS_MAX];
        enum row_form form;
        struct row_statement *statement = NULL;
        status = key_check(schema, run->changes[i], err);
        if (run->changes[i]->op == CHANGE_DELETE)
            statement = &run->table->removal;
        else if (shape_of(schema, run->changes[i], &form, present))
            statement = &run->table->full;
        else
            statement = sparse_find(run->table, form, present);
        if (i > start && (statement == NULL || !keeps_turn(run, start, statement)))
            break; /* a new shape: first what uses the others */
        if (statement == NULL && status == STATUS_OK)
            status = sparse_prepare(run, form, present, &statement, err);
        run->statements[i] = statement;
    }
    *ret_end = i;
    return status;
}

static enum status run_send(struct run *run, struct error *err)
{
    enum status status = STATUS_OK;
    size_t size = 4;
    while (size < 2 * run->count)
        size *= 2;
    size_t *set = calloc(size, sizeof *set);
    if (set == NULL)
        return error_set(err, STATUS_RETRY, "%s: no memory for a run", run->table->name);
    for (size_t start = 0, end = 0; start < run->count && status == STATUS_OK; start = end) {
        status = segment_find(run, start, set, size, &end, err);
        if (status == STATUS_OK)
            status = segment_send(run, start, end, err);
    }
    free(set);
    return status;
}

/* An error that has REWRITTEN_MARK, in words. */
static enum status run_judge(const struct run *run, enum status status, struct error *err)
{
    const struct entity_schema *schema = run->table->mapping->schema;
    const char *mark = status == STATUS_REJECT ? strstr(err->text, REWRITTEN_MARK) : NULL;
    size_t column = mark == NULL ? SIZE_MAX : strtoul(mark + strlen(REWRITTEN_MARK), NULL, 10);
    if (column >= schema->column_count || !column_form_rewrites(run->table->columns[column].form))
        return status;
    error_clear(err);
    return store_postgresql_hold(
        run->changes[0],
        "jsonb would rewrite this JSON: publish it from a jsonb column, or "
        "declare as json or text the column",
        schema->columns[column].name, err);
}

enum status store_postgresql_apply(struct store *store, const struct mapping *mapping,
                                   const struct change *const *changes, size_t count,
                                   struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct run run = {.self = self,
                      .table = store_postgresql_table(self, slice_of(mapping->schema->entity_type)),
                      .changes = changes,
                      .count = count};
    struct error ignored = ERROR_INIT;
    enum status status = STATUS_OK;

    if (run.table == NULL)
        return error_set(err, STATUS_FATAL, "\"%s\" was not prepared",
                         mapping->schema->entity_type);
    run.statements = calloc(count + 1, sizeof(struct row_statement *));
    if (run.statements == NULL)
        return error_set(err, STATUS_RETRY, "%s: no memory for a run", run.table->name);
    /* The table's trigger is silent for direct writes while its name stands there. */
    if (mapping->published_here)
        status = store_postgresql_send(self, STATEMENT_APPLYING_SET,
                                       PARAMETERS(parameter_text(run.table->name)), err);
    if (status == STATUS_OK)
        status = run_send(&run, err);
    if (status == STATUS_OK && mapping->published_here)
        status = store_postgresql_send(self, STATEMENT_APPLYING_SET, PARAMETERS(parameter_text("")),
                                       err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    else if (store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
        error_clear(&ignored); /* the way back to the savepoint needs a pipeline without an error */
    status = run_judge(&run, status, err);
    free(run.statements);
    return status;
}
