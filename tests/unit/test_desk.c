/* A desk answers what it is asked, within its limits, whoever asks (rules 37 and 48). */
#include "common/clock.h"
#include "tests/support/desk_case.h"
#include "tests/support/failing_malloc.h"

#include <unistd.h>

static void begin_session(struct desk_case *world, const char *id)
{
    const struct talk_question stamp = desk_question(TALK_STAMP, id, 1);
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "");
}

static void ask_and_answer(struct desk_case *world, const struct talk_question *question)
{
    desk_ask(world, question);
    desk_answer(world);
}

static const struct talk_part *part_before(const struct desk_case *world, size_t back)
{
    assert_true(world->answer_count > back);
    size_t index = world->answer_count - 1 - back;
    assert_string_equal(world->topics[index], "order");
    assert_int_equal(world->answers[index].kind, TALK_PART);
    return &world->answers[index].part;
}

static void a_stamp_says_how_far_the_rows_are_and_what_is_open(void **state)
{
    struct open_entity open[] = {{slice_of("{\"id\":1}"), LEFT_PARKED},
                                 {slice_of("{\"id\":2}"), LEFT_OWN}};
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->open = open;
    world->open_count = 2;
    begin_session(world, DESK_FIRST);
    const struct talk_answer *answer = desk_last(world);
    assert_string_equal(answer->cluster_id, "cluster");
    assert_int_equal(answer->partition_count, 2);
    assert_int_equal(answer->offsets[1], 9);
    assert_int_equal(answer->columns.count, 2);
    assert_string_equal(answer->columns.list[1].name, "state");
    assert_int_equal(answer->open_count, 2);
    assert_int_equal(answer->parts, 1);
    const struct talk_part *part = part_before(world, 1);
    assert_int_equal(part->open_count, 2);
    assert_true(slice_is(part->open[0].key, "{\"id\":1}"));
    assert_int_equal(part->open[0].reason, TALK_OPEN_PARKED);
    assert_int_equal(part->open[1].reason, TALK_OPEN_OWN);
    assert_int_equal(world->open_now, 1);
    assert_int_equal(atomic_load(&world->metrics.snapshots_open), 1);
    assert_true(atomic_load(&world->metrics.oldest_snapshot_us) > 0);
    assert_int_equal(atomic_load(&world->metrics.questions), 1);
    desk_end(world);
}

static void sums_count_the_rows_that_are_not_left_out(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const uint64_t left_out[] = {row_key_digest(slice_of("{\"id\":1}"))};
    begin_session(world, DESK_FIRST);
    struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    sums.left_out = left_out;
    sums.left_out_count = 1;
    desk_ask(world, &sums);
    assert_int_equal(world->scans, 0);
    desk_answer(world);
    desk_assert_last(world, &sums, "");
    const struct talk_answer *answer = desk_last(world);
    assert_int_equal(answer->rows, 2);
    assert_int_equal(answer->sums[row_bucket(row_key_digest(slice_of("{\"id\":2}")))], 3);
    assert_int_equal(answer->sums[row_bucket(left_out[0])], 0);
    desk_end(world);
}

static void rows_are_listed_where_the_data_is_read(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const uint16_t buckets[] = {(uint16_t)row_bucket(row_key_digest(slice_of("{\"id\":2}")))};
    begin_session(world, DESK_FIRST);
    struct talk_question list = desk_question(TALK_LIST, DESK_FIRST, 2);
    list.buckets = buckets;
    list.bucket_count = 1;
    ask_and_answer(world, &list);
    desk_assert_last(world, &list, "");
    assert_int_equal(desk_last(world)->rows, 1);
    assert_int_equal(desk_last(world)->parts, 1);
    const struct talk_part *part = part_before(world, 1);
    assert_int_equal(part->row_count, 1);
    assert_true(slice_is(part->rows[0].key, "{\"id\":2}"));
    assert_int_equal(part->rows[0].digest, 3);
    assert_null(part->rows[0].json.data);
    desk_end(world);
}

static void values_are_told_only_on_request(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct slice keys[] = {slice_of("{\"id\":1}"), slice_of("{\"id\":99}")};
    begin_session(world, DESK_FIRST);
    struct talk_question question = desk_question(TALK_KEYS, DESK_FIRST, 2);
    question.keys = keys;
    question.key_count = 2;
    ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 1);
    assert_null(part_before(world, 1)->rows[0].json.data);
    question.number = 3;
    question.with_rows = true;
    ask_and_answer(world, &question);
    desk_assert_last(world, &question, "");
    assert_true(slice_is(part_before(world, 1)->rows[0].json, "{\"id\":1,\"state\":\"\"}"));
    question.number = 4;
    question.key_count = 0; /* never all rows */
    ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 0);
    desk_end(world);
}

static void many_wide_rows_go_in_parts(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct slice keys[] = {slice_of("{\"id\":0}"), slice_of("{\"id\":1}"),
                                 slice_of("{\"id\":2}")};
    world->value_bytes = 400 * 1000;
    begin_session(world, DESK_FIRST);
    struct talk_question question = desk_question(TALK_KEYS, DESK_FIRST, 2);
    question.keys = keys;
    question.key_count = 3;
    question.with_rows = true;
    ask_and_answer(world, &question);
    assert_int_equal(desk_last(world)->rows, 3);
    assert_int_equal(desk_last(world)->parts, 2);
    assert_int_equal(part_before(world, 1)->part, 2);
    assert_int_equal(part_before(world, 2)->part, 1);
    question.number = 3;
    world->value_bytes = 1000 * 1000; /* larger than a message */
    ask_and_answer(world, &question);
    desk_assert_last(world, &question, "");
    assert_int_equal(desk_last(world)->rows, 3);
    assert_null(part_before(world, 1)->rows[0].json.data);
    desk_end(world);
}

static void what_cannot_be_compared_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    stamp.entity_type = "salary";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "billing has no rows of that type");
    stamp.entity_type = "order";
    stamp.topic = "payroll";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "billing has these entities from another topic");
    stamp.topic = "order";
    world->incomparable = "it began in the middle of the log";
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "it began in the middle of the log");
    world->incomparable = NULL;
    world->open_count = 101;
    desk_ask(world, &stamp);
    desk_assert_last(world, &stamp, "too many changes wait there");
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_column_that_is_not_in_the_schema_is_refused(void **state)
{
    static const struct talk_column columns[] = {{"id", COLUMN_INTEGER, true},
                                                 {"state; DROP TABLE", COLUMN_TEXT, false}};
    (void)state;
    struct desk_case *world = desk_begin(4);
    begin_session(world, DESK_FIRST);
    struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    sums.columns = (struct talk_columns){columns, 2};
    ask_and_answer(world, &sums);
    assert_non_null(desk_last(world)->why);
    assert_int_equal(world->scans, 0);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

/* Whoever can write to the topic can write anything there. */
static void what_is_no_question_to_this_desk_is_passed_over(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "{\"v\":2,\"ask\":\"end\"}",
                                        "{\"v\":1,\"ask\":\"drop\"}",
                                        "{\"v\":1,\"answer\":\"stamp\",\"id\":\"" DESK_FIRST
                                        "\",\"number\":1,\"from\":\"x\","
                                        "\"can\":false,\"why\":\"no\"}"};
    (void)state;
    struct desk_case *world = desk_begin(4);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        desk_take(world, texts[i]);
    struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    stamp.to = "billing/0193/2";
    desk_ask(world, &stamp);
    stamp.to = "shop/-/1";
    desk_ask(world, &stamp);
    assert_int_equal(world->answer_count, 0);
    assert_int_equal(atomic_load(&world->metrics.questions), 0);
    desk_end(world);
}

static void there_are_only_so_many_snapshots(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(2);
    begin_session(world, DESK_FIRST);
    begin_session(world, DESK_SECOND);
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
    begin_session(world, DESK_FIRST);
    const struct talk_question stamp = desk_question(TALK_STAMP, DESK_FIRST, 1);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &stamp);
    desk_ask(world, &sums);
    desk_ask(world, &sums);
    desk_answer(world);
    ask_and_answer(world, &sums);
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
    begin_session(world, DESK_FIRST);
    begin_session(world, DESK_SECOND);
    begin_session(world, DESK_THIRD);
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
    begin_session(world, DESK_FIRST);
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
    begin_session(world, DESK_SECOND);
    begin_session(world, DESK_FIRST);
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
    begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &sums);
    desk_answer(world);
    assert_int_equal(world->open_now, 2);
    desk_assert_last(world, &sums, "");
    assert_string_equal(world->answers[world->answer_count - 2].answer.id, DESK_SECOND);
    desk_end(world);
}

static void keep_says_how_far_a_question_is(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_FIRST, 2);
    begin_session(world, DESK_FIRST);
    world->asked[0] = desk_text(&keep);
    world->asked_count = 1;
    ask_and_answer(world, &sums);
    const struct talk_answer *told = &world->answers[world->answer_count - 2].answer;
    assert_int_equal(told->ask, TALK_KEEP);
    assert_int_equal(told->rows, 1);
    desk_end(world);
}

static void an_end_ends_the_reading_of_rows(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question end = desk_question(TALK_END, DESK_FIRST, 3);
    begin_session(world, DESK_FIRST);
    size_t before = world->answer_count;
    world->asked[0] = desk_text(&end);
    world->asked_count = 1;
    ask_and_answer(world, &sums);
    assert_int_equal(world->answer_count, before);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_question_that_was_lost_is_told(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_FIRST, 2);
    begin_session(world, DESK_FIRST);
    desk_ask(world, &keep);
    desk_assert_last(world, &keep, "a question did not arrive, or could not be read here");
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void whoever_asks_without_a_session_is_told(void **state)
{
    static const enum talk_ask asks[] = {TALK_SUMS, TALK_LIST, TALK_KEYS, TALK_KEEP};
    (void)state;
    struct desk_case *world = desk_begin(4);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        const struct talk_question question = desk_question(asks[i], DESK_FIRST, 2);
        desk_ask(world, &question);
        desk_assert_last(world, &question,
                         "its session has ended there, or its sidecar was restarted");
    }
    const struct talk_question end = desk_question(TALK_END, DESK_FIRST, 2);
    desk_ask(world, &end);
    assert_int_equal(world->answer_count, sizeof asks / sizeof *asks);
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
    begin_session(world, DESK_SECOND);
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
    begin_session(world, DESK_FIRST);
    tend_for(world, 2200000);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void a_session_that_nobody_asks_ends(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->options.idle_s = 2;
    begin_session(world, DESK_FIRST);
    begin_session(world, DESK_SECOND);
    const struct talk_question keep = desk_question(TALK_KEEP, DESK_SECOND, 1);
    tend_for(world, 1100000);
    desk_ask(world, &keep);
    tend_for(world, 1500000);
    assert_int_equal(world->open_now, 1);
    desk_assert_last(world, &keep, "");
    desk_end(world);
}

static void a_snapshot_that_gave_way_is_told_to_whoever_asks_next(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(1);
    world->keep_fails = "gave way to a session that waits for table orders alone";
    begin_session(world, DESK_FIRST);
    sessions_tend(world->sessions);
    assert_int_equal(world->open_now, 0);
    assert_int_equal(atomic_load(&world->metrics.snapshots_open), 0);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    desk_ask(world, &sums);
    desk_assert_last(world, &sums, world->keep_fails);
    assert_int_equal(world->said.length, 0);
    begin_session(world, DESK_SECOND); /* its place is free */
    desk_end(world);
}

/* A client library names hosts and logins. */
static void what_a_database_says_stays_here(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    world->list_fails = "connection to server at \"db.internal\" failed";
    world->native_code = 7;
    begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    ask_and_answer(world, &sums);
    desk_assert_last(
        world, &sums,
        "its database does not answer, or refuses; the log of its sidecar has the reason");
    assert_string_equal(buffer_text(&world->said), world->list_fails);
    assert_int_equal(world->open_now, 0);
    desk_end(world);
}

static void without_a_broker_no_snapshot_stays_open(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    begin_session(world, DESK_FIRST);
    begin_session(world, DESK_SECOND);
    world->write_fails = true;
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    const struct talk_question third = desk_question(TALK_STAMP, DESK_THIRD, 1);
    ask_and_answer(world, &sums);
    desk_ask(world, &third);
    assert_int_equal(world->open_now, 1);
    desk_end(world);
}

static void a_stop_ends_the_reading_of_rows(void **state)
{
    (void)state;
    struct desk_case *world = desk_begin(4);
    begin_session(world, DESK_FIRST);
    const struct talk_question sums = desk_question(TALK_SUMS, DESK_FIRST, 2);
    atomic_store(&world->stop, true);
    ask_and_answer(world, &sums);
    desk_assert_last(world, &sums, "its sidecar ends");
    desk_end(world);
}

static void a_report_is_asked_for_by_topic(void **state)
{
    static const char *const other[] = {"invoice"};
    static const char *const both[] = {"invoice", "order"};
    (void)state;
    struct desk_case *world = desk_begin(4);
    struct talk_question report = desk_question(TALK_REPORT, DESK_FIRST, 1);
    report.to = "";
    report.topics = other;
    report.topic_count = 1;
    desk_ask(world, &report);
    assert_int_equal(atomic_load(&world->report_wishes), 0);
    report.topics = both;
    report.topic_count = 2;
    desk_ask(world, &report);
    assert_int_equal(atomic_load(&world->report_wishes), 1);
    assert_int_equal(world->answer_count, 0);
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
        TEST(a_stamp_says_how_far_the_rows_are_and_what_is_open),
        TEST(sums_count_the_rows_that_are_not_left_out),
        TEST(rows_are_listed_where_the_data_is_read),
        TEST(values_are_told_only_on_request),
        TEST(many_wide_rows_go_in_parts),
        TEST(what_cannot_be_compared_is_refused_with_the_reason),
        TEST(a_column_that_is_not_in_the_schema_is_refused),
        TEST(what_is_no_question_to_this_desk_is_passed_over),
        TEST(there_are_only_so_many_snapshots),
        TEST(a_doubled_question_is_answered_once),
        TEST(questions_are_answered_in_their_order),
        TEST(a_session_has_one_question_at_a_time),
        TEST(one_table_is_read_at_a_time),
        TEST(short_questions_are_answered_while_rows_are_read),
        TEST(keep_says_how_far_a_question_is),
        TEST(an_end_ends_the_reading_of_rows),
        TEST(a_question_that_was_lost_is_told),
        TEST(whoever_asks_without_a_session_is_told),
        TEST(a_session_ends_at_its_time),
        TEST(no_session_lasts_longer_than_a_scan_may),
        TEST(a_session_that_nobody_asks_ends),
        TEST(a_snapshot_that_gave_way_is_told_to_whoever_asks_next),
        TEST(what_a_database_says_stays_here),
        TEST(without_a_broker_no_snapshot_stays_open),
        TEST(a_stop_ends_the_reading_of_rows),
        TEST(a_report_is_asked_for_by_topic),
        TEST(without_memory_no_snapshot_stays_open),
    };
    return TEST_RUN(tests);
}
