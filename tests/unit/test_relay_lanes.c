/* What a relay remembers of its topics' partitions is compared with what the outbox says. */
#include "tests/support/test.h"

#include "producer/relay/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct relay_partition states[] = {
    {.topic = "now",
     .last_sequence = 1,
     .last_id = "a",
     .acknowledged_sequence = 1,
     .acknowledged_id = "a"},
    {.topic = "left",
     .last_sequence = 7,
     .last_id = "g",
     .acknowledged_sequence = 4,
     .acknowledged_id = "d"},
};

static enum status load(struct outbox *outbox, struct relay_partition **ret_partitions,
                        size_t *ret_count, struct error *err)
{
    (void)outbox;
    (void)err;
    *ret_partitions = malloc(sizeof states);
    assert_non_null(*ret_partitions);
    memcpy(*ret_partitions, states, sizeof states);
    *ret_count = sizeof states / sizeof *states;
    return STATUS_OK;
}

/* Each recovery loads it, even if all that was numbered for it is acknowledged. */
static void a_topic_that_was_left_is_none_that_the_database_has_forgotten(void **state)
{
    static const struct outbox_ops ops = {.load_partitions = load};
    (void)state;
    struct config_entry entry = {.topic = (char *)"now", .partitions = 1};
    struct outbox outbox = {.ops = &ops};
    struct relay_metrics metrics = {0};
    static const struct config config = {.service = (char *)"shop"};
    struct relay relay = {.options.config = &config,
                          .options.metrics = &metrics,
                          .outbox = &outbox,
                          .state = RELAY_RECOVERING,
                          .topic_count = 1};
    struct error err = ERROR_INIT;
    atomic_bool stop = false;
    relay.stop = &stop;
    relay.topics = calloc(1, sizeof *relay.topics);
    assert_non_null(relay.topics);
    relay.topics[0] = (struct relay_topic){.name = "now",
                                           .entry = &entry,
                                           .lane_count = 1,
                                           .lanes = calloc(1, sizeof(struct relay_lane))};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(relay_load_lanes(&relay, &err), STATUS_OK);
        struct relay_topic *left = relay_find_topic(&relay, "left");
        assert_non_null(left);
        assert_int_equal(left->lanes[0].state.last_sequence, 7);
        relay_set_state(&relay, RELAY_PUBLISHING);
        outbox.session++;
        assert_int_equal(relay_compare(&relay, &err), STATUS_OK);
        assert_int_equal(relay.state, RELAY_PUBLISHING);
        assert_int_equal(relay.lease.row.session, outbox.session);
        states[1].acknowledged_sequence = 7;
    }
    /* But the relay notices if the database forgets something of the former topic. */
    states[1].last_sequence = 6;
    outbox.session++;
    assert_int_equal(relay_compare(&relay, &err), STATUS_OK);
    assert_int_equal(relay.state, RELAY_RECOVERING);
    for (size_t i = 0; i < relay.topic_count; i++) {
        free(relay.topics[i].lanes);
        free(relay.topics[i].former_name);
    }
    free(relay.topics);
}

/* The log has four of five changes; the database has lost the number of the last one. A claim that
 * is not durable is made again. */
static void the_rest_of_a_lost_set_gets_its_end_each_time_that_it_is_claimed(void **state)
{
    struct config_entry entry = {.topic = (char *)"now", .partitions = 1};
    struct relay_lane lane = {.state = {.last_sequence = 4}, .open_end = 5};
    struct relay_topic topic = {.name = "now", .entry = &entry, .lane_count = 1, .lanes = &lane};
    struct outbox_row rows[] = {{.topic = "now"}, {.topic = "now"}, {.topic = "now"}};
    struct change_set sets[] = {{.count = 1, .groups = 1}, {.first = 1, .count = 1, .groups = 1}};
    const struct relay_choice choice = {.rows = rows, .count = 2, .sets = sets, .set_count = 2};
    struct relay_metrics metrics = {0};
    struct relay relay = {.topics = &topic, .topic_count = 1, .options.metrics = &metrics};
    (void)state;
    for (int i = 0; i < 2; i++) {
        relay_note_unknown_rests(&relay, &choice);
        for (size_t r = 0; r < choice.count; r++) {
            rows[r].sequence = 5 + r;
            rows[r].changeset_end = 99;
        }
        relay_end_sets(&relay, &choice);
        assert_int_equal(rows[0].changeset_end, 5);
        assert_int_equal(rows[1].changeset_end, 0);
    }
    assert_int_equal(atomic_load(&metrics.sets_split), 0);
}

/* The rest has one change, and three come next, as one set or two. */
static void what_comes_next_gets_the_numbers_of_a_rest_that_is_not_known(void **state)
{
    struct config_entry entry = {.topic = (char *)"now", .partitions = 1};
    struct relay_lane lane = {.state = {.last_sequence = 4}, .open_end = 5};
    struct relay_topic topic = {.name = "now", .entry = &entry, .lane_count = 1, .lanes = &lane};
    struct outbox_row rows[] = {{.topic = "now"}, {.topic = "now"}, {.topic = "now"}};
    struct change_set sets[] = {{.count = 3, .groups = 1}, {.first = 2, .count = 1, .groups = 1}};
    struct relay_choice choice = {.rows = rows, .count = 3, .sets = sets, .set_count = 1};
    struct relay_metrics metrics = {0};
    struct relay relay = {.topics = &topic, .topic_count = 1, .options.metrics = &metrics};
    (void)state;
    for (size_t r = 0; r < choice.count; r++)
        rows[r].sequence = 5 + r;
    for (int i = 0; i < 2; i++) { /* a claim that is not durable is told of once */
        relay_note_unknown_rests(&relay, &choice);
        relay_end_sets(&relay, &choice);
        assert_int_equal(rows[0].changeset_end, 5);
        assert_int_equal(rows[1].changeset_end, 7);
        assert_int_equal(rows[2].changeset_end, 7);
        assert_int_equal(atomic_load(&metrics.sets_split), 1);
    }
    sets[0].count = choice.set_count = 2;
    relay_end_sets(&relay, &choice);
    assert_int_equal(rows[0].changeset_end, 5);
    assert_int_equal(rows[1].changeset_end, 0);
    assert_int_equal(rows[2].changeset_end, 0);
}

/* What is written to the log meanwhile. */
static const char *logged(struct relay *relay, int times)
{
    char text[ERROR_TEXT_SIZE] = "";
    FILE *file = fopen(test_path("log.txt"), "w+");
    int out = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_true(out >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    for (int i = 0; i < times; i++)
        relay_note_no_room(relay, 77);
    assert_true(dup2(out, STDERR_FILENO) >= 0);
    (void)close(out);
    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) < sizeof text - 1);
    (void)fclose(file);
    return test_format("%s", text);
}

static void
that_no_more_can_be_remembered_of_what_waits_is_logged_once_with_the_reason(void **state)
{
    struct relay relay = {.waits.entities.count = WAITS_MAX};
    (void)state;
    const char *log = logged(&relay, 2);
    const char *first = strstr(log, "more than 500000 entities have changes that wait");
    assert_non_null(first);
    assert_non_null(strstr(first, "behind outbox row 77"));
    assert_null(strstr(strchr(first, '\n'), "entities"));
    relay = (struct relay){.waits.entities.count = 5};
    assert_non_null(strstr(logged(&relay, 1), "no memory to note that 6 entities"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rest_of_a_lost_set_gets_its_end_each_time_that_it_is_claimed),
        TEST(what_comes_next_gets_the_numbers_of_a_rest_that_is_not_known),
        TEST(that_no_more_can_be_remembered_of_what_waits_is_logged_once_with_the_reason),
        TEST(a_topic_that_was_left_is_none_that_the_database_has_forgotten),
    };
    return TEST_RUN(tests);
}
