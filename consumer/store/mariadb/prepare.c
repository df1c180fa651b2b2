/* MariaDB's dialect: column types and row statements, which take arrays. */
#include "consumer/store/mariadb/internal.h"

#include "consumer_mariadb_sql.h"

#define KEY_LENGTH_DEFAULT 255
#define INLINE_LENGTH_MAX  255 /* of a VARCHAR: a row holds 65,535 bytes */
#define INLINE_COLUMNS_MAX 60
#define DECIMAL_DIGITS_MAX 65
#define DECIMAL_SCALE_MAX  38
#define COMMAND_DENIED     1142

static void append_type(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    const struct entity_schema *schema = mapping->schema;
    const struct column *column = &schema->columns[index];
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
    buffer_append_text(sql, column->is_key ? " NOT NULL" : " NULL");
}

static enum status check_new(const struct column *column, struct error *err)
{
    if (column->type == COLUMN_DECIMAL &&
        (column->precision > DECIMAL_DIGITS_MAX || column->scale > DECIMAL_SCALE_MAX))
        return error_set(err, STATUS_FATAL,
                         "column \"%s\": MariaDB keeps decimals of at most %d digits, %d of them "
                         "behind the point: make it a text",
                         column->name, DECIMAL_DIGITS_MAX, DECIMAL_SCALE_MAX);
    return STATUS_OK;
}

/* Append a condition for FOUND_KEYS keys. */
static void append_rows(struct buffer *sql, const struct mapped_table *table,
                        const struct row_statement *row)
{
    struct sql_text text = {
        .dialect = table->dialect, .mapping = table->mapping, .table = table, .row = row};
    for (size_t i = 0; i < FOUND_KEYS; i++)
        sql_text_append(sql, &text, i == 0 ? "({key| AND |@ = #})" : " OR ({key| AND |@ = #})");
}

static void row_free(struct row_statement *row)
{
    mariadb_statement_free(row->statement);
    row->statement = NULL;
    row->is_prepared = false;
}

static enum status row_prepare(const struct mapped_table *table, struct row_statement *row,
                               const char *sql, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    row_free(row);
    enum status status = mariadb_statement_new(store_mariadb_of(table->store)->session, table->name,
                                               sql, &statement, err);
    row->statement = statement;
    return status;
}

/* The triggers of a table are silent while a user variable has its name. No rollback clears it. */
static enum status silence(const struct mapped_table *table, bool silent, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(table->store);
    enum status status = store_sql_send(
        &self->sql, SQL_CALL(APPLYING, parameter_text(silent ? table->name : NULL)), err);
    self->applying = silent || status != STATUS_OK;
    return status;
}

static const int lacking[] = {ER_SP_DOES_NOT_EXIST, ER_PROCACCESS_DENIED_ERROR, 0};

const struct sql_dialect store_mariadb_dialect = {
    SQL_DIALECT_TEXTS,
    .row_find = SQL_ROW_FIND,
    .row_lock = SQL_ROW_LOCK,
    .row_index = SQL_ROW_INDEX,
    .table_keep = SQL_TABLE_KEEP,
    .version_id = STATEMENT_CATALOGUE_VERSION,
    .key_columns_max = KEY_COLUMNS_MAX,
    .columns = &column_mariadb_dialect,
    .quote = '`',
    .denied = COMMAND_DENIED,
    .ignores_case = true,
    .grants = SQL_GRANTS,
    .append_type = append_type,
    .append_rows = append_rows,
    .check_new = check_new,
    .check_column = store_mariadb_check_column,
    .check_more = store_mariadb_check_more,
    .row_prepare = row_prepare,
    .row_free = row_free,
    .silence = silence,
    .lacking = lacking,
    .silence_stays = true,
    .write = store_mariadb_write,
};
