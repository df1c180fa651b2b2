/* Refuses the tables whose changes triggers cannot capture whole (rules 25, 26), and columns that
 * do not hold what their schema type says. */
#include "producer/mariadb/capture.h"
#define CAPTURE_NO_COLUMN                                                                          \
    "does not have each column of the schema: write under columns: how one that was renamed is "   \
    "called now, take one that was dropped out of the schema; it has no column "

#include "common/mariadb_statement.h"
#include "producer_mariadb_sql.h"

#include <stdio.h>
#include <strings.h>
#include <sysexits.h>

#define CHECK_NAME_SIZE 256

struct check {
    const struct capture_catalogue *catalogue;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    struct capture_mariadb *table;
    bool seen[ENTITY_COLUMNS_MAX];
    size_t place[ENTITY_COLUMNS_MAX]; /* in the primary key, from 1; 0: none of it */
    size_t key_count;                 /* columns of the primary key */
    bool partition_seen;
};

static enum status check_refuse(const struct check *check, struct error *err, const char *what,
                                const char *name)
{
    enum status status = error_set(err, STATUS_FATAL, "publish.%s: table %s %s%s",
                                   check->entry->entity_type, check->entry->table, what, name);
    if (err != NULL)
        err->exit_code = EX_CONFIG;
    return status;
}

/* Runs a query of the table's name and takes its first row. */
static enum status check_ask(const struct check *check, const char *sql, bool *ret_row,
                             char first[CHECK_NAME_SIZE], char second[CHECK_NAME_SIZE],
                             struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter name = mariadb_string(check->entry->table);
    enum status status = mariadb_statement_new(check->catalogue->session, "catalogue", sql,
                                               &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &name, 1, ret_row, err);
    if (status == STATUS_OK && *ret_row) {
        mariadb_statement_copy(statement, 0, first, CHECK_NAME_SIZE);
        mariadb_statement_copy(statement, 1, second, CHECK_NAME_SIZE);
    }
    mariadb_statement_free(statement);
    return status;
}

/* The catalogue's types that a schema type reads. */
static const char *check_types(enum column_type type)
{
    switch (type) {
    case COLUMN_INTEGER:
        return " tinyint smallint mediumint int bigint bit year ";
    case COLUMN_DECIMAL:
        return " decimal tinyint smallint mediumint int bigint ";
    case COLUMN_DOUBLE:
        return " double float ";
    case COLUMN_TEXT:
        return " char varchar tinytext text mediumtext longtext enum set ";
    case COLUMN_BYTES:
        return " binary varbinary tinyblob blob mediumblob longblob ";
    case COLUMN_BOOLEAN:
        return " tinyint bit ";
    case COLUMN_DATE_TIME:
        return " timestamp datetime ";
    case COLUMN_TIMESTAMP:
        return " datetime ";
    case COLUMN_DATE:
        return " date ";
    case COLUMN_TIME:
        return " time ";
    case COLUMN_UUID:
        return " uuid char varchar ";
    case COLUMN_JSON:
        return " json longtext mediumtext text varchar ";
    }
    return "";
}

/* One column of the table against the schema's columns that are read from it. */
static enum status check_column(struct check *check, const char *name, const char *type,
                                size_t place, bool part, struct error *err)
{
    char wanted[CHECK_NAME_SIZE + 2];
    char what[CHECK_NAME_SIZE];
    (void)snprintf(wanted, sizeof wanted, " %s ", type);
    check->key_count += place > 0;
    if (check->entry->partition_key != NULL &&
        strcasecmp(config_column(check->entry, check->entry->partition_key), name) == 0)
        check->partition_seen = true;
    for (size_t i = 0; i < check->schema->column_count; i++) {
        const struct column *column = &check->schema->columns[i];
        if (strcasecmp(config_column(check->entry, column->name), name) != 0)
            continue;
        check->seen[i] = true;
        check->table->is_timestamp[i] = strcmp(type, "timestamp") == 0;
        if (strstr(check_types(column->type), wanted) == NULL) {
            (void)snprintf(what, sizeof what,
                           "has a column of type %.64s, which is not what x-keepstep-type %s "
                           "reads; correct one of them: ",
                           type, column_type_name(column->type));
            return check_refuse(check, err, what, name);
        }
        check->place[i] = place;
        if (column->is_key && (part || strcmp(type, "bit") == 0))
            return check_refuse(
                check, err, "has a primary key on bits or on the beginning of a column: ", name);
        if (column->is_key && place > 0 && place <= check->schema->key_count)
            check->table->base.key[place - 1] = i;
    }
    return STATUS_OK;
}

static enum status check_columns(struct check *check, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter table = mariadb_string(check->entry->table);
    bool row = true;
    enum status status = mariadb_statement_new(
        check->catalogue->session, "catalogue",
        check->catalogue->watching ? SQL_WATCH_COLUMNS : SQL_CHECK_COLUMNS, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, &table, 1, NULL, err);
    while (status == STATUS_OK) {
        char name[CHECK_NAME_SIZE];
        char type[CHECK_NAME_SIZE];
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        mariadb_statement_copy(statement, 0, name, sizeof name);
        mariadb_statement_copy(statement, 1, type, sizeof type);
        status = check_column(check, name, type, (size_t)mariadb_statement_integer(statement, 2),
                              mariadb_statement_integer(statement, 3) != 0, err);
    }
    mariadb_statement_free(statement);
    if (status != STATUS_OK)
        return status;
    if (check->key_count == 0)
        return check_refuse(check, err, "has no primary key; give it one", "");
    for (size_t i = 0; i < check->schema->column_count; i++) {
        const struct column *column = &check->schema->columns[i];
        const char *name = config_column(check->entry, column->name);
        if (!check->seen[i])
            return check_refuse(check, err, CAPTURE_NO_COLUMN, name);
        if (column->is_key && check->place[i] == 0)
            return check_refuse(check, err,
                                "has another primary key than x-keepstep-key, which names ", name);
    }
    if (check->entry->partition_key != NULL && !check->partition_seen)
        return check_refuse(check, err, "has no column for partition_key: ",
                            config_column(check->entry, check->entry->partition_key));
    if (check->key_count != check->schema->key_count)
        return check_refuse(check, err, "has more key columns than x-keepstep-key; name all", "");
    return STATUS_OK;
}

static enum status check_binary_log(const struct check *check, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = mariadb_statement_new(check->catalogue->session, "catalogue",
                                               SQL_CHECK_BINARY_LOG, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, NULL, 0, &row, err);
    bool statements = status == STATUS_OK && row && mariadb_statement_integer(statement, 0) != 0;
    mariadb_statement_free(statement);
    if (statements)
        return check_refuse(check, err,
                            "is logged by statements, which replicas would capture once more; set "
                            "binlog_format to MIXED or ROW",
                            "");
    return status;
}

enum status capture_mariadb_check(const struct capture_catalogue *catalogue,
                                  const struct config_entry *entry,
                                  const struct entity_schema *schema,
                                  struct capture_mariadb *ret_table, struct error *err)
{
    struct check check = {
        .catalogue = catalogue, .entry = entry, .schema = schema, .table = ret_table};
    char first[CHECK_NAME_SIZE] = "";
    char second[CHECK_NAME_SIZE] = "";
    bool found = false;
    *ret_table = (struct capture_mariadb){0};
    capture_init(&ret_table->base, &capture_mariadb_dialect, entry, schema);
    enum status status = check_ask(&check, catalogue->watching ? SQL_WATCH_TABLE : SQL_CHECK_TABLE,
                                   &found, first, second, err);
    if (status == STATUS_OK && !found)
        return check_refuse(&check, err, "does not exist; create it first", "");
    if (status == STATUS_OK && (strcmp(first, "BASE TABLE") != 0 || strcmp(second, "InnoDB") != 0))
        return check_refuse(&check, err,
                            "is no plain InnoDB table; only those can be rolled back with their "
                            "events. It is: ",
                            strcmp(first, "BASE TABLE") != 0 ? first : second);
    if (status == STATUS_OK)
        status = check_columns(&check, err);
    if (status == STATUS_OK)
        status = check_ask(&check, catalogue->watching ? SQL_WATCH_CASCADE : SQL_CHECK_CASCADE,
                           &found, first, second, err);
    if (status == STATUS_OK && found) {
        char what[2 * CHECK_NAME_SIZE + 160];
        (void)snprintf(what, sizeof what,
                       "follows table %s by a cascade, which fires no trigger; make the "
                       "constraint RESTRICT and let the service write these rows itself: ",
                       second);
        return check_refuse(&check, err, what, first);
    }
    return status == STATUS_OK ? check_binary_log(&check, err) : status;
}
