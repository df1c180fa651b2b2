/* The MariaDB store's look at own changes that were not read back (rule 18). */
#include "consumer/store/pending.h"
#include "consumer/store/mariadb/internal.h"

/* Rows come from the server as they are read: none is kept here. */
static enum status pending_read_rows(struct pending_pass *pass, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(pass->store);
    struct mariadb_parameter type = mariadb_string(pass->range->schema->entity_type);
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status;

    if (pass->numbered)
        status = store_mariadb_start(self, STATEMENT_PENDING_NUMBERED,
                                     PARAMETERS(mariadb_integer(pass->range->partition),
                                                mariadb_integer((int64_t)pass->range->above), type),
                                     &statement, &row, err);
    else
        status = store_mariadb_start(self, STATEMENT_PENDING_WAITING, PARAMETERS(type), &statement,
                                     &row, err);
    while (status == STATUS_OK && row && !pending_pass_done(pass)) {
        uint64_t sequence = pass->numbered ? (uint64_t)mariadb_statement_integer(statement, 1) : 0;
        status = pending_pass_row(pass, mariadb_statement_column(statement, 0), sequence, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    return status;
}

enum status store_mariadb_read_pending(struct store *store, struct pending_read *pending,
                                       struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    store_pending_begin(pending);
    if (!self->has_outbox)
        return STATUS_OK;
    enum status status = store_read_pending(store, pending, pending_read_rows, err);
    store_mariadb_release(self);
    return status;
}
