/* What all sessions share: running statements and reading columns. */
#include "producer/sql/session.h"

#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

enum status sql_run(struct sql_session *session, unsigned statement,
                    const struct sql_parameter *parameters, size_t count, struct error *err)
{
    if (sql_statement_text(session, statement) == NULL)
        return STATUS_OK;
    enum status status = session->ops->run(session, statement, parameters, count, err);
    session->ops->finish(session);
    return status;
}

enum status sql_run_each(struct sql_session *session, const unsigned *statements, size_t count,
                         struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = sql_run(session, statements[i], NULL, 0, err);
    return status;
}

enum status sql_first(struct sql_session *session, unsigned statement,
                      const struct sql_parameter *parameters, size_t count, struct error *err)
{
    session->has_row = false;
    enum status status = session->ops->run(session, statement, parameters, count, err);
    if (status == STATUS_OK)
        status = session->ops->next(session, err);
    session->has_row = session->has_row && status == STATUS_OK;
    if (!session->has_row)
        session->ops->finish(session);
    return status;
}

enum status sql_is_true(struct sql_session *session, unsigned statement, bool *ret_true,
                        struct error *err)
{
    enum status status = sql_first(session, statement, NULL, 0, err);
    *ret_true = status == STATUS_OK && session->has_row && sql_column_bool(session, 0);
    session->ops->finish(session);
    return status;
}

enum status sql_has_tables(struct sql_session *session, unsigned statement, bool *ret_has,
                           struct error *err)
{
    struct error failed = ERROR_INIT;
    enum status status = sql_is_true(session, statement, ret_has, &failed);
    if (status == STATUS_OK || session->ops->lacks_table(&failed))
        return STATUS_OK;
    if (err != NULL && err->status == STATUS_OK)
        *err = failed;
    return status;
}

int64_t sql_column_integer(const struct sql_session *session, size_t column)
{
    char text[24];
    sql_column_copy(session, column, text, sizeof text);
    return strtoll(text, NULL, 10);
}

bool sql_column_bool(const struct sql_session *session, size_t column)
{
    return slice_is(session->ops->column(session, column), "t") ||
           sql_column_integer(session, column) != 0;
}

void sql_column_copy(const struct sql_session *session, size_t column, char *target, size_t size)
{
    struct slice text = utf8_cut(session->ops->column(session, column), size - 1);
    if (text.length > 0)
        memcpy(target, text.data, text.length);
    target[text.length] = '\0';
}

bool sql_column_text(const struct sql_session *session, size_t column, struct arena *arena,
                     struct slice *ret_text)
{
    struct slice text = session->ops->column(session, column);
    *ret_text = text.data == NULL ? text : arena_copy(arena, text);
    return text.data == NULL || ret_text->data != NULL;
}
