/* Purging the MariaDB outbox: old rows that nobody needs go, in small bites and without a search.
 */
#include "producer/mariadb/outbox_internal.h"
#include "common/clock.h"

#include <stdlib.h>

#define YOUNG_MAX     16 /* rows that are too young end a look */
#define LOOK_ROWS_MAX 10000

/* Collects up to `limit` positions of rows that may go. Rows that wait for something else are
 * passed over, and the next look begins behind them; from the start again once it has met young
 * ones. */
static enum status outbox_mariadb_collect(struct outbox_mariadb *self,
                                          struct mariadb_statement *statement, size_t limit,
                                          struct mariadb_parameter *positions, size_t *ret_count,
                                          struct error *err)
{
    size_t young = 0;
    size_t looked = 0;
    size_t count = 0;
    int64_t position = self->purged_to;
    bool row = true;
    enum status status = STATUS_OK;
    while (young < YOUNG_MAX && looked < LOOK_ROWS_MAX && count < limit) {
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        looked++;
        position = mariadb_statement_integer(statement, 0);
        if (mariadb_statement_integer(statement, 1) != 0 &&
            mariadb_statement_integer(statement, 2) != 0)
            positions[count++] = mariadb_integer(position);
        young += mariadb_statement_integer(statement, 3) != 0;
    }
    if (status == STATUS_OK)
        self->purged_to = young > 0 || !row ? 0 : position;
    *ret_count = count;
    return status;
}

static enum status outbox_mariadb_look(struct outbox_mariadb *self, enum outbox_statement which,
                                       const struct outbox_purge *purge,
                                       struct mariadb_parameter *positions, size_t *ret_count,
                                       struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter values[6];
    size_t count = 0;
    char before[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];
    clock_format_utc(purge->before_us, before);
    clock_format_utc(clock_wall_us(), now);
    before[strlen(before) - 1] = '\0'; /* MariaDB knows no Z */
    now[strlen(now) - 1] = '\0';
    values[count++] = mariadb_string(before);
    if (which == PURGE_LOOK_APPLIED)
        values[count++] = mariadb_text(purge->read_topics);
    values[count++] = mariadb_string(before);
    values[count++] = mariadb_string(now);
    values[count++] = mariadb_integer(self->purged_to);
    values[count++] = mariadb_integer(LOOK_ROWS_MAX);
    enum status status = outbox_mariadb_statement(self, which, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, values, count, NULL, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_collect(self, statement, purge->limit, positions, ret_count, err);
    mariadb_statement_end(statement);
    return status;
}

enum status outbox_mariadb_purge(struct outbox *outbox, const struct lease *lease,
                                 const struct outbox_purge *purge, size_t *ret_purged,
                                 struct error *err)
{
    struct outbox_mariadb *self = outbox_mariadb_of(outbox);
    struct mariadb_statement *statement = NULL;
    struct error absent = ERROR_INIT;
    size_t count = 0;
    *ret_purged = 0;
    struct mariadb_parameter *positions = calloc(purge->limit + 1, sizeof *positions);
    if (positions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = outbox_mariadb_look(self, PURGE_LOOK_APPLIED, purge, positions, &count,
                                             &absent);
    if (absent.native_code == ER_NO_SUCH_TABLE) /* nothing was ever applied here */
        status = outbox_mariadb_look(self, PURGE_LOOK, purge, positions, &count, err);
    else if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = absent;
    if (status != STATUS_OK || count == 0) {
        status = outbox_mariadb_settle(self, status, err);
        goto out;
    }
    /* What may go may go for ever, so that only the deleting needs the lease. */
    status = outbox_mariadb_begin_fenced(self, lease, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_statement(self, PURGE_ROW, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run_rows(statement, positions, 1, count, NULL, err);
    if (status == STATUS_OK)
        status = outbox_mariadb_statement(self, PURGE_MOVED, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run_rows(statement, positions, 1, count, NULL, err);
    status = outbox_mariadb_end(self, status, err);
    if (status == STATUS_OK)
        *ret_purged = count;
out:
    free(positions);
    return status;
}
