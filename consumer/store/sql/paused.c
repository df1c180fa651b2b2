/* The SQL stores' list of what is paused. */
#include "consumer/store/sql/session.h"

static enum status read_paused(void *context, struct store_row *row, struct error *err)
{
    struct paused_type type = {.at_us = row->integer(row, 1)};
    row->copy(row, 0, type.entity_type, sizeof type.entity_type);
    row->copy(row, 2, type.by, sizeof type.by);
    row->copy(row, 3, type.reason, sizeof type.reason);
    return paused_types_add(context, &type, err);
}

enum status store_sql_list_paused(struct store *store, struct paused_types *ret_paused,
                                  struct error *err)
{
    *ret_paused = (struct paused_types){0};
    enum status status = store_sql_query(store_sql_of(store), SQL_CALL_PLAIN(PAUSED_LIST),
                                         read_paused, ret_paused, err);
    if (status != STATUS_OK)
        paused_types_done(ret_paused);
    return status;
}
