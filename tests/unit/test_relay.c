/* The relay beside a database that fails: what it has sent and numbered is neither lost nor sent
 * again. labels: threads */
#include "tests/support/sql.h"

#include "common/clock.h"
#include "producer/init/init.h"
#include "producer/relay/relay.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <sqlite3.h>

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"                               \
    "\"name\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}"

/* What the relay's COMMITs do: an SQLite that deletes its rollback journal is past the COMMIT. */
enum fault { FAULT_NONE, FAULT_BEFORE_COMMIT, FAULT_AFTER_COMMIT };

static atomic_int fault;
static atomic_uint fault_turns; /* bit by bit, which of the next COMMITs meet it */
static atomic_int faults_met;
static _Thread_local bool in_relay;
static sqlite3_vfs *real_files;

static int delete_file(sqlite3_vfs *files, const char *path, int sync)
{
    const char *end = strrchr(path, '-');
    if (!in_relay || end == NULL || strcmp(end, "-journal") != 0)
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

struct shop {
    struct config config;
    struct config_entry entry;
    struct text_pair kafka[2];
    int64_t lease_us;
    struct entity_schema *schema;
    const char *path;
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    struct relay_metrics metrics;
    atomic_bool stop;
    struct error err;
    enum status status;
    pthread_t thread;
};

static void *run_relay(void *context)
{
    struct shop *shop = context;
    const struct entity_schema *schemas[] = {shop->schema};
    struct relay_options options = {.config = &shop->config,
                                    .schemas = schemas,
                                    .metrics = &shop->metrics,
                                    .lease_us = shop->lease_us};
    struct relay *relay = NULL;
    in_relay = true;
    shop->status = relay_new(&options, &relay, &shop->err);
    if (shop->status == STATUS_OK)
        shop->status = relay_run(relay, &shop->stop, &shop->err);
    relay_free(relay);
    return NULL;
}

static void shop_make(struct shop *shop)
{
    char text[512];
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options init = {.out = out};
    if (real_files == NULL) {
        static sqlite3_vfs files;
        real_files = sqlite3_vfs_find(NULL);
        files = *real_files;
        files.zName = "failing";
        files.xDelete = delete_file;
        assert_int_equal(sqlite3_vfs_register(&files, 1), SQLITE_OK);
    }
    shop->handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    shop->cluster = rd_kafka_mock_cluster_new(shop->handle, 1);
    (void)rd_kafka_mock_topic_create(shop->cluster, "order", 3, 1);
    shop->path = test_path("shop.db");
    shop->kafka[0] = (struct text_pair){
        (char *)"bootstrap.servers",
        (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(shop->cluster)};
    /* A batch a request, so that a test can make reading slow. */
    shop->kafka[1] = (struct text_pair){(char *)"fetch.message.max.bytes", (char *)"100"};
    shop->entry = (struct config_entry){
        .entity_type = (char *)"order", .topic = (char *)"order", .partitions = 3};
    shop->config = (struct config){
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)test_format("sqlite:%s", shop->path),
        .database_path = (char *)(uintptr_t)shop->path,
        .instance = (char *)"1",
        .publish = &shop->entry,
        .publish_count = 1,
        .kafka = shop->kafka,
        .kafka_count = 1,
        .limits = {.message_bytes = 1000000, .outbox_retention_s = 86400}};
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &shop->err) != STATUS_OK)
        test_fail("%s", shop->err.text);
    const struct entity_schema *schemas[] = {shop->schema};
    if (init_service(&shop->config, schemas, &init, &shop->err) != STATUS_OK)
        test_fail("%s", shop->err.text);
    (void)fclose(out);
    (void)sqlite_text(shop->path, "PRAGMA journal_mode = DELETE");
}

static void shop_start(struct shop *shop)
{
    atomic_store(&shop->stop, false);
    assert_int_equal(pthread_create(&shop->thread, NULL, run_relay, shop), 0);
}

static void shop_stop(struct shop *shop)
{
    atomic_store(&shop->stop, true);
    (void)pthread_join(shop->thread, NULL);
    if (shop->status != STATUS_OK)
        test_fail("the relay ended: %s", shop->err.text);
}

static void shop_done(struct shop *shop)
{
    rd_kafka_mock_cluster_destroy(shop->cluster);
    rd_kafka_destroy(shop->handle);
    entity_schema_free(shop->schema);
}

/* Keys as a service may write them: {"id":7} or the bare 7. */
static void write_order(const struct shop *shop, int id, bool bare, const char *after)
{
    (void)sqlite_format(
        shop->path,
        "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES('order',%s%d%s,"
        "'order.updated','{\"op\":\"u\",\"before\":null,\"after\":%s}')",
        bare ? "" : "'{\"id\":", id, bare ? "" : "}'", after);
}

static void expect(const struct shop *shop, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(shop->path, sql, rows, 20000))
        test_fail("%s is %s: %s", sql, sqlite_text(shop->path, sql), shop->err.text);
}

static void expect_acknowledged(const struct shop *shop, int count)
{
    expect(shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
           test_format("%d\n", count));
}

struct told {
    const atomic_int_fast64_t *value;
    bool zero;
};

static bool is_told(void *context)
{
    const struct told *told = context;
    return (atomic_load(told->value) == 0) == told->zero;
}

static void expect_told(const atomic_int_fast64_t *value, bool zero)
{
    struct told told = {value, zero};
    if (!test_wait(is_told, &told, 30000))
        test_fail("it is %lld", (long long)atomic_load(value));
}

static void meet(enum fault wanted, unsigned turns)
{
    atomic_store(&fault, (int)wanted);
    atomic_store(&fault_turns, turns);
}

static void claims_meet(enum fault wanted)
{
    enum { ROUNDS = 12 };
    struct shop shop = {0};
    int met = atomic_load(&faults_met);
    shop_make(&shop);
    shop_start(&shop);
    for (int id = 1; id <= ROUNDS; id++) {
        write_order(&shop, id, false, test_format("{\"id\":%d,\"name\":\"x\"}", id));
        expect_acknowledged(&shop, 2 * id - 1);
        meet(wanted, 1);
        write_order(&shop, id, false, test_format("{\"id\":%d,\"name\":\"y\"}", id));
        expect_acknowledged(&shop, 2 * id);
    }
    meet(FAULT_NONE, 0);
    shop_stop(&shop);
    assert_true(atomic_load(&faults_met) - met >= ROUNDS - 2);
    assert_true(atomic_load(&shop.metrics.failures) >= ROUNDS - 2);
    /* Now and then the fault meets a renewal of the lease, which raises nothing. */
    assert_true(sqlite_number(shop.path, "SELECT epoch FROM keepstep_relay") >= ROUNDS / 2);
    assert_int_equal(atomic_load(&shop.metrics.rebuilt), 0);
    assert_int_equal(atomic_load(&shop.metrics.published), 2 * ROUNDS);
    assert_int_equal(atomic_load(&shop.metrics.acknowledged), 2 * ROUNDS);
    assert_int_equal(atomic_load(&shop.metrics.adopted), 0);
    shop_done(&shop);
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

/* The claim is in doubt, the lease is renewed, and the raising of its epoch is in doubt too. */
static void a_lease_that_the_relay_took_without_knowing_is_its_own(void **state)
{
    enum { ROUNDS = 4 };
    struct shop shop = {0};
    (void)state;
    shop_make(&shop);
    shop_start(&shop);
    for (int id = 1; id <= ROUNDS; id++) {
        meet(FAULT_AFTER_COMMIT, 5);
        write_order(&shop, id, false, test_format("{\"id\":%d,\"name\":\"x\"}", id));
        expect_acknowledged(&shop, id);
    }
    meet(FAULT_NONE, 0);
    shop_stop(&shop);
    /* Raised in doubt, then taken: twice a round, once where a fault met something else. */
    assert_true(sqlite_number(shop.path, "SELECT epoch FROM keepstep_relay") > ROUNDS + 2);
    shop_done(&shop);
}

static void of_two_relays_under_one_name_the_one_that_lost_the_lease_ends(void **state)
{
    (void)state;
    struct shop first = {0};
    shop_make(&first);
    shop_start(&first);
    write_order(&first, 1, false, "{\"id\":1,\"name\":\"x\"}");
    expect_acknowledged(&first, 1);
    struct shop second = first;
    second.metrics = (struct relay_metrics){0};
    shop_start(&second);
    expect(&first, "SELECT epoch FROM keepstep_relay", "2\n");
    write_order(&first, 2, false, "{\"id\":2,\"name\":\"x\"}");
    (void)pthread_join(first.thread, NULL);
    assert_int_equal(first.status, STATUS_FATAL);
    assert_int_equal(error_exit_code(&first.err), 78);
    assert_non_null(strstr(first.err.text, "the same instance name, 1, and took the lease"));
    assert_non_null(strstr(first.err.text, "give each its own `instance:`"));
    expect_acknowledged(&second, 2);
    assert_true(atomic_load(&second.metrics.holds_lease));
    assert_string_equal(sqlite_text(first.path, "SELECT epoch FROM keepstep_relay"), "2\n");
    shop_stop(&second);
    shop_done(&first);
}

/* The service applies the type too, so that others may write it. */
static void shop_apply(struct shop *shop)
{
    shop->config.apply = &shop->entry;
    shop->config.apply_count = 1;
}

/* Appends records, each in a batch of its own. `sequence` 0: a foreign writer's. */
static void append(const struct shop *shop, int partition, int count, const char *source,
                   const char *id, int sequence)
{
    char text[512];
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
        assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("order"),
                                           RD_KAFKA_V_PARTITION(partition),
                                           RD_KAFKA_V_KEY("{\"id\":7}", 8),
                                           RD_KAFKA_V_VALUE((void *)(uintptr_t) "{}", 2),
                                           RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_int_equal(rd_kafka_flush(producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    rd_kafka_destroy(producer);
}

static void expect_recovered(const struct shop *shop)
{
    /* A row is claimed only behind the recovery. */
    expect(shop, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
}

/* @return how many records of the log a relay read that ran until it had published one more. */
static int64_t records_read(struct shop *shop)
{
    write_order(shop, 7, false, "{\"id\":7,\"name\":\"x\"}");
    shop->metrics = (struct relay_metrics){0};
    shop_start(shop);
    expect_recovered(shop);
    shop_stop(shop);
    return atomic_load(&shop->metrics.log_read);
}

static void a_lease_is_kept_however_long_the_log_takes_to_be_read(void **state)
{
    enum { RECORDS = 120 };
    (void)state;
    struct shop first = {.lease_us = 4 * 1000 * 1000};
    shop_make(&first);
    shop_apply(&first);
    append(&first, 0, RECORDS, "other", "x", 0);
    write_order(&first, 1, false, "{\"id\":1,\"name\":\"x\"}");
    first.config.kafka_count = 2;
    (void)rd_kafka_mock_broker_set_rtt(first.cluster, -1, 60);
    struct shop second = first;
    second.config.instance = (char *)"2";
    shop_start(&first);
    expect(&first, "SELECT epoch FROM keepstep_relay", "1\n");
    shop_start(&second);
    expect_acknowledged(&first, 1);
    assert_int_equal(atomic_load(&first.metrics.log_read), RECORDS);
    assert_false(atomic_load(&second.metrics.holds_lease));
    assert_true(atomic_load(&second.metrics.standby));
    assert_true(clock_wall_us() - atomic_load(&second.metrics.progress_us) < first.lease_us);
    assert_int_equal(atomic_load(&second.metrics.failures), 0);
    assert_false(atomic_load(&first.metrics.standby));
    assert_string_equal(sqlite_text(first.path, "SELECT epoch, holder FROM keepstep_relay"),
                        "1|1\n");
    shop_stop(&first);
    expect(&first, "SELECT epoch, holder FROM keepstep_relay", "2|2\n");
    shop_stop(&second);
    assert_false(atomic_load(&second.metrics.standby));
    shop_done(&first);
}

static void what_others_wrote_is_read_once_and_what_is_own_is_found_behind_it(void **state)
{
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    shop_apply(&shop);
    append(&shop, 0, 30, "other", "x", 0);
    assert_int_equal(records_read(&shop), 30);
    append(&shop, 0, 20, "other", "y", 0);
    append(&shop, 1, 20, "other", "y", 0);
    append(&shop, 2, 20, "other", "y", 0);
    assert_int_equal(records_read(&shop), 60 + 1); /* and the anchor, of one partition */
    shop.metrics = (struct relay_metrics){0};
    shop_start(&shop); /* an idle one goes along with the log */
    append(&shop, 0, 5, "other", "z", 0);
    append(&shop, 1, 5, "other", "z", 0);
    append(&shop, 2, 5, "other", "z", 0);
    expect(&shop, "SELECT sum(read_offset) FROM keepstep_relay_read", "107\n");
    shop_stop(&shop);
    assert_int_equal(records_read(&shop), 1);
    /* A clone's record behind what was read is noticed. */
    append(&shop, (int)sqlite_number(shop.path, "SELECT max(kafka_partition) FROM outbox"), 1,
           "shop", "cloned", 4);
    shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    assert_non_null(strstr(shop.err.text, "rewound or cloned"));
    /* What ends a relay for good does not make a standby wait. */
    assert_string_equal(sqlite_text(shop.path, "SELECT lease_until_us FROM keepstep_relay"), "0\n");
    shop_done(&shop);
}

static void a_database_that_fails_is_no_other_relay(void **state)
{
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    meet(FAULT_BEFORE_COMMIT, 1);
    shop_start(&shop);
    expect(&shop, "SELECT epoch FROM keepstep_relay", "1\n");
    assert_int_equal(atomic_load(&shop.metrics.failures), 1);
    assert_false(atomic_load(&shop.metrics.standby));
    meet(FAULT_BEFORE_COMMIT, 2); /* the acknowledgement, and nothing more is written behind it */
    write_order(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    expect_acknowledged(&shop, 1);
    meet(FAULT_NONE, 0);
    shop_stop(&shop);
    shop_done(&shop);
}

/* A fenced relay's copy of 1 came behind 2, and was acknowledged; then its copy of 3. */
static void a_record_that_is_known_acknowledges_those_before_it_that_the_anchor_hides(void **state)
{
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    for (int i = 0; i < 2; i++)
        write_order(&shop, 7, false, "{\"id\":7,\"name\":\"x\"}");
    assert_int_equal(records_read(&shop), 0);
    int partition = (int)sqlite_number(shop.path, "SELECT max(kafka_partition) FROM outbox");
    const char *ids = sqlite_text(shop.path, "SELECT id FROM outbox ORDER BY sequence");
    append(&shop, partition, 1, "shop", test_format("%.36s", ids), 1);
    append(&shop, partition, 1, "shop", test_format("%.36s", ids + 2 * 37), 3);
    (void)sqlite_format(shop.path,
                        "UPDATE keepstep_relay_partition SET acknowledged_sequence = 1,"
                        "acknowledged_offset = 3, acknowledged_id = '%.36s';"
                        "DELETE FROM keepstep_relay_read",
                        ids);
    shop.metrics = (struct relay_metrics){0};
    shop_start(&shop);
    expect_acknowledged(&shop, 3);
    shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.adopted), 2);
    assert_int_equal(atomic_load(&shop.metrics.published), 0);
    shop_done(&shop);
}

/* Rows 1 and 4 fail; what follows of their entities waits, however the key is written. */
static void a_row_set_aside_blocks_its_entity_however_the_key_is_written(void **state)
{
    static const char published[] = "SELECT group_concat(position, ' ') FROM (SELECT position FROM "
                                    "outbox WHERE sequence IS NOT NULL ORDER BY position)";
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    shop_start(&shop);
    write_order(&shop, 1, true, "{\"id\":1,\"name\":5}");
    expect(&shop, "SELECT aggregateid FROM outbox WHERE set_aside IS NOT NULL", "{\"id\":1}\n");
    write_order(&shop, 1, true, "{\"id\":1,\"name\":\"bare\"}");
    write_order(&shop, 1, false, "{\"id\":1,\"name\":\"canonical\"}");
    write_order(&shop, 2, false, "{\"id\":2,\"name\":5}");
    write_order(&shop, 2, true, "{\"id\":2,\"name\":\"bare\"}");
    write_order(&shop, 3, true, "{\"id\":3,\"name\":\"other\"}");
    write_order(&shop, 1, true, "{\"id\":1,\"name\":\"last\"}");
    expect(&shop, published, "6\n");
    shop_stop(&shop);
    shop_start(&shop); /* one that remembers nothing */
    write_order(&shop, 2, true, "{\"id\":2,\"name\":\"later\"}");
    write_order(&shop, 4, true, "{\"id\":4,\"name\":\"flows\"}");
    expect(&shop, published, "6 9\n");

    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET set_aside = NULL, payload = replace(payload, '5',"
                      "'null') WHERE position = 1");
    expect(&shop, published, "1 2 3 6 7 9\n");
    assert_string_equal(
        sqlite_text(shop.path,
                    "SELECT group_concat(position, ' ') FROM (SELECT position FROM outbox "
                    "WHERE aggregateid = '{\"id\":1}' ORDER BY sequence)"),
        "1 2 3 7\n");
    shop_stop(&shop);
    shop_done(&shop);
}

static void a_key_that_only_looks_canonical_is_set_aside_or_made_so(void **state)
{
    static const char *const keys[] = {"{\"id\":-}",  "{\"id\":}",  "{\"id\":007}", "{\"id\":1.0}",
                                       "{\"id\":-0}", "{\"ID\":1}", "{\"id\":1}}"};
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        (void)sqlite_format(shop.path,
                            "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES("
                            "'order','%s','order.deleted','{\"op\":\"d\",\"before\":null,"
                            "\"after\":null}')",
                            keys[i]);
    write_order(&shop, -12, false, "{\"id\":-12,\"name\":\"x\"}");
    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET aggregateid = '{ \"id\": -12}' WHERE position = 8");
    write_order(&shop, -12, false, "{\"id\":-12,\"name\":\"y\"}");
    shop_start(&shop);
    expect(&shop,
           "SELECT count(*), count(DISTINCT aggregateid), count(DISTINCT kafka_partition) FROM "
           "outbox WHERE position >= 8 AND sequence IS NOT NULL",
           "2|1|1\n");
    assert_string_equal(
        sqlite_text(shop.path, "SELECT count(*) FROM outbox WHERE position < 8 AND sequence IS NOT "
                               "NULL AND aggregateid <> '{\"id\":0}'"),
        "0\n");
    shop_stop(&shop);
    shop_done(&shop);
}

/* More than the relay's memory: it must not even be loaded. */
static void a_row_of_any_size_is_set_aside_and_the_others_flow(void **state)
{
    (void)state;
    struct shop shop = {0};
    shop_make(&shop);
    write_order(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    (void)sqlite_text(shop.path, "UPDATE outbox SET payload = printf('%0*d', 70000000, 0)");
    write_order(&shop, 1, false, "{\"id\":1,\"name\":\"behind\"}");
    write_order(&shop, 2, false, "{\"id\":2,\"name\":\"x\"}");
    shop_start(&shop);
    expect_acknowledged(&shop, 1);
    expect(&shop,
           "SELECT position, set_aside LIKE '%70000000 bytes%message_bytes%' FROM outbox "
           "WHERE sequence IS NULL ORDER BY position",
           "1|1\n2|NULL\n");
    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET set_aside = NULL, payload = "
                      "'{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1}}' WHERE position = 1");
    expect_acknowledged(&shop, 3);
    shop_stop(&shop);
    shop_done(&shop);
}

static void what_a_silent_broker_keeps_under_way_is_told(void **state)
{
    struct shop shop = {0};
    (void)state;
    shop_make(&shop);
    shop_start(&shop);
    write_order(&shop, 1, false, "{\"id\":1}");
    expect_acknowledged(&shop, 1);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    (void)rd_kafka_mock_broker_set_down(shop.cluster, 1);
    expect_told(&shop.metrics.broker_silent_since_us, false); /* though nothing is under way */
    assert_int_equal(atomic_load(&shop.metrics.stalled_since_us), 0);
    write_order(&shop, 2, false, "{\"id\":2}");
    expect_told(&shop.metrics.stalled_since_us, false);
    expect_told(&shop.metrics.oldest_unacknowledged_us, false);
    assert_int_equal(atomic_load(&shop.metrics.in_flight), 1);
    assert_int_equal(atomic_load(&shop.metrics.waiting), 0);
    (void)rd_kafka_mock_broker_set_up(shop.cluster, 1);
    expect_acknowledged(&shop, 2);
    expect_told(&shop.metrics.stalled_since_us, true);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    expect_told(&shop.metrics.broker_silent_since_us, true);
    shop_stop(&shop);
    shop_done(&shop);
}

static void what_waits_is_told_where_the_broker_never_answered(void **state)
{
    struct shop shop = {0};
    (void)state;
    shop_make(&shop);
    write_order(&shop, 1, false, "{\"id\":1}");
    (void)rd_kafka_mock_broker_set_down(shop.cluster, 1);
    shop_start(&shop);
    expect_told(&shop.metrics.oldest_unacknowledged_us, false);
    assert_int_equal(atomic_load(&shop.metrics.waiting), 1);
    expect_told(&shop.metrics.broker_silent_since_us, false);
    (void)rd_kafka_mock_broker_set_up(shop.cluster, 1);
    expect_acknowledged(&shop, 1);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    shop_stop(&shop);
    shop_done(&shop);
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
        TEST_WITH_LIMIT(a_database_that_fails_is_no_other_relay, 60),
        TEST_WITH_LIMIT(a_record_that_is_known_acknowledges_those_before_it_that_the_anchor_hides,
                        90),
        TEST_WITH_LIMIT(a_row_set_aside_blocks_its_entity_however_the_key_is_written, 90),
        TEST_WITH_LIMIT(a_row_of_any_size_is_set_aside_and_the_others_flow, 120),
        TEST_WITH_LIMIT(a_key_that_only_looks_canonical_is_set_aside_or_made_so, 90),
        TEST_WITH_LIMIT(what_a_silent_broker_keeps_under_way_is_told, 120),
        TEST_WITH_LIMIT(what_waits_is_told_where_the_broker_never_answered, 120),
    };
    return TEST_RUN(tests);
}
