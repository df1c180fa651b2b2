/* The agent and change sets that it does not keep in memory (rule 58), on librdkafka's mock
 * cluster: one is applied in parts of one transaction, or not at all. labels: threads */
#include "tests/support/agent_world.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS      200
#define BATCH     10
#define LIMIT_MS  60000
#define DISTINCT  "SELECT count(DISTINCT a) FROM orders"
#define VALUES    "SELECT DISTINCT a FROM orders"
#define POSITIONS "SELECT partition, next_offset FROM keepstep_position ORDER BY partition"
#define STOPPED   "SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%%%s%%'"
#define RESUME    "UPDATE keepstep_position SET revision = revision + 1, stopped = ''"

static struct agent_world world;
static int sent[AGENT_WORLD_PARTITIONS];
static bool has_one_partition;

static void begin(int partitions)
{
    sent[0] = sent[1] = 0;
    has_one_partition = partitions == 1;
    agent_world_make(&world, partitions);
    world.config.limits.batch_events = BATCH;
    world.config.limits.changeset_events = 2 * BATCH;
}

static void finish(void)
{
    agent_world_end(&world);
    agent_world_done(&world);
}

static void wait_for(const char *sql, const char *expected)
{
    if (!sqlite_wait_for(world.database, sql, expected, LIMIT_MS))
        test_fail("%s: '%s' and not '%s'", sql, sqlite_text(world.database, sql), expected);
}

/** Send `count` records of the next set, of which `sent_before` are sent; it has `size` in all. Of
 * two partitions they change one row, whose key belongs there. */
static void send_part(int sent_before, int count, int size, const char *text)
{
    int end = sent[0] - sent_before + size;
    for (int i = 0; i < count; i++)
        agent_world_send(&world, &(struct agent_world_event){
                                     .sequence = ++sent[0],
                                     .text = text,
                                     .id = has_one_partition ? 1 + (sent_before + i) % ROWS : 0,
                                     .changeset_end = end});
}

/** Looks at the copy all the time. */
struct reader_thread {
    pthread_t thread;
    atomic_bool stop;
    atomic_int looks;
    atomic_int parts; /* how often it saw a part of a set */
};

static void *look(void *context)
{
    struct reader_thread *reader = context;
    sqlite3 *session = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(world.database, &session), SQLITE_OK);
    while (!atomic_load(&reader->stop)) {
        if (sqlite3_prepare_v2(session, DISTINCT, -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW) {
            if (sqlite3_column_int(statement, 0) > 1)
                atomic_fetch_add(&reader->parts, 1);
            atomic_fetch_add(&reader->looks, 1);
        }
        (void)sqlite3_finalize(statement);
        statement = NULL;
    }
    (void)sqlite3_close(session);
    return NULL;
}

static void nobody_sees_a_part_of_a_set_that_is_written_in_parts(void **state)
{
    struct reader_thread reader = {.looks = 0};
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    assert_int_equal(pthread_create(&reader.thread, NULL, look, &reader), 0);
    for (int i = 1; i <= 5; i++)
        send_part(0, ROWS, ROWS, test_format("%d", i));
    send_part(0, 2 * ROWS + 1, 2 * ROWS + 1, "last");
    wait_for(VALUES, "last\n");
    atomic_store(&reader.stop, true);
    assert_int_equal(pthread_join(reader.thread, NULL), 0);
    assert_int_equal(atomic_load(&reader.parts), 0);
    assert_true(atomic_load(&reader.looks) > 20);
    wait_for("SELECT next_offset FROM keepstep_position", test_format("%d\n", 8 * ROWS + 1));
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->changesets_applied), 7);
    assert_int_equal(atomic_load(&world.metrics->events_applied), 8 * ROWS + 1);
    assert_int_equal(atomic_load(&world.metrics->events_duplicate), 0);
    agent_world_done(&world);
}

/* They are read in one batch with it. */
static void what_stands_in_front_of_a_large_set_is_applied_before_it(void **state)
{
    (void)state;
    begin(1);
    for (int i = 0; i < BATCH - 3; i++)
        send_part(0, 1, 1, "first");
    send_part(0, 2, 2, "first");
    send_part(0, ROWS, ROWS, "1");
    for (int i = 0; i < BATCH - 3; i++)
        send_part(0, 1, 1, "between");
    send_part(0, ROWS, ROWS, "2");
    agent_world_start(&world);
    wait_for("SELECT next_offset FROM keepstep_position",
             test_format("%d\n", 2 * ROWS + 2 * (BATCH - 3) + 2));
    wait_for(VALUES, "2\n");
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->events_applied), 2 * ROWS + 2 * (BATCH - 3) + 2);
    assert_int_equal(atomic_load(&world.metrics->events_duplicate), 0);
    assert_int_equal(sqlite_number(world.database, "SELECT count(*) FROM keepstep_parked"), 0);
    agent_world_done(&world);
}

/* A command, a restart and a takeover between its records, while the other partition goes on. */
static void a_large_set_whose_end_does_not_come_holds_up_nothing_else(void **state)
{
    (void)state;
    begin(2);
    send_part(0, 50, ROWS, "1");
    agent_world_start(&world);
    agent_world_expect_open(&world, 50);
    for (int i = 0; i < 3 * BATCH; i++)
        agent_world_send(&world, &(struct agent_world_event){
                                     .partition = 1, .sequence = ++sent[1], .text = "other"});
    wait_for(POSITIONS, "0|0\n1|30\n");
    wait_for(VALUES, "other\n");
    (void)sqlite_text(world.database, RESUME " WHERE partition = 0");
    send_part(50, 30, ROWS, "1");
    agent_world_expect_open(&world, 80);
    agent_world_end(&world);
    agent_world_start(&world);
    agent_world_expect_open(&world, 80);
    (void)sqlite_text(world.database, "UPDATE keepstep_position SET epoch = epoch + 1");
    send_part(80, ROWS - 80, ROWS, "1");
    wait_for(POSITIONS, test_format("0|%d\n1|30\n", ROWS));
    wait_for("SELECT count(*) FROM orders WHERE a = '1'", "1\n");
    agent_world_expect_open(&world, 0);
    finish();
}

static void
a_large_set_that_is_refused_stops_its_partition_and_is_written_when_that_is_mended(void **state)
{
    (void)state;
    begin(1);
    send_part(0, BATCH, BATCH, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    (void)sqlite_text(world.database,
                      "CREATE TRIGGER refuse BEFORE INSERT ON orders WHEN NEW.id = 150"
                      " BEGIN SELECT RAISE(ABORT, 'not this one'); END");
    send_part(0, ROWS, ROWS, "1");
    wait_for(test_format(STOPPED, "change 150 of 200 of its transaction%not this one"), "10\n");
    wait_for(test_format(STOPPED, "limits.changeset_events"), "10\n");
    wait_for(VALUES, "0\n");
    assert_int_equal(sqlite_number(world.database, "SELECT count(*) FROM keepstep_parked"), 0);
    (void)sqlite_text(world.database, "DROP TRIGGER refuse");
    (void)sqlite_text(world.database, RESUME);
    wait_for(VALUES, "1\n");
    finish();
}

static void stop_by(const struct agent_world_event *event, const char *why)
{
    begin(1);
    send_part(0, BATCH, BATCH, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    send_part(0, 30, ROWS, "1");
    agent_world_expect_open(&world, 30);
    sent[0] = event->sequence - 1;
    agent_world_send(&world, event);
    wait_for(test_format(STOPPED, why), "10\n");
    wait_for(VALUES, "0\n");
    finish();
}

static void what_stops_a_partition_in_a_large_set_is_told_before_its_end_comes(void **state)
{
    int end = BATCH + ROWS;
    (void)state;
    stop_by(&(struct agent_world_event){.sequence = 42, .text = "1", .changeset_end = end}, "gap");
    stop_by(
        &(struct agent_world_event){
            .sequence = 41, .text = "1", .changeset_end = end, .is_fork = true},
        "fork");
    stop_by(
        &(struct agent_world_event){
            .sequence = 41, .text = "1", .changeset_end = end, .type = "parcel"},
        "parcel");
    stop_by(&(struct agent_world_event){.sequence = 41, .text = "1", .changeset_end = end + 1},
            "ce_changeset");
}

/* The second reading finds nothing of it: the transaction does not wait for that. */
static void a_broker_that_is_gone_at_the_second_reading_leaves_no_transaction_open(void **state)
{
    (void)state;
    begin(1);
    send_part(0, BATCH, BATCH, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    send_part(0, ROWS - 1, ROWS, "1");
    agent_world_expect_open(&world, ROWS - 1);
    send_part(ROWS - 1, 1, ROWS, "1");
    (void)rd_kafka_mock_broker_set_down(world.cluster, 1);
    (void)usleep(1000000);
    (void)rd_kafka_mock_broker_set_up(world.cluster, 1);
    wait_for(VALUES, "1\n");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(nobody_sees_a_part_of_a_set_that_is_written_in_parts, 120),
        TEST_WITH_LIMIT(what_stands_in_front_of_a_large_set_is_applied_before_it, 120),
        TEST_WITH_LIMIT(a_large_set_whose_end_does_not_come_holds_up_nothing_else, 180),
        TEST_WITH_LIMIT(
            a_large_set_that_is_refused_stops_its_partition_and_is_written_when_that_is_mended,
            180),
        TEST_WITH_LIMIT(what_stops_a_partition_in_a_large_set_is_told_before_its_end_comes, 180),
        TEST_WITH_LIMIT(a_broker_that_is_gone_at_the_second_reading_leaves_no_transaction_open,
                        120),
    };
    return TEST_RUN(tests);
}
