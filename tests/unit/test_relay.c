/* A relay meets a failing database or another relay. What it has numbered and sent is neither lost
 * nor sent again. labels: threads */
#include "tests/support/relay_shop.h"

#include "common/clock.h"

#include <sqlite3.h>

#define STOP_AFTER_US  500000
#define STOP_WITHIN_US 20000000 /* a piece of the wait lasts half a second */

/* What goes wrong in the relay's COMMITs. SQLite is past the COMMIT once it deletes its rollback
 * journal. */
enum fault { FAULT_NONE, FAULT_BEFORE_COMMIT, FAULT_AFTER_COMMIT };

static atomic_int fault;
static atomic_uint fault_turns; /* a bit for each coming COMMIT: it meets the fault */
static atomic_int faults_met;
static sqlite3_vfs *real_files;

static int delete_file(sqlite3_vfs *files, const char *path, int sync)
{
    const char *end = strrchr(path, '-');
    if (!relay_shop_is_relay || end == NULL || strcmp(end, "-journal") != 0)
        return real_files->xDelete(files, path, sync);
    unsigned turns = atomic_load(&fault_turns);
    int now = (turns & 1) != 0 ? atomic_load(&fault) : FAULT_NONE;
    (void)atomic_compare_exchange_strong(&fault_turns, &turns, turns >> 1);
    if (now != FAULT_NONE)
        atomic_fetch_add(&faults_met, 1);
    if (now == FAULT_BEFORE_COMMIT)
        return SQLITE_IOERR_DELETE;
    int code = real_files->xDelete(files, path, sync);
    return now == FAULT_AFTER_COMMIT ? SQLITE_IOERR_DELETE : code;
}

static void use_failing_files(void)
{
    static sqlite3_vfs files;
    real_files = sqlite3_vfs_find(NULL);
    files = *real_files;
    files.zName = "failing";
    files.xDelete = delete_file;
    assert_int_equal(sqlite3_vfs_register(&files, 1), SQLITE_OK);
}

static void meet(enum fault wanted, unsigned turns)
{
    atomic_store(&fault, (int)wanted);
    atomic_store(&fault_turns, turns);
}

static void claims_meet(enum fault wanted)
{
    enum { ROUNDS = 12 };
    struct relay_shop shop = {0};
    int met = atomic_load(&faults_met);
    relay_shop_make(&shop);
    relay_shop_start(&shop);
    for (int id = 1; id <= ROUNDS; id++) {
        relay_shop_write(&shop, id, false, test_format("{\"id\":%d,\"name\":\"x\"}", id));
        relay_shop_expect_acknowledged(&shop, 2 * id - 1);
        meet(wanted, 1);
        relay_shop_write(&shop, id, false, test_format("{\"id\":%d,\"name\":\"y\"}", id));
        relay_shop_expect_acknowledged(&shop, 2 * id);
    }
    meet(FAULT_NONE, 0);
    relay_shop_stop(&shop);
    assert_true(atomic_load(&faults_met) - met >= ROUNDS - 2);
    assert_true(atomic_load(&shop.metrics.failures) >= ROUNDS - 2);
    /* Some faults hit a renewal of the lease, which does not raise the epoch. */
    assert_true(sqlite_number(shop.path, "SELECT epoch FROM keepstep_relay") >= ROUNDS / 2);
    assert_int_equal(atomic_load(&shop.metrics.rebuilt), 0);
    assert_int_equal(atomic_load(&shop.metrics.published), 2 * ROUNDS);
    assert_int_equal(atomic_load(&shop.metrics.acknowledged), 2 * ROUNDS);
    assert_int_equal(atomic_load(&shop.metrics.adopted), 0);
    relay_shop_done(&shop);
}

static void a_claim_that_failed_is_made_again_by_the_same_producer(void **state)
{
    (void)state;
    claims_meet(FAULT_BEFORE_COMMIT);
}

static void a_claim_that_was_durable_although_its_commit_failed_is_sent_once(void **state)
{
    (void)state;
    claims_meet(FAULT_AFTER_COMMIT);
}

/* The claim is in doubt, the lease is renewed, and then the raised epoch is in doubt too. */
static void a_lease_that_the_relay_took_without_knowing_is_its_own(void **state)
{
    enum { ROUNDS = 4 };
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    relay_shop_start(&shop);
    for (int id = 1; id <= ROUNDS; id++) {
        meet(FAULT_AFTER_COMMIT, 5);
        relay_shop_write(&shop, id, false, test_format("{\"id\":%d,\"name\":\"x\"}", id));
        relay_shop_expect_acknowledged(&shop, id);
    }
    meet(FAULT_NONE, 0);
    relay_shop_stop(&shop);
    /* Each round raises the epoch twice: in doubt, then known. A fault that hits something else
     * costs one. */
    assert_true(sqlite_number(shop.path, "SELECT epoch FROM keepstep_relay") > ROUNDS + 2);
    relay_shop_done(&shop);
}

static void of_two_relays_under_one_name_the_one_that_lost_the_lease_ends(void **state)
{
    (void)state;
    struct relay_shop first = {0};
    relay_shop_make(&first);
    relay_shop_start(&first);
    relay_shop_write(&first, 1, false, "{\"id\":1,\"name\":\"x\"}");
    relay_shop_expect_acknowledged(&first, 1);
    struct relay_shop second = first;
    second.metrics = (struct relay_metrics){0};
    relay_shop_start(&second);
    relay_shop_expect(&first, "SELECT epoch FROM keepstep_relay", "2\n");
    relay_shop_write(&first, 2, false, "{\"id\":2,\"name\":\"x\"}");
    (void)pthread_join(first.thread, NULL);
    assert_int_equal(first.status, STATUS_FATAL);
    assert_int_equal(error_exit_code(&first.err), 78);
    assert_non_null(strstr(first.err.text, "the same instance name, 1, and took the lease"));
    assert_non_null(strstr(first.err.text, "give each its own `instance:`"));
    relay_shop_expect_acknowledged(&second, 2);
    assert_true(atomic_load(&second.metrics.holds_lease));
    assert_string_equal(sqlite_text(first.path, "SELECT epoch FROM keepstep_relay"), "2\n");
    relay_shop_stop(&second);
    relay_shop_done(&first);
}

/* The service applies the type too. Then other services may publish it. */
static void shop_apply(struct relay_shop *shop)
{
    shop->config.apply = &shop->entry;
    shop->config.apply_count = 1;
}

/* Append records, each in a batch of its own. `sequence` 0 means another program wrote it. */
static void append(const struct relay_shop *shop, int partition, int count, const char *source,
                   const char *id, int sequence)
{
    char text[512];
    /* That of the row that has the id: all rows of these tests have the same one. */
    const char *payload = sqlite_text(shop->path, "SELECT payload FROM outbox LIMIT 1");
    const char *value = payload[0] == '\0'
                            ? "{}"
                            : test_format("%.*s", (int)strcspn(payload, "\n"), payload);
    const char *incarnation = sqlite_text(shop->path, "SELECT incarnation FROM keepstep_relay");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", shop->kafka[0].value, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof text);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    for (int i = 0; i < count; i++) {
        const char *names[] = {"ce_specversion", "ce_id",       "ce_source",
                               "ce_type",        "ce_time",     "ce_protocol",
                               "ce_incarnation", "ce_sequence", "ce_previousid"};
        const char *values[] = {"1.0",
                                id,
                                source,
                                "order.updated",
                                "2026-01-01T00:00:00.000000Z",
                                "1",
                                test_format("%.36s", incarnation),
                                test_format("%020d", sequence),
                                "before"};
        rd_kafka_headers_t *headers = rd_kafka_headers_new(9);
        for (size_t h = 0; h < (sequence == 0 ? 6 : sequence == 1 ? 8 : 9); h++)
            (void)rd_kafka_header_add(headers, names[h], -1, values[h], -1);
        assert_int_equal(
            rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("order"), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_KEY("{\"id\":7}", 8),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
            RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    rd_kafka_destroy(producer);
}

static void expect_recovered(const struct relay_shop *shop)
{
    /* The relay claims a row only after the recovery. */
    relay_shop_expect(shop, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
}

/* @return how many records of the log a relay reads until it has published one more. */
static int64_t records_read(struct relay_shop *shop)
{
    relay_shop_write(shop, 7, false, "{\"id\":7,\"name\":\"x\"}");
    shop->metrics = (struct relay_metrics){0};
    relay_shop_start(shop);
    expect_recovered(shop);
    relay_shop_stop(shop);
    return atomic_load(&shop->metrics.log_read);
}

struct standby {
    const struct relay_metrics *metrics;
    int64_t since_us;
};

/* It looks again and again whether it may go on. */
static bool is_standby(void *context)
{
    const struct standby *standby = context;
    return atomic_load(&standby->metrics->standby) &&
           atomic_load(&standby->metrics->progress_us) > standby->since_us;
}

static void a_lease_is_kept_however_long_the_log_takes_to_be_read(void **state)
{
    enum { RECORDS = 120 };
    (void)state;
    struct relay_shop first = {.lease_us = 4 * 1000 * 1000};
    relay_shop_make(&first);
    shop_apply(&first);
    append(&first, 0, RECORDS, "other", "x", 0);
    relay_shop_write(&first, 1, false, "{\"id\":1,\"name\":\"x\"}");
    first.config.kafka_count = 2;
    (void)rd_kafka_mock_broker_set_rtt(first.cluster, -1, 60);
    struct relay_shop second = first;
    second.config.instance = (char *)"2";
    relay_shop_start(&first);
    relay_shop_expect(&first, "SELECT epoch FROM keepstep_relay", "1\n");
    relay_shop_start(&second);
    relay_shop_expect_acknowledged(&first, 1);
    assert_int_equal(atomic_load(&first.metrics.log_read), RECORDS);
    assert_false(atomic_load(&second.metrics.holds_lease));
    struct standby standby = {&second.metrics, clock_wall_us()};
    assert_true(test_wait(is_standby, &standby, 20000));
    assert_int_equal(atomic_load(&second.metrics.failures), 0);
    assert_false(atomic_load(&first.metrics.standby));
    assert_string_equal(sqlite_text(first.path, "SELECT epoch, holder FROM keepstep_relay"),
                        "1|1\n");
    relay_shop_stop(&first);
    relay_shop_expect(&first, "SELECT epoch, holder FROM keepstep_relay", "2|2\n");
    relay_shop_stop(&second);
    assert_false(atomic_load(&second.metrics.standby));
    relay_shop_done(&first);
}

static void what_others_wrote_is_read_once_and_what_is_own_is_found_behind_it(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    shop_apply(&shop);
    append(&shop, 0, 30, "other", "x", 0);
    assert_int_equal(records_read(&shop), 30);
    append(&shop, 0, 20, "other", "y", 0);
    append(&shop, 1, 20, "other", "y", 0);
    append(&shop, 2, 20, "other", "y", 0);
    assert_int_equal(records_read(&shop), 60 + 1); /* and one partition's anchor */
    shop.metrics = (struct relay_metrics){0};
    relay_shop_start(&shop); /* an idle relay follows the log */
    append(&shop, 0, 5, "other", "z", 0);
    append(&shop, 1, 5, "other", "z", 0);
    append(&shop, 2, 5, "other", "z", 0);
    relay_shop_expect(&shop, "SELECT sum(read_offset) FROM keepstep_relay_read", "107\n");
    relay_shop_stop(&shop);
    assert_int_equal(records_read(&shop), 1);
    /* A clone's record is found behind what was read. */
    append(&shop, (int)sqlite_number(shop.path, "SELECT max(kafka_partition) FROM outbox"), 1,
           "shop", "cloned", 4);
    relay_shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    assert_non_null(strstr(shop.err.text, "rewound or cloned"));
    /* A relay that ends for good gives up its lease, so that a standby need not wait. */
    assert_string_equal(sqlite_text(shop.path, "SELECT lease_until_us FROM keepstep_relay"), "0\n");
    relay_shop_done(&shop);
}

/* The row was published, then changed by a statement. The relay that reads the log again must not
 * take the record for the row's. */
static void expect_rewound_after(const char *change)
{
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    assert_int_equal(records_read(&shop), 0);
    (void)sqlite_text(shop.path, change);
    (void)sqlite_text(shop.path, "UPDATE keepstep_relay_partition SET acknowledged_sequence = 0,"
                                 "acknowledged_offset = -1, acknowledged_id = '';"
                                 "DELETE FROM keepstep_relay_read");
    relay_shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    assert_non_null(strstr(shop.err.text, "rewound or cloned"));
    relay_shop_done(&shop);
}

/* A rewound database gave position, time and number once more, to another change. */
static void a_record_with_a_rows_id_and_another_value_is_no_record_of_that_row(void **state)
{
    (void)state;
    expect_rewound_after("UPDATE outbox SET payload = replace(payload, '\"x\"', '\"y\"')");
}

/* Deletes of two entities have the same value. */
static void a_record_with_a_rows_id_and_another_entity_is_no_record_of_that_row(void **state)
{
    (void)state;
    expect_rewound_after("UPDATE outbox SET aggregateid = '{\"id\":77}' WHERE position = 1");
}

static void a_database_that_fails_is_no_other_relay(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    meet(FAULT_BEFORE_COMMIT, 1);
    relay_shop_start(&shop);
    relay_shop_expect(&shop, "SELECT epoch FROM keepstep_relay", "1\n");
    assert_int_equal(atomic_load(&shop.metrics.failures), 1);
    assert_false(atomic_load(&shop.metrics.standby));
    meet(FAULT_BEFORE_COMMIT, 2); /* the acknowledgement, with no later write */
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    relay_shop_expect_acknowledged(&shop, 1);
    meet(FAULT_NONE, 0);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* A fenced relay sent its copy of 1 after 2, which was acknowledged, and then its copy of 3. */
static void a_record_that_is_known_acknowledges_those_before_it_that_the_anchor_hides(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    for (int i = 0; i < 2; i++)
        relay_shop_write(&shop, 7, false, "{\"id\":7,\"name\":\"x\"}");
    assert_int_equal(records_read(&shop), 0);
    int partition = (int)sqlite_number(shop.path, "SELECT max(kafka_partition) FROM outbox");
    const char *ids = sqlite_text(shop.path, "SELECT event_id('shop', position, "
                                             "created_at) FROM outbox ORDER BY sequence");
    append(&shop, partition, 1, "shop", test_format("%.36s", ids), 1);
    append(&shop, partition, 1, "shop", test_format("%.36s", ids + 2 * 37), 3);
    (void)sqlite_format(shop.path,
                        "UPDATE keepstep_relay_partition SET acknowledged_sequence = 1,"
                        "acknowledged_offset = 3, acknowledged_id = '%.36s';"
                        "DELETE FROM keepstep_relay_read",
                        ids);
    shop.metrics = (struct relay_metrics){0};
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 3);
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.adopted), 2);
    assert_int_equal(atomic_load(&shop.metrics.published), 0);
    relay_shop_done(&shop);
}

static void a_stop_does_not_wait_for_a_broker_that_is_not_there(void **state)
{
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    (void)rd_kafka_mock_broker_set_down(shop.cluster, 1);
    relay_shop_start(&shop);
    clock_sleep_us(STOP_AFTER_US);
    int64_t begun = clock_monotonic_us();
    relay_shop_stop(&shop);
    assert_true(clock_monotonic_us() - begun < STOP_WITHIN_US);
    relay_shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_claim_that_failed_is_made_again_by_the_same_producer, 120),
        TEST_WITH_LIMIT(a_claim_that_was_durable_although_its_commit_failed_is_sent_once, 120),
        TEST_WITH_LIMIT(a_lease_that_the_relay_took_without_knowing_is_its_own, 90),
        TEST_WITH_LIMIT(of_two_relays_under_one_name_the_one_that_lost_the_lease_ends, 90),
        TEST_WITH_LIMIT(a_lease_is_kept_however_long_the_log_takes_to_be_read, 120),
        TEST_WITH_LIMIT(what_others_wrote_is_read_once_and_what_is_own_is_found_behind_it, 120),
        TEST_WITH_LIMIT(a_record_with_a_rows_id_and_another_value_is_no_record_of_that_row, 90),
        TEST_WITH_LIMIT(a_record_with_a_rows_id_and_another_entity_is_no_record_of_that_row, 90),
        TEST_WITH_LIMIT(a_database_that_fails_is_no_other_relay, 60),
        TEST_WITH_LIMIT(a_record_that_is_known_acknowledges_those_before_it_that_the_anchor_hides,
                        90),
        TEST(a_stop_does_not_wait_for_a_broker_that_is_not_there),
    };
    use_failing_files();
    return TEST_RUN(tests);
}
