/* The contract of a store about places: no table and no column begins in the middle of its topic,
 * however the configuration spells it. */
#include "tests/support/store_case.h"

#define UNREAD_TOPIC "unread"

/* The case's mapping with another topic, table, and name for the column price. */
static const struct mapping *mapping_to(const char *topic, const char *table, const char *price)
{
    static char pair_name[] = "price";
    static struct mapping mapping;
    static struct config_entry entry;
    static struct text_pair pair;
    pair = (struct text_pair){.name = pair_name, .value = (char *)(uintptr_t)price};
    entry = *store_case_mapping.entry;
    entry.topic = (char *)(uintptr_t)topic;
    entry.table = (char *)(uintptr_t)table;
    entry.columns = &pair;
    entry.column_count = 1;
    mapping = store_case_mapping;
    mapping.entry = &entry;
    return &mapping;
}

/* @return a store with the right to change tables. */
static struct store *open_administrator(void)
{
    struct store *administrator = NULL;
    struct store_options options = {.path = store_case_database(), .service = "billing"};
    assert_ok(store_case_ops->open(&options, &administrator, &store_case_err));
    return administrator;
}

static void assert_taken(struct store *store, const char *topic, const char *table,
                         const char *price)
{
    assert_ok(store_prepare(store, mapping_to(topic, table, price), false, &store_case_err));
}

static void assert_refused(struct store *store, bool accept_moved, const struct mapping *mapping,
                           const char *words)
{
    enum status status = store_prepare(store, mapping, accept_moved, &store_case_err);
    if (status != STATUS_FATAL || store_case_err.exit_code != 78 ||
        strstr(store_case_err.text, words) == NULL)
        test_fail("wanted \"%s\", got %s with %d: %s", words, status_name(status),
                  store_case_err.exit_code, store_case_err.text);
    error_clear(&store_case_err);
}

/* @return the words of a refusal. Columns are given as the configuration writes them. */
static const char *moved(const char *from, const char *to)
{
    const char *schema = store_case_back_end->schema;
    return test_format("was kept in %s%s and would be in %s%s", schema, from, schema, to);
}

static void no_table_is_made_anew_in_the_middle_of_its_topic(void)
{
    const struct mapping *absent = mapping_to(STORE_CASE_TOPIC, "Absent", "price");
    for (int i = 0; i < 2; i++) /* the first refusal makes no table */
        assert_refused(store_case_store, false, absent,
                       "no table \"Absent\" for order, but 5 records");
    absent = mapping_to(UNREAD_TOPIC, "Absent", "price");
    store_case_prepare(absent);
    for (int i = 0; i < 2; i++) /* the first time records its columns */
        assert_taken(store_case_store, STORE_CASE_TOPIC, "Absent", "price");
}

static void a_column_in_another_place_is_refused_once_its_topic_was_read(void)
{
    struct store *administrator = open_administrator();
    for (int i = 0; i < 2; i++)
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    for (int i = 0; i < 2; i++) { /* accept_moved changes nothing: both columns exist */
        assert_refused(store_case_store, i == 1, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                       test_format("column \"price\" of order %s, but 5 records of topic order "
                                   "were read",
                                   moved("orders.price", "orders.cost")));
        assert_refused(store_case_store, i == 1, mapping_to(STORE_CASE_TOPIC, "sold", "price"),
                       test_format("column \"id\" of order %s, ", moved("orders.id", "sold.id")));
    }
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    assert_taken(administrator, UNREAD_TOPIC, "orders", "cost");
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "cost");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "price"),
                   moved("orders.cost", "orders.price"));
    store_case_ops->close(administrator);
}

static void the_place_of_a_new_column_is_recorded_and_kept_while_the_schema_lacks_it(void)
{
    struct entity_schema narrow = *store_case_mapping.schema;
    narrow.column_count = 2;
    for (int i = 0; i < 2; i++) {
        struct mapping without = *mapping_to(STORE_CASE_TOPIC, "orders", "price");
        without.schema = &narrow;
        assert_ok(store_prepare(store_case_store, &without, false, &store_case_err));
        if (i == 1)
            assert_refused(store_case_store, false, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                           moved("orders.price", "orders.cost"));
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    }
}

static void execute(const char *sql)
{
    (void)store_case_back_end->text(store_case_database(), sql);
}

static void data_that_was_moved_is_accepted_where_only_its_new_place_is_there(void)
{
    struct store *administrator = open_administrator();
    const struct mapping *renamed = mapping_to(STORE_CASE_TOPIC, "orders", "price");
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1.5"));
    store_case_commit();
    execute("ALTER TABLE orders RENAME COLUMN price TO cost");
    for (int i = 0; i < 2; i++) /* the first refusal makes no column */
        assert_refused(administrator, true, renamed,
                       "table \"orders\" has lost the column \"price\" of order");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "neither"),
                   moved("orders.price", "orders.neither"));
    assert_refused(store_case_store, false, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                   "run `keepstep init`");
    renamed = mapping_to(STORE_CASE_TOPIC, "orders", "cost");
    assert_ok(store_prepare(administrator, renamed, true, &store_case_err));
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    execute("ALTER TABLE orders RENAME TO sold");
    renamed = mapping_to(STORE_CASE_TOPIC, "sold", "cost");
    assert_refused(store_case_store, false, renamed, moved("orders.id", "sold.id"));
    assert_ok(store_prepare(administrator, renamed, true, &store_case_err));
    store_case_prepare(renamed); /* grants rights on the new name */
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    assert_string_equal(
        store_case_trim(store_case_back_end->rows(store_case_store, store_case_database(), "sold")),
        "1|one|1.5\n");
    store_case_ops->close(administrator);
}

/* The mapping with another spelling of the table and of the column price. */
static const struct mapping *mapping_respelled(void)
{
    return mapping_to(STORE_CASE_TOPIC, store_case_back_end->table, store_case_back_end->column);
}

static void another_spelling_of_the_same_table_and_column_is_accepted(void)
{
    struct store *administrator = open_administrator();
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    for (int i = 0; i < 2; i++) { /* the agent may not change the recorded spelling */
        assert_ok(store_prepare(store_case_store, mapping_respelled(), false, &store_case_err));
        assert_ok(store_prepare(administrator, mapping_respelled(), i == 1, &store_case_err));
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    }
    if (store_case_back_end->is_server)
        assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "Orders", "price"),
                       moved("orders.id", "Orders.id"));
    execute("ALTER TABLE orders RENAME TO sold");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "price"),
                   "there is no table \"orders\" for order, but 5 records");
    store_case_ops->close(administrator);
}

#define AS_WRITTEN                                                                                 \
    "UPDATE keepstep_meta SET value = replace(value, 'public.', '') WHERE value LIKE 'public.%'"
#define PLACES "SELECT value FROM keepstep_meta WHERE value LIKE '%.%' ORDER BY value"

static void a_place_that_was_recorded_as_it_was_written_is_understood_and_init_records_it_anew(void)
{
    struct store *administrator = open_administrator();
    const char *schema = store_case_back_end->schema;
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    execute(AS_WRITTEN);
    for (int i = 0; i < 2; i++) {
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
        assert_ok(store_prepare(store_case_store, mapping_respelled(), false, &store_case_err));
    }
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "name"),
                   test_format("was kept in orders.price and would be in %sorders.name", schema));
    assert_string_equal(store_case_back_end->text(store_case_database(), PLACES),
                        "orders.id\norders.name\norders.price\n");
    assert_ok(store_prepare(administrator, mapping_to(STORE_CASE_TOPIC, "orders", "price"), true,
                            &store_case_err));
    assert_string_equal(
        store_case_back_end->text(store_case_database(), PLACES),
        test_format("%sorders.id\n%sorders.name\n%sorders.price\n", schema, schema, schema));
    execute(test_format("UPDATE keepstep_meta SET value = '%s.%s' WHERE value = '%sorders.price'",
                        store_case_back_end->table, store_case_back_end->column, schema));
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    assert_refused(store_case_store, false, mapping_to(STORE_CASE_TOPIC, "orders", "name"),
                   test_format("was kept in %s.%s and would", store_case_back_end->table,
                               store_case_back_end->column));
    store_case_ops->close(administrator);
}

static void a_table_with_triggers_is_written_in_another_way_by_init_alone(void)
{
    struct store *administrator = open_administrator();
    struct mapping before = *mapping_to(STORE_CASE_TOPIC, "orders", "price");
    struct config_entry entry = *before.entry;
    struct mapping after = *mapping_respelled();
    before.entry = &entry;
    entry.columns = NULL;
    entry.column_count = 0;
    before.published_here = after.published_here = true;
    if (strcmp(entry.table, after.entry->table) == 0)
        goto out; /* its tables have one spelling only */
    assert_ok(store_prepare(store_case_store, &before, false, &store_case_err));
    for (int i = 0; i < 2; i++) {
        assert_refused(store_case_store, false, &after, "run `keepstep init`");
        assert_ok(store_prepare(store_case_store, &before, false, &store_case_err));
        /* Now as an older version left it, which recorded no table. */
        execute(AS_WRITTEN);
        execute("DELETE FROM keepstep_meta WHERE value = 'orders'");
    }
    assert_ok(store_prepare(administrator, &after, true, &store_case_err));
    assert_ok(store_prepare(store_case_store, &after, false, &store_case_err));
    assert_refused(store_case_store, false, &before, "run `keepstep init`");
out:
    store_case_ops->close(administrator);
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE_OF_SQL(no_table_is_made_anew_in_the_middle_of_its_topic),
        STORE_CASE(a_column_in_another_place_is_refused_once_its_topic_was_read),
        STORE_CASE(the_place_of_a_new_column_is_recorded_and_kept_while_the_schema_lacks_it),
        STORE_CASE_OF_SQL(data_that_was_moved_is_accepted_where_only_its_new_place_is_there),
        STORE_CASE_OF_SQL(another_spelling_of_the_same_table_and_column_is_accepted),
        STORE_CASE_OF_SQL(
            a_place_that_was_recorded_as_it_was_written_is_understood_and_init_records_it_anew),
        STORE_CASE_OF_SQL(a_table_with_triggers_is_written_in_another_way_by_init_alone),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
