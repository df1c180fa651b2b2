/* Snapshots of MariaDB, and queries of two texts whose rows come one by one from the connection. */
#include "common/mariadb_scan.h"

#include "common/buffer.h"

#define CLOCK_ROWS    256 /* between two looks at the clock */
#define NAME_SIZE_MAX ((size_t)1024)

/* The clock of files may be a little behind. */
static const char TIME[] = "SELECT floor(unix_timestamp(now(6)) - 0.1)";

/* create_time is that of the last change of the table's definition, or of its name, in whole
 * seconds. */
static const char HAS[] =
    "SELECT coalesce(min(create_time < FROM_UNIXTIME(?)), count(*) > 0) "
    "FROM information_schema.tables WHERE table_schema = database() AND table_name = ?";

/* Read the first column of the only row. */
static enum status read_number(MYSQL *session, const char *sql, struct mariadb_rows values,
                               int64_t *ret_number, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    *ret_number = 0;
    enum status status = mariadb_statement_new(session, sql, sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, values.values, values.columns, &row, err);
    if (row)
        *ret_number = mariadb_statement_integer(statement, 0);
    mariadb_statement_end(statement);
    mariadb_statement_free(statement);
    return status;
}

enum status mariadb_snapshot_time(MYSQL *session, int64_t *ret_time_s, struct error *err)
{
    return read_number(session, TIME, (struct mariadb_rows){0}, ret_time_s, err);
}

static void append_unquoted(struct buffer *name, const char *quoted)
{
    for (const char *at = quoted + 1; at[0] != '\0' && at[1] != '\0'; at++) {
        buffer_append(name, at, 1);
        at += at[0] == '`';
    }
}

enum status mariadb_snapshot_has(MYSQL *session, const char *table, int64_t time_s,
                                 struct error *err)
{
    int64_t has = 0;
    struct buffer name;
    buffer_init(&name, NAME_SIZE_MAX);
    append_unquoted(&name, table);
    const struct mariadb_parameter values[] = {mariadb_integer(time_s),
                                               mariadb_text(buffer_slice(&name))};
    enum status status = name.failed ? error_set(err, STATUS_RETRY, "no memory")
                                     : read_number(session, HAS,
                                                   (struct mariadb_rows){values, 2, 1}, &has, err);
    if (status == STATUS_OK && has == 0) {
        status = error_set(
            err, STATUS_RETRY,
            "table %s was changed or replaced just before the snapshot began, or later", table);
        error_mark_outdated(err);
    }
    buffer_done(&name);
    return status;
}

static struct mariadb_parameter scan_parameter(const struct query_parameter *parameter)
{
    if (parameter->kind == QUERY_INTEGER)
        return mariadb_integer(parameter->integer);
    return parameter->kind == QUERY_BYTES ? mariadb_bytes(parameter->text)
                                          : mariadb_text(parameter->text);
}

static enum status scan_one(struct mariadb_statement *statement, const struct row_query *query,
                            struct error *err)
{
    struct mariadb_parameter values[MARIADB_SCAN_PARAMETERS_MAX];
    size_t first = query->run * query->parameter_count;
    bool row = true;
    if (query->parameter_count > MARIADB_SCAN_PARAMETERS_MAX)
        return error_set(err, STATUS_FATAL, "table %s: too many parameters", query->table);
    enum status status = row_query_check_time(query, err);
    for (size_t i = 0; i < query->parameter_count; i++)
        values[i] = scan_parameter(&query->parameters[first + i]);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, values, query->parameter_count, &row, err);
    for (size_t i = 1; status == STATUS_OK && row; i++) {
        status = query->visit(query->context, mariadb_statement_column(statement, 0),
                              mariadb_statement_column(statement, 1), err);
        if (status == STATUS_OK && i % CLOCK_ROWS == 0)
            status = row_query_check_time(query, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    if (status == STATUS_RETRY && err != NULL && err->native_code == ER_TABLE_DEF_CHANGED)
        error_mark_outdated(err);
    return status;
}

enum status mariadb_scan_once(struct mariadb_statement *statement, struct row_query *query,
                              struct error *err)
{
    query->run = 0;
    return scan_one(statement, query, err);
}

enum status mariadb_scan_run(MYSQL *session, struct row_query *query, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = mariadb_statement_new(session, query->table, query->sql, &statement, err);
    for (query->run = 0; status == STATUS_OK && query->run < query->runs; query->run++)
        status = scan_one(statement, query, err);
    mariadb_statement_free(statement);
    return status;
}
