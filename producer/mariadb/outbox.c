/* The outbox in a service's MariaDB database. */
#include "producer/mariadb/sql_session.h"
#include "producer/outbox/sql.h"
#include "producer_mariadb_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

extern const struct outbox_ops outbox_mariadb_ops;

#define FITTING_ROWS_MIN 16

struct outbox_mariadb {
    struct outbox_sql shared;
    struct sql_mariadb session;
    int64_t fitted; /* rows, the last time that they were large */
    bool narrow;    /* the last load ended at its number of rows, not at its bytes */
};

static const char *const STATEMENTS[OUTBOX_STATEMENT_COUNT] = {
    [STATEMENT_LOCK_LEASE] = SQL_LOCK_LEASE,
    [STATEMENT_NOT_DURABLE] = SQL_NOT_DURABLE,
    [STATEMENT_LIST_WAITING] = SQL_LIST_WAITING,
    [STATEMENT_LIST_SET_ASIDE] = SQL_LIST_SET_ASIDE,
    [STATEMENT_LIST_ALL] = SQL_LIST_ALL,
    [STATEMENT_PURGE_SCAN] = SQL_PURGE_SCAN,
    [STATEMENT_PURGE_SCAN_APPLIED] = SQL_PURGE_SCAN_APPLIED,
    [STATEMENT_PURGE_ROW] = SQL_PURGE_ROW,
    [STATEMENT_PURGE_MOVED] = SQL_PURGE_MOVED,
    [STATEMENT_CLAIM_ROW] = SQL_CLAIM_ROW,
    [STATEMENT_CLAIM_PARTITION] = SQL_CLAIM_PARTITION,
    [STATEMENT_SIGNATURE] = SQL_SIGNATURE,
    [STATEMENT_COUNT_FITTING] = SQL_COUNT_FITTING,
    [STATEMENT_COUNT_FITTING_SETS] = SQL_COUNT_FITTING_SETS,
    OUTBOX_STATEMENTS(OUTBOX_STATEMENT_TEXT)};

static enum status outbox_mariadb_open(const struct outbox_options *options,
                                       struct outbox **ret_outbox, struct error *err)
{
    struct outbox_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &outbox_mariadb_ops;
    self->shared.session = &self->session.base;
    self->session.base.ops = &sql_mariadb_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.setup = options->for_operator && !options->read_only
                                           ? "SET SESSION autocommit = 1, max_statement_time = 0"
                                           : "SET SESSION autocommit = 1";
    return outbox_sql_open(&self->shared, options, ret_outbox, err);
}

/* Asked only where rows are large. The server reads whole payloads to count them, so the number of
 * rows that it counts begins small and grows. */
static enum status outbox_mariadb_count_fitting(struct outbox_mariadb *self,
                                                const struct outbox_extent *extent,
                                                int64_t *ret_rows, struct error *err)
{
    struct sql_session *session = &self->session.base;
    int64_t rows = (int64_t)extent->rows;
    int64_t counted = self->fitted;
    int64_t fitting = 0;
    enum status status = STATUS_OK;
    do {
        counted = counted * 2 + FITTING_ROWS_MIN < rows ? counted * 2 + FITTING_ROWS_MIN : rows;
        const struct sql_parameter values[] = {
            sql_integer(counted), sql_integer((int64_t)extent->payload_bytes),
            sql_integer((int64_t)extent->total_bytes),
            sql_integer(extent->after == 0 ? INT64_MIN : extent->after)};
        status = sql_first(
            session, self->shared.whole ? STATEMENT_COUNT_FITTING_SETS : STATEMENT_COUNT_FITTING,
            values, 4, err);
        fitting = session->has_row ? sql_column_integer(session, 0) : 0;
        session->ops->finish(session);
    } while (status == STATUS_OK && fitting == counted && counted < rows);
    self->fitted = fitting;
    *ret_rows = fitting;
    return status;
}

/* What a client does not fetch is sent to it all the same, so no more rows are asked for than fit.
 */
static enum status outbox_mariadb_load_waiting(struct outbox *outbox,
                                               const struct outbox_extent *extent,
                                               struct arena *arena, struct outbox_rows *ret_rows,
                                               struct error *err)
{
    struct outbox_mariadb *self = (struct outbox_mariadb *)outbox;
    struct outbox_extent fitting = *extent;
    int64_t rows = (int64_t)extent->rows;
    size_t bytes = 0;
    enum status status = self->narrow ? STATUS_OK
                                      : outbox_mariadb_count_fitting(self, extent, &rows, err);
    fitting.rows = (size_t)rows;
    if (status == STATUS_OK)
        status = outbox_sql_load_waiting(outbox, &fitting, arena, ret_rows, err);
    for (size_t i = 0; status == STATUS_OK && i < ret_rows->count; i++)
        bytes += ret_rows->rows[i].payload.length;
    self->narrow = status == STATUS_OK && bytes < extent->total_bytes;
    return status;
}

static const struct outbox_token_sql TOKEN_SQL[] = OUTBOX_TOKEN_SQL;

const struct outbox_ops outbox_mariadb_ops = {
    .scheme = "mysql",
    .token_sql = TOKEN_SQL,
    .open = outbox_mariadb_open,
    .load_waiting = outbox_mariadb_load_waiting,
    .load_joint = outbox_sql_load_joint,
    .claim = outbox_sql_claim,
    .wait = outbox_sql_wait,
    OUTBOX_SQL_SLOTS,
};
