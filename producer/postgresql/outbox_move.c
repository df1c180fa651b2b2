/* The PostgreSQL outbox where a type gets another topic: what was numbered for the old one stays.
 */
#include "producer/postgresql/outbox_internal.h"
#include "producer_postgresql_sql.h"

#include <inttypes.h>
#include <stdio.h>

/* The topic of a type, and how far a step of at most OUTBOX_MOVE_ROWS rows goes. */
static enum status outbox_postgresql_move_look(struct outbox_postgresql *self, struct slice type,
                                               int64_t from,
                                               char ret_topic[static OUTBOX_NAME_SIZE],
                                               int64_t *ret_to, bool *ret_last, struct error *err)
{
    char numbers[2][OUTBOX_NUMBER_SIZE];
    PGresult *result = NULL;
    ret_topic[0] = '\0';
    enum status status = outbox_postgresql_query(self, SQL_READ_TYPE, &type, 1, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0)
        (void)snprintf(ret_topic, OUTBOX_NAME_SIZE, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    result = NULL;
    if (status != STATUS_OK)
        return status;
    (void)snprintf(numbers[0], sizeof numbers[0], "%" PRId64, from);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", OUTBOX_MOVE_ROWS);
    const struct slice parameters[] = {slice_of(numbers[0]), slice_of(numbers[1])};
    status = outbox_postgresql_query(self, SQL_MOVE_LOOK, parameters, 2, &result, err);
    if (status == STATUS_OK) {
        *ret_to = postgresql_session_integer(result, 0, 0);
        *ret_last = postgresql_session_integer(result, 0, 1) < OUTBOX_MOVE_ROWS;
    }
    PQclear(result);
    return status;
}

enum status outbox_postgresql_move_type(struct outbox *outbox, const struct lease *lease,
                                        const char *entity_type, const char *topic,
                                        int64_t *position, bool *ret_done, struct error *err)
{
    struct outbox_postgresql *self = outbox_postgresql_of(outbox);
    char now[OUTBOX_NAME_SIZE];
    char numbers[2][OUTBOX_NUMBER_SIZE];
    int64_t to = 0;
    bool last = false;
    enum status status = outbox_postgresql_move_look(self, slice_of(entity_type), *position, now,
                                                     &to, &last, err);
    *ret_done = now[0] == '\0' || strcmp(now, topic) == 0;
    if (status != STATUS_OK || *ret_done)
        return status;
    (void)snprintf(numbers[0], sizeof numbers[0], "%" PRId64, *position);
    (void)snprintf(numbers[1], sizeof numbers[1], "%" PRId64, to);
    const char *const rows[] = {entity_type, numbers[0], numbers[1]};
    const char *const type[] = {entity_type, topic};
    const struct outbox_step steps[] = {{SQL_MOVE_NOTE, rows, 3, NULL},
                                        {SQL_MOVE_ROWS, rows, 3, NULL},
                                        {SQL_MOVE_TYPE, type, 2, NULL}};
    status = outbox_postgresql_fenced(self, lease, steps, last ? 3 : 2, NULL, err);
    if (status == STATUS_OK) {
        *position = to;
        *ret_done = last;
    }
    return status;
}
