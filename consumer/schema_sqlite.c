/* Reads SQLite's catalogue and writes draft-07 with x-keepstep-type. */
#include "consumer/schema_sqlite.h"

#include "schemas/entity_schema.h"

#include <sqlite3.h>

#include <stdio.h>
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

static void schema_sqlite_column(const char *name, const char *declared, enum column_type type,
                                 bool nullable, struct buffer *out)
{
    static const char *const json_types[] = {
        [COLUMN_INTEGER] = "integer", [COLUMN_DECIMAL] = "string",   [COLUMN_DOUBLE] = "number",
        [COLUMN_TEXT] = "string",     [COLUMN_BYTES] = "string",     [COLUMN_BOOLEAN] = "boolean",
        [COLUMN_JSON] = "string",     [COLUMN_DATE_TIME] = "string", [COLUMN_DATE] = "string",
        [COLUMN_TIME] = "string",     [COLUMN_TIMESTAMP] = "string", [COLUMN_UUID] = "string",
    };
    buffer_append_text(out, "    ");
    buffer_append_json(out, slice_of(name));
    if (nullable)
        buffer_append_format(out, ": {\"type\": [\"%s\", \"null\"]", json_types[type]);
    else
        buffer_append_format(out, ": {\"type\": \"%s\"", json_types[type]);
    buffer_append_format(out, ", \"x-keepstep-type\": \"%s\"", column_type_name(type));
    const char *bracket = strchr(declared, '(');
    long length = bracket == NULL ? 0 : strtol(bracket + 1, NULL, 10);
    if (type == COLUMN_TEXT && length > 0)
        buffer_append_format(out, ", \"maxLength\": %ld", length);
    buffer_append_text(out, "}");
}

/* Columns in their order; `keys` gets the quoted key columns, `required` all that are NOT NULL. */
static enum status schema_sqlite_columns(sqlite3_stmt *statement, const char *table,
                                         struct buffer *out, struct buffer *keys,
                                         struct buffer *required, struct error *err)
{
    int code;
    size_t count = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *declared = (const char *)sqlite3_column_text(statement, 1);
        bool is_key = sqlite3_column_int(statement, 3) > 0;
        bool nullable = !is_key && sqlite3_column_int(statement, 2) == 0;
        enum column_type type;
        if (name == NULL || declared == NULL)
            return error_set(err, STATUS_FATAL, "out of memory");
        if (!schema_sqlite_type_of(declared, &type))
            return error_set(err, STATUS_FATAL,
                             "%s.%s: the declared type \"%s\" says nothing of its values; write "
                             "its x-keepstep-type by hand",
                             table, name, declared);
        buffer_append_text(out, count++ == 0 ? "" : ",\n");
        schema_sqlite_column(name, declared, type, nullable, out);
        struct buffer *const lists[] = {is_key ? keys : NULL, required};
        for (size_t i = 0; i < 2; i++) {
            if (lists[i] == NULL)
                continue;
            buffer_append_text(lists[i], lists[i]->length == 0 ? "" : ", ");
            buffer_append_json(lists[i], slice_of(name));
        }
    }
    if (code != SQLITE_DONE)
        return error_set_native(err, STATUS_FATAL, code, "%s: %s", table, sqlite3_errstr(code));
    if (count > 0 && keys->length > 0)
        return STATUS_OK;
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_FATAL,
                     count == 0 ? "there is no table %s"
                                : "table %s has no primary key, so its rows cannot be told apart; "
                                  "give it one",
                     table);
}

static void schema_sqlite_render(const char *table, const struct buffer *columns,
                                 const struct buffer *keys, const struct buffer *required,
                                 struct buffer *out)
{
    buffer_append_text(out, "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
                            "  \"title\": ");
    buffer_append_json(out, slice_of(table));
    buffer_append_format(out,
                         ",\n  \"type\": \"object\",\n  \"x-keepstep-key\": [%s],\n"
                         "  \"properties\": {\n%s\n  },\n  \"required\": [%s],\n"
                         "  \"additionalProperties\": false\n}\n",
                         buffer_text(keys), buffer_text(columns), buffer_text(required));
}

enum status schema_sqlite_describe(const char *path, const char *table, struct buffer *out,
                                   struct error *err)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    struct buffer columns;
    struct buffer keys;
    struct buffer required;
    buffer_init(&columns, out->size_max);
    buffer_init(&keys, out->size_max);
    buffer_init(&required, out->size_max);
    enum status status = STATUS_OK;
    int code = sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(
            database, "SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid",
            -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    if (code != SQLITE_OK) {
        err->exit_code = EX_NOINPUT;
        status = error_set_native(err, STATUS_FATAL, code, "%s: %s", path, sqlite3_errstr(code));
        goto out;
    }
    status = schema_sqlite_columns(statement, table, &columns, &keys, &required, err);
    if (status == STATUS_OK)
        schema_sqlite_render(table, &columns, &keys, &required, out);
out:
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    buffer_done(&columns);
    buffer_done(&keys);
    buffer_done(&required);
    return status;
}
