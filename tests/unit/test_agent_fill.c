/* An agent whose topic is filled while it runs, on librdkafka's mock cluster: it gives the topic
 * up, and goes on at the stamp when all rows are there (rules 39 and 42). labels: threads */
#include "tests/support/agent_world.h"

#include "consumer/store/registry.h"
#include "operate/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTEMPT     "0193c000-0000-7000-8000-000000000001"
#define INCARNATION "0193a7c0-0000-7000-8000-000000000001"
#define WAIT_MS     20000
#define SETTLE_US   1500000 /* three times what the agent needs to see a stage */

/* Who fills the copy: another session of its database. */
struct filler {
    struct store *store;
    struct fill_state fill;
    struct partition_state partitions[AGENT_WORLD_PARTITIONS];
    struct sequence_state sequences[AGENT_WORLD_PARTITIONS];
};

static void produce(struct agent_world *world, int partition, int sequence, const char *text)
{
    agent_world_send(world, &(struct agent_world_event){
                                .partition = partition, .sequence = sequence, .text = text});
}

/* Describe a stamp at which the first event of each partition is applied. */
static void filler_open(struct filler *filler, const struct agent_world *world)
{
    struct error err = ERROR_INIT;
    const struct store_options options = {.path = world->database, .service = "billing"};
    *filler = (struct filler){.fill = {.topic = "order", .id = ATTEMPT, .source = "shop"}};
    assert_int_equal(store_sqlite_ops.open(&options, &filler->store, &err), STATUS_OK);
    for (int32_t i = 0; i < AGENT_WORLD_PARTITIONS; i++) {
        struct sequence_state *sequence = &filler->sequences[i];
        *sequence = (struct sequence_state){
            .source = "shop", .incarnation = INCARNATION, .base = 1, .last = 1};
        (void)snprintf(sequence->last_id, sizeof sequence->last_id, "p%de1", (int)i);
        filler->partitions[i] = (struct partition_state){.topic = "order",
                                                         .partition = i,
                                                         .next_offset = 1,
                                                         .anchor_offset = 0,
                                                         .partition_count = AGENT_WORLD_PARTITIONS,
                                                         .filled_to = 2,
                                                         .sequences = sequence,
                                                         .sequence_count = 1};
        memcpy(filler->partitions[i].anchor_id, sequence->last_id, STORE_ID_SIZE);
    }
}

static void fill(struct filler *filler, enum fill_edit edit)
{
    const struct fill_partitions all = {filler->partitions, AGENT_WORLD_PARTITIONS};
    struct error err = ERROR_INIT;
    enum status status = STATUS_RETRY;
    for (int tries = 0; status == STATUS_RETRY && tries < 100; tries++) { /* the agent writes too */
        error_clear(&err);
        status = store_sqlite_ops.begin(filler->store, NULL, 0, &err);
        if (status == STATUS_OK)
            status = store_sqlite_ops.fill(filler->store, edit, &filler->fill, &all, &err);
        if (status == STATUS_OK)
            status = store_sqlite_ops.commit(filler->store, true, &err);
        store_sqlite_ops.rollback(filler->store);
    }
    if (status != STATUS_OK)
        test_fail("%s", err.text);
}

static bool is_given_up(void *context)
{
    const struct agent_world *world = context;
    const struct agent_metrics *metrics = world->metrics;
    bool owns = false;
    for (size_t i = 0; i < atomic_load(&metrics->partition_count); i++)
        owns = owns || atomic_load(&metrics->partitions[i].owned);
    return !owns && atomic_load(&metrics->fill_count) == 1;
}

static const char *unready(const struct agent_world *world)
{
    static char text[ERROR_TEXT_SIZE];
    struct metrics_sources sources = {.config = &world->config, .agent = world->metrics};
    struct buffer reason;
    buffer_init(&reason, sizeof text - 1);
    bool ready = metrics_ready(&sources, &reason);
    (void)snprintf(text, sizeof text, "%s", ready ? "" : buffer_text(&reason));
    buffer_done(&reason);
    return text;
}

struct readiness {
    const struct agent_world *world;
    const char *reason; /* "": it is ready */
};

static bool is_so(void *context)
{
    const struct readiness *wanted = context;
    const char *reason = unready(wanted->world);
    return wanted->reason[0] == '\0' ? reason[0] == '\0' : strstr(reason, wanted->reason) != NULL;
}

static void expect_unready(const struct agent_world *world, const char *reason)
{
    struct readiness wanted = {world, reason};
    if (!test_wait(is_so, &wanted, WAIT_MS))
        test_fail("\"%s\" instead of \"%s\"", unready(world), reason);
}

static void expect_rows(const struct agent_world *world, const char *rows)
{
    const char *sql = "SELECT a FROM orders ORDER BY a";
    if (!sqlite_wait_for(world->database, sql, rows, WAIT_MS))
        test_fail("\"%s\" instead of \"%s\"", sqlite_text(world->database, sql), rows);
}

/* An agent that has applied two events of each partition. */
static void begin(struct agent_world *world, struct filler *filler)
{
    agent_world_make(world, AGENT_WORLD_PARTITIONS);
    for (int i = 0; i < AGENT_WORLD_PARTITIONS; i++) {
        produce(world, i, 1, test_format("p%d one", i));
        produce(world, i, 2, test_format("p%d two", i));
    }
    agent_world_start(world);
    expect_rows(world, "p0 two\np1 two\n");
    filler_open(filler, world);
}

static void end(struct agent_world *world, struct filler *filler)
{
    agent_world_end(world);
    store_sqlite_ops.close(filler->store);
    agent_world_done(world);
}

/* Load the rows of the stamp, but leave out that of partition 1. */
static void load(struct filler *filler, const struct agent_world *world)
{
    fill(filler, FILL_CLEAR);
    (void)sqlite_text(world->database, "DELETE FROM orders");
    fill(filler, FILL_INSTALL);
    (void)sqlite_format(world->database, "INSERT INTO orders VALUES(%d, 'loaded')", world->keys[0]);
    filler->fill.rows_offset = filler->fill.rows = 1;
    fill(filler, FILL_PROGRESS);
}

/* A fill was asked for, so the agent has given the topic up. */
static void begin_to_fill(struct agent_world *world, struct filler *filler)
{
    begin(world, filler);
    fill(filler, FILL_ASK);
    assert_true(test_wait(is_given_up, world, WAIT_MS));
}

static void a_topic_is_given_up_while_it_is_filled_and_read_on_from_the_stamp(void **test)
{
    (void)test;
    struct agent_world world;
    struct filler filler;
    begin_to_fill(&world, &filler);
    expect_unready(&world, "order is being filled: asked, 0 rows");
    produce(&world, 0, 3, "p0 three");
    load(&filler, &world);
    (void)usleep(SETTLE_US);
    assert_true(is_given_up(&world));
    expect_rows(&world, "loaded\n");
    expect_unready(&world, "order is being filled: loading, 1 rows");
    fill(&filler, FILL_END);
    expect_rows(&world, "p0 three\np1 two\n");
    assert_true(
        sqlite_wait_for(world.database, "SELECT stage FROM keepstep_fill", "done\n", WAIT_MS));
    produce(&world, 1, 3, "p1 three");
    expect_rows(&world, "p0 three\np1 three\n");
    assert_string_equal(sqlite_text(world.database, "SELECT count(*) FROM keepstep_parked"), "0\n");
    expect_unready(&world, "");
    end(&world, &filler);
}

static void a_topic_whose_fill_is_cancelled_is_read_on(void **test)
{
    (void)test;
    struct agent_world world;
    struct filler filler;
    begin_to_fill(&world, &filler);
    produce(&world, 0, 3, "p0 three");
    (void)usleep(SETTLE_US);
    expect_rows(&world, "p0 two\np1 two\n");
    fill(&filler, FILL_CANCEL);
    expect_rows(&world, "p0 three\np1 two\n");
    assert_string_equal(sqlite_text(world.database, "SELECT stage FROM keepstep_fill"),
                        "cancelled\n");
    expect_unready(&world, "");
    end(&world, &filler);
}

static void an_agent_that_starts_while_a_topic_is_filled_waits_and_takes_nothing(void **test)
{
    (void)test;
    struct agent_world world;
    struct filler filler;
    begin(&world, &filler);
    agent_world_end(&world);
    fill(&filler, FILL_ASK);
    load(&filler, &world);
    const char *epochs = sqlite_text(world.database, "SELECT epoch FROM keepstep_position");
    agent_world_start(&world);
    assert_true(test_wait(is_given_up, &world, WAIT_MS));
    expect_unready(&world, "order is being filled: loading");
    (void)usleep(SETTLE_US);
    assert_string_equal(sqlite_text(world.database, "SELECT epoch FROM keepstep_position"), epochs);
    fill(&filler, FILL_END);
    expect_rows(&world, "p0 two\np1 two\n");
    end(&world, &filler);
}

static void a_fill_is_done_only_when_every_partition_has_come_to_its_end(void **test)
{
    (void)test;
    struct agent_world world;
    struct filler filler;
    begin(&world, &filler);
    fill(&filler, FILL_ASK);
    load(&filler, &world);
    filler.partitions[1].filled_to = 3;
    fill(&filler, FILL_END);
    expect_rows(&world, "p0 two\np1 two\n");
    (void)usleep(SETTLE_US);
    assert_string_equal(sqlite_text(world.database, "SELECT stage FROM keepstep_fill"),
                        "replaying\n");
    expect_unready(&world, "order is being filled: replaying");
    produce(&world, 1, 3, "p1 three");
    assert_true(
        sqlite_wait_for(world.database, "SELECT stage FROM keepstep_fill", "done\n", WAIT_MS));
    expect_rows(&world, "p0 two\np1 three\n");
    end(&world, &filler);
}

static void the_log_is_recognised_by_the_anchor_that_was_installed(void **test)
{
    (void)test;
    struct agent_world world;
    struct filler filler;
    begin(&world, &filler);
    fill(&filler, FILL_ASK);
    (void)snprintf(filler.partitions[0].anchor_id, STORE_ID_SIZE, "of another log");
    load(&filler, &world);
    fill(&filler, FILL_END);
    assert_true(sqlite_wait_for(world.database,
                                "SELECT partition FROM keepstep_position WHERE stopped LIKE "
                                "'%does not hold event of another log%'",
                                "0\n", WAIT_MS));
    expect_rows(&world, "loaded\np1 two\n");
    end(&world, &filler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_given_up_while_it_is_filled_and_read_on_from_the_stamp),
        cmocka_unit_test(a_topic_whose_fill_is_cancelled_is_read_on),
        cmocka_unit_test(an_agent_that_starts_while_a_topic_is_filled_waits_and_takes_nothing),
        cmocka_unit_test(a_fill_is_done_only_when_every_partition_has_come_to_its_end),
        cmocka_unit_test(the_log_is_recognised_by_the_anchor_that_was_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
