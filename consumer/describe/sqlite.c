/* Reads the columns of a table from SQLite's catalogue. */
#include "consumer/describe/sqlite.h"

#include "common/sqlite_session.h"
#include "consumer/describe/table.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct schema_sqlite_type {
    const char *part; /* of the declared type, in upper case */
    enum column_type type;
};

/* The first that occurs in the declared type counts. */
static const struct schema_sqlite_type schema_sqlite_types[] = {
    {"BOOL", COLUMN_BOOLEAN},        {"JSON", COLUMN_JSON},   {"DATETIME", COLUMN_DATE_TIME},
    {"TIMESTAMP", COLUMN_DATE_TIME}, {"INT", COLUMN_INTEGER}, {"DEC", COLUMN_DECIMAL},
    {"NUMERIC", COLUMN_DECIMAL},     {"REAL", COLUMN_DOUBLE}, {"FLOA", COLUMN_DOUBLE},
    {"DOUB", COLUMN_DOUBLE},         {"BLOB", COLUMN_BYTES},  {"CHAR", COLUMN_TEXT},
    {"CLOB", COLUMN_TEXT},           {"TEXT", COLUMN_TEXT},   {"DATE", COLUMN_TEXT},
    {"TIME", COLUMN_TEXT},           {"UUID", COLUMN_TEXT}};

static bool schema_sqlite_type_of(const char *declared, enum column_type *ret_type)
{
    for (size_t i = 0; i < sizeof schema_sqlite_types / sizeof *schema_sqlite_types; i++) {
        if (strcasestr(declared, schema_sqlite_types[i].part) != NULL) {
            *ret_type = schema_sqlite_types[i].type;
            return true;
        }
    }
    return false;
}

static enum status schema_sqlite_columns(sqlite3 *database, sqlite3_stmt *statement,
                                         struct schema_table *table, struct error *err)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        char *name = (char *)(uintptr_t)sqlite3_column_text(statement, 0);
        const char *declared = (const char *)sqlite3_column_text(statement, 1);
        bool is_key = sqlite3_column_int(statement, 3) > 0;
        struct column column = {.name = name,
                                .is_key = is_key,
                                .nullable = !is_key && sqlite3_column_int(statement, 2) == 0};
        if (name == NULL || declared == NULL)
            return error_set(err, STATUS_FATAL, "out of memory");
        if (!schema_sqlite_type_of(declared, &column.type))
            return schema_table_refuse(table, name, declared, err);
        const char *bracket = strchr(declared, '(');
        long length = bracket == NULL ? 0 : strtol(bracket + 1, NULL, 10);
        column.length_max = length > 0 ? (uint32_t)length : 0;
        schema_table_add(table, &column);
    }
    return code == SQLITE_DONE ? STATUS_OK : sqlite_session_error(database, table->name, err);
}

enum status schema_sqlite_describe(const char *path, const char *table, struct buffer *out,
                                   struct error *err)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    struct schema_table schema;
    schema_table_init(&schema, table, out->size_max);
    enum status status = sqlite_session_open(path, SQLITE_OPEN_READONLY, &database, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(
            database, "SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid",
            &statement, err);
    if (status != STATUS_OK) {
        err->exit_code = EX_NOINPUT;
        goto out;
    }
    sqlite_session_bind(statement, 1, slice_of(table));
    status = schema_sqlite_columns(database, statement, &schema, err);
    if (status == STATUS_OK)
        status = schema_table_write(&schema, out, err);
out:
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    schema_table_done(&schema);
    return status;
}
