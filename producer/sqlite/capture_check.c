/* Refuses the tables whose changes triggers cannot capture whole (rules 25, 26). */
#include "producer/sqlite/capture.h"
#define CAPTURE_NO_COLUMN                                                                          \
    "does not have each column of the schema: write under columns: how one that was renamed is "   \
    "called now, take one that was dropped out of the schema; it has no column "

#include <sysexits.h>

static enum status capture_refuse(struct error *err, const struct config_entry *entry,
                                  const char *what, const char *name)
{
    enum status status = error_set(err, STATUS_FATAL, "publish.%s: table %s %s%s",
                                   entry->entity_type, entry->table, what, name);
    if (err != NULL)
        err->exit_code = EX_CONFIG;
    return status;
}

/* Steps to the statement's row, where there is one. A catalogue that cannot be read is no empty
 * one.
 */
static enum status capture_step(sqlite3 *db, sqlite3_stmt *statement, bool *ret_row,
                                struct error *err)
{
    int code = sqlite3_step(statement);
    *ret_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK
                                                     : sqlite_session_error(db, "catalogue", err);
}

/* Position of a column in the table's primary key, 0 where it is none of it, -1 where it is not
 * there. */
static enum status capture_key_place(sqlite3 *db, const char *table, const char *column,
                                     int *ret_place, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = sqlite_session_prepare(
        db, "SELECT pk FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE", &statement,
        err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(table));
    sqlite_session_bind(statement, 2, slice_of(column));
    status = capture_step(db, statement, &row, err);
    *ret_place = row ? sqlite3_column_int(statement, 0) : -1;
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status capture_number(sqlite3 *db, const char *sql, const char *table, int *ret_number,
                                  char *ret_name, size_t size, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = sqlite_session_prepare(db, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(table));
    *ret_number = 0;
    status = capture_step(db, statement, &row, err);
    if (row) {
        *ret_number = sqlite3_column_int(statement, 0);
        (void)sqlite3_snprintf((int)size, ret_name, "%s", sqlite3_column_text(statement, 1));
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status capture_check_columns(sqlite3 *db, const struct config_entry *entry,
                                         const struct entity_schema *schema, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        const char *name = config_column(entry, column->name);
        int place = 0;
        status = capture_key_place(db, entry->table, name, &place, err);
        if (status != STATUS_OK)
            return status;
        if (place < 0)
            return capture_refuse(err, entry, CAPTURE_NO_COLUMN, name);
        if (column->is_key && place == 0)
            return capture_refuse(
                err, entry, "has another primary key than x-keepstep-key, which names ", name);
        if (column->is_key && column->type != COLUMN_INTEGER && column->type != COLUMN_TEXT)
            return capture_refuse(err, entry,
                                  "needs an integer or text key; it is neither: ", name);
    }
    return STATUS_OK;
}

static enum status capture_check_partition_column(sqlite3 *db, const struct config_entry *entry,
                                                  struct error *err)
{
    int place = 0;
    if (entry->partition_key == NULL)
        return STATUS_OK;
    const char *name = config_column(entry, entry->partition_key);
    enum status status = capture_key_place(db, entry->table, name, &place, err);
    if (status == STATUS_OK && place < 0)
        return capture_refuse(err, entry, "has no column for partition_key: ", name);
    return status;
}

/* Outside INTEGER PRIMARY KEY, STRICT and WITHOUT ROWID a key may be NULL. */
enum status capture_sqlite_check_keys(sqlite3 *db, const struct config_entry *entry,
                                      const struct entity_schema *schema, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < schema->key_count; i++) {
        const char *column = config_column(entry, schema->columns[schema->key_columns[i]].name);
        sqlite3_stmt *statement = NULL;
        bool row = false;
        char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\" WHERE \"%w\" IS NULL LIMIT 1",
                                    entry->table, column);
        if (sql == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
        status = sqlite_session_prepare(db, sql, &statement, err);
        sqlite3_free(sql);
        if (status == STATUS_OK)
            status = capture_step(db, statement, &row, err);
        if (status == STATUS_OK && row)
            status = capture_refuse(err, entry,
                                    "has rows with NULL in their primary key, which are the same "
                                    "entity as no other; give them a value or delete them: ",
                                    column);
        (void)sqlite3_finalize(statement);
    }
    return status;
}

/* The flag names the table, so its trigger would take a cascade within it for the agent's own
 * writes. */
static enum status capture_check_cascade(sqlite3 *db, const struct config_entry *entry,
                                         struct error *err)
{
    char name[256] = "";
    int number = 0;
    enum status status = capture_number(
        db,
        "SELECT count(*), max(\"from\") FROM pragma_foreign_key_list(?1) "
        "WHERE \"table\" = ?1 COLLATE NOCASE AND (on_delete IN ('CASCADE', 'SET NULL', "
        "'SET DEFAULT') OR on_update IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))",
        entry->table, &number, name, sizeof name, err);
    if (status == STATUS_OK && number > 0)
        return capture_refuse(err, entry,
                              "is also applied here and has a foreign key to itself whose action "
                              "changes rows that the log does not name; make it NO ACTION: ",
                              name);
    return status;
}

enum status capture_sqlite_check(sqlite3 *db, const struct config_entry *entry,
                                 const struct entity_schema *schema, bool applied,
                                 struct error *err)
{
    char name[256] = "";
    int number = 0;
    enum status status = capture_number(
        db,
        "SELECT count(*), '' FROM sqlite_schema WHERE type = 'table' "
        "AND name = ?1 COLLATE NOCASE",
        entry->table, &number, name, sizeof name, err);
    if (status == STATUS_OK && number == 0)
        return capture_refuse(err, entry, "does not exist; create it first", name);
    if (status == STATUS_OK)
        status = capture_number(db, "SELECT count(*), '' FROM pragma_table_xinfo(?1) WHERE pk > 0",
                                entry->table, &number, name, sizeof name, err);
    if (status == STATUS_OK && number == 0)
        return capture_refuse(err, entry, "has no primary key; give it one", name);
    if (status == STATUS_OK)
        status = capture_check_columns(db, entry, schema, err);
    if (status == STATUS_OK)
        status = capture_check_partition_column(db, entry, err);
    if (status == STATUS_OK && (size_t)number != schema->key_count)
        return capture_refuse(err, entry, "has more key columns than x-keepstep-key; name all", "");
    if (status == STATUS_OK)
        status = capture_number(db,
                                "SELECT count(*), max(name) FROM pragma_index_list(?1) "
                                "WHERE \"unique\" AND origin <> 'pk'",
                                entry->table, &number, name, sizeof name, err);
    if (status == STATUS_OK && number > 0)
        return capture_refuse(err, entry,
                              "has a second unique index, through which REPLACE removes rows "
                              "without a trigger; drop it or make it a plain index: ",
                              name);
    return status == STATUS_OK && applied ? capture_check_cascade(db, entry, err) : status;
}
