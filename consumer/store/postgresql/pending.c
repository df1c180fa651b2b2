/* The PostgreSQL store's look at own changes not read back (rule 18): what other sessions have
 * committed by now, also since the transaction began. */
#include "consumer/store/pending.h"
#include "consumer/store/postgresql/internal.h"

#define LOOK_PART_ROWS 10000 /* libpq keeps a result whole */

static enum status pending_part(struct pending_pass *pass, int64_t behind,
                                const PGresult **ret_result, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(pass->store);
    struct parameter type = parameter_text(pass->range->schema->entity_type);
    struct parameter limit = parameter_integer(LOOK_PART_ROWS);
    if (pass->numbered)
        return store_postgresql_run(self, STATEMENT_PENDING_NUMBERED,
                                    PARAMETERS(type, parameter_integer(pass->range->partition),
                                               parameter_integer(behind), limit),
                                    ret_result, err);
    return store_postgresql_run(self, STATEMENT_PENDING_WAITING,
                                PARAMETERS(type, parameter_integer(behind), limit), ret_result,
                                err);
}

static enum status pending_read_rows(struct pending_pass *pass, struct error *err)
{
    int64_t behind = pass->numbered ? (int64_t)pass->range->above : INT64_MIN;
    int rows = LOOK_PART_ROWS;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && rows == LOOK_PART_ROWS && !pending_pass_done(pass)) {
        const PGresult *result = NULL;
        status = pending_part(pass, behind, &result, err);
        rows = status == STATUS_OK ? PQntuples(result) : 0;
        for (int row = 0; status == STATUS_OK && row < rows; row++) {
            behind = store_postgresql_integer(result, row, 1);
            status = pending_pass_row(pass, store_postgresql_bytes(result, row, 0),
                                      (uint64_t)behind, err);
        }
    }
    return status;
}

enum status store_postgresql_read_pending(struct store *store, struct pending_read *pending,
                                          struct error *err)
{
    store_pending_begin(pending);
    return store_postgresql_of(store)->has_outbox
               ? store_read_pending(store, pending, pending_read_rows, err)
               : STATUS_OK;
}
