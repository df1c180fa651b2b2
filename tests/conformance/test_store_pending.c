/* The contract of a store beside an outbox (rule 18): it finds the pending own changes, also those
 * that another session commits while a batch runs. */
#include "tests/support/session.h"
#include "tests/support/store_case.h"

#include <pthread.h>

#define ORDERS_READ     6
#define ORDERS_READ_LOW 3
#define MANY            25000 /* more rows than any store reads at once */
#define WAIT_MS         20000

static const char own_rows[] =
    "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence, set_aside) VALUES "
    "('order', '3', NULL, NULL, NULL), ('order', '{\"id\":4}', 0, 5, NULL), "
    "('order', '{\"id\":5}', 0, 4, NULL), ('order', '{\"id\":6}', 1, 9, NULL), "
    "('note', '7', NULL, NULL, NULL), ('order', '{ \"id\": 8}', NULL, NULL, 'invalid')";

static const char *ask(const char *sql)
{
    return store_case_back_end->text(store_case_database(), sql);
}

/* A store finds out about the outbox when it is opened. */
static void make_outbox(void)
{
    (void)ask(store_case_back_end->outbox);
    store_case_ops->close(store_case_store);
    store_case_store = store_case_open();
    assert_ok(store_case_ops->prepare(store_case_store, &store_case_mapping, &store_case_err));
}

/* @return what a pending read of partition 0 above sequence 4 says of orders 3 to 8. */
static const uint64_t *read_orders(void)
{
    static uint64_t sequences[ORDERS_READ];
    struct own_change entities[ORDERS_READ];
    struct pending_range range = {.schema = store_case_mapping.schema, .partition = 0, .above = 4};
    struct pending_read pending = {
        .ranges = &range, .range_count = 1, .entities = entities, .entity_count = ORDERS_READ};
    for (int i = 0; i < ORDERS_READ; i++)
        entities[i] = (struct own_change){
            .entity_type = slice_of("order"),
            .entity_key = slice_of(test_format("{\"id\":%d}", i + ORDERS_READ_LOW))};
    assert_ok(store_case_ops->read_pending(store_case_store, &pending, &store_case_err));
    for (int i = 0; i < ORDERS_READ; i++)
        sequences[i] = entities[i].sequence;
    return sequences;
}

#define assert_pending(...)                                                                        \
    assert_memory_equal(read_orders(), ((const uint64_t[ORDERS_READ]){__VA_ARGS__}),               \
                        ORDERS_READ * sizeof(uint64_t))

static void the_look_finds_own_changes_that_were_not_read_back(void)
{
    make_outbox();
    (void)ask(own_rows);
    store_case_begin();
    assert_pending(OWN_UNNUMBERED, 5, 0, 0, 0, OWN_UNNUMBERED);
}

/* Make a table of the numbers from 0 on. */
static void make_many(void)
{
    (void)ask("CREATE TABLE many(i int PRIMARY KEY); INSERT INTO many VALUES (0)");
    for (int i = 1; i < MANY; i *= 2)
        (void)ask(test_format("INSERT INTO many SELECT i + %d FROM many", i));
}

static void the_look_finds_what_others_committed_since_the_batch_began(void)
{
    make_outbox();
    make_many();
    store_case_begin();
    assert_pending(0, 0, 0, 0, 0, 0);
    (void)ask(own_rows);
    assert_pending(OWN_UNNUMBERED, 5, 0, 0, 0, OWN_UNNUMBERED);

    (void)ask("INSERT INTO outbox(aggregatetype, aggregateid) SELECT 'order', i + 100 FROM many;"
              "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
              "SELECT 'order', concat('{\"id\":', i + 100, '}'), 0, i + 100 FROM many;"
              "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
              "('order', '5', NULL, NULL), ('order', '{\"id\":7}', 0, 50000)");
    assert_pending(OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 50000, OWN_UNNUMBERED);

    /* A read outside a transaction leaves none open. Otherwise the next one could not choose its
     * isolation. */
    store_case_ops->rollback(store_case_store);
    assert_pending(OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 50000, OWN_UNNUMBERED);
    store_case_reload();
}

static void assert_waits(int key, bool expected)
{
    uint64_t sequence = read_orders()[key - ORDERS_READ_LOW];
    if ((sequence == OWN_UNNUMBERED) != expected)
        test_fail("order %d %s", key, expected ? "waits and is not found" : "is found");
}

/* A store may remember earlier reads. That must not hide what became of a row. */
static void the_pending_read_follows_what_becomes_of_a_waiting_row(void)
{
    static const char add[] =
        "INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', '{\"id\":%d}')";
    make_outbox();
    assert_waits(3, false);
    (void)ask(test_format(add, 3));
    (void)ask(test_format(add, 3)); /* two of one entity */
    (void)ask(test_format(add, 4));
    assert_waits(3, true);
    assert_waits(4, true);
    (void)ask("DELETE FROM outbox WHERE position = 2"); /* as `outbox drop` does */
    assert_waits(3, true);
    (void)ask("UPDATE outbox SET kafka_partition = 0, sequence = 3 WHERE position = 1");
    assert_waits(3, false);
    (void)ask("UPDATE outbox SET kafka_partition = 0, sequence = 9 WHERE position = 3");
    assert_int_equal(read_orders()[1], 9);
    (void)ask("DELETE FROM outbox");
    assert_int_equal(read_orders()[1], 0);
    (void)ask(test_format(add, 5));
    assert_waits(5, true);
    (void)ask("UPDATE outbox SET kafka_partition = 1, sequence = 1");
    assert_waits(5, false);
    (void)ask("INSERT INTO keepstep_relay VALUES ('another')");
    (void)ask("DELETE FROM keepstep_relay WHERE incarnation <> 'another'");
    (void)ask("UPDATE outbox SET kafka_partition = NULL, sequence = NULL"); /* a new incarnation */
    assert_waits(5, true);
}

/* @return the list of what is found, parted by blanks, with "+" behind it where there is more. */
static const char *list(size_t limit)
{
    const struct pending_range ranges[] = {
        {.schema = store_case_mapping.schema, .partition = 0, .above = 4},
        {.schema = store_case_mapping.schema, .partition = 1, .above = 0}};
    struct pending_read pending = {
        .ranges = ranges, .range_count = 2, .arena = &store_case_arena, .limit = limit};
    const char *text = "";
    assert_ok(store_case_ops->read_pending(store_case_store, &pending, &store_case_err));
    for (size_t i = 0; i < pending.entity_count && i < limit; i++) {
        assert_true(slice_is(pending.entities[i].entity_type, "order"));
        text = test_format("%s%.*s ", text, SLICE_ARGS(pending.entities[i].entity_key));
    }
    assert_true(pending.entity_count <= limit + 1);
    return pending.entity_count > limit ? test_format("%s+", text) : text;
}

static void without_entities_the_look_lists_each_that_it_finds_once(void)
{
    static const char all[] = "{\"id\":3} {\"id\":4} {\"id\":6} {\"id\":8} ";
    make_outbox();
    assert_string_equal(list(4), "");
    (void)ask(own_rows);
    assert_string_equal(list(4), all);
    assert_string_equal(list(3), "{\"id\":3} {\"id\":4} {\"id\":6} +");
    (void)ask("INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', 'no key')");
    assert_string_equal(list(9), test_format("no key %s", all));
    (void)ask("DELETE FROM outbox WHERE aggregateid = 'no key'");
    for (int i = 0; i < 40; i++)
        (void)ask("INSERT INTO outbox(aggregatetype, aggregateid) VALUES "
                  "('order', '{\"id\":6}'), ('order', '{\"id\":3}'), ('order', '8')");
    assert_string_equal(list(4), all);
    assert_string_equal(list(0), "+");
    store_case_begin();
    assert_string_equal(list(4), all);
    store_case_commit();
}

static void a_list_of_what_waits_ends_where_there_are_too_many(void)
{
    make_outbox();
    make_many();
    (void)ask("INSERT INTO outbox(aggregatetype, aggregateid) SELECT 'order', i + 100 FROM many");
    assert_non_null(strchr(list(20), '+'));
    assert_non_null(strchr(list(5000), '+'));
}

static bool somebody_waits(void *context)
{
    (void)context;
    return strcmp(ask(store_case_back_end->waiters), "1\n") == 0;
}

static void *commit_while_the_store_waits(void *service)
{
    (void)test_wait(somebody_waits, NULL, WAIT_MS);
    session_run(service, "COMMIT", NULL);
    return NULL;
}

static void a_look_behind_the_write_finds_what_the_write_had_to_wait_for(void)
{
    pthread_t thread;
    make_outbox();
    (void)ask("INSERT INTO orders VALUES (3, 'old', 1)");
    struct session *service = session_open(store_case_database());
    session_run(service, "BEGIN", NULL);
    session_run(service, "UPDATE orders SET name = 'own' WHERE id = 3", NULL);
    session_run(service,
                "INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', '{\"id\":3}')",
                NULL);
    store_case_begin();
    assert_pending(0, 0, 0, 0, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, commit_while_the_store_waits, service), 0);
    enum status status = store_case_apply(CHANGE_UPDATE, 3, "theirs", "1");
    /* The store's lock wait is short, so that the service comes first. The agent tries again. */
    while (status == STATUS_RETRY) {
        error_clear(&store_case_err);
        store_case_ops->rollback(store_case_store);
        store_case_begin();
        status = store_case_apply(CHANGE_UPDATE, 3, "theirs", "1");
    }
    assert_ok(status);
    assert_pending(OWN_UNNUMBERED, 0, 0, 0, 0, 0);
    assert_ok(store_case_ops->savepoint(store_case_store, true, &store_case_err));
    store_case_commit();
    assert_int_equal(pthread_join(thread, NULL), 0);
    session_close(service);
    store_case_assert_rows("3|own|1\n");
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE_OF_SQL(the_look_finds_own_changes_that_were_not_read_back),
        STORE_CASE_OF_SQL(the_pending_read_follows_what_becomes_of_a_waiting_row),
        STORE_CASE_OF_SQL(without_entities_the_look_lists_each_that_it_finds_once),
        STORE_CASE_OF_SQL(a_list_of_what_waits_ends_where_there_are_too_many),
        STORE_CASE_OF_SERVERS(the_look_finds_what_others_committed_since_the_batch_began),
        STORE_CASE_OF_SERVERS(a_look_behind_the_write_finds_what_the_write_had_to_wait_for),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
