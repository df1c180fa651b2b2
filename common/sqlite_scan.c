/* Runs a query of two texts in SQLite, step by step. */
#include "common/sqlite_scan.h"

#define CLOCK_ROWS 256 /* between two looks at the clock */

static void scan_bind(sqlite3_stmt *statement, const struct row_query *query)
{
    for (size_t i = 0; i < query->parameter_count; i++) {
        const struct query_parameter *parameter =
            &query->parameters[query->run * query->parameter_count + i];
        int place = (int)i + 1;
        if (parameter->kind == QUERY_INTEGER)
            (void)sqlite3_bind_int64(statement, place, parameter->integer);
        else if (parameter->kind == QUERY_BYTES)
            (void)sqlite3_bind_blob64(statement, place, parameter->text.data,
                                      parameter->text.length, SQLITE_STATIC);
        else
            sqlite_session_bind(statement, place, parameter->text);
    }
}

static enum status scan_one(sqlite3_stmt *statement, const struct row_query *query,
                            struct error *err)
{
    enum status status = row_query_check_time(query, err);
    int code = SQLITE_DONE;
    scan_bind(statement, query);
    for (size_t i = 1; status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        status = query->visit(query->context, sqlite_session_text(statement, 0),
                              sqlite_session_text(statement, 1), err);
        if (status == STATUS_OK && i % CLOCK_ROWS == 0)
            status = row_query_check_time(query, err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE)
        status = sqlite_session_error(sqlite3_db_handle(statement), query->table, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return status;
}

enum status sqlite_scan_statement(sqlite3_stmt *statement, struct row_query *query,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    for (query->run = 0; status == STATUS_OK && query->run < query->runs; query->run++)
        status = scan_one(statement, query, err);
    return status;
}

enum status sqlite_scan_run(sqlite3 *database, struct row_query *query, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(database, query->sql, &statement, err);
    if (status == STATUS_OK)
        status = sqlite_scan_statement(statement, query, err);
    (void)sqlite3_finalize(statement);
    return status;
}
