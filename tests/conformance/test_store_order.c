/* The contract of a store about order: which foreign keys and triggers of a copy need the order of
 * the log, and for which no order is right. */
#include "tests/support/store_case.h"

#define ITEM_COLUMNS 2

static struct column item_columns[ITEM_COLUMNS] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"order_id"}, .type = COLUMN_INTEGER, .nullable = true},
};
static size_t item_key[] = {0};
static const struct entity_schema item_schema = {.entity_type = (char[]){"item"},
                                                 .columns = item_columns,
                                                 .column_count = ITEM_COLUMNS,
                                                 .key_columns = item_key,
                                                 .key_count = 1};
static const struct config_entry item_entry = {.entity_type = (char[]){"item"},
                                               .table = (char[]){"items"}};

enum order_verdict { FREE, KEPT, REFUSED };

/* MariaDB refuses every cascading foreign key, because cascades there run no triggers. */
struct scenario {
    const char *what;
    const char *sql;
    enum order_verdict verdict;
    bool has_items;    /* the table items is a copy too */
    bool not_in_mysql; /* MariaDB has no such thing, or refuses it elsewhere */
};

#define SELF(actions)                                                                              \
    "ALTER TABLE orders ADD COLUMN parent_id bigint REFERENCES orders(id) " actions
#define NOTES(actions)                                                                             \
    "CREATE TABLE notes(id int PRIMARY KEY, order_id bigint REFERENCES orders(id) " actions ");"
#define ITEMS(actions)                                                                             \
    "CREATE TABLE items(id bigint PRIMARY KEY, order_id bigint REFERENCES orders(id) " actions ")" \
    ";"
#define BY_NOTE(actions) "ALTER TABLE orders ADD COLUMN note_id int REFERENCES notes(id) " actions

static const struct scenario scenarios[] = {
    {"its own parent", SELF(""), FREE, false, false},
    {"its own parent, restricted", SELF("ON DELETE RESTRICT ON UPDATE RESTRICT"), FREE, false,
     false},
    {"its own parent's delete cascades", SELF("ON DELETE CASCADE"), REFUSED, false, false},
    {"its own parent's delete sets NULL", SELF("ON DELETE SET NULL"), REFUSED, false, false},
    {"its own parent's delete sets the default", SELF("ON DELETE SET DEFAULT"), REFUSED, false,
     true},
    {"its own parent's key cascades, which never changes", SELF("ON UPDATE CASCADE"), FREE, false,
     true},
    {"its own parent's name cascades",
     "CREATE UNIQUE INDEX one_name ON orders (name);"
     "ALTER TABLE orders ADD COLUMN parent_name text REFERENCES orders(name) ON UPDATE CASCADE",
     REFUSED, false, true},
    {"the service's own rows wait", NOTES(""), FREE, false, false},
    {"the service's own rows go too", NOTES("ON DELETE CASCADE"), KEPT, false, true},
    {"the service's own rows are emptied", NOTES("ON DELETE SET NULL"), KEPT, false, true},
    {"by way of the service's rows", NOTES("ON DELETE CASCADE") BY_NOTE("ON DELETE SET NULL"),
     REFUSED, false, false},
    {"a way that ends", NOTES("ON DELETE SET NULL") BY_NOTE("ON DELETE CASCADE"), KEPT, false,
     true},
    {"the service's rows take the copy's",
     "CREATE TABLE notes(id int PRIMARY KEY);" BY_NOTE("ON DELETE CASCADE"), FREE, false, true},
    {"another copy waits", ITEMS(""), FREE, true, false},
    {"another copy goes too", ITEMS("ON DELETE CASCADE"), REFUSED, true, false},
    {"another copy is emptied", ITEMS("ON DELETE SET NULL"), REFUSED, true, false},
};

static void drop_tables(void)
{
    static const char *const tables[] = {"notes", "items", "orders"};
    bool postgresql = strcmp(store_case_back_end->url, "postgresql:") == 0;
    bool mysql = strcmp(store_case_back_end->url, "mysql:") == 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        (void)store_case_back_end->text(store_case_database(),
                                        test_format("%sDROP TABLE IF EXISTS %s %s",
                                                    mysql ? "SET foreign_key_checks = 0;" : "",
                                                    tables[i], postgresql ? "CASCADE" : ""));
}

static enum status judge(struct store *store, const struct mapping *mappings, size_t count,
                         struct table_order *ret_orders)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_prepare(store, &mappings[i], false, &store_case_err);
    if (status == STATUS_OK)
        status = store_order(store, mappings, count, ret_orders, &store_case_err);
    return status;
}

static void assert_verdict(const struct scenario *scenario)
{
    struct config_entry entries[2] = {*store_case_mapping.entry, item_entry};
    struct mapping mappings[2] = {store_case_mapping, {.schema = &item_schema}};
    struct table_order orders[2] = {0};
    size_t count = scenario->has_items ? 2 : 1;
    for (size_t i = 0; i < 2; i++) {
        static char unread[] = "unread";
        entries[i].topic = unread;
        mappings[i].entry = &entries[i];
    }
    drop_tables();
    store_case_prepare(&store_case_mapping);
    (void)store_case_back_end->text(store_case_database(), scenario->sql);
    if (scenario->has_items && store_case_back_end->agent != NULL)
        (void)store_case_back_end->text(store_case_database(),
                                        "GRANT SELECT, INSERT, UPDATE, DELETE ON items TO "
                                        "keepstep_agent");
    enum status status = judge(store_case_store, mappings, count, orders);
    if ((status == STATUS_FATAL) != (scenario->verdict == REFUSED) ||
        (status == STATUS_OK && orders[0].is_followed != (scenario->verdict == KEPT)))
        test_fail("%s: %s, %s: %s", scenario->what, status_name(status),
                  orders[0].is_followed ? "kept" : "free", store_case_err.text);
    if (status == STATUS_FATAL && strstr(store_case_err.text, "foreign key") == NULL)
        test_fail("%s: %s", scenario->what, store_case_err.text);
    error_clear(&store_case_err);
}

static void a_foreign_key_by_which_copies_follow_copies_is_refused(void)
{
    bool mysql = strcmp(store_case_back_end->url, "mysql:") == 0;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (!mysql || !scenarios[i].not_in_mysql)
            assert_verdict(&scenarios[i]);
    }
}

/* @return whether a store opened now keeps the order of the log; with `install`, opened as `init`
 * does. */
static bool is_kept(bool install)
{
    struct store *store = NULL;
    struct store_options options = {.path = install ? store_case_database()
                                                    : store_case_agent_database(),
                                    .service = "billing",
                                    .install = install};
    struct table_order order = {0};
    assert_ok(store_case_ops->open(&options, &store, &store_case_err));
    assert_ok(store_case_ops->prepare(store, &store_case_mapping, &store_case_err));
    assert_ok(store_order(store, &store_case_mapping, 1, &order, &store_case_err));
    store_case_ops->close(store);
    assert_true(order.is_whole);
    return order.is_followed;
}

static void make_trigger(const char *name)
{
    bool postgresql = strcmp(store_case_back_end->url, "postgresql:") == 0;
    bool mysql = strcmp(store_case_back_end->url, "mysql:") == 0;
    const char *quote = mysql ? "`" : "\"";
    (void)store_case_back_end->text(
        store_case_database(),
        test_format("CREATE TRIGGER %s%s%s AFTER DELETE ON orders FOR EACH ROW %s", quote, name,
                    quote,
                    postgresql ? "EXECUTE FUNCTION nothing()"
                    : mysql    ? "DO 1"
                               : "BEGIN SELECT 1; END"));
}

/* MariaDB shows triggers only to roles with rights on them. `init` writes down what it saw. */
static void triggers_of_the_service_ask_for_the_order_of_the_log(void)
{
    bool postgresql = strcmp(store_case_back_end->url, "postgresql:") == 0;
    if (postgresql)
        (void)store_case_back_end->text(store_case_database(),
                                        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE "
                                        "plpgsql AS 'BEGIN RETURN NULL; END'");
    make_trigger(postgresql ? "00_keepstep_order_delete" : "keepstep_order_delete");
    assert_false(is_kept(true));
    assert_false(is_kept(false));
    make_trigger("noted");
    assert_true(is_kept(true));
    assert_true(is_kept(false));
    (void)store_case_back_end->text(
        store_case_database(), postgresql ? "DROP TRIGGER noted ON orders" : "DROP TRIGGER noted");
    assert_false(is_kept(true));
    assert_false(is_kept(false));
    if (postgresql) {
        (void)store_case_back_end->text(
            store_case_database(), "CREATE RULE noted AS ON DELETE TO orders DO ALSO NOTIFY x");
        assert_true(is_kept(false));
        (void)store_case_back_end->text(store_case_database(), "DROP RULE noted ON orders");
    }
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE_OF_SQL(a_foreign_key_by_which_copies_follow_copies_is_refused),
        STORE_CASE_OF_SQL(triggers_of_the_service_ask_for_the_order_of_the_log),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
