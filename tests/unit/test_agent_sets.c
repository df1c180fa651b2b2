/* The agent and change sets, on librdkafka's mock cluster: nobody sees a part of one, and one whose
 * end does not come holds up nothing else (rule 55). labels: threads */
#include "tests/support/agent_world.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS      25
#define BATCH     10
#define LIMIT_MS  60000
#define LARGE     900000
#define MANY      8000
#define LOOKS     200 /* at a copy that must not change, 1 ms apart */
#define DISTINCT  "SELECT count(DISTINCT a) FROM orders"
#define VALUES    "SELECT DISTINCT a FROM orders"
#define POSITIONS "SELECT partition, next_offset FROM keepstep_position ORDER BY partition"

static struct agent_world world;
static int sent[AGENT_WORLD_PARTITIONS];

static void begin(int partitions)
{
    sent[0] = sent[1] = 0;
    agent_world_make(&world, partitions);
    world.config.limits.batch_events = BATCH;
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

/** Send `count` records of the next set, of which `sent_before` are sent; it has `size` in all. */
static void send_part(int sent_before, int count, int size, const char *text)
{
    int end = sent[0] - sent_before + size;
    for (int i = 0; i < count; i++)
        agent_world_send(&world, &(struct agent_world_event){.sequence = ++sent[0],
                                                             .text = text,
                                                             .id = 1 + (sent_before + i) % ROWS,
                                                             .changeset_end = size > 1 ? end : 0});
}

static void send_alone(int partition, const char *text)
{
    agent_world_send(&world, &(struct agent_world_event){.partition = partition,
                                                         .sequence = ++sent[partition],
                                                         .text = text});
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

static void nobody_sees_a_part_of_a_set_that_is_larger_than_a_batch(void **state)
{
    struct reader_thread reader = {.looks = 0};
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    assert_int_equal(pthread_create(&reader.thread, NULL, look, &reader), 0);
    for (int i = 1; i <= 20; i++)
        send_part(0, ROWS, ROWS, test_format("%d", i));
    send_part(0, 2 * ROWS + 1, 2 * ROWS + 1, "last");
    wait_for(VALUES, "last\n");
    atomic_store(&reader.stop, true);
    assert_int_equal(pthread_join(reader.thread, NULL), 0);
    assert_int_equal(atomic_load(&reader.parts), 0);
    assert_true(atomic_load(&reader.looks) > 20);
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->changesets_applied), 22);
    agent_world_done(&world);
}

/* So that the test above can fail. */
static void without_the_header_parts_are_seen(void **state)
{
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    for (int i = 0; i < BATCH; i++)
        agent_world_send(
            &world, &(struct agent_world_event){.sequence = ++sent[0], .text = "1", .id = 1 + i});
    wait_for(DISTINCT, "2\n");
    finish();
}

/** The copy's database has no transaction under way: a writer does not wait for a moment. */
static void assert_no_transaction(void)
{
    sqlite3 *session = NULL;
    int refused = 0;
    assert_int_equal(sqlite3_open(world.database, &session), SQLITE_OK);
    for (int i = 0; i < LOOKS; i++) {
        refused += sqlite3_exec(session, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL) !=
                   SQLITE_OK;
        (void)usleep(1000);
    }
    (void)sqlite3_close(session);
    if (refused > LOOKS / 10) /* the agent looks after fills and pauses */
        test_fail("a transaction was under way at %d of %d looks", refused, LOOKS);
}

static void a_set_whose_end_does_not_come_holds_up_nothing_else(void **state)
{
    (void)state;
    begin(2);
    send_alone(0, "old");
    send_alone(1, "old");
    agent_world_start(&world);
    wait_for(DISTINCT, "1\n");
    sent[0] = 1;
    for (int i = 0; i < 2; i++)
        agent_world_send(&world, &(struct agent_world_event){
                                     .sequence = ++sent[0], .text = "new", .changeset_end = 4});
    agent_world_expect_open(&world, 2);
    assert_int_equal(atomic_load(&world.metrics->partitions[0].set_size), 3);
    for (int i = 0; i < 3 * BATCH; i++)
        send_alone(1, test_format("%d", i));
    wait_for(POSITIONS, "0|1\n1|31\n");
    wait_for(VALUES, world.keys[0] < world.keys[1] ? "old\n29\n" : "29\nold\n");
    assert_no_transaction();
    wait_for(POSITIONS, "0|1\n1|31\n");
    agent_world_send(&world, &(struct agent_world_event){
                                 .sequence = ++sent[0], .text = "new", .changeset_end = 4});
    wait_for(POSITIONS, "0|4\n1|31\n");
    wait_for("SELECT count(*) FROM orders WHERE a = 'new'", "1\n");
    agent_world_expect_open(&world, 0);
    finish();
}

static void an_open_set_outlives_a_restart_a_command_a_pause_and_a_takeover(void **state)
{
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    send_part(0, 2, ROWS, "1");
    agent_world_expect_open(&world, 2);
    agent_world_end(&world);
    wait_for(VALUES, "0\n");
    agent_world_start(&world);
    send_part(2, 10, ROWS, "1");
    agent_world_expect_open(&world, 12);
    (void)sqlite_text(world.database, "UPDATE keepstep_position SET revision = revision + 1");
    send_part(12, 1, ROWS, "1");
    agent_world_expect_open(&world, 13);
    (void)sqlite_text(world.database,
                      "INSERT INTO keepstep_paused VALUES ('order', 1, 'somebody', '')");
    (void)usleep(1500000);
    (void)sqlite_text(world.database, "DELETE FROM keepstep_paused");
    agent_world_expect_open(&world, 13);
    wait_for(VALUES, "0\n");
    /* Somebody takes its partition: its transaction is void, and it takes the partition back. */
    (void)sqlite_text(world.database, "UPDATE keepstep_position SET epoch = epoch + 1");
    send_part(13, ROWS - 13, ROWS, "1");
    wait_for(VALUES, "1\n");
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->events_duplicate), 0);
    agent_world_done(&world);
}

static void a_gap_in_a_set_stops_its_partition_in_front_of_it(void **state)
{
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    send_part(0, 2, ROWS, "1");
    sent[0]++;
    agent_world_send(&world, &(struct agent_world_event){
                                 .sequence = ++sent[0], .text = "1", .changeset_end = 2 * ROWS});
    wait_for("SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%missing%'", "25\n");
    wait_for(VALUES, "0\n");
    finish();
}

/* A gap was told at once, a fork not before the set's end. */
static void a_fork_in_an_open_set_is_told_before_its_end_comes(void **state)
{
    (void)state;
    begin(1);
    send_part(0, ROWS, ROWS, "0");
    agent_world_start(&world);
    wait_for(VALUES, "0\n");
    send_part(0, 2, ROWS, "1");
    agent_world_send(&world, &(struct agent_world_event){.sequence = ++sent[0],
                                                         .text = "1",
                                                         .changeset_end = 2 * ROWS,
                                                         .is_fork = true});
    wait_for("SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%fork%'", "25\n");
    wait_for(VALUES, "0\n");
    finish();
}

static void an_unknown_type_in_an_open_set_is_told_before_its_end_comes(void **state)
{
    (void)state;
    begin(1);
    send_part(0, 2, ROWS, "1");
    agent_world_start(&world);
    agent_world_expect_open(&world, 2);
    agent_world_send(
        &world, &(struct agent_world_event){
                    .sequence = ++sent[0], .text = "1", .changeset_end = ROWS, .type = "parcel"});
    wait_for("SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%''parcel''%'", "0\n");
    finish();
}

static char large[LARGE + 1];

static void a_set_with_more_bytes_than_a_batch_is_applied(void **state)
{
    (void)state;
    memset(large, 'x', LARGE);
    begin(1);
    send_part(0, 4, 4, large);
    agent_world_start(&world);
    wait_for("SELECT count(*) FROM orders", "4\n");
    finish();
}

/* It has stopped its partition once. The mock cluster keeps no more than 5 MB of a log. */
static void a_set_that_does_not_fit_in_memory_is_read_twice_and_applied(void **state)
{
    (void)state;
    begin(1);
    world.config.limits.batch_bytes = 1 << 14;
    world.config.limits.message_bytes = 20000;
    send_part(0, MANY, MANY, "1");
    agent_world_start(&world);
    wait_for("SELECT next_offset FROM keepstep_position", test_format("%d\n", MANY));
    wait_for(VALUES, "1\n");
    assert_int_equal(sqlite_number(world.database, "SELECT count(*) FROM orders"), ROWS);
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->changesets_applied), 1);
    agent_world_done(&world);
}

/** Send `count` large records of a partition's set that begins there and has `size`. */
static void send_large(int partition, int count, int size)
{
    int end = sent[partition] + size;
    for (int i = 0; i < count; i++)
        agent_world_send(&world, &(struct agent_world_event){.partition = partition,
                                                             .sequence = ++sent[partition],
                                                             .text = large,
                                                             .changeset_end = end});
}

/* Each of the two fits in memory; both do not. */
static void an_open_set_that_leaves_the_others_no_room_is_read_again_later(void **state)
{
    (void)state;
    memset(large, 'x', LARGE);
    begin(2);
    send_large(0, 5, 6);
    agent_world_start(&world);
    agent_world_expect_open(&world, 5);
    send_large(1, 5, 5);
    wait_for("SELECT next_offset FROM keepstep_position WHERE partition = 1", "5\n");
    assert_int_equal(sqlite_number(world.database,
                                   "SELECT next_offset FROM keepstep_position WHERE partition = 0"),
                     0);
    agent_world_send(&world, &(struct agent_world_event){
                                 .sequence = ++sent[0], .text = "end", .changeset_end = 6});
    wait_for(POSITIONS, "0|6\n1|5\n");
    assert_int_equal(
        sqlite_number(world.database, "SELECT count(*) FROM keepstep_position WHERE stopped <> ''"),
        0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(nobody_sees_a_part_of_a_set_that_is_larger_than_a_batch, 120),
        TEST_WITH_LIMIT(without_the_header_parts_are_seen, 120),
        TEST_WITH_LIMIT(a_set_whose_end_does_not_come_holds_up_nothing_else, 120),
        TEST_WITH_LIMIT(an_open_set_outlives_a_restart_a_command_a_pause_and_a_takeover, 120),
        TEST_WITH_LIMIT(a_gap_in_a_set_stops_its_partition_in_front_of_it, 120),
        TEST_WITH_LIMIT(a_fork_in_an_open_set_is_told_before_its_end_comes, 120),
        TEST_WITH_LIMIT(an_unknown_type_in_an_open_set_is_told_before_its_end_comes, 120),
        TEST_WITH_LIMIT(a_set_with_more_bytes_than_a_batch_is_applied, 120),
        TEST_WITH_LIMIT(a_set_that_does_not_fit_in_memory_is_read_twice_and_applied, 180),
        TEST_WITH_LIMIT(an_open_set_that_leaves_the_others_no_room_is_read_again_later, 120),
    };
    return TEST_RUN(tests);
}
