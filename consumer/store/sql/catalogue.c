/* Reads the catalogue: where columns are kept, and which rows follow those of a copy. */
#include "consumer/store/sql/prepare.h"

static enum status place_read(void *context, struct store_row *row, struct error *err)
{
    return store_row_place(row, context, err);
}

/* A new record and a changed one take different statements: a role may have the right to INSERT
 * only. */
static enum status place_record(struct store_sql *self, const struct place *place,
                                struct error *err)
{
    struct sql_call call = SQL_CALL(META_ADD, parameter_text(place->key),
                                    parameter_text(place->name));
    if (place_is_recorded(place))
        return STATUS_OK;
    if (place->recorded[0] != '\0')
        call.id = STATEMENT_META_SET;
    return store_sql_send(self, call, err);
}

static enum status places_record(struct store_sql *self, const struct place *places, size_t count,
                                 struct error *err)
{
    size_t unrecorded = 0;
    while (unrecorded < count && place_is_recorded(&places[unrecorded]))
        unrecorded++;
    if (unrecorded == count)
        return STATUS_OK;
    enum status status = store_sql_transaction(self, SQL_WRITE, err);
    for (size_t i = unrecorded; status == STATUS_OK && i < count; i++)
        status = place_record(self, &places[i], err);
    if (status == STATUS_OK)
        status = store_sql_finish(self, err);
    if (status != STATUS_OK)
        store_sql_rollback(&self->base);
    return status;
}

enum status store_sql_places(struct store *store, struct place *places, size_t count, bool record,
                             struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    enum status status = STATUS_OK;
    if (record)
        return places_record(self, places, count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = store_sql_ask(self,
                               SQL_CALL(TABLE_PLACE, parameter_text(places[i].table),
                                        parameter_text(places[i].column),
                                        parameter_text(places[i].key)),
                               place_read, &places[i], err);
    }
    return status == STATUS_OK ? store_sql_wait(self, err) : status;
}

struct order_read {
    struct table_order *order;
    int64_t columns; /* of the table */
};

static enum status order_read(void *context, struct store_row *row, struct error *err)
{
    struct order_read *read = context;
    struct table_order *order = read->order;
    (void)err;
    order->is_followed = row->integer(row, 0) != 0;
    row->copy(row, 1, order->constraint, sizeof order->constraint);
    row->copy(row, 2, order->child, sizeof order->child);
    row->copy(row, 3, order->parent, sizeof order->parent);
    read->columns = row->integer(row, 4);
    return STATUS_OK;
}

/* Append the names of tables as the catalogue's statements take them: a JSON array. */
static void append_tables(struct buffer *out, const struct sql_dialect *dialect,
                          const struct copies *copies)
{
    struct buffer name;
    buffer_init(&name, SQL_TEXT_SIZE_MAX);
    buffer_append_text(out, "[");
    for (size_t i = 0; i < copies->count; i++) {
        buffer_reset(&name);
        sql_catalogue_name_append(&name, dialect, &copies->mappings[i]);
        buffer_append_text(out, i == 0 ? "" : ",");
        buffer_append_json(out, buffer_slice(&name));
    }
    buffer_append_text(out, "]");
    out->failed = out->failed || name.failed;
    buffer_done(&name);
}

enum status store_sql_order(struct store *store, const struct mapping *mapping,
                            const struct copies *copies, struct table_order *ret_order,
                            struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    struct mapped_table *table = sql_table_find(&self->tables, mapping->schema->entity_type);
    struct order_read read = {.order = ret_order};
    struct buffer texts[3]; /* name, key, names of the copies */
    struct parameter parameters[3];
    bool failed = false;
    *ret_order = (struct table_order){0};
    for (size_t i = 0; i < 3; i++)
        buffer_init(&texts[i], SQL_TEXT_SIZE_MAX);
    sql_catalogue_name_append(&texts[0], self->tables.dialect, mapping);
    sql_key_append(&texts[1], mapping);
    append_tables(&texts[2], self->tables.dialect, copies);
    for (size_t i = 0; i < 3; i++) {
        failed = failed || texts[i].failed;
        parameters[i] = parameter_slice(buffer_slice(&texts[i]));
    }
    struct sql_call call = {
        .id = self->tables.dialect->order_id, .parameters = parameters, .count = 3};
    enum status status = failed ? error_set(err, STATUS_RETRY, "out of memory")
                                : store_sql_query(self, call, order_read, &read, err);
    ret_order->is_whole = status == STATUS_OK &&
                          read.columns == (int64_t)mapping->schema->column_count;
    if (table != NULL)
        table->keeps_order = ret_order->is_followed;
    for (size_t i = 0; i < 3; i++)
        buffer_done(&texts[i]);
    return status;
}
