/* What MariaDB's catalogue says of a table that is to be captured. */
#include "common/mariadb_statement.h"
#include "producer/mariadb/capture.h"
#include "producer_mariadb_sql.h"
#include "schemas/column_dialect.h"

#include <stdio.h>
#include <strings.h>

#define TYPE_SIZE 65

/* A column of the table that the schema reads. */
struct found {
    bool exists;
    char type[TYPE_SIZE];
    size_t place; /* in the primary key, from 1; 0: none of it */
    bool part;    /* the key has only its beginning */
};

struct check_mariadb {
    struct check base;
    MYSQL *session;
    struct capture_mariadb *capture;
    struct found columns[ENTITY_COLUMNS_MAX]; /* by schema column */
    struct found partition_key;
};

/* MariaDB types that a schema type reads. */
static const char *const TYPES[] = {
    [COLUMN_INTEGER] = " tinyint smallint mediumint int bigint bit year ",
    [COLUMN_DECIMAL] = " decimal tinyint smallint mediumint int bigint ",
    [COLUMN_DOUBLE] = " double float ",
    [COLUMN_TEXT] = " char varchar tinytext text mediumtext longtext enum set ",
    [COLUMN_BYTES] = " binary varbinary tinyblob blob mediumblob longblob ",
    [COLUMN_BOOLEAN] = " tinyint bit ",
    [COLUMN_DATE_TIME] = " timestamp datetime ",
    [COLUMN_TIMESTAMP] = " datetime ",
    [COLUMN_DATE] = " date ",
    [COLUMN_TIME] = " time ",
    [COLUMN_UUID] = " uuid char varchar ",
    [COLUMN_JSON] = " json longtext mediumtext text varchar ",
};

/* The first row of a query of the table's name. */
struct answer {
    bool row;
    char first[CHECK_NAME_SIZE];
    char second[CHECK_NAME_SIZE];
};

static enum status capture_ask(const struct check *check, const char *sql,
                               struct answer *ret_answer, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter name = mariadb_string(check->entry->table);
    *ret_answer = (struct answer){0};
    enum status status = mariadb_statement_new(((const struct check_mariadb *)check)->session,
                                               "catalogue", sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &name, 1, &ret_answer->row, err);
    if (status == STATUS_OK && ret_answer->row) {
        mariadb_statement_copy(statement, 0, ret_answer->first, CHECK_NAME_SIZE);
        mariadb_statement_copy(statement, 1, ret_answer->second, CHECK_NAME_SIZE);
    }
    mariadb_statement_free(statement);
    return status;
}

/* Keeps what is found of a column, for each schema column that it is the column of. */
static void capture_note(struct check_mariadb *self, const char *name, const struct found *found)
{
    const struct config_entry *entry = self->base.entry;
    const struct entity_schema *schema = self->base.schema;
    if (entry->partition_key != NULL &&
        strcasecmp(config_column(entry, entry->partition_key), name) == 0)
        self->partition_key = *found;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        if (strcasecmp(config_column(entry, column->name), name) != 0)
            continue;
        self->columns[i] = *found;
        self->capture->is_timestamp[i] = strcmp(found->type, "timestamp") == 0;
        if (column->is_key && found->place > 0 && found->place <= schema->key_count)
            self->capture->base.key[found->place - 1] = i;
    }
}

static enum status capture_read_columns(struct check_mariadb *self, size_t *ret_key_columns,
                                        struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter table = mariadb_string(self->base.entry->table);
    bool row = true;
    enum status status = mariadb_statement_new(
        self->session, "catalogue", self->base.watching ? SQL_WATCH_COLUMNS : SQL_CHECK_COLUMNS,
        &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, &table, 1, NULL, err);
    while (status == STATUS_OK && row) {
        struct found found = {.exists = true};
        char name[CHECK_NAME_SIZE];
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        mariadb_statement_copy(statement, 0, name, sizeof name);
        mariadb_statement_copy(statement, 1, found.type, sizeof found.type);
        found.place = (size_t)mariadb_statement_integer(statement, 2);
        found.part = mariadb_statement_integer(statement, 3) != 0;
        *ret_key_columns += found.place > 0;
        capture_note(self, name, &found);
    }
    mariadb_statement_free(statement);
    return status;
}

static enum status capture_table(struct check *check, struct check_table *ret_table,
                                 struct error *err)
{
    struct answer answer;
    enum status status = capture_ask(check, check->watching ? SQL_WATCH_TABLE : SQL_CHECK_TABLE,
                                     &answer, err);
    if (status != STATUS_OK || !answer.row)
        return status;
    ret_table->exists = true;
    bool is_table = strcmp(answer.first, "BASE TABLE") == 0;
    if (!is_table || strcmp(answer.second, "InnoDB") != 0)
        return check_refuse(check, err,
                            "is no plain InnoDB table; only those can be rolled back with their "
                            "events. It is: %s",
                            is_table ? answer.second : answer.first);
    return capture_read_columns((struct check_mariadb *)check, &ret_table->key_columns, err);
}

static enum status capture_column(struct check *check, const struct column *column,
                                  const char *name, struct check_column *ret_column,
                                  struct error *err)
{
    const struct check_mariadb *self = (const struct check_mariadb *)check;
    const struct found *found = column == NULL ? &self->partition_key
                                               : &self->columns[column - check->schema->columns];
    *ret_column = (struct check_column){.exists = found->exists, .in_key = found->place > 0};
    (void)snprintf(ret_column->type, sizeof ret_column->type, "%s", found->type);
    (void)snprintf(ret_column->shown, sizeof ret_column->shown, "%s", found->type);
    if (column != NULL && column->is_key && (found->part || strcmp(found->type, "bit") == 0))
        return check_refuse(check, err,
                            "has a primary key on bits or on the beginning of a column: %s", name);
    return STATUS_OK;
}

static enum status capture_check_binary_log(const struct check *check, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = mariadb_statement_new(((const struct check_mariadb *)check)->session,
                                               "catalogue", SQL_CHECK_BINARY_LOG, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, NULL, 0, &row, err);
    bool statements = status == STATUS_OK && row && mariadb_statement_integer(statement, 0) != 0;
    mariadb_statement_free(statement);
    if (statements)
        return check_refuse(check, err,
                            "is logged by statements, which replicas would capture once more; set "
                            "binlog_format to MIXED or ROW");
    return status;
}

static enum status capture_changes(struct check *check, struct error *err)
{
    struct answer answer;
    enum status status = capture_ask(check, check->watching ? SQL_WATCH_CASCADE : SQL_CHECK_CASCADE,
                                     &answer, err);
    if (status == STATUS_OK && answer.row)
        return check_refuse(check, err,
                            "follows table %s by a cascade, which fires no trigger; make the "
                            "constraint RESTRICT and let the service write these rows itself: %s",
                            answer.second, answer.first);
    return status == STATUS_OK ? capture_check_binary_log(check, err) : status;
}

static const struct check_ops OPS = {
    .types = TYPES, .table = capture_table, .column = capture_column, .changes = capture_changes};

/* The function's own expression, with the table's name in the place of its parameter: where only
 * SQL is printed there is no function yet. */
static void uniques_append(struct buffer *sql, const char *table)
{
    static const char begin[] = "\nRETURN ";
    static const char parameter[] = "wanted_table";
    const char *text = strstr(SQL_CREATE_UNIQUE_NAMES, begin);
    const char *at;
    text += sizeof begin - 1;
    for (; (at = strstr(text, parameter)) != NULL; text = at + sizeof parameter - 1) {
        buffer_append(sql, text, (size_t)(at - text));
        sql_literal(sql, &column_mariadb_dialect.text, slice_of(table));
    }
    buffer_append_text(sql, text);
}

static enum status uniques_keep(struct mariadb_statement *statement,
                                struct capture_mariadb *capture, struct arena *arena,
                                struct error *err)
{
    bool row = true;
    enum status status = mariadb_statement_next(statement, &row, err);
    for (; status == STATUS_OK && row; status = mariadb_statement_next(statement, &row, err)) {
        struct slice name;
        if (capture->value_name_count == CAPTURE_UNIQUES_MAX ||
            !mariadb_statement_text(statement, 0, arena, &name))
            return error_set(err, STATUS_RETRY, "no memory");
        capture->value_names[capture->value_name_count++] = name.data;
    }
    return status;
}

enum status capture_mariadb_read_uniques(MYSQL *session, struct capture_mariadb *capture,
                                         bool watching, struct arena *arena, struct error *err)
{
    const char *table = capture->base.entry->table;
    struct mariadb_statement *statement = NULL;
    struct buffer sql;
    buffer_init(&sql, SQL_TEXT_MAX);
    buffer_append_text(&sql, "SELECT u.value FROM JSON_TABLE(");
    if (watching) {
        buffer_append_text(&sql, "keepstep_unique_names(");
        sql_literal(&sql, &column_mariadb_dialect.text, slice_of(table));
        buffer_append_text(&sql, ")");
    } else {
        uniques_append(&sql, table);
    }
    buffer_append_text(&sql, SQL_READ_UNIQUE_NAMES);
    enum status status = sql.failed ? error_set(err, STATUS_RETRY, "no memory")
                                    : mariadb_statement_new(session, "catalogue", buffer_text(&sql),
                                                            &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, NULL, 0, NULL, err);
    if (status == STATUS_OK)
        status = uniques_keep(statement, capture, arena, err);
    mariadb_statement_free(statement);
    buffer_done(&sql);
    return status;
}

enum status capture_mariadb_check(MYSQL *session, const struct check *check,
                                  struct capture_mariadb *ret_capture, struct error *err)
{
    struct check_mariadb self = {.base = *check, .session = session, .capture = ret_capture};
    self.base.ops = &OPS;
    *ret_capture = (struct capture_mariadb){0};
    capture_init(&ret_capture->base, &capture_mariadb_dialect, check->entry, check->schema);
    ret_capture->base.is_timestamp = ret_capture->is_timestamp;
    return check_table(&self.base, err);
}
