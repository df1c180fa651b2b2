/* A relay that publishes a transaction in parts: what goes before it, what a relay does that takes
 * over between two parts, and what ends it. labels: threads */
#include "producer/init/init.h"
#include "tests/support/relay_log.h"

#include <stdio.h>

#define SIZE      10 /* rows of a transaction */
#define LIMIT     3  /* of them go into a part */
#define X         "\"x\""
#define ROUNDS    12
#define LONG_ROWS 2200 /* more than the first load has */
#define MANY      60   /* several of each transaction in each partition */

static void make(struct relay_shop *shop, int32_t partitions)
{
    (void)remove(test_path("shop.db")); /* of the round before */
    *shop = (struct relay_shop){.whole = true, .partitions = partitions};
    relay_shop_make(shop);
    shop->config.limits.changeset_events = LIMIT;
}

/* Ten rows of `a`. Row 5 cannot be published where `name` says so. */
static void write_ten(const struct relay_shop *shop, const char *name)
{
    struct relay_write writes[SIZE];
    for (int i = 0; i < SIZE; i++)
        writes[i] = (struct relay_write){"a", i + 1, i == 4 ? name : X};
    relay_log_write(shop, writes, SIZE);
}

static void what_ends_in_front_of_a_large_transaction_goes_before_it(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, X},  {"b", 2, X},  {"c", 3, X},   {"a", 4, X}, {"a", 5, X},
        {NULL, 6, X}, {"a", 7, X},  {"d", 8, X},   {"a", 9, X}, {"b", 10, X},
        {"a", 11, X}, {"d", 12, X}, {NULL, 13, X}, {"a", 2, X}, {"c", 14, X},
    };
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_expect_published(&shop, writes, 15,
                               "6 1 -\n2 2 3\n10 3 3\n8 4 5\n12 5 5\n13 6 -\n"
                               "1 7 13\n4 8 13\n5 9 13\n7 10 13\n9 11 13\n11 12 13\n2 13 13\n"
                               "3 14 15\n14 15 15\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_published), 6);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), 7);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 0);
    relay_shop_done(&shop);
}

static void what_nothing_tells_apart_goes_before_a_large_transaction_and_may_be_cut(void **state)
{
    static const struct relay_write writes[] = {
        {"-", 1, X}, {"a", 2, X}, {"a", 3, X}, {"-", 4, X},
        {"a", 5, X}, {"a", 6, X}, {"-", 7, X}, {"-", 8, X},
    };
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_write(&shop, writes, 8);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 8);
    relay_shop_expect(&shop,
                      "SELECT min(sequence) - max(sequence), min(changeset_end) = max(sequence), "
                      "count(DISTINCT changeset_end) FROM outbox WHERE changeset = 'a'",
                      "-3|1|1\n");
    relay_shop_expect(&shop,
                      "SELECT count(*) FROM outbox AS o JOIN outbox AS n ON n.position > "
                      "o.position AND n.sequence < o.sequence WHERE o.changeset = n.changeset",
                      "0\n");
    relay_shop_stop(&shop);
    assert_true(atomic_load(&shop.metrics.sets_split) > 0);
    relay_shop_done(&shop);
}

/* A relay died when the first rows had their numbers, and of these some were in the log. */
static void claim_first(const struct relay_shop *shop, int claimed, int sent)
{
    (void)sqlite_format(shop->path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= %d WHERE position <= %d; "
                        "INSERT INTO keepstep_relay_type VALUES ('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, %d, '%s', 0, -1, "
                        "'')",
                        SIZE, claimed, claimed, relay_log_id(shop, claimed));
    for (int i = 1; i <= sent; i++)
        relay_log_append(shop, "shop", i, SIZE);
}

static const char *ten_in_order(void)
{
    const char *log = "";
    for (int i = 1; i <= SIZE; i++)
        log = test_format("%s%d %d %d\n", log, i, i, SIZE);
    return log;
}

static void take_over(int claimed, int sent)
{
    struct relay_shop shop;
    make(&shop, 1);
    write_ten(&shop, X);
    claim_first(&shop, claimed, sent);
    relay_log_write(&shop, (const struct relay_write[]){{"b", 11, X}, {"b", 12, X}}, 2);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE + 2);
    assert_string_equal(relay_log_text(&shop, 0, SIZE + 2),
                        test_format("%s11 11 12\n12 12 12\n", ten_in_order()));
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void a_takeover_behind_the_first_part_goes_on_up_to_the_same_end(void **state)
{
    (void)state;
    take_over(3, 0);
    take_over(3, 2);
    take_over(3, 3);
}

static void a_takeover_in_front_of_the_last_part_goes_on_up_to_the_same_end(void **state)
{
    (void)state;
    take_over(9, 6);
    take_over(9, 9);
}

/* Its service wrote `c`, which ends before `a` does, and more under the identity of `a`. */
static void nothing_comes_between_the_parts_of_a_transaction(void **state)
{
    static const struct relay_write first[] = {{"a", 1, X}, {"a", 2, X}, {"a", 3, X}, {"c", 4, X},
                                               {"a", 5, X}, {"c", 6, X}, {"a", 7, X}};
    static const struct relay_write later[] = {{"a", 8, X}, {NULL, 9, X}, {"a", 10, X}};
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_write(&shop, first, 7);
    claim_first(&shop, 3, 3);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset_end = 5 WHERE sequence > 0");
    relay_log_write(&shop, later, 3);
    (void)sqlite_text(shop.path, "INSERT INTO keepstep_paused VALUES ('order', 5, 'anna', 'why')");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    (void)sqlite_text(shop.path, "DELETE FROM keepstep_paused");
    relay_shop_expect_acknowledged(&shop, 10);
    assert_non_null(strstr(relay_log_text(&shop, 0, 10),
                           "5 4 5\n7 5 5\n4 6 7\n6 7 7\n9 8 -\n8 9 10\n10 10 10\n"));
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void a_transaction_has_no_number_before_all_of_it_can_be_published(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, "7");
    relay_log_write(&shop, (const struct relay_write[]){{"b", 11, X}, {"b", 12, X}}, 2);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 2);
    relay_shop_expect(&shop,
                      "SELECT count(*) FROM outbox WHERE set_aside LIKE 'outbox row 5 (order "
                      "{\"id\":5}): column \"name\"%' AND sequence IS NULL",
                      "10\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 1);
    assert_int_equal(atomic_load(&shop.metrics.set_aside), SIZE);
    relay_shop_done(&shop);
}

/* Row 9 shares an entity with a change that was set aside. */
static void a_large_transaction_waits_whole_behind_what_is_set_aside(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_write(&shop, (const struct relay_write[]){{NULL, 9, "7"}}, 1);
    write_ten(&shop, X);
    relay_shop_start(&shop);
    relay_shop_expect(&shop, "SELECT count(*) FROM outbox WHERE set_aside = 'behind outbox row 1'",
                      "10\n");
    relay_shop_stop(&shop);
    (void)sqlite_text(shop.path, "UPDATE outbox SET set_aside = NULL, payload = replace(payload, "
                                 "':7}', ':\"mended\"}')");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 11);
    relay_shop_stop(&shop);
    relay_shop_expect(&shop,
                      "SELECT min(sequence), max(sequence), min(changeset_end), max(changeset_end) "
                      "FROM outbox WHERE changeset = 'set-2'",
                      "2|11|11|11\n");
    relay_shop_done(&shop);
}

/* Row 1 is released when what stands near the large transaction's end is claimed: then its place,
 * the first one, was measured already. The large transaction's last row is of its entity. */
static void what_is_released_while_a_transaction_is_measured_goes_before_it(void **state)
{
    static struct relay_write writes[LONG_ROWS];
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    shop.config.limits.changeset_events = 500;
    for (int i = 0; i < LONG_ROWS; i++)
        writes[i] = (struct relay_write){"a", i + 1, X};
    writes[0].changeset = NULL;
    writes[LONG_ROWS - 1].id = 1;
    writes[LONG_ROWS - 5].changeset = NULL;
    relay_log_write(&shop, writes, LONG_ROWS);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET set_aside = 'why' WHERE position = 1; "
                        "CREATE TRIGGER release AFTER UPDATE OF sequence ON outbox WHEN "
                        "NEW.position = %d BEGIN UPDATE outbox SET set_aside = NULL; END",
                        LONG_ROWS - 4);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, LONG_ROWS);
    relay_shop_stop(&shop);
    relay_shop_expect(&shop,
                      "SELECT group_concat(sequence) FROM (SELECT sequence FROM outbox "
                      "WHERE aggregateid = '{\"id\":1}' ORDER BY position)",
                      test_format("2,%d\n", LONG_ROWS));
    relay_shop_done(&shop);
}

/* `b` lies among the rows of `a`, and has changed what one of these had changed before. */
static void
what_several_transactions_have_together_is_cut_and_no_entity_loses_its_order(void **state)
{
    static struct relay_write writes[LONG_ROWS];
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    shop.config.limits.changeset_events = 500;
    for (int i = 0; i < LONG_ROWS; i++)
        writes[i] = (struct relay_write){"a", i + 1, X};
    writes[LONG_ROWS - 50].changeset = "b";
    writes[LONG_ROWS - 50].id = LONG_ROWS - 60;
    relay_log_write(&shop, writes, LONG_ROWS);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, LONG_ROWS);
    relay_shop_stop(&shop);
    relay_shop_expect(&shop,
                      "SELECT count(*) FROM outbox AS o JOIN outbox AS n ON n.aggregateid = "
                      "o.aggregateid AND n.position > o.position AND n.sequence < "
                      "o.sequence",
                      "0\n");
    assert_true(atomic_load(&shop.metrics.sets_split) > 0);
    relay_shop_done(&shop);
}

static void expect_the_end(struct relay_shop *shop, const char *words)
{
    relay_shop_start(shop);
    (void)pthread_join(shop->thread, NULL);
    assert_int_equal(shop->status, STATUS_FATAL);
    assert_int_equal(error_exit_code(&shop->err), 78);
    if (strstr(shop->err.text, words) == NULL)
        test_fail("%s", shop->err.text);
    relay_shop_expect(shop, "SELECT count(*) FROM outbox WHERE sequence > 3", "0\n");
}

static void
a_row_of_the_rest_that_cannot_be_published_ends_the_relay_until_it_is_mended(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, "7");
    claim_first(&shop, 3, 3);
    expect_the_end(&shop, "outbox row 5 (order {\"id\":5}) cannot be published any more");
    (void)sqlite_text(shop.path, "UPDATE outbox SET payload = replace(payload, ':7}', ':\"x\"}')");
    error_clear(&shop.err);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE);
    assert_string_equal(relay_log_text(&shop, 0, SIZE), ten_in_order());
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void numbers_of_rows_of_the_rest_that_were_deleted_go_to_what_waits_next(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, X);
    claim_first(&shop, 3, 3);
    (void)sqlite_text(shop.path, "DELETE FROM outbox WHERE position = 8");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE - 1);
    relay_log_write(&shop, (const struct relay_write[]){{"b", 11, X}, {"c", 12, X}}, 2);
    relay_shop_expect_acknowledged(&shop, SIZE + 1);
    assert_non_null(
        strstr(relay_log_text(&shop, 0, SIZE + 1), "\n9 8 10\n10 9 10\n11 10 10\n12 11 -\n"));
    relay_shop_stop(&shop);
    assert_true(atomic_load(&shop.metrics.sets_split) > 0);
    relay_shop_done(&shop);
}

/* Rows of the rest of `a` were deleted, and `b`, which ends first, has as many as there are
 * numbers. */
static void a_rest_of_which_another_set_gets_the_numbers_is_counted_as_split(void **state)
{
    static const struct relay_write writes[] = {{"a", 1, X}, {"a", 2, X}, {"b", 3, X}, {"b", 4, X},
                                                {"b", 5, X}, {"a", 6, X}, {"a", 7, X}};
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_write(&shop, writes, 7);
    claim_first(&shop, 2, 0);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset_end = 5 WHERE sequence > 0");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 7);
    assert_non_null(strstr(relay_log_text(&shop, 0, 7), "\n4 4 5\n5 5 5\n6 6 7\n7 7 7\n"));
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    relay_shop_done(&shop);
}

/* `a` and `b` are one set, because their changes of entity 1 cross. The database has lost the
 * second half of its numbers. */
static void the_rest_of_a_set_that_was_merged_gets_its_numbers(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, X}, {"b", 1, X}, {"b", 2, X}, {"a", 3, X}, {"c", 4, X}};
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    relay_log_write(&shop, writes, 5);
    claim_first(&shop, 2, 0);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset_end = 4 WHERE sequence > 0");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_non_null(strstr(relay_log_text(&shop, 0, 5), "\n2 3 4\n3 4 4\n4 5 -\n"));
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* Of rows that nothing tells apart the first three have numbers, and two were lost. */
static void a_large_transaction_goes_on_behind_a_rest_that_nobody_knows(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, X);
    claim_first(&shop, 3, 0);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset = '-', changeset_end = 5 WHERE "
                                 "sequence > 0");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE);
    relay_shop_expect(&shop,
                      "SELECT group_concat(coalesce(changeset_end, '-')) FROM (SELECT "
                      "changeset_end FROM outbox ORDER BY sequence)",
                      "5,5,5,5,5,10,10,10,10,10\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    relay_shop_done(&shop);
}

static void begin_new_history(struct relay_shop *shop)
{
    FILE *out = fopen(test_path("init.txt"), "w");
    const struct init_options init = {.new_incarnation = true, .existing_rows = true, .out = out};
    assert_non_null(out);
    assert_int_equal(init_service(&shop->config, (const struct entity_schema *[]){shop->schema},
                                  &init, &shop->err),
                     STATUS_OK);
    (void)fclose(out);
}

static void a_new_history_in_the_middle_of_a_large_transaction_publishes_all_of_it(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, X);
    claim_first(&shop, 6, 6);
    (void)sqlite_text(shop.path, "UPDATE keepstep_relay_partition SET acknowledged_sequence = 6");
    begin_new_history(&shop);
    relay_shop_start(&shop);
    assert_non_null(strstr(relay_log_text(&shop, 0, 6 + SIZE), ten_in_order()));
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* No event of a set that is larger than what is kept of the log is published once more. */
static void a_new_history_finds_all_of_a_large_transaction_in_the_log(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, X);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE);
    relay_shop_stop(&shop);
    /* A backup is restored. */
    (void)sqlite_text(shop.path, "UPDATE outbox SET kafka_partition = NULL, sequence = NULL, "
                                 "changeset_end = NULL; DELETE FROM keepstep_relay_partition");
    relay_log_write(&shop, (const struct relay_write[]){{"b", 11, X}, {"b", 12, X}}, 2);
    begin_new_history(&shop);
    relay_shop_expect(&shop, "SELECT group_concat(aggregateid) FROM outbox",
                      "{\"id\":11},{\"id\":12}\n");
    relay_shop_done(&shop);
}

#define NOT_WHOLE                                                                                  \
    "SELECT count(*) FROM (SELECT changeset FROM outbox WHERE changeset <> '' GROUP BY "           \
    "changeset, "                                                                                  \
    "kafka_partition HAVING coalesce(min(changeset_end), max(sequence)) <> max(sequence) OR "      \
    "max(coalesce(changeset_end, sequence)) <> max(sequence) OR max(sequence) - min(sequence) + "  \
    "1 <> count(*) OR count(*) <> count(sequence))"

static void publish_in_three_partitions(struct relay_shop *shop, int rows)
{
    relay_shop_start(shop);
    relay_shop_expect_acknowledged(shop, rows);
    relay_shop_stop(shop);
    relay_shop_expect(shop, NOT_WHOLE, "0\n");
    relay_shop_expect(shop, "SELECT count(DISTINCT kafka_partition) FROM outbox", "3\n");
}

/* In the second round a relay has died when the first row of partition 0 had its number. */
static void a_large_transaction_in_several_partitions_is_a_set_in_each(void **state)
{
    struct relay_shop shop;
    int first = 0;
    int rows = 0;
    (void)state;
    make(&shop, 3);
    write_ten(&shop, X);
    write_ten(&shop, X);
    publish_in_three_partitions(&shop, 2 * SIZE);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    const char *zero = sqlite_text(
        shop.path, "SELECT min(position), count(*) FROM outbox WHERE kafka_partition = 0");
    assert_int_equal(sscanf(zero, "%d|%d", &first, &rows), 2);
    relay_shop_done(&shop);
    make(&shop, 3);
    write_ten(&shop, X);
    write_ten(&shop, X);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = 1, changeset_end = %d "
                        "WHERE position = %d; "
                        "INSERT INTO keepstep_relay_type VALUES ('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 1, '%s', 0, -1, "
                        "'')",
                        rows, first, relay_log_id(&shop, first));
    publish_in_three_partitions(&shop, 2 * SIZE);
    relay_shop_done(&shop);
}

static void write_a_and_b(const struct relay_shop *shop)
{
    struct relay_write writes[MANY];
    for (int i = 0; i < MANY; i++)
        writes[i] = (struct relay_write){i < MANY / 2 ? "a" : "b", i + 1, X};
    relay_log_write(shop, writes, MANY);
}

/* The numbers that the relay gave once: of partition 0 up to the first row of `b`, of partition 1
 * the first one, which is of `a`. */
#define KEPT                                                                                       \
    "(kafka_partition = 0 AND sequence <= (SELECT min(sequence) FROM outbox WHERE "                \
    "kafka_partition "                                                                             \
    "= 0 AND changeset = 'b') OR kafka_partition = 1 AND sequence = 1)"

static const char *numbers_of_two_open_sets(const struct relay_shop *shop)
{
    assert_string_equal(
        sqlite_text(shop->path, "SELECT min(n) > 1 FROM (SELECT count(*) AS n FROM outbox WHERE "
                                "kafka_partition < 2 GROUP BY kafka_partition, changeset)"),
        "1\n");
    return sqlite_text(
        shop->path, "SELECT group_concat('UPDATE outbox SET kafka_partition = ' || kafka_partition "
                    "|| ', sequence = ' || sequence || ', changeset_end = ' || changeset_end || ' "
                    "WHERE position = ' || position, ';') FROM outbox WHERE " KEPT);
}

static void give_numbers(const struct relay_shop *shop, const char *numbers)
{
    (void)sqlite_text(shop->path, numbers);
    (void)sqlite_text(shop->path, "INSERT INTO keepstep_relay_type VALUES ('order', 'order')");
    for (int partition = 0; partition < 2; partition++) {
        int position = 0;
        int sequence = 0;
        const char *last = sqlite_format(shop->path,
                                         "SELECT position, max(sequence) FROM outbox WHERE "
                                         "kafka_partition = %d",
                                         partition);
        assert_int_equal(sscanf(last, "%d|%d", &position, &sequence), 2);
        (void)sqlite_format(
            shop->path,
            "INSERT INTO keepstep_relay_partition VALUES ('order', %d, %d, '%s', 0, -1, '')",
            partition, sequence, relay_log_id(shop, position));
    }
}

/* `a` comes first in each partition: its rest in partition 1 before that of `b`, which lacks
 * numbers in partition 0, too. */
static void the_rests_of_two_sets_in_two_partitions_follow_in_the_order_of_these(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 3);
    write_a_and_b(&shop);
    publish_in_three_partitions(&shop, MANY);
    const char *numbers = numbers_of_two_open_sets(&shop);
    relay_shop_done(&shop);
    make(&shop, 3);
    write_a_and_b(&shop);
    give_numbers(&shop, numbers);
    publish_in_three_partitions(&shop, MANY);
    relay_shop_done(&shop);
}

/* The broker takes less than the relay was told: it refuses the first part, then its first record
 * alone. */
static void
a_part_of_which_the_broker_refuses_a_record_voids_the_set_and_its_rest_follows(void **state)
{
    struct relay_shop shop;
    (void)state;
    make(&shop, 1);
    write_ten(&shop, X);
    relay_log_write(&shop, (const struct relay_write[]){{"b", 11, X}, {"b", 12, X}}, 2);
    relay_shop_refuse_first(&shop);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, SIZE + 2);
    assert_string_equal(
        relay_log_text(&shop, 0, SIZE + 2),
        test_format("void 1 10\n%s11 11 12\n12 12 12\n", strchr(ten_in_order(), '\n') + 1));
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_voided), 1);
    relay_shop_done(&shop);
}

/* Transactions of 1 to 12 rows; any two lie between each other. */
static void write_random(const struct relay_shop *shop, unsigned seed)
{
    struct relay_write writes[200];
    for (int i = 0; i < 200; i++) {
        seed = seed * 1103515245U + 12345U;
        unsigned open = (unsigned)i / 20;
        writes[i] = (struct relay_write){
            test_format("t%u", (seed >> 16) % 4 + (seed >> 20) % 3 + open * 3), i + 1, X};
    }
    relay_log_write(shop, writes, 200);
}

static void random_transactions_of_all_sizes_are_whole_and_in_the_order_of_their_ends(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct relay_shop shop;
        make(&shop, 1);
        shop.config.limits.changeset_events = 1 + (int)(round % 6);
        write_random(&shop, round + 1);
        relay_shop_start(&shop);
        relay_shop_expect_acknowledged(&shop, 200);
        relay_shop_stop(&shop);
        relay_shop_expect(&shop, NOT_WHOLE, "0\n");
        relay_shop_expect(&shop,
                          "SELECT count(*) FROM (SELECT max(position) AS last, max(sequence) AS s "
                          "FROM outbox GROUP BY changeset) AS a JOIN (SELECT max(position) AS "
                          "last, max(sequence) AS s FROM outbox GROUP BY changeset) AS b ON a.last "
                          "< b.last AND a.s > b.s",
                          "0\n");
        relay_shop_done(&shop);
    }
}

#define LIMITED(function) TEST_WITH_LIMIT(function, 180)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_ends_in_front_of_a_large_transaction_goes_before_it),
        TEST(what_nothing_tells_apart_goes_before_a_large_transaction_and_may_be_cut),
        LIMITED(a_takeover_behind_the_first_part_goes_on_up_to_the_same_end),
        LIMITED(a_takeover_in_front_of_the_last_part_goes_on_up_to_the_same_end),
        TEST(nothing_comes_between_the_parts_of_a_transaction),
        TEST(a_transaction_has_no_number_before_all_of_it_can_be_published),
        TEST(a_large_transaction_waits_whole_behind_what_is_set_aside),
        LIMITED(what_is_released_while_a_transaction_is_measured_goes_before_it),
        LIMITED(what_several_transactions_have_together_is_cut_and_no_entity_loses_its_order),
        TEST(a_row_of_the_rest_that_cannot_be_published_ends_the_relay_until_it_is_mended),
        TEST(numbers_of_rows_of_the_rest_that_were_deleted_go_to_what_waits_next),
        TEST(a_rest_of_which_another_set_gets_the_numbers_is_counted_as_split),
        TEST(the_rest_of_a_set_that_was_merged_gets_its_numbers),
        TEST(a_large_transaction_goes_on_behind_a_rest_that_nobody_knows),
        TEST(a_new_history_finds_all_of_a_large_transaction_in_the_log),
        TEST(a_new_history_in_the_middle_of_a_large_transaction_publishes_all_of_it),
        LIMITED(a_large_transaction_in_several_partitions_is_a_set_in_each),
        LIMITED(the_rests_of_two_sets_in_two_partitions_follow_in_the_order_of_these),
        LIMITED(a_part_of_which_the_broker_refuses_a_record_voids_the_set_and_its_rest_follows),
        LIMITED(random_transactions_of_all_sizes_are_whole_and_in_the_order_of_their_ends),
    };
    return TEST_RUN(tests);
}
