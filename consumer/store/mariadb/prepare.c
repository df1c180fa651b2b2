/* The MariaDB store's tables: create and widen, and the array statements that write them. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"

#include <stdlib.h>
#include <strings.h>

#define SQL_SIZE_MAX       ((size_t)1024 * 1024)
#define KEY_LENGTH_DEFAULT 255
#define INLINE_LENGTH_MAX  255 /* of a VARCHAR: a row holds 65,535 bytes */
#define INLINE_COLUMNS_MAX 60
#define DECIMAL_DIGITS_MAX 65
#define DECIMAL_SCALE_MAX  38

void store_mariadb_append_name(struct buffer *sql, const char *name)
{
    buffer_append(sql, "`", 1);
    for (; *name != '\0'; name++)
        buffer_append(sql, *name == '`' ? "``" : name, *name == '`' ? 2 : 1);
    buffer_append(sql, "`", 1);
}

const char *store_mariadb_column_name(const struct mapping *mapping, size_t index)
{
    return config_column(mapping->entry, mapping->schema->columns[index].name);
}

static void append_column(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    store_mariadb_append_name(sql, store_mariadb_column_name(mapping, index));
}

static void append_type(struct buffer *sql, const struct entity_schema *schema,
                        const struct column *column)
{
    static const char *const types[] = {
        [COLUMN_INTEGER] = "BIGINT",
        [COLUMN_DECIMAL] = "DECIMAL(65, 30)",
        [COLUMN_DOUBLE] = "DOUBLE",
        [COLUMN_TEXT] = "LONGTEXT",
        [COLUMN_BYTES] = "LONGBLOB",
        [COLUMN_BOOLEAN] = "TINYINT(1)",
        [COLUMN_DATE_TIME] = "DATETIME(6)",
        [COLUMN_JSON] = "LONGTEXT",
        [COLUMN_DATE] = "DATE",
        [COLUMN_TIME] = "TIME(6)",
        [COLUMN_TIMESTAMP] = "DATETIME(6)",
        [COLUMN_UUID] = "CHAR(36) COLLATE ascii_bin",
    };
    uint32_t length = column->length_max;
    bool is_inline = length > 0 && length <= INLINE_LENGTH_MAX &&
                     schema->column_count <= INLINE_COLUMNS_MAX;
    if (column->is_key && length == 0)
        length = KEY_LENGTH_DEFAULT;
    if (column->type == COLUMN_TEXT && (column->is_key || is_inline))
        buffer_append_format(sql, "VARCHAR(%u)", length);
    else if (column->type == COLUMN_BYTES && column->is_key)
        buffer_append_format(sql, "VARBINARY(%d)", KEY_LENGTH_DEFAULT);
    else if (column->type == COLUMN_DECIMAL && column->precision > 0)
        buffer_append_format(sql, "DECIMAL(%u, %u)", column->precision, column->scale);
    else
        buffer_append_text(sql, types[column->type]);
    if (column->type == COLUMN_TEXT || column->type == COLUMN_JSON)
        buffer_append_text(sql, " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
}

static enum status append_definition(struct buffer *sql, const struct mapping *mapping,
                                     size_t index, struct error *err)
{
    const struct column *column = &mapping->schema->columns[index];
    if (column->type == COLUMN_DECIMAL &&
        (column->precision > DECIMAL_DIGITS_MAX || column->scale > DECIMAL_SCALE_MAX))
        return error_set(err, STATUS_FATAL,
                         "column \"%s\": MariaDB keeps decimals of at most %d digits, %d of them "
                         "behind the point: make it a text",
                         column->name, DECIMAL_DIGITS_MAX, DECIMAL_SCALE_MAX);
    append_column(sql, mapping, index);
    buffer_append_text(sql, " ");
    append_type(sql, mapping->schema, column);
    buffer_append_text(sql, column->is_key ? " NOT NULL" : " NULL");
    return STATUS_OK;
}

static void append_key(struct buffer *sql, const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : ", ");
        append_column(sql, mapping, mapping->schema->key_columns[i]);
    }
}

/* A role without the right to it needs somebody else's hand, not patience. */
static enum status execute_ddl(struct store_mariadb *self, const struct buffer *sql,
                               struct error *err)
{
    struct error ddl = ERROR_INIT;
    if (sql->failed)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = mariadb_session_execute(self->session, buffer_text(sql), &ddl);
    if (status == STATUS_RETRY && ddl.native_code != ER_TABLEACCESS_DENIED_ERROR) {
        *err = ddl;
        return status;
    }
    return status == STATUS_OK ? STATUS_OK : store_refuse_ddl(&ddl, err);
}

enum status store_mariadb_append_table(struct buffer *sql, const struct mapping *mapping,
                                       const char *create, struct error *err)
{
    enum status status = STATUS_OK;
    buffer_append_text(sql, create);
    store_mariadb_append_name(sql, mapping_table(mapping));
    buffer_append_text(sql, "(");
    for (size_t i = 0; status == STATUS_OK && i < mapping->schema->column_count; i++) {
        status = append_definition(sql, mapping, i, err);
        buffer_append_text(sql, ", ");
    }
    buffer_append_text(sql, "PRIMARY KEY (");
    append_key(sql, mapping);
    buffer_append_text(sql, ")) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 "
                            "COLLATE utf8mb4_nopad_bin");
    return status;
}

static enum status table_create(struct store_mariadb *self, const struct mapped_table *table,
                                struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    enum status status = store_mariadb_append_table(&sql, table->mapping, "CREATE TABLE ", err);
    if (status == STATUS_OK)
        status = execute_ddl(self, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status table_widen(struct store_mariadb *self, const struct mapped_table *table,
                               size_t index, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, SQL_SIZE_MAX);
    buffer_append_text(&sql, "ALTER TABLE ");
    store_mariadb_append_name(&sql, table->name);
    buffer_append_text(&sql, " ADD COLUMN ");
    enum status status = append_definition(&sql, table->mapping, index, err);
    if (status == STATUS_OK)
        status = execute_ddl(self, &sql, err);
    buffer_done(&sql);
    return status;
}

static enum status table_exists(struct store_mariadb *self, const struct mapped_table *table,
                                bool *ret_exists, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    char type[64] = "";
    char engine[64] = "";
    enum status status = store_mariadb_start(self, STATEMENT_CATALOGUE_TABLE,
                                             PARAMETERS(parameter_text(table->name)), &statement,
                                             ret_exists, err);
    if (status != STATUS_OK)
        return status;
    if (*ret_exists) {
        mariadb_statement_copy(statement, 0, type, sizeof type);
        mariadb_statement_copy(statement, 1, engine, sizeof engine);
    }
    mariadb_statement_end(statement);
    if (*ret_exists && strstr(type, "VIEW") != NULL)
        return error_set(err, STATUS_FATAL, "\"%s\" is a view: map \"%s\" to a table", table->name,
                         table->mapping->schema->entity_type);
    if (*ret_exists && strcasecmp(engine, "InnoDB") != 0)
        return error_set(err, STATUS_FATAL,
                         "table \"%s\" has the engine %s, which has no transactions: ALTER TABLE "
                         "it to ENGINE = InnoDB",
                         table->name, engine);
    return STATUS_OK;
}

/* DDL commits by itself, so each of its statements is safe to run again. */
static enum status table_ensure(struct store_mariadb *self, struct mapped_table *table,
                                struct error *err)
{
    bool missing[ENTITY_COLUMNS_MAX] = {false};
    bool exists = false;
    bool widened = false;
    enum status status = table_exists(self, table, &exists, err);
    if (status == STATUS_OK && !exists)
        status = table_create(self, table, err);
    if (status == STATUS_OK)
        status = store_mariadb_check(self, table, missing, err);
    for (size_t i = 0; status == STATUS_OK && i < table->mapping->schema->column_count; i++) {
        if (missing[i]) {
            status = table_widen(self, table, i, err);
            widened = true;
        }
    }
    if (status == STATUS_OK && widened)
        status = store_mariadb_check(self, table, missing, err);
    return status;
}

static void append_where_key(struct buffer *sql, const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : " AND ");
        append_column(sql, mapping, mapping->schema->key_columns[i]);
        buffer_append_text(sql, " = ?");
    }
}

static void append_insert(struct buffer *sql, const struct mapped_table *table)
{
    const struct entity_schema *schema = table->mapping->schema;
    buffer_append_text(sql, "INSERT INTO ");
    store_mariadb_append_name(sql, table->name);
    for (size_t i = 0; i < schema->column_count; i++) {
        buffer_append_text(sql, i == 0 ? "(" : ", ");
        append_column(sql, table->mapping, i);
    }
    for (size_t i = 0; i < schema->column_count; i++)
        buffer_append_text(sql, i == 0 ? ") VALUES (?" : ", ?");
    buffer_append_text(sql, ")");
}

static void append_inserted(struct buffer *sql, const struct mapping *mapping, size_t index,
                            const char *between)
{
    append_column(sql, mapping, index);
    buffer_append_text(sql, between);
    buffer_append_text(sql, "VALUES(");
    append_column(sql, mapping, index);
    buffer_append_text(sql, ")");
}

/* A unique index that the table got since it was prepared may find another entity's row: the key,
 * which is NOT NULL, then becomes an error instead. */
static void append_duplicate(struct buffer *sql, const struct mapped_table *table)
{
    const struct entity_schema *schema = table->mapping->schema;
    buffer_append_text(sql, " ON DUPLICATE KEY UPDATE ");
    append_column(sql, table->mapping, schema->key_columns[0]);
    buffer_append_text(sql, " = CASE WHEN ");
    for (size_t i = 0; i < schema->key_count; i++) {
        buffer_append_text(sql, i == 0 ? "" : " AND ");
        append_inserted(sql, table->mapping, schema->key_columns[i], " = ");
    }
    buffer_append_text(sql, " THEN ");
    append_column(sql, table->mapping, schema->key_columns[0]);
    buffer_append_text(sql, " ELSE NULL END");
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].is_key)
            continue;
        buffer_append_text(sql, ", ");
        append_inserted(sql, table->mapping, i, " = ");
    }
}

/* Without columns but the key it only asks whether the row is there. `present` NULL: all. */
static void append_update(struct buffer *sql, const struct mapped_table *table, const bool *present)
{
    const struct entity_schema *schema = table->mapping->schema;
    const char *start = " SET ";
    buffer_append_text(sql, "UPDATE ");
    store_mariadb_append_name(sql, table->name);
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].is_key || (present != NULL && !present[i]))
            continue;
        buffer_append_text(sql, start);
        append_column(sql, table->mapping, i);
        buffer_append_text(sql, " = ?");
        start = ", ";
    }
    if (start[0] == ' ') {
        buffer_append_text(sql, start);
        append_column(sql, table->mapping, schema->key_columns[0]);
        buffer_append_text(sql, " = ");
        append_column(sql, table->mapping, schema->key_columns[0]);
    }
    buffer_append_text(sql, " WHERE ");
    append_where_key(sql, table->mapping);
}

static void append_present(struct buffer *sql, const struct mapped_table *table)
{
    buffer_append_text(sql, "SELECT ");
    append_key(sql, table->mapping);
    buffer_append_text(sql, " FROM ");
    store_mariadb_append_name(sql, table->name);
    for (size_t i = 0; i < PRESENT_KEYS; i++) {
        buffer_append_text(sql, i == 0 ? " WHERE (" : " OR (");
        append_where_key(sql, table->mapping);
        buffer_append_text(sql, ")");
    }
    buffer_append_text(sql, " FOR UPDATE");
}

enum status store_mariadb_row_prepare(struct store_mariadb *self, struct mapped_table *table,
                                      enum row_form form, struct error *err)
{
    struct buffer sql;
    enum status status = STATUS_OK;
    if (table->rows[form] != NULL)
        return STATUS_OK;
    buffer_init(&sql, SQL_SIZE_MAX);
    switch (form) {
    case ROW_UPSERT:
    case ROW_INSERT:
        append_insert(&sql, table);
        if (form == ROW_UPSERT)
            append_duplicate(&sql, table);
        break;
    case ROW_UPDATE:
        append_update(&sql, table, NULL);
        break;
    case ROW_DELETE:
        buffer_append_text(&sql, "DELETE FROM ");
        store_mariadb_append_name(&sql, table->name);
        buffer_append_text(&sql, " WHERE ");
        append_where_key(&sql, table->mapping);
        break;
    case ROW_PRESENT:
    case ROW_FORMS:
        append_present(&sql, table);
        break;
    }
    if (sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    else
        status = mariadb_statement_new(self->session, table->name, buffer_text(&sql),
                                       &table->rows[form], err);
    buffer_done(&sql);
    return status;
}

enum status store_mariadb_sparse_prepare(struct store_mariadb *self, struct mapped_table *table,
                                         const bool present[static ENTITY_COLUMNS_MAX],
                                         struct mariadb_statement **ret_statement,
                                         struct error *err)
{
    struct sparse_update *sparse = NULL;
    struct buffer sql;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < SPARSE_UPDATES_MAX; i++) {
        sparse = &table->sparse[i];
        *ret_statement = sparse->statement;
        if (sparse->statement != NULL &&
            memcmp(sparse->present, present, sizeof sparse->present) == 0)
            return STATUS_OK;
    }
    sparse = &table->sparse[table->sparse_next];
    table->sparse_next = (table->sparse_next + 1) % SPARSE_UPDATES_MAX;
    mariadb_statement_free(sparse->statement);
    sparse->statement = NULL;
    memcpy(sparse->present, present, sizeof sparse->present);
    buffer_init(&sql, SQL_SIZE_MAX);
    append_update(&sql, table, present);
    if (sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    else
        status = mariadb_statement_new(self->session, table->name, buffer_text(&sql),
                                       &sparse->statement, err);
    *ret_statement = sparse->statement;
    buffer_done(&sql);
    return status;
}

void store_mariadb_table_free(struct mapped_table *table)
{
    if (table == NULL)
        return;
    for (size_t form = 0; form < ROW_FORMS; form++)
        mariadb_statement_free(table->rows[form]);
    for (size_t i = 0; i < SPARSE_UPDATES_MAX; i++)
        mariadb_statement_free(table->sparse[i].statement);
    free(table);
}

struct mapped_table *store_mariadb_table(struct store_mariadb *self, struct slice entity_type)
{
    for (size_t i = 0; i < self->table_count; i++) {
        if (slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            return self->tables[i];
    }
    return NULL;
}

/* Takes `table`, in the place of an earlier one for the same entity type. */
static enum status table_adopt(struct store_mariadb *self, struct mapped_table *table,
                               struct error *err)
{
    struct slice entity_type = slice_of(table->mapping->schema->entity_type);
    for (size_t i = 0; i < self->table_count; i++) {
        if (!slice_is(entity_type, self->tables[i]->mapping->schema->entity_type))
            continue;
        store_mariadb_table_free(self->tables[i]);
        self->tables[i] = table;
        return STATUS_OK;
    }
    void *grown = realloc(self->tables, (self->table_count + 1) * sizeof(struct mapped_table *));
    if (grown == NULL) {
        store_mariadb_table_free(table);
        return error_set(err, STATUS_RETRY, "out of memory");
    }
    self->tables = grown;
    self->tables[self->table_count++] = table;
    return STATUS_OK;
}

static enum status place_read(struct store_mariadb *self, struct place *place, struct error *err)
{
    struct parameter table = parameter_text(place->table);
    struct parameter column = parameter_text(place->column);
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(
        self, STATEMENT_PLACE_READ,
        PARAMETERS(table, column, table, table, column, parameter_text(place->key)), &statement,
        &row, err);
    if (status != STATUS_OK)
        return status;
    struct store_row current = store_mariadb_row(statement);
    status = store_row_place(&current, place, err);
    mariadb_statement_end(statement);
    return status;
}

enum status store_mariadb_places(struct store *store, struct place *places, size_t count,
                                 bool record, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool anew = places[i].recorded[0] == '\0';
        if (!record)
            status = place_read(self, &places[i], err);
        else if (!place_is_recorded(&places[i]))
            status = store_mariadb_run(
                self, anew ? STATEMENT_META_ADD : STATEMENT_META_SET,
                PARAMETERS(parameter_text(places[i].key), parameter_text(places[i].name)), NULL,
                err);
    }
    if (status == STATUS_OK && record)
        status = mariadb_session_execute(self->session, "COMMIT", err);
    store_mariadb_release(self);
    return status;
}

enum status store_mariadb_prepare(struct store *store, const struct mapping *mapping,
                                  struct error *err)
{
    static const enum row_form forms[] = {ROW_UPSERT, ROW_UPDATE, ROW_DELETE};
    struct store_mariadb *self = store_mariadb_of(store);
    struct mapped_table *table = calloc(1, sizeof *table);
    enum status status = STATUS_OK;

    if (table == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    table->mapping = mapping;
    table->name = mapping_table(mapping);
    if (strncasecmp(table->name, "keepstep_", 9) == 0 || strcasecmp(table->name, "outbox") == 0)
        status = error_set(err, STATUS_FATAL, "table name \"%s\" is reserved: take another one",
                           table->name);
    if (status == STATUS_OK && mapping->schema->key_count > KEY_COLUMNS_MAX)
        status = error_set(err, STATUS_FATAL, "the key of \"%s\" has more than %d columns",
                           mapping->schema->entity_type, KEY_COLUMNS_MAX);
    if (status == STATUS_OK)
        status = table_ensure(self, table, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof forms / sizeof forms[0]; i++)
        status = store_mariadb_row_prepare(self, table, forms[i], err);
    store_mariadb_release(self);
    if (status != STATUS_OK) {
        store_mariadb_table_free(table);
        return status;
    }
    return table_adopt(self, table, err);
}
