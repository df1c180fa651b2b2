/* The MariaDB outbox where a type gets another topic: what was numbered for the old one stays. */
#include "producer/mariadb/outbox_internal.h"

static enum status outbox_mariadb_read_type(struct outbox_mariadb *self, const char *entity_type,
                                            char ret_topic[static OUTBOX_NAME_SIZE],
                                            struct error *err)
{
    const struct mariadb_parameter type = mariadb_string(entity_type);
    struct mariadb_statement *statement = NULL;
    bool row = false;
    ret_topic[0] = '\0';
    enum status status = outbox_mariadb_statement(self, READ_TYPE, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &type, 1, &row, err);
    if (status == STATUS_OK && row)
        mariadb_statement_copy(statement, 0, ret_topic, OUTBOX_NAME_SIZE);
    mariadb_statement_end(statement);
    return status;
}

/* Looks how far a step of at most OUTBOX_MOVE_ROWS rows goes. */
static enum status outbox_mariadb_move_look(struct outbox_mariadb *self, int64_t from,
                                            int64_t *ret_to, bool *ret_last, struct error *err)
{
    const struct mariadb_parameter values[] = {mariadb_integer(from),
                                               mariadb_integer(OUTBOX_MOVE_ROWS)};
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = outbox_mariadb_statement(self, MOVE_LOOK, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, values, 2, &row, err);
    if (status == STATUS_OK && row) {
        *ret_to = mariadb_statement_integer(statement, 0);
        *ret_last = mariadb_statement_integer(statement, 1) < OUTBOX_MOVE_ROWS;
    }
    mariadb_statement_end(statement);
    return status;
}

enum status outbox_mariadb_move_type(struct outbox *outbox, const struct lease *lease,
                                     const char *entity_type, const char *topic, int64_t *position,
                                     bool *ret_done, struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    const struct mariadb_parameter type[] = {mariadb_string(topic), mariadb_string(entity_type)};
    char now[OUTBOX_NAME_SIZE];
    int64_t to = *position;
    enum status status = outbox_mariadb_read_type(self, entity_type, now, err);
    *ret_done = now[0] == '\0' || strcmp(now, topic) == 0;
    if (status != STATUS_OK || *ret_done)
        return outbox_mariadb_settle(self, status, err);
    status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_move_look(self, *position, &to, ret_done, err);
    const struct mariadb_parameter rows[] = {mariadb_string(now), mariadb_string(entity_type),
                                             mariadb_integer(*position), mariadb_integer(to)};
    if (status == STATUS_OK)
        status = outbox_mariadb_run(self, MOVE_NOTE, rows, 4, NULL, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_run(self, MOVE_ROWS, rows + 1, 3, NULL, err);
    if (status == STATUS_OK && *ret_done)
        status = outbox_mariadb_run(self, MOVE_TYPE, type, 2, NULL, err);
    status = outbox_mariadb_end(self, status, err);
    if (status == STATUS_OK)
        *position = to;
    return status;
}
