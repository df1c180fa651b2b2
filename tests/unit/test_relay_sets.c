/* A relay that publishes transactions whole: what the log has, what is set aside, and what another
 * relay does after a takeover. labels: threads */
#include "tests/support/relay_shop.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "producer/init/init.h"

#include <stdio.h>

#define ATTEMPTS      10 /* of what a busy machine may do otherwise */
#define LOG_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LIMIT_MS      20000
#define WAIT_US       (INT64_C(1500) * 1000) /* in which the relay looks more than once */

/* One change of a transaction. */
struct write {
    const char *changeset; /* NULL: the row is alone */
    int id;
    const char *name; /* in JSON; "7" is no text, so the row cannot be published */
};

static void append_write(const struct write *write, bool first, struct buffer *sql)
{
    buffer_append_format(sql,
                         "%s('order','{\"id\":%d}','order.updated','{\"op\":\"u\",\"before\":null,"
                         "\"after\":{\"id\":%d,\"name\":%s}}','%s')",
                         first ? "" : ",", write->id, write->id, write->name,
                         write->changeset == NULL ? "" : write->changeset);
}

/* All in one transaction of the database, so that no load sees only some of them. */
static void write_rows(const struct relay_shop *shop, const struct write *writes, size_t count)
{
    struct buffer sql;
    buffer_init(&sql, LOG_BYTES_MAX);
    buffer_append_text(&sql,
                       "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) "
                       "VALUES ");
    for (size_t i = 0; i < count; i++)
        append_write(&writes[i], i == 0, &sql);
    (void)sqlite_text(shop->path, buffer_text(&sql));
    buffer_done(&sql);
}

static const char *header_of(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t size = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return "-";
    return test_format("%.*s", (int)size, (const char *)value);
}

/* What a reader says of a connection that it makes anew is no end of the log.
 * @return NULL where none came in time, with what the reader said last. The caller destroys it. */
static rd_kafka_message_t *next_record(rd_kafka_t *reader, const char **ret_said)
{
    int64_t deadline_us = clock_monotonic_us() + (int64_t)LIMIT_MS * 1000;
    *ret_said = "nothing came";
    while (clock_monotonic_us() < deadline_us) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return message;
        if (message != NULL) {
            *ret_said = test_format("%s", rd_kafka_message_errstr(message));
            rd_kafka_message_destroy(message);
        }
    }
    return NULL;
}

/* "ID SEQUENCE CHANGESET" of each record of a partition, one a line; the numbers without their
 * leading zeros. A void has "void" for its id. */
static const char *log_of(const struct relay_shop *shop, int partition, int count)
{
    char text[512];
    struct buffer out;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    buffer_init(&out, LOG_BYTES_MAX);
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", shop->kafka[0].value, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "group.id", "t", text, sizeof text);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "order", partition)->offset = 0;
    (void)rd_kafka_assign(reader, list);
    for (int i = 0; i < count; i++) {
        const char *said = NULL;
        rd_kafka_message_t *message = next_record(reader, &said);
        if (message == NULL)
            test_fail("the log has %d records, not %d (%s):\n%s", i, count, said,
                      buffer_text(&out));
        int id = atoi((const char *)message->key + strlen("{\"id\":"));
        bool is_void = strcmp(header_of(message, "ce_kind"), "void") == 0;
        const char *changeset = header_of(message, "ce_changeset");
        assert_true(strcmp(changeset, "-") == 0 || strlen(changeset) == 20);
        buffer_append_format(
            &out, "%s %llu %s\n", is_void ? "void" : test_format("%d", id),
            strtoull(header_of(message, "ce_sequence"), NULL, 10),
            strcmp(changeset, "-") == 0 ? "-" : test_format("%llu", strtoull(changeset, NULL, 10)));
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    (void)rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    const char *log = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return log;
}

static void make_whole(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true};
    relay_shop_make(shop);
}

static void each_record_of_a_transaction_names_its_last_one(void **state)
{
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"b", 2, "\"x\""}, {"a", 3, "\"x\""}, {NULL, 4, "\"x\""},
        {"b", 5, "\"x\""}, {"b", 6, "\"x\""}, {"c", 7, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    write_rows(&shop, writes, 7);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 7);
    assert_string_equal(log_of(&shop, 0, 7), "1 1 2\n3 2 2\n4 3 -\n2 4 6\n5 5 6\n6 6 6\n7 7 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_published), 4);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), 3);
    assert_int_equal(atomic_load(&shop.metrics.sets_merged), 0);
    relay_shop_done(&shop);
}

static void transactions_that_cannot_be_told_apart_become_one_where_they_cross(void **state)
{
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"b", 1, "\"y\""}, {"c", 9, "\"x\""},
        {"a", 1, "\"z\""}, {"d", 2, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    write_rows(&shop, writes, 5);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(log_of(&shop, 0, 5), "1 1 4\n1 2 4\n9 3 4\n1 4 4\n2 5 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_merged), 1);
    relay_shop_done(&shop);
}

/* More rows than a load has at first; another transaction ends in the middle. */
static void a_transaction_that_is_longer_than_a_load_is_read_to_its_end(void **state)
{
    enum { LONG = 4500 };
    struct relay_shop shop;
    struct write *writes = calloc(LONG + 1, sizeof *writes);
    (void)state;
    assert_non_null(writes);
    for (int i = 0; i <= LONG; i++)
        writes[i] = (struct write){i == 2500 ? "b" : "a", i + 1, "\"x\""};
    make_whole(&shop);
    write_rows(&shop, writes, LONG + 1);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, LONG + 1);
    const char *log = log_of(&shop, 0, LONG + 1);
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
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "7"},      {"b", 2, "\"y\""}, {"b", 3, "\"x\""},
        {"c", 3, "\"y\""}, {NULL, 4, "\"x\""}, {"d", 5, "\"x\""}, {"d", 6, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    write_rows(&shop, writes, 8);
    relay_shop_start(&shop);
    relay_shop_expect(
        &shop, SET_ASIDE,
        "1 outbox row 2,2 outbox row 2,3 behind outbo,4 behind outbo,5 behind outbo\n");
    relay_shop_expect_acknowledged(&shop, 3);
    write_rows(&shop, (const struct write[]){{"e", 1, "\"z\""}, {"e", 7, "\"x\""}}, 2);
    relay_shop_expect(&shop, "SELECT substr(set_aside, 1, 7) FROM outbox WHERE position > 8",
                      "behind \nbehind \n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 4);
    (void)sqlite_text(shop.path, "UPDATE outbox SET set_aside = NULL, payload = replace(payload, "
                                 "':7}', ':\"mended\"}')");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 10);
    assert_string_equal(
        log_of(&shop, 0, 10),
        "4 1 -\n5 2 3\n6 3 3\n1 4 5\n2 5 5\n2 6 7\n3 7 7\n3 8 -\n1 9 10\n7 10 10\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void a_transaction_that_is_too_large_is_set_aside_and_the_others_go_on(void **state)
{
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""}, {"a", 4, "\"x\""},
        {"b", 5, "\"x\""}, {"b", 6, "\"x\""}, {"b", 7, "\"x\""}, {"c", 4, "\"y\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 3;
    write_rows(&shop, writes, 8);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 3);
    assert_string_equal(log_of(&shop, 0, 3), "5 1 3\n6 2 3\n7 3 3\n");
    relay_shop_expect(
        &shop, SET_ASIDE,
        "1 a transactio,2 a transactio,3 a transactio,4 a transactio,8 behind outbo\n");
    relay_shop_expect(
        &shop,
        "SELECT count(*) FROM outbox WHERE set_aside LIKE '%more than 3 changes%raise "
        "limits.changeset_events%`keepstep outbox cut 1`%'",
        "4\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* `-` is what SQLite's rows have where the service marks no transaction. */
static void what_nothing_tells_apart_is_cut_where_it_is_too_large(void **state)
{
    static const struct write writes[] = {
        {"-", 1, "\"x\""}, {"-", 2, "\"x\""}, {"-", 3, "\"x\""},
        {"-", 4, "\"x\""}, {"-", 5, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 2;
    write_rows(&shop, writes, 5);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(log_of(&shop, 0, 5), "1 1 2\n2 2 2\n3 3 4\n4 4 4\n5 5 -\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    relay_shop_done(&shop);
}

static void a_transaction_in_several_partitions_is_a_set_in_each(void **state)
{
    struct relay_shop shop = {.whole = true, .partitions = 3};
    struct write writes[12];
    (void)state;
    relay_shop_make(&shop);
    for (int i = 0; i < 12; i++)
        writes[i] = (struct write){"a", i + 1, "\"x\""};
    write_rows(&shop, writes, 12);
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

/* The id that the row at a position has. */
static const char *id_of(const struct relay_shop *shop, int position)
{
    return test_format("%.36s",
                       sqlite_text(shop->path, test_format("SELECT event_id('shop', position, "
                                                           "created_at) FROM outbox WHERE position "
                                                           "= %d",
                                                           position)));
}

/* A record of the row at a position, which is its sequence too, in a set that ends at 5. */
static void append_record(const struct relay_shop *shop, const char *source, int position)
{
    char text[512];
    const char *values[][2] = {
        {"ce_specversion", "1.0"},
        {"ce_id", id_of(shop, position)},
        {"ce_source", source},
        {"ce_type", "order.updated"},
        {"ce_sequence", test_format("%020d", position)},
        {"ce_changeset", "00000000000000000005"},
        {"ce_incarnation",
         test_format("%.36s", sqlite_text(shop->path, "SELECT incarnation FROM keepstep_relay"))},
        {"ce_protocol", "1"},
        {"ce_previousid", position == 1 ? "" : id_of(shop, position - 1)}};
    const char *payload = sqlite_text(
        shop->path, test_format("SELECT payload FROM outbox WHERE position = %d", position));
    const char *key = test_format("{\"id\":%d}", position);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(9);
    for (size_t i = 0; i < (position == 1 ? 8 : 9); i++)
        (void)rd_kafka_header_add(headers, values[i][0], -1, values[i][1], -1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", shop->kafka[0].value, text, sizeof text);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_int_equal(
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("order"), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_KEY(key, strlen(key)),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)payload, strcspn(payload, "\n")),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
        RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}

static const struct write five[] = {
    {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""}, {"a", 4, "\"x\""}, {"a", 5, "\"x\""},
};

/* A relay has claimed five changes, and died when `sent` of them were in the log. */
static void take_over(int sent)
{
    struct relay_shop shop;
    make_whole(&shop);
    write_rows(&shop, five, 5);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5; INSERT INTO keepstep_relay_type VALUES ('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 5, '%s', 0, -1, "
                        "'')",
                        id_of(&shop, 5));
    for (int i = 1; i <= sent; i++)
        append_record(&shop, "shop", i);
    write_rows(&shop, (const struct write[]){{"b", 6, "\"x\""}, {"b", 7, "\"x\""}}, 2);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 7);
    assert_string_equal(log_of(&shop, 0, 7), "1 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n6 6 7\n7 7 7\n");
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
    write_rows(&shop, five, 5);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5 WHERE position <= 3; INSERT INTO keepstep_relay_type VALUES "
                        "('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 3, '%s', 0, -1, "
                        "'')",
                        id_of(&shop, 3));
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    assert_string_equal(log_of(&shop, 0, 5), "1 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n");
    relay_shop_stop(&shop);
    (void)sqlite_text(shop.path, "UPDATE outbox SET changeset_end = 9 WHERE position = 5");
    write_rows(&shop, (const struct write[]){{"b", 6, "\"x\""}, {"b", 7, "\"x\""}}, 2);
    relay_shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    assert_int_equal(error_exit_code(&shop.err), 78);
    assert_non_null(strstr(shop.err.text, "what waits now is not its rest"));
    relay_shop_done(&shop);
}

/* As many rows as the rest has, but of another transaction, which was committed before that one's
 * last row and came to light later. */
static void another_transaction_does_not_get_the_numbers_of_a_lost_rest(void **state)
{
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""}, {"b", 4, "\"x\""},
        {"b", 5, "\"x\""}, {"a", 6, "\"x\""}, {"a", 7, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    write_rows(&shop, writes, 7);
    (void)sqlite_format(shop.path,
                        "UPDATE outbox SET kafka_partition = 0, sequence = position, changeset_end "
                        "= 5 WHERE position <= 3; INSERT INTO keepstep_relay_type VALUES "
                        "('order', 'order'); "
                        "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 3, '%s', 0, -1, "
                        "'')",
                        id_of(&shop, 3));
    relay_shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    assert_non_null(strstr(shop.err.text, "what waits now is not its rest"));
    assert_string_equal(sqlite_text(shop.path, "SELECT count(*) FROM outbox WHERE sequence > 3"),
                        "0\n");
    relay_shop_done(&shop);
}

/* Too large, too; a set that waits with its type is neither set aside nor cut. */
static void a_paused_type_holds_sets_of_every_size(void **state)
{
    static const struct write writes[] = {
        {"a", 1, "\"x\""}, {"a", 2, "\"x\""}, {"a", 3, "\"x\""},
        {"-", 4, "\"x\""}, {"-", 5, "\"x\""}, {"-", 6, "\"x\""},
    };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 2;
    (void)sqlite_text(shop.path,
                      "INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'rebuilt')");
    write_rows(&shop, writes, 6);
    relay_shop_start(&shop);
    relay_shop_expect(&shop, "SELECT epoch > 0 FROM keepstep_relay", "1\n");
    write_rows(&shop, &writes[5], 1); /* each look of the relay finds more */
    clock_sleep_us(WAIT_US);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 0);
    (void)sqlite_text(shop.path, "DELETE FROM keepstep_paused");
    relay_shop_expect_acknowledged(&shop, 4);
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 1);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 1);
    relay_shop_done(&shop);
}

/* The broker refuses the batch, then its first record alone.
 * @return whether that record went out as a void. Not where a busy machine has sent the batch in
 * two requests: then the second one is refused in place of the record. */
static bool a_record_is_voided(void)
{
    struct relay_shop shop;
    make_whole(&shop);
    write_rows(&shop, five, 5);
    rd_kafka_mock_push_request_errors(shop.cluster, 0, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 5);
    const char *log = log_of(&shop, 0, 5);
    relay_shop_stop(&shop);
    bool is_voided = atomic_load(&shop.metrics.sets_voided) == 1;
    relay_shop_done(&shop);
    if (is_voided)
        assert_string_equal(log, "void 1 5\n2 2 5\n3 3 5\n4 4 5\n5 5 5\n");
    return is_voided;
}

static void the_void_of_a_refused_record_names_the_end_of_its_set_too(void **state)
{
    int attempts = 1;
    (void)state;
    while (!a_record_is_voided())
        assert_true(attempts++ < ATTEMPTS);
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
    write_rows(&shop, five, 1);
    append_record(&shop, "other", 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_record_of_a_transaction_names_its_last_one),
        TEST(transactions_that_cannot_be_told_apart_become_one_where_they_cross),
        TEST(a_transaction_that_is_longer_than_a_load_is_read_to_its_end),
        TEST(what_shares_an_entity_with_a_transaction_that_is_set_aside_waits_behind_it),
        TEST(a_transaction_that_is_too_large_is_set_aside_and_the_others_go_on),
        TEST(what_nothing_tells_apart_is_cut_where_it_is_too_large),
        TEST(a_transaction_in_several_partitions_is_a_set_in_each),
        TEST(a_takeover_after_the_claim_sends_a_set_under_the_same_end),
        TEST(a_takeover_after_the_first_record_sends_the_rest_under_the_same_end),
        TEST(a_takeover_before_the_last_record_sends_it_under_the_same_end),
        TEST(what_the_database_lost_of_a_sets_numbers_is_given_again_up_to_the_same_end),
        TEST(another_transaction_does_not_get_the_numbers_of_a_lost_rest),
        TEST(a_paused_type_holds_sets_of_every_size),
        TEST(the_void_of_a_refused_record_names_the_end_of_its_set_too),
        TEST(another_services_record_in_the_topic_of_whole_transactions_ends_the_relay),
        TEST(types_that_were_numbered_in_another_topic_cannot_be_published_whole),
        TEST(a_relay_publishes_nothing_whole_before_its_outbox_was_prepared_for_it),
    };
    return TEST_RUN(tests);
}
