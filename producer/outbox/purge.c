/* Purging the outbox: old rows that nobody needs go, few at a time and without a search. */
#include "common/clock.h"
#include "producer/outbox/sql.h"

#include <stdlib.h>

#define YOUNG_MAX     16 /* rows that are too young end a scan */
#define SCAN_ROWS_MAX 10000

/** Rows that may go. */
struct purge_scan {
    struct sql_parameter *positions; /* room for `limit` */
    size_t count;
    size_t limit;
};

/* MariaDB takes no time zone; in the other databases too a time without one is UTC. */
static void purge_format_time(int64_t time_us, char ret_text[static CLOCK_TEXT_SIZE])
{
    clock_format_utc(time_us, ret_text);
    ret_text[strlen(ret_text) - 1] = '\0';
}

/* Goes through the rows of a scan. Rows that wait for something else are passed over. The next scan
 * begins behind them, or at the first row once this one has met young rows. */
static enum status purge_collect(struct outbox_sql *self, struct purge_scan *scan,
                                 struct error *err)
{
    struct sql_session *session = self->session;
    enum status status = STATUS_OK;
    int64_t position = self->purged_to;
    size_t scanned = 0;
    size_t young = 0;
    while (status == STATUS_OK && session->has_row) {
        position = sql_column_integer(session, 0);
        if (sql_column_bool(session, 1) && sql_column_bool(session, 2))
            scan->positions[scan->count++] = sql_integer(position);
        young += sql_column_bool(session, 3);
        if (young == YOUNG_MAX || ++scanned == SCAN_ROWS_MAX || scan->count == scan->limit)
            break;
        status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status == STATUS_OK)
        self->purged_to = young > 0 || !session->has_row ? 0 : position;
    return status;
}

/* What may go may go for ever, so that only the deleting needs the lease. */
static enum status purge_by_scan(struct outbox_sql *self, const struct lease *lease,
                                 enum outbox_statement statement, const struct outbox_purge *purge,
                                 struct error *err)
{
    struct purge_scan scan = {.limit = purge->limit};
    char before[CLOCK_TEXT_SIZE];
    char now[CLOCK_TEXT_SIZE];
    purge_format_time(purge->before_us, before);
    purge_format_time(clock_wall_us(), now);
    const struct sql_parameter values[] = {sql_integer(self->purged_to), sql_string(before),
                                           sql_string(now), sql_text(purge->read_topics),
                                           sql_integer(SCAN_ROWS_MAX)};
    scan.positions = calloc(purge->limit + 1, sizeof *scan.positions);
    if (scan.positions == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sql_first(self->session, statement, values, 5, err);
    if (status == STATUS_OK)
        status = purge_collect(self, &scan, err);
    const struct sql_step steps[] = {{.statement = STATEMENT_PURGE_MOVED,
                                      .parameters = scan.positions,
                                      .columns = 1,
                                      .rows = scan.count},
                                     {.statement = STATEMENT_PURGE_ROW,
                                      .parameters = scan.positions,
                                      .columns = 1,
                                      .rows = scan.count}};
    self->session->changed = 0;
    if (status == STATUS_OK && scan.count > 0)
        status = outbox_sql_run_counted(self, lease, steps, 2, err);
    free(scan.positions);
    return status;
}

static enum status purge_by_statement(struct outbox_sql *self, const struct lease *lease,
                                      enum outbox_statement statement,
                                      const struct outbox_purge *purge, struct error *err)
{
    char before[CLOCK_TEXT_SIZE];
    purge_format_time(purge->before_us, before);
    const struct sql_parameter values[] = {sql_string(before), sql_integer((int64_t)purge->limit),
                                           sql_text(purge->read_topics)};
    const struct sql_step step = {
        .statement = statement, .parameters = values, .columns = 3, .rows = 1};
    return outbox_sql_run_fenced(self, lease, &step, 1, err);
}

enum status outbox_sql_purge(struct outbox *outbox, const struct lease *lease,
                             const struct outbox_purge *purge, size_t *ret_purged,
                             struct error *err)
{
    struct outbox_sql *self = outbox_sql_of(outbox);
    bool applies = false;
    *ret_purged = 0;
    enum status status = sql_has_tables(self->session, STATEMENT_HAS_POSITION_TABLE, &applies, err);
    if (status != STATUS_OK)
        return status;
    if (sql_statement_text(self->session, STATEMENT_PURGE) != NULL)
        status = purge_by_statement(
            self, lease, applies ? STATEMENT_PURGE_APPLIED : STATEMENT_PURGE, purge, err);
    else
        status = purge_by_scan(
            self, lease, applies ? STATEMENT_PURGE_SCAN_APPLIED : STATEMENT_PURGE_SCAN, purge, err);
    if (status == STATUS_OK)
        *ret_purged = (size_t)self->session->changed;
    return status;
}
