/* The PostgreSQL store's statements on local tables: one takes a whole run, as arrays of columns.
 */
#include "consumer/store/postgresql/internal.h"

#include "common/postgresql_name.h"

#include <stdio.h>

#define SQL_SIZE_MAX ((size_t)1024 * 1024)

/* The first form of each type is the one that is created. */
static const struct column_form column_forms[] = {
    {COLUMN_INTEGER, "int8", "bigint", WIRE_INT8, INT64_MIN, INT64_MAX},
    {COLUMN_INTEGER, "int4", "integer", WIRE_INT8, INT32_MIN, INT32_MAX},
    {COLUMN_INTEGER, "int2", "smallint", WIRE_INT8, INT16_MIN, INT16_MAX},
    {COLUMN_DECIMAL, "numeric", "numeric", WIRE_TEXT, 0, 0},
    {COLUMN_DECIMAL, "int8", "bigint", WIRE_INT8, INT64_MIN, INT64_MAX},
    {COLUMN_DECIMAL, "int4", "integer", WIRE_INT8, INT32_MIN, INT32_MAX},
    {COLUMN_DECIMAL, "int2", "smallint", WIRE_INT8, INT16_MIN, INT16_MAX},
    {COLUMN_DOUBLE, "float8", "double precision", WIRE_FLOAT8, 0, 0},
    {COLUMN_DOUBLE, "float4", "real", WIRE_FLOAT8, 0, 0},
    {COLUMN_TEXT, "text", "text", WIRE_TEXT, 0, 0},
    {COLUMN_TEXT, "varchar", "varchar", WIRE_TEXT, 0, 0},
    {COLUMN_TEXT, "uuid", "uuid", WIRE_TEXT, 0, 0},
    {COLUMN_BYTES, "bytea", "bytea", WIRE_BYTEA, 0, 0},
    {COLUMN_BOOLEAN, "bool", "boolean", WIRE_BOOL, 0, 0},
    {COLUMN_DATE_TIME, "timestamptz", "timestamptz", WIRE_TIMESTAMPTZ, 0, 0},
    {COLUMN_TIMESTAMP, "timestamp", "timestamp", WIRE_TIMESTAMP, 0, 0},
    {COLUMN_DATE, "date", "date", WIRE_DATE, 0, 0},
    {COLUMN_TIME, "time", "time", WIRE_TIME, 0, 0},
    {COLUMN_UUID, "uuid", "uuid", WIRE_TEXT, 0, 0},
    {COLUMN_JSON, "json", "json", WIRE_TEXT, 0, 0},
    {COLUMN_JSON, "text", "text", WIRE_TEXT, 0, 0},
    {COLUMN_JSON, "jsonb", "jsonb", WIRE_TEXT, 0, 0},
};

const struct column_form *column_form_find(enum column_type type, const char *typname)
{
    for (size_t i = 0; i < sizeof column_forms / sizeof column_forms[0]; i++) {
        if (column_forms[i].type == type && strcmp(column_forms[i].typname, typname) == 0)
            return &column_forms[i];
    }
    return NULL;
}

const struct column_form *column_form_created(enum column_type type)
{
    size_t i = 0;
    while (column_forms[i].type != type)
        i++;
    return &column_forms[i];
}

void store_postgresql_append_name(struct buffer *sql, const struct mapping *mapping)
{
    if (mapping->entry->table != NULL)
        postgresql_name_append_table(sql, mapping->entry->table);
    else
        postgresql_name_append(sql, slice_of(mapping_table(mapping)));
}

void store_postgresql_append_column(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    postgresql_name_append(
        sql, slice_of(config_column(mapping->entry, mapping->schema->columns[index].name)));
}

size_t store_postgresql_columns(const struct entity_schema *schema, enum row_form form,
                                const bool *present, size_t order[static ENTITY_COLUMNS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].is_key || (form != ROW_DELETE && present[i]))
            order[count++] = i;
    }
    return count;
}

bool column_form_rewrites(const struct column_form *form)
{
    return strcmp(form->typname, "jsonb") == 0;
}

/* "run.c3::numeric": an array's element as the column's type. A text that
 * would not come back as it was is an error, which reads the element, or the planner raised it. */
static void append_element(struct buffer *sql, const struct mapped_table *table, size_t index)
{
    const struct column_form *form = table->columns[index].form;
    if (column_form_rewrites(form))
        buffer_append_format(sql,
                             "CASE WHEN run.c%zu::%s::text COLLATE \"C\" <> run.c%zu "
                             "THEN ('" REWRITTEN_MARK
                             "%zu' || left(run.c%zu, 0))::int::text::%s ELSE ",
                             index, form->declared, index, index, index, form->declared);
    buffer_append_format(sql, "run.c%zu::%s", index, form->declared);
    if (column_form_rewrites(form))
        buffer_append_text(sql, " END");
}

/* "unnest($1::bigint[], …) AS run(c0, …)" */
static void append_run(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                       size_t count)
{
    buffer_append_text(sql, "unnest(");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(sql, "%s$%zu::%s[]", i == 0 ? "" : ", ", i + 1,
                             wire_name(table->columns[order[i]].form->wire));
    buffer_append_text(sql, ") AS run(");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(sql, "%sc%zu", i == 0 ? "" : ", ", order[i]);
    buffer_append_text(sql, ")");
}

static void append_upsert(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    const struct entity_schema *schema = table->mapping->schema;
    const char *start = ") DO UPDATE SET ";
    buffer_append_text(sql, "INSERT INTO ");
    store_postgresql_append_name(sql, table->mapping);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(sql, i == 0 ? "(" : ", ");
        store_postgresql_append_column(sql, table->mapping, order[i]);
    }
    buffer_append_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        append_element(sql, table, order[i]);
    }
    buffer_append_text(sql, " FROM ");
    append_run(sql, table, order, count);
    buffer_append_text(sql, " ON CONFLICT(");
    for (size_t i = 0; i < schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        store_postgresql_append_column(sql, table->mapping, schema->key_columns[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (schema->columns[order[i]].is_key)
            continue;
        buffer_append_text(sql, start);
        store_postgresql_append_column(sql, table->mapping, order[i]);
        buffer_append_text(sql, " = excluded.");
        store_postgresql_append_column(sql, table->mapping, order[i]);
        start = ", ";
    }
    if (start[0] == ')')
        buffer_append_text(sql, ") DO NOTHING");
}

static void append_where(struct buffer *sql, const struct mapped_table *table)
{
    const struct entity_schema *schema = table->mapping->schema;
    for (size_t i = 0; i < schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? " WHERE kept." : " AND kept.");
        store_postgresql_append_column(sql, table->mapping, schema->key_columns[i]);
        buffer_append_text(sql, " = ");
        append_element(sql, table, schema->key_columns[i]);
    }
}

static void append_update(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    const struct entity_schema *schema = table->mapping->schema;
    const char *start = " AS kept SET ";
    buffer_append_text(sql, "UPDATE ");
    store_postgresql_append_name(sql, table->mapping);
    for (size_t i = 0; i < count; i++) {
        if (schema->columns[order[i]].is_key)
            continue;
        buffer_append_text(sql, start);
        store_postgresql_append_column(sql, table->mapping, order[i]);
        buffer_append_text(sql, " = ");
        append_element(sql, table, order[i]);
        start = ", ";
    }
    buffer_append_text(sql, " FROM ");
    append_run(sql, table, order, count);
    append_where(sql, table);
}

/* Nothing but the key: does the row exist? */
static void append_search(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    buffer_append_text(sql, "SELECT 1 FROM ");
    store_postgresql_append_name(sql, table->mapping);
    buffer_append_text(sql, " AS kept, ");
    append_run(sql, table, order, count);
    append_where(sql, table);
}

static void append_delete(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    buffer_append_text(sql, "DELETE FROM ");
    store_postgresql_append_name(sql, table->mapping);
    buffer_append_text(sql, " AS kept USING ");
    append_run(sql, table, order, count);
    append_where(sql, table);
}

enum status store_postgresql_row_prepare(struct store_postgresql *self,
                                         const struct mapped_table *table,
                                         struct row_statement *statement, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    size_t order[ENTITY_COLUMNS_MAX];
    size_t count = store_postgresql_columns(schema, statement->form, statement->present, order);
    char name[ROW_STATEMENT_NAME_SIZE];
    struct buffer sql;
    enum status status = STATUS_OK;

    if (statement->name[0] != '\0') { /* another shape takes its place */
        char command[2 * ROW_STATEMENT_NAME_SIZE];
        (void)snprintf(command, sizeof command, "DEALLOCATE %s", statement->name);
        status = store_postgresql_send_sql(self, command, err);
        if (status == STATUS_OK)
            status = store_postgresql_sync(self, NULL, err);
        statement->name[0] = '\0';
    }
    buffer_init(&sql, SQL_SIZE_MAX);
    if (statement->form == ROW_UPSERT)
        append_upsert(&sql, table, order, count);
    else if (statement->form == ROW_DELETE)
        append_delete(&sql, table, order, count);
    else if (count > schema->key_count)
        append_update(&sql, table, order, count);
    else
        append_search(&sql, table, order, count);
    (void)snprintf(name, sizeof name, "row_%u", ++self->row_statements);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    if (status == STATUS_OK)
        status = store_postgresql_prepare_sql(self, name, buffer_text(&sql), err);
    if (status == STATUS_OK)
        memcpy(statement->name, name, sizeof name);
    buffer_done(&sql);
    return status;
}
