/* Keys that SQLite gives by itself, in what is promised. The try gives one and takes it back, so
 * the service's next row would get the same one, and be refused because it is reserved. */
#include "consumer/store/sql/joint.h"
#include "consumer/store/sqlite/internal.h"
#include "consumer_sqlite_sql.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_SIZE (STORE_NAME_SIZE + 8)

/** A table whose rows get their keys by themselves. */
struct key_table {
    const struct mapping *mapping;
    const struct joint_part *part;
    char path[PATH_SIZE]; /* of its key in an entity key, for json_extract() */
    bool is_counted;      /* AUTOINCREMENT: a key that was given once is not given again */
};

static enum status keys_number(struct store_sqlite *self, const char *sql,
                               const struct key_table *table, int64_t *ret_number,
                               struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = store_sqlite_keep(self, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    const struct slice texts[] = {
        slice_of(table->mapping->entry->table), slice_of(table->mapping->schema->entity_type),
        table->part->name.proposer, table->part->name.id, slice_of(table->path)};
    int count = sqlite3_bind_parameter_count(statement);
    for (int i = 0; i < count && i < (int)(sizeof texts / sizeof *texts); i++)
        sqlite_session_bind(statement, i + 1, texts[i]);
    int code = sqlite3_step(statement);
    *ret_number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = store_sqlite_fail(self, code, sql, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return status;
}

/* @return whether the table's key is one integer column that SQLite fills. */
static enum status keys_look(struct store_sqlite *self, struct key_table *table, bool *ret_gives,
                             struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    const struct column *key = &schema->columns[schema->key_columns[0]];
    int64_t is_alias = 0;
    int64_t is_counted = 0;
    *ret_gives = false;
    if (schema->key_count != 1 || key->type != COLUMN_INTEGER)
        return STATUS_OK;
    (void)snprintf(table->path, sizeof table->path, "$.\"%s\"", key->name);
    enum status status = keys_number(self, SQL_KEYS_ALIAS, table, &is_alias, err);
    if (status == STATUS_OK && is_alias != 0)
        status = keys_number(self, SQL_KEYS_COUNTED, table, &is_counted, err);
    table->is_counted = is_counted != 0;
    *ret_gives = is_alias != 0;
    return status;
}

/* @return whether the proposal itself asks for the row. */
static bool keys_is_asked(const struct key_table *table, int64_t key)
{
    const struct joint_part *part = table->part;
    for (size_t i = 0; i < part->change_count; i++) {
        const struct joint_change *change = &part->changes[i];
        const char *colon = memchr(change->key.data, ':', change->key.length);
        if (slice_is(change->entity_type, table->mapping->schema->entity_type) && colon != NULL &&
            strtoll(colon + 1, NULL, 10) == key)
            return true;
    }
    return false;
}

/* The next row of the service's gets a key behind those that are promised. */
static enum status keys_count_on(struct store_sqlite *self, const struct key_table *table,
                                 struct error *err)
{
    int64_t ignored = 0;
    enum status status = keys_number(self, SQL_KEYS_COUNT, table, &ignored, err);
    return status == STATUS_OK ? keys_number(self, SQL_KEYS_COUNT_ON, table, &ignored, err)
                               : status;
}

/* What a trigger has written under the next key is not promised: nobody can say which key it gets.
 */
static enum status keys_refuse(struct store_sqlite *self, const struct key_table *table,
                               struct error *err)
{
    int64_t key = 0;
    char *sql = sqlite3_mprintf(SQL_KEYS_GIVEN, table->mapping->entry->table);
    if (sql == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = keys_number(self, sql, table, &key, err);
    sqlite3_free(sql);
    if (status != STATUS_OK || key == 0 || keys_is_asked(table, key))
        return status;
    return error_set(err, STATUS_REJECT,
                     "a trigger lets table %s give key %lld, which cannot be promised: make the "
                     "key AUTOINCREMENT, or give it in the trigger",
                     table->mapping->entry->table, (long long)key);
}

enum status joint_sqlite_keys(struct store *store, const struct joint_part *part, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    const struct joint_types *types = store_sql_of(store)->joint_types;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < types->count; i++) {
        struct key_table table = {.mapping = &types->mappings[i], .part = part};
        bool gives = false;
        status = keys_look(self, &table, &gives, err);
        if (status == STATUS_OK && gives)
            status = table.is_counted ? keys_count_on(self, &table, err)
                                      : keys_refuse(self, &table, err);
    }
    return status;
}
