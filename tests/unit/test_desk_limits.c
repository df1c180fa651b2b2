/* A desk answers within its limits: so many snapshots, so long, one table at a time (rules 37 and
 * 48). */
#include "common/clock.h"
#include "tests/support/desk_case.h"
#include "tests/support/failing_malloc.h"

#include <unistd.h>

#define LARGE_KEYS 4900

static void there_are_only_so_many_snapshots(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(2);
    desk_begin_session(world, DESK_FIRST);
    desk_begin_session(world, DESK_SECOND);
    const struct talk_question third = desk_question(TALK_STAMP, DESK_THIRD, 1);
    desk_ask(world, &third);
    desk_assert_last(world, &third, "2 snapshots are open there already");
    assert_int_equal(world->open_now, 2);
    const struct talk_question end = desk_question(TALK_END, DESK_FIRST, 2);
    desk_ask(world, &end);
    assert_int_equal(world->open_now, 1);
    desk_ask(world, &third);
    desk_assert_last(world, &third, "");
    desk_end(world);
}

static void a_doubled_question_is_answered_once(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    const struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &stamp);
    desk_ask(world, &sums);
    desk_ask(world, &sums);
    desk_answer(world);
    desk_ask_and_answer(world, &sums);
    assert_int_equal(world->open_now, 1);
    assert_int_equal(world->scans, 1);
    assert_int_equal(world->answer_count, 2);
    desk_end(world);
}

static void questions_are_answered_in_their_order(void **state)
{
    static const char *const ids[] = {DESK_SECOND, DESK_FIRST, DESK_THIRD};
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    desk_begin_session(world, DESK_SECOND);
    desk_begin_session(world, DESK_THIRD);
    size_t before = world->answer_count;
    for (size_t i = 0; i < 3; i++) {
        const struct talk_question sums = desk_question(TALK_SUMS, ids[i], 2);
        desk_ask(world, &sums);
    }
    desk_answer(world);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(world->answers[before + i].answer.id, ids[i]);
    desk_end(world);
}

static void a_session_has_one_question_at_a_time(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question first = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question second = desk_question(TALK_SUMS, DESK_FIRST, 3);
    desk_begin_session(world, DESK_FIRST);
    desk_ask(world, &first);
    desk_ask(world, &second);
    desk_answer(world);
    assert_int_equal(world->scans, 1);
    desk_assert_last(world, &first, "");
    desk_end(world);
}

static void one_table_is_read_at_a_time(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question first = desk_question(TALK_SUMS, DESK_FIRST, 2);
    struct talk_question second = desk_question(TALK_SUMS, DESK_SECOND, 2);
    const char *meanwhile = desk_text(&second);
    world->asked[0] = meanwhile;
    world->asked_count = 1;
    desk_begin_session(world, DESK_SECOND);
    desk_begin_session(world, DESK_FIRST);
    desk_ask(world, &first);
    desk_answer(world);
    assert_int_equal(world->heard, 1);
    assert_int_equal(world->scans, 2);
    assert_int_equal(world->scans_most, 1);
    desk_assert_last(world, &second, "");
    desk_end(world);
}

/* A scan takes minutes. Meanwhile others begin and end, and are told how far it is. */
static void short_questions_are_answered_while_rows_are_read(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question stamp = desk_question(TALK_STAMP, DESK_SECOND, 1);
    world->asked[0] = desk_text(&stamp);
    world->asked_count = 1;
    desk_begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &sums);
    desk_answer(world);
    assert_int_equal(world->open_now, 2);
    desk_assert_last(world, &sums, "");
    assert_string_equal(world->answers[world->answer_count - 2].answer.id, DESK_SECOND);
    desk_end(world);
}

static void tend_for(struct desk_case *world, int64_t duration_us)
{
    int64_t until_us = clock_monotonic_us() + duration_us;
    while (clock_monotonic_us() < until_us) {
        sessions_tend(world->sessions);
        (void)usleep(20000);
    }
}

static void a_session_ends_at_its_time(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    stamp.seconds = 1;
    desk_ask(world, &stamp);
    desk_begin_session(world, DESK_SECOND);
    assert_int_equal(world->open_now, 2);
    tend_for(world, 2200000);
    assert_int_equal(world->open_now, 1);
    assert_true(world->kept >= 1);
    desk_end(world);
}

static void no_session_lasts_longer_than_a_scan_may(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->config.limits.scan_time_s = 1;
    desk_begin_session(world, DESK_FIRST);
    tend_for(world, 2200000);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_session_that_nobody_asks_ends(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->options.idle_s = 2;
    desk_begin_session(world, DESK_FIRST);
    desk_begin_session(world, DESK_SECOND);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_SECOND, 1);
    while (world->open_now > 1) { /* until the first one ends */
        desk_ask(world, &keep);
        desk_assert_last(world, &keep, "");
        tend_for(world, 200000);
    }
    assert_int_equal(world->open_now, 1);
    desk_end(world);
}

static void a_snapshot_that_gave_way_is_told_to_whoever_asks_next(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(1);
    world->keep_fails = "gave way to a session that waits for table orders alone";
    desk_begin_session(world, DESK_FIRST);
    sessions_tend(world->sessions);
    assert_int_equal(world->open_now, 0);
    assert_int_equal(atomic_load(&world->metrics.snapshots_open), 0);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &sums);
    desk_assert_last(world, &sums, world->keep_fails);
    assert_int_equal(world->said.length, 0);
    desk_begin_session(world, DESK_SECOND); /* its place is free */
    desk_end(world);
}

static void without_a_broker_no_snapshot_stays_open(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    desk_begin_session(world, DESK_SECOND);
    world->write_fails = true;
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question third = desk_question(TALK_STAMP, DESK_THIRD, 1);
    desk_ask_and_answer(world, &sums);
    desk_ask(world, &third);
    assert_int_equal(world->open_now, 1);
    desk_end(world);
}

static void an_answer_that_its_topic_does_not_take_is_told(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    world->is_too_large = true;
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask_and_answer(world, &sums);
    desk_assert_last(world, &sums, "the record is too large");
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

/* The memory of a question goes to its session, and that of the session takes the next one. */
static void large_questions_come_one_after_the_other(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct slice *keys = calloc(LARGE_KEYS, sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < LARGE_KEYS; i++)
        keys[i] = slice_of(test_format("%0170zu", i));
    desk_begin_session(world, DESK_FIRST);
    for (int64_t number = 2; number < 6; number++) {
        struct talk_question question = desk_question(TALK_KEYS, DESK_FIRST, number);
        question.keys = keys;
        question.key_count = LARGE_KEYS;
        desk_ask_and_answer(world, &question);
        desk_assert_last(world, &question, "");
    }
    free(keys);
    desk_end(world);
}

static void a_stop_ends_the_reading_of_rows(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    desk_begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    atomic_store(&world->stop, true);
    desk_ask_and_answer(world, &sums);
    desk_assert_last(world, &sums, "its sidecar ends");
    desk_end(world);
}

static size_t written;

static enum status count_write(void *context, const char *data_topic, struct slice key,
                               struct slice value, struct error *err)
{
    (void)context, (void)data_topic, (void)key, (void)err;
    assert_true(value.length > 0);
    written++;
    return STATUS_OK;
}

struct script {
    struct desk_case *world;
    const char *texts[4];
};

/* @return whether all four questions were taken, and all but the last one answered. */
static bool follow_script(void *context)
{
    struct script *script = context;
    struct desk_case *world = script->world;
    struct error err = ERROR_INIT;
    bool is_done = true;
    written = 0;
    struct sessions *sessions = sessions_new(&world->options);
    for (size_t i = 0; sessions != NULL && i < 4; i++) {
        error_clear(&err);
        is_done = sessions_take(sessions, slice_of(script->texts[i]), &err) == STATUS_OK &&
                  sessions_answer(sessions, &err) == STATUS_OK && is_done;
    }
    sessions_free(sessions);
    assert_int_equal(world->open_now, 0);
    return is_done && sessions != NULL && world->said.length == 0 && written == 5;
}

static void without_memory_no_snapshot_stays_open(void **state)
{
    struct open_entity open[] = {{slice_of("{\"id\":1}"), LEFT_PARKED}};
    const struct slice keys[] = {slice_of("{\"id\":1}")};
    (void)state;
    struct desk_case *world = desk_begin(2);
    struct talk_question questions[] = {
        desk_question(TALK_STAMP, DESK_FIRST, 1), desk_question(TALK_SUMS, DESK_FIRST, 2),
        desk_question(TALK_KEYS, DESK_FIRST, 3), desk_question(TALK_END, DESK_FIRST, 4)};
    questions[2].keys = keys;
    questions[2].key_count = 1;
    questions[2].with_rows = true;
    struct script script = {.world = world};
    for (size_t i = 0; i < 4; i++)
        script.texts[i] = desk_text(&questions[i]);
    world->open = open;
    world->open_count = 1;
    world->options.desk.write = count_write;
    assert_true(failing_malloc_each(follow_script, &script, false) > 20);
    desk_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_are_only_so_many_snapshots),
        TEST(a_doubled_question_is_answered_once),
        TEST(questions_are_answered_in_their_order),
        TEST(a_session_has_one_question_at_a_time),
        TEST(one_table_is_read_at_a_time),
        TEST(short_questions_are_answered_while_rows_are_read),
        TEST(a_session_ends_at_its_time),
        TEST(no_session_lasts_longer_than_a_scan_may),
        TEST(a_session_that_nobody_asks_ends),
        TEST(a_snapshot_that_gave_way_is_told_to_whoever_asks_next),
        TEST(without_a_broker_no_snapshot_stays_open),
        TEST(an_answer_that_its_topic_does_not_take_is_told),
        TEST(large_questions_come_one_after_the_other),
        TEST(a_stop_ends_the_reading_of_rows),
        TEST(without_memory_no_snapshot_stays_open),
    };
    return TEST_RUN(tests);
}
