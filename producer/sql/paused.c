/* Reads the table of paused types, for the outbox and for the origin. */
#include "producer/sql/session.h"

void sql_judge_tables(const struct sql_session *session, struct error *err)
{
    if (err == NULL || !session->ops->lacks_table(err))
        return;
    error_mark_config(err);
    error_prefix(err, "run `keepstep init` again: this version needs more tables");
}

enum status sql_list_paused(struct sql_session *session, unsigned statement,
                            struct paused_types *ret_paused, struct error *err)
{
    *ret_paused = (struct paused_types){0};
    enum status status = sql_first(session, statement, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        struct paused_type type = {.at_us = sql_column_integer(session, 1)};
        sql_column_copy(session, 0, type.entity_type, sizeof type.entity_type);
        sql_column_copy(session, 2, type.by, sizeof type.by);
        sql_column_copy(session, 3, type.reason, sizeof type.reason);
        status = paused_types_add(ret_paused, &type, err);
        if (status == STATUS_OK)
            status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status == STATUS_OK)
        return STATUS_OK;
    sql_judge_tables(session, err);
    paused_types_done(ret_paused);
    return status;
}
