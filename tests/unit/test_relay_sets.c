/* A relay that publishes transactions whole: what the log has, what is set aside, and what another
 * relay does after a takeover. labels: threads */
#include "tests/support/relay_log.h"

#include "common/clock.h"
#include "producer/init/init.h"

#include <stdio.h>

#define WAIT_US (INT64_C(1500) * 1000) /* in which the relay looks more than once */

static void make_whole(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true};
    relay_shop_make(shop);
}

static void each_record_of_a_transaction_names_its_last_one(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, "\"x\""}, {"b", 2, "\"x\""}, {"a", 3, "\"x\""}, {NULL, 4, "\"x\""},
        {"b", 5, "\"x\""}, {"b", 6, "\"x\""}, {"c", 7, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_expect_published(&shop, writes, 7,
                               "1 1 2\n3 2 2\n4 3 -\n2 4 6\n5 5 6\n6 6 6\n7 7 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_published), 4);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), 3);
    assert_int_equal(atomic_load(&shop.metrics.sets_merged), 0);
    relay_shop_done(&shop);
}

static void transactions_that_cannot_be_told_apart_become_one_where_they_cross(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, "\"x\""}, {"b", 1, "\"y\""}, {"c", 9, "\"x\""},
        {"a", 1, "\"z\""}, {"d", 2, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_expect_published(&shop, writes, 5, "1 1 4\n1 2 4\n9 3 4\n1 4 4\n2 5 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_merged), 1);
    relay_shop_done(&shop);
}

/* More rows than a load has at first; another transaction ends in the middle. */
static void a_transaction_that_is_longer_than_a_load_is_read_to_its_end(void **state)
{
    enum { LONG = 4500 };
    struct relay_shop shop;
    struct relay_write *writes = calloc(LONG + 1, sizeof *writes);
    (void)state;
    assert_non_null(writes);
    for (int i = 0; i <= LONG; i++)
        writes[i] = (struct relay_write){i == 2500 ? "b" : "a", i + 1, "\"x\""};
    make_whole(&shop);
    relay_log_write(&shop, writes, LONG + 1);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, LONG + 1);
    const char *log = relay_log_text(&shop, 0, LONG + 1);
    assert_int_equal(strncmp(log, "2501 1 -\n1 2 4501\n2 3 4501\n", 27), 0);
    assert_non_null(strstr(log, "\n4501 4501 4501\n"));
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), LONG);
    relay_shop_done(&shop);
    free(writes);
}

#define SET_ASIDE                                                                                  \
    "SELECT group_concat(position || ' ' || substr(set_aside, 1, 12), ',') FROM (SELECT * FROM "   \
    "outbox WHERE set_aside IS NOT NULL ORDER BY position)"

/* The second row of `a` cannot be published. `b` shares an entity with it, `c` one with `b`. */
static void what_shares_an_entity_with_a_transaction_that_is_set_aside_waits_behind_it(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "7"},      {"b", 2, "\"y\""}, {"b", 3, "\"x\""},
        {"c", 3, "\"y\""}, {NULL, 4, "\"x\""}, {"d", 5, "\"x\""}, {"d", 6, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, writes, 8);
    relay_shop_start(&shop);
    relay_shop_expect(
        &shop, SET_ASIDE,
        "1 outbox row 2,2 outbox row 2,3 behind outbo,4 behind outbo,5 behind outbo\n");
    relay_shop_expect_acknowledged(&shop, 3);
    relay_log_write(&shop, (const struct relay_write[]){{"e", 1, "\"z\""}, {"e", 7, "\"x\""}}, 2);
    relay_shop_expect(&shop, "SELECT substr(set_aside, 1, 7) FROM outbox WHERE position > 8",
                      "behind \nbehind \n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 4);
    (void)sqlite_text(shop.path, "UPDATE outbox SET set_aside = NULL, payload = replace(payload, "
                                 "':7}', ':\"mended\"}')");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 10);
    assert_string_equal(
        relay_log_text(&shop, 0, 10),
        "4 1 -\n5 2 3\n6 3 3\n1 4 5\n2 5 5\n2 6 7\n3 7 7\n3 8 -\n1 9 10\n7 10 10\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* `-` is what SQLite's rows have where the service marks no transaction. */
static void what_nothing_tells_apart_is_cut_where_it_is_too_large(void **state)
{
    static const struct relay_write writes[] = {
        {"-", 1, "\"x\""}, {"-", 2, "\"x\""}, {"-", 3, "\"x\""},
        {"-", 4, "\"x\""}, {"-", 5, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 2;
    relay_log_expect_published(&shop, writes, 5, "1 1 2\n2 2 2\n3 3 4\n4 4 4\n5 5 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    relay_shop_done(&shop);
}

static void a_transaction_in_several_partitions_is_a_set_in_each(void **state)
{
    struct relay_shop shop = {.whole = true, .partitions = 3};
    struct relay_write writes[12];
    (void)state;
    relay_shop_make(&shop);
    for (int i = 0; i < 12; i++)
        writes[i] = (struct relay_write){"a", i + 1, "\"x\""};
    relay_log_write(&shop, writes, 12);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 12);
    relay_shop_expect(&shop,
                      "SELECT count(*) FROM outbox AS o WHERE changeset_end IS NOT (SELECT "
                      "nullif(count(*), 1) FROM outbox AS n WHERE n.kafka_partition = "
                      "o.kafka_partition)",
                      "0\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    relay_shop_done(&shop);
}

static const struct relay_write five[] = {
    {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""}, {"a", 4, "\"x\""}, {"a", 5, "\"x\""},
};

/* A relay has claimed five changes, and died when `sent` of them were in the log. */
static void take_over(int sent)
{
    struct relay_shop shop;
    make_whole(&shop);
    relay_log_write(&shop, five, 5);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5; INSERT INTO keepstep_relay_type VALUES ('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 5, '%s', 0, -1, "
                        "'')",
                        relay_log_id(&shop, 5));
    for (int i = 1; i <= sent; i++)
        relay_log_append(&shop, "shop", i, 5);
    relay_log_write(&shop, (const struct relay_write[]){{"b", 6, "\"x\""}, {"b", 7, "\"x\""}}, 2);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 7);
    assert_string_equal(relay_log_text(&shop, 0, 7),
                        "1 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n6 6 7\n7 7 7\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.adopted), sent);
    relay_shop_done(&shop);
}

static void a_takeover_after_the_claim_sends_a_set_under_the_same_end(void **state)
{
    (void)state;
    take_over(0);
}

static void a_takeover_after_the_first_record_sends_the_rest_under_the_same_end(void **state)
{
    (void)state;
    take_over(1);
}

static void a_takeover_before_the_last_record_sends_it_under_the_same_end(void **state)
{
    (void)state;
    take_over(4);
}

/* The database has lost the numbers of a set of which this relay had sent the first records. */
static void what_the_database_lost_of_a_sets_numbers_is_given_again_up_to_the_same_end(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, five, 5);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5 WHERE position <= 3; INSERT INTO keepstep_relay_type VALUES "
                        "('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 3, '%s', 0, -1, "
                        "'')",
                        relay_log_id(&shop, 3));
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(relay_log_text(&shop, 0, 5), "1 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n");
    relay_shop_stop(&shop);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset_end = 9 WHERE position = 5");
    relay_log_write(&shop, (const struct relay_write[]){{"b", 6, "\"x\""}, {"b", 7, "\"x\""}}, 2);
    relay_shop_start(&shop); /* nobody knows the rest of this one */
    relay_shop_expect_acknowledged(&shop, 7);
    relay_log_write(
        &shop,
        (const struct relay_write[]){{"c", 8, "\"x\""}, {"d", 9, "\"x\""}, {"d", 10, "\"x\""}}, 3);
    relay_shop_expect_acknowledged(&shop, 10);
    assert_non_null(
        strstr(relay_log_text(&shop, 0, 10), "\n6 6 9\n7 7 9\n8 8 9\n9 9 9\n10 10 -\n"));
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* As many rows as the rest has, but of another transaction, which was committed before that one's
 * last row and came to light later. */
static void another_transaction_does_not_get_the_numbers_of_a_lost_rest(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""}, {"b", 4, "\"x\""},
        {"b", 5, "\"x\""}, {"a", 6, "\"x\""}, {"a", 7, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, writes, 7);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5 WHERE position <= 3; INSERT INTO keepstep_relay_type VALUES "
                        "('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 3, '%s', 0, -1, "
                        "'')",
                        relay_log_id(&shop, 3));
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 7);
    relay_shop_stop(&shop);
    assert_string_equal(relay_log_text(&shop, 0, 7),
                        "1 1 5\n2 2 5\n3 3 5\n6 4 5\n7 5 5\n4 6 7\n5 7 7\n");
    relay_shop_done(&shop);
}

/* Larger ones than a claim, too; a set that waits with its type is neither claimed nor cut. */
static void a_paused_type_holds_sets_of_every_size(void **state)
{
    static const struct relay_write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""},
        {"-", 4, "\"x\""}, {"-", 5, "\"x\""}, {"-", 6, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 2;
    (void)sqlite_text(shop.path,
                      "INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'rebuilt')");
    relay_log_write(&shop, writes, 6);
    relay_shop_start(&shop);
    relay_shop_expect(&shop, "SELECT epoch > 0 FROM keepstep_relay", "1\n");
    relay_log_write(&shop, &writes[5], 1); /* each look of the relay finds more */
    clock_sleep_us(WAIT_US);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 0);
    (void)sqlite_text(shop.path, "DELETE FROM keepstep_paused");
    relay_shop_expect_acknowledged(&shop, 7);
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 0);
    relay_shop_done(&shop);
}

static void the_void_of_a_refused_record_names_the_end_of_its_set_too(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, five, 5);
    relay_shop_refuse_first(&shop);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(relay_log_text(&shop, 0, 5), "void 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_voided), 1);
    relay_shop_done(&shop);
}

static void expect_refused(struct relay_shop *shop, const char *words)
{
    relay_shop_start(shop);
    (void)pthread_join(shop->thread, NULL);
    assert_int_equal(shop->status, STATUS_FATAL);
    assert_int_equal(error_exit_code(&shop->err), 78);
    if (strstr(shop->err.text, words) == NULL)
        test_fail("%s", shop->err.text);
}

static void another_services_record_in_the_topic_of_whole_transactions_ends_the_relay(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, five, 1);
    relay_log_append(&shop, "other", 1, 5);
    expect_refused(&shop, "under `transactions: whole` a topic has one writer");
    relay_shop_done(&shop);
}

static enum status prepare(struct relay_shop *shop)
{
    FILE *out = fopen(test_path("init.txt"), "w");
    const struct init_options init = {.out = out};
    const struct entity_schema *schemas[] = {shop->schema};
    error_clear(&shop->err);
    assert_non_null(out);
    enum status status = init_service(&shop->config, schemas, &init, &shop->err);
    (void)fclose(out);
    return status;
}

static void types_that_were_numbered_in_another_topic_cannot_be_published_whole(void **state)
{
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 1);
    relay_shop_stop(&shop);
    shop.config.transactions = TRANSACTIONS_WHOLE;
    shop.entry.topic = (char *)"shop";
    assert_int_equal(prepare(&shop), STATUS_FATAL);
    assert_int_equal(error_exit_code(&shop.err), 78);
    assert_non_null(strstr(shop.err.text, "has numbered changes in topic order, and `transactions: "
                                          "whole` sends them to topic shop"));
    assert_non_null(strstr(shop.err.text, "`keepstep init --new-incarnation`"));
    relay_shop_done(&shop);
}

static void a_relay_publishes_nothing_whole_before_its_outbox_was_prepared_for_it(void **state)
{
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    shop.config.transactions = TRANSACTIONS_WHOLE;
    expect_refused(&shop, "keepstep init");
    assert_int_equal(prepare(&shop), STATUS_OK);
    relay_shop_start(&shop);
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    relay_shop_expect_acknowledged(&shop, 1);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* Then the rest is published under the end that it had. */
static void no_single_changes_are_published_before_the_rest_of_a_set(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    relay_log_write(&shop, five, 5);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5 WHERE position <= 3; INSERT INTO keepstep_relay_type VALUES "
                        "('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 3, '%s', 0, -1, "
                        "'')",
                        relay_log_id(&shop, 3));
    shop.config.transactions = TRANSACTIONS_SINGLE;
    assert_int_equal(prepare(&shop), STATUS_OK);
    expect_refused(&shop, "put `transactions: whole` back");
    shop.config.transactions = TRANSACTIONS_WHOLE;
    assert_int_equal(prepare(&shop), STATUS_OK);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(relay_log_text(&shop, 0, 5), "1 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_record_of_a_transaction_names_its_last_one),
        TEST(transactions_that_cannot_be_told_apart_become_one_where_they_cross),
        TEST(a_transaction_that_is_longer_than_a_load_is_read_to_its_end),
        TEST(what_shares_an_entity_with_a_transaction_that_is_set_aside_waits_behind_it),
        TEST(what_nothing_tells_apart_is_cut_where_it_is_too_large),
        TEST(a_transaction_in_several_partitions_is_a_set_in_each),
        TEST(a_takeover_after_the_claim_sends_a_set_under_the_same_end),
        TEST(a_takeover_after_the_first_record_sends_the_rest_under_the_same_end),
        TEST(a_takeover_before_the_last_record_sends_it_under_the_same_end),
        TEST(what_the_database_lost_of_a_sets_numbers_is_given_again_up_to_the_same_end),
        TEST(another_transaction_does_not_get_the_numbers_of_a_lost_rest),
        TEST(no_single_changes_are_published_before_the_rest_of_a_set),
        TEST(a_paused_type_holds_sets_of_every_size),
        TEST(the_void_of_a_refused_record_names_the_end_of_its_set_too),
        TEST(another_services_record_in_the_topic_of_whole_transactions_ends_the_relay),
        TEST(types_that_were_numbered_in_another_topic_cannot_be_published_whole),
        TEST(a_relay_publishes_nothing_whole_before_its_outbox_was_prepared_for_it),
    };
    return TEST_RUN(tests);
}
