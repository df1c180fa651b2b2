/* Runs a query of two texts in MariaDB; rows come one by one from the connection. */
#include "common/mariadb_scan.h"

#define CLOCK_ROWS 256 /* between two looks at the clock */

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
    return status;
}

enum status mariadb_scan_run(MYSQL *session, struct row_query *query, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    if (query->parameter_count > MARIADB_SCAN_PARAMETERS_MAX)
        return error_set(err, STATUS_FATAL, "table %s: too many parameters", query->table);
    enum status status = mariadb_statement_new(session, query->table, query->sql, &statement, err);
    for (query->run = 0; status == STATUS_OK && query->run < query->runs; query->run++)
        status = scan_one(statement, query, err);
    mariadb_statement_free(statement);
    return status;
}
