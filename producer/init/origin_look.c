/* Reads what a database says of itself and of its login, and changes nothing. */
#include "producer/init/origin_sql.h"

#include <stdlib.h>

static void look_note(struct sql_session *session, struct origin_look *look)
{
    const struct {
        const char *name;
        char *text; /* NULL: it is a number */
        int64_t *number;
    } facts[] = {{"product", look->product, NULL},
                 {"journal", look->journal, NULL},
                 {"read_only", look->read_only, NULL},
                 {"impatient", look->impatient, NULL},
                 {"clock_us", NULL, &look->clock_us},
                 {"connections", NULL, &look->connections},
                 {"connections_max", NULL, &look->connections_max}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (!slice_is(session->ops->column(session, 0), facts[i].name))
            continue;
        if (facts[i].text == NULL)
            *facts[i].number = sql_column_integer(session, 1);
        else
            sql_column_copy(session, 1, facts[i].text, ORIGIN_NAME_SIZE);
    }
}

/* A text where there is something to say; other databases have no such statement. */
static enum status look_text(struct sql_session *session, unsigned statement,
                             char text[ORIGIN_NAME_SIZE], struct error *err)
{
    if (sql_statement_text(session, statement) == NULL)
        return STATUS_OK;
    enum status status = sql_first(session, statement, NULL, 0, err);
    if (session->has_row)
        sql_column_copy(session, 0, text, ORIGIN_NAME_SIZE);
    session->ops->finish(session);
    return status;
}

enum status origin_sql_look(struct origin *origin, struct origin_look *ret_look, struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    *ret_look = (struct origin_look){0};
    enum status status = sql_first(session, STATEMENT_LOOK, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        look_note(session, ret_look);
        status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status == STATUS_OK)
        status = look_text(session, STATEMENT_NOT_DURABLE, ret_look->not_durable, err);
    if (status == STATUS_OK)
        status = look_text(session, STATEMENT_JOINT_UNFIT, ret_look->joint_unfit, err);
    return status == STATUS_OK
               ? sql_is_true(session, STATEMENT_HAS_RESERVED, &ret_look->joint_ready, err)
               : status;
}
