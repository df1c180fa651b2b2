/* PostgreSQL's dialect: column types, what they keep exactly, and row statements. A statement takes
 * the rows of a run as arrays, one a column. */
#include "consumer/store/postgresql/internal.h"

#include "common/postgresql_name.h"
#include "consumer_postgresql_sql.h"

#include <stdio.h>
#include <stdlib.h>

/* SQLSTATE 42501 as a native code: its characters in base 36. */
#define PERMISSION_DENIED ((((4 * 36 + 2) * 36 + 5) * 36 + 0) * 36 + 1)
#define VARCHAR_HEAD      4 /* of a modifier, before the length or the digits */
#define DIGITS_BEFORE_MAX 131072
#define DIGITS_BEHIND_MAX 16383

/* New columns get the first form of their type. */
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

const struct column_form *store_postgresql_form(const struct mapped_table *table, size_t index)
{
    return &column_forms[table->limits[index].form];
}

bool column_form_rewrites(const struct column_form *form)
{
    return strcmp(form->typname, "jsonb") == 0;
}

/* @return the index of the form of a type in a column that the database calls `typname` (NULL: in
 * a new column); the number of forms where there is none. */
static size_t form_find(enum column_type type, const char *typname)
{
    size_t count = sizeof column_forms / sizeof column_forms[0];
    size_t i = 0;
    while (i < count && (column_forms[i].type != type ||
                         (typname != NULL && strcmp(column_forms[i].typname, typname) != 0)))
        i++;
    return i;
}

static void append_table(struct buffer *sql, const struct mapping *mapping)
{
    if (mapping->entry->table != NULL)
        postgresql_name_append_table(sql, mapping->entry->table);
    else
        postgresql_name_append(sql, slice_of(mapping_table(mapping)));
}

/* Text keys compare bytewise, so that an upgrade of a locale library cannot break their index. */
static void append_type(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    const struct column *column = &mapping->schema->columns[index];
    buffer_append_text(sql, column_forms[form_find(column->type, NULL)].declared);
    if (column->type == COLUMN_DECIMAL && column->precision > 0)
        buffer_append_format(sql, "(%u, %u)", column->precision, column->scale);
    if (column->is_key && column->type == COLUMN_TEXT)
        buffer_append_text(sql, " COLLATE \"C\"");
    if (column->is_key)
        buffer_append_text(sql, " NOT NULL");
}

/* "run.c3::numeric": an array's element as the column's type. If the type would rewrite a text, a
 * cast that must fail raises REWRITTEN_MARK. That cast reads the element; otherwise the planner
 * would evaluate it at once. */
static void append_value(struct buffer *sql, const struct mapped_table *table, size_t index)
{
    const struct column_form *form = store_postgresql_form(table, index);
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
static void append_rows(struct buffer *sql, const struct mapped_table *table,
                        const struct row_statement *row)
{
    buffer_append_text(sql, "unnest(");
    for (size_t i = 0; i < row->count; i++)
        buffer_append_format(sql, "%s$%zu::%s[]", i == 0 ? "" : ", ", i + 1,
                             wire_name(store_postgresql_form(table, row->columns[i])->wire));
    buffer_append_text(sql, ") AS run(");
    for (size_t i = 0; i < row->count; i++)
        buffer_append_format(sql, "%sc%u", i == 0 ? "" : ", ", row->columns[i]);
    buffer_append_text(sql, ")");
}

/* numeric(p,s): both packed into the modifier, the scale with eleven bits and a sign. */
static bool numeric_fits(const struct column *column, int64_t modifier)
{
    if (modifier < 0)
        return true;
    int64_t precision = ((modifier - VARCHAR_HEAD) >> 16) & 0xffff;
    int64_t scale = (((modifier - VARCHAR_HEAD) & 0x7ff) ^ 1024) - 1024;
    return column->precision > 0 && scale >= (int64_t)column->scale &&
           precision - scale >= (int64_t)column->precision - (int64_t)column->scale;
}

static bool column_fits(const struct column *column, const struct column_form *form,
                        int64_t modifier)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
        if (form->wire == WIRE_INT8)
            return column->precision > 0 && column->scale == 0;
        return numeric_fits(column, modifier);
    case COLUMN_DATE_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_TIME:
        return modifier < 0 || modifier == 6; /* fewer digits of a second are rounded */
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_TEXT:
    case COLUMN_BYTES:
    case COLUMN_BOOLEAN:
    case COLUMN_DATE:
    case COLUMN_UUID:
    case COLUMN_JSON:
        break;
    }
    return true;
}

static void set_limits(struct column_limits *limits, const struct column_form *form,
                       int64_t modifier)
{
    limits->is_integer = form->wire == WIRE_INT8;
    limits->min = form->smallest;
    limits->max = (uint64_t)form->largest;
    limits->is_float = strcmp(form->typname, "float4") == 0;
    if (strcmp(form->typname, "numeric") == 0) {
        limits->digits_before = DIGITS_BEFORE_MAX;
        limits->digits_behind = DIGITS_BEHIND_MAX;
    }
    if (strcmp(form->typname, "varchar") == 0 && modifier > VARCHAR_HEAD)
        limits->length_max = (uint64_t)(modifier - VARCHAR_HEAD);
}

enum { COLUMN_TYPNAME = 4, COLUMN_MODIFIER, COLUMN_DETERMINISTIC };

static enum status check_column(struct mapped_table *table, size_t index,
                                const struct store_row *row, struct catalogue_column *ret_found,
                                struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    int64_t modifier = row->integer(row, COLUMN_MODIFIER);
    char typname[STORE_NAME_SIZE];
    (void)err;
    row->copy(row, COLUMN_TYPNAME, typname, sizeof typname);
    size_t form = form_find(column->type, typname);
    ret_found->better = column_forms[form_find(column->type, NULL)].declared;
    ret_found->bytewise = "\"C\"";
    if (row->integer(row, COLUMN_DETERMINISTIC) == 0)
        (void)snprintf(ret_found->collation, sizeof ret_found->collation,
                       "a nondeterministic collation");
    if (form == sizeof column_forms / sizeof column_forms[0])
        return STATUS_OK;
    ret_found->fits = column_fits(column, &column_forms[form], modifier);
    table->limits[index] = (struct column_limits){.form = (unsigned int)form};
    set_limits(&table->limits[index], &column_forms[form], modifier);
    return STATUS_OK;
}

void store_postgresql_row_name(const struct row_statement *row, char *ret_name, size_t size)
{
    (void)snprintf(ret_name, size, "row_%u", row->number);
}

static enum status row_prepare(const struct mapped_table *table, struct row_statement *row,
                               const char *sql, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(table->store);
    char name[POSTGRESQL_ROW_NAME_SIZE];
    char command[2 * sizeof name];
    enum status status = STATUS_OK;
    store_postgresql_row_name(row, name, sizeof name);
    (void)snprintf(command, sizeof command, "DEALLOCATE %s", name);
    if (row->is_prepared) {
        row->is_prepared = false;
        status = store_postgresql_send_sql(self, command, err);
    }
    row->number = ++self->row_statements;
    store_postgresql_row_name(row, name, sizeof name);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    return status == STATUS_OK ? store_postgresql_prepare_sql(self, name, sql, err) : status;
}

/* The other grants are for the schema of the search path. */
static void append_grants(struct buffer *out, const struct mapping *mapping)
{
    const char *table = mapping->entry->table;
    const char *dot = table == NULL ? NULL : strchr(table, '.');
    if (dot == NULL)
        return;
    buffer_append_text(out, "GRANT USAGE ON SCHEMA ");
    postgresql_name_append(out, (struct slice){table, (size_t)(dot - table)});
    buffer_append_text(out, " TO keepstep_agent;\n");
}

static enum status silence(const struct mapped_table *table, bool silent, struct error *err)
{
    return store_sql_send(store_sql_of(table->store),
                          SQL_CALL(APPLYING_SET, parameter_text(silent ? table->name : "")), err);
}

const struct sql_dialect store_postgresql_dialect = {
    SQL_DIALECT_TEXTS,
    .row_upsert_key = SQL_ROW_UPSERT_KEY,
    .table_keep = SQL_TABLE_KEEP,
    .table_version = SQL_TABLE_VERSION,
    .table_blocks = SQL_TABLE_BLOCKS,
    .row_lock = SQL_ROW_LOCK,
    .row_patience = SQL_ROW_PATIENCE,
    .columns = &column_postgresql_dialect,
    .quote = '"',
    .reserved = "pg_",
    .denied = PERMISSION_DENIED,
    .order_id = STATEMENT_CATALOGUE_ORDER,
    .grants = SQL_GRANTS,
    .lock = SQL_CATALOGUE_LOCK,
    .append_table = append_table,
    .append_type = append_type,
    .append_value = append_value,
    .append_rows = append_rows,
    .append_grants = append_grants,
    .check_column = check_column,
    .row_prepare = row_prepare,
    .judge = store_postgresql_judge,
    .silence = silence,
    .write = store_postgresql_write,
};
