/* The MariaDB store's look at own changes that were not read back (rule 18). */
#include "consumer/store/look.h"
#include "consumer/store/mariadb/internal.h"

/* Rows come from the server as they are read: none is kept here. */
static enum status look_read(struct look_pass *pass, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(pass->store);
    struct mariadb_parameter type = mariadb_string(pass->range->schema->entity_type);
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status;

    if (pass->numbered)
        status = store_mariadb_start(self, STATEMENT_LOOK_NUMBERED,
                                     PARAMETERS(mariadb_integer(pass->range->partition),
                                                mariadb_integer((int64_t)pass->range->above), type),
                                     &statement, &row, err);
    else
        status = store_mariadb_start(self, STATEMENT_LOOK_WAITING, PARAMETERS(type), &statement,
                                     &row, err);
    while (status == STATUS_OK && row && !look_pass_done(pass)) {
        uint64_t sequence = pass->numbered ? (uint64_t)mariadb_statement_integer(statement, 1) : 0;
        status = look_pass_row(pass, mariadb_statement_column(statement, 0), sequence, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
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
