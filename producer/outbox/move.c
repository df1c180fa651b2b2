/* An entity type gets another topic: what was numbered for the old one stays the old one's. */
#include "producer/outbox/sql.h"

#define MOVE_ROWS 10000 /* rows that a step goes through */

/* How far the next step goes, and whether it is the last one. */
static enum status move_scan(struct sql_session *session, int64_t from, int64_t *ret_to,
                             bool *ret_last, struct error *err)
{
    const struct sql_parameter values[] = {sql_integer(from), sql_integer(MOVE_ROWS)};
    enum status status = sql_first(session, STATEMENT_MOVE_SCAN, values, 2, err);
    if (!session->has_row)
        return status;
    *ret_to = sql_column_integer(session, 0);
    *ret_last = sql_column_integer(session, 1) < MOVE_ROWS;
    session->ops->finish(session);
    return status;
}

/* The topic that the type has; "" for none. */
static enum status move_read_type(struct sql_session *session, const char *entity_type,
                                  char ret_topic[static OUTBOX_NAME_SIZE], struct error *err)
{
    const struct sql_parameter type = sql_string(entity_type);
    ret_topic[0] = '\0';
    enum status status = sql_first(session, STATEMENT_READ_TYPE, &type, 1, err);
    if (session->has_row)
        sql_column_copy(session, 0, ret_topic, OUTBOX_NAME_SIZE);
    session->ops->finish(session);
    return status;
}

enum status outbox_sql_move_type(struct outbox *outbox, const struct lease *lease,
                                 struct outbox_move *move, struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    char topic[OUTBOX_NAME_SIZE];
    int64_t to = move->position;
    bool last = false;
    enum status status = move_read_type(self->session, move->entity_type, topic, err);
    move->done = topic[0] == '\0' || strcmp(topic, move->topic) == 0;
    if (status == STATUS_OK && !move->done)
        status = move_scan(self->session, move->position, &to, &last, err);
    if (status != STATUS_OK || move->done)
        return status;
    const struct sql_parameter rows[] = {sql_string(move->entity_type), sql_integer(move->position),
                                         sql_integer(to), sql_string(topic)};
    const struct sql_parameter type[] = {sql_string(move->entity_type), sql_string(move->topic)};
    const struct sql_step steps[] = {
        {.statement = STATEMENT_MOVE_NOTE, .parameters = rows, .columns = 4, .rows = 1},
        {.statement = STATEMENT_MOVE_ROWS, .parameters = rows, .columns = 4, .rows = 1},
        {.statement = STATEMENT_MOVE_TYPE, .parameters = type, .columns = 2, .rows = last}};
    status = outbox_sql_run_fenced(self, lease, steps, 3, err);
    if (status == STATUS_OK) {
        move->position = to;
        move->done = last;
    }
    return status;
}
