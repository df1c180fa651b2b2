/* SQLite's dialect: column types, what they keep exactly, and row statements. */
#include "consumer/store/sqlite/internal.h"

#include "consumer_sqlite_sql.h"

#include <stdio.h>
#include <strings.h>

enum affinity { AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_NONE, AFFINITY_REAL, AFFINITY_NUMERIC };

static const char *const column_declarations[] = {
    [COLUMN_INTEGER] = "INTEGER", [COLUMN_DECIMAL] = "TEXT",   [COLUMN_DOUBLE] = "REAL",
    [COLUMN_TEXT] = "TEXT",       [COLUMN_BYTES] = "BLOB",     [COLUMN_BOOLEAN] = "INTEGER",
    [COLUMN_DATE_TIME] = "TEXT",  [COLUMN_JSON] = "TEXT",      [COLUMN_DATE] = "TEXT",
    [COLUMN_TIME] = "TEXT",       [COLUMN_TIMESTAMP] = "TEXT", [COLUMN_UUID] = "TEXT",
};

#define BIT(affinity) (1u << (affinity))

/* The affinities that keep the values of each column type unchanged. */
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

static void append_type(struct buffer *sql, const struct mapping *mapping, size_t index)
{
    const struct column *column = &mapping->schema->columns[index];
    buffer_append_text(sql, column_declarations[column->type]);
    if (column->is_key)
        buffer_append_text(sql, " NOT NULL");
    if (column->type == COLUMN_BOOLEAN) {
        buffer_append_text(sql, " CHECK (");
        sql_name_append(sql, mapping_column(mapping, index), '"');
        buffer_append_text(sql, " IN (0, 1))");
    }
}

/* SQLite's own rule: the first of these parts that occurs in the declared type decides. */
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

enum { COLUMN_DECLARED = 3, COLUMN_STRICT };

static enum status check_column(struct mapped_table *table, size_t index,
                                const struct store_row *row, struct catalogue_column *ret_found,
                                struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(table->store);
    enum column_type type = table->mapping->schema->columns[index].type;
    char declared[STORE_NAME_SIZE];
    const char *collation = NULL;
    row->copy(row, COLUMN_DECLARED, declared, sizeof declared);
    ret_found->fits = column_fits(type, declared, row->integer(row, COLUMN_STRICT) != 0);
    ret_found->better = column_declarations[type];
    table->limits[index] = (struct column_limits){.drops_sign = true};
    int code = sqlite3_table_column_metadata(self->database, NULL, table->name,
                                             mapping_column(table->mapping, index), NULL,
                                             &collation, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return store_sqlite_fail(self, code, "read the catalogue", err);
    if (strcasecmp(collation, "BINARY") != 0)
        (void)snprintf(ret_found->collation, sizeof ret_found->collation, "%s", collation);
    ret_found->bytewise = "BINARY";
    return STATUS_OK;
}

/* Whether some foreign key is checked at COMMIT only. */
static enum status check_more(struct mapped_table *table, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(table->store);
    int64_t deferred = 0;
    enum status status = store_sql_number(&self->sql, SQL_CALL_PLAIN(CATALOGUE_DEFERRED), 0,
                                          &deferred, err);
    self->has_deferred = deferred != 0;
    return status;
}

static void row_free(struct row_statement *row)
{
    (void)sqlite3_finalize(row->statement);
    row->statement = NULL;
    row->is_prepared = false;
}

static enum status row_prepare(const struct mapped_table *table, struct row_statement *row,
                               const char *sql, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    row_free(row);
    enum status status = sqlite_session_prepare(store_sqlite_of(table->store)->database, sql,
                                                &statement, err);
    row->statement = statement;
    return status;
}

const struct sql_dialect store_sqlite_dialect = {
    SQL_DIALECT_TEXTS,
    .row_upsert_key = SQL_ROW_UPSERT_KEY,
    .columns = &column_sqlite_dialect,
    .quote = '"',
    .reserved = "sqlite_",
    .order_id = STATEMENT_CATALOGUE_ORDER,
    .version_id = STATEMENT_CATALOGUE_VERSION,
    .ignores_case = true,
    .append_type = append_type,
    .check_column = check_column,
    .check_more = check_more,
    .row_prepare = row_prepare,
    .row_free = row_free,
    .silence = store_sqlite_silence,
    .write = store_sqlite_write,
};
