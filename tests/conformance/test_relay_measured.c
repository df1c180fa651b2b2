/* A relay on each database, of which the test sees each load of what waits: what happens while a
 * large transaction is measured, or behind what was passed (rules 54 and 58). labels: threads */
#include "tests/support/relay_watched.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_S  180
#define LIMIT_MS 60000
#define LOOKS_US (INT64_C(2) * 1000 * 1000) /* in which the relay looks several times */
#define ROWS     3000
#define WINDOW   500
#define PAUSED   2900                  /* more than a load */
#define FREE     1100                  /* so that the second load is full */
#define LATE     (3 * (int64_t)WINDOW) /* when something happens: this was measured */
#define LAST     (ROWS - (int64_t)WINDOW)

#define LOADS_MAX 250 /* of all looks in LOOKS_US */

#define BACKLOG       40000
#define BACKLOG_LATER 3000

static struct config_entry entries[3];
static int64_t late_at;
static void (*on_late)(void);             /* called once, from the relay's thread */
static void (*on_look)(void);             /* the same, between two loads */
static atomic_int_fast64_t loaded_behind; /* the position */
static atomic_int_fast64_t first_behind;  /* the smallest of these */
static atomic_bool was_late;              /* it was */
static atomic_bool loses_claim; /* the next claim is durable, and the relay does not hear it */
static atomic_size_t loaded;    /* rows, of the largest load */
static atomic_int loads;

static enum status load_waiting(struct outbox *outbox, const struct outbox_extent *extent,
                                struct arena *arena, struct outbox_rows *ret_rows,
                                struct error *err)
{
    atomic_store(&loaded_behind, extent->after);
    atomic_fetch_add(&loads, 1);
    if (extent->after < atomic_load(&first_behind))
        atomic_store(&first_behind, extent->after);
    if (on_late != NULL && extent->after >= late_at && !atomic_load(&was_late)) {
        on_late();
        atomic_store(&was_late, true);
    }
    enum status status = relay_watched_ops->load_waiting(outbox, extent, arena, ret_rows, err);
    if (ret_rows->count > atomic_load(&loaded))
        atomic_store(&loaded, ret_rows->count);
    return status;
}

/* Called in front of each look for data. */
static enum status load_joint(struct outbox *outbox, const struct outbox_extent *extent,
                              struct arena *arena, struct outbox_rows *ret_rows, struct error *err)
{
    if (on_look != NULL && atomic_load(&loaded_behind) >= late_at && !atomic_load(&was_late)) {
        on_look();
        atomic_store(&was_late, true);
    }
    return relay_watched_ops->load_joint(outbox, extent, arena, ret_rows, err);
}

static enum status claim(struct outbox *outbox, const struct lease *lease,
                         const struct outbox_claim *wanted, struct error *err)
{
    enum status status = relay_watched_ops->claim(outbox, lease, wanted, err);
    if (status == STATUS_OK && atomic_exchange(&loses_claim, false))
        return error_set(err, STATUS_RETRY, "the connection was lost");
    return status;
}

static void watch(struct outbox_ops *ops)
{
    ops->load_waiting = load_waiting;
    ops->load_joint = load_joint;
    ops->claim = claim;
}

static void make(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true, .joint = true};
    outbox_case_whole = outbox_case_joint = true;
    (void)remove(test_path("outbox.db")); /* of the round before */
    outbox_case_make();
    if (strncmp(outbox_case_url, "sqlite:", 7) == 0)
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, 1);
    shop->config.limits.changeset_events = WINDOW;
    entries[0] = entries[1] = shop->both[0];
    entries[1].entity_type = (char *)"note";
    entries[2] = shop->both[1];
    shop->config.publish = entries;
    shop->config.publish_count = 3;
    on_late = on_look = NULL;
    atomic_store(&loaded_behind, 0);
    late_at = LATE;
    atomic_store(&was_late, false);
    atomic_store(&loses_claim, false);
    atomic_store(&loaded, 0);
}

/* Write rows of the position's number as entity; `orders` and `changeset` are expressions of
 * it. */
static void write_rows(int count, const char *orders, const char *changeset)
{
    relay_watched_write(1, count, "");
    (void)outbox_case_ask(test_format("UPDATE outbox SET changeset = %s", changeset));
    (void)outbox_case_ask(test_format("UPDATE outbox SET aggregatetype = 'note', type = "
                                      "'note.updated' WHERE NOT (%s)",
                                      orders));
}

static void expect_late(const struct relay_shop *shop)
{
    int64_t until = clock_monotonic_us() + (int64_t)LIMIT_MS * 1000;
    while (!atomic_load(&was_late) && clock_monotonic_us() < until)
        clock_sleep_us(10000);
    if (!atomic_load(&was_late))
        test_fail("nothing was measured: %s", shop->err.text);
}

static void pause_type(const char *type)
{
    (void)outbox_case_ask(
        test_format("INSERT INTO keepstep_paused VALUES ('%s', 5, 'anna@host', 'why')", type));
}

static void expect_all(struct relay_shop *shop, int rows)
{
    (void)outbox_case_ask("DELETE FROM keepstep_paused");
    relay_watched_expect(shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL",
                         test_format("%d\n", rows));
    relay_shop_stop(shop);
    relay_watched_expect_order();
    assert_int_equal(atomic_load(&shop->metrics.sets_set_aside), 0);
    relay_shop_done(shop);
}

static void lose_joint_claim(void)
{
    outbox_case_propose(1);
    atomic_store(&loses_claim, true);
}

/* `b` waits with a paused type: an order, and a note that `a`, which is large, changes later. */
static void what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(ROWS, "position = 4", "CASE WHEN position IN (4, 5) THEN 'b' ELSE 'a' END");
    relay_watched_give_entity(2402, 5);
    pause_type("order");
    on_late = lose_joint_claim;
    relay_watched_start(&shop, watch);
    expect_late(&shop);
    relay_watched_expect(
        &shop,
        "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL AND aggregatetype = "
        "'keepstep.joint'",
        "1\n");
    clock_sleep_us(LOOKS_US);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL", "1\n");
    assert_false(atomic_load(&loses_claim));
    expect_all(&shop, ROWS + 1);
}

/* Since the last call the relay has loaded, and never more than one row at a time. */
static bool loads_one_row(void *context)
{
    (void)context;
    return atomic_exchange(&loaded, 0) == 1;
}

static bool has_loaded(void *context)
{
    (void)context;
    return atomic_load(&loaded) > 0;
}

/* The loads end with rows that are published: what was passed is all that waits. */
static void what_was_passed_is_not_read_again_while_nothing_waits_behind_it(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(PAUSED + FREE, test_format("position <= %d", PAUSED), "''");
    pause_type("order");
    relay_watched_start(&shop, watch);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL",
                         test_format("%d\n", FREE));
    assert_true(test_wait(loads_one_row, NULL, LIMIT_MS));
    clock_sleep_us(LOOKS_US);
    assert_true(test_wait(has_loaded, NULL, LIMIT_MS));
    assert_int_equal(atomic_load(&loaded), 1);
    expect_all(&shop, PAUSED + FREE);
}

/* The database has the first two numbers of four, and nothing tells which rows are the rest. */
static void number_first_of_unknown_rest(void)
{
    (void)outbox_case_ask("UPDATE outbox SET id = 'row-' || position");
    (void)outbox_case_ask("UPDATE outbox SET kafka_partition = 0, sequence = position, "
                          "changeset_end = 4 WHERE position <= 2");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_type VALUES ('order', 'order')");
    (void)outbox_case_ask(
        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 2, 'row-2', 0, -1, '')");
}

static void do_nothing(void)
{
}

/* Its paused row is behind the first load, and nothing is remembered while numbers wait so. */
static void what_waits_while_numbers_do_is_not_measured_all_the_time(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(ROWS, test_format("position <> %d", PAUSED),
               "CASE WHEN position <= 2 THEN '-' ELSE 'a' END");
    number_first_of_unknown_rest();
    pause_type("note");
    late_at = LAST - WINDOW;
    on_late = do_nothing;
    relay_watched_start(&shop, watch);
    expect_late(&shop);
    clock_sleep_us(LOOKS_US);
    atomic_store(&loads, 0);
    clock_sleep_us(LOOKS_US);
    assert_in_range(atomic_load(&loads), 0, LOADS_MAX);
    expect_all(&shop, ROWS);
}

static void propose(void)
{
    outbox_case_propose(1);
}

/* The last window is loaded then: the record is claimed in front of the first part. */
static void expect_whole_beside_a_joint_record(void (*joint)(void))
{
    struct relay_shop shop;
    make(&shop);
    relay_watched_write(1, ROWS, "a");
    on_late = joint;
    late_at = LAST;
    relay_watched_start(&shop, watch);
    expect_all(&shop, ROWS + 1);
    assert_true(atomic_load(&was_late) && !atomic_load(&loses_claim));
    assert_string_equal(outbox_case_ask("SELECT min(sequence), max(sequence), min(changeset_end), "
                                        "max(changeset_end) FROM outbox WHERE changeset = 'a'"),
                        test_format("1|%d|%d|%d\n", ROWS, ROWS, ROWS));
    arena_done(&outbox_case_arena);
}

static void a_joint_record_in_front_of_the_first_part_moves_no_end(void)
{
    expect_whole_beside_a_joint_record(propose);
    expect_whole_beside_a_joint_record(lose_joint_claim);
    arena_init(&outbox_case_arena, 1);
}

/* Another server has taken over, which lacks some of what was measured: what waits there has the
 * identity by chance. */
static void lose_rows(void)
{
    outbox_case_product->kill(outbox_case_url);
    (void)outbox_case_ask("DELETE FROM outbox WHERE position <= 5");
}

static void what_was_measured_is_measured_anew_where_the_connection_is_another_one(void)
{
    static const int64_t moments[] = {LATE, LAST};
    for (size_t i = 0; i < 2; i++) {
        struct relay_shop shop;
        make(&shop);
        relay_watched_write(1, ROWS, "a");
        on_look = lose_rows;
        late_at = moments[i];
        relay_watched_start(&shop, watch);
        expect_late(&shop); /* the connections of who waits for rows would be ended too */
        expect_all(&shop, ROWS - 5);
        assert_string_equal(outbox_case_ask("SELECT max(sequence), max(changeset_end) FROM outbox"),
                            test_format("%d|%d\n", ROWS - 5, ROWS - 5));
        arena_done(&outbox_case_arena);
    }
    arena_init(&outbox_case_arena, 1);
}

/* `x` waits; of `y` nothing tells where a transaction ends, and it is longer than a load. */
static void what_nothing_tells_apart_is_cut_beside_what_waits(void)
{
    struct relay_shop shop;
    make(&shop);
    write_rows(ROWS, "position <> 100 AND position <> 2900",
               "CASE WHEN position IN (100, 2900) THEN 'x -' ELSE 'y -' END");
    pause_type("note");
    relay_watched_start(&shop, watch);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL",
                         test_format("%d\n", ROWS - 2));
    clock_sleep_us(LOOKS_US);
    assert_string_equal(
        outbox_case_ask("SELECT count(sequence) FROM outbox WHERE changeset = 'x -'"), "0\n");
    expect_all(&shop, ROWS);
}

static struct session *writer;

static void commit_writer(void)
{
    (void)session_try(writer, "COMMIT", NULL);
}

static void write_amid(const char *type, int id, const char *changeset)
{
    session_run(writer,
                test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, "
                            "changeset) VALUES ('%s', '{\"id\":%d}', '%s.updated', '{\"op\":\"u\","
                            "\"before\":null,\"after\":{\"id\":%d,\"name\":\"x\"}}', '%s')",
                            type, id, type, id, changeset),
                NULL);
}

/* Its first row stands in front of what has been measured by then, its second one behind. */
struct amid {
    const char *second_type;
    int second_id;
    bool is_paused; /* the type of the first one */
    const char *changeset;
};

static void commit_amid(const struct amid *amid)
{
    struct relay_shop shop;
    make(&shop);
    writer = session_open(outbox_case_url);
    session_run(writer, "START TRANSACTION", NULL);
    write_amid("note", ROWS + 1, amid->changeset);
    relay_watched_write(1, ROWS - WINDOW, "a");
    write_amid(amid->second_type, amid->second_id, amid->changeset);
    relay_watched_write(ROWS - WINDOW + 1, WINDOW, "a");
    if (amid->is_paused)
        pause_type("note");
    on_late = commit_writer;
    relay_watched_start(&shop, watch);
    expect_late(&shop);
    relay_watched_expect(&shop,
                         "SELECT count(*), max(sequence) - min(sequence) + 1, count(DISTINCT "
                         "changeset_end) FROM outbox WHERE changeset = 'a'",
                         test_format("%d|%d|1\n", ROWS, ROWS));
    clock_sleep_us(amid->is_paused ? LOOKS_US : 0);
    if (amid->is_paused)
        relay_watched_expect(&shop, "SELECT count(sequence) FROM outbox WHERE changeset <> 'a'",
                             "0\n");
    expect_all(&shop, ROWS + 2);
    if (strcmp(amid->changeset, "-") != 0)
        assert_string_equal(outbox_case_ask("SELECT count(DISTINCT changeset_end), max(sequence) - "
                                            "min(sequence) FROM outbox WHERE changeset = 't'"),
                            "1|1\n");
    session_close(writer);
}

/* In SQLite nobody writes beside another. */
static void a_transaction_that_commits_amid_the_measuring_stays_whole(void)
{
    static const struct amid cases[] = {{"note", ROWS + 2, false, "t"},
                                        {"note", ROWS + 1, false, "t"},
                                        {"order", ROWS + 2, true, "t"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        commit_amid(&cases[i]);
        arena_done(&outbox_case_arena);
    }
    arena_init(&outbox_case_arena, 1);
}

/* It may be cut. In MariaDB a session without a binary log writes such beside others. */
static void an_entity_keeps_its_order_where_nothing_tells_what_commits_meanwhile(void)
{
    static const struct amid cases[] = {{"note", ROWS + 1, false, "-"},
                                        {"order", ROWS + 2, true, "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        commit_amid(&cases[i]);
        arena_done(&outbox_case_arena);
    }
    arena_init(&outbox_case_arena, 1);
}

/* The writer took its position when most of what waits now was not there. */
static void what_comes_late_lets_little_of_what_was_passed_be_read_again(void)
{
    struct relay_shop shop;
    make(&shop);
    relay_watched_write(1, BACKLOG, "");
    writer = session_open(outbox_case_url);
    session_run(writer, "START TRANSACTION", NULL);
    write_amid("note", 1, "t");
    relay_watched_write(BACKLOG + 1, BACKLOG_LATER, "");
    pause_type("order");
    relay_watched_start(&shop, watch);
    while (atomic_load(&loaded_behind) < BACKLOG + WINDOW)
        clock_sleep_us(LOOKS_US);
    atomic_store(&first_behind, INT64_MAX);
    commit_writer();
    relay_watched_expect(&shop, "SELECT count(sequence) FROM outbox WHERE changeset = 't'", "1\n");
    clock_sleep_us(LOOKS_US);
    assert_true(atomic_load(&first_behind) > BACKLOG / 2);
    expect_all(&shop, BACKLOG + BACKLOG_LATER + 1);
    session_close(writer);
}

CASE_OF_SERVERS(what_comes_late_lets_little_of_what_was_passed_be_read_again)
CASE(a_joint_record_in_front_of_the_first_part_moves_no_end)
CASE(what_nothing_tells_apart_is_cut_beside_what_waits)
CASE_OF_SERVERS(what_was_measured_is_measured_anew_where_the_connection_is_another_one)
CASE_OF_SERVERS(a_transaction_that_commits_amid_the_measuring_stays_whole)
CASE_OF(an_entity_keeps_its_order_where_nothing_tells_what_commits_meanwhile, 2, mariadb)
CASE(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring)
CASE(what_was_passed_is_not_read_again_while_nothing_waits_behind_it)
CASE(what_waits_while_numbers_do_is_not_measured_all_the_time)

#define LIMITED(function) TEST_WITH_LIMIT(function, LIMIT_S)
#define THREE(function)   TEST_WITH_LIMIT(function, 3 * LIMIT_S) /* as many relays, one by one */

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREE(a_transaction_that_commits_amid_the_measuring_stays_whole_postgresql),
        THREE(a_transaction_that_commits_amid_the_measuring_stays_whole_mariadb),
        THREE(an_entity_keeps_its_order_where_nothing_tells_what_commits_meanwhile_mariadb),
        LIMITED(what_comes_late_lets_little_of_what_was_passed_be_read_again_postgresql),
        LIMITED(what_comes_late_lets_little_of_what_was_passed_be_read_again_mariadb),
        LIMITED(a_joint_record_in_front_of_the_first_part_moves_no_end_sqlite),
        LIMITED(a_joint_record_in_front_of_the_first_part_moves_no_end_postgresql),
        LIMITED(a_joint_record_in_front_of_the_first_part_moves_no_end_mariadb),
        LIMITED(what_nothing_tells_apart_is_cut_beside_what_waits_sqlite),
        LIMITED(what_nothing_tells_apart_is_cut_beside_what_waits_postgresql),
        LIMITED(what_nothing_tells_apart_is_cut_beside_what_waits_mariadb),
        LIMITED(what_was_measured_is_measured_anew_where_the_connection_is_another_one_postgresql),
        LIMITED(what_was_measured_is_measured_anew_where_the_connection_is_another_one_mariadb),
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_sqlite),
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_postgresql),
        LIMITED(what_waits_is_known_after_a_claim_was_in_doubt_amid_the_measuring_mariadb),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_sqlite),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_postgresql),
        LIMITED(what_was_passed_is_not_read_again_while_nothing_waits_behind_it_mariadb),
        LIMITED(what_waits_while_numbers_do_is_not_measured_all_the_time_sqlite),
        LIMITED(what_waits_while_numbers_do_is_not_measured_all_the_time_postgresql),
        LIMITED(what_waits_while_numbers_do_is_not_measured_all_the_time_mariadb),
    };
    return TEST_RUN(tests);
}
