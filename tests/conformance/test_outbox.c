/* The contract of the outbox (outbox.h). Every back end keeps it with the rights of a relay's
 * role. */
#include "tests/support/outbox_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/mariadb.h"

#include "common/clock.h"
#include "common/wakeup.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_US 60000000
#define SOON_US 30000000 /* what is waited for comes before that limit */

static void a_lease_is_taken_kept_released_and_fences(void)
{
    struct error err = ERROR_INIT;
    struct lease other;
    outbox_case_make();
    struct outbox *one = outbox_case_open("1");
    struct outbox *two = outbox_case_open("2");
    struct lease first = outbox_case_lease(one);
    assert_string_equal(first.origin, "shop");
    assert_int_equal(strlen(first.incarnation), 36);
    assert_int_equal(two->ops->take_lease(two, OUTBOX_CASE_LEASE_US, &other, &err), STATUS_ABORT);
    assert_non_null(strstr(err.text, "instance 1"));
    struct lease again = outbox_case_lease(one);
    assert_int_equal(again.epoch, first.epoch + 1);
    /* This is all that a relay learns about another one of its name. */
    assert_int_equal(two->ops->read_lease(two, &other, &err), STATUS_OK);
    assert_string_equal(other.holder, "1");
    assert_int_equal(other.epoch, again.epoch);
    assert_int_equal(other.until_us, again.until_us);
    error_clear(&err);
    assert_int_equal(one->ops->acknowledge(one, &first, NULL, 0, &err), STATUS_ABORT);
    error_clear(&err);
    assert_int_equal(one->ops->release_lease(one, &first, &err), STATUS_OK);
    assert_int_equal(two->ops->take_lease(two, OUTBOX_CASE_LEASE_US, &other, &err), STATUS_ABORT);
    error_clear(&err);
    assert_int_equal(one->ops->release_lease(one, &again, &err), STATUS_OK);
    assert_int_equal(two->ops->take_lease(two, OUTBOX_CASE_LEASE_US, &other, &err), STATUS_OK);
    assert_int_equal(one->ops->read_lease(one, &first, &err), STATUS_OK);
    assert_string_equal(first.holder, "2");
    assert_int_equal(first.epoch, other.epoch);
    one->ops->close(one);
    two->ops->close(two);
}

static void rows_are_claimed_with_key_sequence_and_predecessor(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows loaded = {0};
    struct outbox_row *rows = NULL;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 3);
    outbox_case_write("a\"b\\,{}", 4, 4);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 4);
    assert_true(slice_is(rows[0].entity_key, "{\"id\":1}"));
    assert_true(slice_is(rows[3].entity_type, "a\"b\\,{}"));
    assert_true(slice_is(rows[0].payload, "{\"op\":\"c\"}"));
    int64_t created = 0;
    assert_true(clock_parse_rfc3339(rows[0].created_at.data, rows[0].created_at.length, &created));
    assert_int_equal(rows[0].created_at.length, 27);
    assert_true(clock_wall_us() - created < OUTBOX_CASE_LEASE_US);
    assert_null(rows[0].traceparent.data);
    outbox_case_claimed(outbox, &lease, 0);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 0);
    assert_int_equal(outbox->ops->load_partitions(outbox, &partitions, &count, &err), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(partitions[0].last_sequence, 4);
    assert_int_equal(partitions[0].acknowledged_offset, -1);
    assert_int_equal(
        outbox->ops->load_claimed(outbox, &partitions[0], &outbox_case_arena, &loaded, &err),
        STATUS_OK);
    assert_int_equal(loaded.count, 4);
    assert_int_equal(loaded.rows[3].sequence, 4);
    assert_true(slice_equal(loaded.rows[3].previous_id, loaded.rows[2].id));
    assert_int_equal(loaded.rows[0].previous_id.length, 0);
    assert_true(slice_is(loaded.rows[3].id, partitions[0].last_id));
    partitions[0].acknowledged_sequence = 2;
    memcpy(partitions[0].acknowledged_id, "id-2", sizeof "id-2");
    assert_int_equal(
        outbox->ops->load_claimed(outbox, &partitions[0], &outbox_case_arena, &loaded, &err),
        STATUS_OK);
    assert_int_equal(loaded.count, 2);
    assert_true(slice_is(loaded.rows[0].previous_id, "id-2"));
    free(partitions);
    assert_string_equal(
        outbox_case_ask("SELECT entity_type, topic FROM keepstep_relay_type ORDER BY 1 DESC"),
        "order|orders\na\"b\\,{}|orders\n");
    outbox->ops->close(outbox);
}

static void a_fenced_claim_changes_nothing_and_no_row_is_claimed_twice(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease old = outbox_case_lease(outbox);
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    assert_int_equal(outbox_case_claim(outbox, &old, 0, &err), STATUS_ABORT);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 2);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM keepstep_relay_partition"), "0\n");
    rows[0].topic = rows[1].topic = "orders";
    rows[0].sequence = 1;
    rows[1].sequence = 2;
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'x' WHERE aggregateid = '{\"id\":2}'");
    error_clear(&err);
    assert_int_equal(
        outbox->ops->claim(outbox, &lease, &(struct outbox_claim){rows, 2, NULL, 0, NULL}, &err),
        STATUS_ABORT);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NOT NULL"),
                        "0\n");
    outbox->ops->close(outbox);
}

static void a_row_set_aside_blocks_its_entity_until_it_is_released(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    struct outbox_counts counts;
    struct outbox_rows listed = {0};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    outbox_case_write("order", 1, 1);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 3);
    int64_t position = rows[0].position;
    const struct outbox_set set = {.rows = &rows[0], .count = 1, .reason = "too \"long\""};
    bool done = false;
    assert_int_equal(outbox->ops->set_aside(outbox, &lease, &set, &done, &err), STATUS_OK);
    assert_true(done);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 1);
    assert_true(slice_is(rows[0].entity_key, "{\"id\":2}"));
    assert_int_equal(outbox->ops->count(outbox, &counts, &err), STATUS_OK);
    assert_int_equal(counts.waiting, 2);
    assert_int_equal(counts.set_aside, 1);
    assert_true(clock_wall_us() - counts.oldest_waiting_us < OUTBOX_CASE_LEASE_US);
    assert_int_equal(outbox->ops->list(outbox,
                                       &(struct outbox_selection){.filter = OUTBOX_SET_ASIDE},
                                       &outbox_case_arena, &listed, &err),
                     STATUS_OK);
    assert_int_equal(listed.count, 1);
    assert_true(slice_is(listed.rows[0].set_aside, "too \"long\""));
    assert_int_equal(outbox->ops->resolve_set_aside(outbox, position, OUTBOX_RETRY, &err),
                     STATUS_OK);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 3);
    assert_int_equal(outbox->ops->resolve_set_aside(outbox, position, OUTBOX_DROP, &err),
                     STATUS_REJECT);
    outbox->ops->close(outbox);
}

static int64_t oldest_claimed_us(struct outbox *outbox)
{
    struct error err = ERROR_INIT;
    struct outbox_counts counts = {0};
    if (outbox->ops->count(outbox, &counts, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return counts.oldest_claimed_us;
}

static void the_oldest_row_under_way_is_told_until_it_is_acknowledged(void)
{
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    (void)outbox_case_ask("DELETE FROM keepstep_relay_type");
    (void)outbox_case_ask("INSERT INTO keepstep_relay_type VALUES ('order', 'orders')");
    outbox_case_write("order", 1, 1);
    assert_int_equal(oldest_claimed_us(outbox), 0); /* it waits */
    outbox_case_claimed(outbox, &lease, 0);
    int64_t first_us = oldest_claimed_us(outbox);
    assert_true(first_us > 0 && clock_wall_us() - first_us < OUTBOX_CASE_LEASE_US);
    clock_sleep_us(2000); /* SQLite's times are milliseconds */
    outbox_case_write("order", 2, 2);
    outbox_case_claimed(outbox, &lease, 1);
    assert_true(oldest_claimed_us(outbox) == first_us);
    outbox_case_acknowledged(outbox, &lease, 1);
    assert_true(oldest_claimed_us(outbox) > first_us);
    outbox_case_acknowledged(outbox, &lease, 2);
    assert_int_equal(oldest_claimed_us(outbox), 0);
    outbox->ops->close(outbox);
}

/* The letters are random, so that no index page can compress them. */
static void a_row_of_a_long_key_can_be_set_aside_and_blocks_its_entity(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    char key[8001];
    uint32_t number = 1;
    for (size_t i = 0; i < sizeof key - 1; i++) {
        number = number * 1664525U + 1013904223U;
        key[i] = (char)('0' + (number >> 24) % 64);
        key[i] = key[i] == '\\' ? 'z' : key[i];
    }
    key[sizeof key - 1] = '\0';
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    for (int i = 0; i < 2; i++)
        (void)outbox_case_ask(
            test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                        "VALUES ('order', '%s', 'order.created', '{}')",
                        key));
    outbox_case_write("order", 1, 1);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 3);
    const struct outbox_set set = {.rows = &rows[0], .count = 1, .reason = "no JSON"};
    bool done = false;
    if (outbox->ops->set_aside(outbox, &lease, &set, &done, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 1);
    assert_true(slice_is(rows[0].entity_key, "{\"id\":1}"));
    outbox->ops->close(outbox);
}

static void keys_are_written_and_rows_found_by_their_id(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    struct outbox_row row;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 1);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 1);
    rows[0].entity_key = slice_of("{\"id\":\"a\\\"\"}");
    rows[0].rekeyed = true;
    assert_int_equal(outbox->ops->write_keys(outbox, &lease, rows, 1, &err), STATUS_OK);
    struct slice id = rows[0].id;
    assert_int_equal(outbox->ops->find(outbox, id, &outbox_case_arena, &row, &err), STATUS_OK);
    assert_true(slice_is(row.entity_key, "{\"id\":\"a\\\"\"}"));
    assert_int_equal(outbox->ops->find(outbox, slice_of("nobody"), &outbox_case_arena, &row, &err),
                     STATUS_OK);
    assert_int_equal(row.position, 0);
    rows[0].position++; /* is not there */
    assert_int_equal(outbox->ops->write_keys(outbox, &lease, rows, 1, &err), STATUS_ABORT);
    assert_string_equal(err.text, "the key of an outbox row was not written");
    outbox->ops->close(outbox);
}

static void a_claim_stores_the_key_that_the_relay_made_canonical(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    const struct relay_partition partition = {
        .topic = "orders", .partition = 1, .last_sequence = 2};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    assert_int_equal(outbox_case_waiting(outbox, &rows), 2);
    for (size_t i = 0; i < 2; i++) {
        rows[i].topic = "orders";
        rows[i].partition = 1;
        rows[i].sequence = i + 1;
    }
    rows[1].entity_key = slice_of("{\"id\":\"two\"}");
    rows[1].rekeyed = true;
    if (outbox->ops->claim(outbox, &lease, &(struct outbox_claim){rows, 2, &partition, 1, NULL},
                           &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(
        outbox_case_ask(
            "SELECT aggregateid, kafka_partition, sequence FROM outbox ORDER BY position"),
        "{\"id\":1}|1|1\n{\"id\":\"two\"}|1|2\n");
    outbox->ops->close(outbox);
}

static void *write_soon(void *context)
{
    (void)context;
    clock_sleep_us(300000);
    outbox_case_write("order", 1, 1);
    return NULL;
}

/* Wait as a relay does until a row is there. @return how long that took. */
static int64_t wait_for_row(struct outbox *outbox)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    int64_t start = clock_monotonic_us();
    while (clock_monotonic_us() - start < SOON_US) {
        bool changed = false;
        assert_int_equal(
            outbox->ops->wait(outbox, &(struct outbox_wait){WAIT_US, -1}, &changed, &err),
            STATUS_OK);
        if (changed && outbox_case_waiting(outbox, &rows) > 0)
            break;
    }
    return clock_monotonic_us() - start;
}

static void waiting_ends_soon_after_a_commit(void)
{
    pthread_t thread;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    assert_int_equal(pthread_create(&thread, NULL, write_soon, NULL), 0);
    int64_t took = wait_for_row(outbox);
    (void)pthread_join(thread, NULL);
    print_message("%s: seen %lld ms after the write began\n", outbox_case_product->name,
                  (long long)took / 1000 - 300);
    assert_true(took < SOON_US);
    outbox->ops->close(outbox);
}

/* Wait and poll as an idle relay does. @return how often it polled. */
static int64_t idle_polls(struct outbox *outbox, int64_t during_us)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    int64_t polls = 0;
    int64_t until = clock_monotonic_us() + during_us;
    while (clock_monotonic_us() < until) {
        bool changed = false;
        assert_int_equal(
            outbox->ops->wait(outbox, &(struct outbox_wait){100000, -1}, &changed, &err),
            STATUS_OK);
        if (changed) {
            polls++;
            assert_int_equal(outbox_case_waiting(outbox, &rows), 0);
        }
    }
    return polls;
}

/* Whatever the outbox is doing: looking often, or asleep until it is notified. */
static void waiting_ends_once_the_descriptor_is_readable(void)
{
    struct error err = ERROR_INIT;
    int wakeup = -1;
    bool changed = false;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    assert_int_equal(wakeup_open(&wakeup, &err), STATUS_OK);
    (void)idle_polls(outbox, 1000000); /* by now nothing has changed for a while */
    wakeup_raise(wakeup);
    const struct outbox_wait wait = {.timeout_us = WAIT_US, .descriptor = wakeup};
    int64_t start = clock_monotonic_us();
    assert_int_equal(outbox->ops->wait(outbox, &wait, &changed, &err), STATUS_OK);
    assert_true(clock_monotonic_us() - start < SOON_US);
    wakeup_clear(wakeup);
    const struct outbox_wait cleared = {.timeout_us = 200000, .descriptor = wakeup};
    do {
        start = clock_monotonic_us();
        assert_int_equal(outbox->ops->wait(outbox, &cleared, &changed, &err), STATUS_OK);
    } while (changed);
    assert_true(clock_monotonic_us() - start >= 190000);
    (void)close(wakeup);
    outbox->ops->close(outbox);
}

struct stranger {
    const char *sql;
    bool repeats;
    atomic_bool stop;
};

/* A session of any login. It keeps its lock until the end. */
static void *disturb(void *context)
{
    struct stranger *stranger = context;
    PGconn *connection = PQconnectdb(outbox_case_url);
    PQclear(PQexec(connection, stranger->sql));
    while (!atomic_load(&stranger->stop)) {
        clock_sleep_us(500);
        if (stranger->repeats)
            PQclear(PQexec(connection, stranger->sql));
    }
    PQfinish(connection);
    return NULL;
}

static int64_t transactions(void)
{
    clock_sleep_us(1200000); /* statistics arrive within a second */
    return strtoll(outbox_case_ask("SELECT xact_commit + xact_rollback FROM pg_stat_database "
                                   "WHERE datname = current_database()"),
                   NULL, 10);
}

/* Any login may take advisory locks and send notices. The relay's own dead session may hold the
 * lock too, until its backend ends. */
static void an_idle_relay_polls_seldom_whatever_others_lock_or_notify(void)
{
    static const char *const disturbances[] = {
        "SELECT pg_advisory_lock(1264941907, 'outbox'::regclass::integer)",
        "SELECT pg_advisory_lock_shared(1264941907, 'outbox'::regclass::integer)",
        "NOTIFY keepstep_outbox"};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    for (size_t i = 0; i < sizeof disturbances / sizeof *disturbances; i++) {
        bool notifies = strstr(disturbances[i], "NOTIFY") != NULL;
        struct stranger stranger = {.sql = disturbances[i], .repeats = notifies};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, disturb, &stranger), 0);
        clock_sleep_us(100000);
        (void)idle_polls(outbox, 1000000);
        int64_t before = transactions();
        int64_t polls = idle_polls(outbox, 2000000);
        int64_t asked = notifies ? 0 : transactions() - before; /* a notice is a transaction too */
        print_message("%s: %lld polls and %lld transactions in two seconds\n", disturbances[i],
                      (long long)polls, (long long)asked);
        assert_true(polls <= 40);
        assert_true(asked <= 200);
        /* New rows are found all the same. */
        outbox_case_write("order", (int)i + 1, (int)i + 1);
        assert_true(wait_for_row(outbox) < SOON_US);
        (void)outbox_case_ask("DELETE FROM outbox");
        atomic_store(&stranger.stop, true);
        (void)pthread_join(thread, NULL);
    }
    outbox->ops->close(outbox);
}

static void *commit_soon(void *context)
{
    clock_sleep_us(300000);
    PQclear(PQexec(context, "COMMIT"));
    return NULL;
}

/* A row that was written while the relay was awake gives no notice, however late its commit is. Its
 * transaction is the newest of the server: no later one has ended when the relay falls asleep. */
static void a_commit_of_what_was_written_before_the_relay_slept_is_found_soon(void)
{
    pthread_t thread;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    PGconn *writer = PQconnectdb(outbox_case_url);
    PQclear(PQexec(writer, "BEGIN; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                           "VALUES ('order', '{\"id\":1}', 'order.created', '{}')"));
    assert_int_equal(PQtransactionStatus(writer), PQTRANS_INTRANS);
    (void)idle_polls(outbox, 100000);
    assert_int_equal(pthread_create(&thread, NULL, commit_soon, writer), 0);
    int64_t took = wait_for_row(outbox);
    (void)pthread_join(thread, NULL);
    PQfinish(writer);
    assert_true(took < SOON_US);
    outbox->ops->close(outbox);
}

static void a_database_without_an_outbox_names_init(void)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    outbox_case_make_empty();
    (void)outbox_case_ask("CREATE TABLE x (x integer PRIMARY KEY)");
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "keepstep init"));
}

static void an_outbox_that_an_older_version_made_names_init(void)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    struct relay_partition *partitions = NULL;
    size_t count = 0;
    outbox_case_make();
    (void)outbox_case_ask("DROP TABLE keepstep_relay_read");
    enum status status = outbox_case_open_as("1", &outbox, &err);
    if (status == STATUS_OK) {
        status = outbox->ops->load_partitions(outbox, &partitions, &count, &err);
        outbox->ops->close(outbox);
    }
    assert_int_equal(status, STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "run `keepstep init`"));
}

static void a_lost_session_is_opened_again_by_the_next_call(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 1);
    outbox_case_product->kill(outbox_case_url);
    assert_int_equal(
        outbox->ops->load_waiting(outbox, &outbox_case_extent, &outbox_case_arena, &rows, &err),
        STATUS_RETRY);
    assert_true(err.connection_lost);
    error_clear(&err);
    /* Nothing is changed before the relay has compared the database with what it remembers. */
    assert_int_equal(outbox_case_claim(outbox, &lease, 0, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, OUTBOX_NEW_SESSION));
    error_clear(&err);
    lease.session = outbox->session;
    outbox_case_claimed(outbox, &lease, 0);
    outbox_case_product->kill(outbox_case_url);
    assert_int_equal(outbox->ops->acknowledge(outbox, &lease, NULL, 0, &err), STATUS_RETRY);
    error_clear(&err);
    assert_int_equal(outbox->ops->acknowledge(outbox, &lease, NULL, 0, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, OUTBOX_NEW_SESSION));
    lease.session = outbox->session;
    outbox_case_acknowledged(outbox, &lease, 1);
    bool changed = false;
    outbox_case_product->kill(outbox_case_url);
    error_clear(&err);
    int64_t start = clock_monotonic_us();
    enum status status = STATUS_OK;
    while (status == STATUS_OK && clock_monotonic_us() - start < OUTBOX_CASE_LEASE_US)
        status = outbox->ops->wait(outbox, &(struct outbox_wait){100000, -1}, &changed, &err);
    assert_int_equal(status, STATUS_RETRY);
    error_clear(&err);
    outbox_case_write("order", 2, 2);
    assert_true(wait_for_row(outbox) < SOON_US);
    outbox->ops->close(outbox);
}

CASE(a_lease_is_taken_kept_released_and_fences)
CASE(rows_are_claimed_with_key_sequence_and_predecessor)
CASE(a_fenced_claim_changes_nothing_and_no_row_is_claimed_twice)
CASE(a_row_set_aside_blocks_its_entity_until_it_is_released)
CASE(the_oldest_row_under_way_is_told_until_it_is_acknowledged)
CASE(a_row_of_a_long_key_can_be_set_aside_and_blocks_its_entity)
CASE(keys_are_written_and_rows_found_by_their_id)
CASE(a_claim_stores_the_key_that_the_relay_made_canonical)
CASE(waiting_ends_soon_after_a_commit)
CASE(waiting_ends_once_the_descriptor_is_readable)
CASE_OF(an_idle_relay_polls_seldom_whatever_others_lock_or_notify, 1, postgresql)
CASE_OF(a_commit_of_what_was_written_before_the_relay_slept_is_found_soon, 1, postgresql)
CASE(a_database_without_an_outbox_names_init)
CASE(an_outbox_that_an_older_version_made_names_init)
CASE_OF_SERVERS(a_lost_session_is_opened_again_by_the_next_call)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(a_lease_is_taken_kept_released_and_fences),
        ALL(rows_are_claimed_with_key_sequence_and_predecessor),
        ALL(a_fenced_claim_changes_nothing_and_no_row_is_claimed_twice),
        ALL(a_row_set_aside_blocks_its_entity_until_it_is_released),
        ALL(the_oldest_row_under_way_is_told_until_it_is_acknowledged),
        ALL(a_row_of_a_long_key_can_be_set_aside_and_blocks_its_entity),
        ALL(keys_are_written_and_rows_found_by_their_id),
        ALL(a_claim_stores_the_key_that_the_relay_made_canonical),
        ALL(waiting_ends_soon_after_a_commit),
        ALL(waiting_ends_once_the_descriptor_is_readable),
        TEST_WITH_LIMIT(an_idle_relay_polls_seldom_whatever_others_lock_or_notify_postgresql, 90),
        TEST(a_commit_of_what_was_written_before_the_relay_slept_is_found_soon_postgresql),
        ALL(a_database_without_an_outbox_names_init),
        ALL(an_outbox_that_an_older_version_made_names_init),
        SERVERS(a_lost_session_is_opened_again_by_the_next_call),
    };
    return TEST_RUN(tests);
}
