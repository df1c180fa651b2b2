/* A copy of orders on a database server, for the tests of its store. */
#include "consumer/store/registry.h"
#include "tests/support/store_orders.h"

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"price"}, .type = COLUMN_DECIMAL, .nullable = true},
    {.name = (char[]){"note"}, .type = COLUMN_TEXT, .nullable = true},
};
static size_t key_columns[] = {0};
struct entity_schema orders_schema = {.entity_type = (char[]){"order"},
                                      .columns = columns,
                                      .column_count = 3,
                                      .key_columns = key_columns,
                                      .key_count = 1};
struct config_entry orders_entry = {.entity_type = (char[]){"order"}, .table = (char[]){"orders"}};
struct mapping orders_mapping = {.schema = &orders_schema, .entry = &orders_entry};
const struct store_ops *orders_ops;
struct error orders_err;
const char *orders_url;
static enum database_kind kind;

void orders_begin(enum database_kind of)
{
    kind = of;
    orders_ops = of == DATABASE_POSTGRESQL ? &store_postgresql_ops : &store_mariadb_ops;
}

struct store *orders_open(void)
{
    struct store *store = NULL;
    if (orders_url == NULL)
        orders_url = database_make(kind, "copy");
    struct store_options options = {.path = orders_url, .service = "billing", .install = true};
    error_clear(&orders_err);
    if (orders_ops->open(&options, &store, &orders_err) != STATUS_OK)
        test_fail("%s", orders_err.text);
    return store;
}

void orders_check(enum status status, int line)
{
    if (status != STATUS_OK)
        test_fail("line %d: %s: %s", line, status_name(status), orders_err.text);
}

/* The tables may refer to each other. */
void orders_drop(void)
{
    (void)database_text(orders_url,
                        kind == DATABASE_POSTGRESQL
                            ? "DROP VIEW IF EXISTS view; DROP TABLE IF EXISTS orders CASCADE"
                            : "SET foreign_key_checks = 0; DROP VIEW IF EXISTS seen; "
                              "DROP TABLE IF EXISTS orders, items, parents");
}

struct store *orders_open_prepared(void)
{
    struct store *store = orders_open();
    orders_drop();
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    return store;
}

struct change orders_change(struct value *values, enum change_op op, int64_t id, const char *note)
{
    char *key = (char *)test_format("{\"id\":%lld}", (long long)id);
    values[0] = (struct value){.kind = VALUE_INTEGER, .integer = id};
    values[1] = (struct value){.kind = VALUE_TEXT, .text = slice_of("1.50")};
    values[2] = (struct value){.kind = VALUE_TEXT, .text = slice_of(note)};
    if (note == NULL)
        values[2].kind = VALUE_ABSENT;
    return (struct change){.op = op,
                           .entity_type = slice_of("order"),
                           .entity_key = slice_of(key),
                           .schema = &orders_schema,
                           .values = values};
}

enum status orders_apply(struct store *store, enum change_op op, int64_t id, const char *note)
{
    struct value values[3] = {0};
    struct change change = orders_change(values, op, id, note);
    const struct change *changes[] = {&change};
    return orders_ops->apply(store, &orders_mapping, changes, 1, &orders_err);
}

void orders_assert_refused(const char *sql, const char *reason)
{
    struct store *store = orders_open();
    orders_drop();
    (void)database_text(orders_url, sql);
    assert_int_equal(orders_ops->prepare(store, &orders_mapping, &orders_err), STATUS_FATAL);
    if (strstr(orders_err.text, reason) == NULL)
        test_fail("\"%s\" is not in \"%s\"", reason, orders_err.text);
    orders_ops->close(store);
}

void orders_assert_accepted(const char *sql)
{
    struct store *store = orders_open();
    orders_drop();
    (void)database_text(orders_url, sql);
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 1, "one"));
    assert_ok(orders_apply(store, CHANGE_UPDATE, 1, NULL));
    assert_ok(orders_apply(store, CHANGE_UPDATE, 1, "uno"));
    assert_ok(orders_apply(store, CHANGE_UPDATE, 1, "uno"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(
        database_text(orders_url, kind == DATABASE_POSTGRESQL
                                      ? "SELECT id, price, note FROM orders"
                                      : "SELECT id, price + 0.00, note FROM orders"),
        "1|1.50|uno\n");
    orders_ops->close(store);
}
