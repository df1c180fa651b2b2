/* The prepared tables of a store, and the statements that write their rows. */
#include "consumer/store/sql/table.h"

#include <stdlib.h>

struct mapped_table *sql_table_find(const struct sql_tables *tables, const char *entity_type)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(entity_type, tables->items[i]->mapping->schema->entity_type) == 0)
            return tables->items[i];
    }
    return NULL;
}

struct mapped_table *sql_table_new(struct store *store, const struct sql_dialect *dialect,
                                   const struct mapping *mapping)
{
    struct mapped_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->store = store;
    table->dialect = dialect;
    table->mapping = mapping;
    table->name = mapping_table(mapping);
    return table;
}

void sql_table_free(struct mapped_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < ROW_FORMS && table->dialect->row_free != NULL; i++)
        table->dialect->row_free(&table->rows[i]);
    for (size_t i = 0; i < SPARSE_SHAPES_MAX && table->dialect->row_free != NULL; i++)
        table->dialect->row_free(&table->sparse[i]);
    free(table);
}

enum status sql_tables_take(struct sql_tables *tables, struct mapped_table *table,
                            struct error *err)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(table->mapping->schema->entity_type,
                   tables->items[i]->mapping->schema->entity_type) != 0)
            continue;
        sql_table_free(tables->items[i]);
        tables->items[i] = table;
        return STATUS_OK;
    }
    void *grown = realloc(tables->items, (tables->count + 1) * sizeof(struct mapped_table *));
    if (grown == NULL) {
        sql_table_free(table);
        return error_set(err, STATUS_RETRY, "out of memory");
    }
    tables->items = grown;
    tables->items[tables->count++] = table;
    return STATUS_OK;
}

void sql_tables_done(struct sql_tables *tables)
{
    for (size_t i = 0; i < tables->count; i++)
        sql_table_free(tables->items[i]);
    free(tables->items);
    *tables = (struct sql_tables){0};
}

/* The key stands behind the other columns, as in the text of an UPDATE. */
static void row_bind(const struct entity_schema *schema, struct row_statement *row)
{
    bool inserts = row->form == ROW_UPSERT || row->form == ROW_INSERT;
    row->count = 0;
    for (size_t i = 0; i < schema->column_count; i++) {
        if (row->present[i] && (inserts || (row->form == ROW_UPDATE && !schema->columns[i].is_key)))
            row->columns[row->count++] = (uint16_t)i;
    }
    for (size_t i = 0; !inserts && i < schema->key_count; i++)
        row->columns[row->count++] = (uint16_t)schema->key_columns[i];
}

static const char *row_form_text(const struct sql_dialect *dialect, enum row_form form,
                                 bool only_key)
{
    switch (form) {
    case ROW_UPSERT:
        return only_key && dialect->row_upsert_key != NULL ? dialect->row_upsert_key
                                                           : dialect->row_upsert;
    case ROW_UPDATE:
        return only_key ? dialect->row_update_key : dialect->row_update;
    case ROW_INSERT:
        return dialect->row_insert;
    case ROW_FIND:
        return dialect->row_find;
    case ROW_DELETE:
    case ROW_FORMS:
        break;
    }
    return dialect->row_delete;
}

enum row_form sql_row_form(const struct change *change)
{
    if (change->op == CHANGE_DELETE)
        return ROW_DELETE;
    if (change->is_there)
        return ROW_UPDATE;
    if (change->is_new)
        return ROW_INSERT;
    if (change_is_complete(change))
        return ROW_UPSERT;
    return change->op == CHANGE_UPDATE ? ROW_UPDATE : ROW_UPSERT;
}

static bool is_sparse(enum row_form form, const struct change *change)
{
    return change != NULL &&
           (form == ROW_UPSERT || form == ROW_UPDATE || (form == ROW_INSERT && change->is_new)) &&
           !change_is_complete(change);
}

static bool has_shape(const struct row_statement *row, const struct change *change)
{
    for (size_t i = 0; i < change->schema->column_count; i++) {
        if (row->present[i] != (change->values[i].kind != VALUE_ABSENT))
            return false;
    }
    return true;
}

struct row_statement *sql_row_find(struct mapped_table *table, enum row_form form,
                                   const struct change *change)
{
    if (!is_sparse(form, change))
        return table->rows[form].is_prepared ? &table->rows[form] : NULL;
    for (size_t i = 0; i < SPARSE_SHAPES_MAX; i++) {
        struct row_statement *row = &table->sparse[i];
        if (row->is_prepared && row->form == form && has_shape(row, change))
            return row;
    }
    return NULL;
}

static struct row_statement *row_place(struct mapped_table *table, enum row_form form,
                                       const struct change *change)
{
    const struct entity_schema *schema = table->mapping->schema;
    bool sparse = is_sparse(form, change);
    struct row_statement *row = sparse ? &table->sparse[table->sparse_next] : &table->rows[form];
    if (sparse)
        table->sparse_next = (table->sparse_next + 1) % SPARSE_SHAPES_MAX;
    row->form = form;
    for (size_t i = 0; i < schema->column_count; i++)
        row->present[i] = !sparse || change->values[i].kind != VALUE_ABSENT;
    row_bind(schema, row);
    return row;
}

enum status sql_row_prepare(struct mapped_table *table, enum row_form form,
                            const struct change *change, struct row_statement **ret_row,
                            struct error *err)
{
    const struct sql_dialect *dialect = table->dialect;
    struct buffer sql;
    *ret_row = sql_row_find(table, form, change);
    if (*ret_row != NULL)
        return STATUS_OK;
    struct row_statement *row = *ret_row = row_place(table, form, change);
    struct sql_text text = {
        .dialect = dialect, .mapping = table->mapping, .table = table, .row = row};
    bool only_key = row->count == table->mapping->schema->key_count;
    enum status status = STATUS_OK;
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    sql_text_append(&sql, &text, row_form_text(dialect, form, only_key));
    if (sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    else
        status = dialect->row_prepare(table, row, buffer_text(&sql), err);
    row->is_prepared = status == STATUS_OK;
    buffer_done(&sql);
    return status;
}
