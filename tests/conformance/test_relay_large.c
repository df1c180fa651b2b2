/* A relay with a transaction that is larger than its claims, on each database: what has a part of
 * its `changeset` numbered, crosses it, or was lost. labels: threads */
#include "tests/support/relay_watched.h"

#include "common/clock.h"
#include "operate/status_sets.h"

#include <stdio.h>

#define SIZE   10 /* rows of a small case */
#define PART   3
#define SPREAD 24   /* of one in two partitions */
#define ROWS   3000 /* of a large one, in windows of: */
#define WINDOW 500

#define LOADS_MAX 200 /* a writer writes in front of */
#define TEXT_MAX  4096

static void make_with(struct relay_shop *shop, int events, int32_t partitions)
{
    *shop = (struct relay_shop){.whole = true};
    outbox_case_whole = true;
    (void)remove(test_path("outbox.db")); /* of the round before */
    outbox_case_make();
    if (strncmp(outbox_case_url, "sqlite:", 7) == 0)
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, partitions);
    shop->config.limits.changeset_events = events;
}

static void make(struct relay_shop *shop, int events)
{
    make_with(shop, events, 1);
}

/* Write rows, each of an entity of its own, with the position's number; `changeset` is an
 * expression of it. */
static void write_rows(int count, const char *changeset)
{
    relay_watched_write(1, count, "");
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET id = 'row-' || position, changeset = %s", changeset));
}

/* The database has the numbers of the first rows of a set only. */
static void number_first(int count, const char *changeset, int end)
{
    (void)outbox_case_ask(test_format("UPDATE outbox SET kafka_partition = 0, sequence = position, "
                                      "changeset_end = %d, changeset = '%s' WHERE position <= %d",
                                      end, changeset, count));
    (void)outbox_case_ask("INSERT INTO keepstep_relay_type VALUES ('order', 'order')");
    (void)outbox_case_ask(test_format("INSERT INTO keepstep_relay_partition VALUES ('order', 0, "
                                      "%d, 'row-%d', 0, -1, '')",
                                      count, count));
}

#define ENDS                                                                                       \
    "SELECT min(sequence), max(sequence), count(*), coalesce(changeset_end, 0) FROM outbox "       \
    "GROUP BY changeset_end ORDER BY min(sequence)"

/* What waits besides the rest of a set that nothing tells from it: more of its kind, and a large
 * transaction; of it all, or its last row alone, are behind the rest. */
static void numbers_that_nothing_tells_whose_they_were_go_to_what_waits(void)
{
    static const struct {
        const char *changeset;
        int end;
        const char *ends;
    } cases[] = {
        {"'-'", 5, "1|5|5|5\n6|10|2|0\n7|9|3|9\n"},
        {"'a'", 5, "1|5|5|5\n6|10|5|10\n"},
        {"'a'", 4, "1|4|4|4\n5|10|6|10\n"},
        {"'a'", 9, "1|9|9|9\n10|10|1|0\n"},
        {"CASE WHEN position = 10 THEN 'b' ELSE 'a' END", 8, "1|8|8|8\n9|10|2|0\n"},
        {"''", 5, "1|5|5|5\n6|10|5|0\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct relay_shop shop;
        make(&shop, PART);
        write_rows(SIZE, cases[i].changeset);
        number_first(PART, "-", cases[i].end);
        relay_shop_start(&shop);
        relay_watched_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                             "10\n");
        relay_shop_stop(&shop);
        assert_string_equal(outbox_case_ask(ENDS), cases[i].ends);
        assert_true(atomic_load(&shop.metrics.sets_split) > 0);
        relay_shop_done(&shop);
        arena_done(&outbox_case_arena);
    }
    arena_init(&outbox_case_arena, 1);
}

/* The numbers wait for rows, which come later. */
static void numbers_that_nothing_waits_for_are_given_once_something_does(void)
{
    struct relay_shop shop;
    make(&shop, PART);
    write_rows(4, "''");
    number_first(PART, "-", 6);
    relay_shop_start(&shop);
    relay_watched_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                         "4\n");
    (void)outbox_case_ask("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, "
                          "changeset) SELECT aggregatetype, aggregateid, type, payload, '' FROM "
                          "outbox WHERE position <= 3");
    relay_watched_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                         "7\n");
    relay_shop_stop(&shop);
    relay_watched_expect(
        &shop, "SELECT count(*), max(sequence) FROM outbox WHERE changeset_end = 6", "6|6\n");
    relay_shop_done(&shop);
}

static const char *status_text(const struct relay_shop *shop)
{
    const struct status_sets sets = {.whole = true, .largest = -1};
    struct outbox *outbox = outbox_case_open("2");
    struct error err = ERROR_INIT;
    struct buffer text;
    struct buffer json;
    buffer_init(&text, TEXT_MAX);
    buffer_init(&json, TEXT_MAX);
    if (status_sets_append(outbox, &sets, &text, &json, &err) != STATUS_OK)
        test_fail("%s %s", err.text, shop->err.text);
    const char *all = test_format("%s%s", buffer_text(&text), buffer_text(&json));
    buffer_done(&text);
    buffer_done(&json);
    outbox->ops->close(outbox);
    return all;
}

static void expect_lost_rests(struct relay_shop *shop, int count)
{
    while (atomic_load(&shop->metrics.rests_lost) != count) {
        assert_int_equal(shop->status, STATUS_OK);
        clock_sleep_us(1000);
    }
}

/* Of `a` two rows were published, in front of which two others were; the last two were deleted. */
static void what_is_not_of_a_set_without_its_rest_is_purged_and_the_set_is_told(void)
{
    struct relay_shop shop;
    make(&shop, PART);
    shop.config.limits.outbox_retention_s = 0;
    write_rows(4, "CASE WHEN position < 3 THEN '' ELSE 'a' END");
    number_first(4, "a", 6);
    (void)outbox_case_ask("UPDATE outbox SET changeset_end = NULL WHERE position < 3");
    relay_shop_start(&shop);
    relay_watched_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                         "4\n");
    expect_lost_rests(&shop, 1);
    relay_shop_stop(&shop);
    relay_shop_start(&shop); /* it purges at once */
    relay_watched_expect(&shop, "SELECT position FROM outbox ORDER BY 1", "3\n4\n");
    expect_lost_rests(&shop, 1);
    assert_non_null(strstr(status_text(&shop), "INCOMPLETE order [0]: 2 changes"));
    assert_non_null(strstr(status_text(&shop), "\"unnumbered\":2,\"lost\":true}]"));
    relay_watched_write(5, 2, "");
    expect_lost_rests(&shop, 0);
    relay_watched_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                         "6\n");
    assert_null(strstr(status_text(&shop), "INCOMPLETE"));
    assert_non_null(strstr(status_text(&shop), "\"unfinished_changesets\":[]"));
    relay_shop_stop(&shop);
    relay_shop_start(&shop);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox", "0\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void publish_spread(struct relay_shop *shop)
{
    relay_shop_start(shop);
    relay_watched_expect(shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                         test_format("%d\n", SPREAD));
    relay_shop_stop(shop);
}

struct partition {
    int positions[SPREAD]; /* of its rows */
    int count;
};

/* Which partition the entity of each row belongs to. */
static void find_partitions(struct partition partitions[2])
{
    struct relay_shop shop;
    make_with(&shop, PART, 2);
    write_rows(SPREAD, "''");
    publish_spread(&shop);
    for (int i = 1; i <= SPREAD; i++) {
        const char *which = outbox_case_ask(
            test_format("SELECT kafka_partition FROM outbox WHERE position = %d", i));
        struct partition *partition = &partitions[which[0] == '1'];
        partition->positions[partition->count++] = i;
    }
    assert_true(partitions[0].count > PART && partitions[1].count > PART);
    relay_shop_done(&shop);
    arena_done(&outbox_case_arena);
}

/* The database has the first number of `x` in partition 0, and has lost all of partition 1: those
 * of `w`, which is only there, and of `x`, whose last row there is of an entity of `w`. */
static void a_rest_in_one_partition_lets_what_is_earlier_in_another_one_go_first(void)
{
    struct partition partitions[2] = {0};
    const int *w = partitions[1].positions;
    struct relay_shop shop;
    find_partitions(partitions);
    int x = partitions[0].positions[0];
    int ends[] = {partitions[0].count, partitions[1].count};
    make_with(&shop, PART, 2);
    write_rows(SPREAD,
               test_format("CASE WHEN position IN (%d, %d) THEN 'w' ELSE 'x' END", w[0], w[1]));
    relay_watched_give_entity(w[ends[1] - 1], w[0]);
    (void)outbox_case_ask(test_format("UPDATE outbox SET kafka_partition = 0, sequence = 1, "
                                      "changeset_end = %d WHERE position = %d",
                                      ends[0], x));
    (void)outbox_case_ask("INSERT INTO keepstep_relay_type VALUES ('order', 'order')");
    (void)outbox_case_ask(test_format("INSERT INTO keepstep_relay_partition VALUES ('order', 0, "
                                      "1, 'row-%d', 0, -1, '')",
                                      x));
    publish_spread(&shop);
    relay_watched_expect_order();
    assert_string_equal(
        outbox_case_ask("SELECT kafka_partition, changeset, min(sequence), max(sequence), "
                        "min(changeset_end), max(changeset_end) FROM outbox GROUP BY "
                        "kafka_partition, changeset ORDER BY kafka_partition, changeset"),
        test_format("0|x|1|%d|%d|%d\n1|w|1|2|2|2\n1|x|3|%d|%d|%d\n", ends[0], ends[0], ends[0],
                    ends[1], ends[1], ends[1]));
    relay_shop_done(&shop);
}

static int claims;
static int loads;
static struct partition spread[2]; /* where the rows of a large transaction belong */

/* The first part has its numbers, all of them in partition 0. Then the rows of partition 1 are
 * deleted by hand, and something else is written there. */
static enum status claim_then_delete(struct outbox *outbox, const struct lease *lease,
                                     const struct outbox_claim *claim, struct error *err)
{
    const struct partition *other = &spread[1];
    enum status status = relay_watched_ops->claim(outbox, lease, claim, err);
    for (int i = 0; claims == 0 && i < other->count; i++)
        (void)outbox_case_ask(
            test_format("DELETE FROM outbox WHERE position = %d", other->positions[i]));
    if (claims++ == 0)
        relay_watched_write(other->positions[0], 1, "");
    return status;
}

static void delete_behind_first_part(struct outbox_ops *ops)
{
    ops->claim = claim_then_delete;
}

static void a_large_transaction_has_no_end_where_it_has_no_number(void)
{
    const int *zero = spread[0].positions;
    struct relay_shop shop;
    memset(spread, 0, sizeof spread);
    find_partitions(spread);
    assert_true(spread[1].positions[spread[1].count - 2] > zero[PART - 1]);
    make_with(&shop, PART, 2);
    write_rows(SPREAD, "'x'");
    (void)outbox_case_ask(
        test_format("DELETE FROM outbox WHERE position < %d AND position NOT IN (%d, %d)",
                    zero[PART - 1], zero[0], zero[1]));
    claims = 0;
    relay_watched_start(&shop, delete_behind_first_part);
    relay_watched_expect(
        &shop, "SELECT coalesce(changeset_end, 0) FROM outbox WHERE kafka_partition = 1", "0\n");
    expect_lost_rests(&shop, 0);
    relay_shop_stop(&shop);
    assert_string_equal(
        outbox_case_ask("SELECT count(*) - max(changeset_end), count(*) - max(sequence) "
                        "FROM outbox WHERE kafka_partition = 0"),
        "0|0\n");
    relay_shop_done(&shop);
}

/* The first claim is lost. By the next one a row cannot be published any more. */
static enum status lose_first_claim(struct outbox *outbox, const struct lease *lease,
                                    const struct outbox_claim *claim, struct error *err)
{
    if (claims++ > 0)
        return relay_watched_ops->claim(outbox, lease, claim, err);
    (void)outbox_case_ask("UPDATE outbox SET payload = replace(payload, '\"x\"', '7') "
                          "WHERE position = 8");
    return error_set(err, STATUS_RETRY, "the COMMIT was lost");
}

static void lose_claims(struct outbox_ops *ops)
{
    ops->claim = lose_first_claim;
}

/* It has no number, so it is set aside like any other. */
static void a_large_transaction_whose_first_claim_was_lost_is_as_if_it_had_not_begun(void)
{
    struct relay_shop shop;
    make(&shop, PART);
    write_rows(SIZE, "'a'");
    claims = 0;
    relay_watched_start(&shop, lose_claims);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL", "10\n");
    relay_shop_stop(&shop);
    assert_int_equal(claims, 1);
    relay_shop_done(&shop);
}

static enum status count_claim(struct outbox *outbox, const struct lease *lease,
                               const struct outbox_claim *claim, struct error *err)
{
    claims++;
    return relay_watched_ops->claim(outbox, lease, claim, err);
}

/* Up to the first claim a service writes in front of each load. */
static enum status load_behind_writer(struct outbox *outbox, const struct outbox_extent *extent,
                                      struct arena *arena, struct outbox_rows *ret_rows,
                                      struct error *err)
{
    if (claims == 0 && loads++ < LOADS_MAX)
        (void)outbox_case_ask("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, "
                              "changeset) SELECT aggregatetype, aggregateid, type, payload, '-' "
                              "FROM outbox ORDER BY position LIMIT 1");
    return relay_watched_ops->load_waiting(outbox, extent, arena, ret_rows, err);
}

static void write_and_count(struct outbox_ops *ops)
{
    ops->claim = count_claim;
    ops->load_waiting = load_behind_writer;
}

/* They have one set, which goes on with each of them. More wait than the first load has. */
static void rows_that_nothing_tells_apart_are_published_while_more_come(void)
{
    struct relay_shop shop;
    make(&shop, 2 * ROWS);
    write_rows(ROWS, "'-'");
    claims = loads = 0;
    relay_watched_start(&shop, write_and_count);
    relay_watched_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
    relay_shop_stop(&shop);
    assert_in_range(loads, 2, 9);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
    relay_shop_done(&shop);
}

/* Two changes of one entity, `first` and `second`, of sets that can only be told apart wrongly: a
 * transaction's last change would stand behind all that it depends on. */
struct crossing {
    const char *changeset;
    int first;
    int second;
};

/* `a` is large and ends at 2990; `b` ends before, `c` behind it. */
#define AMONG(b, c1, c2)                                                                           \
    "CASE WHEN position IN (" b ") THEN 'b' WHEN position IN (" c1 ", " c2                         \
    ") THEN 'c' WHEN position > 2990 THEN '' ELSE 'a' END"
#define BY_TURNS "CASE WHEN position % 2 = 0 THEN 'a' ELSE 'b' END"

static const struct crossing crossings[] = {
    {AMONG("2402", "1", "2999"), 13, 2402},  /* a, then b, windows apart */
    {AMONG("402", "1", "2999"), 13, 402},    /* in one window */
    {AMONG("0", "13", "2999"), 13, 2402},    /* c, then a */
    {AMONG("0", "13", "2999"), 13, 402},     /* in one window */
    {AMONG("2402", "13", "2999"), 13, 2402}, /* c, then b, with a between them */
    {AMONG("402", "13", "2999"), 13, 402},   /* in one window */
    {BY_TURNS, 12, 2401},                    /* both large: a, which ends last, then b */
    {BY_TURNS, 12, 411},                     /* in one window */
};

static void publish(struct relay_shop *shop)
{
    relay_shop_start(shop);
    relay_watched_expect(shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                         test_format("%d\n", ROWS));
    relay_shop_stop(shop);
    relay_watched_expect_order();
    assert_int_equal(atomic_load(&shop->metrics.sets_set_aside), 0);
}

/* Without the second change of an entity nothing crosses, and all are whole. */
static void an_entity_keeps_its_order_where_sets_cross_over_windows(void)
{
    for (size_t i = 0; i < sizeof crossings / sizeof *crossings; i++) {
        for (int crosses = 0; crosses <= 1; crosses++) {
            struct relay_shop shop;
            make(&shop, WINDOW);
            write_rows(ROWS, crossings[i].changeset);
            if (crosses)
                relay_watched_give_entity(crossings[i].second, crossings[i].first);
            publish(&shop);
            if (crosses != (atomic_load(&shop.metrics.sets_split) > 0))
                test_fail("crossing %zu, %d: split", i, crosses);
            if (!crosses)
                relay_watched_expect(
                    &shop,
                    "SELECT count(*) FROM (SELECT changeset FROM outbox WHERE changeset <> '' "
                    "GROUP BY changeset HAVING max(sequence) - min(sequence) + 1 <> count(*) "
                    "OR count(*) > 1 AND min(changeset_end) <> max(sequence)) AS t",
                    "0\n");
            relay_shop_done(&shop);
            arena_done(&outbox_case_arena);
        }
    }
    arena_init(&outbox_case_arena, 1);
}

CASE(an_entity_keeps_its_order_where_sets_cross_over_windows)
CASE(numbers_that_nothing_tells_whose_they_were_go_to_what_waits)
CASE(numbers_that_nothing_waits_for_are_given_once_something_does)
CASE(what_is_not_of_a_set_without_its_rest_is_purged_and_the_set_is_told)
CASE(a_large_transaction_whose_first_claim_was_lost_is_as_if_it_had_not_begun)
CASE(a_rest_in_one_partition_lets_what_is_earlier_in_another_one_go_first)
CASE(a_large_transaction_has_no_end_where_it_has_no_number)
CASE(rows_that_nothing_tells_apart_are_published_while_more_come)

#define LIMITED(function) TEST_WITH_LIMIT(function, 300)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(an_entity_keeps_its_order_where_sets_cross_over_windows_sqlite),
        LIMITED(an_entity_keeps_its_order_where_sets_cross_over_windows_postgresql),
        LIMITED(an_entity_keeps_its_order_where_sets_cross_over_windows_mariadb),
        LIMITED(numbers_that_nothing_tells_whose_they_were_go_to_what_waits_sqlite),
        LIMITED(numbers_that_nothing_tells_whose_they_were_go_to_what_waits_postgresql),
        LIMITED(numbers_that_nothing_tells_whose_they_were_go_to_what_waits_mariadb),
        LIMITED(a_rest_in_one_partition_lets_what_is_earlier_in_another_one_go_first_sqlite),
        LIMITED(a_rest_in_one_partition_lets_what_is_earlier_in_another_one_go_first_postgresql),
        LIMITED(a_rest_in_one_partition_lets_what_is_earlier_in_another_one_go_first_mariadb),
        ALL(numbers_that_nothing_waits_for_are_given_once_something_does),
        ALL(what_is_not_of_a_set_without_its_rest_is_purged_and_the_set_is_told),
        ALL(a_large_transaction_whose_first_claim_was_lost_is_as_if_it_had_not_begun),
        ALL(a_large_transaction_has_no_end_where_it_has_no_number),
        ALL(rows_that_nothing_tells_apart_are_published_while_more_come),
    };
    return TEST_RUN(tests);
}
