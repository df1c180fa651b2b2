/* Rows of one transaction are loaded, numbered and set aside together (rules 52 to 54), in each
 * database and with the rights of a relay's role. */
#include "tests/support/outbox_case.h"

#include "common/clock.h"
#include "tests/support/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_US (100 * 1000) /* until a session waits for a lock, most often */

static struct outbox *outbox;
static struct lease lease;

static void begin(void)
{
    outbox_case_whole = true;
    outbox_case_make();
    outbox = outbox_case_open("1");
    lease = outbox_case_lease(outbox);
}

static void end(void)
{
    outbox->ops->close(outbox);
}

/* A row of a transaction with this identity. */
static void write(const char *type, int key, const char *changeset)
{
    (void)outbox_case_ask(
        test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) "
                    "VALUES ('%s', '{\"id\":%d}', '%s.created', '{\"op\":\"c\"}', '%s')",
                    type, key, type, changeset));
}

static struct outbox_rows load(size_t limit)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    struct outbox_extent extent = outbox_case_extent;
    extent.rows = limit;
    arena_reset(&outbox_case_arena);
    if (outbox->ops->load_waiting(outbox, &extent, &outbox_case_arena, &rows, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return rows;
}

/* "position>last" of each row, with b(ehind), B(locked), p(aused), s(hared). */
static const char *told(size_t limit)
{
    static char text[1024];
    struct outbox_rows rows = load(limit);
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < rows.count; i++) {
        const struct outbox_row *row = &rows.rows[i];
        length += (size_t)snprintf(
            text + length, sizeof text - length, "%s%lld>%lld%s%s%s%s", i == 0 ? "" : " ",
            (long long)row->position, (long long)row->last_of_group, row->behind ? "b" : "",
            row->blocked_by != 0 ? "B" : "", row->paused ? "p" : "", row->shared ? "s" : "");
    }
    return text;
}

static void each_row_says_where_its_set_ends(void)
{
    begin();
    write("order", 1, "x");
    write("order", 2, "y");
    write("line", 1, "x");
    write("order", 3, "");
    (void)outbox_case_ask(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) VALUES "
        "('order', '5', 'order.created', '{}', 'inc-018f y'), "
        "('order', '6', 'order.created', '{}', 'z -')");
    write("line", 2, "y");
    write("order", 7, "z -");
    assert_string_equal(told(100), "1>3 2>7 3>3 4>4 5>5 6>8s 7>7 8>8s");
    (void)outbox_case_ask("UPDATE outbox SET kafka_partition = 0, sequence = 1 WHERE position = 8");
    assert_string_equal(told(100), "1>3 2>7 3>3 4>4 5>5 6>6s 7>7");
    end();
}

/* Not where several transactions may have its identity, but for `-` in MariaDB: there one that has
 * it may be committed beside others. */
static void each_row_says_whether_a_row_of_its_set_waits_before_what_is_loaded(void)
{
    static const char *const sets[] = {"x", "y", "", "-", "z -", "w-",
                                       "x", "y", "", "-", "z -", "w-"};
    struct outbox_extent extent = outbox_case_extent;
    struct error err = ERROR_INIT;
    bool tells_shared = strcmp(outbox_case_product->name, "mariadb") == 0;
    begin();
    for (int i = 0; i < 12; i++)
        write("order", i, sets[i]);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'why' WHERE position = 2");
    extent.after = 6;
    for (int tells = 0; tells <= 1; tells++) {
        struct outbox_rows rows = {0};
        extent.tells_earlier = tells == 1;
        assert_int_equal(
            outbox->ops->load_waiting(outbox, &extent, &outbox_case_arena, &rows, &err), STATUS_OK);
        assert_int_equal(rows.count, 6);
        for (size_t i = 0; i < rows.count; i++)
            assert_int_equal(rows.rows[i].earlier,
                             tells == 1 && (i == 0 || i == 5 || (i == 3 && tells_shared)));
    }
    end();
}

static void a_set_that_reaches_beyond_what_was_loaded_says_so(void)
{
    begin();
    for (int i = 1; i <= 3; i++) {
        write("order", i, "x");
        write("line", i, "y");
    }
    assert_string_equal(told(1), "1>5b");
    assert_string_equal(told(4), "1>5b 2>6b 3>5b 4>6b");
    assert_string_equal(told(5), "1>5 2>6b 3>5 4>6b 5>5");
    assert_string_equal(told(6), "1>5 2>6 3>5 4>6 5>5 6>6");
    /* A payload that ends the load ends the window. */
    (void)outbox_case_ask(test_format("UPDATE outbox SET payload = '%0*d' WHERE position <= 3",
                                      OUTBOX_CASE_PAYLOAD_BYTES, 1));
    assert_string_equal(told(6), "1>5b 2>6b 3>5b");
    end();
}

static void each_row_says_whether_its_type_is_paused(void)
{
    begin();
    write("order", 1, "x"); /* ends at 4 */
    write("line", 1, "y");  /* ends at 3 */
    write("line", 2, "y");
    write("note", 1, "x");
    write("line", 3, "z");
    (void)outbox_case_ask("INSERT INTO keepstep_paused VALUES ('note', 5, 'anna@host', 'rebuilt')");
    assert_string_equal(told(100), "1>4 2>3 3>3 4>4p 5>5");
    (void)outbox_case_ask("DELETE FROM keepstep_paused");
    assert_string_equal(told(100), "1>4 2>3 3>3 4>4 5>5");
    end();
}

/* @return whether they are set aside now. */
static bool is_set_aside(const struct outbox_set *set)
{
    struct error err = ERROR_INIT;
    bool done = false;
    if (outbox->ops->set_aside(outbox, &lease, set, &done, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return done;
}

static void set_aside(const struct outbox_row *rows, size_t count, const char *reason)
{
    const struct outbox_set set = {.rows = rows, .count = count, .reason = reason};
    assert_true(is_set_aside(&set));
}

static const char *waiting_and_aside(void)
{
    return outbox_case_ask("SELECT position, changeset, set_aside FROM outbox ORDER BY position");
}

static void resolve(int64_t position, enum outbox_resolution resolution)
{
    struct error err = ERROR_INIT;
    if (outbox->ops->resolve_set_aside(outbox, position, resolution, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

/* {A} cannot be published, {A, B} waits for it, {B} waits for that one. */
static void write_chain(void)
{
    write("a", 1, "1");
    write("a", 1, "2");
    write("b", 1, "2");
    write("b", 1, "3");
    write("c", 1, "3");
    write("c", 2, "4");
    set_aside(load(100).rows, 1, "no schema");
    assert_string_equal(told(100), "2>3B 3>3 4>5 5>5 6>6");
    set_aside(load(100).rows, 2, OUTBOX_BEHIND "position 1");
    assert_string_equal(told(100), "4>5B 5>5 6>6");
    set_aside(load(100).rows, 2, OUTBOX_BEHIND "position 2");
    assert_string_equal(told(100), "6>6");
    assert_string_equal(waiting_and_aside(),
                        "1|set-1|no schema\n2|set-2|behind position 1\n3|set-2|behind position 1\n"
                        "4|set-4|behind position 2\n5|set-4|behind position 2\n6|4|NULL\n");
}

static void what_waits_behind_a_set_is_released_with_it(void)
{
    begin();
    write_chain();
    resolve(1, OUTBOX_RETRY);
    assert_string_equal(told(100), "1>1 2>3 3>3 4>5 5>5 6>6");
    end();
}

/* The relay has loaded while the blocker was set aside. */
static void expect_not_set_aside_behind(enum outbox_resolution resolution, const char *waiting)
{
    struct outbox_set set = {.count = 2, .reason = OUTBOX_BEHIND "outbox row 1", .behind = 1};
    begin();
    write("a", 1, "1");
    write("a", 1, "2");
    write("b", 1, "2");
    set_aside(load(100).rows, 1, "no schema");
    set.rows = load(100).rows;
    assert_int_equal(set.rows[0].blocked_by, 1);
    resolve(1, resolution);
    assert_false(is_set_aside(&set));
    assert_string_equal(told(100), waiting);
    end();
}

static void a_set_is_not_set_aside_behind_one_that_was_released_meanwhile(void)
{
    expect_not_set_aside_behind(OUTBOX_RETRY, "1>1 2>3 3>3");
}

static void a_set_is_not_set_aside_behind_one_that_was_dropped_meanwhile(void)
{
    expect_not_set_aside_behind(OUTBOX_DROP, "2>3 3>3");
}

static void *set_aside_behind_the_first(void *context)
{
    static bool done;
    done = is_set_aside(context);
    return &done;
}

/* The operator's transaction is not committed yet. */
static void a_set_waits_until_it_is_known_whether_its_blocker_stays_set_aside(void)
{
    struct outbox_set set = {.count = 1, .reason = OUTBOX_BEHIND "outbox row 1", .behind = 1};
    pthread_t thread;
    void *done = NULL;
    begin();
    write("a", 1, "1");
    write("a", 1, "2");
    set_aside(load(100).rows, 1, "no schema");
    set.rows = load(100).rows;
    struct session *session = session_open(outbox_case_url);
    session_run(session, "START TRANSACTION", NULL);
    session_run(session, "UPDATE outbox SET set_aside = NULL WHERE position = 1", NULL);
    assert_int_equal(pthread_create(&thread, NULL, set_aside_behind_the_first, &set), 0);
    clock_sleep_us(WAIT_US);
    session_run(session, "COMMIT", NULL);
    (void)pthread_join(thread, &done);
    assert_false(*(bool *)done);
    session_close(session);
    assert_string_equal(told(100), "1>1 2>2");
    end();
}

static void dropping_a_set_drops_all_of_it_and_releases_what_waits(void)
{
    struct error err = ERROR_INIT;
    begin();
    write_chain();
    resolve(3, OUTBOX_DROP); /* the second row of {A, B} */
    assert_string_equal(waiting_and_aside(),
                        "1|set-1|no schema\n4|set-4|NULL\n5|set-4|NULL\n6|4|NULL\n");
    assert_int_equal(outbox->ops->resolve_set_aside(outbox, 4, OUTBOX_DROP, &err), STATUS_REJECT);
    assert_non_null(strstr(err.text, "position 4"));
    resolve(1, OUTBOX_DROP);
    assert_string_equal(told(100), "4>5 5>5 6>6");
    end();
}

static void a_set_that_is_cut_becomes_single_changes(void)
{
    begin();
    write_chain();
    resolve(2, OUTBOX_CUT);
    assert_string_equal(
        waiting_and_aside(),
        "1|set-1|no schema\n2||NULL\n3||NULL\n4|set-4|NULL\n5|set-4|NULL\n6|4|NULL\n");
    assert_string_equal(told(100), "2>2B 3>3 4>5 5>5 6>6");
    end();
}

static void rows_that_are_alone_are_set_aside_alone(void)
{
    begin();
    write("a", 1, "");
    write("b", 1, "");
    (void)outbox_case_ask("UPDATE outbox SET changeset = NULL WHERE position = 2");
    set_aside(load(100).rows, 1, "no schema");
    set_aside(load(100).rows, 1, "no schema");
    assert_string_equal(waiting_and_aside(), "1||no schema\n2|NULL|no schema\n");
    resolve(1, OUTBOX_RETRY);
    assert_string_equal(waiting_and_aside(), "1||NULL\n2|NULL|no schema\n");
    end();
}

/* It is too large, and only its beginning was loaded. */
static void the_rest_of_a_large_set_is_set_aside_with_it(void)
{
    begin();
    for (int i = 1; i <= 4; i++) {
        write("order", i, "x");
        write("line", i, "y");
    }
    struct outbox_rows rows = load(3);
    const struct outbox_row own[] = {rows.rows[0], rows.rows[2]};
    set_aside(own, 2, "too large");
    assert_string_equal(waiting_and_aside(),
                        "1|set-1|too large\n2|y|NULL\n3|set-1|too large\n4|y|NULL\n"
                        "5|set-1|too large\n6|y|NULL\n7|set-1|too large\n8|y|NULL\n");
    write("order", 5, "x"); /* a later transaction may have the same identity */
    assert_string_equal(told(100), "2>8 4>8 6>8 8>8 9>9");
    resolve(7, OUTBOX_RETRY);
    assert_string_equal(told(100), "1>7 2>8 3>7 4>8 5>7 6>8 7>7 8>8 9>9");
    end();
}

/* The rest is read, and set aside, in pieces. A record of joint transactions is no part of a set.
 */
static void the_rest_of_a_set_is_found_by_its_identity(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rest = {0};
    begin();
    for (int i = 1; i <= 4; i++) {
        write("order", i, "x");
        write(i == 3 ? "keepstep.joint" : "line", i, i == 3 ? "x" : "y");
    }
    const struct outbox_row first = load(1).rows[0];
    assert_int_equal(first.last_of_group, 7);
    assert_int_equal(outbox->ops->load_group(outbox, &first, &outbox_case_arena, &rest, &err),
                     STATUS_OK);
    assert_int_equal(rest.count, 3);
    assert_int_equal(rest.rows[0].position, 3);
    assert_true(slice_is(rest.rows[1].entity_key, "{\"id\":3}"));
    assert_true(slice_is(rest.rows[1].entity_type, "order"));
    set_aside(&first, 1, "too large");
    assert_string_equal(outbox_case_ask("SELECT position FROM outbox WHERE set_aside IS NULL "
                                        "ORDER BY position"),
                        "2\n4\n6\n8\n");
    end();
}

/* Others wait for a vote, and what is voted on does not wait for it. */
static void a_pause_stops_no_record_of_joint_transactions(void)
{
    begin();
    write("order", 1, "x");
    write("keepstep.joint", 1, "x");
    write("keepstep.joint", 2, "y");
    write("line", 1, "x");
    (void)outbox_case_ask(
        "INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'rebuilt')");
    assert_string_equal(told(100), "1>4p 2>2 3>3 4>4");
    end();
}

static void of_an_identity_that_several_transactions_have_only_the_given_rows_are_set_aside(void)
{
    begin();
    for (int i = 1; i <= 3; i++)
        write("order", i, "-");
    set_aside(load(2).rows, 2, "no schema");
    assert_string_equal(waiting_and_aside(),
                        "1|set-1 -|no schema\n2|set-1 -|no schema\n3|-|NULL\n");
    resolve(1, OUTBOX_RETRY);
    assert_string_equal(told(100), "1>2s 2>2s 3>3s");
    end();
}

static void sets_that_were_merged_are_set_aside_as_one(void)
{
    begin();
    write("order", 1, "x");
    write("order", 2, "y");
    write("order", 1, "x");
    struct outbox_rows rows = load(100);
    const struct outbox_row merged[] = {rows.rows[1], rows.rows[0], rows.rows[2]};
    set_aside(merged, 3, "no schema");
    assert_string_equal(waiting_and_aside(),
                        "1|set-1 -|no schema\n2|set-1 -|no schema\n3|set-1 -|no schema\n");
    end();
}

/* In the order of their sets, {5, 7}, {3, 9}, where positions go up and down. */
static void a_claim_stores_where_each_set_ends(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows found = {0};
    struct outbox_row row;
    struct relay_partition partition = {.topic = "orders", .partition = 1, .last_sequence = 5};
    static const size_t order[] = {1, 2, 0, 4, 3};
    static const uint64_t ends[] = {2, 2, 4, 4, 0};
    struct outbox_row claimed[5];
    begin();
    write("order", 1, "x");
    write("order", 2, "y");
    write("order", 3, "y");
    write("order", 4, "");
    write("order", 5, "x");
    struct outbox_rows rows = load(100);
    for (size_t i = 0; i < 5; i++) {
        claimed[i] = rows.rows[order[i]];
        claimed[i].topic = "orders";
        claimed[i].partition = 1;
        claimed[i].sequence = i + 1;
        claimed[i].changeset_end = ends[i];
        claimed[i].rekeyed = i < 4; /* its own key again */
    }
    (void)snprintf(partition.last_id, sizeof partition.last_id, "%.*s", SLICE_ARGS(claimed[4].id));
    if (outbox->ops->claim(outbox, &lease, &(struct outbox_claim){claimed, 5, &partition, 1, NULL},
                           &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(
        outbox_case_ask("SELECT position, sequence, changeset_end FROM outbox ORDER BY position"),
        "1|3|4\n2|1|2\n3|2|2\n4|5|NULL\n5|4|4\n");
    if (outbox->ops->load_claimed(outbox, &partition, &outbox_case_arena, &found, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(found.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(found.rows[i].changeset_end, ends[i]);
    assert_int_equal(outbox->ops->find(outbox, claimed[3].id, &outbox_case_arena, &row, &err),
                     STATUS_OK);
    assert_int_equal(row.position, 5);
    assert_int_equal(row.changeset_end, 4);
    end();
}

/* A long outbox is read in pages. */
static void a_list_for_people_can_go_on_and_leave_payloads_out(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    begin();
    write_chain();
    for (enum outbox_filter filter = OUTBOX_WAITING; filter <= OUTBOX_ALL; filter++) {
        static const size_t behind_two[] = {1, 3, 4};
        const struct outbox_selection selection = {
            .filter = filter, .limit = 10, .after = 2, .brief = true};
        arena_reset(&outbox_case_arena);
        assert_int_equal(outbox->ops->list(outbox, &selection, &outbox_case_arena, &rows, &err),
                         STATUS_OK);
        assert_int_equal(rows.count, behind_two[filter]);
        assert_null(rows.rows[0].payload.data);
        assert_true(rows.rows[0].changeset.length > 0);
    }
    end();
}

CASE(each_row_says_where_its_set_ends)
CASE(each_row_says_whether_a_row_of_its_set_waits_before_what_is_loaded)
CASE(a_set_that_reaches_beyond_what_was_loaded_says_so)
CASE(each_row_says_whether_its_type_is_paused)
CASE(what_waits_behind_a_set_is_released_with_it)
CASE(a_set_is_not_set_aside_behind_one_that_was_released_meanwhile)
CASE(a_set_is_not_set_aside_behind_one_that_was_dropped_meanwhile)
CASE_OF_SERVERS(a_set_waits_until_it_is_known_whether_its_blocker_stays_set_aside)
CASE(the_rest_of_a_set_is_found_by_its_identity)
CASE(a_pause_stops_no_record_of_joint_transactions)
CASE(dropping_a_set_drops_all_of_it_and_releases_what_waits)
CASE(a_set_that_is_cut_becomes_single_changes)
CASE(rows_that_are_alone_are_set_aside_alone)
CASE(the_rest_of_a_large_set_is_set_aside_with_it)
CASE(of_an_identity_that_several_transactions_have_only_the_given_rows_are_set_aside)
CASE(sets_that_were_merged_are_set_aside_as_one)
CASE(a_claim_stores_where_each_set_ends)
CASE(a_list_for_people_can_go_on_and_leave_payloads_out)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(each_row_says_where_its_set_ends),
        ALL(a_set_that_reaches_beyond_what_was_loaded_says_so),
        ALL(each_row_says_whether_a_row_of_its_set_waits_before_what_is_loaded),
        ALL(each_row_says_whether_its_type_is_paused),
        ALL(what_waits_behind_a_set_is_released_with_it),
        ALL(a_set_is_not_set_aside_behind_one_that_was_released_meanwhile),
        ALL(a_set_is_not_set_aside_behind_one_that_was_dropped_meanwhile),
        SERVERS(a_set_waits_until_it_is_known_whether_its_blocker_stays_set_aside),
        ALL(the_rest_of_a_set_is_found_by_its_identity),
        ALL(a_pause_stops_no_record_of_joint_transactions),
        ALL(dropping_a_set_drops_all_of_it_and_releases_what_waits),
        ALL(a_set_that_is_cut_becomes_single_changes),
        ALL(rows_that_are_alone_are_set_aside_alone),
        ALL(the_rest_of_a_large_set_is_set_aside_with_it),
        ALL(of_an_identity_that_several_transactions_have_only_the_given_rows_are_set_aside),
        ALL(sets_that_were_merged_are_set_aside_as_one),
        ALL(a_claim_stores_where_each_set_ends),
        ALL(a_list_for_people_can_go_on_and_leave_payloads_out),
    };
    return TEST_RUN(tests);
}
