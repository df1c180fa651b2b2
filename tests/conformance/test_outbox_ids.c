/* Event ids of outbox rows, in each database: derived where a row was given none, and found again
 * by a relay and by a new incarnation. */
#include "tests/support/former_outbox.h"
#include "tests/support/outbox_case.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "common/clock.h"
#include "producer/init/origin.h"
#include "schemas/event_id.h"
#include "producer/registry.h"

#include <pthread.h>
#include <stdatomic.h>

#define TIME_A      "2026-01-02 03:04:05.000006"
#define TIME_B      "2026-01-02 03:04:05.000007"
#define PUBLISHED_A "2026-01-02T03:04:05.000006Z"
#define PUBLISHED_B "2026-01-02T03:04:05.000007Z"

/* SQLite keeps a time as it was written. */
static const char *time_text(const char *time)
{
    return strcmp(outbox_case_product->name, "sqlite") == 0
               ? test_format("%.10sT%sZ", time, time + 11)
               : test_format("%s%s", time,
                             strcmp(outbox_case_product->name, "postgresql") == 0 ? "+00" : "");
}

static void set_time(int position, const char *time)
{
    (void)outbox_case_ask(test_format("UPDATE outbox SET created_at = '%s' WHERE position = %d",
                                      time_text(time), position));
}

static void give_id(int position, const char *id)
{
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET id = '%s' WHERE position = %d", id, position));
}

/* @return the id that the outbox has for the row; "" where there is no such row. */
static const char *id_of(struct outbox *outbox, int64_t position)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    const struct outbox_selection all = {.filter = OUTBOX_ALL};
    assert_int_equal(outbox->ops->list(outbox, &all, &outbox_case_arena, &rows, &err), STATUS_OK);
    for (size_t i = 0; i < rows.count; i++) {
        if (rows.rows[i].position == position)
            return test_format("%.*s", SLICE_ARGS(rows.rows[i].id));
    }
    return "";
}

/* @return the position of the row that has the id; 0: there is none. */
static int64_t position_of(struct outbox *outbox, const char *id)
{
    struct error err = ERROR_INIT;
    struct outbox_row row;
    if (outbox->ops->find(outbox, slice_of(id), &outbox_case_arena, &row, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return row.position;
}

static void an_id_is_derived_where_a_row_was_given_none_and_stays_the_same(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows claimed = {0};
    struct outbox_row *rows = NULL;
    const struct relay_partition partition = {.topic = "orders", .partition = 1};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 3);
    give_id(2, "given");
    set_time(1, TIME_A);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE id IS NULL"), "2\n");

    char expected[EVENT_ID_SIZE];
    event_id_derive(slice_of("shop"), 1, INT64_C(1767323045000006), expected);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 3);
    assert_true(slice_is(rows[0].id, expected));
    assert_true(rows[0].id_is_derived);
    assert_true(slice_is(rows[1].id, "given"));
    assert_false(rows[1].id_is_derived);
    const char *third = test_format("%.*s", SLICE_ARGS(rows[2].id));
    assert_true(event_id_position(slice_of(third)) == 3);

    outbox_case_claimed(outbox, &lease, 0);
    outbox->ops->close(outbox); /* another relay derives the same ones */
    outbox = outbox_case_open("2");
    assert_int_equal(
        outbox->ops->load_claimed(outbox, &partition, &outbox_case_arena, &claimed, &err),
        STATUS_OK);
    assert_int_equal(claimed.count, 3);
    assert_true(slice_is(claimed.rows[0].id, expected));
    assert_true(slice_is(claimed.rows[1].previous_id, expected));
    assert_true(slice_is(claimed.rows[2].id, third));
    assert_string_equal(outbox_case_ask("SELECT last_id FROM keepstep_relay_partition"),
                        test_format("%s\n", third));
    assert_string_equal(id_of(outbox, 1), expected);
    assert_true(position_of(outbox, expected) == 1);
    assert_true(position_of(outbox, "given") == 2);
    assert_true(position_of(outbox, third) == 3);
    outbox->ops->close(outbox);
}

/* A database that was rewound, or a clone that goes on beside its original, gives a position again.
 */
static void a_position_that_is_used_again_has_another_id(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 2);
    set_time(1, TIME_A);
    const char *published = id_of(outbox, 1);
    set_time(1, TIME_B);
    assert_string_not_equal(id_of(outbox, 1), published);
    assert_true(position_of(outbox, published) == 0);
    assert_true(position_of(outbox, id_of(outbox, 1)) == 1);
    give_id(1, "given");
    set_time(1, TIME_A);
    assert_true(position_of(outbox, published) == 0);
    (void)outbox_case_ask("DELETE FROM outbox WHERE position = 1");
    assert_true(position_of(outbox, published) == 0);
    outbox->ops->close(outbox);
}

static void a_row_whose_time_is_none_has_no_id(void)
{
    struct outbox_row *rows = NULL;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 1);
    (void)outbox_case_ask("UPDATE outbox SET created_at = 'noon'");
    assert_int_equal(outbox_case_waiting(outbox, &rows), 1);
    assert_null(rows[0].id.data);
    outbox->ops->close(outbox);
}

static void an_id_that_was_given_after_it_was_derived_hides_no_row(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 3);
    const char *first = id_of(outbox, 1);
    const char *third = id_of(outbox, 3);
    give_id(2, first);
    assert_true(position_of(outbox, first) == 1);
    give_id(1, "given");
    assert_true(position_of(outbox, first) == 2); /* as an earlier version could publish it */
    (void)outbox_case_ask("DELETE FROM outbox WHERE position = 2");
    assert_true(position_of(outbox, first) == 0);
    assert_true(position_of(outbox, third) == 3);
    outbox->ops->close(outbox);
}

/* @return what is wrong with the claimed rows; "" where nothing is. */
static const char *claimed_wrong(struct outbox *outbox)
{
    struct error err = ERROR_INIT;
    struct outbox_rows claimed = {0};
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    assert_int_equal(outbox->ops->load_partitions(outbox, &partitions, &count, &err), STATUS_OK);
    assert_int_equal(count, 1);
    enum status status = outbox->ops->load_claimed(outbox, partitions, &outbox_case_arena, &claimed,
                                                   &err);
    free(partitions);
    assert_int_equal(status, err.text[0] == '\0' ? STATUS_OK : STATUS_FATAL);
    return test_format("%s", err.text);
}

/* What follows in the log would name another event than the one before it. */
static void a_numbered_row_whose_id_has_changed_is_not_sent(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    set_time(2, TIME_A);
    outbox_case_claimed(outbox, &lease, 0);
    assert_string_equal(claimed_wrong(outbox), "");
    set_time(2, TIME_B);
    assert_non_null(strstr(claimed_wrong(outbox),
                           "outbox row 2 (orders [1] sequence 2) has another "
                           "id than when it was numbered"));
    set_time(2, TIME_A);
    assert_string_equal(claimed_wrong(outbox), "");
    give_id(2, "given");
    assert_non_null(strstr(claimed_wrong(outbox), "has another id"));
    outbox->ops->close(outbox);
}

/* Whatever its place: without an id no record can be made of it. */
static void a_numbered_row_whose_time_is_none_is_not_sent(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    outbox_case_claimed(outbox, &lease, 0);
    (void)outbox_case_ask("UPDATE outbox SET created_at = 'noon' WHERE position = 1");
    assert_non_null(strstr(claimed_wrong(outbox),
                           "outbox row 1 (orders [1] sequence 1) has another "
                           "id than when it was numbered"));
    outbox->ops->close(outbox);
}

/* @return how many of three rows there are after two more were written under a given id. */
static const char *write_under(const char *id)
{
    const char *name = outbox_case_product->name;
    const char *insert = strcmp(name, "postgresql") == 0 ? "INSERT"
                         : strcmp(name, "mariadb") == 0  ? "INSERT IGNORE"
                                                         : "INSERT OR IGNORE";
    for (int i = 0; i < 2; i++)
        (void)outbox_case_ask(test_format(
            "%s INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES "
            "('%s', 'order', '{\"id\":9}', 'order.created', '{\"op\":\"c\"}')%s",
            insert, id, strcmp(name, "postgresql") == 0 ? " ON CONFLICT DO NOTHING" : ""));
    return outbox_case_ask(test_format("SELECT count(*) FROM outbox WHERE id = '%s'", id));
}

static void a_given_id_is_given_once(void)
{
    outbox_case_make();
    outbox_case_write("order", 1, 2);
    assert_string_equal(write_under("given"), "1\n");
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox"), "3\n");
}

static struct config case_config(void)
{
    return (struct config){
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)(strcmp(outbox_case_product->name, "sqlite") == 0
                                                 ? strchr(outbox_case_url, ':') + 1
                                                 : outbox_case_url),
        .instance = (char *)"1"};
}

/* A record of the log under a row's id, and what that says. */
struct logged {
    const char *id;
    const char *created_at;
    const char *key;   /* NULL: as outbox_case_write() wrote it, of the row `of` */
    const char *value; /* NULL: so too; "": a void */
    int of;
};

/* Starts a new history behind these records. */
static struct origin_restarted restart_behind(const struct config *config,
                                              const struct entity_schema *const *schemas,
                                              const struct logged *records, size_t count)
{
    struct error err = ERROR_INIT;
    struct origin *origin = NULL;
    const struct origin_restart restart = {"shop", "01942f6e-0000-7000-8000-00000000002a", schemas};
    struct origin_restarted restarted = {0};
    const struct origin_ops *ops = origin_find(outbox_case_url);
    assert_int_equal(ops->open(config, ORIGIN_INSTALL, &origin, &err), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        const char *key = records[i].key != NULL ? records[i].key
                                                 : test_format("{\"id\":%d}", records[i].of);
        const char *value = records[i].value != NULL ? records[i].value : "{\"op\":\"c\"}";
        struct origin_note note = {
            .id = slice_of(records[i].id),
            .created_at = slice_of(records[i].created_at),
            .content = origin_content_of(slice_of("order"), slice_of(key), slice_of(value))};
        if (value[0] == '\0')
            note.content.value = 0;
        if (ops->note_in_log(origin, &note, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    if (ops->begin(origin, &err) != STATUS_OK ||
        ops->restart(origin, &restart, &restarted, &err) != STATUS_OK ||
        ops->commit(origin, &err) != STATUS_OK)
        test_fail("%s", err.text);
    ops->close(origin);
    return restarted;
}

/* What the log has is dropped, claimed or not; what it does not have keeps its id. */
static void a_new_incarnation_knows_derived_ids(void)
{
    const char *ids[9];
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 8);
    for (int i = 1; i <= 8; i++) {
        set_time(i, TIME_A);
        ids[i] = id_of(outbox, i);
    }
    give_id(2, "two");
    give_id(3, ids[7]); /* which is no event of that row */
    (void)outbox_case_ask("UPDATE outbox SET kafka_partition = 0, sequence = position "
                          "WHERE position <= 5");
    set_time(6, TIME_B); /* after a restore: another event at this position */
    const char *sixth = id_of(outbox, 6);

    const struct config config = case_config();
    const struct logged records[] = {
        {ids[1], PUBLISHED_A, .of = 1},
        {"two", PUBLISHED_A, .of = 2},
        {ids[2], PUBLISHED_A, .of = 2}, /* that row has another id */
        {ids[4], PUBLISHED_B, .of = 4}, /* an id that was not derived from it */
        {ids[6], PUBLISHED_A, .of = 6},
        {ids[7], PUBLISHED_A, .of = 7},
        {ids[7], PUBLISHED_A, .of = 7},
        {"01942f6e-0000-8000-8000-000000000005", PUBLISHED_A, .of = 5},
        {ids[8], NULL, .of = 8}};
    const struct origin_restarted restarted = restart_behind(&config, NULL, records,
                                                             sizeof records / sizeof *records);
    assert_int_equal(restarted.dropped, 3);
    assert_int_equal(restarted.renamed, 0);
    assert_string_equal(outbox_case_ask("SELECT position FROM outbox WHERE sequence IS NULL "
                                        "ORDER BY position"),
                        "3\n4\n5\n6\n8\n");
    assert_string_equal(id_of(outbox, 3), ids[7]);
    assert_string_equal(id_of(outbox, 4), ids[4]);
    assert_string_equal(id_of(outbox, 6), sixth);
    outbox->ops->close(outbox);
}

static struct entity_schema *order_schema(void)
{
    struct error err = ERROR_INIT;
    struct entity_schema *schema = NULL;
    test_write_file(test_path("order.schema.json"), shop_schema("id", "id integer"));
    if (entity_schema_new(test_directory(), "order", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return schema;
}

/* Positions and times repeat where a writer gives created_at and the database was rewound. */
static void a_new_incarnation_keeps_an_event_that_shares_its_id_with_another(void)
{
    struct config_entry entry = {.entity_type = (char *)"order", .topic = (char *)"order"};
    const char *ids[8];
    outbox_case_make();
    struct entity_schema *schema = order_schema();
    struct config config = case_config();
    config.publish = &entry;
    config.publish_count = 1;
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 7);
    for (int i = 1; i <= 7; i++) {
        set_time(i, TIME_A);
        ids[i] = id_of(outbox, i);
    }
    (void)outbox_case_ask("UPDATE outbox SET aggregateid = '{ \"id\": 4 }' WHERE position = 4;"
                          "UPDATE outbox SET aggregateid = '5' WHERE position = 5;"
                          "UPDATE outbox SET aggregateid = 'none' WHERE position = 7");
    const struct logged records[] = {
        {ids[1], PUBLISHED_A, .of = 1, .value = "{\"op\":\"d\"}"}, /* another value */
        {ids[2], PUBLISHED_A, .of = 9},                            /* another key */
        {ids[3], PUBLISHED_A, .of = 3, .value = "{\"op\":\"d\"}"}, /* two events of one id, */
        {ids[3], PUBLISHED_A, .of = 3},                            /* one is the row's */
        {ids[4], PUBLISHED_A, .of = 4},
        {ids[5], PUBLISHED_A, .of = 5, .value = ""},
        {ids[6], PUBLISHED_A, .of = 9, .value = ""}, /* a void of another entity */
        {ids[7], PUBLISHED_A, .of = 7}};             /* that row's key is none */
    const struct entity_schema *schemas[] = {schema};
    const struct origin_restarted restarted = restart_behind(&config, schemas, records,
                                                             sizeof records / sizeof *records);
    assert_string_equal(outbox_case_ask("SELECT position FROM outbox WHERE id IS NOT NULL "
                                        "ORDER BY position"),
                        "1\n2\n6\n7\n");
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox"), "4\n");
    assert_int_equal(restarted.dropped, 3);
    assert_int_equal(restarted.renamed, 4);
    /* Readers would take the other event's id for a duplicate. */
    assert_string_not_equal(id_of(outbox, 1), ids[1]);
    assert_int_equal(event_id_position(slice_of(id_of(outbox, 1))), 0);
    assert_true(position_of(outbox, id_of(outbox, 1)) == 1);
    outbox->ops->close(outbox);
    entity_schema_free(schema);
}

/* More than are compared at once. */
static void a_new_incarnation_compares_every_row(void)
{
    struct logged records[250];
    const char *name = outbox_case_product->name;
    outbox_case_make();
    const struct config config = case_config();
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, created_at) "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) "
        "SELECT 'order', %s, 'order.created', '{\"op\":\"c\"}', '%s' FROM n ORDER BY i",
        strcmp(name, "mariadb") == 0 ? "CONCAT('{\"id\":', i, '}')" : "'{\"id\":' || i || '}'",
        time_text(TIME_A)));
    struct outbox *outbox = outbox_case_open("1");
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    const struct outbox_selection all = {.filter = OUTBOX_ALL};
    assert_int_equal(outbox->ops->list(outbox, &all, &outbox_case_arena, &rows, &err), STATUS_OK);
    assert_int_equal(rows.count, 250);
    for (int i = 0; i < 250; i++) /* the log has every second one */
        records[i] = (struct logged){rows.rows[i].id.data, PUBLISHED_A, .of = i + 1 + i % 2};
    const struct origin_restarted restarted = restart_behind(&config, NULL, records, 250);
    assert_int_equal(restarted.dropped, 125);
    assert_int_equal(restarted.renamed, 125);
    assert_string_equal(outbox_case_ask("SELECT count(*), count(DISTINCT id), sum(position % 2) "
                                        "FROM outbox"),
                        "125|125|0\n");
    outbox->ops->close(outbox);
}

/* Version 0.2.0 made the outbox, and nothing but the program is newer. */
static void make_former_outbox(void)
{
    const char *name = outbox_case_product->name;
    outbox_case_make();
    (void)outbox_case_ask("DROP TABLE outbox");
    (void)outbox_case_ask(strcmp(name, "sqlite") == 0       ? FORMER_OUTBOX_SQLITE
                          : strcmp(name, "postgresql") == 0 ? FORMER_OUTBOX_POSTGRESQL
                                                            : FORMER_OUTBOX_MARIADB);
    if (strcmp(name, "postgresql") == 0)
        (void)outbox_case_ask("GRANT SELECT, DELETE, UPDATE ON outbox TO keepstep_relay");
}

static void an_outbox_of_an_earlier_version_is_refused_until_init(void)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    make_former_outbox();
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "run `keepstep init`"));
}

/* @return how often the words are there. */
static int count_of(const char *text, const char *words)
{
    int count = 0;
    while ((text = strstr(text, words)) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void init_frees_the_ids_of_an_earlier_version(void)
{
    make_former_outbox();
    outbox_case_write("order", 1, 3);
    const char *said = outbox_case_init();
    assert_int_equal(count_of(said, "changed  column  outbox.id"), 1);
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_claimed(outbox, &lease, 0);
    const char *first = id_of(outbox, 1);
    const char *third = id_of(outbox, 3);

    outbox_case_write("order", 4, 5);
    assert_string_equal(outbox_case_ask("SELECT position FROM outbox WHERE id IS NULL ORDER BY 1"),
                        "4\n5\n");
    assert_string_equal(id_of(outbox, 1), first);
    assert_true(position_of(outbox, third) == 3);
    assert_true(event_id_position(slice_of(id_of(outbox, 4))) == 4);
    assert_true(position_of(outbox, id_of(outbox, 4)) == 4);
    assert_string_equal(write_under(first), "1\n");
    assert_string_equal(write_under("given"), "1\n");
    outbox_case_claimed(outbox, &lease, 3);
    outbox->ops->close(outbox);
    if (strcmp(outbox_case_product->name, "sqlite") == 0)
        assert_string_equal(outbox_case_ask("PRAGMA integrity_check"), "ok\n");

    said = outbox_case_init();
    assert_int_equal(count_of(said, "changed") + count_of(said, "created"), 0);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence > 0"), "6\n");
}

/* Another `init` was killed while it made the index. */
static void init_makes_an_index_again_that_was_left_unfinished(void)
{
    make_former_outbox();
    outbox_case_write("order", 1, 3);
    (void)outbox_case_ask("CREATE UNIQUE INDEX outbox_id ON outbox (id) WHERE id IS NOT NULL;"
                          "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
                          "'outbox_id'::regclass");
    assert_int_equal(count_of(outbox_case_init(), "changed  column  outbox.id"), 1);
    assert_string_equal(outbox_case_ask("SELECT indisvalid, indisunique FROM pg_index WHERE "
                                        "indexrelid = 'outbox_id'::regclass"),
                        "t|t\n");
}

/** Another `init`, which makes the index. */
struct other_init {
    struct session *session;
    atomic_bool over;
};

static void *end_turn(void *context)
{
    struct other_init *other = context;
    clock_sleep_us(500000);
    atomic_store(&other->over, true);
    session_close(other->session);
    return NULL;
}

static void two_init_take_turns_to_make_an_index(void)
{
    pthread_t thread;
    make_former_outbox();
    struct other_init other = {.session = session_open(outbox_case_url)};
    session_run(other.session, "SELECT pg_advisory_lock(1264941910)", NULL);
    assert_int_equal(pthread_create(&thread, NULL, end_turn, &other), 0);
    assert_int_equal(count_of(outbox_case_init(), "changed  column  outbox.id"), 1);
    assert_true(atomic_load(&other.over));
    (void)pthread_join(thread, NULL);
}

CASE(an_id_is_derived_where_a_row_was_given_none_and_stays_the_same)
CASE(a_position_that_is_used_again_has_another_id)
CASE(a_numbered_row_whose_id_has_changed_is_not_sent)
CASE(an_id_that_was_given_after_it_was_derived_hides_no_row)
CASE(a_given_id_is_given_once)
CASE(a_new_incarnation_knows_derived_ids)
CASE(a_new_incarnation_keeps_an_event_that_shares_its_id_with_another)
CASE(a_new_incarnation_compares_every_row)
CASE(an_outbox_of_an_earlier_version_is_refused_until_init)
CASE(init_frees_the_ids_of_an_earlier_version)
CASE_OF(a_row_whose_time_is_none_has_no_id, 0, sqlite)
CASE_OF(a_numbered_row_whose_time_is_none_is_not_sent, 0, sqlite)
CASE_OF(init_makes_an_index_again_that_was_left_unfinished, 1, postgresql)
CASE_OF(two_init_take_turns_to_make_an_index, 1, postgresql)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(an_id_is_derived_where_a_row_was_given_none_and_stays_the_same),
        ALL(a_position_that_is_used_again_has_another_id),
        ALL(a_numbered_row_whose_id_has_changed_is_not_sent),
        ALL(an_id_that_was_given_after_it_was_derived_hides_no_row),
        ALL(a_given_id_is_given_once),
        ALL(a_new_incarnation_knows_derived_ids),
        ALL(a_new_incarnation_keeps_an_event_that_shares_its_id_with_another),
        ALL(a_new_incarnation_compares_every_row),
        ALL(an_outbox_of_an_earlier_version_is_refused_until_init),
        ALL(init_frees_the_ids_of_an_earlier_version),
        TEST(a_row_whose_time_is_none_has_no_id_sqlite),
        TEST(a_numbered_row_whose_time_is_none_is_not_sent_sqlite),
        TEST(init_makes_an_index_again_that_was_left_unfinished_postgresql),
        TEST(two_init_take_turns_to_make_an_index_postgresql),
    };
    return TEST_RUN(tests);
}
