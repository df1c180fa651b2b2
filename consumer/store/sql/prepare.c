/* Makes the tables of local copies, widens them, and refuses what would not keep a copy exactly. */
#include "consumer/store/sql/prepare.h"

#include <strings.h>

static bool name_is_reserved(const struct sql_dialect *dialect, const char *name)
{
    static const char own[] = "keepstep_";
    const char *dot = strchr(name, '.');
    if (dialect->append_table != NULL && dot != NULL && name_is_reserved(dialect, dot + 1))
        return true; /* the name of a schema stands before the dot */
    return strncasecmp(name, own, sizeof own - 1) == 0 || strcasecmp(name, "outbox") == 0 ||
           (dialect->reserved != NULL &&
            strncasecmp(name, dialect->reserved, strlen(dialect->reserved)) == 0);
}

/* Waiting neither gives a role the right to make tables nor makes a refused table acceptable. */
static enum status execute_ddl(const struct mapped_table *table, const struct buffer *sql,
                               struct error *err)
{
    const struct sql_dialect *dialect = table->dialect;
    struct error ddl = ERROR_INIT;
    if (sql->failed)
        return error_set(err, STATUS_RETRY, "out of memory");
    struct store_sql *self = store_sql_of(table->store);
    enum status status = self->session->execute(self, buffer_text(sql), &ddl);
    if (status == STATUS_OK)
        status = store_sql_wait(self, &ddl);
    if (status == STATUS_OK)
        return status;
    bool denied = ddl.native_code == dialect->denied;
    bool refused = status == STATUS_FATAL || (status == STATUS_REJECT && ddl.reject == REJECT_HELD);
    if (dialect->denied != 0 && (denied || refused))
        return error_set_native(
            error_config(err), STATUS_FATAL, ddl.native_code, "%s%.430s",
            denied ? "let `keepstep init` do this, with a login that may: " : "", ddl.text);
    if (err != NULL)
        *err = ddl;
    return status;
}

static enum status check_new(const struct sql_dialect *dialect, const struct column *column,
                             struct error *err)
{
    return dialect->check_new == NULL ? STATUS_OK : dialect->check_new(column, err);
}

/* Append a CREATE TABLE. */
static enum status append_create(struct buffer *sql, const struct sql_text *text, struct error *err)
{
    const struct entity_schema *schema = text->mapping->schema;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < schema->column_count; i++)
        status = check_new(text->dialect, &schema->columns[i], err);
    sql_text_append(sql, text, text->dialect->table_create);
    return status;
}

static enum status table_create(const struct mapped_table *table, struct error *err)
{
    struct sql_text text = {.dialect = table->dialect, .mapping = table->mapping};
    struct buffer sql;
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    enum status status = append_create(&sql, &text, err);
    if (status == STATUS_OK)
        status = execute_ddl(table, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status table_widen(const struct mapped_table *table, size_t index, struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    struct sql_text text = {.dialect = table->dialect, .mapping = table->mapping, .added = index};
    struct buffer sql;
    if (column->is_key)
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has no column \"%s\" for the key: add it, or map the "
                         "entity type to another table",
                         table->name, mapping_column(table->mapping, index));
    buffer_init(&sql, SQL_TEXT_SIZE_MAX);
    enum status status = check_new(text.dialect, column, err);
    sql_text_append(&sql, &text, text.dialect->table_widen);
    if (status == STATUS_OK)
        status = execute_ddl(table, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status refuse_column(const struct mapped_table *table, size_t index,
                                 const struct catalogue_column *found, const char *declared,
                                 struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    const char *name = mapping_column(table->mapping, index);
    if (!found->fits)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is declared %.100s, which does not keep "
                         "a %s exactly: declare it %s",
                         name, table->name, declared[0] == '\0' ? "without a type" : declared,
                         column_type_name(column->type), found->better);
    if (column->is_key && found->collation[0] != '\0')
        return error_set(err, STATUS_FATAL,
                         "key column \"%s\" of table \"%s\" compares by %s: declare it COLLATE "
                         "%s, or different keys become one row",
                         name, table->name, found->collation, found->bytewise);
    return STATUS_OK;
}

/* What the catalogue says of the table. The first columns of its rows are the same in all
 * databases. */
struct catalogue_read {
    struct mapped_table *table;
    bool exists;
    bool has_key;
    bool missing[ENTITY_COLUMNS_MAX];
};

enum { COLUMN_NAME, COLUMN_NEEDED, COLUMN_GENERATED, COLUMN_DECLARED };

static enum status column_check(struct mapped_table *table, size_t index,
                                const struct store_row *row, struct error *err)
{
    struct catalogue_column found = {0};
    char declared[STORE_NAME_SIZE];
    if (row->integer(row, COLUMN_GENERATED) != 0)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is generated: map \"%s\" to another one",
                         mapping_column(table->mapping, index), table->name,
                         table->mapping->schema->columns[index].name);
    row->copy(row, COLUMN_DECLARED, declared, sizeof declared);
    enum status status = table->dialect->check_column(table, index, row, &found, err);
    return status == STATUS_OK ? refuse_column(table, index, &found, declared, err) : status;
}

/* @return whether the row of the catalogue is of the column that a schema's column is kept in. */
static bool column_is(const struct mapped_table *table, size_t index, const struct store_row *row)
{
    const char *column = mapping_column(table->mapping, index);
    char name[STORE_NAME_SIZE];
    row->copy(row, COLUMN_NAME, name, sizeof name);
    return (table->dialect->ignores_case ? strcasecmp(column, name) : strcmp(column, name)) == 0;
}

static enum status column_read(void *context, struct store_row *row, struct error *err)
{
    struct catalogue_read *read = context;
    const struct mapped_table *table = read->table;
    bool is_mapped = false;
    enum status status = STATUS_OK;
    char name[STORE_NAME_SIZE];
    row->copy(row, COLUMN_NAME, name, sizeof name);
    for (size_t i = 0; status == STATUS_OK && i < table->mapping->schema->column_count; i++) {
        if (!column_is(table, i, row))
            continue;
        is_mapped = true;
        read->missing[i] = false;
        status = column_check(read->table, i, row, err);
    }
    if (status == STATUS_OK && !is_mapped && row->integer(row, COLUMN_NEEDED) != 0)
        status = error_set(err, STATUS_FATAL,
                           "column \"%s\" of table \"%s\" must not be NULL and is not in the "
                           "schema of \"%s\": give it a default, or drop NOT NULL",
                           name, table->name, table->mapping->schema->entity_type);
    return status;
}

#define TABLE_IS_LATER 2

/* Read whether it is a table; its engine is named only if that has no transactions. */
static enum status table_read(void *context, struct store_row *row, struct error *err)
{
    struct catalogue_read *read = context;
    const struct mapped_table *table = read->table;
    char engine[STORE_NAME_SIZE];
    read->exists = true;
    if (row->integer(row, 0) == TABLE_IS_LATER) {
        enum status status = error_set(
            err, STATUS_RETRY, "table \"%s\" was made after the snapshot began", table->name);
        error_mark_outdated(err);
        return status;
    }
    if (row->integer(row, 0) == 0)
        return error_set(err, STATUS_FATAL,
                         "\"%s\" is no table of its own, as it is a view or a foreign table: map "
                         "\"%s\" to a table",
                         table->name, table->mapping->schema->entity_type);
    row->copy(row, 1, engine, sizeof engine);
    if (engine[0] != '\0')
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has the engine %s, which has no transactions: ALTER TABLE "
                         "it to ENGINE = InnoDB",
                         table->name, engine);
    return STATUS_OK;
}

/* Read how many unique indexes are exactly the key, and how many are not. */
static enum status key_read(void *context, struct store_row *row, struct error *err)
{
    struct catalogue_read *read = context;
    (void)err;
    read->has_key = row->integer(row, 0) != 0;
    read->table->has_other_keys = row->integer(row, 1) != 0;
    return STATUS_OK;
}

static enum status columns_check(struct catalogue_read *read, struct parameter name,
                                 struct error *err)
{
    memset(read->missing, true, sizeof read->missing);
    return store_sql_query(store_sql_of(read->table->store), SQL_CALL(TABLE_COLUMNS, name),
                           column_read, read, err);
}

/* Columns that the mapping does not have do not matter to who only reads. */
static enum status mapped_column_read(void *context, struct store_row *row, struct error *err)
{
    struct catalogue_read *read = context;
    struct mapped_table *table = read->table;
    const struct entity_schema *schema = table->mapping->schema;
    char declared[STORE_NAME_SIZE];
    row->copy(row, COLUMN_DECLARED, declared, sizeof declared);
    for (size_t i = 0; i < schema->column_count; i++) {
        struct catalogue_column found = {0};
        if (!column_is(table, i, row))
            continue;
        read->missing[i] = false;
        enum status status = table->dialect->check_column(table, i, row, &found, err);
        found.collation[0] = '\0';
        return status == STATUS_OK ? refuse_column(table, i, &found, declared, err) : status;
    }
    return STATUS_OK;
}

static enum status missing_check(const struct catalogue_read *read, struct error *err)
{
    const struct mapped_table *table = read->table;
    if (!read->exists)
        return error_set(err, STATUS_FATAL, "there is no table \"%s\"", table->name);
    for (size_t i = 0; i < table->mapping->schema->column_count; i++) {
        if (read->missing[i])
            return error_set(err, STATUS_FATAL, "table \"%s\" has no column \"%s\"", table->name,
                             mapping_column(table->mapping, i));
    }
    return STATUS_OK;
}

enum status sql_table_check_columns(struct mapped_table *table, struct error *err)
{
    struct store_sql *self = store_sql_of(table->store);
    struct catalogue_read read = {.table = table};
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, table->dialect, table->mapping);
    struct parameter parameter = parameter_slice(buffer_slice(&name));
    memset(read.missing, true, sizeof read.missing);
    enum status status = store_sql_ask(self, SQL_CALL(TABLE_READ, parameter), table_read, &read,
                                       err);
    if (status == STATUS_OK)
        status = store_sql_query(self, SQL_CALL(TABLE_COLUMNS, parameter), mapped_column_read,
                                 &read, err);
    if (status == STATUS_OK)
        status = missing_check(&read, err);
    if (status == STATUS_FATAL && err != NULL)
        error_mark_config(err);
    buffer_done(&name);
    return status;
}

static enum status key_check(struct catalogue_read *read, struct parameter name, struct error *err)
{
    const struct mapping *mapping = read->table->mapping;
    int64_t key_count = (int64_t)mapping->schema->key_count;
    struct buffer key;
    buffer_init(&key, SQL_TEXT_SIZE_MAX);
    sql_key_append(&key, mapping);
    enum status status = store_sql_query(store_sql_of(read->table->store),
                                         SQL_CALL(TABLE_KEY, parameter_integer(key_count),
                                                  parameter_slice(buffer_slice(&key)), name),
                                         key_read, read, err);
    if (status == STATUS_OK && !read->has_key)
        status = error_set(err, STATUS_FATAL,
                           "the key %s is neither the primary key of table \"%s\" nor a unique "
                           "index of whole columns that compare bytewise and are NOT NULL: create "
                           "one on exactly these columns",
                           buffer_text(&key), read->table->name);
    buffer_done(&key);
    return status;
}

enum status sql_table_check_key(struct mapped_table *table, struct error *err)
{
    struct catalogue_read read = {.table = table};
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, table->dialect, table->mapping);
    enum status status = key_check(&read, parameter_slice(buffer_slice(&name)), err);
    buffer_done(&name);
    return status;
}

/* The columns are read after the table was made or widened too: the limits come from there. */
static enum status table_ensure(struct catalogue_read *read, struct parameter name,
                                struct error *err)
{
    struct mapped_table *table = read->table;
    bool widened = false;
    enum status status = store_sql_query(store_sql_of(table->store), SQL_CALL(TABLE_READ, name),
                                         table_read, read, err);
    if (status == STATUS_OK && !read->exists)
        status = table_create(table, err);
    if (status == STATUS_OK)
        status = columns_check(read, name, err);
    for (size_t i = 0; status == STATUS_OK && i < table->mapping->schema->column_count; i++) {
        if (!read->missing[i])
            continue;
        status = table_widen(table, i, err);
        widened = true;
    }
    if (status == STATUS_OK && widened)
        status = columns_check(read, name, err);
    if (status == STATUS_OK)
        status = key_check(read, name, err);
    return status == STATUS_OK && table->dialect->check_more != NULL
               ? table->dialect->check_more(table, err)
               : status;
}

static enum status table_transaction(struct mapped_table *table, struct error *err)
{
    struct store_sql *self = store_sql_of(table->store);
    struct catalogue_read read = {.table = table};
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&name, table->dialect, table->mapping);
    enum status status = store_sql_transaction(self, SQL_WRITE, err);
    if (status == STATUS_OK && table->dialect->lock != NULL)
        status = self->session->execute(self, table->dialect->lock, err);
    if (status == STATUS_OK)
        status = table_ensure(&read, parameter_slice(buffer_slice(&name)), err);
    if (status == STATUS_OK)
        status = store_sql_finish(self, err);
    buffer_done(&name);
    return status;
}

enum status store_sql_prepare(struct store *store, const struct mapping *mapping, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    struct mapped_table *table = sql_table_new(store, self->tables.dialect, mapping);
    struct row_statement *row = NULL;
    enum status status = STATUS_OK;
    if (table == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    if (name_is_reserved(table->dialect, table->name))
        status = error_set(err, STATUS_FATAL, "table name \"%s\" is reserved: take another one",
                           table->name);
    size_t key_max = table->dialect->key_columns_max;
    if (status == STATUS_OK && key_max > 0 && mapping->schema->key_count > key_max)
        status = error_set(err, STATUS_FATAL, "the key of \"%s\" has more than %zu columns",
                           mapping->schema->entity_type, key_max);
    if (status == STATUS_OK)
        status = table_transaction(table, err);
    if (status == STATUS_OK)
        status = sql_row_prepare(table, ROW_UPSERT, NULL, &row, err);
    if (status == STATUS_OK)
        status = sql_row_prepare(table, ROW_DELETE, NULL, &row, err);
    if (status == STATUS_OK)
        return sql_tables_take(&self->tables, table, err);
    store_sql_rollback(store);
    sql_table_free(table);
    return status;
}

enum status sql_copy_sql(const struct sql_dialect *dialect, const struct copies *copies,
                         struct buffer *out, struct error *err)
{
    enum status status = STATUS_OK;
    if (dialect->grants != NULL)
        buffer_append_text(out, dialect->grants);
    for (size_t i = 0; status == STATUS_OK && i < copies->count; i++) {
        struct sql_text text = {.dialect = dialect, .mapping = &copies->mappings[i]};
        if (!copies->roles_alone) {
            status = append_create(out, &text, err);
            buffer_append_text(out, ";\n");
        }
        if (dialect->grants == NULL)
            continue;
        buffer_append_text(out, "GRANT SELECT, INSERT, UPDATE, DELETE ON ");
        sql_table_name_append(out, dialect, text.mapping);
        buffer_append_text(out, " TO keepstep_agent;\n");
        if (dialect->append_grants != NULL)
            dialect->append_grants(out, text.mapping);
    }
    return status;
}
