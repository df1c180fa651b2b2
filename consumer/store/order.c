/* Reads which tables must keep the order of all their changes, because rows elsewhere follow them.
 * If such rows belong to a copy, the foreign key is refused: events of different partitions have no
 * common order. */
#include "consumer/store/store.h"

static enum status refuse(const struct mapping *mapping, const struct table_order *order,
                          struct error *err)
{
    return error_set(
        error_config(err), STATUS_FATAL,
        "table \"%.80s\" is a copy, and its rows follow those of \"%.80s\" by the foreign "
        "key%s%.80s, so that what happens to %.40s may take them. Their events come in no "
        "common order: rows that the service has kept would be lost. What its own foreign "
        "keys do comes as events too: make this one ON DELETE NO ACTION ON UPDATE NO ACTION",
        order->child, order->parent, order->constraint[0] == '\0' ? "" : " ", order->constraint,
        mapping->schema->entity_type);
}

enum status store_order(struct store *store, const struct mapping *mappings, size_t count,
                        struct table_order *ret_orders, struct error *err)
{
    struct copies copies = {.mappings = mappings, .count = count};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct table_order order = {0};
        status = store->ops->order(store, &mappings[i], &copies, &order, err);
        if (status == STATUS_OK && order.child[0] != '\0')
            status = refuse(&mappings[i], &order, err);
        if (ret_orders != NULL)
            ret_orders[i] = order;
    }
    return status;
}
