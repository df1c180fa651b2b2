/* The SQLite store's tables: create, widen, and check against the catalogue what would not be kept
 * exactly. */
#include "consumer/store/sqlite/internal.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define SQL_SIZE_MAX ((size_t)1024 * 1024)

enum affinity { AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_NONE, AFFINITY_REAL, AFFINITY_NUMERIC };

static const char *const column_declarations[] = {
    [COLUMN_INTEGER] = "INTEGER", [COLUMN_DECIMAL] = "TEXT",   [COLUMN_DOUBLE] = "REAL",
    [COLUMN_TEXT] = "TEXT",       [COLUMN_BYTES] = "BLOB",     [COLUMN_BOOLEAN] = "INTEGER",
    [COLUMN_DATE_TIME] = "TEXT",  [COLUMN_JSON] = "TEXT",      [COLUMN_DATE] = "TEXT",
    [COLUMN_TIME] = "TEXT",       [COLUMN_TIMESTAMP] = "TEXT", [COLUMN_UUID] = "TEXT",
};

#define BIT(affinity) (1u << (affinity))

/* Affinities that keep a column type's values as they are. */
static const unsigned int column_affinities[] = {
    [COLUMN_INTEGER] = BIT(AFFINITY_INTEGER) | BIT(AFFINITY_NUMERIC) | BIT(AFFINITY_NONE),
    [COLUMN_DECIMAL] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_DOUBLE] = BIT(AFFINITY_REAL) | BIT(AFFINITY_NONE),
    [COLUMN_TEXT] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_BYTES] = BIT(AFFINITY_INTEGER) | BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE) |
                     BIT(AFFINITY_REAL) | BIT(AFFINITY_NUMERIC),
    [COLUMN_BOOLEAN] = BIT(AFFINITY_INTEGER) | BIT(AFFINITY_NUMERIC) | BIT(AFFINITY_NONE),
    [COLUMN_DATE_TIME] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_JSON] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_DATE] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_TIME] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_TIMESTAMP] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
    [COLUMN_UUID] = BIT(AFFINITY_TEXT) | BIT(AFFINITY_NONE),
};

static void append_name(struct buffer *sql, const char *name)
{
    buffer_append(sql, "\"", 1);
    for (; *name != '\0'; name++)
        buffer_append(sql, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    buffer_append(sql, "\"", 1);
}

static const char *column_name(const struct mapping *mapping, size_t index)
{
    return config_column(mapping->entry, mapping->schema->columns[index].name);
}

static void append_column(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    append_name(sql, column_name(mapping, index));
}

static void append_definition(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    const struct column *column = &mapping->schema->columns[index];
    append_column(sql, mapping, index);
    buffer_append_format(sql, " %s", column_declarations[column->type]);
    if (column->is_key)
        buffer_append_text(sql, " NOT NULL");
    if (column->type == COLUMN_BOOLEAN) {
        buffer_append_text(sql, " CHECK (");
        append_column(sql, mapping, index);
        buffer_append_text(sql, " IN (0, 1))");
    }
}

static void append_key(struct buffer *sql, const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        append_column(sql, mapping, mapping->schema->key_columns[i]);
    }
}

static enum status execute_buffer(struct store_sqlite *self, const struct buffer *sql,
                                  struct error *err)
{
    if (sql->failed)
        return error_set(err, STATUS_RETRY, "out of memory");
    return store_sqlite_execute(self, buffer_text(sql), err);
}

void store_sqlite_append_table(struct buffer *sql, const struct mapping *mapping,
                               const char *create)
{
    buffer_append_text(sql, create);
    append_name(sql, mapping_table(mapping));
    buffer_append_text(sql, "(");
    for (size_t i = 0; i < mapping->schema->column_count; i++) {
        append_definition(sql, mapping, i);
        buffer_append_text(sql, ", ");
    }
    buffer_append_text(sql, "PRIMARY KEY (");
    append_key(sql, mapping);
    buffer_append_text(sql, "))");
}

static enum status table_create(struct store_sqlite *self, const struct mapped_table *table,
                                struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    store_sqlite_append_table(&sql, table->mapping, "CREATE TABLE ");
    enum status status = execute_buffer(self, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status table_widen(struct store_sqlite *self, const struct mapped_table *table,
                               size_t index, struct error *err)
{
    if (table->mapping->schema->columns[index].is_key)
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has no column \"%s\" for the key: add it, or map the "
                         "entity type to another table",
                         table->name, column_name(table->mapping, index));
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, "ALTER TABLE ");
    append_name(&sql, table->name);
    buffer_append_text(&sql, " ADD COLUMN ");
    append_definition(&sql, table->mapping, index);
    enum status status = execute_buffer(self, &sql, err);
    buffer_done(&sql);
    return status;
}

/* SQLite's own rules: the first part that is found in the declared type decides. */
static enum affinity affinity_of(const char *declared, bool strict)
{
    static const struct {
        const char *part;
        enum affinity affinity;
    } rules[] = {{"INT", AFFINITY_INTEGER}, {"CHAR", AFFINITY_TEXT}, {"CLOB", AFFINITY_TEXT},
                 {"TEXT", AFFINITY_TEXT},   {"BLOB", AFFINITY_NONE}, {"REAL", AFFINITY_REAL},
                 {"FLOA", AFFINITY_REAL},   {"DOUB", AFFINITY_REAL}};
    if (declared[0] == '\0' || (strict && strcasecmp(declared, "ANY") == 0))
        return AFFINITY_NONE;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcasestr(declared, rules[i].part) != NULL)
            return rules[i].affinity;
    }
    return AFFINITY_NUMERIC;
}

static bool column_fits(enum column_type type, const char *declared, bool strict)
{
    if (strict && strcasecmp(declared, "ANY") != 0)
        return strcasecmp(strcasecmp(declared, "INT") == 0 ? "INTEGER" : declared,
                          column_declarations[type]) == 0;
    return (column_affinities[type] & BIT(affinity_of(declared, strict))) != 0;
}

static enum status column_check(struct store_sqlite *self, const struct mapped_table *table,
                                size_t index, bool strict, struct error *err)
{
    const struct column *column = &table->mapping->schema->columns[index];
    const char *name = column_name(table->mapping, index);
    char declared[STORE_NAME_SIZE];
    sqlite3_stmt *statement = NULL;
    const char *collation = NULL;
    bool row = false;
    enum status status = store_sqlite_start(
        self, STATEMENT_CATALOGUE_COLUMN,
        PARAMETERS(parameter_text(table->name), parameter_text(name)), &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    bool generated = row && sqlite3_column_int(statement, 1) != 0;
    if (row)
        store_sqlite_copy(statement, 0, declared, sizeof declared);
    (void)sqlite3_reset(statement);
    if (!row)
        return table_widen(self, table, index, err);
    if (generated)
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is generated: map \"%s\" to another one",
                         name, table->name, column->name);
    if (!column_fits(column->type, declared, strict))
        return error_set(err, STATUS_FATAL,
                         "column \"%s\" of table \"%s\" is declared %s, which does not keep a %s "
                         "exactly: declare it %s",
                         name, table->name, declared[0] == '\0' ? "without a type" : declared,
                         column_type_name(column->type), column_declarations[column->type]);
    int code = sqlite3_table_column_metadata(self->database, NULL, table->name, name, NULL,
                                             &collation, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return store_sqlite_fail(self, code, "read the catalogue", err);
    if (column->is_key && strcasecmp(collation, "BINARY") != 0)
        return error_set(err, STATUS_FATAL,
                         "key column \"%s\" of table \"%s\" compares by %s: declare it COLLATE "
                         "BINARY, or different keys become one row",
                         name, table->name, collation);
    return STATUS_OK;
}

static void append_columns_json(struct buffer *names, const struct mapping *mapping)
{
    buffer_append_text(names, "[");
    for (size_t i = 0; i < mapping->schema->column_count; i++) {
        buffer_append_text(names, i == 0 ? "" : ",");
        buffer_append_json(names, slice_of(column_name(mapping, i)));
    }
    buffer_append_text(names, "]");
}

static enum status key_check(struct store_sqlite *self, const struct mapped_table *table,
                             struct error *err)
{
    const struct mapping *mapping = table->mapping;
    struct buffer names;
    sqlite3_stmt *statement = NULL;
    int64_t is_key = 0;
    bool row = false;
    char needed[STORE_NAME_SIZE] = "";

    buffer_init(&names, SQL_SIZE_MAX);
    store_append_keys(&names, mapping);
    enum status status = store_sqlite_number(
        self, STATEMENT_CATALOGUE_KEY,
        PARAMETERS(parameter_text(table->name), parameter_slice(buffer_slice(&names)),
                   parameter_integer((int64_t)mapping->schema->key_count)),
        0, &is_key, err);
    if (status == STATUS_OK && is_key == 0)
        status = error_set(err, STATUS_FATAL,
                           "the key %s is neither the primary key of table \"%s\" nor a unique "
                           "index with BINARY collation: create one on exactly these columns",
                           buffer_text(&names), table->name);
    if (status != STATUS_OK)
        goto out;
    buffer_reset(&names);
    append_columns_json(&names, mapping);
    status = store_sqlite_start(
        self, STATEMENT_CATALOGUE_NEEDED,
        PARAMETERS(parameter_text(table->name), parameter_slice(buffer_slice(&names))), &statement,
        &row, err);
    if (status == STATUS_OK && row) {
        store_sqlite_copy(statement, 0, needed, sizeof needed);
        status = error_set(err, STATUS_FATAL,
                           "column \"%s\" of table \"%s\" must not be NULL and is not in the "
                           "schema of \"%s\": give it a default, or drop NOT NULL",
                           needed, table->name, mapping->schema->entity_type);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
out:
    buffer_done(&names);
    return status;
}

static enum status table_ensure(struct store_sqlite *self, const struct mapped_table *table,
                                struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int64_t strict = 0;
    struct parameter name = parameter_text(table->name);
    enum status status = store_sqlite_start(self, STATEMENT_CATALOGUE_TABLE, PARAMETERS(name),
                                            &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    bool view = row && slice_is(sqlite_session_text(statement, 0), "view");
    (void)sqlite3_reset(statement);
    if (view)
        return error_set(err, STATUS_FATAL, "\"%s\" is a view: map \"%s\" to a table", table->name,
                         table->mapping->schema->entity_type);
    if (!row)
        return table_create(self, table, err);
    status = store_sqlite_number(self, STATEMENT_CATALOGUE_STRICT, PARAMETERS(name), 0, &strict,
                                 err);
    for (size_t i = 0; status == STATUS_OK && i < table->mapping->schema->column_count; i++)
        status = column_check(self, table, i, strict != 0, err);
    return status == STATUS_OK ? key_check(self, table, err) : status;
}

/** Set the columns that a statement binds, in order. */
static void statement_order(const struct entity_schema *schema, struct row_statement *statement)
{
    size_t count = 0;
    for (size_t i = 0; statement->form != ROW_DELETE && i < schema->column_count; i++) {
        if (statement->present[i] && (statement->form == ROW_UPSERT || !schema->columns[i].is_key))
            statement->order[count++] = i;
    }
    for (size_t i = 0; statement->form != ROW_UPSERT && i < schema->key_count; i++)
        statement->order[count++] = schema->key_columns[i];
    statement->count = count;
}

static void append_upsert(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    const struct entity_schema *schema = table->mapping->schema;
    buffer_append_text(sql, "INSERT INTO ");
    append_name(sql, table->name);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(sql, i == 0 ? "(" : ", ");
        append_column(sql, table->mapping, order[i]);
    }
    for (size_t i = 0; i < count; i++)
        buffer_append_text(sql, i == 0 ? ") VALUES (?" : ", ?");
    buffer_append_text(sql, ") ON CONFLICT(");
    append_key(sql, table->mapping);
    buffer_append_text(sql, ") DO ");
    const char *start = "UPDATE SET ";
    for (size_t i = 0; i < count; i++) {
        if (schema->columns[order[i]].is_key)
            continue;
        buffer_append_text(sql, start);
        append_column(sql, table->mapping, order[i]);
        buffer_append_text(sql, " = excluded.");
        append_column(sql, table->mapping, order[i]);
        start = ", ";
    }
    if (start[0] == 'U')
        buffer_append_text(sql, "NOTHING");
}

static void append_update(struct buffer *sql, const struct mapped_table *table, const size_t *order,
                          size_t count)
{
    const struct entity_schema *schema = table->mapping->schema;
    size_t set_count = count - schema->key_count;
    buffer_append_text(sql, "UPDATE ");
    append_name(sql, table->name);
    buffer_append_text(sql, " SET ");
    for (size_t i = 0; i < set_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        append_column(sql, table->mapping, order[i]);
        buffer_append_text(sql, " = ?");
    }
    if (set_count == 0) { /* nothing but the key: does the row exist? */
        append_column(sql, table->mapping, schema->key_columns[0]);
        buffer_append_text(sql, " = ");
        append_column(sql, table->mapping, schema->key_columns[0]);
    }
}

enum status store_sqlite_row_prepare(struct store_sqlite *self, const struct mapped_table *table,
                                     struct row_statement *statement, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct buffer sql;
    enum status status = STATUS_OK;

    statement_order(schema, statement);
    buffer_init(&sql, SQL_SIZE_MAX);
    if (statement->form == ROW_UPSERT)
        append_upsert(&sql, table, statement->order, statement->count);
    else if (statement->form == ROW_UPDATE)
        append_update(&sql, table, statement->order, statement->count);
    if (statement->form == ROW_DELETE) {
        buffer_append_text(&sql, "DELETE FROM ");
        append_name(&sql, table->name);
    }
    for (size_t i = 0; statement->form != ROW_UPSERT && i < schema->key_count; i++) {
        buffer_append_text(&sql, i == 0 ? " WHERE " : " AND ");
        append_column(&sql, table->mapping, schema->key_columns[i]);
        buffer_append_text(&sql, " = ?");
    }
    (void)sqlite3_finalize(statement->statement);
    statement->statement = NULL;
    int code = SQLITE_NOMEM;
    if (!sql.failed)
        code = sqlite3_prepare_v3(self->database, buffer_text(&sql), -1, SQLITE_PREPARE_PERSISTENT,
                                  &statement->statement, NULL);
    if (code != SQLITE_OK)
        status = store_sqlite_fail(self, code, buffer_text(&sql), err);
    buffer_done(&sql);
    return status;
}

void mapped_table_free(struct mapped_table *table)
{
    if (table == NULL)
        return;
    (void)sqlite3_finalize(table->full.statement);
    (void)sqlite3_finalize(table->removal.statement);
    (void)sqlite3_finalize(table->sparse.statement);
    free(table);
}

struct mapped_table *store_sqlite_table(struct store_sqlite *self, struct slice entity_type)
{
    for (size_t i = 0; i < self->table_count; i++) {
        if (slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            return self->tables[i];
    }
    return NULL;
}

/* Takes `table`, in the place of an earlier one for the same entity type. */
static enum status table_adopt(struct store_sqlite *self, struct mapped_table *table,
                               struct error *err)
{
    struct slice entity_type = slice_of(table->mapping->schema->entity_type);
    for (size_t i = 0; i < self->table_count; i++) {
        if (!slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            continue;
        mapped_table_free(self->tables[i]);
        self->tables[i] = table;
        return STATUS_OK;
    }
    void *grown = realloc(self->tables, (self->table_count + 1) * sizeof(struct mapped_table *));
    if (grown == NULL) {
        mapped_table_free(table);
        return error_set(err, STATUS_RETRY, "out of memory");
    }
    self->tables = grown;
    self->tables[self->table_count++] = table;
    return STATUS_OK;
}

static bool name_is_reserved(const char *name)
{
    return strncasecmp(name, "keepstep_", 9) == 0 || strncasecmp(name, "sqlite_", 7) == 0 ||
           strcasecmp(name, "outbox") == 0;
}

static enum status place_read(struct store_sqlite *self, struct place *place, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(self, STATEMENT_PLACE_READ,
                                            PARAMETERS(parameter_text(place->table),
                                                       parameter_text(place->column),
                                                       parameter_text(place->key)),
                                            &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    struct store_row current = store_sqlite_row(statement);
    status = store_row_place(&current, place, err);
    (void)sqlite3_reset(statement);
    return status;
}

enum status store_sqlite_places(struct store *store, struct place *places, size_t count,
                                bool record, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (!record)
            status = place_read(self, &places[i], err);
        else if (!place_is_recorded(&places[i]))
            status = store_sqlite_run(
                self, STATEMENT_META_SET,
                PARAMETERS(parameter_text(places[i].key), parameter_text(places[i].name)), NULL,
                err);
    }
    return status;
}

enum status store_sqlite_prepare(struct store *store, const struct mapping *mapping,
                                 struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    struct mapped_table *table = calloc(1, sizeof *table);
    int64_t deferred = 0;

    if (table == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    table->mapping = mapping;
    table->name = mapping_table(mapping);
    table->full.form = ROW_UPSERT;
    memset(table->full.present, true, sizeof table->full.present);
    table->removal.form = ROW_DELETE;
    enum status status = STATUS_OK;
    if (name_is_reserved(table->name))
        status = error_set(err, STATUS_FATAL, "table name \"%s\" is reserved: take another one",
                           table->name);
    if (status == STATUS_OK)
        status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = table_ensure(self, table, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    if (status == STATUS_OK)
        status = store_sqlite_number(self, STATEMENT_CATALOGUE_DEFERRED, NULL, 0, 0, &deferred,
                                     err);
    if (status == STATUS_OK)
        status = store_sqlite_row_prepare(self, table, &table->full, err);
    if (status == STATUS_OK)
        status = store_sqlite_row_prepare(self, table, &table->removal, err);
    if (status != STATUS_OK) {
        store_sql_rollback(store);
        mapped_table_free(table);
        return status;
    }
    self->has_deferred = deferred != 0;
    return table_adopt(self, table, err);
}

enum status store_sqlite_order(struct store *store, const struct mapping *mapping,
                               const struct copies *copies, struct table_order *ret_order,
                               struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    sqlite3_stmt *statement = NULL;
    struct buffer key;
    struct buffer tables;
    bool row = false;
    enum status status = STATUS_OK;
    *ret_order = (struct table_order){0};
    buffer_init(&key, SQL_SIZE_MAX);
    buffer_init(&tables, SQL_SIZE_MAX);
    store_append_keys(&key, mapping);
    for (size_t i = 0; i < copies->count; i++) {
        buffer_append_text(&tables, i == 0 ? "[" : ",");
        buffer_append_json(&tables, slice_of(mapping_table(&copies->mappings[i])));
    }
    buffer_append_text(&tables, "]");
    if (key.failed || tables.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    if (status == STATUS_OK)
        status = store_sqlite_start(self, STATEMENT_CATALOGUE_ORDER,
                                    PARAMETERS(parameter_text(mapping_table(mapping)),
                                               parameter_slice(buffer_slice(&key)),
                                               parameter_slice(buffer_slice(&tables))),
                                    &statement, &row, err);
    if (status == STATUS_OK && row) {
        ret_order->is_kept = sqlite3_column_int(statement, 0) != 0;
        ret_order->is_whole = sqlite3_column_int64(statement, 4) ==
                              (int64_t)mapping->schema->column_count;
        store_sqlite_copy(statement, 1, ret_order->constraint, sizeof ret_order->constraint);
        store_sqlite_copy(statement, 2, ret_order->child, sizeof ret_order->child);
        store_sqlite_copy(statement, 3, ret_order->parent, sizeof ret_order->parent);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    buffer_done(&key);
    buffer_done(&tables);
    return status;
}
