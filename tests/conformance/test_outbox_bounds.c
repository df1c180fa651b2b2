/* The contract of the outbox (outbox.h): how much is loaded and claimed at once, what is purged,
 * and which settings let a server lose commits. */
#include "tests/support/database.h"
#include "tests/support/mariadb.h"
#include "tests/support/outbox_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Wait until the lease names the setting `wanted`: a server needs a moment to change one. @return
 * what it names in the end. */
static const char *named(struct outbox *outbox, const char *wanted)
{
    int64_t until = clock_monotonic_us() + INT64_C(10) * 1000 * 1000;
    const char *text;
    do {
        struct lease lease = outbox_case_lease(outbox);
        text = test_format("%s", lease.not_durable);
        clock_sleep_us(10000);
    } while (strcmp(text, wanted) != 0 && clock_monotonic_us() < until);
    return text;
}

struct lossy_setting {
    const char *lose;
    const char *keep;
    const char *named;
};

static const struct lossy_setting postgresql_settings[] = {
    {"ALTER SYSTEM SET full_page_writes = off", "ALTER SYSTEM SET full_page_writes = on",
     "full_page_writes=off"},
    {"ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET fsync = on", "fsync=off"},
    {"ALTER TABLE outbox SET UNLOGGED", "ALTER TABLE outbox SET LOGGED", "outbox UNLOGGED"},
    {"ALTER TABLE keepstep_relay_partition SET UNLOGGED",
     "ALTER TABLE keepstep_relay_partition SET LOGGED", "keepstep_relay_partition UNLOGGED"},
    /* The relay's own commit waits for the disk. Every earlier commit of the service is then there
     * too. */
    {"ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM SET synchronous_commit = on", ""},
    {NULL, NULL, NULL},
};

static const struct lossy_setting mariadb_settings[] = {
    {"SET GLOBAL innodb_flush_log_at_trx_commit = 0",
     "SET GLOBAL innodb_flush_log_at_trx_commit = 1", "innodb_flush_log_at_trx_commit=0"},
    {"SET GLOBAL innodb_flush_log_at_trx_commit = 2",
     "SET GLOBAL innodb_flush_log_at_trx_commit = 3", "innodb_flush_log_at_trx_commit=2"},
    {"SET GLOBAL sync_binlog = 0", "SET GLOBAL sync_binlog = 1", ""}, /* no binary log is kept */
    {NULL, NULL, NULL},
};

static void name_settings(const struct lossy_setting *settings)
{
    struct outbox *outbox = outbox_case_open("1");
    bool postgresql = strcmp(outbox->ops->scheme, "postgresql") == 0;
    for (; settings->lose != NULL; settings++) {
        const char *const orders[] = {settings->lose, settings->keep};
        const char *const wanted[] = {settings->named, ""};
        for (size_t i = 0; i < 2; i++) {
            (void)outbox_case_ask(orders[i]);
            if (postgresql)
                (void)outbox_case_ask("SELECT pg_reload_conf()");
            assert_string_equal(named(outbox, wanted[i]), wanted[i]);
        }
    }
    outbox->ops->close(outbox);
}

static void a_server_that_may_lose_what_it_committed_is_named_with_the_lease(void)
{
    outbox_case_make();
    bool postgresql = strcmp(outbox_case_product->name, "postgresql") == 0;
    name_settings(postgresql ? postgresql_settings : mariadb_settings);
}

/* These settings are given at the server's start. This case is the last one, because the server
 * keeps them. After a crash the binary log decides what was committed. */
static void a_mariadb_started_so_that_it_may_lose_commits_is_named(void)
{
    static const char *const logging[] = {"--log-bin=changes", "--innodb-doublewrite=0"};
    static const char *const careless[] = {"--log-bin=changes", "--innodb-flush-method=nosync"};
    outbox_case_make();
    mariadb_stop();
    mariadb_start_with(logging);
    struct outbox *outbox = outbox_case_open("1");
    const char *wanted = "log_bin=ON with sync_binlog=0, innodb_doublewrite=OFF";
    assert_string_equal(named(outbox, wanted), wanted);
    (void)outbox_case_ask("SET GLOBAL sync_binlog = 1");
    wanted = "innodb_doublewrite=OFF";
    assert_string_equal(named(outbox, wanted), wanted);
    outbox->ops->close(outbox);
    mariadb_stop();
    mariadb_start_with(careless);
    outbox = outbox_case_open("1");
    wanted = "log_bin=ON with sync_binlog=0, innodb_flush_method=nosync";
    assert_string_equal(named(outbox, wanted), wanted);
    outbox->ops->close(outbox);
}

static void write_payload(int id, int bytes)
{
    (void)outbox_case_ask(
        test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                    "('order', '%d', 'order.created', '%0*d')",
                    id, bytes, 0));
}

static void a_payload_too_large_is_left_out_and_a_load_is_bounded_in_bytes(void)
{
    struct outbox_row *rows = NULL;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    write_payload(1, OUTBOX_CASE_PAYLOAD_BYTES + 1);
    for (int i = 2; i < 6; i++)
        write_payload(i, OUTBOX_CASE_PAYLOAD_BYTES);
    size_t count = outbox_case_waiting(outbox, &rows); /* the row left out counts 0 bytes */
    assert_null(rows[0].payload.data);
    assert_int_equal(rows[0].left_out_bytes, OUTBOX_CASE_PAYLOAD_BYTES + 1);
    assert_true(slice_is(rows[0].entity_key, "1"));
    assert_int_equal(rows[1].payload.length, OUTBOX_CASE_PAYLOAD_BYTES);
    assert_int_equal(rows[1].left_out_bytes, 0);
    assert_int_equal(count, 4);
    /* Small rows were loaded; now large ones come again. */
    (void)outbox_case_ask("UPDATE outbox SET payload = 'small'");
    assert_int_equal(outbox_case_waiting(outbox, &rows), 5);
    for (int i = 6; i < 11; i++)
        write_payload(i, OUTBOX_CASE_PAYLOAD_BYTES);
    for (int i = 0; i < 2; i++)
        assert_int_equal(outbox_case_waiting(outbox, &rows), 8);
    outbox->ops->close(outbox);
}

/* @return how many rows older than now + older_us were purged. */
static size_t purged(struct outbox *outbox, const struct lease *lease, int64_t older_us,
                     const char *read_topics)
{
    struct error err = ERROR_INIT;
    const struct outbox_purge purge = {
        .before_us = clock_wall_us() + older_us, .read_topics = slice_of(read_topics), .limit = 3};
    size_t count = 0;
    if (outbox->ops->purge(outbox, lease, &purge, &count, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return count;
}

/* Make rows of a topic that the own agent has read from its beginning. None was read back yet. */
static struct outbox *purgeable(struct lease *ret_lease, int count)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    *ret_lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, count);
    outbox_case_claimed(outbox, ret_lease, 0);
    outbox_case_acknowledged(outbox, ret_lease, (uint64_t)count - 1);
    (void)outbox_case_ask(
        "INSERT INTO keepstep_position (topic, \"partition\", next_offset, durable_offset, "
        "epoch, token, updated_at) VALUES ('orders', 1, 0, 0, 1, 't', 0)");
    return outbox;
}

static void the_purge_keeps_what_is_young_unacknowledged_or_not_read_back(void)
{
    static const char read[] = "[\"others\",\"orders\"]";
    struct lease lease;
    struct outbox *outbox = purgeable(&lease, 8);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 0);
    (void)outbox_case_ask(
        "INSERT INTO keepstep_sequence (source, incarnation, topic, \"partition\", base, "
        "last, last_id, digests) SELECT origin, incarnation, 'orders', 1, 1, 5, 'x', '' "
        "FROM keepstep_relay");
    assert_int_equal(purged(outbox, &lease, -OUTBOX_CASE_LEASE_US, read), 0);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 3);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 2);
    assert_string_equal(outbox_case_ask("SELECT sequence FROM outbox ORDER BY 1"), "6\n7\n8\n");
    (void)outbox_case_ask("DELETE FROM keepstep_position");
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 2);
    assert_string_equal(outbox_case_ask("SELECT sequence FROM outbox"), "8\n");
    outbox->ops->close(outbox);
}

/* The last row with a number says where its set ends, and a new incarnation publishes all of it. */
static void the_purge_keeps_a_set_until_its_end_is_acknowledged(void)
{
    for (int applies = 0; applies < 2; applies++) {
        const char *read = applies ? "[\"orders\"]" : "[]";
        struct lease lease;
        (void)remove(test_path("outbox.db")); /* of the round before */
        struct outbox *outbox = purgeable(&lease, 8);
        (void)outbox_case_ask(
            "INSERT INTO keepstep_sequence (source, incarnation, topic, \"partition\", base, "
            "last, last_id, digests) SELECT origin, incarnation, 'orders', 1, 1, 9, 'x', '' "
            "FROM keepstep_relay");
        (void)outbox_case_ask("UPDATE outbox SET changeset_end = CASE WHEN sequence < 5 THEN 4 "
                              "ELSE 9 END WHERE sequence IN (3, 4, 6, 7, 8)");
        assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 3);
        assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 2);
        assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 0);
        assert_string_equal(outbox_case_ask("SELECT sequence FROM outbox ORDER BY 1"), "6\n7\n8\n");
        outbox_case_acknowledged(outbox, &lease, 9);
        assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, read), 3);
        outbox->ops->close(outbox);
    }
}

/** Another session, which has deleted rows and commits late. */
struct deleter {
    struct session *session;
    const char *error;
};

static void *commit_late(void *context)
{
    struct deleter *deleter = context;
    clock_sleep_us(500000);
    deleter->error = session_try(deleter->session, "COMMIT", NULL);
    return NULL;
}

/* The purge finds three rows. Two of them are gone by the time it deletes them. */
static void a_purge_reports_what_it_has_deleted(void)
{
    pthread_t thread;
    struct lease lease;
    struct outbox *outbox = purgeable(&lease, 8);
    struct deleter deleter = {.session = session_open(outbox_case_url)};
    (void)outbox_case_ask("DELETE FROM keepstep_position");
    session_run(deleter.session, "BEGIN", NULL);
    session_run(deleter.session, "DELETE FROM outbox WHERE position IN (1, 3)", NULL);
    assert_int_equal(pthread_create(&thread, NULL, commit_late, &deleter), 0);
    size_t count = purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[]");
    (void)pthread_join(thread, NULL);
    session_close(deleter.session);
    assert_null(deleter.error);
    assert_int_equal(count, 1);
    assert_string_equal(outbox_case_ask("SELECT position FROM outbox ORDER BY 1"),
                        "4\n5\n6\n7\n8\n");
    outbox->ops->close(outbox);
}

static void rows_of_a_topic_that_is_no_longer_applied_are_purged(void)
{
    struct lease lease;
    struct outbox *outbox = purgeable(&lease, 4);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[\"orders\"]"), 0);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[\"orders2\",\"order\"]"), 3);
    assert_string_equal(outbox_case_ask("SELECT sequence FROM outbox"), "4\n");
    outbox_case_write("order", 5, 5);
    outbox_case_claimed(outbox, &lease, 4);
    outbox_case_acknowledged(outbox, &lease, 5);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[]"), 2);
    outbox->ops->close(outbox);
}

static void move_orders(struct outbox *outbox, const struct lease *lease, const char *topic)
{
    struct error err = ERROR_INIT;
    struct outbox_move move = {.entity_type = "order", .topic = topic};
    while (!move.done) {
        if (outbox->ops->move_type(outbox, lease, &move, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
}

/* @return the sequences of a topic's claimed rows, all in partition 1. */
static const char *claimed_of(struct outbox *outbox, const char *topic, uint64_t acknowledged)
{
    struct error err = ERROR_INIT;
    struct outbox_rows loaded = {0};
    struct relay_partition partition = {.partition = 1, .acknowledged_sequence = acknowledged};
    const char *text = "";
    (void)snprintf(partition.topic, sizeof partition.topic, "%s", topic);
    arena_reset(&outbox_case_arena);
    if (outbox->ops->load_claimed(outbox, &partition, &outbox_case_arena, &loaded, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < loaded.count; i++) {
        const struct outbox_row *row = &loaded.rows[i];
        assert_string_equal(row->topic, topic);
        assert_int_equal(row->partition, 1);
        text = test_format("%s%.*s:%d ", text, SLICE_ARGS(row->entity_key), (int)row->sequence);
    }
    return text;
}

static void assert_found(struct outbox *outbox, int position, const char *topic, int sequence)
{
    struct error err = ERROR_INIT;
    struct outbox_row row;
    struct outbox_rows rows = {0};
    const struct outbox_selection all = {.filter = OUTBOX_ALL, .limit = (size_t)position};
    assert_int_equal(outbox->ops->list(outbox, &all, &outbox_case_arena, &rows, &err), STATUS_OK);
    assert_int_equal(rows.rows[position - 1].position, position);
    assert_int_equal(
        outbox->ops->find(outbox, rows.rows[position - 1].id, &outbox_case_arena, &row, &err),
        STATUS_OK);
    assert_string_equal(row.topic, topic);
    assert_int_equal(row.partition, 1);
    assert_int_equal(row.sequence, sequence);
}

static void what_was_numbered_for_a_topic_is_sent_found_and_purged_there(void)
{
    static const char where[] = "SELECT topic, sequence FROM keepstep_relay_moved ORDER BY 1, 2";
    struct error err = ERROR_INIT;
    struct outbox_move move = {.entity_type = "order", .topic = "fresh"};
    struct lease lease;
    struct outbox *outbox = purgeable(&lease, 3); /* 1 and 2 of "orders" are acknowledged */
    struct lease fenced = lease;
    fenced.epoch--;
    assert_int_equal(outbox->ops->move_type(outbox, &fenced, &move, &err), STATUS_ABORT);
    move_orders(outbox, &lease, "orders"); /* no change */
    move_orders(outbox, &lease, "fresh");
    assert_string_equal(outbox_case_ask("SELECT topic FROM keepstep_relay_type"), "fresh\n");
    assert_string_equal(outbox_case_ask(where), "orders|1\norders|2\norders|3\n");
    outbox_case_write("order", 4, 5);
    assert_int_equal(outbox_case_claim_for(outbox, &lease, "fresh", 0, &err), STATUS_OK);
    assert_string_equal(claimed_of(outbox, "orders", 2), "{\"id\":3}:3 ");
    assert_string_equal(claimed_of(outbox, "fresh", 0), "{\"id\":4}:1 {\"id\":5}:2 ");
    assert_found(outbox, 3, "orders", 3);
    assert_found(outbox, 4, "fresh", 1);
    /* The agent still reads "orders". Rows of that topic wait until they are read back, by its own
     * numbers. */
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[\"orders\"]"), 0);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[\"fresh\"]"), 2);
    assert_string_equal(outbox_case_ask(where), "orders|3\n");
    move_orders(outbox, &lease, "orders"); /* and back: each row stays in its topic */
    assert_string_equal(outbox_case_ask(where), "fresh|1\nfresh|2\norders|3\n");
    outbox_case_write("order", 6, 6);
    assert_int_equal(outbox_case_claim_for(outbox, &lease, "orders", 3, &err), STATUS_OK);
    assert_string_equal(claimed_of(outbox, "orders", 2), "{\"id\":3}:3 {\"id\":6}:4 ");
    outbox_case_acknowledged(outbox, &lease, 4);
    assert_int_equal(purged(outbox, &lease, OUTBOX_CASE_LEASE_US, "[]"), 2);
    assert_string_equal(outbox_case_ask(where), "fresh|1\nfresh|2\n");
    outbox->ops->close(outbox);
}

static void how_far_the_log_was_read_is_kept_also_without_an_own_record(void)
{
    struct error err = ERROR_INIT;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    struct lease lease;
    struct outbox *outbox = purgeable(&lease, 2);
    struct lease fenced = lease;
    struct relay_partition read[] = {{.topic = "orders", .partition = 1, .read_offset = 70},
                                     {.topic = "quiet", .partition = 5, .read_offset = 71}};
    fenced.epoch--;
    assert_int_equal(outbox->ops->note_read(outbox, &fenced, read, 2, &err), STATUS_ABORT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(outbox->ops->note_read(outbox, &lease, read, 2, &err), STATUS_OK);
        assert_int_equal(outbox->ops->load_partitions(outbox, &partitions, &count, &err),
                         STATUS_OK);
        assert_int_equal(count, 2);
        assert_int_equal(partitions[0].last_sequence, 2);
        assert_int_equal(partitions[0].read_offset, read[0].read_offset);
        assert_string_equal(partitions[1].topic, "quiet");
        assert_int_equal(partitions[1].partition, 5);
        assert_int_equal(partitions[1].last_sequence, 0);
        assert_int_equal(partitions[1].acknowledged_offset, -1);
        assert_int_equal(partitions[1].read_offset, read[1].read_offset);
        free(partitions);
        read[0].read_offset += 5;
        read[1].read_offset += 5;
    }
    outbox->ops->close(outbox);
}

/* Few rows are written one by one, and many at once. */
static void a_claim_of_any_size_numbers_all_of_its_rows_or_none(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    struct relay_partition partitions[2] = {{.topic = "orders", .last_id = "a"},
                                            {.topic = "orders", .partition = 1, .last_id = "b"}};
    for (int size = 1, last = 0; size <= 5; last += size++) {
        struct error err = ERROR_INIT;
        struct outbox_row *rows = NULL;
        outbox_case_write("order", last + 1, last + size);
        assert_int_equal(outbox_case_waiting(outbox, &rows), size);
        for (int i = 0; i < size; i++) {
            rows[i].topic = "orders";
            rows[i].partition = i % 2;
            rows[i].sequence = ++partitions[i % 2].last_sequence;
        }
        const struct outbox_claim claim = {rows, (size_t)size, partitions, size > 1 ? 2 : 1, NULL};
        (void)outbox_case_ask("UPDATE outbox SET set_aside = 'x' WHERE position = "
                              "(SELECT p FROM (SELECT max(position) AS p FROM outbox) AS m)");
        assert_int_equal(outbox->ops->claim(outbox, &lease, &claim, &err), STATUS_ABORT);
        assert_non_null(strstr(err.text, "were waiting still"));
        error_clear(&err);
        const char *left = outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NULL");
        assert_int_equal(strtol(left, NULL, 10), size);
        (void)outbox_case_ask("UPDATE outbox SET set_aside = NULL WHERE set_aside IS NOT NULL");
        assert_int_equal(outbox->ops->claim(outbox, &lease, &claim, &err), STATUS_OK);
    }
    assert_string_equal(outbox_case_ask("SELECT sequence, count(*) FROM outbox "
                                        "WHERE kafka_partition = 1 GROUP BY 1 ORDER BY 1"),
                        "1|1\n2|1\n3|1\n4|1\n5|1\n6|1\n");
    assert_string_equal(
        outbox_case_ask("SELECT last_id, last_sequence FROM keepstep_relay_partition ORDER BY 1"),
        "a|9\nb|6\n");
    outbox->ops->close(outbox);
}

CASE(a_claim_of_any_size_numbers_all_of_its_rows_or_none)
CASE(how_far_the_log_was_read_is_kept_also_without_an_own_record)
CASE(what_was_numbered_for_a_topic_is_sent_found_and_purged_there)
CASE(a_payload_too_large_is_left_out_and_a_load_is_bounded_in_bytes)
CASE(the_purge_keeps_what_is_young_unacknowledged_or_not_read_back)
CASE(the_purge_keeps_a_set_until_its_end_is_acknowledged)
CASE(a_purge_reports_what_it_has_deleted)
CASE(rows_of_a_topic_that_is_no_longer_applied_are_purged)
CASE_OF(a_mariadb_started_so_that_it_may_lose_commits_is_named, 2, mariadb)
CASE_OF_SERVERS(a_server_that_may_lose_what_it_committed_is_named_with_the_lease)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(a_claim_of_any_size_numbers_all_of_its_rows_or_none),
        ALL(a_payload_too_large_is_left_out_and_a_load_is_bounded_in_bytes),
        ALL(the_purge_keeps_what_is_young_unacknowledged_or_not_read_back),
        ALL(the_purge_keeps_a_set_until_its_end_is_acknowledged),
        ALL(a_purge_reports_what_it_has_deleted),
        ALL(rows_of_a_topic_that_is_no_longer_applied_are_purged),
        ALL(how_far_the_log_was_read_is_kept_also_without_an_own_record),
        ALL(what_was_numbered_for_a_topic_is_sent_found_and_purged_there),
        SERVERS(a_server_that_may_lose_what_it_committed_is_named_with_the_lease),
        TEST_WITH_LIMIT(a_mariadb_started_so_that_it_may_lose_commits_is_named_mariadb, 90),
    };
    return TEST_RUN(tests);
}
