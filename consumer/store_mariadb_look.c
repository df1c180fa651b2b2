/* The MariaDB store's look at own changes that were not read back (rule 18). */
#include "consumer/store_look.h"
#include "consumer/store_mariadb_internal.h"

/* Rows come from the server as they are read: none is kept here. */
static enum status look_read(struct look_pass *pass, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(pass->store);
    struct parameter type = parameter_text(pass->range->schema->entity_type);
    struct statement *statement = NULL;
    bool row = false;
    enum status status;

    if (pass->numbered)
        status = store_mariadb_start(self, STATEMENT_LOOK_NUMBERED,
                                     PARAMETERS(parameter_integer(pass->range->partition),
                                                parameter_integer((int64_t)pass->range->above),
                                                type),
                                     &statement, &row, err);
    else
        status = store_mariadb_start(self, STATEMENT_LOOK_WAITING, PARAMETERS(type), &statement,
                                     &row, err);
    while (status == STATUS_OK && row && !look_pass_done(pass)) {
        uint64_t sequence = pass->numbered ? (uint64_t)store_mariadb_integer(statement, 1) : 0;
        status = look_pass_row(pass, store_mariadb_column(statement, 0), sequence, err);
        if (status == STATUS_OK)
            status = store_mariadb_next(statement, &row, err);
    }
    store_mariadb_end(statement);
    return status;
}

enum status store_mariadb_look(struct store *store, struct look *look, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    store_look_begin(look);
    if (!self->has_outbox)
        return STATUS_OK;
    enum status status = store_look(store, look, look_read, err);
    store_mariadb_release(self);
    return status;
}
